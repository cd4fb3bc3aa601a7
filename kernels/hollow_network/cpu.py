"""The network of :mod:`.reference` on a CPU, without gradients: less memory to walk through.

What is read of configurations comes from compiled loops, and matrix products add to what is there
instead of to a copy of it, in pieces whose activations stay in a core's cache. The numbers are the
twin's bit for bit. Anything else, float64 among it, goes to the twin.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import cpu_loops, reference
from .reference import Values, centre_mask, convolve, site_field, waves

__all__ = ["hollow_values"]

SITES = 2048
"""Sites of the walkers of one piece."""
LANES = 16
"""Matrix products of whole numbers of these are the same row by row, however many rows."""


class _Loops(NamedTuple):
    """The compiled loops."""

    embed: Callable[..., None]
    add_counts: Callable[..., None]
    add_features: Callable[..., None]
    add_values: Callable[..., None]


@lru_cache(maxsize=1)
def _loops() -> _Loops | None:
    """Return the compiled loops; None where there is no compiler."""
    try:
        import numba
    except ImportError:
        return None
    return _Loops(
        numba.njit(cpu_loops.embed),
        numba.njit(cpu_loops.add_counts),
        numba.njit(cpu_loops.add_features),
        numba.njit(cpu_loops.add_values),
    )


class _Lattice(NamedTuple):
    """Where sites find one another, as the loops take it."""

    source: Any
    """Site that a padded site repeats, -1 beyond an open edge, int32 ``(padded sites,)``"""
    padded: tuple[int, ...]
    """Lengths of the padded lattice"""
    ahead: Any
    """Neighbour in positive direction, -1 off an edge, int32 ``(ndim, sites)``"""
    behind: Any
    """Likewise in negative direction"""


@lru_cache(maxsize=16)
def _lattice(shape: tuple[int, ...], periodic: tuple[bool, ...], kernel_size: int) -> _Lattice:
    """Return the tables of a lattice and a kernel."""
    radius = kernel_size // 2
    index = torch.arange(math.prod(shape), dtype=torch.int32).view(shape)
    source = index
    ahead: list[Tensor] = []
    behind: list[Tensor] = []
    for axis, (length, wraps) in enumerate(zip(shape, periodic, strict=True)):
        source = _taken(source, axis, torch.arange(-radius, length + radius), length, wraps)
        ahead.append(_taken(index, axis, torch.arange(1, length + 1), length, wraps))
        behind.append(_taken(index, axis, torch.arange(-1, length - 1), length, wraps))
    return _Lattice(
        source=source.flatten().numpy(),
        padded=tuple(source.shape),
        ahead=torch.stack(ahead).flatten(1).numpy(),
        behind=torch.stack(behind).flatten(1).numpy(),
    )


def _taken(index: Tensor, axis: int, places: Tensor, length: int, wraps: bool) -> Tensor:
    """Return the sites at some places along an axis, -1 off an edge."""
    taken = index.index_select(axis, places % length)
    if wraps:
        return taken
    outside = (places < 0) | (places >= length)
    outside = outside.view(-1, *[1] * (index.ndim - axis - 1))
    return torch.where(outside, -1, taken)


class _Sums(NamedTuple):
    """Waves as the loops take them."""

    waves: Any
    """Cosines, then sines, int64 ``(2, modes, sites)``"""
    square: Any
    """The sum of their squares, float64 ``(modes, sites)``"""
    norm: float


@lru_cache(maxsize=16)
def _sums(shape: tuple[int, ...], modes: int) -> _Sums:
    """Return the waves of a lattice."""
    tables = waves(shape, modes, torch.device("cpu"))
    square = tables.cos**2 + tables.sin**2
    both = torch.stack([tables.cos, tables.sin]).long()
    return _Sums(both.numpy(), square.numpy(), tables.norm)


class _Network(NamedTuple):
    """A network's parameters and the physics, as all pieces take them."""

    given: Values
    lattice: _Lattice
    sums: _Sums
    conv: Tensor
    """Without its centre tap"""
    of_conv: Tensor
    """First layer of the convolution, ``(channels, width)``"""
    of_features: Tensor
    """First layer of the other features, ``(features, width)``"""
    time: Tensor
    """First layer of the time, ``(1 | walkers, 1, width)``"""
    coupling: Tensor
    """``(1 | walkers, ndim, sites)``"""
    field: Tensor
    """``(1 | walkers, embedded, sites)``"""
    apart: bool
    """Whether walkers may be computed apart, to the same bits"""


def _prepare(given: Values) -> _Network:
    """Return what all pieces share."""
    shape = tuple(given.configurations.shape[1:])
    ndim = len(shape)
    channels = len(given.conv)
    times = given.time.shape[1]
    features = given.first.shape[1] - channels - times
    of_conv, of_features, of_time = given.first.T.split((channels, features, times))
    coupling = given.coupling.expand(-1, ndim, *shape)
    field = site_field(given.field)
    return _Network(
        given=given,
        lattice=_lattice(shape, tuple(given.periodic), given.conv.shape[2]),
        sums=_sums(shape, given.modes),
        conv=given.conv * centre_mask(given.conv),
        of_conv=of_conv,
        of_features=of_features,
        time=(given.time @ of_time).unsqueeze(1),
        coupling=coupling.flatten(2).contiguous(),
        field=field.expand(-1, -1, *shape).flatten(2).contiguous(),
        apart=_apart(len(given.first), math.prod(shape)),
    )


def _apart(width: int, sites: int) -> bool:
    """Return whether matrix products of some walkers are those of all, bit for bit.

    Intel's library sums all rows in the same way, but for few rows or odd widths.
    """
    whole = width % LANES == 0 and sites >= LANES
    return whole and torch.backends.mkl.is_available()


class _Piece(NamedTuple):
    """Room for the activations of some walkers, the same for all pieces of a call."""

    padded: Tensor
    """Embedded configurations, ``(walkers, padded sites, embedded)``"""
    counts: Tensor
    """``(walkers, q, sites)``"""
    features: Tensor
    """``(walkers, features, sites)``"""
    layer: Tensor
    """``(walkers, sites, width)``"""
    hidden: Tensor
    """``(walkers · sites, width)``"""
    read: Tensor
    """``(walkers · sites, q)``"""

    @classmethod
    def of(cls, network: _Network, walkers: int) -> "_Piece":
        """Return room for so many walkers."""
        given = network.given
        sites = given.configurations.shape[1:].numel()
        new = given.conv.new_empty
        width = len(given.first)
        return cls(
            padded=new(walkers, len(network.lattice.source), given.conv.shape[1]),
            counts=new(walkers, given.q, sites),
            features=new(walkers, len(network.of_features), sites),
            layer=new(walkers, sites, width),
            hidden=new(walkers * sites, width),
            read=new(walkers * sites, given.q),
        )


def _row(values: Tensor, rows: slice) -> Tensor:
    """Return the rows of some walkers, or the one that all share."""
    if len(values) == 1:
        return values
    return values[rows]


def _read(network: _Network, states: Any, rows: slice, piece: _Piece, loops: _Loops) -> None:
    """Write what some walkers' configurations, int8 ``(walkers, sites)``, tell the network."""
    given = network.given
    lattice = network.lattice
    sums = network.sums
    coupling = _row(network.coupling, rows)
    field = _row(network.field, rows)
    counts = piece.counts.numpy()
    loops.embed(states, lattice.source, given.q, piece.padded.numpy())
    loops.add_counts(
        states, lattice.ahead, lattice.behind, coupling.numpy(), len(coupling) > 1, counts
    )
    loops.add_features(
        states, counts, sums.waves, sums.square, sums.norm, given.magnetization, field.numpy(),
        len(field) > 1, piece.features.numpy(),
    )  # fmt: skip


def _as_images(padded: Tensor, lengths: Sequence[int]) -> Tensor:
    """Return ``(walkers, padded sites, embedded)`` as the twin hands it to the convolution.

    Other strides of the same numbers would let torch sum in another order.
    """
    walkers, _, embedded = padded.shape
    if embedded == 1:
        return padded.view(walkers, 1, *lengths)
    images = padded.view(walkers, *lengths, embedded).movedim(-1, 1)
    # In two dimensions the twin has channels last as well.
    if len(lengths) == 2:
        return images
    return images.contiguous()


def _first_layer(network: _Network, piece: _Piece, rows: slice) -> Tensor:
    """Return the first layer before its nonlinearity, ``(walkers · sites, width)``."""
    walkers = len(piece.counts)
    images = _as_images(piece.padded, network.lattice.padded)
    around = convolve(images, network.conv).flatten(2).transpose(1, 2)
    features = piece.features.transpose(1, 2)
    of_features = network.of_features.expand(walkers, -1, -1)
    layer = piece.layer
    torch.baddbmm(_row(network.time, rows), features, of_features, out=layer)
    flat = layer.flatten(0, 1)
    if around.is_contiguous() or not network.apart:
        return flat.addmm_(around.flatten(0, 1), network.of_conv)
    # Each walker's channels as they lie, so that none is copied.
    layer.baddbmm_(around, network.of_conv.expand(walkers, -1, -1))
    return flat


def _pieces(walkers: int, sites: int) -> list[slice]:
    """Return equal pieces of at least :data:`SITES` sites, or one."""
    count = max(1, walkers * sites // SITES)
    bounds = [walkers * piece // count for piece in range(count + 1)]
    return [slice(*pair) for pair in zip(bounds, bounds[1:], strict=False) if pair[0] < pair[1]]


def hollow_values(given: Values) -> Tensor:
    """Return what :func:`leaps_triton.kernels.hollow_values` defines, without gradients."""
    loops = _loops()
    if loops is None or given.conv.dtype != torch.float32:
        return reference.hollow_values(given)
    with torch.no_grad():
        return _hollow_values(given, loops)


def _hollow_values(given: Values, loops: _Loops) -> Tensor:
    network = _prepare(given)
    walkers, *shape = given.configurations.shape
    sites = math.prod(shape)
    states = given.configurations.reshape(walkers, sites).numpy()
    skip = given.skip.numpy()[()]
    values = given.conv.new_empty(walkers, given.q, sites)
    out = values.numpy()
    pieces = [slice(0, walkers)]
    if network.apart:
        pieces = _pieces(walkers, sites)
    room: _Piece | None = None
    for rows in pieces:
        count = rows.stop - rows.start
        if room is None or len(room.counts) != count:
            room = _Piece.of(network, count)
        _read(network, states[rows], rows, room, loops)
        layer = F.silu(_first_layer(network, room, rows), inplace=True)
        torch.addmm(given.hidden_bias, layer, given.hidden_weight.T, out=room.hidden)
        hidden = F.silu(room.hidden, inplace=True)
        torch.addmm(given.readout_bias, hidden, given.readout_weight.T, out=room.read)
        by_walker = room.read.view(count, sites, given.q)
        loops.add_values(by_walker.numpy(), room.counts.numpy(), skip, out[rows])
    return values.view(walkers, given.q, *shape)
