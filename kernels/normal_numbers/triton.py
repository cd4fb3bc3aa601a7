"""Kernel of the op ``normals``."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config
from ..device import kernel, philox_rounds
from ..functions.triton import cosine, logarithm, sine
from ..variants import Variant, launch

__all__ = ["VARIANTS", "normals", "pair"]

CONFIG = config("normal_numbers")
BLOCK = CONFIG.constants["BLOCK"]


@triton.jit
def pair(radial, angular):
    """Return the two normal numbers of two words, float64, as the twin's ``_pair`` does.

    Words are uint32 blocks.
    """
    # 32 bits and a half: between 0 and 1, and neither of them.
    uniform = (radial.to(tl.int64).to(tl.float64) + 0.5) * 2.3283064365386963e-10
    radius = tl.sqrt(-2.0 * logarithm(uniform))
    # The nearest quarter turn, and what remains, between -1/8 and 1/8 of a turn.
    turned = angular.to(tl.int64) + 536870912
    quarter = (turned >> 30) & 3
    rest = (turned & 1073741823) - 536870912
    # π/2 · 2⁻³⁰ radians are a unit.
    angle = (rest.to(tl.float64) + 0.5) * 1.4629180792671596e-09
    along = cosine(angle)
    across = sine(angle)
    odd = (quarter & 1) == 1
    x = tl.where(odd, across, along)
    y = tl.where(odd, along, across)
    x = tl.where((quarter == 1) | (quarter == 2), -x, x)
    y = tl.where(quarter >= 2, -y, y)
    return radius * x, radius * y


@kernel
def normals_kernel(
    p_walker, p_out, seed: tl.int64, stream: tl.int64, event: tl.int64, draw: tl.int64,
    sites: tl.int32, chunks: tl.int32,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute normal numbers by Box and Muller, four of each counter.

    One program per walker and BLOCK counters. ``walker`` int64 ``(walkers,)``; ``out`` float32 or
    float64 ``(walkers, sites)``.
    """
    # 64 bits, since all walkers together may have more than 2³¹ sites.
    i_row = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    o_group = i_chunk * BLOCK + tl.arange(0, BLOCK)
    nought = tl.zeros([BLOCK], tl.uint32)
    walker = tl.load(p_walker + i_row).to(tl.uint32)
    word0, word1, word2, word3 = philox_rounds(
        seed.to(tl.uint32), stream.to(tl.uint32), o_group.to(tl.uint32),
        nought + event.to(tl.uint32), nought + draw.to(tl.uint32), nought + walker,
    )  # fmt: skip
    b_first, b_second = pair(word0, word1)
    b_third, b_fourth = pair(word2, word3)
    # The four of a counter lie side by side.
    b_even = tl.interleave(b_first, b_third)
    b_odd = tl.interleave(b_second, b_fourth)
    b_numbers = tl.interleave(b_even, b_odd)
    o_site = i_chunk * (4 * BLOCK) + tl.arange(0, 4 * BLOCK)
    p_row = p_out + i_row * sites
    tl.store(p_row + o_site, b_numbers.to(p_out.dtype.element_ty), mask=o_site < sites)


VARIANTS = {
    (dtype,): Variant(normals_kernel, (torch.int64, dtype), dict(CONFIG.constants), warps=CONFIG.warps)
    for dtype in (torch.float32, torch.float64)
}


def normals(
    walker_index: Tensor,
    seed: int,
    stream: int,
    event: int,
    draw: int,
    sites: int,
    dtype: torch.dtype,
) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.normals`."""
    walkers = len(walker_index)
    out = walker_index.new_empty(walkers, sites, dtype=dtype)
    chunks = triton.cdiv(sites, 4 * BLOCK)
    launch(
        VARIANTS[dtype,], walkers * chunks, walker_index.contiguous(), out, seed, stream, event,
        draw, sites, chunks,
    )  # fmt: skip
    return out
