"""Couplings of a lattice from files: one line per bond, max-cut files, and NumPy arrays."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, expect
from .files import MAY_COUNT, Edges, as_file, first_few, read_edges
from .hypercubic import Lattice

__all__ = ["read_couplings"]

_log = logging.getLogger("leaps_triton")

_NUMPY = b"\x93NUMPY"
"""How a file of a NumPy array begins."""


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
    place = as_file(file)
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
        raise ValueError(MAY_COUNT.format(name=name))
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
    return found.view(lattice.coupling_shape)


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
    return (
        f"{name} does not fit a lattice of shape {lattice.shape}, periodic {lattice.periodic}: "
        f"{first_few(misfits)}"
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
    expected = lattice.coupling_shape
    if table.shape != expected:
        raise ValueError(
            f"{file.name} must hold an array of shape {expected} (directions by lattice), got "
            f"{tuple(table.shape)}"
        )
    if not bool(table.isfinite().all()):
        raise ValueError(f"{file.name} must hold finite numbers, got NaN or infinity")
    return table
