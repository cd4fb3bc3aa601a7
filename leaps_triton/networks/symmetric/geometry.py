"""Which sites of a lattice stand how far from each other: orbits, annuli, windows, taps.

Sums over these are convolutions with kernels of integers, which are tabulated here by lattice.
"""

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "ANNULI",
    "Annuli",
    "Orbits",
    "annuli",
    "band",
    "box_of",
    "nearby",
    "offsets_of",
    "orbits",
    "readers",
    "taps_read",
    "window_sites",
]

ANNULI = (2, 5, 10, 18, 29, 45, 72, 2**62)
"""Squared distances at which annuli end; each begins where the one before it ends."""


class Orbits(NamedTuple):
    """Displacements that the symmetries of a lattice turn into each other."""

    keys: Tensor
    """A displacement of each orbit, nearest first, without the centre, int64 ``(orbits, ndim)``"""
    sizes: Tensor
    """Displacements of each orbit, float64 ``(orbits,)``"""
    numbers: Tensor
    """1 + orbit of each displacement of the box, 0 for the centre, int64 ``(*box)``"""


class Annuli(NamedTuple):
    """Sites by distance in a few annuli about each site, as kernels of 0 and 1."""

    spectra: Tensor
    """Fourier transforms of the kernels, which are even, float64 ``(annuli, *frequencies)``"""
    norms: Tensor
    """Square roots of the numbers of sites, at least 1, float64 ``(annuli,)``"""


def box_of(shape: Sequence[int], periodic: Sequence[bool]) -> tuple[int, ...]:
    """Return the lengths in which a periodic convolution is that of the lattice.

    An open direction is padded, so that nothing comes round its edge.
    """
    box: list[int] = []
    for length, wraps in zip(shape, periodic, strict=True):
        if wraps:
            box.append(length)
        else:
            box.append(2 * length - 1)
    return tuple(box)


def _distances(shape: Sequence[int], periodic: Sequence[bool]) -> Tensor:
    """Return the distance along each direction for every displacement, int64 ``(ndim, *box)``."""
    lines: list[Tensor] = []
    for length in box_of(shape, periodic):
        forward = torch.arange(length)
        # The shorter way round; in a padded box that is the sign of the displacement.
        lines.append(torch.minimum(forward, length - forward))
    return torch.stack(torch.meshgrid(*lines, indexing="ij"))


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def orbits(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    alike: tuple[int, ...],
    device: torch.device,
) -> Orbits:
    """Return the orbits of displacements under reflections and exchanges of directions.

    Args:
        shape: lengths of the lattice.
        periodic: boundary of each direction.
        alike: a label for each direction; those of one label can be exchanged.
        device: where the tables are to be.
    """
    distances = _distances(shape, periodic)
    box = distances.shape[1:]
    flat = distances.flatten(1)
    keys = flat.clone()
    for label in set(alike):
        axes = [axis for axis, other in enumerate(alike) if other == label]
        keys[axes] = flat[axes].sort(0).values
    squared = (keys * keys).sum(0, keepdim=True)
    # Sorted by distance first; the centre comes before all others.
    rows = torch.cat([squared, keys]).T
    found, index, sizes = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)
    return Orbits(
        keys=found[1:, 1:].to(device),
        sizes=sizes[1:].double().to(device),
        numbers=index.view(box).to(device),
    )


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def annuli(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    window: int | None,
    device: torch.device,
) -> Annuli:
    """Return the annuli of :data:`ANNULI`; an annulus beyond the lattice is empty.

    Args:
        shape: lengths of the lattice.
        periodic: boundary of each direction.
        window: sites a side of the window outside of which nothing is read; None for none.
        device: where the tables are to be.
    """
    distances = _distances(shape, periodic)
    squared = (distances * distances).sum(0)
    inside = torch.ones_like(squared, dtype=torch.bool)
    if window is not None:
        inside = (distances <= window // 2).all(0)
    kernels: list[Tensor] = []
    begin = 0
    for end in ANNULI:
        kernels.append((squared > begin) & (squared <= end) & inside)
        begin = end
    stacked = torch.stack(kernels).double()
    axes = tuple(range(1, stacked.ndim))
    norms = stacked.sum(axes).clamp(min=1.0).sqrt()
    # A kernel that is even in its displacement has a real transform.
    spectra = torch.fft.rfftn(stacked, dim=axes).real.contiguous()
    return Annuli(spectra.to(device), norms.to(device))


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def band(length: int, wraps: bool, window: int, device: torch.device) -> Tensor:
    """Return 1 where two places of a line stand in one window, float64 ``(length, length)``."""
    place = torch.arange(length)
    apart = (place.unsqueeze(1) - place).abs()
    if wraps:
        apart = torch.minimum(apart, length - apart)
    return (apart <= window // 2).double().to(device)


def window_sites(shape: Sequence[int], window: int | None) -> int:
    """Return the number of sites in a window about a site; None for the whole lattice."""
    if window is None:
        return math.prod(shape)
    return math.prod(min(length, window) for length in shape)


def offsets_of(kernel_size: int, ndim: int) -> list[tuple[int, ...]]:
    """Return the displacements of the taps of a kernel without its centre, in their order."""
    radius = kernel_size // 2
    steps = range(-radius, radius + 1)
    centre = (0,) * ndim
    return [offset for offset in itertools.product(steps, repeat=ndim) if offset != centre]


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def taps_read(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    kernel_size: int,
    device: torch.device,
) -> Tensor | None:
    """Return 1 for each tap that reads another site, and 0 for one that wraps onto the site itself.

    Returns:
        bool ``(taps,)``; None where all taps read other sites.
    """
    reads: list[bool] = []
    for offset in offsets_of(kernel_size, len(shape)):
        around = True
        for step, length, wraps in zip(offset, shape, periodic, strict=True):
            back = step == 0 or (wraps and step % length == 0)
            around = around and back
        reads.append(not around)
    if all(reads):
        return None
    return torch.tensor(reads, device=device)


def _steps(places: Tensor, step: int, length: int, wraps: bool) -> tuple[Tensor, Tensor]:
    """Return places moved along a line, and which of them are still on it."""
    moved = places + step
    if wraps:
        return moved % length, torch.ones_like(moved, dtype=torch.bool)
    return moved.clamp(0, length - 1), (moved >= 0) & (moved < length)


def _moved_sites(
    shape: tuple[int, ...], periodic: tuple[bool, ...], offset: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Return the site at a displacement from every site, and whether there is one."""
    # A site is out if one of its coordinates is.
    lines: list[Tensor] = []
    inside = torch.ones(shape, dtype=torch.bool)
    for axis, (step, length, wraps) in enumerate(zip(offset, shape, periodic, strict=True)):
        moved, there = _steps(torch.arange(length), step, length, wraps)
        lines.append(moved)
        later = len(shape) - axis - 1
        inside = inside & there.view(-1, *[1] * later)
    # Coordinates as digits of the flat index, the last direction fastest.
    number = torch.zeros(shape, dtype=torch.int64)
    for length, index in zip(shape, torch.meshgrid(*lines, indexing="ij"), strict=True):
        number = number * length + index
    return number.flatten(), inside.flatten()


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def readers(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    kernel_size: int,
    device: torch.device,
) -> Tensor:
    """Return who reads each site through each tap; the number of sites stands for nobody.

    Returns:
        int64 ``(sites, taps)``.
    """
    columns: list[Tensor] = []
    for offset in offsets_of(kernel_size, len(shape)):
        back = tuple(-step for step in offset)
        sites, inside = _moved_sites(shape, periodic, back)
        # A tap that wraps onto the site itself reads nothing.
        own = sites == torch.arange(len(sites))
        columns.append(torch.where(inside & ~own, sites, len(sites)))
    return torch.stack(columns, 1).to(device)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def nearby(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    reach: int,
    device: torch.device,
) -> Tensor:
    """Return the sites within a reach of each site; itself again beyond an open edge.

    Returns:
        int64 ``(sites, places)``.
    """
    spans: list[range] = []
    for length, wraps in zip(shape, periodic, strict=True):
        far = min(reach, length - 1)
        if wraps and 2 * reach + 1 >= length:
            spans.append(range(length))
        else:
            spans.append(range(-far, far + 1))
    columns: list[Tensor] = []
    for offset in itertools.product(*spans):
        sites, inside = _moved_sites(shape, periodic, offset)
        columns.append(torch.where(inside, sites, torch.arange(len(sites))))
    return torch.stack(columns, 1).to(device)
