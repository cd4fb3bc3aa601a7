"""Kernels of sweeps of lattices of three directions that no program holds: a launch for a colour.

States lie in words of eight sites from the first sweep to the last; one kernel makes them from
bytes and another bytes from them.
"""

import triton.language as tl

from ..device import kernel
from .words import gathered, scattered, updated, ways_of, words_of

__all__ = ["bytes_kernel", "colour_kernel", "words_kernel"]


@kernel
def words_kernel(p_before, p_states, count: tl.int64, BLOCK: tl.constexpr):
    """Write words of eight states, four bits each.

    ``before`` int64 ``(count,)``, eight bytes each; ``states`` int32 ``(count,)``. One program per
    block.
    """
    o_word = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    m_word = o_word < count
    b_states = gathered(tl.load(p_before + o_word, mask=m_word, other=0))
    tl.store(p_states + o_word, b_states.to(tl.int32, bitcast=True), mask=m_word)


@kernel
def bytes_kernel(p_states, p_after, count: tl.int64, BLOCK: tl.constexpr):
    """Write bytes from words of eight states: the inverse of :func:`words_kernel`."""
    o_word = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    m_word = o_word < count
    b_states = tl.load(p_states + o_word, mask=m_word, other=0).to(tl.uint32, bitcast=True)
    tl.store(p_after + o_word, scattered(b_states), mask=m_word)


@kernel
def colour_kernel(
    p_states, p_thresholds, p_colours, p_walkers,
    groups: tl.int32, blocks: tl.int32, n1: tl.int32, n2: tl.int32, n3: tl.int32,
    s_thresholds: tl.int32, colour: tl.int32, event: tl.int64, seed: tl.int64,
    STREAM: tl.constexpr, OP: tl.constexpr, NDIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Update all sites of a colour at once, in place; see :func:`.triton.byte_sweep_kernel`.

    ``states`` int32 ``(walkers, groups)``, with ``(n1, n2, n3)`` groups of eight sites; all else as
    there. One program per walker and block of groups. A word holds sites of both colours, and
    programs read and write words at once: they read sites of the other colour, which stay.
    """
    i_program = tl.program_id(0).to(tl.uint32)
    i_walker = i_program // blocks.to(tl.uint32)
    i_block = (i_program - i_walker * blocks.to(tl.uint32)).to(tl.int32)
    i_walker = i_walker.to(tl.int64)
    o_group = i_block * BLOCK + tl.arange(0, BLOCK)
    m_group = o_group < groups
    ways, _ = ways_of(o_group, n1, n2, n3, NDIM)
    p_states += i_walker * groups
    p_thresholds += i_walker * s_thresholds
    walker = tl.load(p_walkers + i_walker)
    b_first = tl.load(p_colours + 8 * o_group.to(tl.int64), mask=m_group, other=0).to(tl.uint32)
    b_odd = b_first ^ colour.to(tl.uint32)
    b_states = tl.load(p_states + o_group, mask=m_group, other=0).to(tl.uint32, bitcast=True)
    words = words_of(seed, STREAM, OP, o_group, event, walker)
    b_states = updated(p_states, p_thresholds, b_states, b_odd, words, ways, m_group, OP, NDIM)
    tl.store(p_states + o_group, b_states.to(tl.int32, bitcast=True), mask=m_group)
