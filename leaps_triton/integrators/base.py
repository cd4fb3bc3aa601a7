"""What samplers ask of every integrator: a grid of times, and walkers that go through it."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from ..kernels.graphs.packing import packed_once
from ..paths.base import Path
from .grids import Grid, as_times
from .rates import Reversible
from .rollouts.boundaries import Boundary, Nobody, Way, enter_all, enter_some
from .rollouts.loops import is_recorded, run_apart, run_to_the_end
from .rollouts.rollout import rollouts
from .states import returned, some
from .transport import Transport, as_transport

__all__ = ["Boundary", "Integrator", "Way", "as_times"]


class Integrator(ABC):
    """A grid of times, and walkers that go through its intervals.

    Interval ``n`` has a frozen time ``τ_n``. On entering it ``A`` grows by ``log ρ̃_{τ_n}(x) - log
    ρ̃_{τ_{n-1}}(x)``, ``τ_{-1} = 0`` and ``τ_N = 1``; within it :meth:`step` keeps the weighted law
    ``ρ_{τ_n}``. So moves that leave ``ρ_{τ_n}`` invariant, and resampling, may act between the two.
    Where the density is ``running``, entering adds nothing, and the weighted law at the boundary is
    that of ``t_n``.

    Attributes:
        times: ``0 = t_0 < … < t_N = 1``, float64 ``(N + 1,)``.
        reversible: name of the reversible rates, which move walkers without a transport too; None
            for none.
        exact: whether the weights are, so that they hold for reversed paths too.
        patience: steps between two looks at the walkers on a GPU, which each look makes wait.
        recordable: whether :meth:`step` looks at no number, so that steps can be recorded.
        running: whether the density of the weights goes on within an interval, from that of its
            beginning to that of its end.
        follows: kind of the transports that it takes, ``"rates"`` or ``"drift"``.
        takes_any_drift: whether it follows every drift, the velocity of a path too.
        bias: how weights that are not exact are biased, in words for tables; empty for exact ones.
        one_way: why weights that are not exact hold for no reversed path, and what to take.
    """

    times: Tensor
    reversible: str | None
    follows: str = "rates"
    takes_any_drift: bool = False
    exact: bool = True
    bias: str = ""
    one_way: str = ""
    patience: int = 16
    recordable: bool = False
    running: bool = False

    @property
    @abstractmethod
    def frozen(self) -> Tensor:
        """Frozen times ``τ_0 … τ_{N-1}``, float64 ``(N,)``."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Arguments that, after the times, make this integrator again; plain JSON."""

    @abstractmethod
    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> Any:
        """Return walkers at ``t = 0`` with ``A = 0``, before the first interval.

        Args:
            configurations: ``(walkers, *shape)``.
            walkers: their global indices, int64 ``(walkers,)``.
            backward: whether they begin at ``t = 1``, after the last interval.
        """

    @abstractmethod
    def step(
        self,
        state: Any,
        path: Path,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> tuple[Any, Any]:
        """Advance walkers with time remaining, by less than it or all of it; leave others alone."""

    @abstractmethod
    def check(self, state: Any, info: Any, path: Path | None = None) -> None:
        """Raise a RuntimeError naming walker, t and rate if the step led to what is not finite.

        Args:
            state: the walkers after the step.
            info: what the step did.
            path: the annealing path, so that the error can say whether β is the reason.
        """

    def broken(self, state: Any, info: Any) -> Tensor:
        """Return which walkers :meth:`check` refuses, bool ``(walkers,)``."""
        bad: Tensor = ~state.log_weights.isfinite()
        return bad

    @property
    def intervals(self) -> int:
        """Number of intervals ``N``."""
        return len(self.times) - 1

    def outside(self, walkers: Tensor, backward: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return zeros, counts of no event, and the intervals of walkers at their start.

        These are outside the path, with no time left: the first call of :meth:`enter` moves every
        walker in.

        Args:
            walkers: their global indices, int64 ``(walkers,)``.
            backward: whether they begin at ``t = 1``.
        """
        zeros = torch.zeros(len(walkers), dtype=torch.float64, device=walkers.device)
        counts = torch.zeros_like(walkers)
        if backward:
            return zeros, counts, counts + self.intervals
        return zeros, counts, counts - 1

    @property
    def boundary_times(self) -> Tensor:
        """Return the time of the density that walkers are weighed for on entering an interval.

        Moves and resampling act there: at ``τ_n``, or at ``t_n`` where the density is running;
        float64 ``(N,)``.
        """
        if self.running:
            return self.times[:-1]
        return self.frozen

    @property
    def densities(self) -> Tensor:
        """Return ``0``, the boundary times and ``1``, float64 ``(N + 2,)``: those of weights."""
        return torch.cat([self.times[:1], self.boundary_times, self.times[-1:]])

    @property
    def added(self) -> Reversible | None:
        """The reversible rates themselves; None for none."""
        return None

    @property
    def moves_alone(self) -> bool:
        """Return whether walkers move without a transport too."""
        return self.reversible is not None

    @property
    def single(self) -> bool:
        """Whether one step moves one site at most, so that a transport may follow it."""
        return False

    @cached_property
    def _grids(self) -> dict[torch.device, Grid]:
        """The times on every device that asked for them."""
        return {}

    def grid(self, device: torch.device) -> Grid:
        """Return the times on a device, sent there once."""
        if device not in self._grids:
            # One entry more, for the walkers that finish at either end: no time left.
            nought = torch.zeros(1, dtype=torch.float64)
            lengths = torch.cat([self.times.diff(), nought])
            times = (self.times, self.frozen, self.densities, lengths)
            self._grids[device] = Grid(*(each.to(device) for each in times))
        return self._grids[device]

    def with_times(self, times: int | Sequence[float] | Tensor) -> Self:
        """Return the same integrator on other times, or so many even intervals."""
        return type(self)(as_times(times, "times"), **self.settings)  # type: ignore[call-arg]

    def settled(self, path: Path, transport: Transport | None, before: object = None) -> Self:
        """Return the same integrator with what it leaves to the library decided.

        Args:
            path: the annealing path.
            transport: None for the reversible rates alone.
            before: that of a run that goes on, which keeps what was decided then; None for none.

        Raises:
            ValueError: what is asked for cannot be had with this path and transport.
        """
        return self

    # Most integrators have no conditions, so this is no abstract method.
    def accept(  # noqa: B027
        self, path: Path, transport: Transport | None, device: torch.device
    ) -> None:
        """Raise a ValueError if this integrator cannot take a transport along a path."""

    def expect_states(self, path: Path) -> None:
        """Raise a ValueError where reversible rates would move what has no states."""
        dtype = path.model.dtype
        if self.moves_alone and dtype.is_floating_point:
            raise ValueError(
                f"{type(self).__name__} moves sites between q states, and configurations of "
                f"{path.model!r} are {dtype}; take MapStep or PathRatio"
            )

    def waits(self, path: Path, transport: Transport | None) -> bool:
        """Return whether the walkers of a block wait for one another at every boundary."""
        return False

    def picks(self, device: torch.device) -> bool:
        """Return whether a step is handed only the walkers with time remaining: on a CPU.

        A GPU would have to be waited for to say which they are.
        """
        return device.type == "cpu"

    def looks(self, device: torch.device) -> int:
        """Return the number of steps between two looks at the walkers, 1 on a CPU."""
        if device.type == "cpu":
            return 1
        return self.patience

    def enter(self, state: Any, path: Path, backward: bool = False) -> tuple[Any, Tensor]:
        """Let every walker at the end of its interval enter the next, or finish.

        Returns:
            The walkers, and which of them did, bool ``(walkers,)``.
        """
        device = state.walkers.device
        # A GPU has one kernel for it, and a look at which walkers enter would wait for it.
        if not self.picks(device):
            return enter_all(self.grid(device), state, path, backward)
        # 0 is exact here: the last step of an interval takes away all the time that was left.
        if backward:
            entering = (state.remaining == 0) & (state.interval >= 0)
        else:
            entering = (state.remaining == 0) & (state.interval < self.intervals)
        rows = entering.nonzero().squeeze(1)
        if len(rows) == len(entering):
            return enter_some(self.grid(device), state, entering, path, backward), entering
        # Densities are wanted of these walkers alone, which are few where each goes its own way.
        if len(rows):
            part = enter_some(self.grid(device), some(state, rows), entering[rows], path, backward)
            state = state._replace(
                log_weights=state.log_weights.index_copy(0, rows, part.log_weights),
                interval=state.interval.index_copy(0, rows, part.interval),
                remaining=state.remaining.index_copy(0, rows, part.remaining),
            )
        return state, entering

    def run(
        self,
        state: Any,
        path: Path,
        transport: Transport | None,
        seed: int,
        boundary: Boundary | None = None,
        backward: bool = False,
        end: int | None = None,
        block: int | None = None,
    ) -> Any:
        """Take a block of walkers through all intervals, from :meth:`init` to the other end.

        Walkers that nothing makes wait enter their next intervals each for itself.

        Args:
            state: the walkers, as :meth:`init` returns them.
            path: the annealing path.
            transport: None for the reversible rates alone, or for no motion within intervals.
            seed: in [0, 2³²).
            boundary: what happens where walkers enter an interval; None for nothing.
            backward: whether they go from ``t = 1`` to ``t = 0`` by the reversed process.
            end: walkers of this global index and later ones only fill the block: what goes wrong
                with them stops them, with weight 0, and is no error. None for none.
            block: walkers that the transport evaluates together, where the state holds several
                blocks; None for all.

        Raises:
            RuntimeError: a rate that is not finite, or a walker with too many events.
        """
        if boundary is None:
            boundary = Nobody()
        walkers = len(state.walkers)
        # One move between two evaluations is all that a transport can follow.
        answers = as_transport(transport).ride(walkers, block or walkers, follow=self.single)
        way = Way(path, answers, seed, rollouts(), backward, end)
        # No weight changes on the way.
        with packed_once():
            # Walkers wait: resampling compares weights of one density, and moves have one time.
            if backward or boundary.acts or self.waits(path, transport):
                return self._run_together(state, way, boundary)
            if not boundary.watches and is_recorded(self, state, way):
                return run_apart(self, state, way, boundary)
            return self._run_apart(state, way, boundary)

    def run_interval(
        self,
        state: Any,
        path: Path,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> Any:
        """Take all walkers to the end of the interval they are in.

        Raises:
            RuntimeError: a rate that is not finite, or a walker with too many events.
        """
        walkers = len(state.walkers)
        answers = as_transport(transport).ride(walkers, walkers, follow=self.single)
        return self._to_the_end(state, Way(path, answers, seed, rollouts(), backward))

    def _run_apart(self, state: Any, way: Way, boundary: Boundary) -> Any:
        """Let every walker enter its next interval at once, as nothing acts at the boundaries."""
        patience = self.looks(state.walkers.device)
        # Walkers are in different intervals here, so nothing tells how many steps it takes.
        for count in itertools.count():
            state, entered = self.enter(state, way.path)
            boundary.record(state, entered)
            boundary.observe(state, entered)
            look = count % patience == 0
            if look:
                slowest = int(state.interval.min())
                boundary.advance(slowest)
                if slowest == self.intervals:
                    break
            state = self._advance(state, way, look)
        return state

    def _run_together(self, state: Any, way: Way, boundary: Boundary) -> Any:
        """Let walkers wait for one another at the boundaries, where something acts on them."""
        backward = way.backward
        intervals = range(self.intervals)
        for interval in reversed(intervals) if backward else intervals:
            state, entered = self.enter(state, way.path, backward)
            boundary.record(state, entered)
            # Moves keep ρ_{τ_n}, the law of the walkers only after the density increment.
            if not backward:
                state = boundary.act(state, interval)
            boundary.observe(state, entered)
            boundary.advance(interval)
            state = self._to_the_end(state, way)
            # Reversed in time, what came before an interval comes after it.
            if backward:
                state = boundary.act(state, interval)
        # One density increment more: from the last frozen time on the way to the end of the path.
        state, entered = self.enter(state, way.path, backward)
        boundary.record(state, entered)
        boundary.observe(state, entered)
        boundary.advance(self.intervals)
        return state

    def _to_the_end(self, state: Any, way: Way) -> Any:
        """Take all walkers to the end of their interval, step by step."""
        if way.answers.given is None and not self.moves_alone:
            # Nothing moves within intervals.
            return state._replace(remaining=torch.zeros_like(state.remaining))
        if is_recorded(self, state, way):
            return run_to_the_end(self, state, way)
        # Steps of walkers that have come to the end leave them alone, so a late look does no harm.
        patience = self.looks(state.walkers.device)
        while bool((state.remaining != 0).any()):
            for count in range(patience):
                state = self._advance(state, way, count == 0)
        return state

    def _advance(self, state: Any, way: Way, look: bool) -> Any:
        """Make one step, checked if ``look``."""
        rows: Tensor | None = None
        part = state
        if self.picks(state.walkers.device):
            active = state.remaining != 0
            if not bool(active.all()):
                rows = active.nonzero().squeeze(1)
                part = some(state, rows)
        transport = way.answers.at(slice(None) if rows is None else rows)
        part, info = self.step(part, way.path, transport, way.seed, way.backward)
        if look:
            part = self.checked(part, info, way)
        if rows is None:
            return part
        return returned(state, rows, part)

    def checked(self, state: Any, info: Any, way: Way) -> Any:
        """Return the walkers, :meth:`check` passed; those that only fill the block are stopped."""
        if way.end is None:
            self.check(state, info, way.path)
            return state
        spare = state.walkers >= way.end
        stopped = spare & self.broken(state, info)
        # Nothing is the matter with them as far as the check can see.
        nought = torch.zeros_like(state.events)
        asked = state._replace(
            log_weights=torch.where(spare, 0.0, state.log_weights),
            events=torch.where(spare, nought, state.events),
        )
        self.check(asked, info, way.path)
        return state._replace(
            log_weights=torch.where(stopped, -torch.inf, state.log_weights),
            remaining=torch.where(stopped, 0.0, state.remaining),
        )
