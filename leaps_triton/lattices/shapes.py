"""Graphs with names: triangular, honeycomb and kagome lattices, further neighbours, all pairs."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_bool, as_integer, expect, shown

__all__ = [
    "Drawing",
    "Origin",
    "bipartite",
    "complete",
    "honeycomb",
    "kagome",
    "king",
    "triangular",
    "with_neighbours",
]

_ROOT = math.sqrt(3.0)


class Origin(NamedTuple):
    """How a graph was made."""

    kind: str
    """Name of its maker: ``triangular``"""
    lengths: tuple[int, ...]
    """Cells in every direction, or numbers of sites"""
    periodic: bool
    """Whether it is a torus"""


class Drawing(NamedTuple):
    """All that is known of a graph with a name, as :class:`Graph` takes it."""

    origin: Origin
    sites: int
    edges: Tensor
    classes: Tensor
    positions: Tensor | None
    sublattice: Tensor | None
    colours: Tensor | None
    box: Tensor | None


class Bond(NamedTuple):
    """One bond per cell."""

    first: int
    """Site of the cell where it begins"""
    second: int
    """Site where it ends, in the cell at ``offset``"""
    offset: tuple[int, ...]
    """Cells between the two"""
    kind: int
    """Class of the edge"""


def triangular(shape: Sequence[int], periodic: bool) -> Drawing:
    """Return the triangular lattice, one site per cell, bonds at 0, 60 and 120 degrees."""
    lengths = _as_lengths(shape, periodic, 2)
    bonds = [Bond(0, 0, (1, 0), 0), Bond(0, 0, (0, 1), 1), Bond(0, 0, (-1, 1), 2)]
    vectors = [(1.0, 0.0), (0.5, _ROOT / 2.0)]
    drawing = _tiled("triangular", lengths, periodic, bonds, vectors, [(0.0, 0.0)])
    # Three sublattices fit a torus whose lengths are multiples of 3.
    fits = not periodic or all(length % 3 == 0 for length in lengths)
    if not fits:
        return drawing
    first, second = _cells(lengths).T
    thirds = (first - second) % 3
    return drawing._replace(sublattice=thirds, colours=thirds)


def honeycomb(shape: Sequence[int], periodic: bool) -> Drawing:
    """Return the honeycomb lattice, two sites per cell, bonds from the first sublattice."""
    lengths = _as_lengths(shape, periodic, 2)
    bonds = [Bond(0, 1, (0, 0), 0), Bond(0, 1, (-1, 0), 1), Bond(0, 1, (0, -1), 2)]
    vectors = [(_ROOT, 0.0), (_ROOT / 2.0, 1.5)]
    basis = [(0.0, 0.0), (_ROOT / 2.0, 0.5)]
    drawing = _tiled("honeycomb", lengths, periodic, bonds, vectors, basis)
    return _by_place_in_cell(drawing, 2)


def kagome(shape: Sequence[int], periodic: bool) -> Drawing:
    """Return the kagome lattice, three sites per cell, corners of triangles."""
    lengths = _as_lengths(shape, periodic, 2)
    bonds = [
        Bond(0, 1, (0, 0), 0),
        Bond(1, 0, (1, 0), 0),
        Bond(0, 2, (0, 0), 1),
        Bond(2, 0, (0, 1), 1),
        Bond(1, 2, (0, 0), 2),
        Bond(2, 1, (-1, 1), 2),
    ]
    vectors = [(2.0, 0.0), (1.0, _ROOT)]
    basis = [(0.0, 0.0), (1.0, 0.0), (0.5, _ROOT / 2.0)]
    drawing = _tiled("kagome", lengths, periodic, bonds, vectors, basis)
    return _by_place_in_cell(drawing, 3)


def king(shape: Sequence[int], periodic: bool) -> Drawing:
    """Return the square lattice with both diagonals of every square."""
    lengths = _as_lengths(shape, periodic, 2)
    offsets = [(1, 0), (0, 1), (1, 1), (1, -1)]
    drawing = _with_offsets("king", lengths, periodic, [[offset] for offset in offsets])
    if periodic and any(length % 2 == 1 for length in lengths):
        return drawing
    first, second = _cells(lengths).T
    return drawing._replace(colours=first % 2 * 2 + second % 2)


def with_neighbours(shape: Any, offsets: Any, periodic: bool) -> Drawing:
    """Return a hypercubic lattice with a bond from every site to that at every offset."""
    lengths = _as_lengths(shape, periodic, None)
    return _with_offsets("with_neighbours", lengths, periodic, _as_groups(offsets, len(lengths)))


def complete(sites: int) -> Drawing:
    """Return the graph of all pairs of sites."""
    count = as_integer("sites", sites, 2)
    edges = torch.combinations(torch.arange(count))
    classes = torch.zeros(len(edges), dtype=torch.int64)
    origin = Origin("complete", (count,), False)
    return Drawing(origin, count, edges, classes, None, None, None, None)


def bipartite(first: int, second: int) -> Drawing:
    """Return the graph of all pairs of a site of one kind and one of another."""
    left = as_integer("first", first, 1)
    right = as_integer("second", second, 1)
    edges = torch.cartesian_prod(torch.arange(left), left + torch.arange(right))
    sides = (torch.arange(left + right) >= left).long()
    classes = torch.zeros(len(edges), dtype=torch.int64)
    origin = Origin("bipartite", (left, right), False)
    return Drawing(origin, left + right, edges, classes, None, sides, sides, None)


def _with_offsets(
    kind: str, lengths: tuple[int, ...], periodic: bool, groups: list[list[tuple[int, ...]]]
) -> Drawing:
    """Return a hypercubic lattice whose bonds are given by offsets, a class per group."""
    bonds = []
    for number, group in enumerate(groups):
        for offset in group:
            bonds.append(Bond(0, 0, offset, number))
    axes = range(len(lengths))
    vectors = [tuple(float(axis == other) for other in axes) for axis in axes]
    drawing = _tiled(kind, lengths, periodic, bonds, vectors, [(0.0,) * len(lengths)])
    # A chequerboard fits a torus of even lengths.
    if periodic and any(length % 2 == 1 for length in lengths):
        return drawing
    return drawing._replace(sublattice=_cells(lengths).sum(1) % 2)


def _by_place_in_cell(drawing: Drawing, count: int) -> Drawing:
    """Return a drawing whose sublattices, and colours, are the places in a cell."""
    places = torch.arange(drawing.sites) % count
    return drawing._replace(sublattice=places, colours=places)


def _cells(lengths: tuple[int, ...]) -> Tensor:
    """Return the place of every cell, int64 ``(cells, directions)``, the last one fastest."""
    ranges = [torch.arange(length) for length in lengths]
    return torch.cartesian_prod(*ranges).view(-1, len(lengths))


def _tiled(
    kind: str,
    lengths: tuple[int, ...],
    periodic: bool,
    bonds: list[Bond],
    vectors: Sequence[tuple[float, ...]],
    basis: Sequence[tuple[float, ...]],
) -> Drawing:
    """Return equal cells side by side, with the same bonds in every one.

    Args:
        kind: name of the maker.
        lengths: cells in every direction.
        periodic: whether opposite boundaries are joined.
        bonds: of one cell.
        vectors: from a cell to the next in every direction.
        basis: positions of the sites of a cell.
    """
    cells = _cells(lengths)
    size = torch.tensor(lengths)
    strides = torch.tensor([math.prod(lengths[axis + 1 :]) for axis in range(len(lengths))])
    places = len(basis)
    edges = []
    classes = []
    for bond in bonds:
        there = cells + torch.tensor(bond.offset)
        inside = ((there >= 0) & (there < size)).all(1)
        if periodic:
            inside = torch.ones_like(inside)
        cell = (there % size * strides).sum(1)
        here = torch.arange(len(cells)) * places + bond.first
        pairs = torch.stack([here, cell * places + bond.second], 1)[inside]
        edges.append(pairs)
        classes.append(torch.full((len(pairs),), bond.kind))
    table = torch.cat(edges)
    if len(table) == 0:
        raise ValueError(f"shape {lengths} is too small for any of these bonds; give it larger")
    steps = torch.tensor(vectors, dtype=torch.float64)
    inner = torch.tensor(basis, dtype=torch.float64)
    corners = cells.double() @ steps
    positions = (corners.unsqueeze(1) + inner).flatten(0, 1)
    box = None
    if periodic:
        box = size.double().unsqueeze(1) * steps
    origin = Origin(kind, lengths, periodic)
    count = len(cells) * places
    return Drawing(origin, count, table, torch.cat(classes), positions, None, None, box)


def _as_lengths(shape: Any, periodic: bool, directions: int | None) -> tuple[int, ...]:
    """Return the lengths of a lattice; those of a torus are at least 2."""
    as_bool("periodic", periodic, "a bool")
    wanted = "integers, one per direction"
    if directions is not None:
        wanted = f"{directions} integers, the cells in every direction"
    sequence = isinstance(shape, Sequence) and not isinstance(shape, str) and len(shape) > 0
    expect(sequence and directions in (None, len(shape)), "shape", wanted, shape)
    least = 1
    if periodic:
        # A site of a shorter torus would be its own neighbour.
        least = 2
    return tuple(as_integer("shape", length, least) for length in shape)


def _as_groups(offsets: Any, directions: int) -> list[list[tuple[int, ...]]]:
    """Return groups of offsets, each a class of edges.

    Raises:
        ValueError: these are no offsets, or one is there twice, or backward too.
    """
    wanted = f"offsets of {directions} integers each, or lists of offsets that share a class"
    expect(isinstance(offsets, Sequence) and len(offsets) > 0, "offsets", wanted, offsets)
    groups = []
    for entry in offsets:
        members = entry
        if isinstance(entry, Sequence) and not any(isinstance(n, Sequence) for n in entry):
            members = [entry]
        expect(isinstance(members, Sequence) and len(members) > 0, "offsets", wanted, offsets)
        group = []
        for member in members:
            fits = isinstance(member, Sequence) and len(member) == directions
            expect(fits, "offsets", wanted, offsets)
            group.append(tuple(as_integer("offsets", n, -(2**31)) for n in member))
        groups.append(group)
    seen: set[tuple[int, ...]] = set()
    for offset in itertools.chain(*groups):
        if offset in seen or not any(offset):
            raise ValueError(
                f"offsets must differ from zero and from each other, backward too, since a bond "
                f"joins both its sites: got {offset} in {shown(offsets)}"
            )
        seen.add(offset)
        seen.add(tuple(-n for n in offset))
    return groups
