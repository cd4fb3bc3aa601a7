"""Kernels of the op ``hollow_conv`` and of its gradient.

Sources, and in one of the kernels activations and gradients, come padded by the kernel's radius, so that the site a tap
sees is at the address ``base[site] + tap[j]`` whatever the dimension and the boundaries. Weights of sites and taps live
in registers only; the gradients make them anew. Sums over walkers are one number a program and a second reduction, so
that no order of programs enters the results. Programs whose block reaches beyond the last site repeat that one, and
what they find there is not stored, or has an upstream gradient of 0.
"""

import functools
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton import knobs

from . import blocked
from .device import kernel
from .variants import Variant, launch

__all__ = ["VARIANTS", "hollow_conv", "hollow_conv_gradient"]

SITES = 64
"""Sites that a program treats at once."""
SOURCE_SITES = 16
"""The same in the gradient of the source."""
TAPS = 32
"""Taps at once; in the gradient of the source, channels."""
INPUTS = 32
"""Input channels at once; a loop goes over more."""
GROUP = 4
"""Channels of a program, one after another."""
CHUNKS = 16
"""Programs among which the walkers are divided in the gradient of the parameters."""
INTERPRETED = tl.constexpr(knobs.runtime.interpret)
PRECISIONS = {"float32": 0, "tf32": 1, "bfloat16": 2}
"""Of the factors of matrix products; sums and all else are float32."""


@triton.jit
def product(left, right, PRECISION: tl.constexpr):
    """Matrix product with float32 sums."""
    if PRECISION == 2:
        left = left.to(tl.bfloat16)
        right = right.to(tl.bfloat16)
        # The interpreter's product does not know this type; its values are exact in the wider one.
        result = tl.dot(left.to(tl.float32), right.to(tl.float32)) if INTERPRETED else tl.dot(left, right)
    elif PRECISION == 1:
        result = tl.dot(left, right, input_precision="tf32")
    else:
        result = tl.dot(left, right, input_precision="ieee")
    return result


@triton.jit
def sigmoid(x):
    """``1 / (1 + e^{-x})``, 0 where ``e^{-x}`` overflows."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def pre_activations(
    p_activations, o_site, p_weight, o_tap, m_tap, sites, inputs,
    SITES: tl.constexpr, TAPS: tl.constexpr, INPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``Σ_i a[i, site] A[tap, i]``, ``[SITES, TAPS]``; rows of ``a`` are ``sites`` apart, those of ``A`` ``inputs``."""
    total = tl.zeros([SITES, TAPS], tl.float32)
    for i_start in range(0, inputs, INPUTS):
        o_input = i_start + tl.arange(0, INPUTS)
        m_input = o_input < inputs
        p_row = p_activations + o_input[None, :] * sites + o_site[:, None]
        b_activations = tl.load(p_row, mask=m_input[None, :], other=0.0)
        b_weight = tl.load(
            p_weight + o_tap[None, :] * inputs + o_input[:, None], mask=m_tap[None, :] & m_input[:, None], other=0.0
        )
        total += product(b_activations, b_weight, PRECISION)
    return total


@triton.jit
def seen_sources(p_source, p_base, o_site, p_tap, o_tap, m_tap):
    """``x[site + δ_j]``, ``[SITES, TAPS]``, 0 for the taps of the mask."""
    b_tap = tl.load(p_tap + o_tap, mask=m_tap, other=0)
    return tl.load(p_source + tl.load(p_base + o_site)[:, None] + b_tap[None, :], mask=m_tap[None, :], other=0.0)


@kernel
def hollow_conv_kernel(
    p_activations, p_weight, p_bias, p_offset, p_time, p_source, p_base, p_tap, p_output,
    sites: tl.int32, padded: tl.int32, channels: tl.int32, inputs: tl.int32, taps: tl.int32, group: tl.int32,
    s_time: tl.int32, s_source: tl.int32,
    SITES: tl.constexpr, TAPS: tl.constexpr, INPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``h[b,c,p] = Σ_{j≠centre} (silu(Σ_i A[c,j,i] a[b,i,p] + b1[c,j]) + b2[c,j] + e[b,j]) x[b,c|0,p+δ_j]``.

    One program a walker, block of sites and group of channels. Holderrieth, Albergo, Jaakkola, *LEAPS*,
    arXiv:2502.10843 (2025).

    ``activations`` ``(walkers, inputs, sites)``, ``weight`` ``(channels, taps, inputs)``, ``bias``, ``offset``
    ``(channels, taps)``, ``time`` ``(walkers | 1, taps)``, ``source`` ``(walkers, channels | 1, padded)``, ``output``
    ``(walkers, channels, sites)``, all float32; ``base`` ``(sites,)``, ``tap`` ``(taps,)`` int32.
    """
    groups = tl.cdiv(channels, group)
    blocks = tl.cdiv(sites, SITES)
    i_group = tl.program_id(0) % groups
    i_block = tl.program_id(0) // groups % blocks
    i_walker = (tl.program_id(0) // groups // blocks).to(tl.int64)
    o_site = i_block * SITES + tl.arange(0, SITES)
    m_site = o_site < sites
    o_near = tl.minimum(o_site, sites - 1)
    p_activations += i_walker * inputs * sites
    p_time += i_walker * s_time
    p_source += i_walker * tl.where(s_source == 0, padded, channels * padded)
    p_output += i_walker * channels * sites
    for i_channel in range(i_group * group, tl.minimum(channels, (i_group + 1) * group)):
        total = tl.zeros([SITES, TAPS], tl.float32)
        for i_start in range(0, taps, TAPS):
            o_tap = i_start + tl.arange(0, TAPS)
            m_tap = (o_tap < taps) & (o_tap != taps // 2)
            o_row = i_channel * taps + o_tap
            pre = pre_activations(
                p_activations, o_near, p_weight + i_channel * taps * inputs, o_tap, m_tap, sites, inputs,
                SITES, TAPS, INPUTS, PRECISION,
            ) + tl.load(p_bias + o_row, mask=m_tap, other=0.0)[None, :]  # fmt: skip
            shift = tl.load(p_offset + o_row, mask=m_tap, other=0.0) + tl.load(p_time + o_tap, mask=m_tap, other=0.0)
            b_source = seen_sources(p_source + i_channel * s_source, p_base, o_near, p_tap, o_tap, m_tap)
            total += (pre * sigmoid(pre) + shift[None, :]) * b_source
        tl.store(p_output + i_channel * sites + o_site, tl.sum(total, 1), mask=m_site)


@triton.jit
def through_silu(pre, upstream):
    """``upstream · silu'(pre)``."""
    share = sigmoid(pre)
    return upstream * share * (1.0 + pre * (1.0 - share))


@kernel
def activations_gradient_kernel(
    p_to_output, p_activations, p_weight, p_bias, p_source, p_base, p_tap, p_gradient,
    sites: tl.int32, padded: tl.int32, channels: tl.int32, inputs: tl.int32, taps: tl.int32, s_source: tl.int32,
    SITES: tl.constexpr, TAPS: tl.constexpr, INPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``da[b,i,p] = Σ_{c,j} g[b,c,p] x[b,c|0,p+δ_j] silu'(z) A[c,j,i]``, ``z = Σ_i A[c,j,i] a[b,i,p] + b1[c,j]``.

    One program a walker, block of sites and block of inputs. Shapes as in :func:`hollow_conv_kernel`; ``to_output``
    ``(walkers, channels, sites)``, ``gradient`` as ``activations``.
    """
    widths = tl.cdiv(inputs, INPUTS)
    blocks = tl.cdiv(sites, SITES)
    i_width = tl.program_id(0) % widths
    i_block = tl.program_id(0) // widths % blocks
    i_walker = (tl.program_id(0) // widths // blocks).to(tl.int64)
    o_site = i_block * SITES + tl.arange(0, SITES)
    m_site = o_site < sites
    o_near = tl.minimum(o_site, sites - 1)
    o_input = i_width * INPUTS + tl.arange(0, INPUTS)
    m_input = o_input < inputs
    p_activations += i_walker * inputs * sites
    p_source += i_walker * tl.where(s_source == 0, padded, channels * padded)
    p_to_output += i_walker * channels * sites
    gradient = tl.zeros([SITES, INPUTS], tl.float32)
    for i_channel in range(0, channels):
        b_upstream = tl.load(p_to_output + i_channel * sites + o_site, mask=m_site, other=0.0)
        for i_start in range(0, taps, TAPS):
            o_tap = i_start + tl.arange(0, TAPS)
            m_tap = (o_tap < taps) & (o_tap != taps // 2)
            p_row = p_weight + i_channel * taps * inputs
            pre = (
                pre_activations(
                    p_activations, o_near, p_row, o_tap, m_tap, sites, inputs, SITES, TAPS, INPUTS, PRECISION
                )
                + tl.load(p_bias + i_channel * taps + o_tap, mask=m_tap, other=0.0)[None, :]
            )
            b_source = seen_sources(p_source + i_channel * s_source, p_base, o_near, p_tap, o_tap, m_tap)
            b_weight = tl.load(
                p_row + o_tap[:, None] * inputs + o_input[None, :], mask=m_tap[:, None] & m_input[None, :], other=0.0
            )
            gradient += product(through_silu(pre, b_upstream[:, None] * b_source), b_weight, PRECISION)
    p_gradient += i_walker * inputs * sites
    tl.store(p_gradient + o_input[None, :] * sites + o_site[:, None], gradient, mask=m_site[:, None] & m_input[None, :])


@kernel
def parameters_gradient_kernel(
    p_to_output, p_activations, p_weight, p_bias, p_source, p_base, p_tap, p_to_weight, p_to_bias, p_to_time,
    walkers: tl.int32, chunk: tl.int32, sites: tl.int32, padded: tl.int32, channels: tl.int32, inputs: tl.int32,
    taps: tl.int32, s_source: tl.int32,
    SITES: tl.constexpr, TAPS: tl.constexpr, INPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``dA[c,j,i] = Σ_{b,p} dz a[b,i,p]``, ``db1[c,j] = Σ_{b,p} dz``, ``de[b,c,j] = Σ_p g[b,c,p] x[b,c|0,p+δ_j]``.

    ``dz = g[b,c,p] x[b,c|0,p+δ_j] silu'(z)``. One program a channel, block of taps, block of inputs and chunk of
    walkers. Shapes as in :func:`activations_gradient_kernel`; ``to_weight`` ``(chunks, channels, taps, inputs)``,
    ``to_bias`` ``(chunks, channels, taps)``, ``to_time`` ``(walkers, channels, taps)``, of which ``db2`` and ``de`` are
    the sums over walkers and channels.
    """
    widths = tl.cdiv(inputs, INPUTS)
    rows = tl.cdiv(taps, TAPS)
    i_width = tl.program_id(0) % widths
    i_row = tl.program_id(0) // widths % rows
    i_channel = tl.program_id(0) // widths // rows % channels
    i_chunk = tl.program_id(0) // widths // rows // channels
    o_tap = i_row * TAPS + tl.arange(0, TAPS)
    m_tap = (o_tap < taps) & (o_tap != taps // 2)
    o_input = i_width * INPUTS + tl.arange(0, INPUTS)
    m_input = o_input < inputs
    p_row = p_weight + i_channel * taps * inputs
    b_bias = tl.load(p_bias + i_channel * taps + o_tap, mask=m_tap, other=0.0)
    to_weight = tl.zeros([TAPS, INPUTS], tl.float32)
    to_bias = tl.zeros([TAPS], tl.float32)
    for i_walker in range(i_chunk * chunk, tl.minimum(walkers, (i_chunk + 1) * chunk)):
        i_long = tl.cast(i_walker, tl.int64)
        p_walker = p_activations + i_long * inputs * sites
        p_seen = p_source + i_long * tl.where(s_source == 0, padded, channels * padded)
        o_upstream = (i_long * channels + i_channel) * sites
        to_time = tl.zeros([TAPS], tl.float32)
        for i_start in range(0, sites, SITES):
            o_site = i_start + tl.arange(0, SITES)
            m_site = o_site < sites
            o_near = tl.minimum(o_site, sites - 1)
            pre = pre_activations(
                p_walker, o_near, p_row, o_tap, m_tap, sites, inputs, SITES, TAPS, INPUTS, PRECISION
            ) + b_bias[None, :]  # fmt: skip
            b_upstream = tl.load(p_to_output + o_upstream + o_site, mask=m_site, other=0.0)
            b_source = seen_sources(p_seen + i_channel * s_source, p_base, o_near, p_tap, o_tap, m_tap)
            to_kernel = b_upstream[:, None] * b_source
            to_pre = through_silu(pre, to_kernel)
            p_tile = p_walker + o_input[None, :] * sites + o_near[:, None]
            b_activations = tl.load(p_tile, mask=m_input[None, :], other=0.0)
            to_weight += product(tl.trans(to_pre), b_activations, PRECISION)
            to_bias += tl.sum(to_pre, 0)
            to_time += tl.sum(to_kernel, 0)
        o_time = (i_long * channels + i_channel) * taps + o_tap
        tl.store(p_to_time + o_time, to_time, mask=(o_tap < taps) & (i_width == 0))
    o_row = (i_chunk * channels + i_channel) * taps + o_tap
    tl.store(p_to_bias + o_row, to_bias, mask=(o_tap < taps) & (i_width == 0))
    m_weight = (o_tap < taps)[:, None] & m_input[None, :]
    tl.store(p_to_weight + o_row[:, None] * inputs + o_input[None, :], to_weight, mask=m_weight)


@kernel
def source_gradient_kernel(
    p_to_output, p_activations, p_weight, p_bias, p_offset, p_time, p_base, p_tap, p_gradient,
    sites: tl.int32, padded: tl.int32, channels: tl.int32, inputs: tl.int32, taps: tl.int32, s_time: tl.int32,
    ONE: tl.constexpr,
    SITES: tl.constexpr, TAPS: tl.constexpr, INPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``dx[b,c,q] = Σ_{j≠centre} g[b,c,q-δ_j] (silu(z) + b2[c,j] + e[b,j])``, ``z`` that of site ``q - δ_j``.

    One program a walker, block of sites and block of ``TAPS`` channels, over whose sum there is one number if ONE.
    Shapes as in :func:`hollow_conv_kernel`, but ``to_output`` and ``activations`` padded; ``gradient`` ``(walkers,
    channels | blocks of channels, sites)``.
    """
    widths = tl.cdiv(channels, TAPS)
    blocks = tl.cdiv(sites, SITES)
    i_width = tl.program_id(0) % widths
    i_block = tl.program_id(0) // widths % blocks
    i_walker = (tl.program_id(0) // widths // blocks).to(tl.int64)
    o_site = i_block * SITES + tl.arange(0, SITES)
    m_site = o_site < sites
    o_near = tl.minimum(o_site, sites - 1)
    o_channel = i_width * TAPS + tl.arange(0, TAPS)
    m_channel = o_channel < channels
    b_base = tl.load(p_base + o_near)
    p_activations += i_walker * inputs * padded
    p_to_output += i_walker * channels * padded
    p_time += i_walker * s_time
    gradient = tl.zeros([SITES, TAPS], tl.float32)
    for i_tap in range(0, taps):
        # The tap -δ_j has the mirrored number.
        o_there = b_base + tl.load(p_tap + taps - 1 - i_tap)
        o_row = o_channel * taps + i_tap
        m_tap = m_channel & (i_tap != taps // 2)
        pre = (
            pre_activations(
                p_activations, o_there, p_weight, o_row, m_tap, padded, inputs, SITES, TAPS, INPUTS, PRECISION
            )
            + tl.load(p_bias + o_row, mask=m_tap, other=0.0)[None, :]
        )
        shift = tl.load(p_offset + o_row, mask=m_tap, other=0.0) + tl.load(p_time + i_tap)
        p_there = p_to_output + o_channel[None, :] * padded + o_there[:, None]
        b_upstream = tl.load(p_there, mask=m_tap[None, :], other=0.0)
        gradient += (pre * sigmoid(pre) + shift[None, :]) * b_upstream
    if ONE:
        o_row = (i_walker * widths + i_width) * sites + o_site
        tl.store(p_gradient + o_row, tl.sum(gradient, 1), mask=m_site)
    else:
        p_row = p_gradient + i_walker * channels * sites
        tl.store(
            p_row + o_channel[None, :] * sites + o_site[:, None], gradient, mask=m_site[:, None] & m_channel[None, :]
        )


def _variant(function: object, pointers: str, precision: str, sites: int = SITES, **constants: bool) -> Variant:
    """Pointers as letters: f for float32, i for int32."""
    types = tuple({"f": torch.float32, "i": torch.int32}[letter] for letter in pointers)
    sizes = {"SITES": sites, "TAPS": TAPS, "INPUTS": INPUTS, "PRECISION": PRECISIONS[precision]}
    return Variant(function, types, {**constants, **sizes}, warps=8)


FORWARD = {p: _variant(hollow_conv_kernel, "ffffffiif", p) for p in PRECISIONS}
ACTIVATIONS = {p: _variant(activations_gradient_kernel, "fffffiif", p) for p in PRECISIONS}
PARAMETERS = {p: _variant(parameters_gradient_kernel, "fffffiifff", p) for p in PRECISIONS}
SOURCE = {
    (one, p): _variant(source_gradient_kernel, "ffffffiif", p, SOURCE_SITES, ONE=one)
    for one in (True, False)
    for p in PRECISIONS
}
VARIANTS: dict[tuple[str, ...], Variant] = {
    **{("forward", p): variant for p, variant in FORWARD.items()},
    **{("activations", p): variant for p, variant in ACTIVATIONS.items()},
    **{("parameters", p): variant for p, variant in PARAMETERS.items()},
    **{("source", "one" if one else "each", p): variant for (one, p), variant in SOURCE.items()},
}


@functools.lru_cache(maxsize=64)
def _addresses(shape: torch.Size, kernel_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """``base`` and ``tap``: int32, on the lattice padded by the radius."""
    base = torch.zeros([1] * len(shape), dtype=torch.int64)
    tap = torch.zeros([1] * len(shape), dtype=torch.int64)
    for axis, length in enumerate(shape):
        view = [-1 if a == axis else 1 for a in range(len(shape))]
        wide = length + 2 * (kernel_size // 2)
        base = base * wide + torch.arange(length).view(view)
        tap = tap * wide + torch.arange(kernel_size).view(view)
    return base.flatten().to(device, torch.int32), tap.flatten().to(device, torch.int32)


def _padded(values: Tensor, kernel_size: int, periodic: Sequence[bool]) -> Tensor:
    """Values with the radius of sites more on every side: the other end where periodic, 0 where open."""
    radius = kernel_size // 2
    for axis, wraps in enumerate(periodic, 2):
        length = values.shape[axis]
        if wraps:
            last, first = values.narrow(axis, length - radius, radius), values.narrow(axis, 0, radius)
        else:
            size = list(values.shape)
            size[axis] = radius
            last = first = values.new_zeros(size)
        values = torch.cat([last, values, first], axis)
    return values.contiguous()


def hollow_conv(
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    precision: str,
) -> Tensor:
    """Launcher of :func:`leaps_triton.kernels.hollow_conv`; float64 goes by the blocks of torch."""
    if source.dtype == torch.float64:
        return blocked.hollow_conv(
            activations, weight, bias, offset, time_offset, source, kernel_size, periodic, precision
        )
    channels, taps, inputs = weight.shape
    walkers, sites = len(source), source.shape[2:].numel()
    output = source.new_empty(walkers, channels, *source.shape[2:])
    padded = _padded(source, kernel_size, periodic)
    base, tap = _addresses(source.shape[2:], kernel_size, source.device)
    size = padded.shape[2:].numel()
    programs = walkers * triton.cdiv(sites, SITES) * triton.cdiv(channels, GROUP)
    launch(
        FORWARD[precision], programs, activations.contiguous(), weight.contiguous(), bias.contiguous(),
        offset.contiguous(), time_offset.contiguous(), padded, base, tap, output,
        sites, size, channels, inputs, taps, GROUP, taps * (len(time_offset) > 1), size * (source.shape[1] > 1),
    )  # fmt: skip
    return output


def hollow_conv_gradient(
    to_output: Tensor,
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    to_source: bool,
    precision: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Launcher of the gradients of :func:`hollow_conv` with respect to its six tensors."""
    if source.dtype == torch.float64:
        return blocked.hollow_conv_gradient(
            to_output, activations, weight, bias, offset, time_offset, source, kernel_size, periodic, to_source,
            precision,
        )  # fmt: skip
    channels, taps, inputs = weight.shape
    walkers, sites = len(source), source.shape[2:].numel()
    to_output, activations, weight = to_output.contiguous(), activations.contiguous(), weight.contiguous()
    bias, offset, time_offset = bias.contiguous(), offset.contiguous(), time_offset.contiguous()
    padded = _padded(source, kernel_size, periodic)
    base, tap = _addresses(source.shape[2:], kernel_size, source.device)
    size, blocks = padded.shape[2:].numel(), triton.cdiv(sites, SITES)
    s_source, s_time = size * (source.shape[1] > 1), taps * (len(time_offset) > 1)
    to_activations = torch.empty_like(activations)
    given = (to_output, activations, weight, bias, padded, base, tap)
    programs = walkers * blocks * triton.cdiv(inputs, INPUTS)
    launch(ACTIVATIONS[precision], programs, *given, to_activations, sites, size, channels, inputs, taps, s_source)

    chunk = max(1, triton.cdiv(walkers, CHUNKS))
    chunks = triton.cdiv(walkers, chunk)
    to_weight = weight.new_empty(chunks, channels, taps, inputs)
    to_bias = weight.new_empty(chunks, channels, taps)
    to_time = weight.new_empty(walkers, channels, taps)
    programs = chunks * channels * triton.cdiv(taps, TAPS) * triton.cdiv(inputs, INPUTS)
    launch(
        PARAMETERS[precision], programs, *given, to_weight, to_bias, to_time,
        walkers, chunk, sites, size, channels, inputs, taps, s_source,
    )  # fmt: skip
    by_walker = to_time.sum(1)
    of_time = by_walker.sum(0, keepdim=True) if len(time_offset) == 1 else by_walker

    of_source = source.new_empty(0, *source.shape[1:])
    if to_source:
        one, widths = source.shape[1] == 1, triton.cdiv(channels, TAPS)
        of_source = source.new_empty(walkers, widths if one else channels, *source.shape[2:])
        programs = walkers * triton.cdiv(sites, SOURCE_SITES) * widths
        launch(
            SOURCE[one, precision], programs, _padded(to_output, kernel_size, periodic),
            _padded(activations, kernel_size, periodic), weight, bias, offset, time_offset, base, tap, of_source,
            sites, size, channels, inputs, taps, s_time,
        )  # fmt: skip
        of_source = of_source.sum(1, keepdim=True) if one else of_source
    return to_activations, to_weight.sum(0), to_bias.sum(0), to_time.sum(0), of_time, of_source
