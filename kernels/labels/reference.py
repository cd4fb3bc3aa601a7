"""The twin of ``cluster_labels``."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Bonds", "cluster_labels"]


class Bonds(NamedTuple):
    """Argument of the op."""

    bonds: Tensor


def cluster_labels(given: Bonds) -> Tensor:
    """Return the least site of every site's cluster.

    Labels fall across bonds and along labels until none falls any more.
    """
    bonds = given.bonds
    walkers, ndim, *shape = bonds.shape
    sites = bonds.shape[2:].numel()
    # Half the memory traffic of int64; a label beyond a wall is below twice the sites.
    word = torch.int64
    if sites < 2**30:
        word = torch.int32
    labels = (
        torch.arange(sites, dtype=word, device=bonds.device).view(1, *shape).expand(walkers, *shape)
    )
    # Added to a label from beyond a wall, it makes that label larger than any.
    walls = []
    for axis in range(ndim):
        wall = bonds.select(1, axis).logical_not().to(word) * sites
        walls += [(wall, axis + 1, -1), (wall.roll(1, axis + 1), axis + 1, 1)]
    while True:
        least = labels
        for wall, axis, side in walls:
            least = torch.minimum(least, labels.roll(side, axis) + wall)
        if torch.equal(least, labels):
            return labels.long().contiguous()
        # The site that a label names falls with it, or large clusters would need as many rounds as
        # they are long.
        old = labels.flatten(1).long()
        flat = least.flatten(1)
        # Several sites may name one: it takes the least of what they found.
        flat = torch.minimum(flat, flat.scatter_reduce(1, old, flat, "amin"))
        # Two steps along the labels shorten chains further at little cost.
        for _ in range(2):
            flat = flat.gather(1, flat.long())
        labels = flat.view(walkers, *shape)
