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
    """Compute ``out[s] = ⊕_e w_0 ⊕ w_1 ⊕ w_2 ⊕ w_3`` of Philox4x32-10.

    The key is ``(seed, 0)``, the counter ``(s, e, 0, 0)``, and ``e`` runs to ``counters``. ``out``
    int32 ``(programs * BLOCK,)``, the words as bits. Salmon et al., SC11 (2011).
    """
    o_site = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.uint32)
    # Counter words of one block must all have its shape and type.
    zero = o_site * 0
    # Nothing but the last exclusive or is stored, so the time is that of the generator.
    total = zero
    o_event = zero
    for _ in range(counters):
        w0, w1, w2, w3 = tl.philox(seed, o_site, o_event, zero, zero)
        total ^= w0 ^ w1 ^ w2 ^ w3
        o_event += 1
    tl.store(p_out + o_site, total.to(tl.int32, bitcast=True))


def philox_words(programs: int, counters: int, seed: int, device: torch.device) -> Tensor:
    """Launch :func:`philox_kernel` and return its numbers, int32 ``(programs * BLOCK,)``.

    Args:
        programs: How many programs.
        counters: Counters of each number, of four words each.
        seed: First word of the key.
        device: A CUDA device, or any under the interpreter.
    """
    # The same bits as int32, since torch computes little in uint32.
    out = torch.empty(programs * BLOCK, dtype=torch.int32, device=device)
    philox_kernel[(programs,)](out, seed, counters, BLOCK=BLOCK, num_warps=4)
    return out
