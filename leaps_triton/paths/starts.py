"""Starts of paths: distributions that can be sampled exactly."""

import math

import torch
from torch import Tensor

from .. import kernels
from ..kernels import Stream
from ..lattices.hypercubic import Lattice
from ..registry import register

__all__ = ["Uniform"]


@register("start", name="uniform")
class Uniform:
    """Every configuration equally likely, ``log Z_0 = N log q``.

    A value is ``floor(q w / 2³²)`` of a 32-bit word ``w``: its probability is 1/q to 2⁻³².
    """

    def __init__(self, lattice: Lattice, q: int) -> None:
        self.lattice, self.q = lattice, q
        self.log_z = lattice.sites * math.log(q)

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """int8 ``(walkers, *shape)``."""
        words = kernels.reference.site_words(
            seed, Stream.START, 0, walker_index, self.lattice.sites
        )
        return (words * self.q >> 32).to(torch.int8).view(-1, *self.lattice.shape)
