"""The twin of the op ``hollow_values``, the network of :class:`leaps_triton.HollowConv`.

Shapes, units and errors are documented at :func:`leaps_triton.kernels.hollow_values`; here stand
the formulas.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from ..energies.reference import Tables, local_fields

__all__ = [
    "Gradients", "Values", "Waves", "centre_mask", "convolve", "convolved", "embed",
    "exact_convolutions", "features_of", "hollow_values", "hollow_values_gradient",
    "lowest_modes", "pad", "site_field", "state_counts", "waves",
]  # fmt: skip


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Make CUDA convolutions full float32 while the context lasts; torch else runs them in TF32.

    Matrix products are full float32 by default.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def pad(values: Tensor, axis: int, radius: int, periodic: bool) -> Tensor:
    """Return values with ``radius`` sites more on either side of ``axis``.

    They repeat the other end where the direction is periodic and are 0 where it is open.
    """
    length = values.shape[axis]
    if periodic:
        return torch.cat(
            [values.narrow(axis, length - radius, radius), values, values.narrow(axis, 0, radius)],
            axis,
        )
    shape = list(values.shape)
    shape[axis] = radius
    edge = values.new_zeros(shape)
    return torch.cat([edge, values, edge], axis)


def convolve(padded: Tensor, weight: Tensor) -> Tensor:
    """Return the correlation without padding, in one to four dimensions.

    Torch has three at most: four are a sum of three-dimensional ones.
    """
    match weight.ndim - 2:
        case 1:
            return F.conv1d(padded, weight)
        case 2:
            channels_last = torch.channels_last
            return F.conv2d(
                padded.contiguous(memory_format=channels_last),
                weight.contiguous(memory_format=channels_last),
            )
        case 3:
            return F.conv3d(padded, weight)
        case _:
            taps = weight.shape[2]
            layers = padded.shape[2] - taps + 1
            folded = padded.transpose(1, 2)
            total = sum(
                F.conv3d(folded[:, tap : tap + layers].flatten(0, 1), weight[:, :, tap])
                for tap in range(taps)
            )
            assert isinstance(total, Tensor)
            return total.unflatten(0, (-1, layers)).transpose(1, 2)


def lowest_modes(shape: Sequence[int], count: int) -> Tensor:
    """Return the ``count`` shortest wave vectors ``2π n / L``, one of each pair ±n.

    They are given as integers ``n``, int64 ``(count, ndim)``.
    """
    reach = range(-count, count + 1)
    # One of each pair ±n: the first non-zero entry is positive.
    candidates = [n for n in itertools.product(reach, repeat=len(shape)) if n > (0,) * len(shape)]
    longest = max(shape)

    def rank(n: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        # Rounded, so that vectors of one length are in the order of their entries.
        squares = ((a * longest / length) ** 2 for a, length in zip(n, shape, strict=True))
        return round(sum(squares), 9), n

    return torch.tensor(sorted(candidates, key=rank)[:count], dtype=torch.int64).view(
        count, len(shape)
    )


class Waves(NamedTuple):
    """``cos`` and ``sin`` of ``k·r`` as integers, so that sums over the lattice are exact."""

    cos: Tensor
    """``round(scale cos(k·r))``, float64 ``(modes, sites)``"""
    sin: Tensor
    """``round(scale sin(k·r))``, float64 ``(modes, sites)``"""
    scale: float
    norm: float
    """``scale² √N``"""


@lru_cache(maxsize=64)
def waves(shape: tuple[int, ...], count: int, device: torch.device) -> Waves:
    """Return the tables of the ``count`` longest waves on a lattice."""
    sites = math.prod(shape)
    modes = lowest_modes(shape, count)
    position = torch.stack(
        torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")
    ).flatten(1)
    phase = (
        2.0
        * math.pi
        * (modes.double() / torch.tensor(shape, dtype=torch.float64))
        @ position.double()
    )
    # 2 N scale² < 2**52: every product and sum made of these is an integer that float64 holds.
    scale = 2.0 ** ((51 - (2 * sites).bit_length()) // 2)
    cos, sin = (torch.round(scale * f(phase)).to(device) for f in (torch.cos, torch.sin))
    return Waves(cos, sin, scale, scale**2 * math.sqrt(sites))


def centre_mask(conv: Tensor) -> Tensor:
    """Return 1 at every tap of a kernel ``(channels, embedded, *taps)`` but its centre, 0 there."""
    mask = torch.ones(conv.shape[2:], dtype=conv.dtype, device=conv.device)
    # Written by the device: a number that is assigned is sent to a GPU, and both wait.
    mask[tuple(n // 2 for n in mask.shape)].zero_()
    return mask


def embed(configurations: Tensor, q: int, dtype: torch.dtype) -> Tensor:
    """Return the embedded configurations, ``(walkers, embedded, *shape)``.

    One channel of ±1 says all about ``q = 2``; otherwise there is one per state.
    """
    if q == 2:
        return (2 * configurations - 1).unsqueeze(1).to(dtype)
    states = torch.arange(q, dtype=configurations.dtype, device=configurations.device)
    return (configurations.unsqueeze(1) == states.view(-1, *[1] * (configurations.ndim - 1))).to(
        dtype
    )


def site_field(field: Tensor) -> Tensor:
    """Return ``h`` without what all states share, ``(1 | walkers, embedded, *shape or 1s)``."""
    if field.shape[1] == 2:
        return field[:, 1:] - field[:, :1]
    return field - field.mean(1, keepdim=True)


def _global_features(
    flat: Tensor, shape: tuple[int, ...], magnetization: bool, modes: int
) -> list[Tensor]:
    """Return leave-one-out sums over the lattice of ``flat`` ``(walkers, embedded, sites)``.

    Each entry has all channels, and waves within a channel.
    """
    features = []
    if magnetization:
        features.append((flat.sum(2, keepdim=True) - flat) / flat.shape[2])
    if modes:
        tables = waves(shape, modes, flat.device)
        wide = flat.double()
        # Sums of integers: exact in whatever order a matrix product takes.
        cos, sin = ((wide @ table.T).unsqueeze(3) for table in (tables.cos, tables.sin))
        # The site's own term, x_i (cos² + sin²), of integers too and taken away exactly.
        own = wide.unsqueeze(2) * (tables.cos**2 + tables.sin**2)
        even = (cos * tables.cos + sin * tables.sin - own) / tables.norm
        odd = (sin * tables.cos - cos * tables.sin) / tables.norm
        features += [even.flatten(1, 2).to(flat.dtype), odd.flatten(1, 2).to(flat.dtype)]
    return features


def convolved(embedded: Tensor, conv: Tensor, periodic: Sequence[bool]) -> Tensor:
    """Return the hollow convolution of ``(walkers, embedded, *shape)``.

    It is ``(walkers, sites, channels)``.
    """
    padded = embedded
    radius = conv.shape[2] // 2
    for axis, wraps in enumerate(periodic):
        padded = pad(padded, axis + 2, radius, wraps)
    with exact_convolutions():
        return convolve(padded, conv * centre_mask(conv)).flatten(2).transpose(1, 2)


def state_counts(
    configurations: Tensor, coupling: Tensor, q: int, periodic: Sequence[bool], dtype: torch.dtype
) -> Tensor:
    """Return ``Σ_j J_ij [x_j = a]``, ``(walkers, q, *shape)``."""
    identity = torch.eye(q, dtype=dtype, device=configurations.device)
    no_field = torch.zeros(1, q, *[1] * len(periodic), dtype=dtype, device=configurations.device)
    tables = Tables(coupling, identity, no_field, periodic)
    return local_fields(configurations, tables, dtype)


Gradients: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""With respect to ``time``, ``conv``, …, ``skip``."""


class Values(NamedTuple):
    """Arguments of the op."""

    configurations: Tensor
    coupling: Tensor
    field: Tensor
    time: Tensor
    conv: Tensor
    first: Tensor
    hidden_weight: Tensor
    hidden_bias: Tensor
    readout_weight: Tensor
    readout_bias: Tensor
    skip: Tensor
    periodic: Sequence[bool]
    magnetization: bool = True
    modes: int = 0
    precision: str = "float32"

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """``time``, ``conv``, …, ``skip``, in the order of the gradients."""
        return self[3:11]

    @property
    def q(self) -> int:
        """States of a site."""
        return len(self.readout_weight)


class _Inputs(NamedTuple):
    """Holds the inputs of the first layer, but for the time."""

    around: Tensor
    """Convolution, ``(walkers, sites, channels)``"""
    features: Tensor
    """Local field, sums over the lattice, external field, ``(walkers, features, sites)``"""
    counts: Tensor
    """``Σ_j J_ij [x_j = a]``, ``(walkers, q, sites)``"""


def features_of(given: Values) -> tuple[Tensor, Tensor]:
    """Return the features but for convolution and time, and the counts, as in :class:`_Inputs`."""
    walkers, *shape = given.configurations.shape
    embedded = embed(given.configurations, given.q, given.conv.dtype)
    counts = state_counts(
        given.configurations, given.coupling, given.q, given.periodic, given.conv.dtype
    ).flatten(2)
    local = counts
    if given.q == 2:
        local = counts[:, 1:] - counts[:, :1]
    sums = _global_features(embedded.flatten(2), tuple(shape), given.magnetization, given.modes)
    constant = site_field(given.field).expand(walkers, -1, *shape).flatten(2)
    return torch.cat([local, *sums, constant], dim=1), counts


def _inputs(given: Values) -> _Inputs:
    embedded = embed(given.configurations, given.q, given.conv.dtype)
    features, counts = features_of(given)
    return _Inputs(convolved(embedded, given.conv, given.periodic), features, counts)


def _first_layer(inputs: _Inputs, time: Tensor, first: Tensor) -> Tensor:
    """Return the first layer before its nonlinearity, ``(walkers · sites, width)``.

    It is one linear layer of all inputs, without laying them side by side in memory.
    """
    around = inputs.around
    features = inputs.features
    of_conv, of_features, of_time = first.T.split(
        (around.shape[2], features.shape[1], time.shape[1])
    )
    hidden = torch.baddbmm(
        (time @ of_time).unsqueeze(1),
        features.transpose(1, 2),
        of_features.expand(len(features), -1, -1),
    )
    return torch.addmm(hidden.flatten(0, 1), around.flatten(0, 1), of_conv)


def hollow_values(given: Values) -> Tensor:
    """Return ``f = V silu(U silu(W [conv ⋆ x, local, sums, h, time]) + u) + v + skip · local``."""
    walkers, *shape = given.configurations.shape
    inputs = _inputs(given)
    hidden = _first_layer(inputs, given.time, given.first)
    # Without gradients nobody needs what comes before a nonlinearity.
    reuse = not torch.is_grad_enabled()
    hidden = F.linear(F.silu(hidden, inplace=reuse), given.hidden_weight, given.hidden_bias)
    values = F.linear(F.silu(hidden, inplace=reuse), given.readout_weight, given.readout_bias)
    values = values.view(walkers, -1, given.q).transpose(1, 2) + given.skip * inputs.counts
    return values.view(walkers, given.q, *shape)


def _silu_slope(x: Tensor) -> Tensor:
    # silu(x) = x σ(x), σ' = σ (1 - σ).
    gate = torch.sigmoid(x)
    return gate * (1.0 + x * (1.0 - gate))


def _convolution_gradient(
    to_around: Tensor, embedded: Tensor, conv: Tensor, periodic: Sequence[bool]
) -> Tensor:
    """Return ``∂/∂W[c, e, δ] = Σ_p to_around[p, c] x_e[p + δ]`` at every tap but the centre."""
    padded = embedded
    radius = conv.shape[2] // 2
    for axis, wraps in enumerate(periodic):
        padded = pad(padded, axis + 2, radius, wraps)
    gradient = torch.zeros_like(conv).flatten(2)
    for index, tap in enumerate(itertools.product(range(conv.shape[2]), repeat=len(periodic))):
        part = padded
        for axis, start in enumerate(tap):
            part = part.narrow(axis + 2, start, embedded.shape[axis + 2])
        # The centre keeps its gradient of 0.
        if any(start != radius for start in tap):
            gradient[:, :, index] = torch.einsum("wpc,wep->ce", to_around, part.flatten(2))
    return gradient.view_as(conv)


def hollow_values_gradient(to_values: Tensor, given: Values) -> Gradients:
    """Return the gradients with respect to ``time``, ``conv``, …, ``skip``.

    Activations are computed again. Back from ``f = V silu(z_2) + …``, ``z_2 = U silu(z_1) + u``:
    ``to z_2 = Vᵀ to f · silu'(z_2)``, ``to z_1 = Uᵀ to z_2 · silu'(z_1)``, and each weight's
    gradient is the sum over sites of a gradient times an input.
    """
    walkers = len(given.configurations)
    sites = given.configurations.shape[1:].numel()
    inputs = _inputs(given)
    before = _first_layer(inputs, given.time, given.first)
    activation = F.silu(before)
    hidden = F.linear(activation, given.hidden_weight, given.hidden_bias)
    by_site = to_values.flatten(2).transpose(1, 2).reshape(-1, given.q)
    to_hidden = by_site @ given.readout_weight * _silu_slope(hidden)
    to_before = to_hidden @ given.hidden_weight * _silu_slope(before)
    # A walker's time is the same at all of its sites: its gradient is their sum.
    by_walker = to_before.view(walkers, sites, -1).sum(1)
    if len(given.time) == 1:
        by_walker = by_walker.sum(0, keepdim=True)
    channels = inputs.around.shape[2]
    to_first = torch.cat(
        [
            to_before.T @ inputs.around.flatten(0, 1),
            to_before.T @ inputs.features.transpose(1, 2).flatten(0, 1),
            by_walker.T @ given.time,
        ],
        1,
    )
    to_around = (to_before @ given.first[:, :channels]).view(walkers, sites, channels)
    embedded = embed(given.configurations, given.q, given.conv.dtype)
    times = given.first.shape[1] - given.time.shape[1]
    return (
        by_walker @ given.first[:, times:],
        _convolution_gradient(to_around, embedded, given.conv, given.periodic),
        to_first,
        to_hidden.T @ activation,
        to_hidden.sum(0),
        by_site.T @ F.silu(hidden),
        by_site.sum(0),
        (to_values.flatten(2) * inputs.counts).sum(),
    )
