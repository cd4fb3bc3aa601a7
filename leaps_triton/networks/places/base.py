"""What a network may ask about where sites stand."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ...models.base import Conditions

__all__ = ["Place"]


class Place(Protocol):
    """Sites of lattices of one kind, or of one graph."""

    periodic: tuple[bool, ...]
    """One bool per direction; none on a graph"""
    indexed: int
    """Sites that have an embedding of their own, 0 where a network serves any size"""
    bonds: int
    """Columns of :meth:`bond_inputs`"""
    waves: int
    """Columns of :meth:`positions`"""
    displacements: int
    """Columns of the first of :meth:`pairs`"""

    def check(self, lattice: object, who: str) -> None:
        """Raise a ValueError for the lattice of a model that these sites are not those of."""
        ...

    def coupling_sizes(self, shape: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the sizes that the axes of couplings may have, after that of the walkers."""
        ...

    def local_field(
        self, configurations: Tensor, conditions: Conditions, q: int, dtype: torch.dtype
    ) -> Tensor:
        """Return ``Σ_j J_ij [x_j = a]``, ``(walkers, q, *shape)``; it does not read ``x_i``."""
        ...

    def bond_inputs(
        self, conditions: Conditions, shape: Sequence[int], dtype: torch.dtype
    ) -> Tensor:
        """Return what couplings tell of every site, ``(1 | walkers, bonds, *shape)``."""
        ...

    def positions(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return where every site stands, ``(sites, waves)``."""
        ...

    def pairs(self, shape: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return features of displacements, and the row of each pair of sites among them.

        Returns:
            ``(rows, displacements)``; and for ``(i, j)`` int64 ``(sites, sites)``.
        """
        ...
