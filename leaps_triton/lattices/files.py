"""Couplings from files: one line per bond, max-cut files, and NumPy arrays."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, expect
from .hypercubic import Lattice

__all__ = ["Edges", "read_couplings", "read_edges"]

_log = logging.getLogger("leaps_triton")

_NUMPY = b"\x93NUMPY"
"""How a file of a NumPy array begins."""
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


def read_couplings(
    file: str | os.PathLike[str],
    shape: Sequence[int] | int,
    periodic: bool | Sequence[bool] = True,
    first_site: int | None = None,
    scale: float = 1.0,
) -> Tensor:
    r"""Return the couplings of a lattice from a file, as ``coupling=`` of a model takes them.

    The file is one of these:

    - lines ``i j J``: two sites and the coupling of their bond, in any order;
    - a max-cut file: the same after a first line ``sites edges``, with weights ``w = -J`` and sites
      from 1;
    - a NumPy array (``.npy``) of shape ``(ndim, *shape)``, entry ``[d, i]`` the bond from site
      ``i`` in positive direction ``d``.

    Sites are numbered row by row, the last direction fastest. What follows ``#`` is a comment.
    Bonds that the file does not name have ``J = 0``, and a warning of the logger ``leaps_triton``
    counts them. A periodic direction of length 2 has two bonds between the same sites: a pair that
    is named once has one of them, a pair that is named twice has both, so that the energy is the
    sum over the lines of the file in any case. Elsewhere a pair that is named twice is refused.

    Args:
        file: its name.
        shape: lattice lengths, one to four directions.
        periodic: one bool, or one per direction.
        first_site: number of the first site, 0 or 1; None for 1 after a header, else for 0, which
            is refused where no line names site 0.
        scale: the couplings are multiplied by it: ``1e-5`` for a file of ``10⁵ J``.

    Returns:
        float64 ``(ndim, *shape)``.

    Raises:
        ValueError: the file cannot be read so, or does not fit the lattice; bonds that do not fit
            are named by line and sites.
        OSError: there is no such file, or it is forbidden.

    Example:
        >>> import pathlib, tempfile, leaps_triton as lt
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "chain.txt"
        ...     _ = file.write_text("0 1 0.5 # a bond\n1 2 -1.5\n")
        ...     lt.read_couplings(file, 3, periodic=False)
        tensor([[ 0.5000, -1.5000,  0.0000]], dtype=torch.float64)
    """
    place = _as_file(file)
    lattice = Lattice(shape, periodic)
    factor = as_number("scale", scale, "a finite number", math.isfinite)
    if first_site is not None:
        first_site = as_integer("first_site", first_site, 0, 1)
    with place.open("rb") as stream:
        is_array = stream.read(len(_NUMPY)) == _NUMPY
    if is_array:
        return factor * _of_array(place, lattice)
    edges = read_edges(place)
    first = _first_site(edges, first_site, lattice)
    return factor * _on_lattice(edges, first, lattice)


def read_edges(file: str | os.PathLike[str]) -> Edges:
    """Return the lines ``i j J`` of a file, with its header ``sites edges`` if it has one.

    Args:
        file: its name.

    Raises:
        ValueError: a line is something else, or the header promises another number of edges.
        OSError: there is no such file, or it is forbidden.
    """
    place = _as_file(file)
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


def _as_file(file: object) -> Path:
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


def _first_site(edges: Edges, asked: int | None, lattice: Lattice) -> int:
    """Return the number of the first site in a file, 0 or 1.

    Raises:
        ValueError: the file is of another number of sites, or may count from 0 or from 1.
    """
    name = edges.name
    sites = lattice.sites
    if edges.header is not None and edges.header[0] != sites:
        raise ValueError(
            f"{name} is of {edges.header[0]} sites, and a lattice of shape {lattice.shape} has "
            f"{sites}; give its shape"
        )
    if asked is not None:
        return asked
    if edges.header is not None:
        return 1
    lowest = min(min(pair) for pair in edges.pairs)
    highest = max(max(pair) for pair in edges.pairs)
    if highest == sites:
        raise ValueError(
            f"{name} names site {sites}, and a lattice of shape {lattice.shape} has sites 0 to "
            f"{sites - 1}; if the file counts from 1, give first_site=1 (--first-site 1)"
        )
    if lowest > 0:
        raise ValueError(
            f"no line of {name} names site 0, so that it may count from 0 or from 1; say which by "
            f"first_site (--first-site)"
        )
    return 0


def _on_lattice(edges: Edges, first_site: int, lattice: Lattice) -> Tensor:
    """Return ``J`` of every bond, float64 ``(ndim, *shape)``.

    Raises:
        ValueError: bonds that do not fit the lattice, and why.
    """
    neighbours = lattice.neighbours().T.tolist()
    sites = lattice.sites
    found = torch.zeros(lattice.ndim * sites, dtype=torch.float64)
    taken: dict[int, int] = {}
    misfits = []
    for line, pair, coupling in zip(edges.lines, edges.pairs, edges.couplings, strict=True):
        i = pair[0] - first_site
        j = pair[1] - first_site
        reason = ""
        if not 0 <= i < sites or not 0 <= j < sites:
            reason = f"sites are numbered from {first_site} to {sites - 1 + first_site}"
        elif i == j:
            reason = "a site has no bond with itself"
        else:
            places = _places(neighbours, i, j, sites)
            free = [place for place in places if place not in taken]
            if free:
                # On a periodic length of 2 the second line of a pair takes the other bond.
                taken[free[0]] = line
                found[free[0]] = coupling
            elif places:
                before = " and ".join(str(number) for number in sorted(taken[p] for p in places))
                reason = f"the bond was named in line {before} already"
            else:
                reason = _why_apart(lattice, i, j)
        if reason:
            misfits.append(f"line {line}: sites {pair[0]} and {pair[1]}: {reason}")
    if misfits:
        raise ValueError(_in_words(misfits, edges.name, lattice))
    _tell_missing(edges.name, len(taken), lattice)
    return found.view(lattice.ndim, *lattice.shape)


def _places(neighbours: list[list[int]], i: int, j: int, sites: int) -> list[int]:
    """Return the flat indices of the bonds of two sites in ``(ndim, sites)``, in their order."""
    found = []
    for row, neighbour in enumerate(neighbours[i]):
        if neighbour == j:
            # Rows 2d hold neighbours in positive direction d, rows 2d + 1 those in negative one,
            # whose bond is that of the neighbour.
            owner = i
            if row % 2 == 1:
                owner = j
            found.append(row // 2 * sites + owner)
    return found


def _why_apart(lattice: Lattice, i: int, j: int) -> str:
    """Return why two sites of a lattice have no bond."""
    here = _position(lattice, i)
    there = _position(lattice, j)
    both = f"they stand at {here} and {there}"
    everywhere = Lattice(lattice.shape, [length > 1 for length in lattice.shape])
    if j in everywhere.neighbours()[:, i].tolist():
        return f"{both}, neighbours across an open boundary only"
    return f"{both}, and are no neighbours"


def _position(lattice: Lattice, site: int) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(site, lattice.shape))


def _in_words(misfits: list[str], name: str, lattice: Lattice) -> str:
    """Return an error that names the first bonds that do not fit, and counts them all."""
    shown = "; ".join(misfits[:_SHOWN])
    if len(misfits) > _SHOWN:
        shown = f"{shown}; and {len(misfits) - _SHOWN} more"
    return (
        f"{name} does not fit a lattice of shape {lattice.shape}, periodic {lattice.periodic}: "
        f"{shown}"
    )


def _tell_missing(name: str, named: int, lattice: Lattice) -> None:
    """Warn of bonds that a file does not name."""
    bonds = int((lattice.neighbours()[::2] >= 0).sum())
    if named < bonds:
        _log.warning(
            "%s names %d of the %d bonds of the lattice; the others have J = 0",
            name,
            named,
            bonds,
        )


def _of_array(file: Path, lattice: Lattice) -> Tensor:
    """Return the couplings that a NumPy array holds.

    Raises:
        ValueError: it is damaged, of objects, of another shape or not finite.
    """
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError):
        raise ValueError(
            f"{file.name} is no NumPy array of numbers, or is damaged; write it with numpy.save"
        ) from None
    # NumPy's letters of unsigned and signed integers and of floating point.
    expect(array.dtype.kind in "uif", file.name, "an array of real numbers", array.dtype)
    table = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))
    expected = (lattice.ndim, *lattice.shape)
    if table.shape != expected:
        raise ValueError(
            f"{file.name} must hold an array of shape {expected} (directions by lattice), got "
            f"{tuple(table.shape)}"
        )
    if not bool(table.isfinite().all()):
        raise ValueError(f"{file.name} must hold finite numbers, got NaN or infinity")
    return table
