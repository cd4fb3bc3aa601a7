"""What happens to walkers whose density runs on: events, holds and boundaries, either way."""

from typing import Any

import torch
from torch import Tensor

from ...paths.base import Path
from ..grids import Grid
from ..rates import Reversible, examine
from ..states import JumpInfo, JumpState
from ..transport import Transport, clock_of
from .backward import step_back
from .forward import step
from .pieces import pieces

__all__ = ["advance", "held", "moved_on"]


def advance(
    grid: Grid,
    state: JumpState,
    path: Path,
    transport: Transport | None,
    seed: int,
    added: Reversible | None,
    backward: bool,
) -> tuple[JumpState, JumpInfo]:
    """Advance every walker with time remaining by one event or to the end of its interval.

    Args:
        grid: the times, on the device of the walkers.
        state: the walkers.
        path: the annealing path, of its own class.
        transport: None for reversible rates alone.
        seed: in [0, 2³²).
        added: reversible rates; None for none.
        backward: whether they go back.
    """
    # Walkers that have finished are evaluated in the nearest interval, to no effect.
    interval = state.interval.clamp(0, len(grid.frozen) - 1)
    piece = pieces(path, grid, clock_of(transport)).of(interval)
    found = examine(path, transport, state.configurations, grid.frozen[interval], piece)
    if backward:
        return step_back(state, found, piece, grid.lengths[interval], added, seed)
    return step(state, found, piece, added, seed)


def held(state: Any, path: Path, times: Tensor) -> Any:
    """Return walkers at the end of an interval in which nothing moves them.

    Args:
        state: the walkers.
        path: the annealing path.
        times: ``0 = t_0 < … < t_N = 1``, on their device.
    """
    interval = state.interval.clamp(0, len(times) - 2)
    gain = path.log_increment(state.configurations, times[interval], times[interval + 1])
    return state._replace(
        log_weights=state.log_weights + torch.where(state.remaining != 0, gain, 0.0),
        remaining=torch.zeros_like(state.remaining),
    )


def moved_on(grid: Grid, state: Any, backward: bool) -> tuple[Any, Tensor]:
    """Let every walker at the end of its interval enter the next, or finish.

    The density is that of the time between the two, so ``A`` stays.

    Args:
        grid: the times, on the device of the walkers.
        state: the walkers.
        backward: whether they go back.

    Returns:
        The walkers, and which of them did, bool ``(walkers,)``.
    """
    entering = state.remaining == 0
    if backward:
        entering &= state.interval >= 0
        interval = state.interval - entering.long()
    else:
        entering &= state.interval < len(grid.frozen)
        interval = state.interval + entering.long()
    # Before the first interval, number -1, the last length is read, which is 0.
    lengths = grid.lengths[interval]
    moved = state._replace(
        interval=interval, remaining=torch.where(entering, lengths, state.remaining)
    )
    return moved, entering
