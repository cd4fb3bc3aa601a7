"""What the kernels of ``hollow_values`` look up: a padded lattice, taps, waves, packed weights.

Each kernel sees one linear layer of all features that depend on the site. Its inputs come in tiles
of :data:`TILE` columns, in this order: the taps of each channel of the embedding, without the
centre; sums over the lattice; local field and external field. A last tile is filled up with columns
whose weights are 0.
"""

import itertools
import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .reference import centre_mask, waves

__all__ = [
    "TILE",
    "Columns",
    "Geometry",
    "IntegerWaves",
    "Sources",
    "Sums",
    "columns",
    "fill",
    "geometry",
    "hollow",
    "integer_waves",
    "pack",
    "sources",
    "sums",
    "unpack",
]

TILE = 16
"""Input columns that a program treats at once: the least that a matrix product takes."""


def fill(count: int) -> int:
    """Return how many columns the whole tiles have that hold ``count``."""
    return -(-count // TILE) * TILE


class Geometry(NamedTuple):
    """A lattice, and the same with ``radius`` sites more on either side of each direction."""

    source: Tensor
    """Site that a padded site repeats, -1 beyond an open edge, int32 ``(padded sites,)``"""
    base: Tensor
    """Padded site of each site, int32 ``(sites,)``"""
    steps: Tensor
    """Distance of neighbours in the padded lattice, int32 ``(ndim,)``"""
    backward: Tensor
    """Site from which the bond to the site comes, itself where there is none.

    Int32 ``(ndim, sites)``
    """
    taps: Tensor
    """Distance of each tap but the centre in the padded lattice, int32 ``(fill(K**ndim - 1),)``"""


@lru_cache(maxsize=64)
def geometry(
    shape: tuple[int, ...], periodic: tuple[bool, ...], kernel_size: int, device: torch.device
) -> Geometry:
    """Return the tables of a lattice and kernel size."""
    # Neighbours are looked up in the padded lattice too.
    radius = max(1, kernel_size // 2)
    index = torch.arange(math.prod(shape), dtype=torch.int32).view(shape)
    padded = index
    backward = []
    for axis, (length, wraps) in enumerate(zip(shape, periodic, strict=True)):
        places = torch.arange(-radius, length + radius)
        padded = padded.index_select(axis, places % length)
        if not wraps:
            outside = ((places < 0) | (places >= length)).view(-1, *[1] * (len(shape) - axis - 1))
            padded = torch.where(outside, -1, padded)
        backward.append(index.roll(1, axis).flatten())
    inside = tuple(slice(radius, radius + n) for n in shape)
    places = torch.arange(padded.numel(), dtype=torch.int32).view(padded.shape)
    reach = range(-(kernel_size // 2), kernel_size // 2 + 1)
    taps = [
        sum(a * s for a, s in zip(tap, places.stride(), strict=True))
        for tap in itertools.product(reach, repeat=len(shape))
        if any(tap)
    ]
    # A column that fills up has the weight 0; it reads a tap too, so that none reads the centre.
    taps += [taps[-1] if taps else places.stride()[0]] * (fill(len(taps)) - len(taps))
    tables = (
        padded.flatten(),
        places[inside].flatten(),
        torch.tensor(places.stride(), dtype=torch.int32),
        torch.stack(backward),
        torch.tensor(taps, dtype=torch.int32),
    )
    return Geometry(*(table.to(device).contiguous() for table in tables))


class Sums(NamedTuple):
    """Columns ``(A u + B v - x own) / norm`` with ``A = Σ_j x_j a_j``, ``B = Σ_j x_j b_j``.

    ``x`` is one channel of the embedding.
    """

    channel: Tensor
    """Channel of the embedding of each column, int32 ``(columns,)``"""
    group: Tensor
    """Row of the tables of each column, int32 ``(columns,)``"""
    tables: Tensor
    """``u, v, own, a, b`` of each group, float64 ``(groups, 5, sites)``"""
    inverse: Tensor
    """``1 / norm`` of each group, float64 ``(groups,)``"""


@lru_cache(maxsize=64)
def sums(
    shape: tuple[int, ...], channels: int, magnetization: bool, modes: int, device: torch.device
) -> Sums:
    """Return the columns of the sums over the lattice, in the order of the twin."""
    made = waves(shape, modes, torch.device("cpu"))
    one = torch.ones(math.prod(shape), dtype=torch.float64)
    nought = torch.zeros(math.prod(shape), dtype=torch.float64)
    groups = []
    inverse = []
    if magnetization:
        groups.append([one, nought, one, one, nought])
        inverse.append(1.0 / math.prod(shape))
    pairs = list(zip(made.cos, made.sin, strict=True))
    # Even sums Σ_j x_j cos k(r_j - r_i), whose own term is x_i; odd ones with sin have none.
    groups += [[cos, sin, cos**2 + sin**2, cos, sin] for cos, sin in pairs]
    groups += [[cos, sin, nought, sin, -cos] for cos, sin in pairs]
    inverse += [1.0 / made.norm] * (2 * modes)
    parts = ([range(1)] if magnetization else []) + [
        range(start, start + modes)
        for start in (int(magnetization), int(magnetization) + modes)
        if modes
    ]
    order = [(channel, group) for part in parts for channel in range(channels) for group in part]
    tables = (
        torch.stack([torch.stack(group) for group in groups])
        if groups
        else one.new_zeros(0, 5, math.prod(shape))
    )
    return Sums(
        torch.tensor([channel for channel, _ in order], dtype=torch.int32, device=device),
        torch.tensor([group for _, group in order], dtype=torch.int32, device=device),
        tables.to(device),
        torch.tensor(inverse, dtype=torch.float64, device=device),
    )


class Columns(NamedTuple):
    """Numbers of columns, each in whole tiles."""

    taps: int
    """Of one channel of the embedding"""
    sums: int
    local: int

    def total(self, channels: int) -> int:
        """Return the columns of all channels together."""
        return channels * self.taps + self.sums + self.local


def columns(kernel_size: int, ndim: int, channels: int, magnetization: bool, modes: int) -> Columns:
    """Return the columns of a network with ``channels`` channels of the embedding."""
    return Columns(
        fill(kernel_size**ndim - 1),
        fill(channels * (int(magnetization) + 2 * modes)),
        fill(2 * channels),
    )


def pack(
    conv: Tensor, first: Tensor, sizes: Columns, times: int, width: int
) -> tuple[Tensor, Tensor]:
    """Return the weights of all columns and those of the time, filled up with zeros.

    The first are ``(columns, width)``, the second ``(times, width)``. The convolution and the layer
    after it are one linear map.
    """
    outputs, embedded = conv.shape[:2]
    taps = conv.shape[2:].numel()
    of_conv, of_features, of_time = first.split(
        [outputs, first.shape[1] - outputs - times, times], 1
    )
    # In float64, so that a weight of the two maps in one is rounded once.
    each = (
        (of_conv.double() @ conv.flatten(1).double())
        .to(conv.dtype)
        .view(-1, embedded, taps)
        .permute(1, 2, 0)
    )
    # Without the centre tap, which no kernel reads.
    each = torch.cat([each[:, : taps // 2], each[:, taps // 2 + 1 :]], 1)
    count = of_features.shape[1] - 2 * embedded
    local = torch.cat([of_features[:, :embedded], of_features[:, embedded + count :]], 1)
    packed = torch.cat(
        [
            _filled(each, sizes.taps).flatten(0, 1),
            _filled(of_features[:, embedded : embedded + count].T, sizes.sums),
            _filled(local.T, sizes.local),
        ]
    )
    return widened(packed, width), widened(of_time.T, width)


def _filled(rows: Tensor, count: int) -> Tensor:
    return torch.nn.functional.pad(rows, (0, 0, 0, count - rows.shape[-2]))


def widened(rows: Tensor, width: int) -> Tensor:
    """Return rows with columns of zeros up to ``width``, contiguous."""
    return torch.nn.functional.pad(rows, (0, width - rows.shape[-1])).contiguous()


def unpack(
    to_packed: Tensor, to_time: Tensor, conv: Tensor, first: Tensor, sizes: Columns
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``conv`` and ``first`` from those of what :func:`pack` makes."""
    outputs, embedded = conv.shape[:2]
    width = len(first)
    taps = conv.shape[2:].numel()
    of_taps = embedded * sizes.taps
    to_packed = to_packed[:, :width]
    to_time = to_time[:, :width]
    each = to_packed[:of_taps].view(embedded, sizes.taps, width)
    # The centre's gradient is 0, as it is masked.
    centre = each.new_zeros(embedded, 1, width)
    each = torch.cat([each[:, : taps // 2], centre, each[:, taps // 2 : taps - 1]], 1)
    to_conv = torch.einsum("eth,hc->cet", each, first[:, :outputs].to(each.dtype))
    count = first.shape[1] - outputs - 2 * embedded - len(to_time)
    local = to_packed[of_taps + sizes.sums :]
    to_first = torch.cat(
        [
            torch.einsum("eth,cet->ch", each, conv.flatten(2).to(each.dtype)),
            local[:embedded],
            to_packed[of_taps : of_taps + count],
            local[embedded : 2 * embedded],
            to_time,
        ]
    )
    return to_conv.view_as(conv).to(conv.dtype), to_first.T.to(first.dtype)


class Sources(NamedTuple):
    """Where the sites of a lattice find one another, as arrays of the loops of a CPU."""

    source: Any
    """Site that a padded site repeats, -1 beyond an open edge, int32 ``(padded sites,)``"""
    lengths: tuple[int, ...]
    """Lengths of the padded lattice"""
    ahead: Any
    """Neighbour in positive direction of each axis, -1 off an edge, int32 ``(ndim, sites)``"""
    behind: Any
    """The same in negative direction"""
    cuts: tuple[int, int, int]
    """Places of the kernel along the last axis, rows of the padded lattice and their length as
    each of these places sees them"""
    starts: Any
    """Where each tap but the centre begins in cuts of this shape, int32 ``(K**ndim - 1,)``"""
    runs: Any
    """Where runs of neighbouring sites begin after that, int32 ``(runs,)``"""


@lru_cache(maxsize=64)
def sources(shape: tuple[int, ...], periodic: tuple[bool, ...], kernel_size: int) -> Sources:
    """Return the tables of a lattice, padded by the radius of a kernel."""
    radius = kernel_size // 2
    index = torch.arange(math.prod(shape), dtype=torch.int32).view(shape)
    source = index
    ahead: list[Tensor] = []
    behind: list[Tensor] = []
    for axis, wraps in enumerate(periodic):
        length = shape[axis]
        source = _taken(source, axis, torch.arange(-radius, length + radius), wraps)
        ahead.append(_taken(index, axis, torch.arange(1, length + 1), wraps))
        behind.append(_taken(index, axis, torch.arange(-1, length - 1), wraps))
    # Along the last axis each place of the kernel has a cut of its own, so that sites that are
    # neighbours along the last two axes are neighbours in it, whatever the tap.
    cuts = torch.Size((kernel_size, *source.shape[:-1], shape[-1]))
    places = torch.arange(cuts.numel(), dtype=torch.int32).view(cuts)
    corner = places[..., 0].movedim(0, -1)
    for axis in range(len(shape) - 1):
        corner = corner.narrow(axis, 0, kernel_size)
    starts = corner.flatten()
    centre = len(starts) // 2
    runs = places[0]
    for axis in range(len(shape) - 1):
        runs = runs.narrow(axis, 0, shape[axis])
    # One number for each run: its first site.
    while runs.ndim > max(0, len(shape) - 2):
        runs = runs[..., 0]
    return Sources(
        source=source.flatten().numpy(),
        lengths=tuple(source.shape),
        ahead=torch.stack(ahead).flatten(1).numpy(),
        behind=torch.stack(behind).flatten(1).numpy(),
        cuts=(kernel_size, source.shape[:-1].numel(), shape[-1]),
        starts=torch.cat([starts[:centre], starts[centre + 1 :]]).numpy(),
        runs=runs.flatten().contiguous().numpy(),
    )


def _taken(index: Tensor, axis: int, places: Tensor, wraps: bool) -> Tensor:
    """Return the sites at some places along an axis, -1 off an edge."""
    length = index.shape[axis]
    taken = index.index_select(axis, places % length)
    if wraps:
        return taken
    outside = (places < 0) | (places >= length)
    outside = outside.view(-1, *[1] * (index.ndim - axis - 1))
    return torch.where(outside, -1, taken)


class IntegerWaves(NamedTuple):
    """The waves of :func:`.reference.waves`, as arrays of the loops of a CPU."""

    waves: Any
    """Cosines, then sines, int64 ``(2, modes, sites)``"""
    square: Any
    """The sum of their squares, float64 ``(modes, sites)``"""
    norm: float


@lru_cache(maxsize=64)
def integer_waves(shape: tuple[int, ...], modes: int) -> IntegerWaves:
    """Return the waves of a lattice."""
    made = waves(shape, modes, torch.device("cpu"))
    both = torch.stack([made.cos, made.sin]).long()
    square = made.cos**2 + made.sin**2
    return IntegerWaves(both.numpy(), square.numpy(), made.norm)


@lru_cache(maxsize=64)
def hollow(lengths: tuple[int, ...]) -> Tensor:
    """Return 1 at every tap of a kernel of these lengths but its centre, 0 there; float32."""
    return centre_mask(torch.empty(1, 1, *lengths))
