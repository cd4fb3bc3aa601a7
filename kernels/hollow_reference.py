"""The twin of the op ``hollow_values``: the network of :class:`leaps_triton.HollowConv` in plain torch.

Shapes, units and errors are documented at :func:`leaps_triton.kernels.hollow_values`; here stand the formulas.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .reference import local_fields

__all__ = [
    "Waves", "centre_mask", "convolved", "embed", "exact_convolutions", "hollow_values", "hollow_values_gradient",
    "lowest_modes", "site_field", "state_counts", "waves",
]  # fmt: skip


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Full float32 in CUDA convolutions, which torch otherwise runs in TF32; matrix products are so by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _pad(values: Tensor, axis: int, radius: int, periodic: bool) -> Tensor:
    """``radius`` sites more on either side of ``axis``: the other end where periodic, zeros where open."""
    length = values.shape[axis]
    if periodic:
        return torch.cat([values.narrow(axis, length - radius, radius), values, values.narrow(axis, 0, radius)], axis)
    shape = list(values.shape)
    shape[axis] = radius
    edge = values.new_zeros(shape)
    return torch.cat([edge, values, edge], axis)


def _convolve(padded: Tensor, weight: Tensor) -> Tensor:
    """Correlation without padding in one to four dimensions; four as a sum of three-dimensional ones."""
    match weight.ndim - 2:
        case 1:
            return F.conv1d(padded, weight)
        case 2:
            channels_last = torch.channels_last
            return F.conv2d(
                padded.contiguous(memory_format=channels_last), weight.contiguous(memory_format=channels_last)
            )
        case 3:
            return F.conv3d(padded, weight)
        case _:
            taps = weight.shape[2]
            layers = padded.shape[2] - taps + 1
            folded = padded.transpose(1, 2)
            total = sum(F.conv3d(folded[:, tap : tap + layers].flatten(0, 1), weight[:, :, tap]) for tap in range(taps))
            assert isinstance(total, Tensor)
            return total.unflatten(0, (-1, layers)).transpose(1, 2)


def lowest_modes(shape: Sequence[int], count: int) -> Tensor:
    """The ``count`` shortest wave vectors ``2π n / L``, one of each pair ±n, as integers ``n``, ``(count, ndim)``."""
    reach = range(-count, count + 1)
    # One of each pair ±n: the first non-zero entry is positive.
    candidates = [n for n in itertools.product(reach, repeat=len(shape)) if n > (0,) * len(shape)]
    longest = max(shape)

    def rank(n: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        return round(sum((a * longest / length) ** 2 for a, length in zip(n, shape, strict=True)), 9), n

    return torch.tensor(sorted(candidates, key=rank)[:count], dtype=torch.int64).view(count, len(shape))


class Waves(NamedTuple):
    """``cos`` and ``sin`` of ``k·r`` as integers, so that sums over the lattice are exact and so is hollowness."""

    cos: Tensor
    """``round(scale cos(k·r))``, float64 ``(modes, sites)``"""
    sin: Tensor
    """``round(scale sin(k·r))``, float64 ``(modes, sites)``"""
    scale: float
    norm: float
    """``scale² √N``"""


@lru_cache(maxsize=64)
def waves(shape: tuple[int, ...], count: int, device: torch.device) -> Waves:
    """Tables of the ``count`` longest waves on a lattice."""
    sites = math.prod(shape)
    modes = lowest_modes(shape, count)
    position = torch.stack(torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")).flatten(1)
    phase = 2.0 * math.pi * (modes.double() / torch.tensor(shape, dtype=torch.float64)) @ position.double()
    # 2 N scale² < 2**52: every product and sum made of these is an integer that float64 holds exactly.
    scale = 2.0 ** ((51 - (2 * sites).bit_length()) // 2)
    cos, sin = (torch.round(scale * f(phase)).to(device) for f in (torch.cos, torch.sin))
    return Waves(cos, sin, scale, scale**2 * math.sqrt(sites))


def centre_mask(conv: Tensor) -> Tensor:
    """1 at every tap of a kernel ``(channels, embedded, *taps)`` but its centre, ``(*taps)``."""
    mask = torch.ones(conv.shape[2:], dtype=conv.dtype, device=conv.device)
    mask[tuple(n // 2 for n in mask.shape)] = 0.0
    return mask


def embed(configurations: Tensor, q: int, dtype: torch.dtype) -> Tensor:
    """``(walkers, embedded, *shape)``: one channel of ±1, which says all about ``q = 2``; otherwise one a state."""
    if q == 2:
        return (2 * configurations - 1).unsqueeze(1).to(dtype)
    states = torch.arange(q, dtype=configurations.dtype, device=configurations.device)
    return (configurations.unsqueeze(1) == states.view(-1, *[1] * (configurations.ndim - 1))).to(dtype)


def site_field(field: Tensor) -> Tensor:
    """``h`` without what all states share, as features, ``(1 | walkers, embedded, *shape or 1s)``."""
    return field[:, 1:] - field[:, :1] if field.shape[1] == 2 else field - field.mean(1, keepdim=True)


def _global_features(flat: Tensor, shape: tuple[int, ...], magnetization: bool, modes: int) -> list[Tensor]:
    """Leave-one-out sums over the lattice of ``flat`` ``(walkers, embedded, sites)``, channels first."""
    features = [(flat.sum(2, keepdim=True) - flat) / flat.shape[2]] if magnetization else []
    if modes:
        tables = waves(shape, modes, flat.device)
        wide = flat.double()
        # Sums of integers: exact in whatever order a matrix product takes.
        cos, sin = ((wide @ table.T).unsqueeze(3) for table in (tables.cos, tables.sin))
        own = wide.unsqueeze(2) * (tables.cos**2 + tables.sin**2)
        even = (cos * tables.cos + sin * tables.sin - own) / tables.norm
        odd = (sin * tables.cos - cos * tables.sin) / tables.norm
        features += [even.flatten(1, 2).to(flat.dtype), odd.flatten(1, 2).to(flat.dtype)]
    return features


def convolved(embedded: Tensor, conv: Tensor, periodic: Sequence[bool]) -> Tensor:
    """The hollow convolution of ``(walkers, embedded, *shape)``, ``(walkers, sites, channels)``."""
    padded, radius = embedded, conv.shape[2] // 2
    for axis, wraps in enumerate(periodic):
        padded = _pad(padded, axis + 2, radius, wraps)
    with exact_convolutions():
        return _convolve(padded, conv * centre_mask(conv)).flatten(2).transpose(1, 2)


def state_counts(
    configurations: Tensor, coupling: Tensor, q: int, periodic: Sequence[bool], dtype: torch.dtype
) -> Tensor:
    """``Σ_j J_ij [x_j = a]``, ``(walkers, q, *shape)``."""
    identity = torch.eye(q, dtype=dtype, device=configurations.device)
    no_field = torch.zeros(1, q, *[1] * len(periodic), dtype=dtype, device=configurations.device)
    return local_fields(configurations, coupling, identity, no_field, periodic, dtype)


def hollow_values(
    configurations: Tensor,
    coupling: Tensor,
    field: Tensor,
    time: Tensor,
    conv: Tensor,
    first: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    readout_weight: Tensor,
    readout_bias: Tensor,
    skip: Tensor,
    periodic: Sequence[bool],
    magnetization: bool = True,
    modes: int = 0,
    input_precision: str = "ieee",
) -> Tensor:
    """``f = V silu(U silu(W [conv ⋆ x, local field, sums, h, time]) + u) + v + skip · local field``."""
    walkers, *shape = configurations.shape
    q, dtype = len(readout_weight), conv.dtype
    embedded = embed(configurations, q, dtype)
    counts = state_counts(configurations, coupling, q, periodic, dtype).flatten(2)
    local = counts[:, 1:] - counts[:, :1] if q == 2 else counts
    sums = _global_features(embedded.flatten(2), tuple(shape), magnetization, modes)
    constant = site_field(field.to(dtype)).expand(walkers, -1, *shape).flatten(2)
    around = convolved(embedded, conv, periodic)
    features = torch.cat([local, *sums, constant], dim=1)
    # One linear layer of all features, without laying them side by side in memory.
    parts = (around.shape[2], features.shape[1], time.shape[1])
    of_conv, of_features, of_time = first.T.split(parts)
    hidden = torch.baddbmm((time @ of_time).unsqueeze(1), features.transpose(1, 2), of_features.expand(walkers, -1, -1))
    hidden = torch.addmm(hidden.flatten(0, 1), around.flatten(0, 1), of_conv)
    reuse = not torch.is_grad_enabled()
    hidden = F.linear(F.silu(hidden, inplace=reuse), hidden_weight, hidden_bias)
    values = F.linear(F.silu(hidden, inplace=reuse), readout_weight, readout_bias)
    values = values.view(walkers, -1, q).transpose(1, 2) + skip * counts
    return values.view(walkers, q, *shape)


def hollow_values_gradient(
    to_values: Tensor,
    configurations: Tensor,
    coupling: Tensor,
    field: Tensor,
    time: Tensor,
    conv: Tensor,
    first: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    readout_weight: Tensor,
    readout_bias: Tensor,
    skip: Tensor,
    periodic: Sequence[bool],
    magnetization: bool,
    modes: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients with respect to ``time``, ``conv``, …, ``skip``, from activations computed again."""
    parameters = (time, conv, first, hidden_weight, hidden_bias, readout_weight, readout_bias, skip)
    with torch.enable_grad():
        leaves = [parameter.detach().requires_grad_() for parameter in parameters]
        values = hollow_values(configurations, coupling, field, *leaves, periodic, magnetization, modes)
    made = torch.autograd.grad(values, leaves, to_values)
    return made[0], made[1], made[2], made[3], made[4], made[5], made[6], made[7]
