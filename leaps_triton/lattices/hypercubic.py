"""Hypercubic lattices: shape, boundaries, neighbours and colourings."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..kernels.checks import as_integer, expect, shown

__all__ = ["Lattice"]


def _as_shape(shape: Sequence[int] | int) -> tuple[int, ...]:
    try:
        axes = (
            shape
            if isinstance(shape, Iterable) and not isinstance(shape, str | bytes)
            else (shape,)
        )
        lengths = tuple(as_integer("shape", n, -(2**63)) for n in axes)
    except (TypeError, ValueError):
        raise ValueError(
            f"shape must be a tuple of integers such as (16, 16), got {shown(shape)}"
        ) from None
    if not 1 <= len(lengths) <= 4:
        raise ValueError(f"shape must have 1 to 4 dimensions, got {lengths}")
    if min(lengths) < 1:
        raise ValueError(f"every length must be at least 1, got shape {lengths}")
    if math.prod(lengths) >= 2**31:
        raise ValueError(f"shape must have fewer than 2**31 sites, got {lengths}")
    return lengths


@dataclass(frozen=True, init=False)
class Lattice:
    """A hypercubic lattice of one to four dimensions.

    Args:
        shape: length of every direction.
        periodic: one bool for all directions, or one each. A periodic direction of length 2 has two
            bonds between the same pair of sites; a periodic length of 1 is refused, since the site
            would be its own neighbour.

    Raises:
        ValueError: a shape or boundary that is no such lattice.

    Example:
        >>> lattice = Lattice((15, 16), periodic=(True, False))
        >>> lattice.sites, lattice.num_colours
        (240, 3)
    """

    shape: tuple[int, ...]
    periodic: tuple[bool, ...]

    def __init__(self, shape: Sequence[int] | int, periodic: bool | Sequence[bool] = True) -> None:
        lengths = _as_shape(shape)
        boundaries: tuple[bool, ...] = (
            (periodic,) * len(lengths) if not isinstance(periodic, Sequence) else tuple(periodic)
        )
        fits = len(boundaries) == len(lengths) and all(isinstance(p, bool) for p in boundaries)
        expect(fits, "periodic", f"a bool or {len(lengths)} bools, one a direction", periodic)
        for axis, (length, wraps) in enumerate(zip(lengths, boundaries, strict=True)):
            if wraps and length == 1:
                raise ValueError(
                    f"direction {axis} is periodic with length 1, so a site would be its own neighbour; "
                    f"drop that direction or give periodic=False for it (shape {lengths})"
                )
        object.__setattr__(self, "shape", lengths)
        object.__setattr__(self, "periodic", boundaries)

    @property
    def ndim(self) -> int:
        """Number of directions."""
        return len(self.shape)

    @property
    def sites(self) -> int:
        """Number of sites ``N``."""
        return torch.Size(self.shape).numel()

    @property
    def num_colours(self) -> int:
        """Classes of :meth:`colours`: 2, or 3 where a periodic length is odd."""
        return 3 if any(p and n % 2 for n, p in zip(self.shape, self.periodic, strict=True)) else 2

    def colours(self) -> Tensor:
        """A colouring in which no two neighbours are alike, int8 ``(*shape)``.

        ``(f_1(i_1) + … + f_d(i_d)) mod num_colours`` with each ``f`` a proper colouring of its
        direction.
        """
        total = torch.zeros(self.shape, dtype=torch.int64)
        for axis, (length, wraps) in enumerate(zip(self.shape, self.periodic, strict=True)):
            line = torch.arange(length) % 2
            if wraps and length % 2:
                line[-1] = 2
            total += line.view(-1, *[1] * (self.ndim - axis - 1))
        return (total % self.num_colours).to(torch.int8)

    def neighbours(self) -> Tensor:
        """Flat index of each site's neighbours, int64 ``(2 ndim, sites)``; -1 beyond an open edge.

        Row ``2d`` is the neighbour in positive, row ``2d + 1`` in negative direction ``d``.
        """
        index = torch.arange(self.sites).view(self.shape)
        rows = []
        for axis, wraps in enumerate(self.periodic):
            for step, edge in ((1, -1), (-1, 0)):
                row = index.roll(-step, axis)
                if not wraps:
                    row.select(axis, edge).fill_(-1)
                rows.append(row.flatten())
        return torch.stack(rows)
