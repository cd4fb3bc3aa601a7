"""Graphs of any shape: sites, edges in a fixed order, classes of edges, positions, colours."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_tensor, expect
from . import shapes
from .colouring import saturation_colours, two_colours
from .shapes import Drawing, Origin

__all__ = ["Graph", "Incidence", "incidence_of"]

WIDE = 32
"""Up to this degree neighbours are gathered; beyond, fields are a matrix product."""


class Incidence(NamedTuple):
    """Which edges meet at every site."""

    neighbours: Tensor
    """Site at the other end, int32 ``(degree, sites)``; the site itself where there is none"""
    bond: Tensor
    """Its edge, int32 ``(degree, sites)``; the number of edges where there is none"""
    behind: Tensor
    """Whether the site is the second end of that edge, bool ``(degree, sites)``"""


class Graph:
    """Sites and the edges between them, wherever a shape of a hypercubic lattice may stand.

    Edges keep the order in which they are given, and couplings per edge have it too. Every edge has
    a class, its direction or distance, and couplings may be given per class.

    Args:
        edges: pairs of sites, integers ``(bonds, 2)``, each pair once.
        sites: their number; None for the largest that an edge names and those before it.
        classes: class of every edge, integers ``(bonds,)`` from 0 on; None for one class.
        positions: of the sites, ``(sites, dimensions)``, in units of a bond; None if there are none.
        sublattice: of every site, integers ``(sites,)`` from 0 on; None if there are none.
        colours: a colouring in which no two neighbours are alike, integers ``(sites,)``; None for
            one that is found: two colours where that is possible, else few.
        box: periods of a torus, a vector per row, ``(dimensions, dimensions)``; None for an open
            graph.
        origin: how it was made, told by the makers below; None for edges of one's own.

    Attributes:
        shape: ``(sites,)``, the shape of a configuration.
        sites: number of sites.
        edges: int64 ``(bonds, 2)``.
        classes: int64 ``(bonds,)``.
        positions: float64 ``(sites, dimensions)`` or None.
        sublattice: int64 ``(sites,)`` or None.
        box: float64 ``(dimensions, dimensions)`` or None.
        origin: its maker and lengths, or None.

    Raises:
        ValueError: there is no such graph; what was expected and what came.

    Example:
        >>> square = Graph([(0, 1), (1, 2), (2, 3), (3, 0)])
        >>> square.sites, square.bonds, square.num_colours
        (4, 4, 2)
    """

    hypercubic = False
    """Whether it is a :class:`Lattice`, of directions along which one may shift."""
    ndim = 1

    def __init__(
        self,
        edges: Any,
        sites: int | None = None,
        classes: Any = None,
        positions: Any = None,
        sublattice: Any = None,
        colours: Any = None,
        box: Any = None,
        origin: Origin | None = None,
    ) -> None:
        self.edges = _as_edges(edges)
        least = int(self.edges.max()) + 1
        self.sites = least
        if sites is not None:
            # Ops index sites with 32 bits.
            self.sites = as_integer("sites", sites, 1, 2**31 - 1)
        # On a torus of length 2 there are two bonds between the same sites.
        _check_edges(self.edges, self.sites, repeated=origin is not None)
        self.shape = (self.sites,)
        self.classes = torch.zeros(self.bonds, dtype=torch.int64)
        if classes is not None:
            self.classes = _as_labels("classes", classes, self.bonds, "one class per edge")
        self.sublattice: Tensor | None = None
        if sublattice is not None:
            self.sublattice = _as_labels("sublattice", sublattice, self.sites, "one per site")
        self.positions: Tensor | None = None
        if positions is not None:
            self.positions = _as_places("positions", positions, self.sites)
        self.box: Tensor | None = None
        if box is not None:
            expect(self.positions is not None, "box", "None where no positions are given", box)
            self.box = _as_places("box", box, self.positions.shape[1])  # type: ignore[union-attr]
        self.origin = origin
        self._given_colours: Tensor | None = None
        if colours is not None:
            given = _as_labels("colours", colours, self.sites, "one per site")
            _check_colours(given, self.edges)
            self._given_colours = given

    @classmethod
    def _drawn(cls, drawing: Drawing) -> Self:
        return cls(
            drawing.edges,
            drawing.sites,
            drawing.classes,
            drawing.positions,
            drawing.sublattice,
            drawing.colours,
            drawing.box,
            drawing.origin,
        )

    @classmethod
    def triangular(cls, shape: Sequence[int], periodic: bool = True) -> Self:
        """Return the triangular lattice: six neighbours, a class of edges per direction.

        Args:
            shape: lengths along two directions at 60 degrees. Where both are multiples of 3, or
                the boundaries open, there are three sublattices.
            periodic: whether it is a torus.

        Example:
            >>> Graph.triangular((6, 6)).num_colours
            3
        """
        return cls._drawn(shapes.triangular(shape, periodic))

    @classmethod
    def honeycomb(cls, shape: Sequence[int], periodic: bool = True) -> Self:
        """Return the honeycomb lattice: three neighbours, a class of edges per direction.

        Args:
            shape: cells of two sites along two directions at 60 degrees; sites ``2c`` and
                ``2c + 1`` belong to cell ``c``.
            periodic: whether it is a torus.
        """
        return cls._drawn(shapes.honeycomb(shape, periodic))

    @classmethod
    def kagome(cls, shape: Sequence[int], periodic: bool = True) -> Self:
        """Return the kagome lattice: four neighbours, a class of edges per direction.

        Args:
            shape: cells of three sites along two directions at 60 degrees; sites ``3c`` to
                ``3c + 2`` belong to cell ``c``.
            periodic: whether it is a torus.
        """
        return cls._drawn(shapes.kagome(shape, periodic))

    @classmethod
    def king(cls, shape: Sequence[int], periodic: bool = True) -> Self:
        """Return the square lattice with diagonals: eight neighbours, as a king moves.

        Args:
            shape: two lengths. Classes of edges are both directions, then both diagonals.
            periodic: whether it is a torus.
        """
        return cls._drawn(shapes.king(shape, periodic))

    @classmethod
    def with_neighbours(cls, shape: Sequence[int], offsets: Any, periodic: bool = True) -> Self:
        """Return a hypercubic lattice with bonds to sites at any distance.

        Args:
            shape: length of every direction; sites are numbered row by row, the last fastest.
            offsets: of the other end of every bond, a class of edges each; a list of offsets in
                place of one makes these a class together. An offset and its opposite are one.
            periodic: whether it is a torus. An offset by half a length joins its sites twice.

        Example:
            >>> near = [(1, 0), (0, 1)]
            >>> diagonal = [(1, 1), (1, -1)]
            >>> graph = Graph.with_neighbours((8, 8), [near, diagonal])
            >>> graph.num_classes, graph.degree
            (2, 8)
        """
        return cls._drawn(shapes.with_neighbours(shape, offsets, periodic))

    @classmethod
    def complete(cls, sites: int) -> Self:
        """Return the graph of all pairs, in the order (0, 1), (0, 2) … .

        Args:
            sites: their number.
        """
        return cls._drawn(shapes.complete(sites))

    @classmethod
    def bipartite(cls, first: int, second: int) -> Self:
        """Return the graph of all pairs of a site of one kind and one of another.

        Args:
            first: number of sites ``i`` of the first kind, numbered first.
            second: number of sites ``j`` of the second; edge ``i second + j`` joins both.
        """
        return cls._drawn(shapes.bipartite(first, second))

    @property
    def bonds(self) -> int:
        """Number of edges."""
        return len(self.edges)

    @property
    def num_classes(self) -> int:
        """Number of classes of edges."""
        return int(self.classes.max()) + 1

    @cached_property
    def degrees(self) -> Tensor:
        """Edges at every site, int64 ``(sites,)``."""
        return torch.bincount(self.edges.flatten(), minlength=self.sites)

    @property
    def degree(self) -> int:
        """The largest number of edges at a site."""
        return int(self.degrees.max())

    @property
    def wide(self) -> bool:
        """Whether local fields are a matrix product: the degree is above 32."""
        return self.degree > WIDE

    @property
    def num_colours(self) -> int:
        """Number of classes of :meth:`colours`."""
        return int(self._colours.max()) + 1

    def colours(self) -> Tensor:
        """Return a colouring in which no two neighbours are alike, int8 ``(sites,)``."""
        return self._colours.clone()

    @cached_property
    def _colours(self) -> Tensor:
        found = self._given_colours
        if found is None:
            found = two_colours(self.edges, self.sites)
        if found is None:
            found = saturation_colours(self.edges, self.sites)
        if int(found.max()) >= 127:
            raise ValueError(
                f"neighbours need different colours, of which there are at most 127, and "
                f"{int(found.max()) + 1} were found for {self!r}; give colours= if fewer serve"
            )
        return found.to(torch.int8)

    def neighbours(self) -> Tensor:
        """Return each site's neighbours in the order of the edges, int64 ``(degree, sites)``.

        Where a site has fewer there is -1.
        """
        incidence = self.incidence()
        missing = incidence.bond == self.bonds
        return incidence.neighbours.long().masked_fill(missing, -1)

    def incidence(self) -> Incidence:
        """Return which edges meet at every site, in the order of the edges."""
        return self._incidence

    @cached_property
    def _incidence(self) -> Incidence:
        return incidence_of(self.edges, self.sites)

    def __repr__(self) -> str:
        origin = self.origin
        if origin is None:
            return f"Graph(sites={self.sites}, bonds={self.bonds})"
        if origin.kind in ("complete", "bipartite"):
            told = [str(length) for length in origin.lengths]
        else:
            told = [str(origin.lengths)]
            if origin.kind == "with_neighbours":
                told.append(f"classes={self.num_classes}")
            if not origin.periodic:
                told.append("periodic=False")
        return f"Graph.{origin.kind}({', '.join(told)})"

    def _content(self) -> tuple[Any, ...]:
        """Return all that two equal graphs have in common."""
        parts: list[Any] = [self.sites]
        tables = (self.edges, self.classes, self.positions, self.sublattice, self.box)
        for table in (*tables, self._given_colours):
            if table is None:
                parts.append(None)
            else:
                parts.append(tuple(table.flatten().tolist()))
        return tuple(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash((self.sites, self.bonds))


def incidence_of(edges: Tensor, sites: int) -> Incidence:
    """Return which edges meet at every site.

    Args:
        edges: int64 ``(bonds, 2)``.
        sites: their number.
    """
    bonds = len(edges)
    # Ends in the order of the edges, so that every site meets its edges in that order.
    ends = edges.flatten()
    others = edges.flip(1).flatten()
    order = torch.argsort(ends, stable=True)
    degrees = torch.bincount(ends, minlength=sites)
    first = degrees.cumsum(0) - degrees
    here = ends[order]
    row = torch.arange(len(ends)) - first[here]
    degree = int(degrees.max())
    neighbours = torch.arange(sites).expand(degree, sites).clone()
    bond = torch.full((degree, sites), bonds)
    behind = torch.zeros(degree, sites, dtype=torch.bool)
    neighbours[row, here] = others[order]
    bond[row, here] = order // 2
    behind[row, here] = order % 2 == 1
    return Incidence(neighbours.int(), bond.int(), behind)


def _as_edges(edges: Any) -> Tensor:
    """Return pairs of sites, int64 ``(bonds, 2)``."""
    wanted = "pairs of sites, integers of shape (bonds, 2)"
    try:
        table = as_tensor(edges)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        expect(False, "edges", wanted, edges)
    whole = not table.is_floating_point() and table.dtype != torch.bool
    expect(whole and table.ndim == 2 and table.shape[1:] == (2,), "edges", wanted, edges)
    expect(len(table) > 0, "edges", "at least one edge", edges)
    return table.detach().cpu().long().clone()


def _check_edges(edges: Tensor, sites: int, repeated: bool) -> None:
    """Raise a ValueError where an edge is none, or is there twice."""
    outside = (edges < 0) | (edges >= sites)
    if bool(outside.any()):
        row = int(outside.any(1).nonzero()[0])
        raise ValueError(
            f"edge {row} joins {tuple(edges[row].tolist())}, and sites are numbered from 0 to "
            f"{sites - 1}"
        )
    loops = edges[:, 0] == edges[:, 1]
    if bool(loops.any()):
        row = int(loops.nonzero()[0])
        raise ValueError(f"edge {row} joins site {int(edges[row, 0])} with itself")
    if repeated:
        return
    keys = edges.min(1).values * sites + edges.max(1).values
    order = torch.argsort(keys, stable=True)
    again = (keys[order][1:] == keys[order][:-1]).nonzero()
    if len(again) > 0:
        place = int(again[0])
        first = int(order[place])
        second = int(order[place + 1])
        raise ValueError(
            f"edges {first} and {second} join the same sites, {tuple(edges[second].tolist())}; "
            f"give the pair once, with the sum of its couplings"
        )


def _as_labels(name: str, labels: Any, count: int, meaning: str) -> Tensor:
    """Return labels from 0 on, int64 ``(count,)``."""
    wanted = f"{count} integers from 0 on ({meaning})"
    try:
        table = as_tensor(labels)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        expect(False, name, wanted, labels)
    whole = not table.is_floating_point() and table.dtype != torch.bool
    expect(whole and table.shape == (count,) and int(table.min()) >= 0, name, wanted, labels)
    return table.detach().cpu().long().clone()


def _as_places(name: str, places: Any, rows: int) -> Tensor:
    """Return finite vectors, float64 ``(rows, dimensions)``."""
    wanted = f"finite numbers, {rows} rows of one vector each"
    try:
        table = as_tensor(places, torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        expect(False, name, wanted, places)
    fits = table.ndim == 2 and len(table) == rows and bool(table.isfinite().all())
    expect(fits, name, wanted, places)
    return table.detach().cpu().clone()


def _check_colours(colours: Tensor, edges: Tensor) -> None:
    """Raise a ValueError where two neighbours are alike."""
    alike = colours[edges[:, 0]] == colours[edges[:, 1]]
    if bool(alike.any()):
        row = int(alike.nonzero()[0])
        raise ValueError(
            f"colours must differ between neighbours, and sites {tuple(edges[row].tolist())} of "
            f"edge {row} are alike"
        )
