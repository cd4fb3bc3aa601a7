"""What happens where walkers enter an interval."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...kernels import enter_intervals
from ...kernels.graphs.packing import packed
from ...models.pair import is_pair_model
from ...paths.annealing import AnnealingPath
from ...paths.base import Path
from ..grids import Grid
from ..states import State
from ..transport import AnyTransport
from .rollout import Rollouts

__all__ = ["Boundary", "Nobody", "Way", "enter_all", "enter_some", "in_one_kernel"]


class Boundary:
    """What happens to a block of walkers where they enter an interval, and who looks on.

    The base does nothing. Methods are called in the order in which they stand here; backward,
    :meth:`act` comes when the walkers have come through the interval.

    Attributes:
        acts: whether :meth:`act` does anything, so that walkers must wait for one another.
        watches: whether :meth:`record` or :meth:`observe` must be called whenever walkers enter;
            where nothing acts or watches, a GPU goes on by itself, and keeps the trace.
        columns: number of intervals and ends whose ``A`` is traced; 0 for no trace.
    """

    acts: bool = False
    watches: bool = True
    columns: int = 0

    def record(self, state: State, entered: Tensor) -> None:
        """See walkers just after the density increment; ``entered`` bool ``(walkers,)``."""

    def act(self, state: Any, interval: int) -> Any:
        """Return what resampling and moves at the frozen time of an interval make of walkers."""
        return state

    def observe(self, state: State, entered: Tensor) -> None:
        """See walkers that have entered an interval, or finished, after all that acts there."""

    def advance(self, interval: int) -> None:
        """Hear now and then which interval the last walker is in."""

    def keep(self, trace: Tensor) -> None:
        """Get the ``A`` that walkers had on entering, float64 ``(walkers, columns)``."""


class Nobody(Boundary):
    """Nobody looks on."""

    watches = False


class Way(NamedTuple):
    """What one run of a block has from its beginning to its end."""

    path: Path
    answers: AnyTransport
    """The transport"""
    seed: int
    recordings: Rollouts
    """What was recorded of events so far"""
    backward: bool = False
    """Whether from ``t = 1`` to ``t = 0``"""
    end: int | None = None
    """First global index of walkers that only fill the block; None for none"""

    def key(self, *more: Any) -> Any:
        """Return all that a recording of events depends on but the walkers."""
        transport = self.answers
        own = (id(self.path), id(transport.given), transport.places(), transport.block)
        return (*own, self.seed, self.backward, *more)


def in_one_kernel(path: Path) -> bool:
    """Return whether densities of a path are ``-β_t H`` of pairs on a lattice, all in one kernel.

    A path or an energy of the user's own may be another function.
    """
    if type(path) is not AnnealingPath or not is_pair_model(path.model):
        return False
    return path.model.lattice.hypercubic and not path.changes_fields


def enter_all(grid: Grid, state: Any, path: Path, backward: bool) -> tuple[Any, Tensor]:
    """Let walkers at the end of their interval enter the next, without a look at who they are.

    Args:
        grid: the times, on the device of the walkers.
        state: all walkers of a block.
        path: the annealing path.
        backward: whether they go back.

    Returns:
        The walkers, and which of them did, bool ``(walkers,)``.
    """
    if not in_one_kernel(path):
        entering = state.remaining == 0
        if backward:
            entering &= state.interval >= 0
        else:
            entering &= state.interval < len(grid.frozen)
        return enter_some(grid, state, entering, path, backward), entering
    tables = path.model.tables(state.walkers.device)
    # The same at every event of a run.
    betas = packed(partial(path.beta, grid.densities), [grid.densities], "betas", id(path))
    made = enter_intervals(
        state.configurations,
        state.log_weights,
        state.interval,
        state.remaining,
        betas,
        grid.lengths,
        tables.coupling,
        tables.bond_table,
        tables.site_table,
        path.model.lattice.periodic,
        backward,
    )
    state = state._replace(
        log_weights=made.log_weights, interval=made.interval, remaining=made.remaining
    )
    return state, made.entered


def enter_some(grid: Grid, state: Any, entering: Tensor, path: Path, backward: bool) -> Any:
    """Return walkers of which some enter the next interval, or finish.

    Args:
        grid: the times, on the device of the walkers.
        state: the walkers.
        entering: which of them enter, bool ``(walkers,)``.
        path: the annealing path.
        backward: whether they go back.
    """
    if backward:
        interval = state.interval - entering.long()
        # Earlier in t, not on the way: A grows by what the path gains that is run forward.
        earlier = interval
        later = state.interval
    else:
        interval = state.interval + entering.long()
        earlier = state.interval
        later = interval
    # Where no walker moves on, both times are the same and the increment is 0. Densities begin
    # with that of t = 0, so interval n has entry n + 1.
    increment = path.log_increment(
        state.configurations,
        grid.densities.index_select(0, earlier + 1),
        grid.densities.index_select(0, later + 1),
    )
    return state._replace(
        log_weights=state.log_weights + increment,
        interval=interval,
        remaining=torch.where(entering, grid.lengths[interval], state.remaining),
    )
