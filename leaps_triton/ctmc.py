"""Integrators of the continuous-time Markov chain along a path, with exact weights."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from . import kernels
from .domains import Domains, advance, as_domain, count, divide, reach_of
from .path import AnnealingPath
from .rates import Rates, Transport, evaluate, examine

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
    """Time left in that interval, float64 ``(walkers,)``; 0 at its end. All of it until all domains are through"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    events: Tensor
    """Evaluations so far, int64 ``(walkers,)``: the Philox event counter"""
    clocks: Tensor
    """Time left to each domain in that interval, float64 ``(walkers, domains)``; 0 before the first step in it"""


class JumpInfo(NamedTuple):
    """What one step did."""

    move: Tensor
    """Move made, int64 ``(walkers,)``, as in :class:`~leaps_triton.kernels.JumpStep`; -1 for none. With domains one for
    each that could move, ``(walkers, domains of a class)``"""
    rates: Rates
    """Of the walkers that were evaluated; with domains, of the sites that could move"""


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

    With ``domain`` the lattice is cut into blocks of that edge length. Within an interval the sites of one class of
    blocks move at a time, class after class and each for the full ``t_{n+1} - t_n``, with the in-rates and ``κ`` of
    these sites alone; blocks of one class lie out of one another's reach, so that each has a clock of its own and all
    of them advance by one evaluation. The weights stay exact. It pays where a walker makes many more moves
    than there are intervals times classes: on large lattices with few intervals. With a network of reach 2 at β = 0.3
    (``experiments/domain_jumps.py``), 32 × 32 sites and 5 intervals took 46 evaluations a walker, not 161, at equal
    ``Var[A]``; with 20 intervals 150, not 176; 16 × 16 sites with 20 intervals 111, not 59.

    Backward, ``init``, ``enter`` and ``step`` run the same intervals from the last to the first by the reversed
    process, from walkers of ``ρ_1`` to ``t = 0``; ``A`` grows by the same amounts, and ``E[e^{-A}] = Z_0 / Z_1``.

    Arguments
        intervals: their number, on a uniform grid, or the increasing times ``0, …, 1``.
        reversible: None, or ``g``: ``"barker"`` ``u / (1 + u)``, ``"square_root"`` ``√u``, ``"metropolis"``
            ``min(1, u)``.
        scale: of the reversible rates, moves a unit of time, finite and > 0.
        max_events: a walker that needs more evaluations raises an error; None for ``1000 + 100 N`` on ``N`` sites, plus
            the intervals (with domains, times their number) and, with reversible rates, ``2 · scale`` times the
            number of moves.
        domain: edge length of the blocks, or one for each direction, dividing the lattice's; None for no blocks. The
            transport must have an attribute ``reach``, the largest distance in any direction between a site and those
            that ``G`` reads there.

    Raises
        ValueError: no interval, times that do not increase from 0 to 1, unknown reversible rates, a scale out of range,
            a domain that is no length.

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
        domain: int | Sequence[int] | None = None,
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
        self.reversible, self.scale, self.max_events = reversible, scale, max_events
        self.domain = as_domain(domain)

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

    def domains(self, path: AnnealingPath, transport: Transport | None, device: torch.device) -> Domains | None:
        """How the lattice of ``path`` is cut for ``transport``; None without ``domain``.

        Raises
            ValueError: a domain that does not fit the lattice; a transport or model whose reach is not known.
        """
        if self.domain is None:
            return None
        return divide(path.model.lattice, self.domain, reach_of(path, transport), device)

    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> JumpState:
        """Walkers at ``t = 0`` with ``A = 0``, before the first interval; backward at ``t = 1``, after the last."""
        zeros = torch.zeros(len(walkers), dtype=torch.float64, device=walkers.device)
        counts = torch.zeros_like(walkers)
        interval = counts + self.intervals if backward else counts - 1
        clocks = zeros.new_zeros(len(walkers), count(configurations.shape[1:], self.domain))
        return JumpState(configurations, zeros, interval, zeros, walkers, counts, clocks)

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

        With domains, every domain of the class that is up. Without a transport there must be reversible rates.
        A walker whose rates are not finite stays where it is, and its ``A`` turns NaN; :meth:`check` reports it.
        """
        interval = state.interval.clamp(0, self.intervals - 1)
        tau = self.frozen.to(interval.device)[interval]
        domains = self.domains(path, transport, interval.device)
        if domains is not None:
            return self._step_domains(domains, state, path, transport, tau, seed, backward)
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
        after = advance(domains, evaluation, state.configurations, clocks, state.walkers, state.events, seed, *rule)
        return state._replace(
            configurations=after.configurations,
            log_weights=state.log_weights + after.gain,
            remaining=torch.where((after.clocks == 0).all(1), 0.0, state.remaining),
            events=state.events + (state.remaining != 0),
            clocks=after.clocks,
        ), JumpInfo(after.move, after.rates)

    def check(self, state: JumpState, info: JumpInfo) -> None:
        """Raise a RuntimeError naming walker, t and rate if a rate was not finite or a walker has too many events."""
        bad = ~state.log_weights.isfinite()
        sites, domains = state.configurations[0].numel(), max(1, state.clocks.shape[1])
        limit = self.max_events or 1000 + 100 * sites + self.intervals * domains
        if self.max_events is None and self.reversible is not None:
            limit += int(2.0 * self.scale * info.rates.rates.shape[1] * sites)
        # Each evaluation uses a number of the 32-bit event counter for every domain of a class.
        counters = 2**32 // domains - 1
        limit = min(limit, counters)
        many = state.events > limit
        if not bool((bad | many).any()):
            return
        row = int((bad if bool(bad.any()) else many).nonzero()[0])
        walker, interval = int(state.walkers[row]), int(state.interval[row])
        rate, corrector = float(info.rates.exit_rate[row]), float(info.rates.corrector[row])
        where = f"walker {walker} at t = {float(self.frozen[min(interval, self.intervals - 1)]):.6g}"
        if bool(bad.any()):
            raise RuntimeError(
                f"{where}: exit rate {rate:g} and corrector {corrector:g} must be finite; the network's output there "
                f"is too large or not a number (train longer, or with a smaller learning_rate)"
            )
        remedy = "take larger domains" if limit == counters else "raise Jump(max_events=)"
        raise RuntimeError(
            f"{where} has needed more than max_events = {limit} evaluations, exit rate {rate:g}; its rates are too "
            f"large for this lattice (train longer), or {remedy}"
        )
