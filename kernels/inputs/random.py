"""Random inputs: of any size from the library's own generator, and small ones of torch's."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..philox import Stream, site_words, uniform32
from .case import Size

__all__ = ["BLOCK", "blocks", "integers", "noise", "normal", "states"]

BLOCK = 2**22
"""Numbers that are drawn at once."""


def blocks(walkers: int, sites: int) -> Iterator[slice]:
    """Yield the walkers in blocks of about :data:`BLOCK` sites."""
    # A lattice larger than a block makes one on its own.
    step = max(1, BLOCK // sites)
    for first in range(0, walkers, step):
        yield slice(first, min(walkers, first + step))


def noise(size: Size, use: int, *lengths: int) -> Tensor:
    """Return uniform numbers in (-1, 1), float32, another set for each ``use``."""
    values = torch.empty(lengths, device=size.device)
    # Numbers are drawn row by row, so that blocks do not enter them.
    count = values[0].numel()
    for rows in blocks(lengths[0], count):
        row_index = torch.arange(rows.start, rows.stop, device=size.device)
        # The use takes the place of the event, so that no two arguments of a case are alike.
        words = site_words(size.seed, Stream.TRAIN, use, row_index, count)
        values[rows] = 2.0 * uniform32(words).view(-1, *lengths[1:]) - 1.0
    return values


def states(size: Size, q: int) -> Tensor:
    """Return random configurations, int8 ``(walkers, *shape)``."""
    x = torch.empty((size.walkers, *size.shape), dtype=torch.int8, device=size.device)
    for rows in blocks(size.walkers, size.sites):
        words = site_words(size.seed, Stream.START, 0, size.indices[rows], size.sites)
        # The upper half of the product is uniform in 0 … q-1.
        x[rows] = (words * q >> 32).to(x.dtype).view(-1, *size.shape)
    return x


def normal(*lengths: int, seed: int) -> Tensor:
    """Return normal numbers, float64, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(lengths, generator=generator, dtype=torch.float64)


def integers(q: int, *lengths: int, seed: int) -> Tensor:
    """Return integers ``0 … q-1``, int8, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(q, lengths, generator=generator, dtype=torch.int8)
