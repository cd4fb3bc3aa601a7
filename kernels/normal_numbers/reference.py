"""The twin of ``normals``.

Box and Muller: two words make two normal numbers. ``u = (w + ½) 2⁻³²`` of one word is a radius
``√(-2 log u)``, and the other is an angle. Both are computed in float64, so that float32 numbers
are the float64 ones rounded.

References:
    Box, Muller, *A note on the generation of random normal deviates*, Ann. Math. Stat. 29, 610
    (1958).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..functions.reference import cosine, logarithm, sine, square_root
from ..philox import philox

__all__ = ["Normals", "normals"]

WORD = 2.0**-32
QUARTER = 2**30
"""A quarter turn, in units in which a word is a whole one."""
EIGHTH = 2**29
ANGLE = math.pi / 2.0 / QUARTER
"""Radians in such a unit."""


class Normals(NamedTuple):
    """Arguments of the op."""

    walker_index: Tensor
    seed: int
    stream: int
    event: int
    draw: int
    sites: int
    dtype: torch.dtype


def normals(given: Normals) -> Tensor:
    """Return independent normal numbers, ``(walkers, sites)``."""
    index = given.walker_index
    # A counter gives four words, and so four numbers.
    group = torch.arange((given.sites + 3) // 4, device=index.device)
    words = philox(
        given.seed, given.stream, group, given.event, given.draw, index.unsqueeze(1), index.device
    )
    first, second = _pair(words[0], words[1])
    third, fourth = _pair(words[2], words[3])
    numbers = torch.stack([first, second, third, fourth], dim=-1).flatten(1)
    return numbers[:, : given.sites].to(given.dtype).contiguous()


def _pair(radial: Tensor, angular: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two normal numbers of two words, float64."""
    # 32 bits and a half: between 0 and 1, and neither of them.
    uniform = (radial.double() + 0.5) * WORD
    radius = square_root(-2.0 * logarithm(uniform))
    # The nearest quarter turn, which a word beyond the last eighth finds at 0 again.
    turned = angular + EIGHTH
    quarter = turned >> 30 & 3
    # What remains is between -1/8 and 1/8 of a turn; a half makes it as often negative as positive.
    rest = (turned & (QUARTER - 1)) - EIGHTH
    angle = (rest.double() + 0.5) * ANGLE
    along = cosine(angle)
    across = sine(angle)
    # Turns by one quarter: (c, s), (-s, c), (-c, -s), (s, -c).
    odd = (quarter & 1) == 1
    x = torch.where(odd, across, along)
    y = torch.where(odd, along, across)
    x = torch.where((quarter == 1) | (quarter == 2), -x, x)
    y = torch.where(quarter >= 2, -y, y)
    return radius * x, radius * y
