"""Colourings of graphs in which no two neighbours are alike."""

import heapq

import torch
from torch import Tensor

__all__ = ["saturation_colours", "two_colours"]


def _neighbours(edges: Tensor, sites: int) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(sites)]
    for first, second in edges.tolist():
        found[first].append(second)
        found[second].append(first)
    return found


def two_colours(edges: Tensor, sites: int) -> Tensor | None:
    """Return a colouring by two colours, int64 ``(sites,)``; None if there is none.

    Args:
        edges: int64 ``(bonds, 2)``.
        sites: their number.
    """
    neighbours = _neighbours(edges, sites)
    colours = [-1] * sites
    for root in range(sites):
        if colours[root] >= 0:
            continue
        colours[root] = 0
        waiting = [root]
        while waiting:
            site = waiting.pop()
            for other in neighbours[site]:
                if colours[other] < 0:
                    colours[other] = 1 - colours[site]
                    waiting.append(other)
                elif colours[other] == colours[site]:
                    return None
    return torch.tensor(colours)


def saturation_colours(edges: Tensor, sites: int) -> Tensor:
    """Return a colouring by few colours, int64 ``(sites,)``.

    The site that sees most colours comes next, of equal ones that of most neighbours, and takes the
    least colour that none of its neighbours has.

    Args:
        edges: int64 ``(bonds, 2)``.
        sites: their number.

    References:
        Brélaz, *New methods to color the vertices of a graph*, Comm. ACM 22, 251 (1979).
    """
    neighbours = _neighbours(edges, sites)
    colours = [-1] * sites
    seen: list[set[int]] = [set() for _ in range(sites)]
    queue = [(0, -len(neighbours[site]), site) for site in range(sites)]
    heapq.heapify(queue)
    while queue:
        saturation, _, site = heapq.heappop(queue)
        # An entry from before the site saw its last colour is stale.
        if colours[site] >= 0 or -saturation != len(seen[site]):
            continue
        colour = 0
        while colour in seen[site]:
            colour += 1
        colours[site] = colour
        for other in neighbours[site]:
            if colours[other] < 0 and colour not in seen[other]:
                seen[other].add(colour)
                heapq.heappush(queue, (-len(seen[other]), -len(neighbours[other]), other))
    return torch.tensor(colours)
