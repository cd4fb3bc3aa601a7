"""Integrators of the continuous-time Markov chain along a path, with exact weights."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple, Self, TypeAlias, cast

import torch
from torch import Tensor

from . import kernels, tables
from .domains import Domains, advance, as_domain, count, divide, reach_of
from .kernels.checks import as_integer, as_number, expect
from .path import AnnealingPath
from .rates import Rates, Transport, evaluate, examine, rates_of

__all__ = ["Integrator", "Jump", "JumpInfo", "JumpState", "LeapInfo", "LeapState", "State", "TauLeap", "leap_increment"]


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

    def descend(self, ancestors: Tensor) -> "JumpState":
        """What the slots have from ``ancestors``, int64 ``(walkers,)``; indices and counters stay with the slots."""
        return self._replace(configurations=self.configurations[ancestors])


class LeapState(NamedTuple):
    """As :class:`JumpState`, with the last evaluation, which the next step uses if nothing has moved the walkers."""

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
    """Its rates in the direction of travel, ``(walkers, q-1, *shape)``; ``(walkers, 0)`` before the first"""
    corrector: Tensor
    """Its ``κ``, float64 ``(walkers,)``"""
    energy: Tensor
    """Its ``H``, float64 ``(walkers,)``"""

    def descend(self, ancestors: Tensor) -> "LeapState":
        """What the slots have from ``ancestors``, int64 ``(walkers,)``; indices and counters stay with the slots."""
        inherited = ("configurations", *self._fields[self._fields.index("evaluated") :])
        return self._replace(**{name: getattr(self, name)[ancestors] for name in inherited})


State: TypeAlias = JumpState | LeapState
"""Walkers of any integrator."""


class JumpInfo(NamedTuple):
    """What one step did."""

    move: Tensor
    """Move made, int64 ``(walkers,)``, as in :class:`~leaps_triton.kernels.JumpStep`; -1 for none. With domains one for
    each that could move, ``(walkers, domains of a class)``"""
    rates: Rates
    """Of the walkers that were evaluated; with domains, of the sites that could move"""


class LeapInfo(NamedTuple):
    """What one step did."""

    moved: Tensor
    """Sites that moved, int64 ``(walkers,)``"""
    exit_rate: Tensor
    """``Σ_i Λ_i`` before the step, float64 ``(walkers,)``"""
    reversed_rate: Tensor
    """``Σ_i M_i`` after the step (Euler: before), float64 ``(walkers,)``"""


def _as_times(intervals: int | Sequence[float] | Tensor, name: str) -> Tensor:
    """The grid, float64 ``(intervals + 1,)``, from a number of intervals or its times."""
    if isinstance(intervals, Integral) or (isinstance(intervals, Tensor) and intervals.ndim == 0):
        return torch.linspace(0.0, 1.0, as_integer(name, intervals, 1) + 1, dtype=torch.float64)
    try:
        given = torch.as_tensor(intervals)
        times = torch.as_tensor([0.0] if given.is_complex() else intervals, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        times = torch.zeros(1)
    ends = times.ndim == 1 and len(times) > 1 and times[0] == 0.0 and times[-1] == 1.0
    rising = bool(ends) and bool((times.diff() > 0).all())
    expect(rising, name, "a number, or increasing times from 0 to 1", intervals)
    return times


class Integrator(ABC):
    """What a sampler asks of an integrator: a grid of times, and walkers that go through its intervals.

    Interval ``n`` has a frozen time ``τ_n``. On entering it ``A`` grows by ``log ρ̃_{τ_n}(x) - log ρ̃_{τ_{n-1}}(x)``,
    ``τ_{-1} = 0`` and ``τ_N = 1``; within it :meth:`step` keeps the weighted law ``ρ_{τ_n}``. So kernels that leave
    ``ρ_{τ_n}`` invariant, and resampling, may act between the two.

    Attributes
        times: ``0 = t_0 < … < t_N = 1``, float64 ``(N + 1,)``.
        reversible: name of the reversible rates, which move walkers without a transport too; None for none.
        exact: whether the weights are, so that they hold for reversed paths too.
        patience: steps between two looks at the walkers on a GPU, which each look makes wait.
    """

    times: Tensor
    reversible: str | None
    exact: bool = True
    patience: int = 16

    def with_times(self, times: Sequence[float] | Tensor) -> Self:
        """The same integrator on other times."""
        other = copy.copy(self)
        other.times = _as_times(times, "times")
        return other

    @property
    def intervals(self) -> int:
        """Number of intervals ``N``."""
        return len(self.times) - 1

    @property
    @abstractmethod
    def frozen(self) -> Tensor:
        """Frozen times ``τ_0 … τ_{N-1}``, float64 ``(N,)``."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Arguments that, after the times, make this integrator again; plain JSON."""

    @property
    def densities(self) -> Tensor:
        """Times whose density the weights aim at in turn: ``0, τ_0, …, τ_{N-1}, 1``, float64 ``(N + 2,)``."""
        return torch.cat([self.times[:1], self.frozen, self.times[-1:]])

    @abstractmethod
    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> Any:
        """Walkers at ``t = 0`` with ``A = 0``, before the first interval; backward at ``t = 1``, after the last."""

    def enter(self, state: Any, path: AnnealingPath, backward: bool = False) -> tuple[Any, Tensor]:
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

    @abstractmethod
    def step(
        self, state: Any, path: AnnealingPath, transport: Transport | None, seed: int, backward: bool = False
    ) -> tuple[Any, Any]:
        """Walkers with time remaining advance, by less than it or all of it; others are left alone."""

    @abstractmethod
    def check(self, state: Any, info: Any) -> None:
        """Raise a RuntimeError naming walker, t and rate if the step led to what is not finite."""


class Jump(Integrator):
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

    A transport of few arguments, as :class:`~leaps_triton.LocalRates`, need not be evaluated at every event: on tables
    of its rates an event costs nearly the same on every lattice. The law is the same; random numbers are used in
    another way.

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
        tables: None for tables where transport and model allow, False for none, True for an error where they do not.
            There are none with domains.

    Raises
        ValueError: no interval, times that do not increase from 0 to 1, unknown reversible rates, a scale out of range,
            a domain that is no length, ``tables=True`` with a domain.

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
        tables: bool | None = None,
    ) -> None:
        self.times = _as_times(intervals, "intervals")
        if reversible is not None and reversible not in kernels.REVERSIBLE:
            raise ValueError(f"reversible must be None or one of {', '.join(kernels.REVERSIBLE)}, got {reversible!r}")
        self.scale = as_number("scale", scale, "finite and > 0", lambda value: 0.0 < value < math.inf)
        self.reversible = reversible
        self.max_events = None if max_events is None else as_integer("max_events", max_events, 1)
        self.domain = as_domain(domain)
        expect(tables is None or isinstance(tables, bool), "tables", "None or a bool", tables)
        if tables and domain is not None:
            raise ValueError(f"tables must be None or False with domains, got tables=True and domain={domain}")
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

    def tabulated(self, path: AnnealingPath, transport: Transport | None) -> bool:
        """Whether :meth:`run_interval` can and should run the intervals; not without a transport.

        Raises
            ValueError: ``tables=True``, and why there can be none.
        """
        if self.tables is False or self.domain is not None or transport is None:
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
            self._check(state, after.exit_rate, after.corrector, shifts=1)
        return state

    def check(self, state: JumpState, info: JumpInfo) -> None:
        """Raise a RuntimeError naming walker, t and rate if a rate was not finite or a walker has too many events."""
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
        where = f"walker {walker} at t = {float(self.frozen[min(interval, self.intervals - 1)]):.6g}"
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


WEIGHTS = ("exact", "euler")
"""Names of the weights of :class:`TauLeap`."""
_FLOOR, _REVERSIBLE = 0.3, "square_root"


class TauLeap(Integrator):
    """All sites at once, in a fixed number of steps, with exact weights: the ratio of a step's and its reverse's odds.

    At ``x`` and ``t`` every site moves, once at most, by the rates ``λ_k(i|x) = [G_k(i|x, t)]_+ + floor ·
    g(e^{Δ_k(i)})``, held fixed for the step ``h``; ``F(y|x)`` is the product over sites of
    :func:`~leaps_triton.kernels.tau_leap_step`. The same with ``μ_k(i|y) = [-G_k(i|y, t+h)]_+ e^{Δ_k(i)} + floor ·
    g(e^{Δ_k(i)})``, ``Δ`` at ``y`` and ``t + h``, is the way back, ``B(x|y)``, and ``A += log ρ̃_{t+h}(y) - log
    ρ̃_t(x) + log B(x|y) - log F(y|x)``. Then ``E[e^A] = Z_1/Z_0`` and the weighted law is ``ρ_1``, for every network and
    any number of steps; with many, ``Var[A]`` is that of :class:`Jump` and a part that falls like ``h``. The evaluation
    for the way back is the next step's own: ``N`` steps take ``N + 1`` evaluations of the network, and ``2 N`` where an
    mcmc kernel moves the walkers between them.

    The floor opens every move, forth and back. A way back that begins where no way forth leads is mass that the weights
    miss, and a step without a way back has weight 0. A tiny floor is right in the mean and wrong in any run: it should
    matter, 0.1 to 1. Where two neighbours move at once by a floor ``√u``, the weights cancel to leading order in ``h``;
    with a bounded ``g``, which is slower where ``Δ`` is large, they do not.

    With ``weights="euler"``, those of the paper: ``A += h ξ_t(x)``, ``ξ_t = ∂_t log ρ̃_t + κ_t``, without a floor. They
    are **biased**, by ``O(h)``, and no ESS shows it.

    The frozen time of an interval is its beginning, where the weighted law is ``ρ_{t_n}``: kernels act there.

    Arguments
        steps: their number, on a uniform grid, or the increasing times ``0, …, 1``.
        weights: ``"exact"`` or ``"euler"``.
        floor: moves a unit of time where ``g = 1``, finite and ≥ 0; > 0 for exact weights. None for 0.3 with exact
            weights and 0 with Euler's.
        reversible: ``g`` of the floor, ``"square_root"`` ``√u``, ``"barker"`` ``u / (1 + u)`` or ``"metropolis"``
            ``min(1, u)``; positive for every move, and without effect on the limit ``h → 0`` of ``A``.

    Raises
        ValueError: no step, times that do not increase from 0 to 1, unknown weights or rates, a floor out of range.

    References
        Gillespie, *Approximate accelerated stochastic simulation of chemically reacting systems*, J. Chem. Phys. 115,
        1716 (2001), for the leap. Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025), for Euler weights.
        Zanella, *Informed proposals for local MCMC in discrete spaces*, arXiv:1711.07424 (2017), for ``g``.

    Example
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
        self.times = _as_times(steps, "steps")
        if weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
        self.exact = weights == "exact"
        if reversible not in kernels.REVERSIBLE:
            raise ValueError(f"reversible must be one of {', '.join(kernels.REVERSIBLE)}, got {reversible!r}")
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
        return {"weights": self.weights, "floor": self.floor, "reversible": self.reversible or _REVERSIBLE}

    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> LeapState:
        """Walkers at ``t = 0`` with ``A = 0``, before the first step; backward at ``t = 1``, after the last."""
        zeros = torch.zeros(len(walkers), dtype=torch.float64, device=walkers.device)
        counts = torch.zeros_like(walkers)
        if backward and not self.exact:
            raise ValueError("Euler's weights hold for no reversed path; take TauLeap(weights='exact')")
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
        stale = (state.evaluated_at != here) | (state.evaluated != state.configurations).flatten(1).any(1)
        some, again = torch.stack([active.any(), (active & stale).any()]).tolist()
        if not some:
            nought = torch.zeros_like(state.log_weights)
            return state, LeapInfo(torch.zeros_like(state.walkers), nought, nought)
        if again:
            rates = rates_of(
                examine(path, transport, state.configurations, here), self.reversible, self.floor, backward
            )
            state = _carry(state, rates, here)._replace(events=state.events + active)
        x, h = state.configurations, torch.where(active, state.remaining, 0.0)
        y, log_there = kernels.tau_leap_step(x, state.rates, h, state.walkers, state.events, seed)
        exit_rate = state.rates.flatten(1).sum(1, dtype=torch.float64)
        if self.exact:
            found = examine(path, transport, y, there)
            ahead, back = (rates_of(found, self.reversible, self.floor, way) for way in (backward, not backward))
            log_back = kernels.tau_leap_log_probability(y, x, back.rates, h)
            # Both densities at one time: what changes with time is added on entering.
            gain = path.beta(tau).to(h.device) * (state.energy - ahead.energy) + log_back - log_there
            gain, reversed_rate = -gain if backward else gain, back.exit_rate
            state = _carry(state._replace(configurations=y, events=state.events + active), ahead, there)
        else:
            drift = path.time_derivative(state.energy, tau) + state.corrector
            # The paper's increment, less the change of density that is added on entering.
            gain, reversed_rate = h * drift - path.log_increment(y, tau, there), exit_rate - state.corrector
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
        where = (
            f"walker {int(state.walkers[row])} in the step from t = {t:.6g}: exit rate {rates[0]:g} and reversed exit"
        )
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
    """What a step of :class:`TauLeap` from ``x`` to ``y`` adds to ``A``, for given ends, float64 ``(walkers,)``.

    ``log ρ̃_{t+h}(y) - log ρ̃_t(x) + log B(x|y) - log F(y|x)``, by one evaluation at ``(x, t)`` and one at ``(y, t+h)``;
    can be differentiated through both with respect to the network's parameters. The sum over the steps of a path is
    ``A``, whoever chose the path.

    Arguments
        transport: None for the floor alone.
        configurations, after: ``x`` and ``y``, ``(walkers, *shape)``.
        t, t_next: numbers or float64 ``(1 | walkers,)``, ``t < t_next``.
        floor, reversible: as of :class:`TauLeap`; None for no floor, and minus infinity where there is no way back.

    Raises
        ValueError: times in the wrong order, shapes that differ, neither a transport nor a floor.

    Example
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.2))
        >>> x = path.start.sample(torch.arange(3), seed=0)
        >>> leap_increment(path, None, x, -x + 1, 0.0, 0.25).shape
        torch.Size([3])
    """
    device = configurations.device
    earlier, later = (torch.as_tensor(s, dtype=torch.float64, device=device).view(-1) for s in (t, t_next))
    duration = (later - earlier).expand(len(configurations))
    if not bool((duration > 0).all()):
        raise ValueError(f"t_next must lie after t, got t = {t} and t_next = {t_next}")
    if after.shape != configurations.shape:
        raise ValueError(f"after must have shape {tuple(configurations.shape)}, got {tuple(after.shape)}")
    there = rates_of(examine(path, transport, configurations, earlier), reversible, floor)
    back = rates_of(examine(path, transport, after, later), reversible, floor, backward=True)
    density = path.beta(earlier) * there.energy - path.beta(later) * back.energy
    log_back = kernels.tau_leap_log_probability(after, configurations, back.rates, duration)
    return density + log_back - kernels.tau_leap_log_probability(configurations, after, there.rates, duration)
