"""Kernel of the op ``hollow_conv``, and what its gradient shares with it.

Sources, and in one of the kernels activations and gradients, come padded by the kernel's radius, so
that the site a tap sees is at the address ``base[site] + tap[j]`` whatever the dimension and the
boundaries. Weights of sites and taps live in registers only; the gradients make them anew. Sums
over walkers are one number a program and a second reduction, so that no order of programs enters
the results. Programs whose block reaches beyond the last site repeat that one, and what they find
there is not stored, or has an upstream gradient of 0.
"""

import functools
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton import knobs

from ..configs import Config, config
from ..device import kernel
from ..variants import Variant, check_places, launch
from . import cpu
from .reference import Convolution

__all__ = ["PRECISIONS", "VARIANTS", "hollow_conv"]

CONFIG = config("convolutions", "forward")
INTERPRETED = tl.constexpr(knobs.runtime.interpret)
PRECISIONS = {"float32": 0, "tf32": 1, "bfloat16": 2}
"""Of the factors of matrix products; sums and all else are float32."""


@triton.jit
def product(left, right, PRECISION: tl.constexpr):
    """Return the matrix product of ``left`` and ``right``, with float32 sums."""
    if PRECISION == 2:
        left = left.to(tl.bfloat16)
        right = right.to(tl.bfloat16)
        # The interpreter's product does not know this type; its values are exact in the wider one.
        result = (
            tl.dot(left.to(tl.float32), right.to(tl.float32))
            if INTERPRETED
            else tl.dot(left, right)
        )
    elif PRECISION == 1:
        result = tl.dot(left, right, input_precision="tf32")
    else:
        result = tl.dot(left, right, input_precision="ieee")
    return result


@triton.jit
def sigmoid(x):
    """Return ``1 / (1 + e^{-x})``, 0 where ``e^{-x}`` overflows."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def pre_activations(
    p_activations, o_site, p_weight, o_tap, m_tap, sites, inputs,
    SITES: tl.constexpr, TAPS: tl.constexpr, INPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return ``Σ_i a[i, site] A[tap, i]``, float32 ``[SITES, TAPS]``.

    Rows of ``a`` are ``sites`` apart, those of ``A`` ``inputs``.
    """
    total = tl.zeros([SITES, TAPS], tl.float32)
    for i_start in range(0, inputs, INPUTS):
        o_input = i_start + tl.arange(0, INPUTS)
        m_input = o_input < inputs
        p_row = p_activations + o_input[None, :] * sites + o_site[:, None]
        b_activations = tl.load(p_row, mask=m_input[None, :], other=0.0)
        b_weight = tl.load(
            p_weight + o_tap[None, :] * inputs + o_input[:, None],
            mask=m_tap[None, :] & m_input[:, None],
            other=0.0,
        )
        total += product(b_activations, b_weight, PRECISION)
    return total


@triton.jit
def seen_sources(p_source, p_base, o_site, p_tap, o_tap, m_tap):
    """Load ``x[site + δ_j]``, ``[SITES, TAPS]``, 0 for taps outside of the mask."""
    b_tap = tl.load(p_tap + o_tap, mask=m_tap, other=0)
    return tl.load(
        p_source + tl.load(p_base + o_site)[:, None] + b_tap[None, :],
        mask=m_tap[None, :],
        other=0.0,
    )


@kernel
def hollow_conv_kernel(
    p_activations, p_weight, p_bias, p_offset, p_time, p_source, p_base, p_tap, p_output,
    sites: tl.int32, padded: tl.int32, channels: tl.int32, inputs: tl.int32, taps: tl.int32,
    group: tl.int32,
    s_time: tl.int32, s_source: tl.int32,
    SITES: tl.constexpr, TAPS: tl.constexpr, INPUTS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute ``h[b,c,p] = Σ_{j≠centre} (silu(z) + b2[c,j] + e[b,j]) x[b,c|0,p+δ_j]``.

    ``z = Σ_i A[c,j,i] a[b,i,p] + b1[c,j]``.

    One program per walker, block of sites and group of channels. Holderrieth, Albergo, Jaakkola,
    *LEAPS*, arXiv:2502.10843 (2025).

    ``activations`` ``(walkers, inputs, sites)``, ``weight`` ``(channels, taps, inputs)``, ``bias``,
    ``offset`` ``(channels, taps)``, ``time`` ``(walkers | 1, taps)``, ``source`` ``(walkers,
    channels | 1, padded)``, ``output`` ``(walkers, channels, sites)``, all float32; ``base``
    ``(sites,)``, ``tap`` ``(taps,)`` int32.
    """
    groups = tl.cdiv(channels, group)
    blocks = tl.cdiv(sites, SITES)
    # Groups of channels first: programs side by side read the same activations.
    i_group = tl.program_id(0) % groups
    i_block = tl.program_id(0) // groups % blocks
    # 64 bits, since all walkers together may have more than 2³¹ activations.
    i_walker = (tl.program_id(0) // groups // blocks).to(tl.int64)
    o_site = i_block * SITES + tl.arange(0, SITES)
    m_site = o_site < sites
    # Programs beyond the last site repeat it, so that no load of theirs needs a mask.
    o_near = tl.minimum(o_site, sites - 1)
    p_activations += i_walker * inputs * sites
    p_time += i_walker * s_time
    # One channel of the source per walker where all channels share it.
    p_source += i_walker * tl.where(s_source == 0, padded, channels * padded)
    p_output += i_walker * channels * sites
    for i_channel in range(i_group * group, tl.minimum(channels, (i_group + 1) * group)):
        # A sum per tap, over the blocks of taps; the taps are added once, at the end.
        total = tl.zeros([SITES, TAPS], tl.float32)
        for i_start in range(0, taps, TAPS):
            o_tap = i_start + tl.arange(0, TAPS)
            # The centre is the middle tap: without it no result reads its own site.
            m_tap = (o_tap < taps) & (o_tap != taps // 2)
            o_row = i_channel * taps + o_tap
            pre = pre_activations(
                p_activations, o_near, p_weight + i_channel * taps * inputs, o_tap, m_tap,
                sites, inputs,
                SITES, TAPS, INPUTS, PRECISION,
            ) + tl.load(p_bias + o_row, mask=m_tap, other=0.0)[None, :]  # fmt: skip
            shift = tl.load(p_offset + o_row, mask=m_tap, other=0.0) + tl.load(
                p_time + o_tap, mask=m_tap, other=0.0
            )
            b_source = seen_sources(
                p_source + i_channel * s_source, p_base, o_near, p_tap, o_tap, m_tap
            )
            total += (pre * sigmoid(pre) + shift[None, :]) * b_source
        tl.store(p_output + i_channel * sites + o_site, tl.sum(total, 1), mask=m_site)


def variant_of(
    function: object, pointers: str, precision: str, made: Config, **constants: bool
) -> Variant:
    """Return a variant, its pointers given as letters: f for float32, i for int32."""
    types = tuple({"f": torch.float32, "i": torch.int32}[letter] for letter in pointers)
    sizes = {**made.constants, "PRECISION": PRECISIONS[precision]}
    return Variant(
        function,
        types,
        {**constants, **sizes},
        warps=made.warps,
        stages=made.stages,
        registers=made.registers,
    )


VARIANTS = {
    ("forward", p): variant_of(hollow_conv_kernel, "ffffffiif", p, CONFIG) for p in PRECISIONS
}


@functools.lru_cache(maxsize=64)
def addresses(shape: torch.Size, kernel_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return addresses of sites and steps of taps, int32, on the lattice padded by the radius.

    Site ``p + δ_j`` is at ``base[p] + tap[j]``.
    """
    base = torch.zeros([1] * len(shape), dtype=torch.int64)
    tap = torch.zeros([1] * len(shape), dtype=torch.int64)
    for axis, length in enumerate(shape):
        view = [1] * len(shape)
        view[axis] = -1
        wide = length + 2 * (kernel_size // 2)
        # Both count from the corner of the margin, so that no step is negative.
        base = base * wide + torch.arange(length).view(view)
        tap = tap * wide + torch.arange(kernel_size).view(view)
    return base.flatten().to(device, torch.int32), tap.flatten().to(device, torch.int32)


def with_margin(values: Tensor, kernel_size: int, periodic: Sequence[bool]) -> Tensor:
    """Return values with a margin of the kernel's radius on every side, contiguous.

    The margin repeats the other end where the direction is periodic and is 0 where it is open.
    """
    radius = kernel_size // 2
    for axis, wraps in enumerate(periodic, 2):
        length = values.shape[axis]
        if wraps:
            last = values.narrow(axis, length - radius, radius)
            first = values.narrow(axis, 0, radius)
        else:
            size = list(values.shape)
            size[axis] = radius
            last = first = values.new_zeros(size)
        values = torch.cat([last, values, first], axis)
    return values.contiguous()


def hollow_conv(given: Convolution) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.hollow_conv`.

    Numbers in float64 go by the blocks of torch.
    """
    if given.source.dtype == torch.float64:
        return cpu.hollow_conv(given)
    channels, taps, inputs = given.weight.shape
    check_places(weights=given.weight.numel())
    walkers = len(given.source)
    sites = given.sites
    output = given.source.new_empty(walkers, channels, *given.shape)
    margin = with_margin(given.source, given.kernel_size, given.periodic)
    base, tap = addresses(given.shape, given.kernel_size, given.source.device)
    size = margin.shape[2:].numel()
    group = CONFIG.launch["GROUP"]
    blocks = triton.cdiv(sites, CONFIG.constants["SITES"])
    programs = walkers * blocks * triton.cdiv(channels, group)
    tensors = [tensor.contiguous() for tensor in given.tensors[:5]]
    launch(
        VARIANTS["forward", given.precision], programs, *tensors, margin, base, tap, output,
        sites, size, channels, inputs, taps, group, *strides(given, taps, size),
    )  # fmt: skip
    return output


def strides(given: Convolution, taps: int, size: int) -> tuple[int, int]:
    """Return the strides of times by walker and of sources by channel, 0 where they are shared."""
    s_time = taps
    if given.one_time:
        s_time = 0
    s_source = size
    if given.one_source:
        s_source = 0
    return s_time, s_source
