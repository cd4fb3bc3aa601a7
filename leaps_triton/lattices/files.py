"""Graphs from files: one line per edge, and max-cut files."""

import math
import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, expect
from .graph import Graph

__all__ = [
    "MAY_COUNT",
    "Edges",
    "GraphFile",
    "as_file",
    "first_few",
    "read_edges",
    "read_graph",
]

MAY_COUNT = (
    "no line of {name} names site 0, so that it may count from 0 or from 1; say which by "
    "first_site (--first-site)"
)
_SHOWN = 3
"""Bonds that do not fit and are named; the others are counted."""


class Edges(NamedTuple):
    """What the lines of a file say, sites numbered as there."""

    name: str
    """Of the file, without its folder"""
    header: tuple[int, int] | None
    """Number of sites and of edges of a max-cut file; None for a file without header"""
    lines: list[int]
    """Line of every edge, from 1"""
    pairs: list[tuple[int, int]]
    """Sites of every edge"""
    numbers: list[float]
    """Number of every edge"""

    @property
    def couplings(self) -> list[float]:
        """Return ``J`` of every edge: minus the weight in a max-cut file."""
        if self.header is None:
            return self.numbers
        # The largest cut is where the energy of J = -w is least.
        return [-weight for weight in self.numbers]


class GraphFile(NamedTuple):
    """A graph from a file, and its couplings."""

    graph: Graph
    """Edges in the order of the file"""
    coupling: Tensor
    """``J`` of every edge, float64 ``(bonds,)``, as ``coupling=`` of a model takes it"""


def read_graph(
    file: str | os.PathLike[str], first_site: int | None = None, scale: float = 1.0
) -> GraphFile:
    r"""Return the graph that a file names edge by edge, and the coupling of every edge.

    The file has lines ``i j J``, two sites and the coupling of their edge; a max-cut file has a
    line ``sites edges`` before them, weights ``w = -J`` and sites from 1. What follows ``#`` is a
    comment.

    Args:
        file: its name.
        first_site: number of the first site, 0 or 1; None for 1 after a header, else for 0, which
            is refused where no line names site 0.
        scale: the couplings are multiplied by it.

    Returns:
        The graph, and its couplings in the order of its edges.

    Raises:
        ValueError: the file cannot be read so; edges that do not fit are named by their lines.
        OSError: there is no such file, or it is forbidden.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "triangle.mc"
        ...     _ = file.write_text("3 3\n1 2 1\n2 3 1\n1 3 -2\n")
        ...     found = read_graph(file)
        >>> found.graph, found.coupling.tolist()
        (Graph(sites=3, bonds=3), [-1.0, -1.0, 2.0])
    """
    factor = as_number("scale", scale, "a finite number", math.isfinite)
    if first_site is not None:
        first_site = as_integer("first_site", first_site, 0, 1)
    found = read_edges(file)
    first = first_site
    if first is None:
        first = _first_of_graph(found)
    # Without a header the last site is the last that a line names.
    sites = max(max(pair) for pair in found.pairs) + 1 - first
    if found.header is not None:
        sites = found.header[0]
    _check_pairs(found, first, sites)
    edges = torch.tensor(found.pairs) - first
    coupling = factor * torch.tensor(found.couplings, dtype=torch.float64)
    return GraphFile(Graph(edges, sites), coupling)


def read_edges(file: str | os.PathLike[str]) -> Edges:
    """Return the lines ``i j J`` of a file, with its header ``sites edges`` if it has one.

    Args:
        file: its name.

    Raises:
        ValueError: a line is something else, or the header promises another number of edges.
        OSError: there is no such file, or it is forbidden.
    """
    place = as_file(file)
    edges = Edges(place.name, None, [], [], [])
    try:
        text = place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            f"{place.name} is no text of lines `i j J`, and no NumPy array; see read_couplings"
        ) from None
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.partition("#")[0].split()
        if len(fields) == 2 and edges.header is None and not edges.lines:
            edges = edges._replace(header=_header(fields, place.name, number))
        elif fields:
            pair, value = _edge(fields, place.name, number)
            edges.lines.append(number)
            edges.pairs.append(pair)
            edges.numbers.append(value)
    if not edges.lines:
        raise ValueError(f"{place.name} has no line `i j J`: two sites and the coupling of a bond")
    if edges.header is not None and edges.header[1] != len(edges.lines):
        raise ValueError(
            f"{place.name} promises {edges.header[1]} edges in its first line, `sites edges`, and "
            f"has {len(edges.lines)}; it may be cut short, or that line may lack its coupling"
        )
    return edges


def as_file(file: object) -> Path:
    """Return ``file`` as a path; a ValueError unless it is a path or its name."""
    # A zero byte would fail only on opening, with an error that names no argument.
    named = isinstance(file, str | os.PathLike) and str(file) != "" and "\0" not in str(file)
    expect(named, "file", "the name of a file", file)
    return Path(file)  # type: ignore[arg-type]


def _header(fields: list[str], name: str, line: int) -> tuple[int, int]:
    """Return the number of sites and of edges that a first line of two numbers tells."""
    if not all(field.isdecimal() for field in fields):
        raise ValueError(_no_edge(fields, name, line))
    return int(fields[0]), int(fields[1])


def _edge(fields: list[str], name: str, line: int) -> tuple[tuple[int, int], float]:
    """Return the sites and the number of a line.

    Raises:
        ValueError: these are not two integers and a finite number.
    """
    try:
        first, second, value = fields
        # An index such as 1.0 is refused, since int takes whole numbers alone.
        pair = (int(first), int(second))
        number = float(value)
    except ValueError:
        raise ValueError(_no_edge(fields, name, line)) from None
    if not math.isfinite(number):
        raise ValueError(f"line {line} of {name}: the coupling must be finite, got {value}")
    return pair, number


def _no_edge(fields: list[str], name: str, line: int) -> str:
    return (
        f"line {line} of {name} must be `i j J`, two sites and the coupling of their bond, got "
        f"{' '.join(fields)!r}"
    )


def _first_of_graph(edges: Edges) -> int:
    """Return the number of the first site of a graph, 0 or 1.

    Raises:
        ValueError: no line names site 0.
    """
    if edges.header is not None:
        return 1
    lowest = min(min(pair) for pair in edges.pairs)
    if lowest > 0:
        raise ValueError(MAY_COUNT.format(name=edges.name))
    return 0


def _check_pairs(edges: Edges, first_site: int, sites: int) -> None:
    """Raise a ValueError that names the first lines whose pairs are no edges of a graph."""
    last = first_site + sites - 1
    taken: dict[tuple[int, int], int] = {}
    misfits = []
    for line, pair in zip(edges.lines, edges.pairs, strict=True):
        ends = (min(pair), max(pair))
        reason = ""
        if ends[0] < first_site or ends[1] > last:
            reason = f"sites are numbered from {first_site} to {last}"
        elif ends[0] == ends[1]:
            reason = "a site has no bond with itself"
        elif ends in taken:
            reason = f"the bond was named in line {taken[ends]} already"
        else:
            taken[ends] = line
        if reason:
            misfits.append(f"line {line}: sites {pair[0]} and {pair[1]}: {reason}")
    if misfits:
        raise ValueError(f"{edges.name} is no graph of {sites} sites: {first_few(misfits)}")


def first_few(misfits: list[str]) -> str:
    """Return the first lines that do not fit, and the number of the others."""
    shown = "; ".join(misfits[:_SHOWN])
    if len(misfits) > _SHOWN:
        shown = f"{shown}; and {len(misfits) - _SHOWN} more"
    return shown
