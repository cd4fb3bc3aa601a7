"""Hypercubic lattices: shape, boundaries, neighbours and colourings."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ..kernels.checks import as_bool, as_integer, as_periodic, expect, shown
from .edges import Incidence
from .graph import Graph

__all__ = ["Lattice", "as_lattice", "require_hypercubic"]


@dataclass(frozen=True, init=False)
class Lattice:
    """A hypercubic lattice of one to four dimensions.

    Args:
        shape: length of every direction.
        periodic: one bool for all directions, or one each. A periodic direction of length 2 has two
            bonds between the same pair of sites; a periodic length of 1 is refused, since the site
            would be its own neighbour.

    Raises:
        ValueError: there is no such lattice.

    Example:
        >>> lattice = Lattice((15, 16), periodic=(True, False))
        >>> lattice.sites, lattice.num_colours
        (240, 3)
    """

    hypercubic: ClassVar[Literal[True]] = True
    """Whether there are directions along which one may shift, as there are none on a graph."""
    placed: ClassVar[bool] = True
    """Whether it is known where the sites stand."""

    shape: tuple[int, ...]
    periodic: tuple[bool, ...]

    def __init__(
        self,
        shape: Sequence[int] | int,
        periodic: bool | Sequence[bool] = True,
    ) -> None:
        lengths = _as_shape(shape)
        boundaries = _as_boundaries(periodic, lengths)
        # A frozen dataclass is written to once, here.
        object.__setattr__(self, "shape", lengths)
        object.__setattr__(self, "periodic", boundaries)

    @property
    def ndim(self) -> int:
        """Number of directions."""
        return len(self.shape)

    @property
    def coupling_shape(self) -> tuple[int, ...]:
        """Shape of couplings told bond by bond, ``(ndim, *shape)``."""
        return (self.ndim, *self.shape)

    @property
    def sites(self) -> int:
        """Number of sites ``N``."""
        return math.prod(self.shape)

    @property
    def title(self) -> str:
        """The lengths, as titles of figures have them."""
        return " × ".join(str(length) for length in self.shape)

    @property
    def num_colours(self) -> int:
        """Number of classes of :meth:`colours`: 2, or 3 where a periodic length is odd."""
        for length, wraps in zip(self.shape, self.periodic, strict=True):
            if wraps and length % 2 == 1:
                return 3
        return 2

    def colours(self) -> Tensor:
        """Return a colouring in which no two neighbours are alike, int8 ``(*shape)``.

        ``(f_1(i_1) + … + f_d(i_d)) mod num_colours`` with each ``f`` a proper colouring of its
        direction.
        """
        total = torch.zeros(self.shape, dtype=torch.int64)
        for axis, length in enumerate(self.shape):
            line = torch.arange(length) % 2
            # The ends of an odd ring would be alike: the last site has a colour of its own.
            if self.periodic[axis] and length % 2 == 1:
                line[-1] = 2
            later = self.ndim - axis - 1
            total += line.view(-1, *[1] * later)
        return (total % self.num_colours).to(torch.int8)

    def neighbours(self) -> Tensor:
        """Return the flat index of each site's neighbours; -1 beyond an open edge.

        Returns:
            int64 ``(2 ndim, sites)``: row ``2d`` holds the neighbours in positive, row ``2d + 1``
            those in negative direction ``d``.
        """
        index = torch.arange(self.sites).view(self.shape)
        rows = []
        for axis, wraps in enumerate(self.periodic):
            up = index.roll(-1, axis)
            down = index.roll(1, axis)
            if not wraps:
                # What came round the edge is no neighbour.
                up.select(axis, -1).fill_(-1)
                down.select(axis, 0).fill_(-1)
            rows += [up.flatten(), down.flatten()]
        return torch.stack(rows)

    def incidence(self) -> Incidence:
        """Return which bonds meet at every site, in the order of :meth:`neighbours`.

        The bond from site ``i`` in positive direction ``d`` has the number ``d sites + i``.
        """
        neighbours = self.neighbours()
        site = torch.arange(self.sites)
        missing = neighbours < 0
        bonds = []
        for direction in range(self.ndim):
            first = direction * self.sites
            # A bond belongs to its lower end: ahead it is the site's own, behind its neighbour's.
            bonds += [first + site, first + neighbours[2 * direction + 1]]
        bond = torch.stack(bonds).masked_fill(missing, self.ndim * self.sites)
        behind = torch.zeros_like(missing)
        behind[1::2] = True
        near = torch.where(missing, site, neighbours)
        return Incidence(near.int(), bond.int(), behind & ~missing)


def as_lattice(
    shape: Sequence[int] | int | Lattice | Graph, periodic: bool | Sequence[bool] = True
) -> Lattice | Graph:
    """Return the lattice of a shape, or the graph or lattice that stands in its place.

    Args:
        shape: lattice lengths, a lattice or a graph.
        periodic: one bool, or one per direction, of lattice lengths alone.

    Raises:
        ValueError: there is no such lattice; a graph or lattice has its own boundaries.
    """
    if isinstance(shape, Lattice | Graph):
        own = f"what a {type(shape).__name__} has itself; leave it out"
        expect(periodic is True, "periodic", own, periodic)
        return shape
    return Lattice(shape, periodic)


def require_hypercubic(lattice: Any, who: str, instead: str = "") -> None:
    """Raise a ValueError if there is a graph where only hypercubic lattices serve.

    Args:
        lattice: of a model.
        who: needs directions, as an error names it.
        instead: what to do on a graph, as the end of an error; empty for nothing.

    Raises:
        ValueError: it is a graph.
    """
    if isinstance(lattice, Graph):
        raise ValueError(
            f"{who} needs a hypercubic lattice, and this model stands on a graph of "
            f"{lattice.sites} sites, {lattice!r}{instead}"
        )


def _as_shape(shape: object) -> tuple[int, ...]:
    """Return lattice lengths, one to four; a number is a chain.

    Raises:
        ValueError: these are no such lengths.
    """
    axes: Iterable[object] = (shape,)
    # One number is a chain, also as an array or tensor without axes, which cannot be iterated.
    alone = isinstance(shape, str | bytes) or getattr(shape, "ndim", 1) == 0
    if isinstance(shape, Iterable) and not alone:
        axes = shape
    try:
        lengths = tuple(as_integer("shape", n, -(2**63)) for n in axes)
    except (TypeError, ValueError):
        raise ValueError(
            f"shape must be a tuple of integers such as (16, 16), got {shown(shape)}"
        ) from None
    if not 1 <= len(lengths) <= 4:
        raise ValueError(f"shape must have 1 to 4 dimensions, got {lengths}")
    if min(lengths) < 1:
        raise ValueError(f"every length must be at least 1, got shape {lengths}")
    # Ops index sites with 32 bits.
    if math.prod(lengths) >= 2**31:
        raise ValueError(f"shape must have fewer than 2**31 sites, got {lengths}")
    return lengths


def _as_boundaries(periodic: Any, lengths: tuple[int, ...]) -> tuple[bool, ...]:
    """Return one boundary per direction.

    Raises:
        ValueError: these are no such boundaries, or a site would be its own neighbour.
    """
    wanted = f"a bool or {len(lengths)} bools, one a direction"
    if isinstance(periodic, Sequence) or getattr(periodic, "ndim", 0) > 0:
        boundaries = as_periodic(periodic, wanted)
    else:
        boundaries = (as_bool("periodic", periodic, wanted),) * len(lengths)
    expect(len(boundaries) == len(lengths), "periodic", wanted, periodic)
    for axis, (length, wraps) in enumerate(zip(lengths, boundaries, strict=True)):
        if wraps and length == 1:
            raise ValueError(
                f"direction {axis} is periodic with length 1, so a site would be its own "
                f"neighbour; drop that direction or give periodic=False for it (shape {lengths})"
            )
    return boundaries
