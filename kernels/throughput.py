"""How fast a device makes random numbers: the ceiling that benchmarks compare with."""

import torch
import triton.language as tl
from torch import Tensor

from .device import kernel, philox
from .variants import Variant, launch

__all__ = ["BLOCK", "VARIANT", "philox_kernel", "philox_words"]

BLOCK = 1024
"""Counters that a program treats at once."""


@kernel
def philox_kernel(p_out, seed: tl.int64, counters: tl.int32, BLOCK: tl.constexpr):
    """Compute ``out[s] = ⊕_e w_0 ⊕ w_1 ⊕ w_2 ⊕ w_3`` of Philox4x32-10.

    The key is ``(seed, 0)``, the counter ``(s, e, 0, 0)``, and ``e`` runs to ``counters``. ``out``
    int32 ``(programs * BLOCK,)``, the words as bits. Salmon et al., SC11 (2011).
    """
    o_site = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.uint32)
    nought = tl.full((), 0, tl.uint32)
    # Nothing but the last exclusive or is stored, so the time is that of the generator.
    total = o_site * 0
    event = nought
    for _ in range(counters):
        word0, word1, word2, word3 = philox(seed, 0, o_site, event, nought, nought)
        total ^= word0 ^ word1 ^ word2 ^ word3
        event += 1
    tl.store(p_out + o_site, total.to(tl.int32, bitcast=True))


VARIANT = Variant(philox_kernel, (torch.int32,), {"BLOCK": BLOCK}, warps=4)
"""The form that is launched."""


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
    launch(VARIANT, programs, out, seed, counters)
    return out
