"""The jump process along a path, with rates frozen in each interval."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn, cast

import torch
from torch import Tensor

from .. import kernels
from ..kernels.checks import as_bool, as_integer, as_number
from ..paths.base import Path
from ..registry import register
from . import class_tables as tables
from .base import Integrator, Way, as_times
from .domains import Domains, advance, as_domain, count, divide, reach_of
from .overflow import reason_of_events, reason_of_rates
from .rates import Rates, Reversible, evaluate, examine
from .states import JumpState, State, returned, some
from .transport import Transport

__all__ = ["Jump", "JumpInfo", "JumpState", "State"]


class JumpInfo(NamedTuple):
    """What one step did."""

    move: Tensor
    """Move made, int64 ``(walkers,)``, as in :class:`~leaps_triton.kernels.JumpStep`; -1 for none.
    With domains one for each that could move, ``(walkers, domains of a class)``"""
    rates: Rates
    """Of the walkers that were evaluated; with domains, of the sites that could move"""


@register("integrator")
class Jump(Integrator):
    """The jump process with rates frozen in each interval: its dynamics and weights are exact.

    The grid ``0 = t_0 < … < t_N = 1`` has one frozen time ``τ_n`` per interval, its midpoint. On
    entering interval ``n``, ``A += log ρ̃_{τ_n}(x) - log ρ̃_{τ_{n-1}}(x)`` with ``τ_{-1} = 0``;
    then the chain with rates ``[G(x, τ_n)]_+`` runs for ``t_{n+1} - t_n`` while ``A`` grows by
    ``κ_{τ_n}(x)`` per unit of time; after the last interval ``A += log ρ̃_1(x) - log
    ρ̃_{τ_{N-1}}(x)``. Then ``E[e^A] = Z_1 / Z_0`` and the weighted law is ``ρ_1``, for every
    network, trained or not, and every grid.

    Reversible rates ``r_m(x) = scale · g(e^{Δ_m})`` with ``g(u) = u g(1/u)`` leave ``ρ_{τ_n}``
    invariant, so they may be added to the out-rates and add nothing to ``κ``. Without a transport
    they alone move the walkers: annealed importance sampling by rejection-free kinetic Monte Carlo.

    With ``domain`` the lattice is cut into blocks of that edge length. Within an interval the sites
    of one class of blocks move at a time, class after class and each for the full ``t_{n+1} -
    t_n``, with the in-rates and ``κ`` of these sites alone; blocks of one class lie out of one
    another's reach, so that each has a clock of its own and all of them advance by one evaluation.
    The weights stay exact. It pays where a walker makes many more moves than there are intervals
    times classes: on large lattices with few intervals. With a network of reach 2 at β = 0.3
    (``experiments/physics/domain_jumps.py``), 32 × 32 sites and 5 intervals took 46 evaluations per
    walker, not 161, at equal ``Var[A]``; with 20 intervals 150, not 176; 16 × 16 sites with 20
    intervals 111, not 59.

    A transport of few arguments, as :class:`~leaps_triton.LocalRates`, need not be evaluated at
    every event: on tables of its rates an event costs nearly the same on every lattice. The law is
    the same; random numbers are used in another way.

    Backward, ``init``, ``enter`` and ``step`` run the same intervals from the last to the first by
    the reversed process, from walkers of ``ρ_1`` to ``t = 0``; ``A`` grows by the same amounts, and
    ``E[e^{-A}] = Z_0 / Z_1``.

    Args:
        intervals: their number, on a uniform grid, or the increasing times ``0, …, 1``.
        reversible: None, or ``g``: ``"barker"`` ``u / (1 + u)``, ``"square_root"`` ``√u``,
            ``"metropolis"`` ``min(1, u)``.
        scale: moves per unit of time of the reversible rates where ``g = 1``, finite and > 0.
        max_events: a walker that needs more evaluations raises an error; None for ``1000 + 100 N``
            on ``N`` sites, plus the intervals (with domains, times their number) and, with
            reversible rates, ``2 · scale`` times the number of moves.
        domain: edge length of the blocks, or one for each direction, dividing the lattice's; None
            for no blocks. The transport must have an attribute ``reach``, the largest distance in
            any direction between a site and those that ``G`` reads there.
        tables: None for tables where transport and model allow, False for none, True for an error
            where they do not. There are none with domains.

    Raises:
        ValueError: no interval, times that do not increase from 0 to 1, unknown reversible rates, a
            scale out of range, a domain that is no length, ``tables=True`` with a domain.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025), for the continuous-time
        weights. Bortz, Kalos, Lebowitz, *A new algorithm for Monte Carlo simulation of Ising spin
        systems*, J. Comput. Phys. 17, 10 (1975), for kinetic Monte Carlo without rejections.

    Example:
        >>> Jump(intervals=4).frozen
        tensor([0.1250, 0.3750, 0.6250, 0.8750], dtype=torch.float64)
    """

    recordable = True

    def __init__(
        self,
        intervals: int | Sequence[float] | Tensor = 25,
        reversible: str | None = None,
        scale: float = 1.0,
        max_events: int | None = None,
        domain: int | Sequence[int] | None = None,
        tables: bool | None = None,
    ) -> None:
        self.times = as_times(intervals, "intervals")
        if reversible is not None and reversible not in kernels.REVERSIBLE:
            known = ", ".join(kernels.REVERSIBLE)
            raise ValueError(f"reversible must be None or one of {known}, got {reversible!r}")
        self.reversible = reversible
        self.scale = as_number("scale", scale, "finite and > 0", lambda x: 0.0 < x < math.inf)
        self.max_events = max_events
        if max_events is not None:
            self.max_events = as_integer("max_events", max_events, 1)
        self.domain = as_domain(domain)
        if tables is not None:
            tables = as_bool("tables", tables, "None or a bool")
        if tables and domain is not None:
            raise ValueError(
                f"tables must be None or False with domains, got tables=True and domain={domain}"
            )
        self.tables = tables

    @property
    def frozen(self) -> Tensor:
        """Frozen times ``τ_0 … τ_{N-1}``, the midpoints, float64 ``(N,)``."""
        # No time of an interval is further than half its length from there; any τ_n is exact.
        return (self.times[1:] + self.times[:-1]) / 2

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that, after the times, make this integrator again; plain JSON."""
        domain = list(self.domain) if isinstance(self.domain, tuple) else self.domain
        return {
            "reversible": self.reversible,
            "scale": self.scale,
            "max_events": self.max_events,
            "domain": domain,
            "tables": self.tables,
        }

    @property
    def added(self) -> Reversible | None:
        """The reversible rates themselves; None for none."""
        if self.reversible is None:
            return None
        return Reversible(self.reversible, self.scale)

    @property
    def single(self) -> bool:
        """Whether one step moves one site at most: unless there are domains."""
        return self.domain is None

    def accept(self, path: Path, transport: Transport | None, device: torch.device) -> None:
        """Raise a ValueError unless domains, or ``tables=True``, suit lattice and transport."""
        self.domains(path, transport, device)
        self.tabulated(path, transport)

    def waits(self, path: Path, transport: Transport | None) -> bool:
        """Return whether the intervals run on tables, which hold at one frozen time."""
        return self.tabulated(path, transport)

    def domains(
        self, path: Path, transport: Transport | None, device: torch.device
    ) -> Domains | None:
        """Return how the lattice of ``path`` is cut for ``transport``; None without ``domain``.

        Raises:
            ValueError: a domain that does not fit the lattice; a transport or model whose reach is
                not known.
        """
        if self.domain is None:
            return None
        return divide(path.model.lattice, self.domain, reach_of(path, transport), device)

    def tabulated(self, path: Path, transport: Transport | None) -> bool:
        """Return whether the intervals can and should run on tables; not without a transport.

        Raises:
            ValueError: ``tables=True``, and why there can be none.
        """
        if self.tables is False or self.domain is not None or transport is None:
            return False
        reason = tables.obstacle(path, transport)
        if self.tables and reason:
            raise ValueError(f"Jump(tables=True) cannot run on tables: {reason}")
        return not reason

    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> JumpState:
        """Return walkers at ``t = 0`` with ``A = 0``, before the first interval.

        Args:
            configurations: ``(walkers, *shape)``.
            walkers: their global indices, int64 ``(walkers,)``.
            backward: whether they begin at ``t = 1``, after the last interval.
        """
        zeros = torch.zeros(len(walkers), dtype=torch.float64, device=walkers.device)
        counts = torch.zeros_like(walkers)
        # Outside the path, with no time left: the first call of enter moves every walker in.
        interval = counts + self.intervals if backward else counts - 1
        clocks = zeros.new_zeros(len(walkers), count(configurations.shape[1:], self.domain))
        return JumpState(configurations, zeros, interval, zeros, walkers, counts, clocks)

    def step(
        self,
        state: JumpState,
        path: Path,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> tuple[JumpState, JumpInfo]:
        """Advance every walker with time remaining by one event or to the end of its interval.

        Others are left alone. With domains, every domain of the class that is up advances. Without
        a transport there must be reversible rates. A walker whose rates are not finite stays where
        it is, and its ``A`` turns NaN; :meth:`check` reports it.
        """
        # Walkers that have finished are evaluated at the nearest frozen time, to no effect.
        interval = state.interval.clamp(0, self.intervals - 1)
        tau = self.grid(interval.device).frozen[interval]
        domains = self.domains(path, transport, interval.device)
        if domains is not None:
            return self._step_domains(domains, state, path, transport, tau, seed, backward)
        rates = evaluate(path, transport, state.configurations, tau, self.added, backward=backward)
        after = kernels.jump_step(
            state.configurations,
            state.log_weights,
            state.remaining,
            rates.rates,
            rates.corrector,
            state.walkers,
            state.events,
            seed,
        )
        advanced = state._replace(
            configurations=after.configurations,
            log_weights=after.log_weights,
            remaining=after.remaining,
            # Walkers with no time left use no random number: their counters stay.
            events=state.events + (state.remaining != 0),
        )
        return advanced, JumpInfo(after.move, rates)

    def _step_domains(
        self,
        domains: Domains,
        state: JumpState,
        path: Path,
        transport: Transport | None,
        tau: Tensor,
        seed: int,
        backward: bool,
    ) -> tuple[JumpState, JumpInfo]:
        """Advance every domain of the class that is up, as :meth:`step` does walkers."""
        # At the beginning of an interval every clock is wound up.
        begins = (state.clocks == 0).all(1, keepdim=True)
        clocks = torch.where(begins, state.remaining.unsqueeze(1), state.clocks)
        evaluation = examine(path, transport, state.configurations, tau)
        after = advance(domains, evaluation, state, clocks, seed, self.added, backward)
        # The interval is over for a walker when all of its domains are through.
        through = (after.clocks == 0).all(1)
        advanced = state._replace(
            configurations=after.configurations,
            log_weights=state.log_weights + after.gain,
            remaining=torch.where(through, 0.0, state.remaining),
            events=state.events + (state.remaining != 0),
            clocks=after.clocks,
        )
        return advanced, JumpInfo(after.move, after.rates)

    def _to_the_end(self, state: JumpState, way: Way) -> JumpState:
        """Take all walkers to the end of their interval, on tables of the rates where there are."""
        answers = way.answers
        if not self.tabulated(way.path, answers.given):
            return cast(JumpState, super()._to_the_end(state, way))
        # With tables walkers wait for one another, so that one interval is that of all.
        waiting = state.remaining != 0
        # Both in one look, since each makes a GPU wait.
        interval, goes_on = torch.stack([state.interval[0], waiting.any()]).tolist()
        tau = float(self.frozen[interval])
        most = tables.STEPS
        if self.picks(state.walkers.device):
            passed = self.intervals - 1 - interval if way.backward else interval
            most = tables.first_steps(state, passed)
        while goes_on:
            state = self._steps_on_tables(state, waiting, way, tau, most)
            waiting = state.remaining != 0
            goes_on = bool(waiting.any())
            most = tables.STEPS
        return state

    def _steps_on_tables(
        self, state: JumpState, waiting: Tensor, way: Way, tau: float, most: int
    ) -> JumpState:
        """Take walkers with time left at most so many events on, checked; on a CPU these alone."""
        part = state
        rows: Tensor | None = None
        if self.picks(state.walkers.device) and not bool(waiting.all()):
            rows = waiting.nonzero().squeeze(1)
            part = some(state, rows)
        answers = way.answers.tables
        assert answers is not None
        after = tables.steps(way.path, answers, tau, part, way.seed, self.added, way.backward, most)
        part = part._replace(
            configurations=after.configurations,
            log_weights=after.log_weights,
            remaining=after.remaining,
            events=after.events,
        )
        part = self.checked(part, _info_of_tables(part, after), way)
        if rows is None:
            return part
        return returned(state, rows, part)

    def broken(self, state: JumpState, info: JumpInfo) -> Tensor:
        """Return which walkers :meth:`check` refuses, bool ``(walkers,)``."""
        # A rate that is not finite turns A into NaN, so the weights tell of the rates.
        shifts = info.rates.rates.shape[1]
        return super().broken(state, info) | (state.events > self._limit(state, shifts))

    def check(self, state: JumpState, info: JumpInfo, path: Path | None = None) -> None:
        """Raise a RuntimeError that names walker, t and rate after a step that went wrong.

        Args:
            state: the walkers after the step.
            info: what the step did.
            path: the annealing path, so that the error can say whether β is the reason.

        Raises:
            RuntimeError: a rate that was not finite, or a walker with too many events.
        """
        wrong = self.broken(state, info)
        # One look, since each makes a GPU wait.
        if not bool(wrong.any()):
            return
        bad = ~state.log_weights.isfinite()
        if bool(bad.any()):
            self._refuse_rates(state, info.rates, path, int(bad.nonzero()[0]))
        row = int(wrong.nonzero()[0])
        shifts = info.rates.rates.shape[1]
        limit = self._limit(state, shifts)
        remedy = "raise Jump(max_events=)"
        if limit == self._counters(state):
            remedy = "take larger domains"
        reason = reason_of_events(path, self._time(state, row))
        raise RuntimeError(
            f"{self._where(state, row)} has needed more than max_events = {limit} evaluations, "
            f"exit rate {float(info.rates.exit_rate[row]):g}; its rates are too large for this "
            f"lattice (train longer), or {remedy}{reason}"
        )

    def _counters(self, state: JumpState) -> int:
        """Return how many evaluations have random numbers."""
        # Each uses a number of the 32-bit event counter for every domain of a class.
        return 2**32 // max(1, state.clocks.shape[1]) - 1

    def _limit(self, state: JumpState, shifts: int) -> int:
        """Return how many evaluations a walker may need."""
        sites = state.configurations[0].numel()
        domains = max(1, state.clocks.shape[1])
        return min(self._most_events(sites, domains, shifts), self._counters(state))

    def _most_events(self, sites: int, domains: int, shifts: int) -> int:
        """Return how many evaluations a walker may need, by default enough for any sane rates."""
        if self.max_events is not None:
            return self.max_events
        # Far more than rates that were trained need; each interval ends with an evaluation more.
        limit = 1000 + 100 * sites + self.intervals * domains
        # Reversible rates are of the order of their scale per move: twice that is in the tail.
        if self.reversible is not None:
            limit += int(2.0 * self.scale * shifts * sites)
        return limit

    def _time(self, state: JumpState, row: int) -> float:
        interval = min(int(state.interval[row]), self.intervals - 1)
        return float(self.frozen[interval])

    def _where(self, state: JumpState, row: int) -> str:
        return f"walker {int(state.walkers[row])} at t = {self._time(state, row):.6g}"

    def _refuse_rates(
        self, state: JumpState, rates: Rates, path: Path | None, row: int
    ) -> NoReturn:
        rate = float(rates.exit_rate[row])
        kappa = float(rates.corrector[row])
        x = state.configurations[row : row + 1]
        reason = reason_of_rates(path, x, self._time(state, row), (rate, kappa))
        raise RuntimeError(
            f"{self._where(state, row)}: exit rate {rate:g} and corrector {kappa:g} must be "
            f"finite; {reason}"
        )


def _info_of_tables(state: JumpState, after: kernels.LocalJumpSteps) -> JumpInfo:
    """Return what steps on tables tell, as a step tells it: no rates of single moves."""
    nothing = after.exit_rate.new_zeros(len(after.exit_rate), 1, 0)
    rates = Rates(nothing, after.exit_rate, after.corrector, after.exit_rate)
    return JumpInfo(torch.full_like(state.walkers, -1), rates)
