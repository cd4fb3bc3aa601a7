"""Runge–Kutta steps along any drift with a divergence, whose weights are biased."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...paths.base import Path
from ...registry import register
from ..base import as_times
from ..transport import Transport
from .evaluation import density_change, drift_of
from .states import FlowInfo, FlowIntegrator, FlowState, rows_of_steps

__all__ = ["RungeKutta"]

EVALUATIONS = 4
"""Of the drift in a step, which diagnostics count."""


@register("integrator")
class RungeKutta(FlowIntegrator):
    """The flow ``dx/dt = b_t(x)`` by the classical Runge–Kutta method: weights are **biased**.

    From ``x`` at ``t`` a step of fourth order leads to ``y`` at ``t' = t + h``, and the same method
    adds up ``∫ ∇·b dt`` along the way: ``A += log ρ̃_{t'}(y) - log ρ̃_t(x) + ∫ ∇·b dt``. The exact
    flow would have exact weights. This one is off by ``O(h⁴)`` in all, since the integral is not
    the determinant of the step that is made: **log Z and all means are biased by the integrator**,
    and neither the effective sample size nor any error bar shows it. Take as many intervals as
    leave the results where they are, or :class:`~leaps_triton.MapStep` or
    :class:`~leaps_triton.PathRatio`, whose weights are exact at any number of intervals.

    It takes every drift that tells its divergence, four evaluations an interval, and asks for no
    bound. A step of a steep drift may lead anywhere: an error says so where it is not finite.

    The frozen time of an interval is its beginning: moves act there.

    Args:
        intervals: their number, on a uniform grid, or the increasing times ``0, …, 1``.

    Raises:
        ValueError: no interval, or times that do not increase from 0 to 1.

    References:
        Chen, Rubanova, Bettencourt, Duvenaud, *Neural ordinary differential equations*,
        arXiv:1806.07366 (2018), for the integral of the divergence. Hairer, Nørsett, Wanner,
        *Solving Ordinary Differential Equations I*, II.1 (1993), for the method.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.GaussianMixture.two()
        >>> path = lt.AnnealingPath(model, start=lt.Gaussian(1.0))
        >>> drift = lt.DenseDrift(model, width=8)
        >>> sampler = lt.Sampler(path, drift, RungeKutta(intervals=4), device="cpu")
        >>> len(sampler.sample(walkers=16, seed=0).log_weights)
        16
    """

    takes_any_drift = True
    exact = False
    bias = (
        "biased by the steps of RungeKutta, which no error bar shows; take more intervals until "
        "nothing changes, or MapStep"
    )
    one_way = (
        "the weights of RungeKutta are biased, and hold for no reversed path; take MapStep or "
        "PathRatio"
    )

    def __init__(self, intervals: int | Sequence[float] | Tensor = 30) -> None:
        self.times = as_times(intervals, "intervals")

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that, after the times, make this integrator again: none."""
        return {}

    def accept(self, path: Path, transport: Transport | None, device: torch.device) -> None:
        """Raise a ValueError for configurations that cannot be moved by a little."""
        dtype = path.model.dtype
        if not dtype.is_floating_point:
            raise ValueError(
                f"RungeKutta needs floating-point configurations, got {path.model!r} of {dtype}; "
                f"take Jump or TauLeap"
            )

    def step(
        self,
        state: FlowState,
        path: Path,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> tuple[FlowState, FlowInfo]:
        """Let every walker with time remaining make its step; leave others alone.

        The ``A`` of a walker whose step is not finite turns NaN; :meth:`check` reports it.
        """
        active = state.remaining != 0
        x = state.configurations.clone()
        gains = torch.zeros_like(state.log_weights)
        integrals = torch.zeros_like(state.log_weights)
        for interval, _, rows in rows_of_steps(state.interval, state.events, active):
            before = state.configurations[rows]
            begin, end = self.times[interval : interval + 2].to(x.device).split(1)
            moved = _moved(path, transport, before, begin, end)
            # What changes with time is added on entering.
            gain = density_change(path, before, moved.configurations, begin) + moved.integral
            x = x.index_copy(0, rows, moved.configurations)
            gains = gains.index_copy(0, rows, gain)
            integrals = integrals.index_copy(0, rows, moved.integral)
        after = state._replace(
            configurations=x,
            log_weights=state.log_weights + gains,
            remaining=torch.zeros_like(state.remaining),
            events=state.events + EVALUATIONS * active.long(),
        )
        return after, FlowInfo(integrals, active.long())

    def check(self, state: FlowState, info: FlowInfo, path: Path | None = None) -> None:
        """Raise a RuntimeError naming walker and t if a log-weight is not finite."""
        bad = self.broken(state, info)
        if not bool(bad.any()):
            return
        row = int(bad.nonzero()[0])
        interval = int(state.interval[row].clamp(0, self.intervals - 1))
        raise RuntimeError(
            f"walker {int(state.walkers[row])} in the step from t = "
            f"{float(self.times[interval]):g}: log-weight {float(state.log_weights[row])} and "
            f"integral of the divergence {float(info.log_determinant[row]):g} must be finite; the "
            f"drift may be too steep for these steps: take more intervals, or MapStep"
        )


class _Moved(NamedTuple):
    """Walkers after a step."""

    configurations: Tensor
    integral: Tensor
    """``∫ ∇·b dt``, float64 ``(walkers,)``"""


class _Slope(NamedTuple):
    """What changes with time: the drift, and its divergence."""

    drift: Tensor
    """float64 ``(walkers, *shape)``"""
    divergence: Tensor
    """float64 ``(walkers,)``"""


def _moved(path: Path, transport: Any, x: Tensor, begin: Tensor, end: Tensor) -> _Moved:
    """Return walkers after a step from one time to another, float64 ``(1,)`` each."""
    length = float(end - begin)
    half = 0.5 * length
    middle = begin + half

    def slope(place: Tensor, t: Tensor) -> _Slope:
        drift, divergence = drift_of(path, transport, place.to(x.dtype), t)
        return _Slope(drift.double(), divergence)

    # Sums in float64, whatever the type of the configurations.
    origin = x.double()
    first = slope(origin, begin)
    second = slope(origin + half * first.drift, middle)
    third = slope(origin + half * second.drift, middle)
    fourth = slope(origin + length * third.drift, end)
    inner = second.drift + third.drift
    y = origin + length / 6.0 * (first.drift + 2.0 * inner + fourth.drift)
    between = second.divergence + third.divergence
    integral = length / 6.0 * (first.divergence + 2.0 * between + fourth.divergence)
    return _Moved(y.to(x.dtype), integral)
