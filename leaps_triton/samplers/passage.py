"""What a sampler does to a block of walkers between two intervals: resampling, then moves."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from ..estimators.weights import effective_sample_size, unchecked_size
from ..integrators.base import Boundary
from ..integrators.states import State, write_trace
from ..mcmc.base import BaseMove
from .along import Recorder, Stops

if TYPE_CHECKING:
    from .sampler import Sampler

__all__ = ["Advance", "Moves", "Observe", "Passage"]


Observe: TypeAlias = Callable[[Any, Tensor], None]
"""``observe(state, entered)`` sees walkers that have entered an interval."""

Advance: TypeAlias = Callable[[int], None]
"""``advance(interval)`` hears which interval the last walker is in."""


class Moves(NamedTuple):
    """A sampler's move and its chains, which go on from boundary to boundary."""

    move: BaseMove | None
    """What leaves ``ρ_t`` invariant; None for nothing"""
    chain: Any
    """State of the move; None without one"""

    @classmethod
    def begin(cls, move: BaseMove | None, state: State) -> "Moves":
        """Return chains that start from the walkers."""
        if move is None:
            return cls(None, None)
        return cls(move, move.init(state.configurations, state.walkers))

    @property
    def sweeps(self) -> int:
        """Sweeps that each walker has had."""
        return 0 if self.move is None else int(self.chain.sweep)

    def step(self, state: Any, path: Any, tau: float, seed: int) -> tuple["Moves", Any]:
        """Return the chains and the walkers after a step of the move at time ``tau``.

        Args:
            state: the walkers.
            path: one that the move can take.
            tau: the time.
            seed: in [0, 2³²).
        """
        if self.move is None:
            return self, state
        # Transport and resampling may have moved the walkers since the last step of the chain.
        chain = self.chain._replace(configurations=state.configurations)
        chain, _ = self.move.advance(chain, path, tau, seed)
        moved = state._replace(configurations=chain.configurations)
        return self._replace(chain=chain), moved

    def of(self, walkers: Tensor) -> "Moves":
        """Return the same chains under other global indices, int64 ``(walkers,)``."""
        if self.move is None:
            return self
        return self._replace(chain=self.chain._replace(walkers=walkers))


class Passage(Boundary):
    """The way of one block through a sampler: what acts at the boundaries, and what is recorded.

    Resampling and moves come after the density increment of an interval and before anything else:
    elsewhere they would bias.

    Args:
        sampler: whose block it is.
        state: the walkers at the start.
        seed: in [0, 2³²).
        observe: as in :meth:`~leaps_triton.Sampler.run_block`.
        advance: as in :meth:`~leaps_triton.Sampler.run_block`.
        stops: where walkers are measured on their way; None for nowhere.

    Attributes:
        moves: the chains of the sampler's moves.
        trace: as in :class:`~leaps_triton.samplers.BlockRun`.
        resampled: as in :class:`~leaps_triton.samplers.BlockRun`.
        recorder: holds what was measured on the way; None for nothing.
    """

    def __init__(
        self,
        sampler: "Sampler",
        state: State,
        seed: int,
        observe: Observe | None = None,
        advance: Advance | None = None,
        stops: Stops | None = None,
    ) -> None:
        self.sampler = sampler
        self.seed = seed
        self.acts = sampler.move is not None or sampler.resample_below > 0.0
        self.recorder: Recorder | None = None
        if stops is not None:
            self.recorder = Recorder(stops, len(state.walkers), sampler.device)
            # All walkers are measured at one density, so they wait for one another.
            self.acts = True
            self.recorder.see(state, 0)
        self.moves = Moves.begin(sampler.move, state)
        self._boundaries = sampler.integrator.boundary_times.tolist()
        self._observe = observe
        self._advance = advance
        # The times at the boundaries, and t = 1.
        reached = sampler.integrator.intervals + 1
        shape = (len(state.walkers), reached)
        self.trace = torch.zeros(shape, dtype=torch.float64, device=sampler.device)
        self.resampled = torch.zeros(reached, dtype=torch.bool)
        self._reached = 0
        self.watches = observe is not None
        self.columns = reached

    def record(self, state: State, entered: Tensor) -> None:
        """Write ``A`` of the walkers that have just entered an interval into the trace."""
        if not self.acts:
            write_trace(self.trace, state, entered)
            return
        # Walkers that wait for one another are all in one interval, and in one after the other.
        self.trace[:, self._reached] = state.log_weights
        self._reached += 1
        if self.recorder is not None:
            # The density of t = 0 comes first.
            self.recorder.see(state, self._reached)

    def keep(self, trace: Tensor) -> None:
        """Take over what the walkers had on entering."""
        self.trace = trace

    def act(self, state: Any, interval: int) -> Any:
        """Resample the walkers if their ESS is low, then make the moves."""
        if self.sampler.resample_below > 0.0:
            state = self.weighed(state, interval)
        # After the resampling, so that moves part the copies of one walker.
        return self.moved(state, interval)

    def low(self, state: State) -> Tensor:
        """Return whether :meth:`weighed` has to look at the walkers, a bool without axes."""
        # Weights that are not finite have no ESS, which is not above the threshold either.
        return ~(unchecked_size(state.log_weights) >= self.sampler.resample_below)

    def weighed(self, state: Any, interval: int) -> Any:
        """Return the walkers, resampled if their ESS is low."""
        sampler = self.sampler
        # Before the ESS, whose error would name neither walker nor time.
        sampler.check_weights(state, self._boundaries[interval])
        ess = float(effective_sample_size(state.log_weights))
        if ess < sampler.resample_below:
            state = sampler.resample(state, interval, self.seed)
            self.resampled[interval] = True
        return state

    def moved(self, state: Any, interval: int) -> Any:
        """Return the walkers after the moves."""
        tau = self._boundaries[interval]
        self.moves, state = self.moves.step(state, self.sampler.path, tau, self.seed)
        return state

    def observe(self, state: State, entered: Tensor) -> None:
        """Let the caller see the walkers."""
        if self._observe is not None:
            self._observe(state, entered)

    def advance(self, interval: int) -> None:
        """Tell the caller how far the last walker has come."""
        if self._advance is not None:
            self._advance(interval)


class WayBack(Boundary):
    """The way of one block back through a sampler: its move, reversed in time, acts.

    Args:
        sampler: whose block it is.
        state: the walkers at the end of the path.
        seed: in [0, 2³²).
    """

    acts = True
    watches = False

    def __init__(self, sampler: "Sampler", state: State, seed: int) -> None:
        move = sampler.move
        if move is not None:
            move = move.reversed()
        self.path = sampler.path
        self.seed = seed
        self.moves = Moves.begin(move, state)
        self._boundaries = sampler.integrator.boundary_times.tolist()

    def act(self, state: Any, interval: int) -> Any:
        """Make the reversed move, after the interval that it came before."""
        tau = self._boundaries[interval]
        self.moves, state = self.moves.step(state, self.path, tau, self.seed)
        return state
