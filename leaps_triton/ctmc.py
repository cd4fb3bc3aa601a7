"""Integrators of the continuous-time Markov chain along a path, with exact weights."""

import copy
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from . import kernels, tables
from .path import AnnealingPath
from .rates import Rates, Transport, evaluate

__all__ = ["Jump", "JumpInfo", "JumpState"]


class JumpState(NamedTuple):
    """Walkers on their way. Finished walkers have ``interval == intervals`` (backward: -1) and ``remaining == 0``."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    log_weights: Tensor
    """``A``, float64 ``(walkers,)``"""
    interval: Tensor
    """Index of the interval each walker is in, int64 ``(walkers,)``; -1 at ``t = 0``, ``intervals`` at ``t = 1``"""
    remaining: Tensor
    """Time left in that interval, float64 ``(walkers,)``; 0 at its end"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    events: Tensor
    """Evaluations so far, int64 ``(walkers,)``: the Philox event counter"""


class JumpInfo(NamedTuple):
    """What one step did."""

    move: Tensor
    """Move made, int64 ``(walkers,)``, as in :class:`~leaps_triton.kernels.JumpStep`; -1 for none"""
    rates: Rates
    """Of the walkers that were evaluated"""


class Jump:
    """The jump process with rates frozen in each interval: exact dynamics, exact weights at any number of intervals.

    The grid ``0 = t_0 < … < t_N = 1`` has one frozen time ``τ_n`` an interval, its midpoint. On entering interval
    ``n``, ``A += log ρ̃_{τ_n}(x) - log ρ̃_{τ_{n-1}}(x)`` with ``τ_{-1} = 0``; then the chain with rates ``[G(x,
    τ_n)]_+`` runs for ``t_{n+1} - t_n`` while ``A`` grows by ``κ_{τ_n}(x)`` a unit of time; after the last interval
    ``A += log ρ̃_1(x) - log ρ̃_{τ_{N-1}}(x)``. Then ``E[e^A] = Z_1 / Z_0`` and the weighted law is ``ρ_1``, for every
    network, trained or not, and every grid.

    Reversible rates ``r_m(x) = scale · g(e^{Δ_m})`` with ``g(u) = u g(1/u)`` leave ``ρ_{τ_n}`` invariant, so they may
    be added to the out-rates and add nothing to ``κ``. Without a transport they alone move the walkers: annealed
    importance sampling by rejection-free kinetic Monte Carlo.

    Backward, ``init``, ``enter`` and ``step`` run the same intervals from the last to the first by the reversed
    process, from walkers of ``ρ_1`` to ``t = 0``; ``A`` grows by the same amounts, and ``E[e^{-A}] = Z_0 / Z_1``.

    A transport of few arguments, as :class:`~leaps_triton.LocalRates`, need not be evaluated at every event: on tables
    of its rates an event costs nearly the same on every lattice. The law is the same; random numbers are used in
    another way.

    Arguments
        intervals: their number, on a uniform grid, or the increasing times ``0, …, 1``.
        reversible: None, or ``g``: ``"barker"`` ``u / (1 + u)``, ``"square_root"`` ``√u``, ``"metropolis"``
            ``min(1, u)``.
        scale: of the reversible rates, moves a unit of time, finite and > 0.
        max_events: a walker that needs more evaluations raises an error; None for ``1000 + 100 N`` on ``N`` sites, plus
            the intervals and, with reversible rates, ``2 · scale`` times the number of moves.
        tables: None for tables where transport and model allow, False for none, True for an error where they do not.

    Raises
        ValueError: no interval, times that do not increase from 0 to 1, unknown reversible rates, a scale out of range.

    References
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025), for the continuous-time weights.
        Bortz, Kalos, Lebowitz, *A new algorithm for Monte Carlo simulation of Ising spin systems*, J. Comput. Phys. 17,
        10 (1975), for kinetic Monte Carlo without rejections.

    Example
        >>> Jump(intervals=4).frozen
        tensor([0.1250, 0.3750, 0.6250, 0.8750], dtype=torch.float64)
    """

    def __init__(
        self,
        intervals: int | Sequence[float] | Tensor = 25,
        reversible: str | None = None,
        scale: float = 1.0,
        max_events: int | None = None,
        tables: bool | None = None,
    ) -> None:
        if isinstance(intervals, int):
            if intervals < 1:
                raise ValueError(f"intervals must be at least 1, got {intervals}")
            self.times = torch.linspace(0.0, 1.0, intervals + 1, dtype=torch.float64)
        else:
            self.times = torch.as_tensor(intervals, dtype=torch.float64).detach().cpu()
            ends = self.times.ndim == 1 and len(self.times) > 1 and self.times[0] == 0.0 and self.times[-1] == 1.0
            if not ends or not (self.times.diff() > 0).all():
                raise ValueError(f"intervals must be a number, or increasing times from 0 to 1, got {intervals}")
        if reversible is not None and reversible not in kernels.REVERSIBLE:
            raise ValueError(f"reversible must be None or one of {', '.join(kernels.REVERSIBLE)}, got {reversible!r}")
        if not 0.0 < scale < float("inf"):
            raise ValueError(f"scale must be finite and > 0, got {scale}; for no reversible rates, reversible=None")
        if max_events is not None and max_events < 1:
            raise ValueError(f"max_events must be at least 1, got {max_events}")
        self.reversible, self.scale, self.max_events, self.tables = reversible, scale, max_events, tables

    def with_times(self, times: Sequence[float] | Tensor) -> "Jump":
        """The same integrator on other times."""
        other = copy.copy(self)
        other.times = Jump(times).times
        return other

    @property
    def intervals(self) -> int:
        """Number of intervals ``N``."""
        return len(self.times) - 1

    @property
    def frozen(self) -> Tensor:
        """Frozen times ``τ_0 … τ_{N-1}``, float64 ``(N,)``."""
        return (self.times[1:] + self.times[:-1]) / 2

    @property
    def densities(self) -> Tensor:
        """Times whose density the weights aim at in turn: ``0, τ_0, …, τ_{N-1}, 1``, float64 ``(N + 2,)``."""
        return torch.cat([self.times[:1], self.frozen, self.times[-1:]])

    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> JumpState:
        """Walkers at ``t = 0`` with ``A = 0``, before the first interval; backward at ``t = 1``, after the last."""
        zeros = torch.zeros(len(walkers), dtype=torch.float64, device=walkers.device)
        counts = torch.zeros_like(walkers)
        interval = counts + self.intervals if backward else counts - 1
        return JumpState(configurations, zeros, interval, zeros, walkers, counts)

    def enter(self, state: JumpState, path: AnnealingPath, backward: bool = False) -> tuple[JumpState, Tensor]:
        """Every walker at the end of its interval enters the next, or finishes; also which did, bool ``(walkers,)``."""
        device = state.walkers.device
        densities = self.densities.to(device)
        # One entry more, for the walkers that finish at either end: no time left.
        lengths = torch.cat([self.times.diff(), torch.zeros(1, dtype=torch.float64)]).to(device)
        unfinished = state.interval >= 0 if backward else state.interval < self.intervals
        entering = (state.remaining == 0) & unfinished
        interval = state.interval + (-entering.long() if backward else entering.long())
        # Where no walker moves on, both times are the same and the increment is 0.
        earlier, later = (interval, state.interval) if backward else (state.interval, interval)
        increment = path.log_increment(state.configurations, densities[earlier + 1], densities[later + 1])
        return state._replace(
            log_weights=state.log_weights + increment,
            interval=interval,
            remaining=torch.where(entering, lengths[interval], state.remaining),
        ), entering

    def step(
        self,
        state: JumpState,
        path: AnnealingPath,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> tuple[JumpState, JumpInfo]:
        """Every walker with time remaining advances by one event or to the end of its interval; others are left alone.

        Without a transport there must be reversible rates.
        A walker whose rates are not finite stays where it is, and its ``A`` turns NaN; :meth:`check` reports it.
        """
        interval = state.interval.clamp(0, self.intervals - 1)
        tau = self.frozen.to(interval.device)[interval]
        rates = evaluate(path, transport, state.configurations, tau, self.reversible, self.scale, backward)
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

    def tabulated(self, path: AnnealingPath, transport: Transport | None) -> bool:
        """Whether :meth:`run_interval` can and should run the intervals; not without a transport.

        Raises
            ValueError: ``tables=True``, and why there can be none.
        """
        if self.tables is False or transport is None:
            return False
        reason = tables.obstacle(path, transport)
        if self.tables and reason:
            raise ValueError(f"Jump(tables=True) cannot run on tables: {reason}")
        return not reason

    def run_interval(
        self, state: JumpState, path: AnnealingPath, transport: Transport, seed: int, backward: bool = False
    ) -> JumpState:
        """All walkers, which stand in one interval, to its end, on tables of the rates; for :meth:`tabulated` only.

        Raises
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
            self._check(state, after.exit_rate, after.corrector, state.configurations[0].numel())
        return state

    def check(self, state: JumpState, info: JumpInfo) -> None:
        """Raise a RuntimeError naming walker, t and rate if a rate was not finite or a walker has too many events."""
        self._check(state, info.rates.exit_rate, info.rates.corrector, info.rates.rates[0].numel())

    def _check(self, state: JumpState, exit_rate: Tensor, corrector: Tensor, moves: int) -> None:
        bad = ~state.log_weights.isfinite()
        limit = self.max_events or 1000 + 100 * state.configurations[0].numel() + self.intervals
        if self.max_events is None and self.reversible is not None:
            limit += int(2.0 * self.scale * moves)
        many = state.events > limit
        if not bool((bad | many).any()):
            return
        row = int((bad if bool(bad.any()) else many).nonzero()[0])
        walker, interval = int(state.walkers[row]), int(state.interval[row])
        rate, kappa = float(exit_rate[row]), float(corrector[row])
        where = f"walker {walker} at t = {float(self.frozen[min(interval, self.intervals - 1)]):.6g}"
        if bool(bad.any()):
            raise RuntimeError(
                f"{where}: exit rate {rate:g} and corrector {kappa:g} must be finite; the network's output there "
                f"is too large or not a number (train longer, or with a smaller learning_rate)"
            )
        raise RuntimeError(
            f"{where} has needed more than max_events = {limit} evaluations, exit rate {rate:g}; its rates are too "
            f"large for this lattice (train longer), or raise Jump(max_events=)"
        )
