"""Rejection-free kinetic Monte Carlo at fixed ``t``, as an invariant kernel."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from .. import kernels
from ..integrators.rates import evaluate
from ..kernels import REVERSIBLE, Stream
from ..kernels.checks import as_integer, as_number, expect
from ..paths.annealing import AnnealingPath
from ..registry import register
from .base import SweepState, changed

__all__ = ["KineticInfo", "KineticMonteCarlo"]


_LOOK_EVERY = 8

"""Events between two looks at which walkers have time left."""


class KineticInfo(NamedTuple):
    """What one step did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""
    events: Tensor
    """Evaluations of all rates, one a jump and one more, int64 ``(walkers,)``"""


@register("move")
@dataclass(frozen=True)
class KineticMonteCarlo:
    """Rejection-free kinetic Monte Carlo (n-fold way): the jump process with reversible rates for a
    fixed time.

    Every local move ``m`` happens at the rate ``g(e^{Δ_m})``, ``g(u) = u g(1/u)``, so the process
    is reversible with respect to ``ρ_t``, and the law after any fixed *time* is invariant. Walkers
    make different numbers of jumps in that time. A fixed number of jumps would not be an invariant
    kernel: configurations just after a jump are distributed as ``ρ_t`` times the exit rate. Worth
        its price at low temperature, where nearly every proposal of Metropolis is
    rejected: every jump evaluates the changes of all ``N`` sites, so on a CPU a unit of time costs
        many sweeps.

    Args:
        time: of one step, > 0; a free site moves about once (Metropolis) or half as often (Barker)
            a unit of time.
        rates: ``g``: ``"barker"`` ``u / (1 + u)``, ``"square_root"`` ``√u``, ``"metropolis"``
            ``min(1, u)``.
        max_events: a walker that needs more evaluations in one step raises an error, since to cut
            it short would bias; None for ``1000 + 100 N`` on ``N`` sites, plus twice ``time`` times
            the number of moves.

    A step counts as one sweep, in ``state.sweep`` and in a sampler's ``evaluations``;
    ``info.events`` tells what it took.

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
        >>> kernel, walkers = lt.KineticMonteCarlo(time=2.0, rates="metropolis"), torch.arange(3)
        >>> state = kernel.init(path.start.sample(walkers, seed=0), walkers)
        >>> state, info = kernel.step(state, path, t=1.0, seed=0)
        >>> bool((info.events > 20).all())
        True
    """

    time: float = 1.0
    rates: str = "barker"
    max_events: int | None = None

    def __post_init__(self) -> None:
        time = as_number(
            "time", self.time, "a finite number > 0", lambda time: 0.0 < time < math.inf
        )
        object.__setattr__(self, "time", time)
        known = isinstance(self.rates, str) and self.rates in REVERSIBLE
        expect(known, "rates", f"one of {', '.join(REVERSIBLE)}", self.rates)
        if self.max_events is not None:
            object.__setattr__(self, "max_events", as_integer("max_events", self.max_events, 1))

    def reversed(self) -> Self:
        """The kernel reversed in time, which is the kernel itself."""
        return self

    def init(self, configurations: Tensor, walkers: Tensor) -> SweepState:
        """Chains that start from ``configurations``."""
        return SweepState(configurations, walkers, 0)

    @torch.no_grad()
    def step(
        self, state: SweepState, path: AnnealingPath, t: Tensor | float, seed: int
    ) -> tuple[SweepState, KineticInfo]:
        """The jump process for ``time`` at time ``t`` of the path, a number or float64 ``(1 |
        walkers,)``.
        """
        x, walkers = state.configurations.clone(), state.walkers
        # The step of the jump process counts events from 0, so every step has a seed of its own.
        own_seed = int(kernels.philox(seed, Stream.KINETIC, 0, state.sweep, 0, 0)[0])
        times = torch.as_tensor(t, dtype=torch.float64, device=x.device).reshape(-1).expand(len(x))
        left = torch.full((len(x),), float(self.time), dtype=torch.float64, device=x.device)
        events, nought = torch.zeros_like(walkers), torch.zeros_like(left)
        rows = walkers.new_zeros(0) if not len(x) else torch.arange(len(x), device=x.device)
        while len(rows):
            part, weights, remaining, counts = x[rows], nought[rows], left[rows], events[rows]
            for _ in range(_LOOK_EVERY):
                rates = evaluate(path, None, part, times[rows], self.rates)
                made = kernels.jump_step(
                    part,
                    weights,
                    remaining,
                    rates.rates,
                    rates.corrector,
                    walkers[rows],
                    counts,
                    own_seed,
                )
                counts = counts + (remaining != 0)
                part, weights, remaining = made.configurations, made.log_weights, made.remaining
            x[rows], left[rows], events[rows] = part, remaining, counts
            self._check(path, walkers[rows], times[rows], weights, counts, rates.exit_rate)
            rows = rows[remaining != 0]
        return SweepState(x, walkers, state.sweep + 1), KineticInfo(
            changed(state.configurations, x), events
        )

    def _check(
        self,
        path: AnnealingPath,
        walkers: Tensor,
        times: Tensor,
        weights: Tensor,
        events: Tensor,
        exit_rate: Tensor,
    ) -> None:
        sites = path.model.lattice.sites
        limit = self.max_events or 1000 + 100 * sites + int(
            2.0 * self.time * sites * (path.model.q - 1)
        )
        bad, many = weights.isnan(), events > limit
        if not bool((bad | many).any()):
            return
        row = int((bad if bool(bad.any()) else many).nonzero()[0])
        where = f"walker {int(walkers[row])} at t = {float(times[row]):g}"
        if bool(bad.any()):
            raise RuntimeError(
                f"{where}: exit rate {float(exit_rate[row]):g} must be finite; take rates='metropolis'"
            )
        raise RuntimeError(
            f"{where} has needed more than max_events = {limit} evaluations, exit rate {float(exit_rate[row]):g}; take "
            f"a shorter time, or raise KineticMonteCarlo(max_events=)"
        )
