"""Connected components on a CPU: sites are joined to those before them, in the order of memory.

Each cluster is a tree whose links lead to lesser sites, so that its root is the least site of all,
which is the label of :mod:`.reference`.

References:
    Hoshen, Kopelman, *Percolation and cluster distribution*, Phys. Rev. B 14, 3438 (1976). Tarjan,
    *Efficiency of a good but not linear set union algorithm*, J. ACM 22, 215 (1975).
"""

import numpy as np
import torch
from torch import Tensor

from ..native.compiling import compiled, inlined
from ..native.threads import over_walkers
from .reference import Bonds

__all__ = ["cluster_labels", "connect", "lengths_of", "link"]


def cluster_labels(given: Bonds) -> Tensor:
    """Return the least site of every site's cluster."""
    bonds = given.bonds
    walkers, ndim, *shape = bonds.shape
    sites = bonds.shape[2:].numel()
    joined = bonds.contiguous().view(torch.uint8).view(walkers, ndim * sites).numpy()
    labels = torch.empty(walkers, sites, dtype=torch.int64)
    found = labels.numpy()
    lengths = lengths_of(shape)

    def work(first: int, end: int) -> None:
        label(joined[first:end], lengths, found[first:end])

    if sites:
        over_walkers(work, walkers, sites)
    return labels.view(walkers, *shape)


def lengths_of(shape: list[int]) -> np.ndarray:
    """Return the lengths of the axes as the loops take them, int64."""
    return np.array(shape, np.int64)


@compiled
def label(bonds, lengths, labels):
    """Write the labels of some walkers, int64 ``(walkers, sites)``."""
    sites = labels.shape[1]
    links = np.empty(sites, np.uint32)
    for walker in range(labels.shape[0]):
        connect(bonds[walker], lengths, links)
        for site in range(sites):
            root = links[links[site]]
            links[site] = root
            labels[walker, site] = root


@inlined
def find(links, site):
    """Return the root of a site, and halve the way to it."""
    up = links[site]
    while up != site:
        above = links[up]
        links[site] = above
        site = above
        up = links[site]
    return site


@inlined
def link(links, one, other):
    """Join the trees of two sites, and return the root, which is the lesser of theirs."""
    one = find(links, one)
    other = find(links, other)
    root = min(one, other)
    links[one] = root
    links[other] = root
    return root


@inlined
def first_row(along, start, links):
    """Link the first row of a plane, from site ``start`` on; ``along`` are the bonds along it."""
    before = np.uint32(start)
    left = np.uint32(0)
    for j in range(along.shape[0]):
        # The product chooses without a branch, which nothing could foretell.
        site = np.uint32(start + j)
        before = np.uint32(site + left * (before - site))
        links[start + j] = before
        left = np.uint32(along[j])


@inlined
def next_row(along, up, start, links):
    """Link a row to the one before it, over the bonds ``up``, and its sites to one another."""
    length = along.shape[0]
    above = links[start - length : start]
    here = links[start : start + length]
    before = np.uint32(0)
    left = np.uint32(0)
    for j in range(length):
        site = np.uint32(start + j)
        joined = np.uint32(up[j])
        root = np.uint32(site + joined * (above[j] - site))
        root = np.uint32(root + left * (before - root))
        if (left & joined) != 0 and before != above[j]:
            root = np.uint32(link(links, before, above[j]))
        here[j] = root
        before = root
        left = np.uint32(along[j])


@inlined
def join(bonds, first, end, forward, links):
    """Join sites ``first … end - 1`` to those that lie ``forward``, where there are bonds."""
    for site in range(first, end):
        if bonds[site] != 0 and links[site] != links[site + forward]:
            link(links, links[site], links[site + forward])


@compiled
def connect(bonds, lengths, links):
    """Make the trees of one walker; two steps along the links, from the least site on, end them.

    Args:
        bonds: Uint8 ``(axes * sites,)``, 0 or 1.
        lengths: Int64 ``(axes,)``.
        links: Uint32 ``(sites,)``, written: none is greater than its site, and after
            ``links[i] = links[links[i]]`` for all sites in their order each is its root.
    """
    sites = links.shape[0]
    axes = lengths.shape[0]
    length = lengths[axes - 1]
    plane = length
    up = bonds
    if axes > 1:
        plane = lengths[axes - 2] * length
        up = bonds[(axes - 2) * sites :]
    along = bonds[(axes - 1) * sites :]
    for start in range(0, sites, plane):
        first_row(along[start : start + length], start, links)
        for row in range(start + length, start + plane, length):
            next_row(along[row : row + length], up[row - length : row], row, links)
        # The planes of three and more axes are then joined to those before them.
        stride = plane
        for axis in range(axes - 3, -1, -1):
            if (start // stride) % lengths[axis] > 0:
                before = start - stride
                join(bonds[axis * sites :], before, before + plane, stride, links)
            stride *= lengths[axis]
        if axes > 2:
            # Short ways for the plane that is joined to this one.
            for site in range(start, start + plane):
                links[site] = links[links[site]]
    stride = 1
    for axis in range(axes - 1, -1, -1):
        block = stride * lengths[axis]
        # Bonds that wrap, from the last sites of an axis to the first.
        for end in range(block, sites + 1, block):
            join(bonds[axis * sites :], end - stride, end, stride - block, links)
        stride = block
