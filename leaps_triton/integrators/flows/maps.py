"""The map of one interval: flows in Fourier space and passes over half of the sites, or midpoints.

Each factor is one to one and onto, and tells the logarithm of its Jacobian determinant, which the
weights add up.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from ...lattices.waves import filtered
from ..transport import AnyTransport, MidpointDrift, ParityDrift
from .midpoint import ROUNDING, Midpoint, Stalled, through_middle

__all__ = ["Flow", "Pass", "Passes", "factors_of", "pull", "push", "substeps_of"]

CROWDED = 0.95
"""Largest ``h sup |∂f/∂φ|`` of a pass where the library chooses the number of substeps."""

NEWTON = 1.0 / 3.0
"""Slope below which Newton's method finds the way back from anywhere; see :func:`_inverted`."""

ROUNDS = 2000
"""Most iterations of the way back; a slope of 0.99 needs about that many."""


class Flow(NamedTuple):
    """``φ_k ← e^{K_k} φ_k``: the linear part of a drift, for a time."""

    exponents: Tensor
    """``h K(k)``, float64 ``(*shape)``"""


class Pass(NamedTuple):
    """``φ_i ← φ_i + h f(φ_i, h_i, t)`` on one sublattice."""

    parity: int
    """Of its sites: 0 for even, 1 for odd"""
    t: float
    step: float
    """``h``"""
    steepest: float
    """Bound on ``|∂f/∂φ_i|`` at ``t``"""


class Passes(NamedTuple):
    """Passes one after the other, with no flow between them."""

    each: tuple[Pass, ...]


Factor: TypeAlias = Flow | Passes | Midpoint
"""A part of the map."""


class Pushed(NamedTuple):
    """Walkers after a map."""

    configurations: Tensor
    log_determinant: Tensor
    """Float64 ``(walkers,)``"""


def substeps_of(answers: AnyTransport, begin: float, end: float, asked: int | None) -> int:
    """Return of how many maps a step is made, so that each pass is one to one.

    Args:
        answers: those of a drift whose slope is bounded.
        begin: time at which the step begins.
        end: time at which it ends.
        asked: the number that the user named; None to choose one.

    Raises:
        RuntimeError: the drift is too steep for the number that the user named, or the bound on its
            slope is no number.
    """
    drift, share = _bounded(answers)
    count = 1
    limit = CROWDED
    if asked is not None:
        count = asked
        limit = 1.0
    while True:
        steepest = max(drift.steepest(t) for t in _middles(begin, end, count))
        if not math.isfinite(steepest):
            raise RuntimeError(
                f"the steepest slope of {type(drift).__name__} between t = {begin:g} and {end:g} "
                f"must be a finite number, got {steepest}; its parameters may have diverged"
            )
        slope = share * (end - begin) / count * steepest
        if slope < limit:
            return count
        wanted = math.floor(share * (end - begin) * steepest / CROWDED) + 1
        if asked is not None:
            raise RuntimeError(
                f"{type(drift).__name__} is too steep between t = {begin:g} and {end:g}: a map of "
                f"slope {slope:.3g} in a step of {(end - begin) / count:.3g} may be neither one to "
                f"one nor onto; take MapStep(substeps={wanted}), substeps=None, or more intervals"
            )
        # The bound is another one at the times of more maps, so it is asked for again.
        count = max(count + 1, wanted)


def _bounded(answers: AnyTransport) -> tuple[ParityDrift | MidpointDrift, float]:
    """Return a drift that bounds its slope, and the part of a map's time that multiplies it."""
    if answers.midpoint is not None:
        # From the middle the map goes half the way forth, and half the way back.
        return answers.midpoint, 0.5
    assert answers.parity is not None
    # The longest of the passes, over the odd sites.
    return answers.parity, 1.0


def _middles(begin: float, end: float, count: int) -> list[float]:
    """Return the times in the middle of each of ``count`` maps."""
    length = (end - begin) / count
    return [begin + (number + 0.5) * length for number in range(count)]


def factors_of(answers: AnyTransport, begin: float, end: float, count: int) -> list[Factor]:
    """Return the map of a step, in the order of the way forth.

    A dense drift has ``count`` implicit midpoints. Of other drifts each of the ``count`` maps of
    duration ``h`` is half a flow, the even sites for ``h/2``, the odd ones for ``h``, the even ones
    for ``h/2``, half a flow; all at its middle. The half flows of two neighbours are one. Where the
    drift integrates its linear part, half flows are exact; where it has none, there are no flows.

    Args:
        answers: those of the drift.
        begin: time at which the step begins.
        end: time at which it ends.
        count: of how many maps it is made.
    """
    length = (end - begin) / count
    made: list[Factor] = []
    if answers.midpoint is not None:
        for t in _middles(begin, end, count):
            made.append(Midpoint(t, length, answers.midpoint.steepest(t)))
        return made
    drift = answers.parity
    assert drift is not None
    before: Tensor | None = None
    for t in _middles(begin, end, count):
        if not answers.local:
            flow = _half_flow(answers, t - 0.5 * length, t, t)
            if before is not None:
                flow = before + flow
            made.append(Flow(flow))
            before = _half_flow(answers, t, t + 0.5 * length, t)
        steepest = drift.steepest(t)
        even = Pass(0, t, 0.5 * length, steepest)
        odd = Pass(1, t, length, steepest)
        made.append(Passes((even, odd, even)))
    if before is not None:
        made.append(Flow(before))
    return made


def _half_flow(answers: AnyTransport, begin: float, end: float, middle: float) -> Tensor:
    """Return what multiplies the modes between two times, logarithms, float64 ``(*shape)``."""
    if answers.flowing is not None:
        return answers.flowing.flow(begin, end).double()
    assert answers.parity is not None
    return (end - begin) * answers.parity.modes(middle).double()


def push(answers: AnyTransport, configurations: Tensor, factors: Sequence[Factor]) -> Pushed:
    """Return walkers after the map, and the logarithm of its determinant."""
    pushed = _still(configurations)
    for factor in factors:
        pushed = _after(answers, pushed, factor)
    return pushed


def pull(answers: AnyTransport, configurations: Tensor, factors: Sequence[Factor]) -> Pushed:
    """Return walkers before the map, and the logarithm of the determinant of the way forth."""
    pushed = _still(configurations)
    for factor in reversed(factors):
        pushed = _before(answers, pushed, factor)
    return pushed


def _still(configurations: Tensor) -> Pushed:
    """Return walkers that have not moved."""
    device = configurations.device
    nought = torch.zeros(len(configurations), dtype=torch.float64, device=device)
    return Pushed(configurations, nought)


def _after(answers: AnyTransport, pushed: Pushed, factor: Factor) -> Pushed:
    """Return walkers after a factor, what its logarithm adds included."""
    x, total = pushed
    if isinstance(factor, Flow):
        return Pushed(filtered(x, factor.exponents.exp()), total + factor.exponents.sum())
    if isinstance(factor, Midpoint):
        assert answers.midpoint is not None
        x, gain = through_middle(answers.midpoint, x, factor)
        return Pushed(x, total + gain)
    if answers.passing is not None:
        # All passes in one launch.
        x, gain = answers.passing.push(x, factor.each)
        return Pushed(x, total + gain)
    drift = answers.parity
    assert drift is not None
    for each in factor.each:
        x, gain = _forth(drift, x, each)
        total = total + gain
    return Pushed(x, total)


def _before(answers: AnyTransport, pushed: Pushed, factor: Factor) -> Pushed:
    """Return walkers before a factor, the logarithm being that of the way forth."""
    x, total = pushed
    if isinstance(factor, Flow):
        return Pushed(filtered(x, (-factor.exponents).exp()), total + factor.exponents.sum())
    if isinstance(factor, Midpoint):
        assert answers.midpoint is not None
        x, gain = through_middle(answers.midpoint, x, factor.reversed())
        return Pushed(x, total - gain)
    drift = answers.parity
    assert drift is not None
    for each in reversed(factor.each):
        x, gain = _back(drift, x, each)
        total = total + gain
    return Pushed(x, total)


def _forth(drift: ParityDrift, x: Tensor, each: Pass) -> Pushed:
    """Return walkers after a pass."""
    sites = drift.sublattice(each.parity).to(x.device)
    flat = x.flatten(1)
    f, slope = drift.active(x, each.t, each.parity)
    moved = flat[:, sites] + each.step * f
    return Pushed(flat.index_copy(1, sites, moved).view_as(x), _log_determinant(slope, each.step))


def _back(drift: ParityDrift, y: Tensor, each: Pass) -> Pushed:
    """Return walkers before a pass."""
    sites = drift.sublattice(each.parity).to(y.device)
    flat = y.flatten(1)
    end = flat[:, sites]
    found = _inverted(drift, y, each, sites)
    x = flat.index_copy(1, sites, found.to(end.dtype)).view_as(y)
    _, slope = drift.active(x, each.t, each.parity)
    return Pushed(x, _log_determinant(slope, each.step))


def _inverted(drift: ParityDrift, y: Tensor, each: Pass, sites: Tensor) -> Tensor:
    """Return ``φ`` with ``φ + h f(φ) = y`` at the sites of one sublattice.

    What ``f`` reads of other sites stays, so each site has an equation of its own, which rises with
    ``φ``. Where ``h |f'| ≤ s < 1/3``, a step of Newton's leaves less than ``2 s / (1 - s)`` of any
    error; elsewhere ``φ ← y - h f(φ)`` leaves less than ``s``. Where the rounding of ``f`` is more
    than the last digit of ``φ``, a search ends that comes no closer.
    """
    flat = y.flatten(1)
    end = flat[:, sites]
    guess = end
    stalled = Stalled(end)
    for _ in range(ROUNDS):
        x = flat.index_copy(1, sites, guess).view_as(y)
        f, slope = drift.active(x, each.t, each.parity)
        miss = guess + each.step * f - end
        # No closer than the last digit of either, which may go to and fro.
        digit = max(torch.finfo(end.dtype).eps, torch.finfo(f.dtype).eps)
        size = 1.0 + end.abs()
        far = miss.abs() > 2.0 * digit * size
        rounded = miss.abs() <= ROUNDING * digit * (size + (each.step * f).abs())
        if not bool((far & ~(stalled.look(miss.abs()) & rounded)).any()):
            return guess
        if each.step * each.steepest < NEWTON:
            miss = miss / (1.0 + each.step * slope)
        guess = guess - miss
    raise RuntimeError(
        f"the way back through a map at t = {each.t:g} was not found in {ROUNDS} rounds; take "
        "more intervals, or more substeps"
    )


def _log_determinant(slope: Tensor, step: float) -> Tensor:
    """Return ``Σ log(1 + h ∂f/∂φ)``, float64 ``(walkers,)``."""
    # A slope that breaks its bound gives NaN, which a check reports.
    return torch.log1p(step * slope.double()).sum(1)
