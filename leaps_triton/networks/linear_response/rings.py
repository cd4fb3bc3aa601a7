"""Rings: the displacements that the symmetry of a lattice takes into each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Rings", "alike", "placed"]


@dataclass(frozen=True)
class Rings:
    """Displacements between two sites, sorted into rings, the nearest first.

    A ring holds the displacements that reflections of the axes, and exchanges of equal axes, take
    into each other. An open direction of length ``L`` is padded to ``2 L`` places, so that sums
    round the padded lattice read nothing beyond the edge.

    Attributes:
        shape: lengths of the lattice.
        padded: lengths of the grid of displacements.
        index: ring of every displacement, int64 ``(*padded)``; 0 is the site itself and what no two
            sites have between them, ring ``r`` is ``r + 1``.
        sizes: displacements in each ring, float64 ``(rings,)``.
    """

    shape: tuple[int, ...]
    padded: tuple[int, ...]
    index: Tensor
    sizes: Tensor

    @classmethod
    def of(
        cls,
        shape: Sequence[int],
        periodic: Sequence[bool],
        axes: Sequence[int],
        most: int | None = None,
    ) -> "Rings":
        """Return the rings of a lattice.

        Args:
            shape: its lengths.
            periodic: its boundaries.
            axes: a number per direction; directions of one number may be exchanged.
            most: the greatest number of rings, at least 2; the farther half of these then unites
                neighbouring rings. None for no limit.
        """
        padded: list[int] = []
        lines: list[Tensor] = []
        for length, wraps in zip(shape, periodic, strict=True):
            places = length
            if not wraps:
                places = 2 * length
            padded.append(places)
            ahead = torch.arange(places)
            # The shorter way round, or the way back past the padding.
            lines.append(torch.minimum(ahead, places - ahead))
        grid = torch.stack(torch.meshgrid(*lines, indexing="ij")).flatten(1)
        # A distance of L does not occur on an open direction.
        longest = torch.tensor(shape).unsqueeze(1)
        reached = (grid < longest).all(0)
        ring = _numbered(_orbits(grid, axes), reached)
        if most is not None:
            ring = _united(ring, most)
        sizes = torch.bincount(ring)[1:].double()
        return cls(tuple(shape), tuple(padded), ring.view(*padded), sizes)

    @property
    def count(self) -> int:
        """Number of rings."""
        return len(self.sizes)

    def sums(self, by_displacement: Tensor) -> Tensor:
        """Return sums over the displacements of each ring, ``(rows, rings)``.

        Args:
            by_displacement: ``(rows, *padded)``.
        """
        # In the order of their rings, sums of a GPU are the same in every run; adding into places
        # they would not be.
        ring, order = self.index.flatten().sort(stable=True)
        sizes = torch.bincount(ring, minlength=self.count + 1)
        in_order = by_displacement.flatten(1).index_select(1, order.to(by_displacement.device))
        lengths = sizes.to(by_displacement.device).expand(len(in_order), -1)
        return torch.segment_reduce(in_order, "sum", lengths=lengths, axis=1)[:, 1:]


def placed(kernel: Tensor, index: Tensor) -> Tensor:
    """Return the value of every displacement, ``(rows, *padded)``.

    Args:
        kernel: the value of every ring, ``(rows, rings)``.
        index: that of :class:`Rings`, on the kernel's device.
    """
    # A column of zeros for ring 0, so that no site reads itself.
    table = torch.nn.functional.pad(kernel, (1, 0))
    return table[:, index]


def alike(shape: Sequence[int], periodic: Sequence[bool], coupling: Tensor) -> list[int]:
    """Return a number per direction, the same for directions that may be exchanged.

    Args:
        shape: lengths of the lattice.
        periodic: its boundaries.
        coupling: ``J``, ``(1 | ndim, *shape)``, uniform along each direction.
    """
    strengths = coupling.flatten(1)[:, 0].expand(len(shape)).tolist()
    kinds = list(zip(shape, periodic, strengths, strict=True))
    return [kinds.index(kind) for kind in kinds]


def _orbits(grid: Tensor, axes: Sequence[int]) -> Tensor:
    """Return a key per displacement, the same within an orbit, that rises with the distance.

    Args:
        grid: distances along every direction, int64 ``(ndim, places)``.
        axes: directions of one number may be exchanged.
    """
    distances = grid.clone()
    for kind in set(axes):
        members = [axis for axis, own in enumerate(axes) if own == kind]
        # Sorted distances are the same for all exchanges of these directions.
        distances[members] = grid[members].sort(0).values
    base = int(grid.max()) + 1
    key = (grid * grid).sum(0)
    for distance in distances:
        key = key * base + distance
    return key


def _numbered(key: Tensor, reached: Tensor) -> Tensor:
    """Return keys as numbers 0, 1, 2 … in their order, and 0 for what is not reached."""
    key = torch.where(reached, key, torch.zeros_like(key))
    return torch.unique(key, return_inverse=True)[1]


def _united(ring: Tensor, most: int) -> Tensor:
    """Return at most ``most`` rings: the nearest as they are, the others united evenly."""
    count = int(ring.max())
    if count <= most:
        return ring
    near = most // 2
    # Ring numbers begin at 1, behind the site itself.
    beyond = ring - near - 1
    united = near + 1 + beyond * (most - near) // (count - near)
    return torch.where(beyond < 0, ring, united)
