"""How a time is taken, and how a number is recorded with what it was taken on."""

import csv
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..files import replacing
from ..kernels.graphs.recording import capture

__all__ = ["Clock", "Quantiles", "Row", "read_rows", "replayed", "timed", "write_rows"]


class Clock:
    """Counts the seconds since it was made.

    On a CPU they are the processor's, so that other work on the machine does not count.
    """

    def __init__(self, device: torch.device | str) -> None:
        """Start the clock.

        Args:
            device: What is timed; a CUDA device is waited for.
        """
        self.device = torch.device(device)
        self.begin = self.now()

    def now(self) -> float:
        """Return seconds, counted from some beginning."""
        if self.device.type == "cpu":
            return time.process_time()
        # A launch returns before its kernel has run.
        torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def __call__(self) -> float:
        """Return the seconds since the clock was made."""
        return self.now() - self.begin


class Quantiles(NamedTuple):
    """Seconds per call: quantiles over the calls, and the number of these."""

    p20: float
    p50: float
    p80: float
    repetitions: int


class Row(NamedTuple):
    """One measured number: a line of the results table.

    ``ratio`` compares ``value`` with ``baseline``, which names what it is compared with; both are
    empty where there is nothing to compare with.
    """

    kernel: str
    variant: str
    model: str
    shape: str
    walkers: int
    metric: str
    value: float
    baseline: str = ""
    ratio: float | None = None
    device: str = ""
    torch: str = ""
    triton: str = ""
    commit: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What was measured, and on what device: a table holds one row of each key."""
        return (
            self.kernel,
            self.variant,
            self.model,
            self.shape,
            str(self.walkers),
            self.metric,
            self.device,
        )


def _quantiles(seconds: list[float]) -> Quantiles:
    # One value has no quantiles but itself.
    cuts = seconds * 9
    if len(seconds) > 1:
        cuts = statistics.quantiles(seconds, n=10, method="inclusive")
    return Quantiles(cuts[1], cuts[4], cuts[7], len(seconds))


def timed(
    call: Callable[[], object],
    device: torch.device,
    budget: float = 0.3,
    least: int = 5,
    most: int = 1000,
    flush: Tensor | None = None,
    clock: Callable[[], float] | None = None,
) -> Quantiles:
    """Return the seconds of one call, launches included, after two calls to warm up.

    CUDA events surround each call on a CUDA device, ``clock`` elsewhere.

    Args:
        call: What is timed.
        device: Where it runs.
        budget: Seconds to spend; between ``least`` and ``most`` calls are timed.
        least: Fewest calls to time.
        most: Most calls to time.
        flush: Overwritten before every call, to empty a cache that it fills; None to leave the
            cache warm.
        clock: Seconds; None for those of the processor where torch has one thread, so that other
            work on the machine does not count, and of the wall where it has more.

    Example:
        >>> x = torch.ones(1000)
        >>> times = timed(lambda: x + x, torch.device("cpu"), budget=0.0, least=7)
        >>> times.repetitions, times.p20 <= times.p50 <= times.p80
        (7, True)
    """
    once = _second_call(call, device)
    # A call too short for the clock does not divide by 0.
    count = max(least, min(most, int(budget / max(once, 1e-9))))
    if device.type == "cuda":
        return _quantiles(_by_events(call, device, count, flush))
    if clock is None:
        clock = time.perf_counter
        if torch.get_num_threads() == 1:
            clock = time.process_time
    seconds = []
    for _ in range(count):
        if flush is not None:
            flush.zero_()
        begin = clock()
        call()
        seconds.append(clock() - begin)
    return _quantiles(seconds)


def _second_call(call: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the second call: the first may compile, or fill caches."""
    cuda = device.type == "cuda"
    call()
    if cuda:
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    call()
    if cuda:
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def _by_events(
    call: Callable[[], object], device: torch.device, count: int, flush: Tensor | None
) -> list[float]:
    """Return the seconds of each of ``count`` calls between events of the device."""
    events = []
    for _ in range(count):
        first = torch.cuda.Event(enable_timing=True)
        last = torch.cuda.Event(enable_timing=True)
        events.append((first, last))
    with torch.cuda.device(device):
        for first, last in events:
            if flush is not None:
                flush.zero_()
            first.record()
            call()
            last.record()
        torch.cuda.synchronize(device)
    # Events count milliseconds.
    return [first.elapsed_time(last) * 1e-3 for first, last in events]


def replayed(call: Callable[[], object], device: torch.device, budget: float = 0.3) -> Quantiles:
    """Return the seconds of one call among many in a replayed CUDA graph.

    They are without launches and with a warm cache.

    Args:
        call: What is timed.
        device: A CUDA device.
        budget: Seconds to spend.

    Raises:
        RuntimeError: If the call waits for the device, so that no graph can hold it.
    """
    with torch.cuda.device(device):
        once = timed(call, device, budget=0.0).p50
        # About a millisecond of calls, against which the launch of the graph is short.
        count = max(1, min(100, int(1e-3 / once)))

        def calls() -> None:
            for _ in range(count):
                call()

        times = timed(capture(calls, device).replay, device, budget)
    return Quantiles(times.p20 / count, times.p50 / count, times.p80 / count, times.repetitions)


def read_rows(file: Path) -> list[Row]:
    """Return all rows of a results table; none if there is no such file.

    Raises:
        ValueError: If the file has other columns.
    """
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        if tuple(reader.fieldnames or ()) != Row._fields:
            raise ValueError(
                f"{file.name} must have the columns {', '.join(Row._fields)}; "
                "choose another file, or delete this one"
            )
        rows = []
        for line in reader:
            numbers: dict[str, Any] = {
                "walkers": int(line["walkers"]),
                "value": float(line["value"]),
                "ratio": None,
            }
            if line["ratio"]:
                numbers["ratio"] = float(line["ratio"])
            rows.append(Row(**{**line, **numbers}))
        return rows


def write_rows(file: Path, rows: Iterable[Row]) -> None:
    """Add rows to a results table; each takes the place of the row with its key, if there is one.

    The file is replaced as a whole, so that a reader never sees half of it.

    Raises:
        ValueError: If the file has other columns.
    """
    table = {row.key: row for row in read_rows(file)}
    table.update({row.key: row for row in rows})
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(Row._fields)
        for row in table.values():
            ratio = ""
            if row.ratio is not None:
                ratio = f"{row.ratio:.6g}"
            cells = row._asdict() | {"value": f"{row.value:.6g}", "ratio": ratio}
            writer.writerow(cells.values())
