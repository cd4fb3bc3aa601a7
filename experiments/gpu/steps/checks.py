"""Steps of the first call: compile ahead, compare every op with its twin, find the ceilings."""

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from .common import Results, sources

TESTED = "hollow_values forward binary 32 float32"
"""A network of the tests of recordings."""
REPEATS = 30
"""Runs of each op on the same inputs, whose results must be equal to the last bit."""
TOLERANCES = {"bfloat16": 3e-2, "tf32": 2e-2, "tf32x3": 1e-4, "float32": 2e-5, "float64": 1e-10}
"""Largest difference from the twin in units of the largest number, at least 1."""
SMOKE_CALLS = 3
"""Calls of each op in a rehearsal."""
GRADIENTS = 10.0
"""Times that for gradients, which are sums over all walkers and sites."""
PROCESSES = 16
TURNS = 512
"""Turns of the loops whose instructions are counted."""


def wanted() -> dict[str, Any]:
    """Return the variants that the steps of all calls launch, by name."""
    from leaps_triton.kernels import throughput
    from leaps_triton.kernels.compiled import resources
    from leaps_triton.kernels.inputs.families import watched
    from leaps_triton.kernels.tuning.ceilings import VARIANTS
    from leaps_triton.kernels.tuning.plan import planned

    from .speed import functions

    found = planned(watched(), functions())
    ceilings = {"philox": throughput.VARIANT, **VARIANTS}
    found |= {f"ceiling {name}": variant for name, variant in ceilings.items()}
    # Networks of the default width are called through modules, which no plan sees.
    for name, variant in resources.variants().items():
        words = name.split()
        if name == TESTED:
            found[name] = variant
        if words[0] == "hollow_values" and "64" in words and words[1:] != ["prepare"]:
            trained = words[-1] == "float32"
            timed = words[1:3] == ["forward", "binary"]
            if trained or timed:
                found[name] = variant
    return found


def cache_folder() -> Path:
    """Return where Triton keeps what it has compiled."""
    chosen = os.environ.get("TRITON_CACHE_DIR")
    return Path(chosen) if chosen else Path.home() / ".triton" / "cache"


def hollow_first(item: tuple[str, Any]) -> bool:
    """Return the place of a variant in the order of compilation."""
    return not item[0].startswith("hollow")


def prewarm(settings: argparse.Namespace) -> None:
    """Compile in many processes what the steps launch, so that none of them waits for it."""
    from leaps_triton.kernels.compiled.prewarm import prewarm as compile_all

    results = Results(settings, settings.step)
    mark = cache_folder() / f"leaps-triton-{sources()}"
    if mark.exists() and not settings.smoke:
        results.end("all is compiled already, with this code on this machine")
        return
    # Those of networks first, which take longest.
    chosen = dict(sorted(wanted().items(), key=hollow_first))
    number = len(chosen)
    processes = min(PROCESSES, len(os.sched_getaffinity(0)))
    target = None
    if settings.smoke:
        # One shows that the pool works; the planning is rehearsed as a whole.
        chosen = {name: chosen[name] for name in sorted(chosen) if name.startswith("jump")}
        chosen = dict(list(chosen.items())[:1])
        processes = 1
        target = "sm_90"
    begin = time.monotonic()
    made = compile_all(chosen, target, processes, print)
    seconds = time.monotonic() - begin
    for name, found in made.items():
        if isinstance(found, str):
            results.fail(f"{name}: {found}")
    if not results.failures and not settings.smoke:
        mark.touch()
    took = {name: found for name, found in made.items() if not isinstance(found, str)}
    results.detail(seconds=took, processes=processes)
    results.add(*_rows("prewarm", seconds=seconds, cpu_seconds=sum(took.values())))
    results.end(f"{len(took)} of {number} variants in {seconds:.1f} s, {processes} processes")


def _rows(kernel: str, **numbers: float) -> list[Any]:
    """Return a row for each number, by its metric."""
    from leaps_triton.bench.timing import Row

    return [Row(kernel, "kernel", "", "", 0, name, value) for name, value in numbers.items()]


def _as_tuple(found: Any) -> tuple[Any, ...]:
    """Return results as a tuple of tensors."""
    import torch

    if isinstance(found, torch.Tensor):
        return (found,)
    return tuple(found)


def on_device(given: dict[str, Any], device: Any) -> dict[str, Any]:
    """Return arguments with their tensors on a device."""
    import torch

    moved = dict(given)
    for name, value in given.items():
        if isinstance(value, torch.Tensor):
            moved[name] = value.to(device)
    return moved


def _soil(device: Any) -> None:
    """Fill memory that the next call will be given with what no result holds."""
    import torch

    sizes = (2**12, 2**16, 2**20)
    blocks = [torch.full((size,), 0xA5, dtype=torch.uint8, device=device) for size in sizes * 4]
    # Freed now, the allocator hands these blocks out again as they are.
    del blocks


def tolerance_of(given: dict[str, Any], value: Any) -> float:
    """Return how far a floating-point result may be from the twin's."""
    # These alone are given what is handed back.
    factor = 1.0
    if any(name.startswith("to_") for name in given):
        factor = GRADIENTS
    dtype = str(value.dtype).removeprefix("torch.")
    precision = given.get("precision", dtype)
    return factor * max(TOLERANCES[dtype], TOLERANCES[precision])


def difference(given: dict[str, Any], found: Any, expected: Any) -> str:
    """Return in words how a result differs from the twin's; empty if it does not."""
    import torch

    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"{found.dtype} {tuple(found.shape)}, not {expected.dtype} {tuple(expected.shape)}"
    if not expected.is_floating_point():
        wrong = int((found != expected).sum())
        if wrong == 0:
            return ""
        return f"{wrong} of {found.numel()} numbers differ"
    if not bool(torch.isfinite(found).equal(torch.isfinite(expected))):
        return "other numbers are finite"
    distance = (found.double() - expected.double()).abs().nan_to_num(nan=0.0)
    scale = max([1.0, *expected.double().abs().nan_to_num(posinf=0.0).flatten().tolist()])
    largest = float(distance.max()) / scale if distance.numel() else 0.0
    if largest <= tolerance_of(given, expected):
        return ""
    return f"differs by {largest:.2g} of the largest number"


def same_bits(one: Any, other: Any) -> bool:
    """Return whether two results are equal to the last bit, NaN included."""
    import torch

    integers = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    kind = integers[one.element_size()]
    return torch.equal(one.contiguous().view(kind), other.contiguous().view(kind))


def _excused(op: Any, given: dict[str, Any], found: Any, device: Any) -> bool:
    """Return whether sweeps differ from the twin only where a number is near a threshold."""
    import torch

    from leaps_triton.bench import agreement
    from leaps_triton.kernels.inputs.case import Case, Size

    name = op._qualname.partition("::")[2]
    if name not in agreement.ROUNDED:
        return False
    count, *shape = given["configurations"].shape
    size = Size(tuple(shape), count, given["seed"], torch.device("cpu"))
    case = Case(name, "", size, given, frozenset(), 0)

    def function(**arguments: Any) -> Any:
        return op(**on_device(arguments, device)).cpu()

    return agreement.is_rounding(case, function, slice(None), found)


def examined(op: Any, given: dict[str, Any], device: Any, repeats: int) -> str:
    """Return what is wrong with an op on some inputs; empty if nothing is.

    Args:
        op: The op as torch knows it.
        given: Its arguments, on the CPU, whose twin is the definition.
        device: Where it is examined.
        repeats: How often it runs on the same inputs.
    """
    from leaps_triton.kernels.inputs.poison import poisoned

    expected = _as_tuple(op(**given))
    moved = on_device(given, device)
    with poisoned():
        first = _as_tuple(op(**moved))
    for index, (found, value) in enumerate(zip(first, expected, strict=True)):
        wrong = difference(given, found.cpu(), value)
        if wrong and not (index == 0 and _excused(op, given, found.cpu(), device)):
            return f"result {index}: {wrong}"
    for number in range(repeats):
        _soil(device)
        again = _as_tuple(op(**moved))
        if not all(map(same_bits, first, again)):
            return f"run {number + 2} on the same inputs gives other bits than the first"
    for name, value in on_device(given, device).items():
        if name in moved and hasattr(value, "dtype") and not same_bits(value, moved[name]):
            return f"the argument {name} was changed"
    return ""


def ops(settings: argparse.Namespace) -> None:
    """Call every op on small inputs of every kind: as its twin, and the same 30 times.

    Memory is poisoned before the first call with NaN, before the others with other garbage.
    """
    import torch

    from leaps_triton import kernels
    from leaps_triton.kernels.inputs.families import watched

    place = torch.device(settings.device)
    results = Results(settings, settings.step)
    repeats = 1 if settings.smoke else REPEATS
    tally: dict[str, list[int]] = {}
    begin = time.monotonic()
    for number, (op, given) in enumerate(watched()):
        name = op._qualname.partition("::")[2]
        counts = tally.setdefault(name, [0, 0])
        if settings.smoke and counts[0] == SMOKE_CALLS:
            continue
        counts[0] += 1
        with results.case(f"{name}, call {number}"):
            wrong = examined(op, given, place, repeats)
            if wrong:
                counts[1] += 1
                results.fail(f"{name}, call {number}: {wrong}")
        results.detail(calls_and_failures=tally)
    calls = sum(count for count, _ in tally.values())
    numbers = {"calls": calls, "failures": len(results.failures)}
    results.add(*_rows("ops", **numbers, seconds=time.monotonic() - begin))
    results.end(
        f"{calls} calls of {len(tally)} ops as their twins and {repeats} times equal: "
        f"{kernels.backend(place)}"
    )


def touch(settings: argparse.Namespace) -> None:
    """Call every op once on small inputs of every kind, for a tool that watches the kernels."""
    import torch

    from leaps_triton import kernels
    from leaps_triton.kernels.inputs.families import watched

    place = torch.device(settings.device)
    seen: Counter[str] = Counter()
    calls = 0
    for op, given in watched():
        # A tool makes each call many times slower: some of each op's reach every lattice.
        seen[op._qualname] += 1
        if seen[op._qualname] % settings.every:
            continue
        op(**on_device(given, place))
        if place.type == "cuda":
            torch.cuda.synchronize()
        calls += 1
    print(f"{calls} calls of {len(seen)} ops: {kernels.backend(place)}")


def _per_call(call: Callable[[], object], device: Any, count: int) -> float:
    """Return the seconds of the host's clock per call, of many that are queued at once."""
    import torch

    call()
    torch.cuda.synchronize(device)
    begin = time.perf_counter()
    for _ in range(count):
        call()
    torch.cuda.synchronize(device)
    return (time.perf_counter() - begin) / count


def _launches(device: Any) -> Iterator[tuple[str, float]]:
    """Yield the microseconds of launches and copies, by name."""
    import torch

    from leaps_triton import kernels
    from leaps_triton.bench.timing import replayed
    from leaps_triton.kernels.tuning.ceilings import integer_words

    def kernel() -> object:
        return integer_words("lop3", 1, 1, device)

    def op() -> object:
        return kernels.cluster_labels(bonds)

    bonds = torch.zeros(1, 2, 4, 4, dtype=torch.bool, device=device)
    host = torch.zeros(64, dtype=torch.float64)
    there = host.to(device)
    yield "launch_us", 1e6 * _per_call(kernel, device, 2000)
    yield "op_us", 1e6 * _per_call(op, device, 2000)
    yield "graph_launch_us", 1e6 * replayed(kernel, device).p50
    yield "graph_op_us", 1e6 * replayed(op, device).p50
    yield "to_device_us", 1e6 * _per_call(lambda: host.to(device), device, 500)
    yield "to_host_us", 1e6 * _per_call(there.cpu, device, 500)


def ceilings(settings: argparse.Namespace) -> None:
    """Measure what the device can do at most: bytes, random words, integers, launches."""
    import torch

    from leaps_triton.bench.measure import ceilings as measured

    results = Results(settings, settings.step)
    place = torch.device(settings.device)
    if place.type == "cuda":
        found = torch.cuda.get_device_properties(place)
        results.detail(
            multiprocessors=found.multi_processor_count,
            memory=found.total_memory,
            cache=found.L2_cache_size,
        )
    with results.case("copy and philox"):
        results.add(*measured(place, compiled=False, budget=0.5).rows())
    if place.type == "cuda":
        _integers(results, place)
        with results.case("launches"):
            results.add(*_rows("launches", **dict(_launches(place))))
    shown = {row.kernel + " " + row.metric: row.value for row in results.rows}
    results.end(", ".join(f"{name} {value:.4g}" for name, value in shown.items()))


def _integers(results: Results, place: Any) -> None:
    """Measure the rates of the two instructions that Philox is made of."""
    import torch

    from leaps_triton.bench.timing import timed
    from leaps_triton.kernels.tuning.ceilings import INSTRUCTIONS, instructions, integer_words

    # Several programs per processor hide one another's latencies.
    programs = 16 * torch.cuda.get_device_properties(place).multi_processor_count
    for name in INSTRUCTIONS:
        with results.case(name):
            call = partial(integer_words, name, programs, TURNS, place)
            # Per nanosecond, those of all threads.
            rate = instructions(name, programs, TURNS) / timed(call, place).p50 * 1e-9
            (row,) = _rows(name, per_ns=rate)
            results.add(row._replace(variant="ceiling"))
