"""Normal numbers on a CPU: the loops of numba, with the bits of :mod:`.reference`."""

import numpy as np
import torch
from torch import Tensor

from ..functions.cpu import cosine, logarithm, sine
from ..native.compiling import compiled, inlined
from ..native.threads import over_walkers
from ..native.words import fill
from .reference import ANGLE, EIGHTH, QUARTER, WORD, Normals

__all__ = ["normals", "pair"]

COST = 8
"""Sites whose visit takes as long as a normal number, about."""


@inlined
def pair(radial, angular):
    """Return the two normal numbers of two words, which come as int64."""
    uniform = (np.float64(radial) + 0.5) * WORD
    radius = np.sqrt(-2.0 * logarithm(uniform))
    turned = angular + EIGHTH
    quarter = (turned >> 30) & 3
    rest = (turned & (QUARTER - 1)) - EIGHTH
    angle = (np.float64(rest) + 0.5) * ANGLE
    along = cosine(angle)
    across = sine(angle)
    odd = (quarter & 1) == 1
    x = across if odd else along
    y = along if odd else across
    x = -x if quarter == 1 or quarter == 2 else x
    y = -y if quarter >= 2 else y
    return radius * x, radius * y


@compiled
def write_normals(out, seed, stream, event, draw, walkers, first, end):
    """Write the numbers of walkers ``first … end - 1``, ``(walkers, sites)``."""
    sites = out.shape[1]
    groups = (sites + 3) // 4
    pairs = np.empty(2 * groups, np.uint64)
    words = pairs.view(np.uint32)
    numbers = np.empty(4 * groups)
    for walker in range(first, end):
        fill(pairs, 0, seed, stream, event, draw, walkers[walker])
        for i in range(2 * groups):
            radial = np.int64(words[2 * i])
            angular = np.int64(words[2 * i + 1])
            one, other = pair(radial, angular)
            numbers[2 * i] = one
            numbers[2 * i + 1] = other
        row = out[walker]
        for site in range(sites):
            row[site] = numbers[site]


def normals(given: Normals) -> Tensor:
    """Return independent normal numbers, ``(walkers, sites)``."""
    index = given.walker_index.contiguous().numpy()
    out = torch.empty(len(index), given.sites, dtype=given.dtype)
    rows = out.numpy()
    counter = (given.seed, given.stream, given.event, given.draw)

    def work(first: int, end: int) -> None:
        write_normals(rows, *counter, index, first, end)

    over_walkers(work, len(index), given.sites * COST)
    return out
