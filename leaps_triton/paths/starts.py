"""Starts of paths: distributions that can be sampled exactly."""

import math

import torch
from torch import Tensor

from ..kernels import Stream
from ..kernels.philox import site_words
from ..lattices.hypercubic import Lattice
from ..registry import register

__all__ = ["Uniform"]


@register("start", name="uniform")
class Uniform:
    """The distribution in which every configuration is equally likely, ``log Z_0 = N log q``.

    A value is ``floor(q w / 2³²)`` of a 32-bit word ``w``: its probability is 1/q to 2⁻³².

    Args:
        lattice: the sites.
        q: states per site.
    """

    def __init__(self, lattice: Lattice, q: int) -> None:
        self.lattice = lattice
        self.q = q
        # Each of the qᴺ configurations has ρ̃_0 = 1.
        self.log_z = lattice.sites * math.log(q)

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return independent configurations, int8 ``(walkers, *shape)``.

        Args:
            walker_index: global indices of the walkers, int64 ``(walkers,)``.
            seed: in [0, 2³²).
        """
        sites = self.lattice.sites
        words = site_words(seed, Stream.START, 0, walker_index, sites)
        # A fraction w / 2³² of the q states.
        # Words are int64, so that the product cannot overflow.
        values = (words * self.q >> 32).to(torch.int8)
        return values.view(-1, *self.lattice.shape)
