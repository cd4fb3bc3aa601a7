"""Graphs of any shape: sites, edges in a fixed order, classes of edges, positions, colours."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from ..kernels.checks import as_integer, expect
from ..kernels.gathered.checks import colour_type
from ..kernels.gathered.rule import Products
from . import shapes
from .colouring import saturation_colours, two_colours
from .edges import (
    Incidence,
    as_edges,
    as_labels,
    as_places,
    check_colours,
    check_edges,
    incidence_of,
)
from .shapes import Drawing, Origin

__all__ = ["Graph"]


class Graph:
    """Sites and the edges between them, wherever a shape of a hypercubic lattice may stand.

    Edges keep the order in which they are given, and couplings per edge have it too. Every edge has
    a class, its direction or distance, and couplings may be given per class.

    Args:
        edges: pairs of sites, integers ``(bonds, 2)``, each pair once.
        sites: their number; None for the largest that an edge names and those before it.
        classes: class of every edge, integers ``(bonds,)`` from 0 on; None for one class.
        positions: of the sites, ``(sites, dimensions)``, in units of a bond; None for none.
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

    hypercubic: ClassVar[Literal[False]] = False
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
        self.edges = as_edges(edges)
        least = int(self.edges.max()) + 1
        self.sites = least
        if sites is not None:
            # Ops index sites with 32 bits.
            self.sites = as_integer("sites", sites, 1, 2**31 - 1)
        # On a torus of length 2 there are two bonds between the same sites.
        check_edges(self.edges, self.sites, repeated=origin is not None)
        self.shape = (self.sites,)
        self.classes = torch.zeros(self.bonds, dtype=torch.int64)
        if classes is not None:
            self.classes = as_labels("classes", classes, self.bonds, "one class per edge")
        self.sublattice: Tensor | None = None
        if sublattice is not None:
            self.sublattice = as_labels("sublattice", sublattice, self.sites, "one per site")
        self.positions: Tensor | None = None
        if positions is not None:
            self.positions = as_places("positions", positions, self.sites)
        self.box: Tensor | None = None
        if box is not None:
            expect(self.positions is not None, "box", "None where no positions are given", box)
            self.box = as_places("box", box, self.positions.shape[1])  # type: ignore[union-attr]
        self.origin = origin
        self._given_colours: Tensor | None = None
        if colours is not None:
            given = as_labels("colours", colours, self.sites, "one per site")
            check_colours(given, self.edges)
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
    def coupling_shape(self) -> tuple[int, ...]:
        """Shape of couplings told edge by edge, ``(1, bonds)``."""
        return (1, self.bonds)

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
    def placed(self) -> bool:
        """Whether it is known where the sites stand."""
        return self.positions is not None

    @property
    def title(self) -> str:
        """The maker and its lengths, as titles of figures have them; else the number of sites."""
        if self.origin is None:
            return f"graph of {self.sites} sites, {self.bonds} bonds"
        lengths = " × ".join(str(length) for length in self.origin.lengths)
        kind = self.origin.kind.replace("with_neighbours", "neighbours on")
        return f"{kind} {lengths}"

    @property
    def products(self) -> Products:
        """Which sums of the ops on graphs are matrix products."""
        return Products.of(self.degree, self.bonds, self.sites, self.num_colours)

    @property
    def wide(self) -> bool:
        """Whether any sum is a matrix product; see :attr:`rule`."""
        return any(self.products)

    @property
    def rule(self) -> str:
        """How the ops on graphs sum over neighbours, in words.

        Log-ratios are matrix products at degrees above 32, energies at mean degrees above 32, and
        sweeps where colours of such a graph have eight sites or more in the mean; all else, and all
        sums of more than 16384 sites, are gathered. A model may have a way of its own, which
        ``leaps-triton info`` names.

        Example:
            >>> Graph.complete(40).rule
            'energies and log-ratios by matrix product, sweeps gathered'
        """
        return self.products.words

    def describe(self) -> str:
        """Return the graph in a line for a person.

        Example:
            >>> Graph.king((4, 4)).describe()
            'Graph.king((4, 4)): 16 sites, 64 bonds, 4 classes, degree 8, 4 colours'
        """
        classes = "1 class"
        if self.num_classes > 1:
            classes = f"{self.num_classes} classes"
        return (
            f"{self!r}: {self.sites} sites, {self.bonds} bonds, {classes}, "
            f"degree {self.degree}, {self.num_colours} colours"
        )

    @cached_property
    def num_colours(self) -> int:
        """Number of classes of :meth:`colours`."""
        return int(self._colours.max()) + 1

    def colours(self) -> Tensor:
        """Return a colouring in which no two neighbours are alike, integers ``(sites,)``.

        They are int8, and int32 where there are more than 127 colours.
        """
        return self._colours.clone()

    @cached_property
    def _colours(self) -> Tensor:
        found = self._given_colours
        if found is None:
            found = two_colours(self.edges, self.sites)
        if found is None:
            found = saturation_colours(self.edges, self.sites)
        return found.to(colour_type(int(found.max()) + 1))

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

    def _content(self) -> tuple[Tensor | None, ...]:
        """Return all that two equal graphs have in common."""
        tables = (self.edges, self.classes, self.positions, self.sublattice, self.box)
        # Sweeps follow the colours, so that graphs that differ in them are not the same.
        return (*tables, self._colours)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph) or (self.sites, self.bonds) != (other.sites, other.bonds):
            return False
        for own, its in zip(self._content(), other._content(), strict=True):
            if (own is None) != (its is None):
                return False
            if own is not None and its is not None and not torch.equal(own, its):
                return False
        return True

    def __hash__(self) -> int:
        return hash((self.sites, self.bonds))
