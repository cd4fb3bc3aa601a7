"""What drifts read of a lattice: windows around sites, sublattices, and waves."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ...lattices.waves import squared_momenta

__all__ = ["Modes", "Sites"]


@dataclass(frozen=True)
class Sites:
    """Says which sites a window around each site reads, and which sublattice each is of.

    Attributes:
        windows: flat indices of the sites that each site's window reads, int64 ``(sites, taps)``.
        sublattices: flat indices of the sites whose coordinates have an even and an odd sum, int64
            ``(sites / 2,)`` each; one entry with all sites where windows read both sublattices.
    """

    windows: Tensor
    sublattices: tuple[Tensor, ...]

    @classmethod
    def of(cls, shape: Sequence[int], kernel_size: int, parity: bool) -> Self:
        """Return the windows of a periodic lattice.

        Args:
            shape: its lengths, even ones with ``parity``.
            kernel_size: width of a window, odd.
            parity: whether a window holds the sites of the other sublattice alone; else all but the
                site itself.
        """
        radius = kernel_size // 2
        offsets: list[tuple[int, ...]] = []
        for offset in itertools.product(range(-radius, radius + 1), repeat=len(shape)):
            # Sites an odd number of steps away are of the other sublattice.
            read = any(offset)
            if parity:
                read = sum(offset) % 2 == 1
            if read:
                offsets.append(offset)
        index = torch.arange(math.prod(shape)).view(*shape)
        axes = tuple(range(len(shape)))
        columns: list[Tensor] = []
        for offset in offsets:
            back = [-step for step in offset]
            columns.append(index.roll(back, axes).flatten())
        windows = index.flatten().unsqueeze(1)[:, :0]
        if columns:
            windows = torch.stack(columns, 1)
        if not parity:
            return cls(windows, (index.flatten(),))
        coordinates = torch.meshgrid(*[torch.arange(length) for length in shape], indexing="ij")
        colour = torch.stack(coordinates).sum(0).flatten() % 2
        even = (colour == 0).nonzero().squeeze(1)
        odd = (colour == 1).nonzero().squeeze(1)
        return cls(windows, (even, odd))

    def to(self, device: torch.device) -> Self:
        """Return the same on a device."""
        moved = tuple(each.to(device) for each in self.sublattices)
        return type(self)(self.windows.to(device), moved)


@dataclass(frozen=True)
class Modes:
    """Sorts the waves of a periodic lattice by ``k̂² = Σ 4 sin²(k/2)``.

    Attributes:
        shape: lengths of the lattice.
        squares: all different ``k̂²``, increasing, float64 ``(values,)``.
        counts: waves that have each, float64 ``(values,)``.
        index: which of them a wave has, int64 ``(*shape)``.
    """

    shape: tuple[int, ...]
    squares: Tensor
    counts: Tensor
    index: Tensor

    @classmethod
    def of(cls, shape: Sequence[int]) -> Self:
        """Return the waves of a lattice of these lengths."""
        total = squared_momenta(tuple(shape), torch.device("cpu"))
        # Sums in another order differ in their last bits, and are the same k̂² all the same.
        rounded = (total * 2.0**40).round() / 2.0**40
        squares, index, counts = rounded.unique(return_inverse=True, return_counts=True)
        return cls(tuple(shape), squares, counts.double(), index)

    def to(self, device: torch.device) -> Self:
        """Return the same on a device."""
        given = (self.squares.to(device), self.counts.to(device), self.index.to(device))
        return type(self)(self.shape, *given)

    def spread(self, values: Tensor) -> Tensor:
        """Return a function of ``k̂²`` at every wave, ``(rows, values)`` → ``(rows, *shape)``."""
        return values[:, self.index]

    def trace(self, values: Tensor) -> Tensor:
        """Return the sum of a function of ``k̂²`` over all waves, float64 ``(rows,)``."""
        return values.double() @ self.counts
