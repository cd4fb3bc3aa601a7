"""Blocks that ride together: one state for all, and everything else for each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...integrators.base import Boundary
from ...integrators.states import State, some
from ..blocks import BlockRun
from ..passage import Advance, Moves, Passage

if TYPE_CHECKING:
    from ..along import Stops
    from ..sampler import Sampler

__all__ = ["Riders", "run_riding"]


class Riders(Boundary):
    """The ways of several blocks through a sampler, which enter intervals together.

    Args:
        sampler: whose blocks they are.
        state: the walkers of all of them.
        passages: the way of each.
        seed: in [0, 2³²).
        advance: called now and then with the interval that the last walker of all is in.
    """

    watches = False

    def __init__(
        self,
        sampler: "Sampler",
        state: State,
        passages: Sequence[Passage],
        seed: int,
        advance: Advance | None,
    ) -> None:
        self.sampler = sampler
        self.passages = passages
        self.seed = seed
        self.acts = any(passage.acts for passage in passages)
        self.columns = passages[0].columns
        # A move that treats each walker by itself is made for all at once.
        self.moves: Moves | None = None
        if sampler.move is None or sampler.move.rowwise:
            self.moves = Moves.begin(sampler.move, state)
        self._boundaries = sampler.integrator.boundary_times.tolist()
        self._advance = advance

    def rows(self, number: int) -> slice:
        """Return the walkers of a block among those of all."""
        block = self.sampler.block
        return slice(number * block, (number + 1) * block)

    def part(self, state: Any, number: int) -> Any:
        """Return the walkers of a block, in memory of their own.

        It then begins where that of a block alone does, and sums have the same order.
        """
        part = some(state, self.rows(number))
        return type(state)(*(column.clone() for column in part))

    def record(self, state: State, entered: Tensor) -> None:
        """Let each block see its walkers just after the density increment."""
        for number, passage in enumerate(self.passages):
            passage.record(self.part(state, number), entered[self.rows(number)])

    def act(self, state: Any, interval: int) -> Any:
        """Resample the blocks whose ESS is low, then make the moves."""
        if self.sampler.resample_below > 0.0:
            state = self._resampled(state, interval)
        if self.moves is not None:
            tau = self._boundaries[interval]
            self.moves, state = self.moves.step(state, self.sampler.path, tau, self.seed)
            return state
        parts: list[Any] = []
        for number, passage in enumerate(self.passages):
            parts.append(passage.moved(self.part(state, number), interval))
        return _joined(parts)

    def _resampled(self, state: Any, interval: int) -> Any:
        """Return the walkers after each block has been resampled, if it is to be."""
        parts = [self.part(state, number) for number in range(len(self.passages))]
        # All blocks in one look, since each makes a GPU wait.
        pairs = list(zip(self.passages, parts, strict=True))
        low = torch.stack([passage.low(part) for passage, part in pairs]).tolist()
        if not any(low):
            return state
        for number, (passage, part) in enumerate(pairs):
            if low[number]:
                parts[number] = passage.weighed(part, interval)
        return _joined(parts)

    def advance(self, interval: int) -> None:
        """Tell the caller how far the last walker has come."""
        if self._advance is not None:
            self._advance(interval)

    def keep(self, trace: Tensor) -> None:
        """Give each block its part of the trace."""
        for number, passage in enumerate(self.passages):
            passage.keep(trace[self.rows(number)].clone())

    def run_of(self, state: Any, number: int) -> BlockRun:
        """Return what became of one block."""
        passage = self.passages[number]
        sweeps = passage.moves.sweeps
        if self.moves is not None:
            sweeps = self.moves.sweeps
        part = some(state, self.rows(number))
        recorded = None
        if passage.recorder is not None:
            recorded = passage.recorder.recorded
        return BlockRun(part, sweeps, passage.trace, passage.resampled, recorded)


def _joined(parts: Sequence[Any]) -> Any:
    """Return the walkers of all blocks as one state."""
    kind = type(parts[0])
    return kind(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def run_riding(
    sampler: "Sampler",
    blocks: Sequence[Tensor],
    wanted: int,
    seed: int,
    advance: Advance | None = None,
    stops: "Stops | None" = None,
) -> list[BlockRun]:
    """Take several whole blocks from start to end in the same launches.

    Args:
        sampler: whose blocks they are.
        blocks: global indices of the walkers of each, on its device, in increasing order.
        wanted: walkers of all, from the first, that are asked for; the others fill the last block.
        seed: in [0, 2³²).
        advance: called now and then with the interval that the last walker is in.
        stops: where walkers are measured on their way; None for nowhere.
    """
    integrator = sampler.integrator
    states: list[Any] = []
    passages: list[Passage] = []
    for walkers in blocks:
        part = integrator.init(sampler.path.start.sample(walkers, seed), walkers)
        states.append(part)
        passages.append(Passage(sampler, part, seed, stops=stops))
    state = _joined(states)
    end = None
    # With resampling every walker of a block counts.
    if wanted < len(state.walkers) and sampler.resample_below == 0.0:
        end = int(blocks[0][0]) + wanted
    riders = Riders(sampler, state, passages, seed, advance)
    state = integrator.run(
        state, sampler.path, sampler.transport, seed, riders, end=end, block=sampler.block
    )
    sampler.check_weights(some(state, slice(0, wanted)), 1.0)
    return [riders.run_of(state, number) for number in range(len(blocks))]
