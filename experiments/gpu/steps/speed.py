"""Steps of the second call that time ops: sweeps of many spins, and every op in a CUDA graph."""

import argparse
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from .common import Results

FIRST_OPS = (
    "heat_bath_sweeps",
    "local_energy",
    "proposal_rates",
    "local_jump_steps",
    "jump_step",
    "cluster_labels",
    "metropolis_sweeps",
    "tau_leap_step",
)
"""Ops that are measured first; the others follow."""
SIZES = (((64, 64), 4096), ((16, 16), 4096), ((256, 256), 64))
"""Lattices and walkers of every op."""
SMOKE_SIZES = (((8, 8), 32),)
SPINS = (2**20, 2**24, 2**28)
"""Spins of the sweeps: a small run, the size of the target, one that fills the device."""
SMOKE_SPINS = (2**12,)
LATTICE = (64, 64)
"""Lattice of the sweeps, with as many walkers as the spins allow."""
WHOLE = ((1024, 1024), (4096, 4096), (16384, 16384))
"""One large lattice of as many spins, for words that hold columns of its rows."""
MANY_SWEEPS = 64
"""Sweeps of a call, so that what is packed before and unpacked after them takes little of it."""
ALONE = {"local_energy": (((64, 64), 32768),), "cluster_labels": (((1024, 1024), 1),)}
"""More sizes of some ops: what no cache holds; one lattice that many programs must share."""
CHECKED_SITES = 2**22
"""Sites of the largest inputs that are compared with the twin, which takes seconds on a CPU."""
CHECKED = 64
"""Most walkers that are compared with the twin."""
CHECKED_TOGETHER = 2**14
"""Most sites of these walkers, if there is more than one: a twin on a CPU takes its time."""
BUDGET = 0.15
"""Seconds to time each case for."""
WITHOUT_GRAPH = (
    "swendsen_wang_sweeps",
    "wolff_sweeps",
    "graph_cluster_labels",
    "graph_swendsen_wang_sweeps",
    "graph_wolff_sweeps",
)
"""Ops whose loops ask the device whether they are done."""
LAYERS = ("hollow_conv", "hollow_conv_gradient")
"""Ops that have a size of their own, and a step."""


def op_names() -> list[str]:
    """Return every op of the queue, most valuable first."""
    from leaps_triton.bench.cases import OPS

    first = [name for name in FIRST_OPS if name in OPS]
    others = [name for name in OPS if name not in first and name not in LAYERS]
    # The ceilings have a step of their own.
    others.remove("philox")
    return first + others


def sweep_names() -> list[str]:
    """Return the ops of sweeps that are timed on many spins, packed ones first."""
    from leaps_triton.bench.cases import OPS

    packed = [name for name in OPS if "packed" in name]
    return [*packed, "heat_bath_sweeps", "metropolis_sweeps"]


def model_of(op: str) -> str:
    """Return the model that an op is timed on."""
    # Two states have no reflections.
    if op == "overrelaxation_sweeps":
        return "potts3"
    return "ising"


def functions() -> Iterator[Callable[[], object]]:
    """Yield small calls that launch what the steps of this file launch, for :func:`planned`."""
    import torch

    from leaps_triton import kernels
    from leaps_triton.bench.cases import make_case

    for op in op_names():
        if op in WITHOUT_GRAPH:
            continue
        for shape, walkers in SIZES:
            # Which kernel packed sweeps take follows from the walkers too.
            count = walkers if "packed" in op else 2
            case = make_case(op, model_of(op), shape, min(count, 64), 0, torch.device("cpu"))
            yield partial(case.run, getattr(kernels, op))


def rows_of(case: Any, seconds: float, moved: int, copy: float, variant: str) -> list[Any]:
    """Return the rows of a case: seconds, bandwidth, flips, sites.

    Args:
        case: What was timed.
        seconds: Of a call.
        moved: Bytes of inputs and results.
        copy: GB/s of a large copy, 0 if it is not known.
        variant: How it was timed.
    """
    from leaps_triton.bench.timing import Row

    about = (case.op, variant, case.model, case.lattice, case.walkers)
    # Per nanosecond, which is the unit of GB/s too.
    bandwidth = moved / seconds * 1e-9
    rows = [Row(*about, "seconds", seconds)]
    rows.append(Row(*about, "sites_per_ns", case.walkers * case.size.sites / seconds * 1e-9))
    if copy:
        rows.append(Row(*about, "GB_per_s", bandwidth, "copy", bandwidth / copy))
    if case.flips:
        rows.append(Row(*about, "flips_per_ns", case.flips / seconds * 1e-9))
    return rows


def measured(case: Any, budget: float) -> tuple[str, float, int]:
    """Compare an op with its twin, and time it.

    Returns:
        How it was timed, ``graph`` or ``eager``; seconds of a call; bytes of inputs and results.
    """
    import torch

    from leaps_triton import kernels
    from leaps_triton.bench.agreement import check_some
    from leaps_triton.bench.timing import replayed, timed

    function = getattr(kernels, case.op)
    device = case.size.device
    if case.size.sites <= CHECKED_SITES:
        walkers = min(CHECKED, max(1, CHECKED_TOGETHER // case.size.sites))
        results = check_some(case, "kernel", function, walkers)
    else:
        results = case.run(function)
    moved = case.bytes_moved(results)
    # Their memory is needed by the calls that are timed.
    del results

    def call() -> object:
        return case.run(function)

    if device.type == "cuda" and case.op not in WITHOUT_GRAPH:
        try:
            return "graph", replayed(call, device, budget).p50, moved
        except RuntimeError as error:
            torch.cuda.synchronize(device)
            print(f"no CUDA graph of {case.label}: {str(error).splitlines()[0]}", flush=True)
    return "eager", timed(call, device, budget).p50, moved


def copy_rate(device: Any) -> float:
    """Return the GB/s of a large copy, measured in this process; 0 on a CPU."""
    from leaps_triton.bench.measure import copy_rate as rate

    if device.type != "cuda":
        return 0.0
    return rate(device, 0.2)


class Size(NamedTuple):
    """An op on one size."""

    op: str
    shape: tuple[int, ...]
    walkers: int
    rows: bool = False
    """Whether words hold columns of rows"""
    sweeps: int = 0
    """Of a call; 0 for those of the case"""


def _timed(results: Results, chosen: Size, copy: float, device: Any, budget: float) -> None:
    """Time one op on one size, and add its rows."""
    import torch

    from leaps_triton.bench.cases import make_case

    op, shape, walkers, rows, sweeps = chosen
    lengths = "x".join(map(str, shape))
    with torch.no_grad(), results.case(f"{op} {lengths} {walkers} walkers"):
        case = make_case(op, model_of(op), shape, walkers, 0, device)
        if rows:
            case = replace(case, arguments=case.arguments | {"rows": True})
        if sweeps:
            flips = case.flips // case.arguments["sweeps"] * sweeps
            case = replace(case, arguments=case.arguments | {"sweeps": sweeps}, flips=flips)
        how, seconds, moved = measured(case, budget)
        found = rows_of(case, seconds, moved, copy, how)
        results.add(*found)
        print(", ".join(f"{row.metric} {row.value:.4g}" for row in found), flush=True)
    # The next case may need what this one has left.
    if device.type == "cuda":
        # It raises after a recording that was broken off, in some versions of torch.
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()


def graphs(settings: argparse.Namespace) -> None:
    """Time every op in a CUDA graph on three sizes, after comparing some walkers with the twin."""
    import torch

    results = Results(settings, settings.step)
    device = torch.device(settings.device)
    copy = copy_rate(device)
    sizes = SMOKE_SIZES if settings.smoke else SIZES
    budget = 0.01 if settings.smoke else BUDGET
    names = op_names()
    for shape, walkers in sizes:
        for op in names:
            _timed(results, Size(op, shape, walkers), copy, device, budget)
    for op, more in ALONE.items():
        for shape, walkers in more if not settings.smoke else ():
            _timed(results, Size(op, shape, walkers), copy, device, budget)
    results.end(f"{len(names)} ops on {len(sizes)} sizes")


def sweep_sizes(smoke: bool) -> list[Size]:
    """Return what is timed of sweeps, most valuable first."""
    shape = (16, 16) if smoke else LATTICE
    count = 8 if smoke else MANY_SWEEPS
    sites = shape[0] * shape[1]
    found = []
    for op in sweep_names():
        for number in SMOKE_SPINS if smoke else SPINS:
            found.append(Size(op, shape, number // sites, sweeps=count))
    whole = ((4, 64),) if smoke else WHOLE
    for op in sweep_names():
        if "packed" in op:
            found += [Size(op, lengths, 1, rows=True, sweeps=count) for lengths in whole]
    return found


def sweeps(settings: argparse.Namespace) -> None:
    """Time byte and packed sweeps on 2²⁰, 2²⁴ and 2²⁸ spins, of many walkers and of one."""
    import torch

    results = Results(settings, settings.step)
    device = torch.device(settings.device)
    copy = copy_rate(device)
    budget = 0.01 if settings.smoke else BUDGET
    for size in sweep_sizes(settings.smoke):
        _timed(results, size, copy, device, budget)
    flips = [row for row in results.rows if row.metric == "flips_per_ns"]
    best: dict[str, float] = {}
    for row in flips:
        best[row.kernel] = max(row.value, best.get(row.kernel, 0.0))
    results.end("flips/ns: " + ", ".join(f"{name} {most:.4g}" for name, most in best.items()))


def layer(settings: argparse.Namespace) -> None:
    """Time the fused convolution of LEC against the eager one, forward and backward."""
    import torch

    from .common import experiment

    results = Results(settings, settings.step)
    device = torch.device(settings.device)
    with results.case("lec"):
        for rows, notes in experiment("bench_lec").measured(device, settings.smoke, 0):
            results.add(*rows)
            for note in notes:
                print(f"note: {note}", flush=True)
    ratios = [f"{row.kernel} {row.ratio:.3g} x eager" for row in results.rows if row.ratio]
    results.end(", ".join(ratios) or "nothing to compare")
