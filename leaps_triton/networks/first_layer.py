"""The first layer of a hollow convolution by what its inputs depend on, and who reads a site.

:class:`~leaps_triton.networks.incremental.Follower` needs both to bring the layer up to date.
"""

import math
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ..kernels.hollow_network import reference
from ..lattices.hypercubic import Lattice
from ..models.base import Conditions

__all__ = ["FirstLayer", "Followed", "Readers", "first_layer", "readers"]


class Followed(Protocol):
    """What is read of a :class:`~leaps_triton.networks.HollowConv`."""

    q: int
    gauge: str
    clock: str
    periodic: tuple[bool, ...]
    modes: int
    global_features: bool
    conv: nn.Parameter
    first: nn.Linear
    hidden: nn.Linear
    readout: nn.Linear
    skip: nn.Parameter

    def __call__(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``G``, ``(walkers, q-1, *shape)``."""
        ...

    def embed_time(self, conditions: Conditions) -> Tensor:
        """Return the features of ``t`` and ``β_t``, ``(1 | walkers, times)``."""
        ...


class Readers(NamedTuple):
    """Who reads a site."""

    targets: Tensor
    """Sites around each site whose convolution reads it, and itself, int64 ``(sites, reach)``;
    ``sites`` off an edge"""
    fold: Tensor
    """Which taps they read it through, ``(reach, taps)``: several where the kernel is larger than
    the lattice"""
    neighbours: Tensor
    """Neighbours in positive, then negative direction of each axis, int64 ``(2 ndim, sites)``;
    ``sites`` off an edge"""
    backward: Tensor
    """Neighbour in negative direction of each axis, or any site, int64 ``(ndim, sites)``"""


def _readers_along(length: int, wraps: bool, radius: int) -> tuple[Tensor, Tensor]:
    """Return who reads each place of one axis, and through which taps.

    Returns:
        Places, int64 ``(length, reach)``, -1 off an edge; and ``(reach, taps)``.
    """
    # Neighbours see a site whatever the kernel.
    far = max(1, radius)
    offsets = torch.arange(-radius, radius + 1)
    steps = torch.arange(-far, far + 1)
    if wraps and length < len(steps):
        # All places read it, through every tap that leads to them around the lattice.
        steps = torch.arange(length)
        offsets = offsets.remainder(length)
    fold = (offsets == steps.unsqueeze(1)).double()
    # The site at `place` is read through the tap `step` by the site at `place - step`.
    places = torch.arange(length).unsqueeze(1) - steps
    if wraps:
        return places % length, fold
    outside = (places < 0) | (places >= length)
    return torch.where(outside, -1, places), fold


@lru_cache(maxsize=16)
def readers(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    kernel_size: int,
    device: torch.device,
) -> Readers:
    """Return who reads each site of a lattice, through a kernel of ``kernel_size`` sites a side."""
    targets = torch.zeros(1, 1, dtype=torch.int64)
    outside = torch.zeros(1, 1, dtype=torch.bool)
    fold = torch.ones(1, 1, dtype=torch.float64)
    for length, wraps in zip(shape, periodic, strict=True):
        places, own = _readers_along(length, wraps, kernel_size // 2)
        # Sites and readers of the axes before, each with those of this axis: (sites, length,
        # readers, reach), which become (sites, readers) of one axis more.
        before = targets[:, None, :, None]
        here = places[None, :, None, :]
        targets = (before * length + here).flatten(2).flatten(0, 1)
        off = outside[:, None, :, None] | (here < 0)
        outside = off.flatten(2).flatten(0, 1)
        fold = torch.kron(fold, own)
    sites = math.prod(shape)
    neighbours = Lattice(shape, periodic).neighbours()
    neighbours = torch.where(neighbours < 0, sites, neighbours)
    return Readers(
        targets=torch.where(outside, sites, targets).to(device),
        fold=fold.to(device),
        neighbours=neighbours.to(device),
        backward=(neighbours[1::2] % sites).to(device),
    )


class FirstLayer(NamedTuple):
    """The first layer, split by what its inputs depend on."""

    conv: Tensor
    """``(embedded, reach, width)``: change of the layer around a site for a channel of it"""
    local: Tensor
    """``(embedded, width)``"""
    field: Tensor
    """``(embedded, width)``"""
    sums: Tensor
    """``(embedded, groups, width)``: magnetisation, even and odd sums"""
    time: Tensor
    """``(times, width)``"""
    convolution: Tensor
    """``(channels, width)``"""


def first_layer(network: Followed, fold: Tensor) -> FirstLayer:
    """Return the first layer of a network; ``fold`` is that of :class:`Readers`."""
    conv = network.conv.detach()
    weight = network.first.weight.detach().T
    channels = conv.shape[0]
    embedded = conv.shape[1]
    waves = embedded * network.modes
    means = 0
    if network.global_features:
        means = embedded
    times = len(weight) - channels - 2 * embedded - means - 2 * waves
    # In the order in which the network joins its features.
    sizes = [channels, embedded, means, waves, waves, embedded, times]
    convolution, local, mean, even, odd, field, time = weight.split(sizes)
    masked = (conv * reference.centre_mask(conv)).flatten(2)
    taps = fold.to(conv.dtype)
    # Channels of the convolution are summed: the layer is linear in them.
    around = torch.einsum("cet,ut,cw->euw", masked, taps, convolution)
    sums = weight.new_zeros(embedded, 0, weight.shape[1])
    parts = [part for part in (mean, even, odd) if len(part)]
    groups = [part.unflatten(0, (embedded, -1)) for part in parts]
    if groups:
        sums = torch.cat(groups, 1)
    return FirstLayer(
        conv=around.contiguous(),
        local=local,
        field=field,
        sums=sums.contiguous(),
        time=time,
        convolution=convolution,
    )
