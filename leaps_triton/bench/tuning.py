"""Choice of the best configuration of every kernel on a CUDA device, kept for later runs.

Start it by ``leaps-triton tune``, or by ``python -m leaps_triton.bench.tuning``, which needs no
package. Results never depend on it: only configurations that keep every bit count.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ..kernels.checks import as_device, nearest
from ..kernels.tuning import cache
from ..kernels.tuning.candidates import around, words_of
from ..kernels.tuning.tuner import Run, Timer, Tuned, Workload, candidates, launches, tune
from ..kernels.tuning.workloads import workloads
from .timing import replayed, timed

__all__ = ["Tuner", "check_ops", "listed", "main", "run"]

BUDGET = 0.03
"""Seconds to time each configuration for."""


def names() -> list[str]:
    """Return the ops whose kernels can be tuned."""
    from ..kernels.inputs.families import small

    return sorted({op._qualname.partition("::")[2] for op, _ in small().values()})


def check_ops(ops: Sequence[str]) -> None:
    """Raise a ValueError for a name that is no op."""
    known = names()
    for op in ops:
        if op not in known:
            near = nearest(op, known)
            raise ValueError(f"there is no op {op!r}; choose from {', '.join(known)}{near}")


def timer_of(device: torch.device) -> Timer:
    """Return a timer of calls on a CUDA device, in a graph where there can be one."""

    def seconds(call: Run) -> float:
        try:
            return replayed(call, device, BUDGET).p50
        except RuntimeError:
            # An op that asks the device for something is timed with its launches.
            torch.cuda.synchronize(device)
            return timed(call, device, BUDGET).p50

    return seconds


class Tuner:
    """Tunes one workload after the other, and keeps what it has found at once.

    Args:
        device: Its name, as in the file.
        timer: Times a call.
        place: The file.
        say: Called with a line for every variant.
    """

    def __init__(
        self, device: str, timer: Timer, place: Path, say: Callable[[str], None] = print
    ) -> None:
        self.device = device
        self.timer = timer
        self.place = place
        self.say = say
        self.done: set[tuple[str, str]] = set()
        self.kept: list[cache.Entry] = []
        try:
            self.kept = cache.read(place)
        except ValueError as error:
            say(f"{place.name} cannot be read and is made anew: {error}")

    def take(self, workload: Workload) -> list[Tuned]:
        """Tune what a workload launches and no earlier one did; return what came of it."""
        found = tune(workload, self.timer, self.done)
        for one in found:
            entry = one.entry(self.device)
            self.done.add((entry.variant, entry.programs))
            self._keep(entry, one.is_better)
            self.say(line(workload.name, one))
        return found

    def _keep(self, entry: cache.Entry, better: bool) -> None:
        """Replace what is kept of a variant, or take it away, and write the file."""
        place = (entry.device, entry.variant, entry.programs)
        others = [e for e in self.kept if (e.device, e.variant, e.programs) != place]
        self.kept = others
        if better:
            self.kept = [*others, entry]
        cache.write(self.place, self.kept)


def line(name: str, one: Tuned) -> str:
    """Return what came of a variant in words."""
    same = [trial for _, trial in one.others if trial.seconds is not None]
    gain = "the committed configuration stays"
    if one.is_better:
        ratio = one.committed_seconds / one.seconds
        gain = f"{words_of(one.best)} is {ratio:.2f} times as fast as {words_of(one.variant)}"
    kernel = one.variant.kernel.fn.__name__
    return (
        f"{name}: {kernel}, {one.programs} programs, {len(same)} of {len(one.others)} "
        f"others keep every bit: {gain}"
    )


def listed(todo: Iterable[Workload]) -> Iterator[str]:
    """Yield what would be tried for each variant, without launching anything."""
    seen = set()
    for workload in todo:
        for variant, _ in launches(workload.run, dry=True).values():
            key = cache.key_of(variant)
            if key in seen:
                continue
            seen.add(key)
            others = "; ".join(map(words_of, around(variant)))
            kernel = variant.kernel.fn.__name__
            yield f"{workload.name}: {kernel}, {words_of(variant)}; to try: {others}"


def run(
    ops: Sequence[str] = (),
    shape: Sequence[int] = (64, 64),
    walkers: int = 1024,
    device: torch.device | str | None = None,
    seconds: float = 600.0,
    output: Path | None = None,
    dry_run: bool = False,
    say: Callable[[str], None] = print,
) -> list[Tuned]:
    """Tune the kernels of some ops on a CUDA device.

    Args:
        ops: Their names; all if there are none.
        shape: Lattice to tune for.
        walkers: Their number.
        device: None for CUDA where there is a CUDA device.
        seconds: No variant is begun after so many.
        output: The file; None for the one that launches look into.
        dry_run: Whether to list what would be tried, on any device, and do nothing.
        say: Called with a line for every variant.

    Raises:
        ValueError: If there is no such op, or the device is no CUDA device.
    """
    check_ops(ops)
    if dry_run:
        for text in listed(workloads(ops, tuple(shape), 2, torch.device("cpu"))):
            say(text)
        return []
    place = as_device(device)
    if place.type != "cuda":
        raise ValueError(
            f"there is nothing to tune on {place.type}: only Triton kernels have configurations; "
            "--dry-run lists what would be tried on a CUDA device"
        )
    begin = time.monotonic()
    todo = list(workloads(ops, tuple(shape), walkers, place))
    _compile([workload.run for workload in todo], say)
    tuner = Tuner(torch.cuda.get_device_name(place), timer_of(place), output or cache.file(), say)
    found = []
    for workload in todo:
        if time.monotonic() - begin > seconds:
            say(f"{seconds:.0f} s are over; what was found until then is kept")
            break
        found += tuner.take(workload)
    say(f"configurations: {tuner.place}")
    return found


def _compile(runs: Sequence[Run], say: Callable[[str], None]) -> None:
    """Compile all that will be tried in many processes."""
    from ..kernels.compiled.prewarm import prewarm

    made = prewarm(candidates(runs, dry=True))
    failed = sum(1 for result in made.values() if isinstance(result, str))
    say(f"{len(made) - failed} configurations compiled, {failed} cannot be")


def options() -> argparse.ArgumentParser:
    """Return the options, which need no package."""
    parser = argparse.ArgumentParser(
        prog="tuning", description="Tunes the Triton kernels on a CUDA device."
    )
    parser.add_argument("ops", nargs="*", help="names of ops; all by default")
    parser.add_argument("--shape", type=int, nargs="+", default=[64, 64], help="of the lattice")
    parser.add_argument("--walkers", type=int, default=1024)
    parser.add_argument("--device", help="CUDA by default")
    parser.add_argument("--seconds", type=float, default=600.0, help="that it may take")
    parser.add_argument("--output", type=Path, help="file; by default that which launches read")
    parser.add_argument("--dry-run", action="store_true", help="list what would be tried")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune as a script; a bad value ends in one sentence and a non-zero status."""
    parser = options()
    chosen: Any = parser.parse_args(arguments)
    try:
        run(**vars(chosen))
    except (ValueError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
