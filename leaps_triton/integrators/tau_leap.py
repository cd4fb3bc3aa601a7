"""Tau-leaping: all sites at once, with weights that are exact whatever the step.

Each step is weighed by the ratio of its probability and that of its reverse.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import kernels
from ..kernels.checks import as_number, as_tensor, expect, is_real, is_single
from ..paths.base import Path
from ..registry import register
from .base import Integrator, Way, as_times
from .overflow import CLOSED, NETWORK, beta_is_the_reason, log_way
from .rates import Reversible, as_reversible, evaluate, examine, rates_of
from .states import Leap, LeapInfo, LeapState
from .transport import Transport

__all__ = ["LeapInfo", "LeapState", "TauLeap", "leap_increment"]


WEIGHTS = ("exact", "euler")
"""Names of the weights of :class:`TauLeap`."""

BIASED = (
    'biased by weights="euler", by O(h), which no error bar shows; take more steps until nothing '
    "changes, or exact weights"
)
"""What is said of results with Euler's weights."""

# Within 0.1 to 1, where the floor matters in a run and not only in the mean.
_FLOOR = 0.3

# With √u the weights cancel to leading order in h where two neighbours move at once.
_REVERSIBLE = "square_root"


@register("integrator")
class TauLeap(Integrator):
    """All sites move at once, in a fixed number of steps, with exact weights.

    A step's weight is the ratio of the probabilities of the way back and of the way forth.
    At ``x`` and ``t`` every site moves, once at most, by the rates ``λ_k(i|x) = [G_k(i|x, t)]_+ +
    floor · g(e^{Δ_k(i)})``, held fixed for the step ``h``; ``F(y|x)`` is the product over sites of
    :func:`~leaps_triton.kernels.tau_leap_step`. That product with ``μ_k(i|y) = [-G_k(i|y, t+h)]_+
    e^{Δ_k(i)} + floor · g(e^{Δ_k(i)})``, ``Δ`` at ``y`` and ``t + h``, is the way back, ``B(x|y)``,
    and ``A += log ρ̃_{t+h}(y) - log ρ̃_t(x) + log B(x|y) - log F(y|x)``. Then ``E[e^A] = Z_1/Z_0``
    and the weighted law is ``ρ_1``, for every network and any number of steps; with many,
    ``Var[A]`` is that of :class:`~leaps_triton.Jump` and a part that falls like ``h``. The
    evaluation for the way back is the next step's own: ``N`` steps take ``N + 1`` evaluations of
    the network, and ``2 N`` where a move acts on the walkers between them.

    The floor opens every move, forth and back. A way back that begins where no way forth leads is
    mass that the weights miss, and a step without a way back has weight 0. A tiny floor is right in
    the mean and wrong in any run: it should matter, 0.1 to 1. Where two neighbours move at once by
    a floor ``√u``, the weights cancel to leading order in ``h``; with a bounded ``g``, which is
    slower where ``Δ`` is large, they do not.

    With ``weights="euler"``, those of the paper: ``A += h ξ_t(x)``, ``ξ_t = ∂_t log ρ̃_t + κ_t``,
    without a floor. They are **biased**, by ``O(h)``, and no ESS shows it.

    The frozen time of an interval is its beginning, where the weighted law is ``ρ_{t_n}``: moves
    act there.

    Args:
        steps: their number, on a uniform grid, or the increasing times ``0, …, 1``.
        weights: ``"exact"`` or ``"euler"``.
        floor: moves per unit of time where ``g = 1``, finite and ≥ 0; > 0 for exact weights. None
            for 0.3 with exact weights and 0 with Euler's.
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
    one_way = "Euler's weights hold for no reversed path; take TauLeap(weights='exact')"

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
        if reversible not in kernels.REVERSIBLE:
            known = ", ".join(kernels.REVERSIBLE)
            raise ValueError(f"reversible must be one of {known}, got {reversible!r}")
        self.weights = weights
        self.exact = weights == "exact"
        if not self.exact:
            self.bias = BIASED
        if self.exact:
            floor = _FLOOR if floor is None else floor
            bounds = "> 0 for exact weights"
        else:
            floor = 0.0 if floor is None else floor
            bounds = ">= 0"
        wanted = f"finite and {bounds} (0.1 to 1 keeps every way back open)"
        # Exact weights need a way back from wherever a step leads; Euler's do not look for one.
        self.floor = as_number("floor", floor, wanted, self._allows)
        self.reversible = reversible if self.floor > 0.0 else None

    def _allows(self, floor: float) -> bool:
        if self.exact and floor == 0.0:
            return False
        return 0.0 <= floor < math.inf

    def accept(self, path: Path, transport: Transport | None, device: torch.device) -> None:
        """Raise a ValueError for configurations that have no states to move between."""
        self.expect_states(path)

    @property
    def frozen(self) -> Tensor:
        """Frozen times ``τ_0 … τ_{N-1}``, where the steps begin, float64 ``(N,)``."""
        # Moves act where a step begins, and there the weighted law is ρ_{t_n}.
        return self.times[:-1]

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that, after the times, make this integrator again; plain JSON."""
        return {
            "weights": self.weights,
            "floor": self.floor,
            "reversible": self.reversible or _REVERSIBLE,
        }

    @property
    def added(self) -> Reversible | None:
        """The rates of the floor; None for none."""
        if self.reversible is None:
            return None
        return Reversible(self.reversible, self.floor)

    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> LeapState:
        """Return walkers at ``t = 0`` with ``A = 0``, before the first step.

        Args:
            configurations: ``(walkers, *shape)``.
            walkers: their global indices, int64 ``(walkers,)``.
            backward: whether they begin at ``t = 1``, after the last step.

        Raises:
            ValueError: backward, with Euler's weights.
        """
        if backward and not self.exact:
            raise ValueError(self.one_way)
        zeros, counts, interval = self.outside(walkers, backward)
        return LeapState(
            configurations,
            log_weights=zeros,
            interval=interval,
            remaining=zeros,
            walkers=walkers,
            events=counts,
            evaluated=configurations,
            # NaN differs from every time, so that the first step evaluates.
            evaluated_at=zeros + torch.nan,
            rates=zeros.new_zeros(len(walkers), 0),
            corrector=zeros,
            energy=zeros,
        )

    def step(
        self,
        state: LeapState,
        path: Path,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> tuple[LeapState, LeapInfo]:
        """Let every walker with time remaining make its step; leave others alone.

        The ``A`` of a walker whose rates are not finite turns NaN; :meth:`check` reports it.
        """
        leap = self._leap(state, backward)
        # A move between two steps leaves the last evaluation that of another configuration.
        elsewhere = (state.evaluated != state.configurations).flatten(1).any(1)
        stale = leap.active & (elsewhere | (state.evaluated_at != leap.here))
        # Both in one look, since each makes a GPU wait.
        some, again = torch.stack([leap.active.any(), stale.any()]).tolist()
        if not some:
            nought = torch.zeros_like(state.log_weights)
            return state, LeapInfo(torch.zeros_like(state.walkers), nought, nought)
        if again:
            rates = evaluate(
                path, transport, state.configurations, leap.here, self.added, backward=backward
            )
            state = state.carrying(rates, leap.here)
            state = state._replace(events=state.events + leap.active)
        if self.exact:
            return self._exact(state, leap, path, transport, seed, backward)
        return self._euler(state, leap, path, seed)

    def _to_the_end(self, state: Any, way: Way) -> Any:
        """Take all walkers to the end of their interval, which is one step."""
        moves = way.answers.given is not None or self.reversible is not None
        # No look at who has time left, since a step leaves others alone.
        if moves and not self.picks(state.walkers.device):
            return self._advance(state, way, True)
        return super()._to_the_end(state, way)

    def _leap(self, state: LeapState, backward: bool) -> Leap:
        active = state.remaining != 0
        interval = state.interval.clamp(0, self.intervals - 1)
        times = self.grid(interval.device).times
        begins = times[interval]
        ends = times[interval + 1]
        here = ends if backward else begins
        there = begins if backward else ends
        # With h = 0 a walker stays with probability 1, both ways.
        return Leap(
            active,
            begins,
            here,
            torch.where(active, there, here),
            torch.where(active, state.remaining, 0.0),
        )

    def _exact(
        self,
        state: LeapState,
        leap: Leap,
        path: Path,
        transport: Transport | None,
        seed: int,
        backward: bool,
    ) -> tuple[LeapState, LeapInfo]:
        """Make a step that is weighed by the probabilities of the way forth and the way back."""
        x = state.configurations
        h = leap.duration
        y, log_there = kernels.tau_leap_step(x, state.rates, h, state.walkers, state.events, seed)
        exit_rate = state.rates.flatten(1).sum(1, dtype=torch.float64)
        # One evaluation for the way back of this step and the way forth of the next.
        found = examine(path, transport, y, leap.there)
        ahead = rates_of(found, self.added, backward=backward)
        back = rates_of(found, self.added, backward=not backward)
        log_back = kernels.tau_leap_log_probability(y, x, back.rates, h)
        log_back = log_way(log_back, found, self.added, (y, x), h, backward=not backward)
        # Both densities at one time: what changes with time is added on entering.
        density = path.beta(leap.tau) * (state.energy - ahead.energy)
        gain = density + log_back - log_there
        # A is that of the path run forward, where F and B have each other's place.
        if backward:
            gain = -gain
        moved = state._replace(configurations=y, events=state.events + leap.active)
        after = _weighed(moved.carrying(ahead, leap.there), leap, gain)
        return after, LeapInfo((x != y).flatten(1).sum(1), exit_rate, back.exit_rate)

    def _euler(
        self, state: LeapState, leap: Leap, path: Path, seed: int
    ) -> tuple[LeapState, LeapInfo]:
        """Make a step that is weighed as in the paper, by what ``A`` gains where it begins."""
        x = state.configurations
        h = leap.duration
        y, _ = kernels.tau_leap_step(x, state.rates, h, state.walkers, state.events, seed)
        exit_rate = state.rates.flatten(1).sum(1, dtype=torch.float64)
        drift = path.time_derivative(state.energy, leap.tau) + state.corrector
        # The paper's increment, less the change of density that is added on entering.
        gain = h * drift - path.log_increment(y, leap.tau, leap.there)
        # Nothing is evaluated at y: the next step does so at its beginning, and counts it.
        after = _weighed(state._replace(configurations=y), leap, gain)
        # κ is the exit rate less the reversed one; a floor is the same in both and cancels.
        reversed_rate = exit_rate - state.corrector
        return after, LeapInfo((x != y).flatten(1).sum(1), exit_rate, reversed_rate)

    def check(self, state: LeapState, info: LeapInfo, path: Path | None = None) -> None:
        """Raise a RuntimeError naming walker, t and rates if a log-weight is not finite."""
        bad = self.broken(state, info)
        if not bool(bad.any()):
            return
        row = int(bad.nonzero()[0])
        interval = int(state.interval[row].clamp(0, self.intervals - 1))
        rate = float(info.exit_rate[row])
        rate_back = float(info.reversed_rate[row])
        where = f"walker {int(state.walkers[row])} in the step from t = "
        where += f"{float(self.frozen[interval]):.6g}"
        verdict = "must be finite"
        reason = NETWORK
        if math.isfinite(rate) and math.isfinite(rate_back):
            verdict = f"leave log-weight {float(state.log_weights[row])}"
            reason = CLOSED
        x = state.evaluated[row : row + 1]
        t = float(state.evaluated_at[row])
        reason = beta_is_the_reason(path, x, t, (rate, rate_back)) or reason
        rates = f"exit rate {rate:g} and reversed exit rate {rate_back:g}"
        raise RuntimeError(f"{where}: {rates} {verdict}; {reason}")


def _weighed(state: LeapState, leap: Leap, gain: Tensor) -> LeapState:
    """Return the state at the end of the step, with what it gained added to ``A``."""
    return state._replace(
        log_weights=torch.where(leap.active, state.log_weights + gain, state.log_weights),
        remaining=torch.zeros_like(state.remaining),
    )


def _as_time(name: str, given: Tensor | float, device: torch.device) -> Tensor:
    """Return a time as float64 ``(1 | walkers,)``."""
    accepted = is_single(given) or is_real(given)
    expect(accepted, name, "a number, or float64 (1 | walkers,)", given)
    return as_tensor(given, torch.float64).to(device).reshape(-1)


def leap_increment(
    path: Path,
    transport: Transport | None,
    configurations: Tensor,
    after: Tensor,
    t: Tensor | float,
    t_next: Tensor | float,
    floor: float = _FLOOR,
    reversible: str | None = _REVERSIBLE,
) -> Tensor:
    """Return what a step of :class:`TauLeap` from ``x`` to ``y`` adds to ``A``, for given ends.

    It is ``log ρ̃_{t+h}(y) - log ρ̃_t(x) + log B(x|y) - log F(y|x)``, by one evaluation at ``(x, t)``
    and one at ``(y, t+h)``; it can be differentiated through both with respect to the network's
    parameters. The sum over the steps of a path is ``A``, whoever chose the path.

    Args:
        path: the annealing path.
        transport: None for the floor alone.
        configurations: ``x``, where the step begins, ``(walkers, *shape)``.
        after: ``y``, where it ends, ``(walkers, *shape)``.
        t: the time at ``x``, a number or float64 ``(1 | walkers,)``.
        t_next: the time at ``y``, later than ``t``.
        floor: as in :class:`TauLeap`.
        reversible: as in :class:`TauLeap`; None for no floor, and minus infinity where there is no
            way back.

    Returns:
        float64 ``(walkers,)``.

    Raises:
        ValueError: times in the wrong order, shapes that differ, neither a transport nor a floor.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.2))
        >>> x = path.start.sample(torch.arange(3), seed=0)
        >>> leap_increment(path, None, x, -x + 1, 0.0, 0.25).shape
        torch.Size([3])
    """
    device = configurations.device
    earlier = _as_time("t", t, device)
    later = _as_time("t_next", t_next, device)
    duration = (later - earlier).expand(len(configurations))
    if not bool((duration > 0).all()):
        raise ValueError(f"t_next must lie after t, got t = {t} and t_next = {t_next}")
    if after.shape != configurations.shape:
        wanted = tuple(configurations.shape)
        raise ValueError(f"after must have shape {wanted}, got {tuple(after.shape)}")
    added = as_reversible(reversible, floor)
    # Rates of the way forth at x, and of the way back at y.
    begun = examine(path, transport, configurations, earlier)
    ended = examine(path, transport, after, later)
    there = rates_of(begun, added)
    back = rates_of(ended, added, backward=True)
    # Each density at its own time: no boundary adds here what changes with t.
    density = path.beta(earlier) * there.energy - path.beta(later) * back.energy
    log_back = kernels.tau_leap_log_probability(after, configurations, back.rates, duration)
    log_there = kernels.tau_leap_log_probability(configurations, after, there.rates, duration)
    log_back = log_way(log_back, ended, added, (after, configurations), duration, backward=True)
    log_there = log_way(log_there, begun, added, (configurations, after), duration, backward=False)
    return density + log_back - log_there
