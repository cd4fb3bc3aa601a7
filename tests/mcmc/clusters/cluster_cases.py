"""What tests of cluster moves share: the bonds of a model, and the clusters they make."""

import itertools
from collections.abc import Callable
from typing import Any

import torch

FLOAT64 = torch.float64
LINE = torch.linspace(-0.5, 0.7, 6, dtype=FLOAT64)


def bonds_of(
    model: Any, kept: Callable[[float], bool] = lambda coupling: True
) -> list[tuple[int, int, float]]:
    """Every bond once: both sites and ``J``."""
    forward = model.lattice.neighbours()[::2]
    coupling = model.coupling.expand(model.lattice.ndim, *model.lattice.shape).flatten(1)
    found = [
        (site, int(forward[axis, site]), float(coupling[axis, site]))
        for axis, site in itertools.product(range(len(forward)), range(forward.shape[1]))
        if forward[axis, site] >= 0
    ]
    return [bond for bond in found if kept(bond[2])]


def components(sites: int, joined: list[tuple[int, int]]) -> list[list[int]]:
    parent = list(range(sites))

    def root(site: int) -> int:
        return site if parent[site] == site else root(parent[site])

    for i, j in joined:
        parent[root(i)] = root(j)
    return [[i for i in range(sites) if root(i) == r] for r in range(sites) if parent[r] == r]
