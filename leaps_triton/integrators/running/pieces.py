"""How ``β`` runs through the intervals: linear in each, between its values at the grid times."""

import math
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ...kernels.graphs.packing import packed
from ...models.pair import is_pair_model
from ...paths.annealing import AnnealingPath
from ...paths.base import Path
from ..transport import Transport, clock_of, precision_of

__all__ = ["Pieces", "leaps_far", "obstacle", "pieces"]

FARTHEST = 10.0
"""Exponent by which in-rates may change within half an interval, for weights to run unasked."""

LIMITS = {torch.float32: 80.0, torch.float64: 700.0}
"""Exponent by which in-rates may change, by their precision: what underflows cannot grow again."""

FACTORS = (0.1, 10.0)
"""What the network's output may be multiplied by, for weights to run unasked."""

LARGEST_FACTOR = 1e3
"""What it may be multiplied by at all."""


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


def obstacle(path: Path, grid: Times, transport: Transport | None, moves: bool) -> str:
    """Return why weights along a path cannot be those of a running density; empty if they can.

    Args:
        path: any path.
        grid: the times.
        transport: None for the reversible rates alone.
        moves: whether there are rates at all.
    """
    # A subclass, or a path of the user's own, may have densities that are no -β H.
    if type(path) is not AnnealingPath:
        return f"the path must be an AnnealingPath, of -β_t H alone, got {type(path).__name__}"
    if not path.linear:
        return "the path must be linear in one energy, and a correction curves this one"
    factor = _factor(path, grid, transport)
    # NaN is no number below the largest.
    wrong = (~(factor.abs() <= LARGEST_FACTOR)).nonzero().flatten()
    if len(wrong):
        return _standstill(path, grid, int(wrong[0]), float(factor[wrong[0]]))
    change = _largest_change(path, grid)
    precision = precision_of(transport)
    limit = LIMITS.get(precision, LIMITS[torch.float32])
    # Infinite energies stay infinite, and their moves have rates of 0 at every β.
    if moves and limit < change < math.inf:
        return (
            f"within half an interval rates of the reversed process may change by "
            f"e^{change:.3g}, and those that are 0 in {precision} would be left out of the "
            f"weights; take more intervals, weights='frozen', or a network in float64"
        )
    return ""


def _standstill(path: Path, grid: Times, n: int, factor: float) -> str:
    """Return what is wrong with an interval in whose middle ``β`` all but stands still."""
    begin, end = grid.times[n : n + 2].tolist()
    ends = path.beta(grid.times[n : n + 2]).tolist()
    middle = float(grid.frozen[n])
    slope = "dβ/dt = 0"
    if math.isfinite(factor):
        slope = f"a small dβ/dt, which makes {factor:.3g},"
    return (
        f"the network's output from t = {begin:.6g} to {end:.6g} would be multiplied by the change "
        f"of beta there, {ends[0]:.6g} to {ends[1]:.6g}, over {slope} in the middle, t = "
        f"{middle:.6g}; take other times, or a schedule that does not stand still"
    )


def _factor(path: Path, grid: Times, transport: Transport | None) -> Tensor:
    """Return what an output per unit of ``t`` is multiplied by; 1 where there is none such."""
    if transport is None or clock_of(transport) != "t":
        return torch.ones_like(grid.frozen)
    return _pieces(path, grid.times, grid.frozen, "t").factor


def leaps_far(path: Path, grid: Times, transport: Transport | None) -> bool:
    """Return whether ``β`` changes such that running weights would be ragged, or may be.

    Within half an interval the rates of the reversed process change by ``e^{(β - β*) δH}``. Where
    that is huge, a walker that holds has next to no weight: frozen weights are safer there. So they
    are where ``dβ/dt`` in the middle of an interval says little of the change within it.

    Args:
        path: an annealing path, of its own class.
        grid: the times.
        transport: None for the reversible rates alone.
    """
    factor = _factor(path, grid, transport).abs()
    least, most = FACTORS
    if not bool(((factor >= least) & (factor <= most)).all()):
        return True
    # Of a model that tells its energy alone nothing is known.
    if not is_pair_model(path.model):
        return True
    # Infinite energies make it NaN.
    return not _largest_change(path, grid) <= FARTHEST


def _largest_change(path: Path, grid: Times) -> float:
    """Return the exponent by which a rate may change within half an interval; NaN if unknown."""
    model = path.model
    if not is_pair_model(model):
        return math.nan
    bonds = model.bond_table
    # What a move may change by one bond, at either of its ends, and by the field.
    by_first = float((bonds.max(0).values - bonds.min(0).values).max())
    by_second = float((bonds.max(1).values - bonds.min(1).values).max())
    bond = max(by_first, by_second)
    field = float((model.site_table.max(0).values - model.site_table.min(0).values).max())
    largest = model.interactions.most_change() * bond + field
    return float(path.beta(grid.times).diff().abs().max()) / 2 * largest
