"""Rejection-free kinetic Monte Carlo at fixed ``t``, as an invariant move."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import kernels
from ..integrators.rates import evaluate
from ..kernels import REVERSIBLE, Stream
from ..kernels.checks import as_integer, as_number, expect
from ..models.energy_only import as_given
from ..paths.annealing import AnnealingPath
from ..registry import register
from ..renamed import renamed_fields, warn_renamed
from .base import BaseMove, SweepState, changed
from .sweeps import times_on

__all__ = ["KineticInfo", "KineticMonteCarlo"]


# A look makes a GPU wait; without one, walkers whose time is over are evaluated for nothing.
_LOOK_EVERY = 8
"""Events between two looks at which walkers have time left, on a GPU; a CPU looks after each."""


class KineticInfo(NamedTuple):
    """What one step did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""
    events: Tensor
    """Evaluations of all rates, one per jump and one more, int64 ``(walkers,)``"""


class Jumping(NamedTuple):
    """Walkers on their way through one step."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    remaining: Tensor
    """Time that is left, float64 ``(walkers,)``"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    events: Tensor
    """Evaluations so far, int64 ``(walkers,)``"""
    times: Tensor
    """Times on the path, float64 ``(walkers,)``"""


@register("move")
@renamed_fields(rates="reversible")
@dataclass(frozen=True)
class KineticMonteCarlo(BaseMove):
    """Runs the jump process with reversible rates for a fixed time, without rejections.

    It is also called the n-fold way. Every local move ``m`` happens at the rate ``g(e^{Δ_m})``,
    ``g(u) = u g(1/u)``, so the process is reversible with respect to ``ρ_t``, and the law after any
    fixed *time* is invariant. Walkers make different numbers of jumps in that time. A fixed number
    of jumps would leave another law invariant: configurations just after a jump are distributed as
    ``ρ_t`` times the exit rate. It is worth its price at low temperature, where nearly every
    proposal of Metropolis is rejected: every jump evaluates the changes of all ``N`` sites, so on a
    CPU a unit of time costs many sweeps.

    A step counts as one sweep, in ``state.sweep`` and in a sampler's ``evaluations``;
    ``info.events`` tells what it took.

    Args:
        time: of one step, > 0; a free site moves about once (Metropolis) or half as often (Barker)
            per unit of time.
        reversible: ``g``: ``"barker"`` ``u / (1 + u)``, ``"square_root"`` ``√u``, ``"metropolis"``
            ``min(1, u)``.
        max_events: a walker that needs more evaluations in one step raises an error, since to cut
            it short would bias; None for ``1000 + 100 N`` on ``N`` sites, plus twice ``time`` times
            the number of moves.

    Raises:
        ValueError: a time that is not positive, unknown rates.
        RuntimeError: at a step, a rate that is not finite, or too many events; it names walker, t
            and rate.

    References:
        Bortz, Kalos, Lebowitz, *A new algorithm for Monte Carlo simulation of Ising spin systems*,
        J. Comput. Phys. 17, 10 (1975).

    Example:
        >>> import torch, leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((8, 8), beta=0.6))
        >>> move, walkers = lt.KineticMonteCarlo(2.0, reversible="metropolis"), torch.arange(3)
        >>> state = move.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = move.step(state, path, t=1.0, seed=0)
        >>> bool((info.events > 20).all())
        True
    """

    time: float = 1.0
    reversible: str = "barker"
    max_events: int | None = None

    def __post_init__(self) -> None:
        wanted = "a finite number > 0"
        time = as_number("time", self.time, wanted, lambda time: 0.0 < time < math.inf)
        object.__setattr__(self, "time", time)
        known = isinstance(self.reversible, str) and self.reversible in REVERSIBLE
        expect(known, "reversible", f"one of {', '.join(REVERSIBLE)}", self.reversible)
        if self.max_events is not None:
            object.__setattr__(self, "max_events", as_integer("max_events", self.max_events, 1))

    @property
    def rates(self) -> str:
        """Return ``reversible``, by its former name."""
        warn_renamed("KineticMonteCarlo.rates", "KineticMonteCarlo.reversible")
        return self.reversible

    def check_model(self, model: Any) -> None:
        """Raise a ValueError if the sites of a model have no states to jump between.

        Args:
            model: the target, completed.
        """
        if model.dtype.is_floating_point:
            raise ValueError(
                f"KineticMonteCarlo needs a model with q states per site, and configurations of "
                f"{type(as_given(model)).__name__} are {model.dtype}; take lt.HMC or lt.Langevin"
            )

    @torch.no_grad()
    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, KineticInfo]:
        """Return the walkers after the jump process has run for ``time``, and what it took.

        Args:
            state: walkers of the chain.
            path: the annealing path.
            t: time on the path, a number or float64 ``(1 | walkers,)``.
            seed: in [0, 2³²).

        Raises:
            RuntimeError: a rate that is not finite, or too many events.
        """
        x = state.configurations.clone()
        walkers = state.walkers
        # The step of the jump process counts events from 0, so every step has a seed of its own.
        own_seed = int(kernels.philox(seed, Stream.KINETIC, 0, state.sweep, 0, 0)[0])
        times = times_on(t, x.device).expand(len(x))
        # Many short waiting times are taken off one by one: in float32 their errors would add up.
        left = torch.full((len(x),), self.time, dtype=torch.float64, device=x.device)
        events = torch.zeros_like(walkers)
        rows = torch.arange(len(x), device=x.device)
        part = Jumping(x, left, walkers, events, times)
        # Walkers whose time is over are left out of what follows.
        while len(rows):
            part, weights, exit_rate = self._jump(part, path, own_seed)
            self._check(part, path, weights, exit_rate)
            goes_on = part.remaining != 0
            if not bool(goes_on.all()):
                x[rows] = part.configurations
                events[rows] = part.events
                rows = rows[goes_on]
                part = Jumping(*(column[goes_on] for column in part))
        after = SweepState(x, walkers, state.sweep + 1)
        return after, KineticInfo(changed(state.configurations, x), events)

    def _jump(
        self, part: Jumping, path: AnnealingPath, seed: int
    ) -> tuple[Jumping, Tensor, Tensor]:
        """Return walkers after events, their weights (NaN where it failed) and exit rates."""
        # Weights that start from 0 are those of a process that is reversible at all times: they
        # stay 0, and only tell where a rate was not finite.
        weights = torch.zeros_like(part.remaining)
        count = _LOOK_EVERY
        if weights.device.type == "cpu":
            count = 1
        for _ in range(count):
            rates = evaluate(path, None, part.configurations, part.times, self.reversible)
            made = kernels.jump_step(
                part.configurations,
                weights,
                part.remaining,
                rates.rates,
                rates.corrector,
                part.walkers,
                part.events,
                seed,
            )
            weights = made.log_weights
            part = part._replace(
                configurations=made.configurations,
                remaining=made.remaining,
                # The time that was left before this event: whose time was over has made none.
                events=part.events + (part.remaining != 0),
            )
        return part, weights, rates.exit_rate

    def _limit(self, path: AnnealingPath) -> int:
        """Return how many evaluations a walker may need in one step."""
        if self.max_events is not None:
            return self.max_events
        sites = path.model.lattice.sites
        # Barker's and Metropolis' g is at most 1, so that the jumps of a step number at most
        # time · N (q - 1) in the mean; twice that is far out of reach of chance.
        return 1000 + 100 * sites + int(2.0 * self.time * sites * (path.model.q - 1))

    def _check(
        self, part: Jumping, path: AnnealingPath, weights: Tensor, exit_rate: Tensor
    ) -> None:
        limit = self._limit(path)
        bad = weights.isnan()
        many = part.events > limit
        if not bool((bad | many).any()):
            return
        failed = bool(bad.any())
        if failed:
            many = bad
        row = int(many.nonzero()[0])
        where = f"walker {int(part.walkers[row])} at t = {float(part.times[row]):g}"
        rate = f"exit rate {float(exit_rate[row]):g}"
        if failed:
            raise RuntimeError(f"{where}: {rate} must be finite; take reversible='metropolis'")
        raise RuntimeError(
            f"{where} has needed more than max_events = {limit} evaluations, {rate}; take a "
            f"shorter time, or raise KineticMonteCarlo(max_events=)"
        )
