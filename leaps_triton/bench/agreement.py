"""Comparison of results with the twin before a time is taken, so that nothing wrong is timed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..kernels import Stream, reference, uniform32
from ..kernels.inputs.case import Case
from ..kernels.inputs.poison import poisoned
from ..kernels.inputs.random import blocks
from ..kernels.philox import site_words

__all__ = ["ROUNDED", "Disagreement", "check", "check_some", "is_rounding"]

ROUNDING = 2.0**-20
"""Sweeps may differ at a site whose random number is as near to a threshold."""


class Disagreement(RuntimeError):
    """A variant of an op gave another result than its twin."""


class _Colour(NamedTuple):
    """The update of one colour class, of which the sites alone are compared."""

    before: Tensor
    """Configurations."""
    after: Tensor
    """Those that the function under test made."""
    fields: Tensor
    """``W_a(i)``, float64 ``(walkers, q, *shape)``."""
    beta: Tensor
    words: tuple[Tensor, Tensor]
    """Random words of both draws, in the shape of the configurations."""
    rest: float
    """Probability that Metropolis leaves a site as it is."""


class _Expected(NamedTuple):
    """What a site should become, and whether what it became is as good."""

    values: Tensor
    tied: Tensor


def _redraw(colour: _Colour) -> _Expected:
    """Return the heat bath's new values, which may differ by one where a threshold is near."""
    probabilities = reference.heat_bath_probabilities(colour.fields, colour.beta)
    thresholds = probabilities.cumsum(1)[:, :-1]
    uniform = uniform32(colour.words[0]).unsqueeze(1)
    drawn = (thresholds <= uniform).sum(1, dtype=colour.before.dtype)
    # A threshold as near as this may be rounded to the other side of the random number.
    near = ((thresholds - uniform).abs() <= ROUNDING).any(1)
    return _Expected(drawn, near & ((drawn - colour.after).abs() <= 1))


def _propose(colour: _Colour) -> _Expected:
    """Return Metropolis' new values, which may be refused or accepted where the ratio is near."""
    x = colour.before
    q = colour.fields.shape[1]
    old = x.long().unsqueeze(1)
    # The upper half of the product is uniform in 0 … q-2.
    shift = (colour.words[0] * (q - 1) >> 32).unsqueeze(1)
    new = (old + 1 + shift) % q
    change = (colour.fields.gather(1, new) - colour.fields.gather(1, old)).squeeze(1)
    beta = colour.beta.view(-1, *[1] * (x.ndim - 1))
    accepted = (1.0 - colour.rest) * reference.metropolis_acceptance(beta * change)
    uniform = uniform32(colour.words[1])
    proposed = new.squeeze(1).to(x.dtype)
    near = (accepted - uniform).abs() <= ROUNDING
    tied = near & ((colour.after == x) | (colour.after == proposed))
    return _Expected(torch.where(uniform < accepted, proposed, x), tied)


ROUNDED = {"heat_bath_sweeps": _redraw, "metropolis_sweeps": _propose}
"""Sweeps that compare in float32; reflections are found and accepted in float64."""


def is_rounding(case: Case, function: Callable[..., Any], rows: slice, result: Tensor) -> bool:
    """Say whether sweeps differ from their twin only where a random number is near a threshold.

    Among 10⁹ random numbers some fall between two roundings of a threshold. The twin follows sweep
    by sweep and colour by colour, each time from what ``function`` made before, so that one such
    site excuses no other.
    """
    update = ROUNDED[case.op]
    given = case.of(rows)
    names = ("coupling", "bond_table", "site_table", "periodic")
    tables = reference.Tables(*(given[name] for name in names))
    x = given["configurations"]
    # Metropolis' argument; the other sweeps have none.
    rest = given.get("rest", 0.0)
    for sweep in range(given["sweeps"]):
        y = function(**given | {"configurations": x, "first_sweep": sweep, "sweeps": 1})
        first, second = (
            site_words(given["seed"], Stream.SWEEP, sweep, given["walkers"], x[0].numel(), draw)
            for draw in (0, 1)
        )
        words = (first.view(x.shape), second.view(x.shape))
        for number in range(given["num_colours"]):
            fields = reference.local_fields(x, tables, torch.float64)
            expected = update(_Colour(x, y, fields, given["beta"], words, rest))
            # Other sites still have the state that their own colour's update is to see.
            here = given["colours"] == number
            wrong = here & (expected.values != y) & ~expected.tied
            if bool(wrong.any()):
                return False
            x = torch.where(here, y, x)
    return torch.equal(x, result)


@dataclass(frozen=True)
class _Difference:
    """How far a result is from the twin's."""

    count: int
    largest: float


def _difference(
    found: Tensor, expected: Tensor, tolerance: dict[torch.dtype, float]
) -> _Difference:
    if expected.is_floating_point():
        distance = (found.double() - expected.double()).abs()
        # Relative to the largest magnitude, and absolute below 1.
        scale = 1.0
        if expected.numel():
            scale = max(scale, float(expected.abs().amax()))
        # Written so that NaN is wrong.
        wrong = ~(distance <= tolerance[expected.dtype] * scale)
    else:
        wrong = found != expected
        distance = wrong.double()
    largest = 0.0
    if bool(wrong.any()):
        largest = float(distance.nan_to_num(nan=torch.inf).max())
    return _Difference(int(wrong.sum()), largest)


def check(case: Case, variant: str, function: Callable[..., Any]) -> tuple[Tensor, ...]:
    """Return the results of ``function``, once they agree with the twin on every walker.

    Integers must be equal, floating-point numbers within the case's tolerance; NaN agrees with
    nothing. Sweeps may differ at a site whose random number is within 2⁻²⁰ of a threshold.

    Args:
        case: The inputs.
        variant: Name of the function, for the message.
        function: Called as the op is.

    Raises:
        Disagreement: If they do not; it names the case, the variant and the largest difference.

    Example:
        >>> from leaps_triton.bench.cases import make_case
        >>> from leaps_triton import kernels
        >>> cpu = torch.device("cpu")
        >>> case = make_case("energy", "potts3", (4, 4), walkers=3, seed=0, device=cpu)
        >>> twice = lambda **arguments: (2 * r for r in kernels.energy(**arguments))
        >>> check(case, "wrong", twice)
        Traceback (most recent call last):
        leaps_triton.bench.agreement.Disagreement: energy potts3 4x4 3 walkers: wrong and twin ...
    """
    with poisoned():
        results = case.run(function)
    _compare(case, variant, function, results)
    return results


def _compare(
    case: Case, variant: str, function: Callable[..., Any], results: tuple[Tensor, ...]
) -> None:
    """Raise a Disagreement if results of ``function`` are not the twin's."""
    twin = getattr(reference, case.op)
    counts = [0] * len(results)
    largest = [0.0] * len(results)
    parts = [slice(None)]
    # The twin needs more memory than a kernel: it goes by blocks of walkers.
    if case.by_walker:
        parts = list(blocks(case.walkers, case.size.sites))
    for rows in parts:
        expected = case.run(twin, rows)
        if [r[rows].shape for r in results] != [e.shape for e in expected]:
            shapes = [tuple(r.shape) for r in results]
            raise Disagreement(
                f"{case.label}: {variant} returned the shapes {shapes}, unlike its twin"
            )
        for index, (result, value) in enumerate(zip(results, expected, strict=True)):
            found = _difference(result[rows], value, case.tolerance)
            excusable = found.count > 0 and case.op in ROUNDED
            if excusable and is_rounding(case, function, rows, result[rows]):
                continue
            counts[index] += found.count
            largest[index] = max(largest[index], found.largest)
    for index, count in enumerate(counts):
        if count:
            raise Disagreement(
                f"{case.label}: {variant} and twin differ in {count} of {results[index].numel()} "
                f"numbers of result {index}, by {largest[index]:.3g} at most; "
                "its times are not reported"
            )


def check_some(
    case: Case, variant: str, function: Callable[..., Any], walkers: int
) -> tuple[Tensor, ...]:
    """Return all results of ``function``, once they agree with the twin on the first walkers.

    The twin runs on the CPU, so that no time of the device goes into it, and no other device can
    make the same mistake.

    Args:
        case: The inputs.
        variant: Name of the function, for the message.
        function: Called as the op is.
        walkers: How many are compared.

    Raises:
        Disagreement: If they do not; it names the case and the largest difference.
    """
    with poisoned():
        results = case.run(function)
    cpu = torch.device("cpu")
    rows = slice(None)
    count = case.walkers
    if case.by_walker:
        count = min(walkers, case.walkers)
        rows = slice(0, count)
    given = _moved(case.of(rows), cpu)
    few = replace(case, size=case.size._replace(walkers=count, device=cpu), arguments=given)

    def run(**arguments: Any) -> Any:
        made = function(**_moved(arguments, case.size.device))
        if isinstance(made, Tensor):
            return made.cpu()
        return tuple(part.cpu() for part in made)

    _compare(few, variant, run, tuple(result[rows].cpu() for result in results))
    return results


def _moved(arguments: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return arguments with all tensors on a device, and it in place of another."""
    found = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, Tensor):
            found[name] = value.to(device)
        elif isinstance(value, torch.device):
            found[name] = device
    return found
