"""How ``β`` runs through the intervals: linear in each, between its values at the grid times."""

from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ...kernels.graphs.packing import packed
from ...models.pair import is_pair_model
from ...paths.annealing import AnnealingPath
from ...paths.base import Path

__all__ = ["Pieces", "leaps_far", "obstacle", "pieces"]

FARTHEST = 10.0
"""Exponent by which in-rates may change within half an interval, for weights to run unasked."""


class Pieces(NamedTuple):
    """What running weights need of each interval, or of each walker's; float64 ``(N | walkers,)``.

    Within interval ``n``, ``β`` goes evenly from ``β(t_n)`` to ``β(t_{n+1})``, whatever the
    schedule between them: the ends of the path, and so ``Z_1 / Z_0``, are the same.
    """

    beta: Tensor
    """``β*`` at which rates are frozen, the middle of both ends"""
    factor: Tensor
    """What the network's output is multiplied by, to be a rate per unit of ``t`` here"""
    speed: Tensor
    """``(β(t_{n+1}) - β(t_n)) / h_n``, the change of ``β`` per unit of ``t``"""
    offset: Tensor
    """``β(t_{n+1}) - β*``"""

    def of(self, interval: Tensor) -> "Pieces":
        """Return what walkers need that are in these intervals, int64 ``(walkers,)``."""
        return Pieces(*(column.index_select(0, interval) for column in self))


class Times(Protocol):
    """What is read of a :class:`~leaps_triton.integrators.states.Grid`."""

    @property
    def times(self) -> Tensor:
        """``0 = t_0 < … < t_N = 1``, float64 ``(N + 1,)``."""

    @property
    def frozen(self) -> Tensor:
        """``τ_0 … τ_{N-1}``, at which the network is told where it is, float64 ``(N,)``."""


def pieces(path: Path, grid: Times, clock: str) -> Pieces:
    """Return the pieces of a path between grid times, made once for all events of a run.

    Args:
        path: an annealing path, of its own class.
        grid: the times.
        clock: what the network's output is a rate per unit of, ``"t"`` or ``"beta"``.
    """
    make = partial(_pieces, path, grid.times, grid.frozen, clock)
    return packed(make, [grid.times, grid.frozen], "pieces", id(path), clock)


def _pieces(path: Path, times: Tensor, frozen: Tensor, clock: str) -> Pieces:
    ends = path.beta(times)
    change = ends.diff()
    speed = change / times.diff()
    factor = speed
    if clock == "t":
        # A network is trained at the true dβ/dt: what it returns for that is meant for this piece.
        rate = -path.time_derivative(torch.ones_like(frozen), frozen)
        # Where β stands still there is nothing to correct, and 0 / 0 would be NaN.
        still = (speed == 0.0) & (rate == 0.0)
        factor = torch.where(still, 1.0, speed / rate)
    return Pieces((ends[1:] + ends[:-1]) / 2, factor, speed, change / 2)


def obstacle(path: Path, grid: Times, clock: str) -> str:
    """Return why weights along a path cannot be those of a running density; empty if they can.

    Arguments are as in :func:`pieces`.
    """
    # A subclass, or a path of the user's own, may have densities that are no -β H.
    if type(path) is not AnnealingPath:
        return f"the path must be an AnnealingPath, of -β_t H alone, got {type(path).__name__}"
    factor = _pieces(path, grid.times, grid.frozen, clock).factor
    bad = (~factor.isfinite()).nonzero().flatten()
    if not len(bad):
        return ""
    n = int(bad[0])
    begin, end = grid.times[n : n + 2].tolist()
    ends = path.beta(grid.times[n : n + 2]).tolist()
    return (
        f"the network's output from t = {begin:.6g} to {end:.6g} would be multiplied by the change "
        f"of beta there, {ends[0]:.6g} to {ends[1]:.6g}, over dβ/dt = 0 in the middle, t = "
        f"{float(grid.frozen[n]):.6g}; take other times, or a schedule that does not stand still"
    )


def leaps_far(path: Path, grid: Times) -> bool:
    """Return whether ``β`` changes so much in an interval that running weights would be ragged.

    Within half an interval the rates of the reversed process change by ``e^{(β - β*) δH}``. Where
    that is huge, a walker that holds has next to no weight: frozen weights are safer there.

    Args:
        path: an annealing path, of its own class.
        grid: the times.
    """
    model = path.model
    # Of a model that tells its energy alone nothing is known.
    if not is_pair_model(model):
        return False
    bonds = model.bond_table
    # What a move may change by one bond, and by the field.
    bond = float((bonds.max(0).values - bonds.min(0).values).max())
    field = float((model.site_table.max(0).values - model.site_table.min(0).values).max())
    largest = 2 * model.lattice.ndim * float(model.coupling.abs().max()) * bond + field
    change = float(path.beta(grid.times).diff().abs().max())
    # Infinite energies make it NaN.
    return not change / 2 * largest <= FARTHEST
