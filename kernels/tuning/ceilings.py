"""How many integer instructions a device can do: the ceilings of all that draws random numbers.

Philox is products of 64 bits and exclusive ors. Each is done alone here, in chains that depend on
nothing but themselves.
"""

import torch
import triton.language as tl
from torch import Tensor

from ..device import kernel
from ..variants import Variant, launch

__all__ = ["INSTRUCTIONS", "VARIANTS", "instructions", "integer_words"]

BLOCK = 1024
"""Chains of one program."""
STEPS = 16
"""Steps of one turn of the loop, so that counting the turns takes little."""


@kernel
def lop3_kernel(p_out, turns: tl.int32, key: tl.int32, STEPS: tl.constexpr, BLOCK: tl.constexpr):
    """Compute ``x ← (x & y) ^ z``, ``y ← (y & z) ^ x``, ``z ← (z & x) ^ y`` in every step.

    ``out`` int32 ``(programs * BLOCK,)``.
    """
    o_out = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    b_x = o_out ^ key
    b_y = o_out * 5 + key
    b_z = o_out * 7 - key
    for _ in range(turns):
        for _ in tl.static_range(STEPS):
            # Three inputs each, so that one instruction does two operations.
            b_x = (b_x & b_y) ^ b_z
            b_y = (b_y & b_z) ^ b_x
            b_z = (b_z & b_x) ^ b_y
    tl.store(p_out + o_out, b_x ^ b_y ^ b_z)


@kernel
def wide_kernel(p_out, turns: tl.int32, key: tl.int32, STEPS: tl.constexpr, BLOCK: tl.constexpr):
    """Compute ``p ← lo(p) M + p`` in 64 bits, one instruction a step.

    ``out`` int32 ``(programs * BLOCK,)``.
    """
    o_out = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    b_p = (o_out ^ key).to(tl.uint64)
    # No constant, whose upper half the compiler would not know to be nought.
    b_m = (o_out * 0 + key).to(tl.uint32).to(tl.uint64)
    for _ in range(turns):
        for _ in tl.static_range(STEPS):
            b_p = (b_p & 0xFFFFFFFF) * b_m + b_p
    # Both halves are stored, or the compiler would leave the upper one out.
    b_x = (b_p >> 32).to(tl.uint32) ^ b_p.to(tl.uint32)
    tl.store(p_out + o_out, b_x.to(tl.int32, bitcast=True))


def _variant(function: object) -> Variant:
    return Variant(function, (torch.int32,), {"STEPS": STEPS, "BLOCK": BLOCK}, warps=4)


VARIANTS = {"lop3": _variant(lop3_kernel), "imad_wide": _variant(wide_kernel)}
INSTRUCTIONS = {"lop3": 4.5, "imad_wide": 1.0}
"""Instructions of one step of each kernel, read off the machine code for sm_90."""


def integer_words(name: str, programs: int, turns: int, device: torch.device) -> Tensor:
    """Launch a kernel of :data:`VARIANTS`, and return its numbers, int32 ``(programs * BLOCK,)``.

    Args:
        name: Of the kernel.
        programs: How many programs.
        turns: Turns of its loop.
        device: A CUDA device, or any under the interpreter.
    """
    out = torch.empty(programs * BLOCK, dtype=torch.int32, device=device)
    launch(VARIANTS[name], programs, out, turns, 0x5BD1E995)
    return out


def instructions(name: str, programs: int, turns: int) -> float:
    """Return how many instructions a launch does, those of all threads and chains."""
    return programs * BLOCK * turns * STEPS * INSTRUCTIONS[name]
