"""How fast a device makes random numbers: the ceiling that benchmarks compare with."""

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["BLOCK", "philox_kernel", "philox_words"]

BLOCK = 1024
"""Counters that a program treats at once."""


@triton.jit
def philox_kernel(p_out, seed, counters, BLOCK: tl.constexpr):
    """``out[s] = ⊕_e w_0 ⊕ w_1 ⊕ w_2 ⊕ w_3`` of Philox4x32-10, key ``(seed, 0)``.

    Counter ``(s, e, 0, 0)``.

    ``e`` runs to ``counters``. ``out`` int32 ``(programs * BLOCK,)``, the words as bits. Nothing
    but the last exclusive or is stored, so the time is that of the generator.
    """
    o_site = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.uint32)
    zero = o_site * 0
    total = zero
    o_event = zero
    for _ in range(counters):
        w0, w1, w2, w3 = tl.philox(seed, o_site, o_event, zero, zero)
        total ^= w0 ^ w1 ^ w2 ^ w3
        o_event += 1
    tl.store(p_out + o_site, total.to(tl.int32, bitcast=True))


def philox_words(programs: int, counters: int, seed: int, device: torch.device) -> Tensor:
    """Launch the kernel of :func:`philox_kernel`.

    Int32 ``(programs * BLOCK,)`` from ``4 * counters`` words each.
    """
    out = torch.empty(programs * BLOCK, dtype=torch.int32, device=device)
    philox_kernel[(programs,)](out, seed, counters, BLOCK=BLOCK, num_warps=4)
    return out
