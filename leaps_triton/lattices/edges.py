"""Edges of graphs: checked input, and which of them meet at every site."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_tensor, expect

__all__ = [
    "Incidence",
    "as_edges",
    "as_labels",
    "as_places",
    "check_colours",
    "check_edges",
    "incidence_of",
]


class Incidence(NamedTuple):
    """Which edges meet at every site."""

    neighbours: Tensor
    """Site at the other end, int32 ``(degree, sites)``; the site itself where there is none"""
    bond: Tensor
    """Its edge, int32 ``(degree, sites)``; the number of edges where there is none"""
    behind: Tensor
    """Whether the site is the second end of that edge, bool ``(degree, sites)``"""


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


def as_edges(edges: Any) -> Tensor:
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


def check_edges(edges: Tensor, sites: int, repeated: bool) -> None:
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


def as_labels(name: str, labels: Any, count: int, meaning: str) -> Tensor:
    """Return labels from 0 on, int64 ``(count,)``."""
    wanted = f"{count} integers from 0 on ({meaning})"
    try:
        table = as_tensor(labels)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        expect(False, name, wanted, labels)
    whole = not table.is_floating_point() and table.dtype != torch.bool
    expect(whole and table.shape == (count,) and int(table.min()) >= 0, name, wanted, labels)
    return table.detach().cpu().long().clone()


def as_places(name: str, places: Any, rows: int) -> Tensor:
    """Return finite vectors, float64 ``(rows, dimensions)``."""
    wanted = f"finite numbers, {rows} rows of one vector each"
    try:
        table = as_tensor(places, torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        expect(False, name, wanted, places)
    fits = table.ndim == 2 and len(table) == rows and bool(table.isfinite().all())
    expect(fits, name, wanted, places)
    return table.detach().cpu().clone()


def check_colours(colours: Tensor, edges: Tensor) -> None:
    """Raise a ValueError where two neighbours are alike."""
    alike = colours[edges[:, 0]] == colours[edges[:, 1]]
    if bool(alike.any()):
        row = int(alike.nonzero()[0])
        raise ValueError(
            f"colours must differ between neighbours, and sites {tuple(edges[row].tolist())} of "
            f"edge {row} are alike"
        )
