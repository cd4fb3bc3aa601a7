"""Kernels of the gradient of ``hollow_conv``: by its activations, its parameters and its source."""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config
from ..device import kernel
from ..variants import Variant, check_places, launch
from . import cpu
from .reference import Convolution, Gradients
from .triton import (
    PRECISIONS,
    addresses,
    pre_activations,
    product,
    seen_sources,
    sigmoid,
    strides,
    variant_of,
    with_margin,
)

__all__ = ["VARIANTS", "hollow_conv_gradient"]

CONFIGS = {name: config("convolutions", name) for name in ("activations", "parameters", "source")}
CHUNKS = CONFIGS["parameters"].launch["CHUNKS"]
"""Programs among which the walkers are divided in the gradient of the parameters."""


@triton.jit
def through_silu(pre, upstream):
    """Return ``upstream · silu'(pre)``, with ``silu'(z) = σ(z) (1 + z (1 - σ(z)))``."""
    # The slope of z σ(z), by the sigmoid alone.
    share = sigmoid(pre)
    return upstream * share * (1.0 + pre * (1.0 - share))


@kernel
def activations_gradient_kernel(
    p_to_output, p_activations, p_weight, p_bias, p_source, p_base, p_tap, p_gradient,
    sites: tl.int32, padded: tl.int32, channels: tl.int32, inputs: tl.int32, taps: tl.int32,
    s_source: tl.int32,
    SITES: tl.constexpr, TAPS: tl.constexpr, INPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute ``da[b,i,p] = Σ_{c,j} g[b,c,p] x[b,c|0,p+δ_j] silu'(z) A[c,j,i]``.

    ``z = Σ_i A[c,j,i] a[b,i,p] + b1[c,j]``.

    One program per walker, block of sites and block of inputs; one function beyond 50 lines by its
    arguments alone. Shapes as in :func:`hollow_conv_kernel`; ``to_output`` ``(walkers, channels,
    sites)``, ``gradient`` as ``activations``.
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
        # Sites beyond the last have a gradient of 0 and add nothing.
        b_upstream = tl.load(p_to_output + i_channel * sites + o_site, mask=m_site, other=0.0)
        for i_start in range(0, taps, TAPS):
            o_tap = i_start + tl.arange(0, TAPS)
            m_tap = (o_tap < taps) & (o_tap != taps // 2)
            p_row = p_weight + i_channel * taps * inputs
            pre = (
                pre_activations(
                    p_activations,
                    o_near,
                    p_row,
                    o_tap,
                    m_tap,
                    sites,
                    inputs,
                    SITES,
                    TAPS,
                    INPUTS,
                    PRECISION,
                )
                + tl.load(p_bias + i_channel * taps + o_tap, mask=m_tap, other=0.0)[None, :]
            )
            b_source = seen_sources(
                p_source + i_channel * s_source, p_base, o_near, p_tap, o_tap, m_tap
            )
            b_weight = tl.load(
                p_row + o_tap[:, None] * inputs + o_input[None, :],
                mask=m_tap[:, None] & m_input[None, :],
                other=0.0,
            )
            gradient += product(
                through_silu(pre, b_upstream[:, None] * b_source), b_weight, PRECISION
            )
    p_gradient += i_walker * inputs * sites
    tl.store(
        p_gradient + o_input[None, :] * sites + o_site[:, None],
        gradient,
        mask=m_site[:, None] & m_input[None, :],
    )


@kernel
def parameters_gradient_kernel(
    p_to_output, p_activations, p_weight, p_bias, p_source, p_base, p_tap, p_to_weight, p_to_bias,
    p_to_time,
    walkers: tl.int32, chunk: tl.int32, sites: tl.int32, padded: tl.int32, channels: tl.int32,
    inputs: tl.int32,
    taps: tl.int32, s_source: tl.int32,
    SITES: tl.constexpr, TAPS: tl.constexpr, INPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute ``dA[c,j,i] = Σ_{b,p} dz a[b,i,p]``, ``db1[c,j] = Σ_{b,p} dz`` and a sum of sources.

    ``dz = g[b,c,p] x[b,c|0,p+δ_j] silu'(z)``, ``de[b,c,j] = Σ_p g[b,c,p] x[b,c|0,p+δ_j]``. One
    program per channel, block of taps, block of inputs and chunk of walkers. It is one function
    beyond 50 lines since the three sums share their terms. Shapes as in
    :func:`activations_gradient_kernel`; ``to_weight`` ``(chunks, channels, taps, inputs)``,
    ``to_bias`` ``(chunks, channels, taps)``, ``to_time`` ``(walkers, channels, taps)``, of which
    ``db2`` and ``de`` are the sums over walkers and channels.
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
        # 64 bits, since all walkers together may have more than 2³¹ activations.
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
            b_source = seen_sources(
                p_seen + i_channel * s_source, p_base, o_near, p_tap, o_tap, m_tap
            )
            to_kernel = b_upstream[:, None] * b_source
            to_pre = through_silu(pre, to_kernel)
            p_tile = p_walker + o_input[None, :] * sites + o_near[:, None]
            b_activations = tl.load(p_tile, mask=m_input[None, :], other=0.0)
            # The sum over sites is that of the matrix product.
            to_weight += product(tl.trans(to_pre), b_activations, PRECISION)
            to_bias += tl.sum(to_pre, 0)
            to_time += tl.sum(to_kernel, 0)
        # Programs of all blocks of inputs have the same sum; one of them stores it.
        o_time = (i_long * channels + i_channel) * taps + o_tap
        tl.store(p_to_time + o_time, to_time, mask=(o_tap < taps) & (i_width == 0))
    o_row = (i_chunk * channels + i_channel) * taps + o_tap
    tl.store(p_to_bias + o_row, to_bias, mask=(o_tap < taps) & (i_width == 0))
    # The centre's gradient is stored too: it is 0.
    m_weight = (o_tap < taps)[:, None] & m_input[None, :]
    tl.store(p_to_weight + o_row[:, None] * inputs + o_input[None, :], to_weight, mask=m_weight)


@kernel
def source_gradient_kernel(
    p_to_output, p_activations, p_weight, p_bias, p_offset, p_time, p_base, p_tap, p_gradient,
    sites: tl.int32, padded: tl.int32, channels: tl.int32, inputs: tl.int32, taps: tl.int32,
    s_time: tl.int32,
    ONE: tl.constexpr,
    SITES: tl.constexpr, TAPS: tl.constexpr, INPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute ``dx[b,c,q] = Σ_{j≠centre} g[b,c,q-δ_j] (silu(z) + b2[c,j] + e[b,j])``.

    ``z`` is that of site ``q - δ_j``. One program per walker, block of sites and block of ``TAPS``
    channels, whose sum is one number if ONE. It is one function beyond 50 lines by its arguments
    and its two ways to store. Shapes as in :func:`hollow_conv_kernel`, but ``to_output`` and
    ``activations`` padded; ``gradient`` ``(walkers, channels | blocks of channels, sites)``.
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
    # Activations and gradients have a margin here: sites look back to those that see them.
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
                p_activations,
                o_there,
                p_weight,
                o_row,
                m_tap,
                padded,
                inputs,
                SITES,
                TAPS,
                INPUTS,
                PRECISION,
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
            p_row + o_channel[None, :] * sites + o_site[:, None],
            gradient,
            mask=m_site[:, None] & m_channel[None, :],
        )


def _variants(precision: str) -> dict[tuple[str, ...], Variant]:
    activations = variant_of(
        activations_gradient_kernel, "fffffiif", precision, CONFIGS["activations"]
    )
    parameters = variant_of(
        parameters_gradient_kernel,
        "fffffiifff",
        precision,
        config("convolutions", "parameters", precision),
    )
    one, each = (
        variant_of(source_gradient_kernel, "ffffffiif", precision, CONFIGS["source"], ONE=one)
        for one in (True, False)
    )
    return {
        ("activations", precision): activations,
        ("parameters", precision): parameters,
        ("source", "one", precision): one,
        ("source", "each", precision): each,
    }


VARIANTS = {key: made for p in PRECISIONS for key, made in _variants(p).items()}


class _Shared(NamedTuple):
    """What the launches of one gradient share."""

    given: Convolution
    tensors: tuple[Tensor, ...]
    """Gradient of the output, activations, weight, bias, offset and time offset, contiguous."""
    margin: Tensor
    """The source with a margin."""
    base: Tensor
    tap: Tensor
    numbers: tuple[int, ...]
    """Sites, sites with margin, channels, inputs, taps."""
    s_time: int
    s_source: int

    @property
    def known(self) -> tuple[Tensor, ...]:
        """First arguments of the kernels of activations and parameters."""
        return (*self.tensors[:4], self.margin, self.base, self.tap)


def _to_activations(made: _Shared) -> Tensor:
    sizes = CONFIGS["activations"].constants
    gradient = torch.empty_like(made.tensors[1])
    sites, _, _, inputs, _ = made.numbers
    blocks = triton.cdiv(sites, sizes["SITES"]) * triton.cdiv(inputs, sizes["INPUTS"])
    variant = VARIANTS["activations", made.given.precision]
    programs = len(gradient) * blocks
    launch(variant, programs, *made.known, gradient, *made.numbers, made.s_source)
    return gradient


def _to_parameters(made: _Shared) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of weight, bias, offset and time offset."""
    sizes = CONFIGS["parameters"].constants
    weight = made.tensors[2]
    walkers = len(made.given.source)
    _, _, channels, inputs, taps = made.numbers
    # Walkers are divided among few programs, whose sums are added afterwards in one order.
    chunk = max(1, triton.cdiv(walkers, CHUNKS))
    chunks = triton.cdiv(walkers, chunk)
    to_weight = weight.new_empty(chunks, channels, taps, inputs)
    check_places(parts_of_the_gradient_of_weights=to_weight.numel())
    to_bias = weight.new_empty(chunks, channels, taps)
    to_time = weight.new_empty(walkers, channels, taps)
    blocks = triton.cdiv(taps, sizes["TAPS"]) * triton.cdiv(inputs, sizes["INPUTS"])
    launch(
        VARIANTS["parameters", made.given.precision], chunks * channels * blocks, *made.known,
        to_weight, to_bias, to_time, walkers, chunk, *made.numbers, made.s_source,
    )  # fmt: skip
    by_walker = to_time.sum(1)
    if made.given.one_time:
        by_walker = by_walker.sum(0, keepdim=True)
    return to_weight.sum(0), to_bias.sum(0), to_time.sum(0), by_walker


def _to_source(made: _Shared) -> Tensor:
    given = made.given
    sizes = CONFIGS["source"].constants
    to_output, activations, weight, bias, offset, time_offset = made.tensors
    sites, _, channels, _, _ = made.numbers
    widths = triton.cdiv(channels, sizes["TAPS"])
    kind = "each"
    rows = channels
    if given.one_source:
        kind = "one"
        rows = widths
    gradient = given.source.new_empty(len(given.source), rows, *given.shape)
    programs = len(gradient) * triton.cdiv(sites, sizes["SITES"]) * widths
    # Sites look back to those that see them, which a margin holds too.
    margins = [
        with_margin(values, given.kernel_size, given.periodic)
        for values in (to_output, activations)
    ]
    launch(
        VARIANTS["source", kind, given.precision], programs, *margins, weight, bias, offset,
        time_offset, made.base, made.tap, gradient, *made.numbers, made.s_time,
    )  # fmt: skip
    if given.one_source:
        return gradient.sum(1, keepdim=True)
    return gradient


def hollow_conv_gradient(to_output: Tensor, given: Convolution, to_source: bool) -> Gradients:
    """Launch the kernels of the gradients of ``hollow_conv`` with respect to its six tensors."""
    if given.source.dtype == torch.float64:
        return cpu.hollow_conv_gradient(to_output, given, to_source)
    channels, taps, inputs = given.weight.shape
    margin = with_margin(given.source, given.kernel_size, given.periodic)
    base, tap = addresses(given.shape, given.kernel_size, given.source.device)
    size = margin.shape[2:].numel()
    tensors = tuple(tensor.contiguous() for tensor in (to_output, *given.tensors[:5]))
    numbers = (given.sites, size, channels, inputs, taps)
    made = _Shared(given, tensors, margin, base, tap, numbers, *strides(given, taps, size))
    to_activations = _to_activations(made)
    to_weight, to_bias, to_offset, to_time = _to_parameters(made)
    of_source = given.source.new_empty(0, *given.source.shape[1:])
    if to_source:
        of_source = _to_source(made)
    return to_activations, to_weight, to_bias, to_offset, to_time, of_source
