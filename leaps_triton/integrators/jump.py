"""The jump process along a path, with rates frozen in each interval."""

import math
from collections.abc import Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor

from .. import kernels
from ..kernels.checks import as_bool, as_integer, as_number
from ..paths.base import Path
from ..registry import register
from . import class_tables as tables
from .base import Integrator, Way, as_times
from .domains import Domains, as_domain, count, divide, reach_of, step_domains
from .overflow import refuse_events, refuse_rates
from .rates import Reversible, evaluate, examine
from .running import events as running
from .running.pieces import leaps_far
from .running.pieces import obstacle as running_obstacle
from .states import JumpInfo, JumpState, State
from .transport import Transport

__all__ = ["Jump", "JumpInfo", "JumpState", "State"]


WEIGHTS = ("running", "frozen")
"""Names of the weights of :class:`Jump`."""


@register("integrator")
class Jump(Integrator):
    """The jump process with rates frozen in each interval: its dynamics and weights are exact.

    The grid ``0 = t_0 < … < t_N = 1`` has one frozen time ``τ_n`` per interval, its midpoint, at
    which the chain with rates ``[G(x, τ_n)]_+``, or ``[D]_+ p`` in the heat-bath gauge, runs for
    ``h_n = t_{n+1} - t_n``. With either weights ``E[e^A] = Z_1 / Z_0`` and the weighted law is
    ``ρ_1``, for every network, trained or not, and every grid.

    *Frozen weights* are those of a density that waits at ``τ_n``. On entering interval ``n``,
    ``A += log ρ̃_{τ_n}(x) - log ρ̃_{τ_{n-1}}(x)`` with ``τ_{-1} = 0``; within it ``A`` grows by
    ``κ_{τ_n}(x)`` per unit of time; after the last ``A += log ρ̃_1(x) - log ρ̃_{τ_{N-1}}(x)``.
    Sweeps and resampling act at ``τ_n``.

    *Running weights* are those of a density that goes on, with ``β`` linear in time between
    ``β(t_n)`` and ``β(t_{n+1})``. Rates are frozen at ``β*``, the middle of the two, and the
    network's output is multiplied by ``(β(t_{n+1}) - β(t_n)) / (h_n β'(τ_n))``. Entering an
    interval and jumping add nothing; a hold at ``x`` from ``u`` to ``u + s`` adds
    ``-H(x) (β_{u+s} - β_u) + s R(x) - Σ_m w_m ∫_u^{u+s} e^{-(β_v - β*) δH_m} dv``, with ``w_m`` the
    rates of the process reversed in ``ρ_{β*}``, and ``δH_m`` the change of energy by a move. At
    every time the weighted law is that of the path: sweeps and resampling act at ``t_n``. With an
    exact network the loss of ESS falls as ``N^{-4}``, and not as ``N^{-2}``.

    Reversible rates ``r_m(x) = scale · g(e^{Δ_m})`` with ``g(u) = u g(1/u)`` leave ``ρ_{τ_n}``
    invariant, so they may be added to the out-rates and add nothing to ``κ``; to ``R`` and ``w`` of
    running weights they are added. Without a transport they alone move the walkers: annealed
    importance sampling by rejection-free kinetic Monte Carlo.

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
        weights: ``"running"`` or ``"frozen"``; None for running weights along an
            :class:`~leaps_triton.AnnealingPath` where a transport or reversible rates move the
            walkers, and for frozen ones with domains, along any other path, where nothing moves
            within intervals, in a subclass with a step or entry of its own, and where weights could
            be ragged: ``β`` changes so much in an interval that a rate could change by ``e^10``
            within half of it, or may for all that a model of no known bonds says, or the network's
            output would be multiplied by less than 0.1 or more than 10. A
            :class:`~leaps_triton.Sampler` decides, and its file keeps it.

    Raises:
        ValueError: no interval, times that do not increase from 0 to 1, unknown reversible rates, a
            scale out of range, a domain that is no length, ``tables=True`` with a domain, unknown
            weights, running ones with a domain.

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
        weights: str | None = None,
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
        if weights is not None and weights not in WEIGHTS:
            known = ", ".join(WEIGHTS)
            raise ValueError(f"weights must be None or one of {known}, got {weights!r}")
        if weights == "running" and domain is not None:
            raise ValueError(
                f"with domains weights are frozen, since a running density gains nothing there; "
                f"leave out weights or domain, got weights='running' and domain={domain}"
            )
        if domain is not None:
            weights = "frozen"
        self.weights = weights
        # Until it is decided nothing runs: a path tells whether it can.
        self.running = weights == "running"

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
            "weights": self.weights,
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

    def settled(self, path: Path, transport: Transport | None, before: object = None) -> Self:
        """Return the same integrator with its weights decided, running or frozen.

        Args:
            path: the annealing path.
            transport: None for the reversible rates alone.
            before: that of a run that goes on, whose weights are kept where none are named; None
                for none.

        Raises:
            ValueError: running weights along a path, or on a grid, that has none.
        """
        weights = self.weights
        # A class of the user's own whose constructor may not take weights keeps frozen ones.
        if weights is None and type(self).__init__ is not Jump.__init__:
            return self
        # Steps of the user's own add what they know of: a density that waits.
        own = type(self).step is not Jump.step or type(self).enter is not Jump.enter
        if weights is None and not own and isinstance(before, Jump):
            weights = before.weights
        grid = self.grid(torch.device("cpu"))
        moves = transport is not None or self.reversible is not None
        reason = running_obstacle(path, grid, transport, moves)
        if weights == "running" and reason:
            raise ValueError(f"Jump(weights='running') cannot run here: {reason}")
        if weights is None:
            weights = "frozen"
            if moves and not own and not reason and not leaps_far(path, grid, transport):
                weights = "running"
        if weights == self.weights:
            return self
        return type(self)(self.times, **{**self.settings, "weights": weights})

    def accept(self, path: Path, transport: Transport | None, device: torch.device) -> None:
        """Raise a ValueError unless domains, ``tables=True`` and rates suit model and transport."""
        self.expect_states(path)
        self.domains(path, transport, device)
        self.tabulated(path, transport)

    def waits(self, path: Path, transport: Transport | None) -> bool:
        """Return whether the intervals run on tables, which hold in one interval."""
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
        zeros, counts, interval = self.outside(walkers, backward)
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
        grid = self.grid(state.walkers.device)
        if self.running:
            return running.advance(grid, state, path, transport, seed, self.added, backward)
        # Walkers that have finished are evaluated at the nearest frozen time, to no effect.
        interval = state.interval.clamp(0, self.intervals - 1)
        tau = grid.frozen[interval]
        domains = self.domains(path, transport, interval.device)
        if domains is not None:
            found = examine(path, transport, state.configurations, tau)
            return step_domains(domains, found, state, seed, self.added, backward)
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

    def enter(self, state: JumpState, path: Path, backward: bool = False) -> tuple[Any, Tensor]:
        """Let every walker at the end of its interval enter the next, or finish.

        Returns:
            The walkers, and which of them did, bool ``(walkers,)``.
        """
        if not self.running:
            return super().enter(state, path, backward)
        return running.moved_on(self.grid(state.walkers.device), state, backward)

    def _to_the_end(self, state: JumpState, way: Way) -> JumpState:
        """Take all walkers to the end of their interval, on tables of the rates where there are."""
        given = way.answers.given
        if self.running and given is None and self.reversible is None:
            grid = self.grid(state.walkers.device)
            return cast(JumpState, running.held(state, way.path, grid.times))
        # Backward in a running density every move has a clock, and no class.
        timed = self.running and way.backward
        if timed or not self.tabulated(way.path, given):
            return cast(JumpState, super()._to_the_end(state, way))
        return cast(JumpState, tables.to_the_end(self, state, way))

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
            row = int(bad.nonzero()[0])
            x = state.configurations[row : row + 1]
            refuse_rates(self._where(state, row), info.rates, row, path, x, self._time(state, row))
        row = int(wrong.nonzero()[0])
        limit = self._limit(state, info.rates.rates.shape[1])
        remedy = "raise Jump(max_events=)"
        if limit == self._counters(state):
            remedy = "take larger domains"
        time = self._time(state, row)
        rate = float(info.rates.exit_rate[row])
        refuse_events(self._where(state, row), limit, rate, remedy, path, time)

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
