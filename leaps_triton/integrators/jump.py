"""Integrators of the continuous-time Markov chain along a path: the jump process here, and the face
of all others.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor

from .. import kernels
from ..kernels.checks import as_integer, as_number, expect
from ..paths.annealing import AnnealingPath
from ..registry import register
from . import class_tables as tables
from .base import Integrator, as_times
from .domains import Domains, advance, as_domain, count, divide, reach_of
from .rates import Rates, Transport, evaluate, examine
from .tau_leap import LeapState

__all__ = [
    "Jump",
    "JumpInfo",
    "JumpState",
    "State",
]


class JumpState(NamedTuple):
    """Walkers on their way. Finished walkers have ``interval == intervals`` (backward: -1) and
    ``remaining == 0``.
    """

    configurations: Tensor
    """``(walkers, *shape)``"""
    log_weights: Tensor
    """``A``, float64 ``(walkers,)``"""
    interval: Tensor
    """Index of the interval each walker is in, int64 ``(walkers,)``; -1 at ``t = 0``, ``intervals``
    at ``t = 1``"""
    remaining: Tensor
    """Time left in that interval, float64 ``(walkers,)``; 0 at its end. All of it until all domains
    are through"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    events: Tensor
    """Evaluations so far, int64 ``(walkers,)``: the Philox event counter"""
    clocks: Tensor
    """Time left to each domain in that interval, float64 ``(walkers, domains)``; 0 before the first
    step in it"""

    def descend(self, ancestors: Tensor) -> "JumpState":
        """What the slots have from ``ancestors``, int64 ``(walkers,)``; indices and counters stay
        with the slots.
        """
        return self._replace(configurations=self.configurations[ancestors])


State: TypeAlias = JumpState | LeapState

"""Walkers of any integrator."""


class JumpInfo(NamedTuple):
    """What one step did."""

    move: Tensor
    """Move made, int64 ``(walkers,)``, as in :class:`~leaps_triton.kernels.JumpStep`; -1 for none.
    With domains one for each that could move, ``(walkers, domains of a class)``"""
    rates: Rates
    """Of the walkers that were evaluated; with domains, of the sites that could move"""


@register("integrator")
class Jump(Integrator):
    """The jump process with rates frozen in each interval: exact dynamics, exact weights at any
    number of intervals.

    The grid ``0 = t_0 < … < t_N = 1`` has one frozen time ``τ_n`` an interval, its midpoint. On
    entering interval ``n``, ``A += log ρ̃_{τ_n}(x) - log ρ̃_{τ_{n-1}}(x)`` with ``τ_{-1} = 0``;
    then the chain with rates ``[G(x, τ_n)]_+`` runs for ``t_{n+1} - t_n`` while ``A`` grows by
    ``κ_{τ_n}(x)`` a unit of time; after the last interval ``A += log ρ̃_1(x) - log
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
    (``experiments/physics/domain_jumps.py``), 32 × 32 sites and 5 intervals took 46 evaluations
    per walker, not 161, at equal ``Var[A]``; with 20 intervals 150, not 176; 16 × 16 sites with 20
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
        scale: of the reversible rates, moves a unit of time, finite and > 0.
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
            raise ValueError(
                f"reversible must be None or one of {', '.join(kernels.REVERSIBLE)}, got {reversible!r}"
            )
        self.scale = as_number(
            "scale", scale, "finite and > 0", lambda value: 0.0 < value < math.inf
        )
        self.reversible = reversible
        self.max_events = None if max_events is None else as_integer("max_events", max_events, 1)
        self.domain = as_domain(domain)
        expect(tables is None or isinstance(tables, bool), "tables", "None or a bool", tables)
        if tables and domain is not None:
            raise ValueError(
                f"tables must be None or False with domains, got tables=True and domain={domain}"
            )
        self.tables = tables

    @property
    def frozen(self) -> Tensor:
        """Frozen times ``τ_0 … τ_{N-1}``, the midpoints, float64 ``(N,)``."""
        return (self.times[1:] + self.times[:-1]) / 2

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that, after the times, make this integrator again; plain JSON."""
        domain = list(self.domain) if isinstance(self.domain, tuple) else self.domain
        rates = {"reversible": self.reversible, "scale": self.scale}
        return {**rates, "max_events": self.max_events, "domain": domain, "tables": self.tables}

    def domains(
        self, path: AnnealingPath, transport: Transport | None, device: torch.device
    ) -> Domains | None:
        """How the lattice of ``path`` is cut for ``transport``; None without ``domain``.

        Raises:
            ValueError: a domain that does not fit the lattice; a transport or model whose reach is
                not known.
        """
        if self.domain is None:
            return None
        return divide(path.model.lattice, self.domain, reach_of(path, transport), device)

    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> JumpState:
        """Walkers at ``t = 0`` with ``A = 0``, before the first interval; backward at ``t = 1``,
        after the last.
        """
        zeros = torch.zeros(len(walkers), dtype=torch.float64, device=walkers.device)
        counts = torch.zeros_like(walkers)
        interval = counts + self.intervals if backward else counts - 1
        clocks = zeros.new_zeros(len(walkers), count(configurations.shape[1:], self.domain))
        return JumpState(configurations, zeros, interval, zeros, walkers, counts, clocks)

    def step(
        self,
        state: JumpState,
        path: AnnealingPath,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> tuple[JumpState, JumpInfo]:
        """Every walker with time remaining advances by one event or to the end of its interval;
        others are left alone.

        With domains, every domain of the class that is up. Without a transport there must be
        reversible rates. A walker whose rates are not finite stays where it is, and its ``A`` turns
        NaN; :meth:`check` reports it.
        """
        interval = state.interval.clamp(0, self.intervals - 1)
        tau = self.frozen.to(interval.device)[interval]
        domains = self.domains(path, transport, interval.device)
        if domains is not None:
            return self._step_domains(domains, state, path, transport, tau, seed, backward)
        rates = evaluate(
            path, transport, state.configurations, tau, self.reversible, self.scale, backward
        )
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
        return state._replace(
            configurations=after.configurations,
            log_weights=after.log_weights,
            remaining=after.remaining,
            events=state.events + (state.remaining != 0),
        ), JumpInfo(after.move, rates)

    def _step_domains(
        self,
        domains: Domains,
        state: JumpState,
        path: AnnealingPath,
        transport: Transport | None,
        tau: Tensor,
        seed: int,
        backward: bool,
    ) -> tuple[JumpState, JumpInfo]:
        begins = (state.clocks == 0).all(1, keepdim=True)
        clocks = torch.where(begins, state.remaining.unsqueeze(1), state.clocks)
        evaluation = examine(path, transport, state.configurations, tau)
        rule = (self.reversible, self.scale, backward)
        after = advance(
            domains,
            evaluation,
            state.configurations,
            clocks,
            state.walkers,
            state.events,
            seed,
            *rule,
        )
        return state._replace(
            configurations=after.configurations,
            log_weights=state.log_weights + after.gain,
            remaining=torch.where((after.clocks == 0).all(1), 0.0, state.remaining),
            events=state.events + (state.remaining != 0),
            clocks=after.clocks,
        ), JumpInfo(after.move, after.rates)

    def tabulated(self, path: AnnealingPath, transport: Transport | None) -> bool:
        """Whether :meth:`run_interval` can and should run the intervals; not without a transport.

        Raises:
            ValueError: ``tables=True``, and why there can be none.
        """
        if self.tables is False or self.domain is not None or transport is None:
            return False
        reason = tables.obstacle(path, transport)
        if self.tables and reason:
            raise ValueError(f"Jump(tables=True) cannot run on tables: {reason}")
        return not reason

    def run_interval(
        self,
        state: JumpState,
        path: AnnealingPath,
        transport: Transport,
        seed: int,
        backward: bool = False,
    ) -> JumpState:
        """All walkers, which stand in one interval, to its end, on tables of the rates; for
        :meth:`tabulated` only.

        Raises:
            RuntimeError: as :meth:`check`.
        """
        tau = float(self.frozen[int(state.interval[0])])
        while bool((state.remaining != 0).any()):
            after = tables.steps(
                path,
                cast(tables.Tabulated, transport),
                tau,
                state.configurations,
                state.log_weights,
                state.remaining,
                state.walkers,
                state.events,
                seed,
                self.reversible,
                self.scale,
                backward,
            )
            state = state._replace(
                configurations=after.configurations,
                log_weights=after.log_weights,
                remaining=after.remaining,
                events=after.events,
            )
            self._check(state, after.exit_rate, after.corrector, shifts=1)
        return state

    def check(self, state: JumpState, info: JumpInfo) -> None:
        """Raise a RuntimeError naming walker, t and rate if a rate was not finite or a walker has
        too many events.
        """
        self._check(state, info.rates.exit_rate, info.rates.corrector, info.rates.rates.shape[1])

    def _check(self, state: JumpState, exit_rate: Tensor, corrector: Tensor, shifts: int) -> None:
        bad = ~state.log_weights.isfinite()
        sites, domains = state.configurations[0].numel(), max(1, state.clocks.shape[1])
        limit = self.max_events or 1000 + 100 * sites + self.intervals * domains
        if self.max_events is None and self.reversible is not None:
            limit += int(2.0 * self.scale * shifts * sites)
        # Each evaluation uses a number of the 32-bit event counter for every domain of a class.
        counters = 2**32 // domains - 1
        limit = min(limit, counters)
        many = state.events > limit
        if not bool((bad | many).any()):
            return
        row = int((bad if bool(bad.any()) else many).nonzero()[0])
        walker, interval = int(state.walkers[row]), int(state.interval[row])
        rate, kappa = float(exit_rate[row]), float(corrector[row])
        where = (
            f"walker {walker} at t = {float(self.frozen[min(interval, self.intervals - 1)]):.6g}"
        )
        if bool(bad.any()):
            raise RuntimeError(
                f"{where}: exit rate {rate:g} and corrector {kappa:g} must be finite; the network's output there "
                f"is too large or not a number (train longer, or with a smaller learning_rate)"
            )
        remedy = "take larger domains" if limit == counters else "raise Jump(max_events=)"
        raise RuntimeError(
            f"{where} has needed more than max_events = {limit} evaluations, exit rate {rate:g}; its rates are too "
            f"large for this lattice (train longer), or {remedy}"
        )
