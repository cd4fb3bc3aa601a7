"""Tau-leaping: all sites at once, weighed by the ratio of each step's and its reverse's
probability.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import kernels
from ..kernels.checks import as_number, expect, is_real
from ..paths.annealing import AnnealingPath
from ..registry import register
from .base import Integrator, as_times
from .rates import Rates, Transport, examine, rates_of

__all__ = ["LeapInfo", "LeapState", "TauLeap", "leap_increment"]


class LeapState(NamedTuple):
    """As :class:`JumpState`, with the last evaluation, which the next step uses if nothing has
    moved the walkers.
    """

    configurations: Tensor
    log_weights: Tensor
    interval: Tensor
    remaining: Tensor
    walkers: Tensor
    events: Tensor
    evaluated: Tensor
    """Configurations of the last evaluation, ``(walkers, *shape)``"""
    evaluated_at: Tensor
    """Its time, float64 ``(walkers,)``; NaN before the first"""
    rates: Tensor
    """Its rates in the direction of travel, ``(walkers, q-1, *shape)``; ``(walkers, 0)`` before the
    first"""
    corrector: Tensor
    """Its ``κ``, float64 ``(walkers,)``"""
    energy: Tensor
    """Its ``H``, float64 ``(walkers,)``"""

    def descend(self, ancestors: Tensor) -> "LeapState":
        """What the slots have from ``ancestors``, int64 ``(walkers,)``; indices and counters stay
        with the slots.
        """
        inherited = ("configurations", *self._fields[self._fields.index("evaluated") :])
        return self._replace(**{name: getattr(self, name)[ancestors] for name in inherited})


class LeapInfo(NamedTuple):
    """What one step did."""

    moved: Tensor
    """Sites that moved, int64 ``(walkers,)``"""
    exit_rate: Tensor
    """``Σ_i Λ_i`` before the step, float64 ``(walkers,)``"""
    reversed_rate: Tensor
    """``Σ_i M_i`` after the step (Euler: before), float64 ``(walkers,)``"""


WEIGHTS = ("exact", "euler")

"""Names of the weights of :class:`TauLeap`."""

_FLOOR, _REVERSIBLE = 0.3, "square_root"


@register("integrator")
class TauLeap(Integrator):
    """All sites at once, in a fixed number of steps, with exact weights: the ratio of a step's and
    its reverse's odds.

    At ``x`` and ``t`` every site moves, once at most, by the rates ``λ_k(i|x) = [G_k(i|x, t)]_+ +
    floor · g(e^{Δ_k(i)})``, held fixed for the step ``h``; ``F(y|x)`` is the product over sites of
    :func:`~leaps_triton.kernels.tau_leap_step`. The same with ``μ_k(i|y) = [-G_k(i|y, t+h)]_+
    e^{Δ_k(i)} + floor · g(e^{Δ_k(i)})``, ``Δ`` at ``y`` and ``t + h``, is the way back, ``B(x|y)``,
    and ``A += log ρ̃_{t+h}(y) - log ρ̃_t(x) + log B(x|y) - log F(y|x)``. Then ``E[e^A] = Z_1/Z_0``
    and the weighted law is ``ρ_1``, for every network and any number of steps; with many,
    ``Var[A]`` is that of :class:`Jump` and a part that falls like ``h``. The evaluation for the way
    back is the next step's own: ``N`` steps take ``N + 1`` evaluations of the network, and ``2 N``
    where an mcmc kernel moves the walkers between them.

    The floor opens every move, forth and back. A way back that begins where no way forth leads is
    mass that the weights miss, and a step without a way back has weight 0. A tiny floor is right in
    the mean and wrong in any run: it should matter, 0.1 to 1. Where two neighbours move at once by
    a floor ``√u``, the weights cancel to leading order in ``h``; with a bounded ``g``, which is
    slower where ``Δ`` is large, they do not.

    With ``weights="euler"``, those of the paper: ``A += h ξ_t(x)``, ``ξ_t = ∂_t log ρ̃_t + κ_t``,
    without a floor. They are **biased**, by ``O(h)``, and no ESS shows it.

    The frozen time of an interval is its beginning, where the weighted law is ``ρ_{t_n}``: kernels
    act there.

    Args:
        steps: their number, on a uniform grid, or the increasing times ``0, …, 1``.
        weights: ``"exact"`` or ``"euler"``.
        floor: moves a unit of time where ``g = 1``, finite and ≥ 0; > 0 for exact weights. None for
            0.3 with exact weights and 0 with Euler's.
        reversible: ``g`` of the floor, ``"square_root"`` ``√u``, ``"barker"`` ``u / (1 + u)`` or
            ``"metropolis"`` ``min(1, u)``; positive for every move, and without effect on the limit
            ``h → 0`` of ``A``.

    Raises:
        ValueError: no step, times that do not increase from 0 to 1, unknown weights or rates, a
            floor out of range.

    References:
        Gillespie, *Approximate accelerated stochastic simulation of chemically reacting systems*,
        J. Chem. Phys. 115, 1716 (2001), for the leap. Holderrieth, Albergo, Jaakkola, *LEAPS*,
        arXiv:2502.10843 (2025), for Euler weights. Zanella, *Informed proposals for local MCMC in
        discrete spaces*, arXiv:1711.07424 (2017), for ``g``.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.2))
        >>> sampler = lt.Sampler(path, None, TauLeap(steps=20, floor=2.0), device="cpu")
        >>> ensemble = sampler.sample(walkers=1000, seed=0)
        >>> abs(ensemble.log_z - lt.exact.ising_log_z((4, 4), beta=0.2)) < 4 * ensemble.log_z_error
        True
    """

    # A step looks at the walkers anyway, and there is one an interval.
    patience = 1

    def __init__(
        self,
        steps: int | Sequence[float] | Tensor = 100,
        weights: str = "exact",
        floor: float | None = None,
        reversible: str = _REVERSIBLE,
    ) -> None:
        self.times = as_times(steps, "steps")
        if weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
        self.exact = weights == "exact"
        if reversible not in kernels.REVERSIBLE:
            raise ValueError(
                f"reversible must be one of {', '.join(kernels.REVERSIBLE)}, got {reversible!r}"
            )
        self.floor = as_number(
            "floor",
            (_FLOOR if self.exact else 0.0) if floor is None else floor,
            f"finite and {'> 0 for exact weights' if self.exact else '>= 0'} (0.1 to 1 keeps every way back open)",
            lambda value: 0.0 <= value < math.inf and not (self.exact and value == 0.0),
        )
        self.weights = weights
        self.reversible = reversible if self.floor > 0.0 else None

    @property
    def frozen(self) -> Tensor:
        """Frozen times ``τ_0 … τ_{N-1}``, where the steps begin, float64 ``(N,)``."""
        return self.times[:-1]

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that, after the times, make this integrator again; plain JSON."""
        return {
            "weights": self.weights,
            "floor": self.floor,
            "reversible": self.reversible or _REVERSIBLE,
        }

    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> LeapState:
        """Walkers at ``t = 0`` with ``A = 0``, before the first step; backward at ``t = 1``, after
        the last.
        """
        zeros = torch.zeros(len(walkers), dtype=torch.float64, device=walkers.device)
        counts = torch.zeros_like(walkers)
        if backward and not self.exact:
            raise ValueError(
                "Euler's weights hold for no reversed path; take TauLeap(weights='exact')"
            )
        interval = counts + self.intervals if backward else counts - 1
        return LeapState(
            configurations, zeros, interval, zeros, walkers, counts,
            evaluated=configurations, evaluated_at=zeros + torch.nan, rates=zeros.new_zeros(len(walkers), 0),
            corrector=zeros, energy=zeros,
        )  # fmt: skip

    def step(
        self,
        state: LeapState,
        path: AnnealingPath,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> tuple[LeapState, LeapInfo]:
        """Every walker with time remaining makes its step; others are left alone.

        The ``A`` of a walker whose rates are not finite turns NaN; :meth:`check` reports it.
        """
        active = state.remaining != 0
        interval = state.interval.clamp(0, self.intervals - 1)
        times = self.times.to(interval.device)
        tau, ends = times[interval], times[interval + 1]
        here, there = (ends, tau) if backward else (tau, ends)
        there = torch.where(active, there, here)
        stale = (state.evaluated_at != here) | (state.evaluated != state.configurations).flatten(
            1
        ).any(1)
        some, again = torch.stack([active.any(), (active & stale).any()]).tolist()
        if not some:
            nought = torch.zeros_like(state.log_weights)
            return state, LeapInfo(torch.zeros_like(state.walkers), nought, nought)
        if again:
            rates = rates_of(
                examine(path, transport, state.configurations, here),
                self.reversible,
                self.floor,
                backward,
            )
            state = _carry(state, rates, here)._replace(events=state.events + active)
        x, h = state.configurations, torch.where(active, state.remaining, 0.0)
        y, log_there = kernels.tau_leap_step(x, state.rates, h, state.walkers, state.events, seed)
        exit_rate = state.rates.flatten(1).sum(1, dtype=torch.float64)
        if self.exact:
            found = examine(path, transport, y, there)
            ahead, back = (
                rates_of(found, self.reversible, self.floor, way)
                for way in (backward, not backward)
            )
            log_back = kernels.tau_leap_log_probability(y, x, back.rates, h)
            # Both densities at one time: what changes with time is added on entering.
            gain = (
                path.beta(tau).to(h.device) * (state.energy - ahead.energy) + log_back - log_there
            )
            gain, reversed_rate = -gain if backward else gain, back.exit_rate
            state = _carry(
                state._replace(configurations=y, events=state.events + active), ahead, there
            )
        else:
            drift = path.time_derivative(state.energy, tau) + state.corrector
            # The paper's increment, less the change of density that is added on entering.
            gain, reversed_rate = (
                h * drift - path.log_increment(y, tau, there),
                exit_rate - state.corrector,
            )
            state = state._replace(configurations=y)
        return state._replace(
            log_weights=torch.where(active, state.log_weights + gain, state.log_weights),
            remaining=torch.zeros_like(state.remaining),
        ), LeapInfo((x != y).flatten(1).sum(1), exit_rate, reversed_rate)

    def check(self, state: LeapState, info: LeapInfo) -> None:
        """Raise a RuntimeError naming walker, t and rates if a log-weight is not finite."""
        bad = ~state.log_weights.isfinite()
        if not bool(bad.any()):
            return
        row = int(bad.nonzero()[0])
        t = float(self.frozen[int(state.interval[row].clamp(0, self.intervals - 1))])
        rates = float(info.exit_rate[row]), float(info.reversed_rate[row])
        where = f"walker {int(state.walkers[row])} in the step from t = {t:.6g}: exit rate {rates[0]:g} and reversed exit"
        if all(math.isfinite(rate) for rate in rates):
            raise RuntimeError(
                f"{where} rate {rates[1]:g} leave log-weight {float(state.log_weights[row])}; its way back has "
                f"probability 0 to rounding (raise TauLeap(floor=), or take a network in float64)"
            )
        raise RuntimeError(
            f"{where} rate {rates[1]:g} must be finite; the network's output there is too large or not a number "
            f"(train longer, or with a smaller learning_rate)"
        )


def _carry(state: LeapState, rates: Rates, t: Tensor) -> LeapState:
    """The state with an evaluation of its configurations at ``t``."""
    return state._replace(
        evaluated=state.configurations,
        evaluated_at=t,
        rates=rates.rates,
        corrector=rates.corrector,
        energy=rates.energy,
    )


def leap_increment(
    path: AnnealingPath,
    transport: Transport | None,
    configurations: Tensor,
    after: Tensor,
    t: Tensor | float,
    t_next: Tensor | float,
    floor: float = _FLOOR,
    reversible: str | None = _REVERSIBLE,
) -> Tensor:
    """What a step of :class:`TauLeap` from ``x`` to ``y`` adds to ``A``, for given ends, float64
    ``(walkers,)``.

    ``log ρ̃_{t+h}(y) - log ρ̃_t(x) + log B(x|y) - log F(y|x)``, by one evaluation at ``(x, t)`` and
    one at ``(y, t+h)``; can be differentiated through both with respect to the network's
    parameters. The sum over the steps of a path is ``A``, whoever chose the path.

    Args:
        transport: None for the floor alone.
        configurations, after: ``x`` and ``y``, ``(walkers, *shape)``.
        t, t_next: numbers or float64 ``(1 | walkers,)``, ``t < t_next``.
        floor, reversible: as of :class:`TauLeap`; None for no floor, and minus infinity where there
            is no way back.

    Raises:
        ValueError: times in the wrong order, shapes that differ, neither a transport nor a floor.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.2))
        >>> x = path.start.sample(torch.arange(3), seed=0)
        >>> leap_increment(path, None, x, -x + 1, 0.0, 0.25).shape
        torch.Size([3])
    """
    for name, when in (("t", t), ("t_next", t_next)):
        number = is_real(when) or (isinstance(when, int | float) and not isinstance(when, bool))
        expect(number, name, "a number, or float64 (1 | walkers,)", when)
    device = configurations.device
    earlier, later = (
        torch.as_tensor(s, dtype=torch.float64, device=device).view(-1) for s in (t, t_next)
    )
    duration = (later - earlier).expand(len(configurations))
    if not bool((duration > 0).all()):
        raise ValueError(f"t_next must lie after t, got t = {t} and t_next = {t_next}")
    if after.shape != configurations.shape:
        raise ValueError(
            f"after must have shape {tuple(configurations.shape)}, got {tuple(after.shape)}"
        )
    there = rates_of(examine(path, transport, configurations, earlier), reversible, floor)
    back = rates_of(examine(path, transport, after, later), reversible, floor, backward=True)
    density = path.beta(earlier) * there.energy - path.beta(later) * back.energy
    log_back = kernels.tau_leap_log_probability(after, configurations, back.rates, duration)
    return (
        density
        + log_back
        - kernels.tau_leap_log_probability(configurations, after, there.rates, duration)
    )
