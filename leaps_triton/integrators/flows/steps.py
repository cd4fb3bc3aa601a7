"""Gaussian steps along a drift, forth and back, without momenta and with them."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import kernels
from ...kernels import Stream
from .evaluation import density_change, drift_alone, examine_drift, residual_of
from .gaussians import Metric
from .states import PathInfo, PathState

__all__ = ["Draws", "Leg", "continuous", "kinetic", "overdamped", "underdamped"]

MOMENTA = 1
"""Draw of the momenta at the start; those of steps are number 0."""


class Draws(NamedTuple):
    """Where the normal numbers of a step come from."""

    seed: int
    event: int
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""

    def like(self, x: Tensor, draw: int = 0) -> Tensor:
        """Return white noise of the shape of ``x``, float64."""
        sites = x[0].numel()
        noise = kernels.normals(
            self.seed, Stream.FIELD_NOISE, self.event, draw, self.walkers, sites, torch.float64
        )
        return noise.view(x.shape)


class Carried(NamedTuple):
    """What carries walkers: no divergence is needed for weights of what is there and back."""

    drift: Tensor
    score: Tensor


class Leg(NamedTuple):
    """The step of an interval: from ``t`` to ``t' = t + h``, or back."""

    path: Any
    transport: Any
    metric: Metric
    begin: Tensor
    """``t``, float64 ``(1,)``"""
    end: Tensor
    """``t'``"""
    length: float
    """``h``"""
    diffusion: float
    """``ε``"""
    friction: float
    """``γ``; 0 without momenta"""
    backward: bool

    @property
    def variance(self) -> float:
        """Return ``2 ε h``, the factor of ``K`` in the covariance of a step."""
        return 2.0 * self.diffusion * self.length

    @property
    def memory(self) -> float:
        """Return ``η = e^{-γ h}``, the part of the momenta that a step keeps."""
        return math.exp(-self.friction * self.length)

    def density_change(self, before: Tensor, after: Tensor) -> Tensor:
        """Return ``log ρ̃_t`` of what is later on the path less that of what is earlier.

        Both at ``t``: what changes with time is added on entering the next interval.
        """
        change = density_change(self.path, before, after, self.begin)
        if self.backward:
            return -change
        return change


def kinetic(momenta: Tensor) -> Tensor:
    """Return ``p² / 2``, float64 ``(walkers,)``."""
    return 0.5 * momenta.flatten(1).square().sum(1)


def overdamped(leg: Leg, state: PathState, draws: Draws) -> tuple[PathState, PathInfo]:
    """Return walkers after a step without momenta, and what it costs both ways.

    Args:
        leg: the step.
        state: walkers that all make it.
        draws: its random numbers.
    """
    x = state.configurations
    here = leg.end if leg.backward else leg.begin
    there = leg.begin if leg.backward else leg.end
    # A move between two steps leaves the last evaluation that of another configuration.
    fresh = (state.evaluated == x).flatten(1).all(1) & (state.evaluated_at == here)
    if bool(fresh.all()):
        found = Carried(state.drift, state.score)
    else:
        found = _carried(leg, x, here)
    mean = _mean(leg, x, found, backward=leg.backward)
    noise = leg.metric.widened(draws.like(x))
    y = (mean + math.sqrt(leg.variance) * noise).to(x.dtype)
    # One evaluation for the way back of this step and the way forth of the next.
    ahead = _carried(leg, y, there)
    mean_back = _mean(leg, y, ahead, backward=not leg.backward)
    # Of what was rounded to the type of the field: both densities are those of the same two ends.
    own = leg.metric.log_gaussian(y.double() - mean, leg.variance)
    other = leg.metric.log_gaussian(x.double() - mean_back, leg.variance)
    info = PathInfo(own, other)
    if leg.backward:
        info = PathInfo(other, own)
    gain = leg.density_change(x, y) + info.back - info.there
    after = state._replace(
        configurations=y,
        log_weights=state.log_weights + gain,
        evaluated=y,
        evaluated_at=torch.zeros_like(state.evaluated_at) + there,
        drift=ahead.drift,
        score=ahead.score,
    )
    return after, info


def continuous(leg: Leg, state: PathState, draws: Draws) -> tuple[PathState, PathInfo]:
    """Return walkers after a step that is weighed as in the paper, by ``h ξ_t(x)``.

    Arguments as in :func:`overdamped`.
    """
    x = state.configurations
    found = examine_drift(leg.path, leg.transport, x, leg.begin)
    mean = _mean(leg, x, Carried(found.drift, found.score), backward=False)
    noise = leg.metric.widened(draws.like(x))
    y = (mean + math.sqrt(leg.variance) * noise).to(x.dtype)
    # The paper's increment, less the change of density that is added on entering.
    gain = leg.length * residual_of(leg.path, found, x, leg.begin)
    gain = gain - leg.path.log_increment(y, leg.begin, leg.end)
    after = state._replace(configurations=y, log_weights=state.log_weights + gain)
    # Nothing is weighed by these densities.
    nought = torch.zeros_like(state.log_weights)
    return after, PathInfo(nought, nought)


def _carried(leg: Leg, x: Tensor, t: Tensor) -> Carried:
    """Return drift and score at a time."""
    drift = drift_alone(leg.path, leg.transport, x, t)
    return Carried(drift, leg.path.score(x, t))


def _mean(leg: Leg, x: Tensor, found: Carried, backward: bool) -> Tensor:
    """Return ``x + h (± b + ε K ∇ log ρ̃)``, where a step leads on average, float64."""
    along = found.drift.double()
    if backward:
        along = -along
    spread = leg.metric.spread(found.score.double())
    return x.double() + leg.length * (along + leg.diffusion * spread)


def underdamped(leg: Leg, state: PathState, draws: Draws) -> tuple[PathState, PathInfo]:
    """Return walkers after a step with momenta; arguments as in :func:`overdamped`."""
    x = state.configurations
    p = state.momenta
    if draws.event == 0:
        # The start is exact in the momenta too.
        p = draws.like(x, MOMENTA)
    kept = leg.memory
    width = math.sqrt(1.0 - kept * kept)
    if leg.backward:
        y, pushed = _leap(leg, x, -p)
        pushed = -pushed
        shift = _shift(leg, y)
        last = kept * pushed - shift + width * draws.like(x)
        first = last
        after_leap = p
    else:
        shift = _shift(leg, x)
        first = p
        pushed = kept * p + shift + width * draws.like(x)
        y, last = _leap(leg, x, pushed)
        after_leap = last
    there = -kinetic(pushed - kept * first - shift) / (width * width)
    back = -kinetic(first - kept * pushed + shift) / (width * width)
    gain = leg.density_change(x, y) + kinetic(first) - kinetic(after_leap) + back - there
    after = state._replace(configurations=y, log_weights=state.log_weights + gain, momenta=last)
    return after, PathInfo(there, back)


def _shift(leg: Leg, x: Tensor) -> Tensor:
    """Return ``c b / √K`` at ``t``, by which the drift pushes the momenta."""
    drift = drift_alone(leg.path, leg.transport, x, leg.begin)
    kept = leg.memory
    # With the leapfrog step below, walkers are carried by h b in a step.
    push = math.sqrt(leg.length * (1.0 - kept * kept) / (2.0 * leg.diffusion))
    return push * leg.metric.whitened(drift.double())


def _leap(leg: Leg, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Return positions and momenta after one leapfrog step at ``t'``."""
    kept = leg.memory
    step = math.sqrt(leg.variance * (1.0 - kept) / (1.0 + kept))
    p = p + 0.5 * step * leg.metric.widened(leg.path.score(x, leg.end).double())
    y = (x.double() + step * leg.metric.widened(p)).to(x.dtype)
    p = p + 0.5 * step * leg.metric.widened(leg.path.score(y, leg.end).double())
    return y, p
