"""Benchmarks of every op: kernel, twin and compiled twin, after checking that they agree.

No time is reported of a variant that disagrees with the twin: integers must be equal, but for the
rounding of heat-bath thresholds, and floating-point numbers within a tolerance. Times are set
against what the device can do at most, measured in the same run: bytes against a large copy, random
words against a loop of nothing but Philox.
"""

import argparse
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from . import kernels
from .kernels import Stream, reference
from .measurement import Quantiles, Row, replayed, timed, write_rows
from .models import EdwardsAnderson, Ising, PairModel, Potts, as_seed
from .networks.local_rates import Shells
from .provenance import provenance

__all__ = [
    "MODELS", "OPS", "Case", "Ceilings", "Disagreement", "Report", "cases", "ceilings", "check", "has_compiler",
    "main", "main_of", "make_case", "measure", "options", "present", "run", "table",
]  # fmt: skip

_SWEEPS = ("heat_bath_sweeps", "metropolis_sweeps", "overrelaxation_sweeps")

OPS = (
    "philox", "energy", "local_energy", "proposal_rates", "proposal_rates_gradient", "jump_step", "local_jump_steps",
    "tau_leap_step", "tau_leap_log_probability", "tau_leap_log_probability_gradient", *_SWEEPS, "cluster_labels",
    "hollow_conv", "hollow_conv_gradient",
)  # fmt: skip
"""Names of the ops, as in :mod:`leaps_triton.kernels` and of their gradients."""

MODELS: dict[str, Callable[[Sequence[int]], PairModel]] = {
    "ising": lambda shape: Ising(shape, beta=0.4407),
    "potts3": lambda shape: Potts(shape, q=3, beta=1.005),
    "pm1": lambda shape: EdwardsAnderson(shape, beta=1.0, disorder="pm1", seed=0),
}
"""Models that the ops are measured on: no tables, three states, a coupling a bond."""

CHANNELS = 20
"""Channels of ``hollow_conv``, whose kernel is as long as the lattice: the last layer of the
published networks."""

SWEEPS = 4
"""Sweeps a call of ``heat_bath_sweeps``, ``metropolis_sweeps`` and ``overrelaxation_sweeps``."""

EVENTS = 128
"""Events a call of ``local_jump_steps``, as many as the sampler makes."""

# The public op runs something else than the twin even without kernels.
_BLOCKED = ("hollow_conv", "hollow_conv_gradient")
_WITHOUT_MODEL = ("philox", "local_jump_steps", *_BLOCKED)
# Two states have no reflections.
_MODELS_OF = dict.fromkeys(_WITHOUT_MODEL, ("",)) | {"overrelaxation_sweeps": ("potts3",)}

# Compiling takes seconds a case, so one model stands for all.
_COMPILED_MODELS = ("", "ising")
# Twins that are no single graph: two go on until nothing changes, one differentiates another.
_NOT_COMPILED = ("cluster_labels", "hollow_conv_gradient", "local_jump_steps")
_BLOCK = 2**22
_ROUNDING = 2.0**-20
# Reflections are found and accepted in float64.
_ROUNDED = ("heat_bath_sweeps", "metropolis_sweeps")
_PHILOX_OPERATIONS = (
    100  # a counter: 10 rounds of 2 products (4 halves), 4 exclusive ors, 2 sums of the key
)


class Disagreement(RuntimeError):
    """A variant of an op gave another result than its twin."""


@dataclass(frozen=True)
class Case:
    """An op with inputs, and the work of one call.

    Attributes:
        op, model, shape, walkers: what is measured; ``model`` is empty where there is none.
        arguments: of the op, by name.
        by_walker: names of the arguments with a leading walkers axis.
        operations: arithmetic operations of the formula; a look-up or an exponential counts as one.
        words, flips: random words drawn, and sites redrawn.
        tolerance: of each floating-point type, relative to the largest magnitude, at least 1.
    """

    op: str
    model: str
    shape: tuple[int, ...]
    walkers: int
    arguments: dict[str, Any] = field(repr=False)
    by_walker: frozenset[str] = field(repr=False)
    operations: int
    words: int = 0
    flips: int = 0
    tolerance: dict[torch.dtype, float] = field(
        default_factory=lambda: {torch.float32: 1e-5, torch.float64: 1e-10}, repr=False
    )

    @property
    def label(self) -> str:
        """Name for messages."""
        size = "x".join(map(str, self.shape))
        return " ".join(filter(None, (self.op, self.model, size, f"{self.walkers} walkers")))

    def of(self, rows: slice) -> dict[str, Any]:
        """Arguments of some of the walkers."""
        return {
            name: value[rows] if name in self.by_walker else value
            for name, value in self.arguments.items()
        }

    def run(self, function: Callable[..., Any], rows: slice = slice(None)) -> tuple[Tensor, ...]:
        """Results of ``function`` for some of the walkers."""
        result = function(**self.of(rows))
        return (result,) if isinstance(result, Tensor) else tuple(result)

    def bytes_moved(self, results: Iterable[Tensor]) -> int:
        """Bytes of all inputs, each read once, and all results, each written once."""
        tensors = [
            *(value for value in self.arguments.values() if isinstance(value, Tensor)),
            *results,
        ]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _blocks(walkers: int, sites: int) -> Iterator[slice]:
    step = max(1, _BLOCK // sites)
    for first in range(0, walkers, step):
        yield slice(first, min(walkers, first + step))


def _noise(shape: tuple[int, ...], seed: int, use: int, device: torch.device) -> Tensor:
    """Uniform numbers in (-1, 1), float32."""
    values = torch.empty(shape, device=device)
    for rows in _blocks(shape[0], values[0].numel()):
        walkers = torch.arange(rows.start, rows.stop, device=device)
        words = reference.site_words(seed, Stream.TRAIN, use, walkers, values[0].numel())
        values[rows] = 2.0 * kernels.uniform32(words).view(-1, *shape[1:]) - 1.0
    return values


def _states(
    q: int, walkers: int, shape: tuple[int, ...], seed: int, device: torch.device
) -> Tensor:
    """Random configurations, int8 ``(walkers, *shape)``."""
    x = torch.empty((walkers, *shape), dtype=torch.int8, device=device)
    indices = torch.arange(walkers, device=device)
    for rows in _blocks(walkers, x[0].numel()):
        words = reference.site_words(seed, Stream.START, 0, indices[rows], x[0].numel())
        x[rows] = (words * q >> 32).to(x.dtype).view(-1, *shape)
    return x


def _local_jumps(shape: tuple[int, ...], walkers: int, seed: int, device: torch.device) -> Case:
    """``local_jump_steps`` with the classes of LocalRates, or fewer shells on a small lattice."""
    counts = range(3 if len(shape) < 3 else 5 - len(shape), 0, -1)
    shells = next(s for s in (Shells.nearest(len(shape), n) for n in counts) if s.distinct(shape))
    x, sites, classes = (
        _states(2, walkers, shape, seed, device),
        torch.Size(shape).numel(),
        2 * shells.surroundings,
    )
    strides = [shells.surroundings]
    for size, stride in zip(shells.sizes, shells.strides(), strict=True):
        strides += [stride] * size
    ones = x.flatten(1).sum(1, dtype=torch.int64)
    first, last = max(0, int(ones.min()) - EVENTS), min(sites, int(ones.max()) + EVENTS)
    # Exit rates near 1; one walker in twenty reaches the end of its interval.
    rates, corrector = (
        _noise((last - first + 1, classes), seed, use, device).double() / sites for use in (0, 1)
    )
    weights, remaining = (_noise((2, walkers), seed, 2, device) + 1.0).double()
    indices = torch.arange(walkers, device=device)
    arguments = {
        "configurations": x, "log_weights": weights, "remaining": 10.0 * EVENTS * remaining, "walkers": indices,
        "events": indices % 7, "rates": rates + 1.0 / sites, "corrector": corrector,
        "neighbours": shells.neighbours(shape).to(device), "strides": torch.tensor(strides, device=device),
        "first_row": first, "seed": seed, "steps": EVENTS,
    }  # fmt: skip
    by_walker = frozenset({"configurations", "log_weights", "remaining", "walkers", "events"})
    # Two products and three sums a class, then the classes of the neighbours and the search of a
    # site.
    operations = (
        walkers * EVENTS * (5 * classes + 2 * len(strides) + sites // 2 + _PHILOX_OPERATIONS)
    )
    return Case(
        "local_jump_steps",
        "",
        shape,
        walkers,
        arguments,
        by_walker,
        operations,
        words=4 * walkers * EVENTS,
    )


def make_case(
    op: str, model_name: str, shape: Sequence[int], walkers: int, seed: int, device: torch.device
) -> Case:
    """Inputs of an op, drawn by ``seed``.

    Args:
        op: one of :data:`OPS`.
        model_name: one of :data:`MODELS`; ignored by ops without one, such as ``philox``, which
            makes one word a site, and ``local_jump_steps``, whose rates are a table.

    Example:
        >>> case = make_case(
        ...     "local_energy", "ising", (4, 4), walkers=3, seed=0, device=torch.device("cpu")
        ... )
        >>> energy, log_ratios = case.run(kernels.local_energy)
        >>> log_ratios.shape
        torch.Size([3, 1, 4, 4])
        >>> 3 * 16 * (1 + 4) < case.bytes_moved((energy, log_ratios))
        True
    """
    lengths = tuple(shape)
    indices = torch.arange(walkers, device=device)
    if op == "philox":
        counters = (torch.Size(lengths).numel() + 3) // 4
        arguments: dict[str, Any] = {
            "seed": seed, "stream": int(Stream.SWEEP), "site": torch.arange(counters, device=device), "event": 0,
            "draw": 0, "walker": indices.unsqueeze(1), "device": device,
        }  # fmt: skip
        count = walkers * counters
        work = _PHILOX_OPERATIONS * count
        return Case(
            op, "", lengths, walkers, arguments, frozenset({"walker"}), work, words=4 * count
        )

    if op in _BLOCKED:
        kernel_size, channels = min(15, min(lengths) - 1 + min(lengths) % 2), CHANNELS
        taps = kernel_size ** len(lengths)
        spins = _noise((walkers, 1, *lengths), seed, 0, device).sign()
        arguments = {
            "activations": _noise((walkers, channels, *lengths), seed, 1, device),
            "weight": _noise((channels, taps, channels), seed, 2, device) / channels**0.5,
            "bias": _noise((channels, taps), seed, 3, device), "offset": _noise((channels, taps), seed, 4, device),
            "time_offset": _noise((1, taps), seed, 5, device), "source": spins,
            "kernel_size": kernel_size, "periodic": (True,) * len(lengths),
        }  # fmt: skip
        # A product and a sum each input, an exponential, a division and eight more a tap.
        operations = walkers * channels * spins[0].numel() * (taps - 1) * (2 * channels + 10)
        if op == "hollow_conv":
            return Case(
                op,
                "",
                lengths,
                walkers,
                arguments,
                frozenset({"activations", "source"}),
                operations,
            )
        arguments = {
            "to_output": _noise((walkers, channels, *lengths), seed, 6, device),
            **arguments,
        }
        # Gradients of parameters are sums over all walkers, so the case is not cut.
        return Case(
            op, "", lengths, walkers, {**arguments, "to_source": False}, frozenset(), 3 * operations
        )

    if op == "local_jump_steps":
        return _local_jumps(lengths, walkers, seed, device)

    model = MODELS[model_name](lengths)
    q, ndim, sites = model.q, model.lattice.ndim, model.lattice.sites
    moves = (walkers, q - 1, *lengths)

    def case(
        operations: int, by_walker: Iterable[str], arguments: dict[str, Any], **work: Any
    ) -> Case:
        return Case(
            op, model_name, lengths, walkers, arguments, frozenset(by_walker), operations, **work
        )

    if op == "proposal_rates":
        output, log_ratios = (_noise(moves, seed, use, device) for use in (0, 1))
        arguments = {"network_output": output, "log_ratios": 4.0 * log_ratios}
        # Its float64 results are sums of float32 terms.
        tolerance = {torch.float32: 1e-5, torch.float64: 1e-5}
        return case(7 * output.numel(), arguments, arguments, tolerance=tolerance)

    if op == "proposal_rates_gradient":
        output, log_ratios, to_rates = (_noise(moves, seed, use, device) for use in (0, 1, 2))
        to_sums = _noise((2, walkers), seed, 3, device).double()
        arguments = {
            "network_output": output, "log_ratios": 4.0 * log_ratios, "to_rates": to_rates, "to_exit_rate": to_sums[0],
            "to_corrector": to_sums[1],
        }  # fmt: skip
        return case(9 * output.numel(), arguments, arguments)

    x = _states(q, walkers, lengths, seed, device)

    if op == "jump_step":
        # An exit rate near 1, so that about half of the walkers jump in the time remaining.
        rates = _noise(moves, seed, 0, device).add_(1.0).div_(rates_per_walker := (q - 1) * sites)
        weights, remaining, corrector = (_noise((3, walkers), seed, 1, device) + 1.0).double()
        arguments = {
            "configurations": x, "log_weights": weights, "remaining": remaining, "rates": rates,
            "corrector": corrector, "walkers": indices, "events": indices % 7, "seed": seed,
        }  # fmt: skip
        operations = walkers * (2 * rates_per_walker + _PHILOX_OPERATIONS)
        return case(operations, arguments.keys() - {"seed"}, arguments, words=4 * walkers)

    if op == "tau_leap_step":
        # Of all sites about one in seven moves.
        rates = _noise(moves, seed, 0, device).add_(1.0).div_(q - 1)
        duration = (_noise((walkers,), seed, 1, device) + 1.0).double() / 6.0
        arguments = {
            "configurations": x, "rates": rates, "duration": duration, "walkers": indices, "events": indices % 7,
            "seed": seed,
        }  # fmt: skip
        # Sum, choice and comparison of every rate, four exponentials or logarithms and as many
        # products a site.
        operations = x.numel() * (4 * (q - 1) + 8 + _PHILOX_OPERATIONS)
        by_walker = arguments.keys() - {"seed"}
        return case(operations, by_walker, arguments, words=4 * x.numel(), flips=x.numel())
    if op in ("tau_leap_log_probability", "tau_leap_log_probability_gradient"):
        # One site in three moves.
        shift = (1.5 * _noise(x.shape, seed, 0, device).abs()).to(x.dtype)
        rates, duration = (
            _noise(moves, seed, 1, device) + 1.1,
            _noise((walkers,), seed, 2, device).double() + 1.0,
        )
        arguments = {
            "configurations": x,
            "after": (x + shift) % q,
            "rates": rates,
            "duration": 0.2 * duration,
        }
        if op == "tau_leap_log_probability":
            return case(x.numel() * (2 * q + 4), arguments, arguments)
        arguments["to_log_probability"] = _noise((walkers,), seed, 3, device).double()
        return case(x.numel() * 6 * q, arguments, arguments)

    if op == "cluster_labels":
        # Neighbours in equal states of random configurations: clusters of many sizes.
        arguments = {
            "bonds": torch.stack([x == x.roll(-1, axis + 1) for axis in range(ndim)], dim=1)
        }
        return case(x.numel() * (2 * ndim + 1), arguments, arguments)

    tables = {
        "coupling": model.coupling.unsqueeze(0).to(device),
        "bond_table": model.bond_table.to(device),
        "site_table": model.site_table.unsqueeze(0).to(device),
    }
    beta = torch.full((1,), model.beta, dtype=torch.float64, device=device)
    periodic = model.lattice.periodic
    bonds, fields = 3 * ndim + 1, q * (4 * ndim + 1)
    if op == "energy":
        arguments = {"configurations": x, **tables, "periodic": periodic}
        return case(x.numel() * (bonds + 1), ["configurations"], arguments)
    if op == "local_energy":
        arguments = {"configurations": x, **tables, "beta": beta, "periodic": periodic}
        return case(x.numel() * (bonds + fields + 2 * (q - 1)), ["configurations"], arguments)
    if op in _SWEEPS:
        arguments = {
            "configurations": x, **tables, "beta": beta, "periodic": periodic,
            "colours": model.lattice.colours().to(device), "num_colours": model.lattice.num_colours,
            "walkers": indices, "first_sweep": 0, "sweeps": SWEEPS, "seed": seed,
        }  # fmt: skip
        flips = SWEEPS * x.numel()
        # Metropolis draws an acceptance, and where there is a choice a proposal.
        drawn = flips * (1 + (op == "metropolis_sweeps" and q > 2))
        # A reflection is about the nearest of q axes.
        states = (12 if op == "overrelaxation_sweeps" else 4) * q
        operations = flips * (fields + states) + drawn * (_PHILOX_OPERATIONS // 4)
        return case(operations, ["configurations", "walkers"], arguments, words=drawn, flips=flips)
    raise ValueError(f"there is no op {op!r}; choose from {', '.join(OPS)}")


def cases(
    ops: Sequence[str], device: torch.device, smoke: bool = False
) -> list[tuple[str, str, tuple[int, int], int]]:
    """Arguments ``(op, model, shape, walkers)`` of all cases; on a GPU, as many walkers as leave
    room for the twins.

    Raises:
        ValueError: an unknown op.

    Example:
        >>> cases(["philox"], torch.device("cpu"), smoke=True)
        [('philox', '', (16, 16), 64)]
    """
    unknown = [op for op in ops if op not in OPS]
    if unknown:
        raise ValueError(f"there is no op {unknown[0]!r}; choose from {', '.join(OPS)}")
    if smoke:
        sizes = [((16, 16), 64)]
    elif device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        largest = 65536
        while largest > 1024 and 240 * 64 * 64 * largest > memory:
            largest //= 2
        sizes = [((16, 16), 4096), ((16, 16), 16 * largest), ((64, 64), 1024), ((64, 64), largest)]
    else:
        sizes = [((16, 16), 1024), ((64, 64), 64)]
    convolutions = [((5, 5), 8)] if smoke else [((15, 15), 50)]
    return [
        (op, model, shape, walkers)
        for op in ops
        for shape, walkers in (convolutions if op in _BLOCKED else sizes)
        for model in _MODELS_OF.get(op, tuple(MODELS))
    ]


@contextmanager
def _poisoned() -> Iterator[None]:
    """New memory is filled with NaN or the largest integer, so that a result left unwritten is
    seen.
    """
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _redraw(
    x: Tensor, y: Tensor, fields: Tensor, beta: Tensor, word: Tensor, _: Tensor
) -> tuple[Tensor, Tensor]:
    """The heat bath's new values, and where ``y`` is as good as they are."""
    thresholds = reference.heat_bath_probabilities(fields, beta).cumsum(1)[:, :-1]
    uniform = kernels.uniform32(word).unsqueeze(1)
    drawn = (thresholds <= uniform).sum(1, dtype=x.dtype)
    return drawn, ((thresholds - uniform).abs() <= _ROUNDING).any(1) & ((drawn - y).abs() <= 1)


def _propose(
    x: Tensor, y: Tensor, fields: Tensor, beta: Tensor, first: Tensor, word: Tensor
) -> tuple[Tensor, Tensor]:
    """Those of Metropolis, likewise."""
    q, old = fields.shape[1], x.long().unsqueeze(1)
    new = (old + 1 + (first * (q - 1) >> 32).unsqueeze(1)) % q
    change = (fields.gather(1, new) - fields.gather(1, old)).squeeze(1)
    accepted = reference.metropolis_acceptance(beta.view(-1, *[1] * (x.ndim - 1)) * change)
    uniform, new = kernels.uniform32(word), new.squeeze(1).to(x.dtype)
    tied = ((accepted - uniform).abs() <= _ROUNDING) & ((y == x) | (y == new))
    return torch.where(uniform < accepted, new, x), tied


def _is_rounding(case: Case, function: Callable[..., Any], rows: slice, result: Tensor) -> bool:
    """Whether sweeps differ from their twin only where a random number is a threshold, up to
    rounding.

    Among 10⁹ random numbers some fall between two roundings of a threshold. The twin follows sweep
    by sweep and colour by colour, each time from what ``function`` made before, so that one such
    site excuses no other.
    """
    given = case.of(rows)
    x = given["configurations"]
    for sweep in range(SWEEPS):
        y = function(**given | {"configurations": x, "first_sweep": sweep, "sweeps": 1})
        words = [
            reference.site_words(
                given["seed"], Stream.SWEEP, sweep, given["walkers"], x[0].numel(), draw
            ).view(x.shape)
            for draw in (0, 1)
        ]
        tables = (given["coupling"], given["bond_table"], given["site_table"], given["periodic"])
        for colour in range(given["num_colours"]):
            fields = reference.local_fields(x, *tables, torch.float64)
            drawn, tied = (_redraw if case.op == "heat_bath_sweeps" else _propose)(
                x, y, fields, given["beta"], *words
            )
            here = given["colours"] == colour
            if bool((here & (drawn != y) & ~tied).any()):
                return False
            x = torch.where(here, y, x)
    return torch.equal(x, result)


def check(case: Case, variant: str, function: Callable[..., Any]) -> tuple[Tensor, ...]:
    """Results of ``function``, once they agree with the twin on every walker.

    Integers must be equal, floating-point numbers within the case's tolerance; NaN agrees with
    nothing. Sweeps may differ at a site whose random number is within 2⁻²⁰ of a threshold.

    Raises:
        Disagreement: it names the case, the variant and the largest difference.

    Example:
        >>> case = make_case(
        ...     "energy", "potts3", (4, 4), walkers=3, seed=0, device=torch.device("cpu")
        ... )
        >>> check(case, "wrong", lambda **arguments: (2 * r for r in kernels.energy(**arguments)))
        Traceback (most recent call last):
        leaps_triton.benchmark.Disagreement: energy potts3 4x4 3 walkers: wrong and twin differ in 3
        of 3 numbers ...
    """
    with _poisoned():
        results = case.run(function)
    twin = getattr(reference, case.op)
    differences = [0] * len(results)
    largest = [0.0] * len(results)
    blocks = (
        _blocks(case.walkers, torch.Size(case.shape).numel()) if case.by_walker else [slice(None)]
    )
    for rows in blocks:
        expected = case.run(twin, rows)
        if [r[rows].shape for r in results] != [e.shape for e in expected]:
            shapes = [tuple(r.shape) for r in results]
            raise Disagreement(
                f"{case.label}: {variant} returned the shapes {shapes}, unlike its twin"
            )
        for index, (result, value) in enumerate(zip(results, expected, strict=True)):
            part = result[rows]
            if value.is_floating_point():
                distance = (part.double() - value.double()).abs()
                limit = case.tolerance[value.dtype] * max(
                    1.0, float(value.abs().amax()) if value.numel() else 1.0
                )
                wrong = ~(distance <= limit)
            else:
                distance = (part != value).double()
                wrong = part != value
                if (
                    case.op in _ROUNDED
                    and bool(wrong.any())
                    and _is_rounding(case, function, rows, part)
                ):
                    continue
            differences[index] += int(wrong.sum())
            if bool(wrong.any()):
                largest[index] = max(
                    largest[index], float(distance.nan_to_num(nan=torch.inf).max())
                )
    for index, count in enumerate(differences):
        if count:
            raise Disagreement(
                f"{case.label}: {variant} and twin differ in {count} of {results[index].numel()} numbers of result "
                f"{index}, by {largest[index]:.3g} at most; its times are not reported"
            )
    return results


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
        from .kernels.throughput import BLOCK, philox_words

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
        case.op,
        variant,
        case.model,
        "x".join(map(str, case.shape)),
        case.walkers,
        metric,
        value,
        baseline,
        ratio,
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
    elif case.op in _BLOCKED:
        variants["blocked"] = public
    if compiled and case.model in _COMPILED_MODELS and case.op not in _NOT_COMPILED:
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


@dataclass
class Report:
    """What a run measured.

    Attributes:
        provenance: device, versions and commit.
        rows: of the table.
        notes: on what was left out.
        disagreements: one message for every case whose kernel differs from its twin.
    """

    provenance: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "provenance": self.provenance,
            "rows": [row._asdict() for row in self.rows],
            "notes": self.notes,
            "disagreements": self.disagreements,
        }

    def raise_for_disagreements(self) -> None:
        """Raise a Disagreement if a kernel differed from its twin."""
        if self.disagreements:
            others = len(self.disagreements) - 1
            raise Disagreement(
                self.disagreements[0] + (f" (and {others} cases more)" if others else "")
            )


def run(
    ops: Sequence[str] = (),
    device: torch.device | str | None = None,
    smoke: bool = False,
    seed: int = 0,
    compiled: bool = True,
    output: Path | None = None,
    commit: str | None = None,
    budget: float = 0.3,
    progress: bool = False,
) -> Report:
    """Measure ops over models, lattices and walkers.

    Args:
        ops: names of :data:`OPS`; empty for all.
        device: None for CUDA where there is a CUDA device, else the CPU.
        smoke: one small lattice and no compiled twins, in seconds.
        seed: of the inputs, in [0, 2³²).
        compiled: measure the compiled twins too; on a CPU they need a C++ compiler.
        output: CSV table to add the rows to, after every case; None for none.
        commit: to record where the code is no git checkout.
        budget: seconds to time each variant for; at most 0.05 with ``smoke``.
        progress: show a progress bar on a terminal.

    Raises:
        ValueError: an unknown op, a bad seed, no such device, or an output that cannot be written.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("there is no CUDA device here; choose device cpu")
    if output is not None and not output.parent.is_dir():
        raise ValueError(
            f"there is no folder {output.parent} to save {output.name} in; make it, or choose another"
        )
    as_seed(seed)
    todo = cases(ops or OPS, place, smoke)
    report = Report(provenance(place))
    if commit and report.provenance["commit"] == "unknown":
        report.provenance["commit"] = commit
    if smoke:
        compiled, budget = False, min(budget, 0.05)
    if compiled and place.type == "cpu" and not has_compiler():
        compiled = False
        report.notes.append("no C++ compiler was found, so the compiled twins are left out")
    columns: dict[str, Any] = {
        name: report.provenance[name] for name in ("device", "torch", "triton", "commit")
    }

    def add(rows: Iterable[Row]) -> None:
        complete = [row._replace(**columns) for row in rows]
        report.rows += complete
        if output is not None:
            write_rows(output, complete)

    limits = ceilings(place, compiled, budget)
    add(limits.rows())
    with (
        tqdm(total=len(todo), unit="case", leave=False, disable=None if progress else True) as bar,
        torch.no_grad(),
    ):
        for op, model, shape, walkers in todo:
            bar.set_description(f"{op} {model}".strip())
            try:
                case = make_case(op, model, shape, walkers, seed, place)
                rows, notes = measure(case, place, limits, compiled, budget)
                add(rows)
                report.notes += notes
            except Disagreement as error:
                report.disagreements.append(str(error))
            except torch.OutOfMemoryError:
                report.notes.append(
                    f"{op} {model} {shape} {walkers} walkers: not enough memory for the inputs"
                )
            if place.type == "cuda":
                torch.cuda.empty_cache()
            bar.update()
    return report


def _duration(seconds: float) -> str:
    unit, scale = next(
        ((u, s) for u, s in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)) if seconds >= s), ("ns", 1e-9)
    )
    return f"{seconds / scale:.4g} {unit}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(report: Report) -> str:
    """The report for a reader, at 80 columns: one line a variant.

    Example:
        >>> row = Row("energy", "twin", "ising", "8x8", 64, "seconds", 2.5e-5)
        >>> print(table(Report({"device": "D", "torch": "2", "triton": "3", "commit": "c"}, [row])))
        D; torch 2, triton 3, commit c
        <BLANKLINE>
        energy
          model  lattice  walkers variant       time  vs twin    GB/s copy        per ns
          ising  8x8           64 twin         25 µs
    """
    about = report.provenance
    lines = [
        f"{about['device']}; torch {about['torch']}, triton {about['triton']}, commit {about['commit']}"
    ]
    groups: dict[tuple[str, str, str, int, str], dict[str, Row]] = {}
    for row in report.rows:
        groups.setdefault((row.kernel, row.model, row.shape, row.walkers, row.variant), {})[
            row.metric
        ] = row
    previous = ""
    for (op, model, shape, walkers, variant), rows in groups.items():
        if variant == "ceiling":
            (row,) = rows.values()
            what = (
                "copies {:.4g} GB/s" if op == "copy" else "makes {:.3g} random words a nanosecond"
            )
            lines.append("the device " + what.format(row.value))
            continue
        if op != previous:
            header = f"  {'model':6} {'lattice':8} {'walkers':>7} {'variant':8} {'time':>9}"
            lines += ["", op, f"{header} {'vs twin':>8} {'GB/s':>7} {'copy':>4} {'per ns':>13}"]
            previous = op
        cells = f"  {model:6} {shape:8} {walkers:7} {variant:8}"
        times = rows.get("seconds") or rows.get("cpu_seconds")
        if times:
            ratio = times.ratio
            cells += f" {_duration(times.value):>9} {f'{_short(ratio)}x' if ratio else '':>8}"
        if "GB_per_s" in rows:
            row = rows["GB_per_s"]
            cells += f" {_short(row.value):>7} {row.ratio or 0.0:4.0%}"
        for metric, unit in (("words_per_ns", "words"), ("flips_per_ns", "flips")):
            if metric in rows:
                cells += f" {_short(rows[metric].value):>7} {unit}"
        lines.append(cells.rstrip())
    notes = [fill(f"note: {note}", 80) for note in (*report.notes, *report.disagreements)]
    return "\n".join([*lines, *notes])


def options(description: str) -> argparse.ArgumentParser:
    """Options of a benchmark, which need no package."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--smoke", action="store_true", help="one small lattice and no compiled twins, in seconds"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the inputs, 0 to 4294967295")
    parser.add_argument(
        "--device", help="cpu or cuda; CUDA by default where there is a CUDA device"
    )
    parser.add_argument("--no-compiled", action="store_true", help="leave the compiled twins out")
    parser.add_argument("--output", type=Path, help="CSV table to add the rows to")
    parser.add_argument("--json", type=Path, help="where to save the results as JSON")
    parser.add_argument("--commit", help="to record where the code is no git checkout")
    return parser


def main_of(
    description: str,
    measured: Callable[[torch.device, bool, int], Iterator[tuple[list[Row], list[str]]]],
    arguments: Sequence[str] | None = None,
) -> None:
    """A benchmark of something else than an op as a script, with the same options.

    Args:
        measured: of device, smoke and seed; rows and notes of each case, one case after the other.
    """
    parser = options(description)
    chosen = parser.parse_args(arguments)
    try:
        place = torch.device(chosen.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if place.type == "cuda" and not torch.cuda.is_available():
            raise ValueError("there is no CUDA device here; choose device cpu")
        report = Report(provenance(place))
        if chosen.commit and report.provenance["commit"] == "unknown":
            report.provenance["commit"] = chosen.commit
        columns: dict[str, Any] = {
            name: report.provenance[name] for name in ("device", "torch", "triton", "commit")
        }
        for rows, notes in measured(place, chosen.smoke, as_seed(chosen.seed)):
            complete = [row._replace(**columns) for row in rows]
            report.rows += complete
            report.notes += notes
            if chosen.output is not None:
                write_rows(chosen.output, complete)
        present(report, chosen.json)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{parser.prog}: interrupted")


def main(op: str, arguments: Sequence[str] | None = None) -> None:
    """The benchmark of one op as a script, with options that need no package.

    A bad value, or a kernel that differs from its twin, ends in one sentence and a non-zero status.
    """
    parser = options(f"Measures the op {op}: kernel, compiled twin, twin.")
    chosen = parser.parse_args(arguments)
    try:
        report = run(
            [op],
            device=chosen.device,
            smoke=chosen.smoke,
            seed=chosen.seed,
            compiled=not chosen.no_compiled,
            output=chosen.output,
            commit=chosen.commit,
            progress=True,
        )
        present(report, chosen.json)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{parser.prog}: interrupted")


def present(report: Report, file: Path | None = None) -> None:
    """Print a report and save it as JSON.

    Raises:
        Disagreement: a kernel differed from its twin.
    """
    print(table(report), flush=True)
    if file:
        file.write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
        print(f"results: {file}")
    report.raise_for_disagreements()
