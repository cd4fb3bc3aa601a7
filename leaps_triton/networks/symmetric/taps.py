"""The taps of a first layer: charges in a window around each site.

Without gradients several sites share one matrix product. Sites of a block of 2 or 2 × 2 read nearly
the same window: its charges are laid out once for the block, and a product with the weights of all
its sites makes their values side by side.
"""

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...kernels.hollow_network.reference import pad
from .geometry import taps_read
from .inputs import Sight

__all__ = ["Blocks", "block_weights", "blocks", "raised_taps", "taps_of"]


def taps_of(charges: Tensor, sight: Sight) -> Tensor:
    """Return the charges around each site, ``(walkers, channels · sites, taps)``."""
    shape = tuple(charges.shape[2:])
    windows = _around(charges, sight)
    for axis in range(len(shape)):
        windows = windows.unfold(axis + 2, sight.kernel_size, 1)
    flat = windows.flatten(2 + len(shape)).flatten(1, -2)
    centre = flat.shape[-1] // 2
    taps = torch.cat([flat[..., :centre], flat[..., centre + 1 :]], -1)
    reads = taps_read(shape, sight.periodic, sight.kernel_size, charges.device)
    if reads is not None:
        # A small lattice wraps some taps onto the site, which is not to be read.
        taps = torch.where(reads, taps, torch.zeros_like(taps))
    return taps


def _around(charges: Tensor, sight: Sight) -> Tensor:
    """Return the charges with as many more at each edge as the taps read.

    Returns:
        ``(walkers, channels, *(length + kernel_size - 1))``.
    """
    padded = charges
    for axis, wraps in enumerate(sight.periodic):
        padded = _padded(padded, axis + 2, sight.kernel_size // 2, wraps)
    return padded


def _padded(values: Tensor, axis: int, radius: int, wraps: bool) -> Tensor:
    """Return values with ``radius`` places more at both ends, around the lattice if it wraps."""
    length = values.shape[axis]
    if not wraps or radius <= length:
        return pad(values, axis, radius, wraps)
    places = torch.arange(-radius, length + radius, device=values.device) % length
    return values.index_select(axis, places)


class Blocks(NamedTuple):
    """Blocks of sites of a lattice."""

    sides: tuple[int, ...]
    """Sites a side, 1 or 2 along each direction"""
    order: Tensor
    """The sites block by block, int64 ``(sites,)``"""
    back: Tensor
    """Where each site stands in that order, int64 ``(sites,)``"""


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def blocks(shape: tuple[int, ...], device: torch.device) -> Blocks:
    """Return the blocks of a lattice: 2 sites a side along its last two directions, where even."""
    sides: list[int] = []
    for axis, length in enumerate(shape):
        side = 1
        if axis >= len(shape) - 2 and length % 2 == 0:
            side = 2
        sides.append(side)
    places = torch.arange(math.prod(shape)).view(shape)
    for axis, side in enumerate(sides):
        # Each direction is taken apart into blocks, and places within a block, which come last.
        places = places.unfold(axis, side, side)
    order = places.flatten()
    return Blocks(tuple(sides), order.to(device), order.argsort().to(device))


def block_weights(taps: Tensor, sides: Sequence[int], shape: Sequence[int], sight: Sight) -> Tensor:
    """Return the weights of the taps for the window that all sites of a block share.

    Args:
        taps: weights of the taps, ``(width, taps)``.
        sides: sites a side of a block.
        shape: lengths of the lattice.
        sight: size and boundaries of the kernel.

    Returns:
        ``(sites of a block · width, window)``; 0 for what a site does not read, itself above all.
    """
    size = sight.kernel_size
    reads = taps_read(tuple(shape), sight.periodic, size, taps.device)
    if reads is not None:
        taps = torch.where(reads, taps, torch.zeros_like(taps))
    half = taps.shape[1] // 2
    centre = taps.new_zeros(len(taps), 1)
    kernel = torch.cat([taps[:, :half], centre, taps[:, half:]], 1)
    kernel = kernel.view(-1, *[size] * len(shape))
    shifted: list[Tensor] = []
    for offset in itertools.product(*[range(side) for side in sides]):
        margins: list[int] = []
        # The padding of the last direction comes first.
        for step, side in zip(reversed(offset), reversed(sides), strict=True):
            margins += [step, side - 1 - step]
        shifted.append(F.pad(kernel, margins).flatten(1))
    return torch.cat(shifted)


def raised_taps(charges: Tensor, weights: Tensor, sides: Sequence[int], sight: Sight) -> Tensor:
    """Return what the first layer makes of the taps, sites block by block.

    Args:
        charges: ``(walkers, channels, *shape)``.
        weights: those of :func:`block_weights`.
        sides: sites a side of a block.
        sight: size and boundaries of the kernel.

    Returns:
        ``(walkers, channels · sites, width)``.
    """
    windows = _around(charges, sight)
    for axis, side in enumerate(sides):
        windows = windows.unfold(axis + 2, sight.kernel_size + side - 1, side)
    inputs = windows.reshape(-1, weights.shape[1])
    made = F.linear(inputs, weights)
    width = len(weights) // math.prod(sides)
    return made.view(len(charges), -1, width)
