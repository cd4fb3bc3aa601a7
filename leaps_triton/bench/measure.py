"""Times of every variant of a case, set against what the device can do at most."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from .. import kernels
from ..kernels import reference
from ..kernels.inputs.case import Case
from .agreement import Disagreement, check
from .cases import BLOCKED, make_case
from .timing import Quantiles, Row, replayed, timed

__all__ = ["Ceilings", "ceilings", "has_compiler", "measure"]

# Compiling takes seconds a case, so one model stands for all.
COMPILED_MODELS = ("", "ising")
# Twins that are no single graph: two go on until nothing changes, one differentiates another.
NOT_COMPILED = ("cluster_labels", "hollow_conv_gradient", "local_jump_steps")


def has_compiler() -> bool:
    """Whether ``torch.compile`` finds a C++ compiler for the CPU."""
    return (
        shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++"))
        is not None
    )


def _compiled(op: str) -> Callable[..., Any]:
    # Forgets earlier sizes, of which torch compiles only so many.
    torch._dynamo.reset()
    function: Callable[..., Any] = torch.compile(
        getattr(reference, op), fullgraph=True, dynamic=False
    )
    return function


@dataclass(frozen=True)
class Ceilings:
    """What the device can do at most.

    Attributes:
        copy: GB/s of a large copy on the device, bytes read and written both counted.
        philox: random 32-bit words a nanosecond.
    """

    copy: float
    philox: float

    def rows(self) -> list[Row]:
        """As rows of the table."""
        return [
            Row("copy", "ceiling", "", "", 0, "GB_per_s", self.copy),
            Row("philox", "ceiling", "", "", 0, "words_per_ns", self.philox),
        ]


def ceilings(device: torch.device, compiled: bool = True, budget: float = 0.5) -> Ceilings:
    """Measure what the device can do at most.

    The words are those of Triton's Philox, kept in registers, on a CUDA device; on a CPU those of
    the compiled twin, or of the twin where ``compiled`` is False.
    """
    cuda = device.type == "cuda"
    size = min(2**30, torch.cuda.get_device_properties(device).total_memory // 8) if cuda else 2**28
    source = torch.arange(size // 8, device=device)
    target = torch.empty_like(source)
    copy = 2 * size / timed(lambda: target.copy_(source), device, budget).p50 * 1e-9
    if cuda:
        from ..kernels.throughput import BLOCK, philox_words

        programs, counters = (
            16 * torch.cuda.get_device_properties(device).multi_processor_count,
            256,
        )
        words = 4 * programs * BLOCK * counters
        seconds = timed(lambda: philox_words(programs, counters, 0, device), device, budget).p50
    else:
        case = make_case("philox", "", (64, 64), 64, 0, device)
        function = _compiled("philox") if compiled else reference.philox
        words, seconds = case.words, timed(lambda: case.run(function), device, budget).p50
    return Ceilings(copy, words / seconds * 1e-9)


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
    row = partial(_row, case, variant)
    bandwidth, operations = moved / times.p50 * 1e-9, case.operations / times.p50 * 1e-9
    rows = [
        row("seconds", times.p50, *(("twin", twin / times.p50) if twin else ())),
        row("seconds_p20", times.p20),
        row("seconds_p80", times.p80),
        row("GB_per_s", bandwidth, "copy", bandwidth / limits.copy),
        row("Gop_per_s", operations),
    ]
    if case.op == "philox":
        words = case.words / times.p50 * 1e-9
        rows += [
            row("words_per_ns", words, "philox", words / limits.philox),
            row("ns_per_word", 1.0 / words),
        ]
    if case.flips:
        flips = case.flips / times.p50 * 1e-9
        rows.append(row("flips_per_ns", flips, "philox", flips / limits.philox))
    return rows


def measure(
    case: Case, device: torch.device, limits: Ceilings, compiled: bool, budget: float = 0.3
) -> tuple[list[Row], list[str]]:
    """Rows of every variant of a case, and a note on each that is left out.

    ``kernel`` is the public op where it runs a kernel, ``blocked`` where it runs other torch than
    the twin, and ``compiled`` the twin under ``torch.compile``. Inputs and results that fit half
    the cache are timed with a warm cache, and kernels on a CUDA device also in a replayed graph;
    larger ones on a CUDA device with a cold cache.

    Raises:
        Disagreement: the kernel differs from the twin. A compiled twin that does is left out, with
            a note.
    """
    cuda = device.type == "cuda"
    twin = getattr(reference, case.op)
    variants: dict[str, Callable[..., Any]] = {}
    public = getattr(kernels, case.op)
    if not kernels.backend(device).startswith("torch twins") and public is not twin:
        variants["kernel"] = public
    elif case.op in BLOCKED:
        variants["blocked"] = public
    if compiled and case.model in COMPILED_MODELS and case.op not in NOT_COMPILED:
        variants["compiled"] = _compiled(case.op)

    cache = torch.cuda.get_device_properties(device).L2_cache_size if cuda else 0
    times: dict[str, Quantiles] = {}
    rows: list[Row] = []
    notes: list[str] = []
    moved = 0
    for variant, function in {**variants, "twin": twin}.items():
        try:
            results = case.run(twin) if variant == "twin" else check(case, variant, function)
            moved = case.bytes_moved(results)
            del results
            warm = not cuda or 2 * moved < cache
            flush = None if warm else torch.empty(2 * cache, dtype=torch.uint8, device=device)
            call = lambda f=function: case.run(f)  # noqa: E731
            times[variant] = timed(call, device, budget, flush=flush)
            if variant == "kernel" and cuda and warm:
                rows.append(
                    _row(case, variant, "seconds_replayed", replayed(call, device, budget).p50)
                )
        except torch.OutOfMemoryError:
            notes.append(f"{case.label}: not enough memory for the {variant}")
            torch.cuda.empty_cache()
        except Disagreement as error:
            if variant != "compiled":
                raise
            notes.append(str(error))
        except RuntimeError as error:
            if variant != "kernel" or variant not in times:
                raise
            notes.append(f"{case.label}: no CUDA graph of the kernel: {str(error).splitlines()[0]}")
    baseline = times["twin"].p50 if "twin" in times else None
    for variant, quantiles in times.items():
        rows += _rows(
            case, variant, quantiles, moved, limits, None if variant == "twin" else baseline
        )
    return rows, notes
