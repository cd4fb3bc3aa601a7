"""Times of every variant of a case, set against what the device can do at most."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .. import kernels
from ..kernels import reference
from ..kernels.inputs.case import Case
from .agreement import Disagreement, check
from .cases import BLOCKED, make_case
from .timing import Quantiles, Row, replayed, timed

__all__ = ["Ceilings", "ceilings", "copy_rate", "has_compiler", "measure"]

# Compiling takes seconds a case, so one model stands for all.
COMPILED_MODELS = ("", "ising")
# Twins that are no single graph: four go on until nothing changes, one differentiates another.
NOT_COMPILED = (
    "cluster_labels",
    "hollow_conv_gradient",
    "local_jump_steps",
    "swendsen_wang_sweeps",
    "wolff_sweeps",
)


def has_compiler() -> bool:
    """Say whether ``torch.compile`` finds a C++ compiler for the CPU."""
    usual = "g++"
    if sys.platform == "darwin":
        usual = "clang++"
    return shutil.which(os.environ.get("CXX", usual)) is not None


def _compiled(op: str) -> Callable[..., Any]:
    # Forgets earlier sizes, of which torch compiles only so many.
    torch._dynamo.reset()
    twin = getattr(reference, op)
    function: Callable[..., Any] = torch.compile(twin, fullgraph=True, dynamic=False)
    return function


@dataclass(frozen=True)
class Ceilings:
    """What the device can do at most.

    Attributes:
        copy: GB/s of a large copy on the device, bytes read and written both counted.
        philox: Random 32-bit words per nanosecond.
    """

    copy: float
    philox: float

    def rows(self) -> list[Row]:
        """Return both as rows of the table."""
        return [
            Row("copy", "ceiling", "", "", 0, "GB_per_s", self.copy),
            Row("philox", "ceiling", "", "", 0, "words_per_ns", self.philox),
        ]


def ceilings(device: torch.device, compiled: bool = True, budget: float = 0.5) -> Ceilings:
    """Measure what the device can do at most.

    The words are those of Triton's Philox, kept in registers, on a CUDA device; on a CPU those of
    the compiled twin, or of the twin where ``compiled`` is False.

    Args:
        device: What is measured.
        compiled: Whether the twin is compiled on a CPU.
        budget: Seconds to spend on each of the two.
    """
    copy = copy_rate(device, budget)
    if device.type == "cuda":
        return Ceilings(copy, _kernel_words(device, budget))
    return Ceilings(copy, _twin_words(device, compiled, budget))


def copy_rate(device: torch.device, budget: float) -> float:
    """Return the GB/s of a copy that no cache holds."""
    size = 2**28
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        size = min(2**30, memory // 8)
    source = torch.arange(size // 8, device=device)
    target = torch.empty_like(source)
    seconds = timed(lambda: target.copy_(source), device, budget).p50
    # Every byte is read once and written once.
    return 2 * size / seconds * 1e-9


def _kernel_words(device: torch.device, budget: float) -> float:
    """Return the words per nanosecond of Triton's Philox."""
    from ..kernels.throughput import BLOCK, philox_words

    # Several programs per processor hide one another's latencies.
    programs = 16 * torch.cuda.get_device_properties(device).multi_processor_count
    counters = 256
    words = 4 * programs * BLOCK * counters
    seconds = timed(lambda: philox_words(programs, counters, 0, device), device, budget).p50
    return words / seconds * 1e-9


def _twin_words(device: torch.device, compiled: bool, budget: float) -> float:
    """Return the words per nanosecond of the twin, compiled or not."""
    case = make_case("philox", "", (64, 64), 64, 0, device)
    function: Callable[..., Any] = reference.philox
    if compiled:
        function = _compiled("philox")
    seconds = timed(lambda: case.run(function), device, budget).p50
    return case.words / seconds * 1e-9


def _row(
    case: Case,
    variant: str,
    metric: str,
    value: float,
    baseline: str = "",
    ratio: float | None = None,
) -> Row:
    return Row(
        case.op, variant, case.model, case.lattice, case.walkers, metric, value, baseline, ratio
    )


def _rows(
    case: Case, variant: str, times: Quantiles, moved: int, limits: Ceilings, twin: float | None
) -> list[Row]:
    """Return the rows of one variant; ``twin`` is the time it is compared with, if any."""
    row = partial(_row, case, variant)
    # Per nanosecond, which is the unit of GB/s too.
    bandwidth = moved / times.p50 * 1e-9
    operations = case.operations / times.p50 * 1e-9
    seconds = row("seconds", times.p50)
    if twin:
        seconds = row("seconds", times.p50, "twin", twin / times.p50)
    rows = [
        seconds,
        row("seconds_p20", times.p20),
        row("seconds_p80", times.p80),
        row("GB_per_s", bandwidth, "copy", bandwidth / limits.copy),
        row("Gop_per_s", operations),
    ]
    if case.op == "philox":
        words = case.words / times.p50 * 1e-9
        rows.append(row("words_per_ns", words, "philox", words / limits.philox))
        rows.append(row("ns_per_word", 1.0 / words))
    if case.flips:
        flips = case.flips / times.p50 * 1e-9
        rows.append(row("flips_per_ns", flips, "philox", flips / limits.philox))
    return rows


def _variants(case: Case, device: torch.device, compiled: bool) -> dict[str, Callable[..., Any]]:
    """Return what is timed, by name, the twin last."""
    twin = getattr(reference, case.op)
    public = getattr(kernels, case.op)
    variants: dict[str, Callable[..., Any]] = {}
    has_kernels = not kernels.backend(device).startswith("plain torch")
    if has_kernels and public is not twin:
        variants["kernel"] = public
    elif case.op in BLOCKED:
        variants["blocked"] = public
    if compiled and case.model in COMPILED_MODELS and case.op not in NOT_COMPILED:
        variants["compiled"] = _compiled(case.op)
    variants["twin"] = twin
    return variants


@dataclass
class _Found:
    """What is known of a case so far.

    Attributes:
        times: Of every variant, by name.
        rows: That need more than these times.
        notes: On what was left out.
        moved: Bytes of inputs and results.
    """

    times: dict[str, Quantiles] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    moved: int = 0


def _time(
    case: Case,
    variant: str,
    function: Callable[..., Any],
    device: torch.device,
    budget: float,
    found: _Found,
) -> None:
    """Compare a variant with the twin, then time it."""
    # The twin is what all others are compared with.
    run: Callable[..., tuple[Tensor, ...]] = partial(check, case, variant)
    if variant == "twin":
        run = case.run
    results = run(function)
    found.moved = case.bytes_moved(results)
    # Their memory is needed by the calls that are timed.
    del results
    cuda = device.type == "cuda"
    warm = True
    flush = None
    if cuda:
        cache = torch.cuda.get_device_properties(device).L2_cache_size
        warm = 2 * found.moved < cache
        if not warm:
            flush = torch.empty(2 * cache, dtype=torch.uint8, device=device)

    def call() -> object:
        return case.run(function)

    found.times[variant] = timed(call, device, budget, flush=flush)
    if variant == "kernel" and cuda and warm:
        seconds = replayed(call, device, budget).p50
        found.rows.append(_row(case, variant, "seconds_replayed", seconds))


def measure(
    case: Case, device: torch.device, limits: Ceilings, compiled: bool, budget: float = 0.3
) -> tuple[list[Row], list[str]]:
    """Return rows of every variant of a case, and a note on each that is left out.

    ``kernel`` is the public op where it runs a kernel, ``blocked`` where it runs other torch than
    the twin, and ``compiled`` the twin under ``torch.compile``. Inputs and results that fit half
    the cache are timed with a warm cache, and kernels on a CUDA device also in a replayed graph;
    larger ones on a CUDA device with a cold cache.

    Args:
        case: Inputs of the op.
        device: Where they lie.
        limits: What the device can do at most.
        compiled: Whether the twin is compiled too.
        budget: Seconds to time each variant for.

    Raises:
        Disagreement: If the kernel differs from the twin. A compiled twin that does is left out,
            with a note.
    """
    found = _Found()
    for variant, function in _variants(case, device, compiled).items():
        try:
            _time(case, variant, function, device, budget, found)
        except torch.OutOfMemoryError:
            found.notes.append(f"{case.label}: not enough memory for the {variant}")
            torch.cuda.empty_cache()
        except Disagreement as error:
            if variant != "compiled":
                raise
            found.notes.append(str(error))
        except RuntimeError as error:
            # A kernel that was timed has only its graph left to fail.
            if variant != "kernel" or variant not in found.times:
                raise
            reason = str(error).splitlines()[0]
            found.notes.append(f"{case.label}: no CUDA graph of the kernel: {reason}")
    rows = found.rows
    for variant, quantiles in found.times.items():
        baseline = None
        if variant != "twin" and "twin" in found.times:
            baseline = found.times["twin"].p50
        rows += _rows(case, variant, quantiles, found.moved, limits, baseline)
    return rows, found.notes
