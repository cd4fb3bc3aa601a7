"""Layers that even inputs and the time multiply, and the taps of the first one in blocks of sites.

Sites of a block of 2 or 2 × 2 read nearly the same window. Its charges are laid out once for the
block, and a product with the weights of all its sites makes their values side by side.
"""

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .geometry import taps_read
from .inputs import Sight, around

__all__ = [
    "TIMES",
    "Blocks",
    "Layer",
    "LayerInputs",
    "block_weights",
    "blocks",
    "raised_taps",
    "time_basis",
]

TIMES = 6
"""Number of functions of the time."""


def time_basis(progress: Tensor) -> Tensor:
    """Return functions of ``u = β_t / β_max``: Legendre polynomials 0 to 3, and two late rises.

    Args:
        progress: ``u``, ``(rows,)``.

    Returns:
        ``(rows, 6)``.
    """
    x = 2.0 * progress - 1.0
    columns = [
        torch.ones_like(x),
        x,
        1.5 * x * x - 0.5,
        2.5 * x**3 - 1.5 * x,
        torch.exp(-8.0 * (1.0 - progress)),
        torch.exp(-20.0 * (1.0 - progress)),
    ]
    return torch.stack(columns, 1)


class LayerInputs(NamedTuple):
    """What every layer reads beside the values of the one before."""

    even: Tensor
    """Even inputs, ``(walkers, places, even)``"""
    time: Tensor
    """Functions of the time, ``(1 | walkers, 6)``"""
    mean: Tensor | None = None
    """Mean of the values of the layer before over states, ``(walkers, sites, inputs)``"""


class Layer(nn.Module):
    """A linear layer whose outputs even inputs and time multiply, before a hyperbolic tangent.

    Args:
        inputs: number of values that come in.
        even: number of even inputs.
        width: number of values that go out.
        mixes: whether there is a channel per state, so that even inputs are added as well.
        averages: whether the mean over states comes in too.
    """

    def __init__(self, inputs: int, even: int, width: int, mixes: bool, averages: bool) -> None:
        super().__init__()
        self.odd = nn.Linear(inputs, width, bias=False)
        self.even = nn.Linear(even, width, bias=False)
        self.time = nn.Linear(TIMES, width, bias=False)
        self.shift: nn.Linear | None = None
        if mixes:
            self.shift = nn.Linear(even, width, bias=False)
        self.average: nn.Linear | None = None
        if averages:
            self.average = nn.Linear(inputs, width, bias=False)

    def forward(self, raised: Tensor, inputs: LayerInputs) -> Tensor:
        """Return the values of the layer, ``(walkers, places, width)``.

        Without gradients ``raised`` is overwritten.

        Args:
            raised: ``W z``, ``(walkers, places, width)``.
            inputs: all else that the layer reads.
        """
        if self.average is not None:
            assert inputs.mean is not None
            channels = raised.shape[1] // inputs.mean.shape[1]
            of_mean = self.average(inputs.mean)
            raised = raised + of_mean.repeat(1, channels, 1)
        time = (1.0 + self.time(inputs.time)).unsqueeze(1)
        if torch.is_grad_enabled():
            product = raised * (self.even(inputs.even) + time)
            if self.shift is not None:
                product = product + self.shift(inputs.even)
            return 2.0 * torch.sigmoid(2.0 * product) - 1.0
        product = raised.mul_(_added(time, inputs.even, self.even))
        if self.shift is not None:
            product.baddbmm_(inputs.even, _for_each(self.shift, inputs.even))
        # On a CPU that is several times as fast as a hyperbolic tangent.
        return product.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)


def _for_each(layer: nn.Linear, values: Tensor) -> Tensor:
    """Return the weights of a layer for products by walker, ``(walkers, inputs, width)``."""
    return layer.weight.T.expand(len(values), -1, -1)


def _added(constant: Tensor, values: Tensor, layer: nn.Linear) -> Tensor:
    """Return a layer's values plus what all places of a walker share, in one pass."""
    return torch.baddbmm(constant, values, _for_each(layer, values))


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


def block_weights(
    weight: Tensor, sides: Sequence[int], shape: Sequence[int], sight: Sight
) -> Tensor:
    """Return the weights of the taps for the window that all sites of a block share.

    Args:
        weight: those of the first layer, ``(width, inputs)``, taps before all other inputs.
        sides: sites a side of a block.
        shape: lengths of the lattice.
        sight: size and boundaries of the kernel.

    Returns:
        ``(sites of a block · width, window)``; 0 for what a site does not read, itself above all.
    """
    size = sight.kernel_size
    count = size ** len(shape) - 1
    taps = weight[:, :count]
    reads = taps_read(tuple(shape), sight.periodic, size, weight.device)
    if reads is not None:
        taps = torch.where(reads, taps, torch.zeros_like(taps))
    half = count // 2
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
    windows = around(charges, sight)
    for axis, side in enumerate(sides):
        windows = windows.unfold(axis + 2, sight.kernel_size + side - 1, side)
    inputs = windows.reshape(-1, weights.shape[1])
    made = F.linear(inputs, weights)
    width = len(weights) // math.prod(sides)
    return made.view(len(charges), -1, width)
