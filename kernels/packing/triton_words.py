"""Spins of one byte each, packed into words of 32 and unpacked; see :mod:`..packed_sweeps.layouts`.

Bytes are read and written as int32, four sites at once: two pairs, each of a site of either colour.
In odd lines the first site of a pair has colour 1.
"""

import triton
import triton.language as tl

from ..device import kernel
from .triton_tables import divided

__all__ = [
    "pack_columns_kernel", "pack_walkers_kernel", "unpack_columns_kernel",
    "unpack_walkers_kernel",
]  # fmt: skip


@triton.jit
def swapped(first, second, o_pair, factor, shift):
    """Return the two sites of a pair by their place, from those by colour, or the reverse."""
    m_odd = (divided(o_pair, factor, shift) & 1) != 0
    return tl.where(m_odd, second, first), tl.where(m_odd, first, second)


@kernel
def pack_walkers_kernel(
    p_x, p_words, p_rows, p_walkers,
    quarters: tl.int32, factor: tl.int64, shift: tl.int32, tiles: tl.int32,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Write ``words`` int32 ``(rows, 2, 2 quarters)``, a word one site of the walkers of a row.

    ``x`` int32 ``(walkers, quarters)``, four sites each. One program per block of quarters, and
    one row after another.
    """
    o_quarter = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    m_quarter = o_quarter < quarters
    programs = tl.num_programs(0) // tiles
    for i_row in range(tl.program_id(0) // tiles, tl.load(p_rows), programs):
        first = tl.load(p_rows + 1 + i_row)
        last = tl.load(p_rows + 2 + i_row)
        w0 = tl.zeros([BLOCK], tl.int32)
        w1 = tl.zeros([BLOCK], tl.int32)
        w2 = tl.zeros([BLOCK], tl.int32)
        w3 = tl.zeros([BLOCK], tl.int32)
        # Unrolled, so that the loads of all walkers are under way at once.
        for i in tl.static_range(32):
            walker = first + i
            lane = (tl.load(p_walkers + walker, mask=walker < last, other=0) & 31).to(tl.int32)
            p_walker = p_x + walker.to(tl.int64) * quarters
            four = tl.load(p_walker + o_quarter, mask=m_quarter & (walker < last), other=0)
            w0 |= (four & 1) << lane
            w1 |= ((four >> 8) & 1) << lane
            w2 |= ((four >> 16) & 1) << lane
            w3 |= ((four >> 24) & 1) << lane
        a0, b0 = swapped(w0, w1, 2 * o_quarter, factor, shift)
        a1, b1 = swapped(w2, w3, 2 * o_quarter + 1, factor, shift)
        p_row = p_words + i_row * (4 * quarters).to(tl.int64)
        o_pair = 2 * o_quarter[:, None] + tl.arange(0, 2)[None, :]
        tl.store(p_row + o_pair, tl.join(a0, a1), mask=m_quarter[:, None])
        p_row += 2 * quarters
        tl.store(p_row + o_pair, tl.join(b0, b1), mask=m_quarter[:, None])


@kernel
def unpack_walkers_kernel(
    p_words, p_x, p_rows, p_walkers,
    quarters: tl.int32, factor: tl.int64, shift: tl.int32, tiles: tl.int32,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Write ``x`` from ``words``: the inverse of :func:`pack_walkers_kernel`."""
    o_quarter = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    m_quarter = o_quarter < quarters
    programs = tl.num_programs(0) // tiles
    for i_row in range(tl.program_id(0) // tiles, tl.load(p_rows), programs):
        first = tl.load(p_rows + 1 + i_row)
        last = tl.load(p_rows + 2 + i_row)
        p_row = p_words + i_row * (4 * quarters).to(tl.int64)
        o_pair = 2 * o_quarter[:, None] + tl.arange(0, 2)[None, :]
        a0, a1 = tl.split(tl.load(p_row + o_pair, mask=m_quarter[:, None], other=0))
        p_row += 2 * quarters
        b0, b1 = tl.split(tl.load(p_row + o_pair, mask=m_quarter[:, None], other=0))
        w0, w1 = swapped(a0, b0, 2 * o_quarter, factor, shift)
        w2, w3 = swapped(a1, b1, 2 * o_quarter + 1, factor, shift)
        for i in tl.static_range(32):
            walker = first + i
            lane = (tl.load(p_walkers + walker, mask=walker < last, other=0) & 31).to(tl.int32)
            four = ((w0 >> lane) & 1) | (((w1 >> lane) & 1) << 8)
            four |= (((w2 >> lane) & 1) << 16) | (((w3 >> lane) & 1) << 24)
            p_walker = p_x + walker.to(tl.int64) * quarters
            tl.store(p_walker + o_quarter, four, mask=m_quarter & (walker < last))


@kernel
def pack_columns_kernel(
    p_x, p_words,
    words: tl.int32, factor: tl.int64, shift: tl.int32, tiles: tl.int32,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Write ``words`` int32 ``(walkers, 2, words)``, a word 32 columns of a line and colour.

    ``x`` int32 ``(walkers, 16 words)``, four sites each. One program per walker and block of words.
    """
    i_walker = (tl.program_id(0) // tiles).to(tl.int64)
    o_word = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    m_word = o_word < words
    o_four = tl.arange(0, 16)[None, :]
    p_walker = p_x + i_walker * 16 * words
    four = tl.load(p_walker + 16 * o_word[:, None] + o_four, mask=m_word[:, None], other=0)
    # Two of four sites are the first ones of their pairs, and neighbouring bits of one word.
    first = ((four & 1) | ((four >> 15) & 2)) << (2 * o_four)
    second = (((four >> 8) & 1) | ((four >> 23) & 2)) << (2 * o_four)
    # No two share a bit, so that a sum carries nothing.
    a, b = swapped(tl.sum(first, 1), tl.sum(second, 1), o_word, factor, shift)
    p_walker = p_words + i_walker * 2 * words
    tl.store(p_walker + o_word, a, mask=m_word)
    tl.store(p_walker + words + o_word, b, mask=m_word)


@kernel
def unpack_columns_kernel(
    p_words, p_x,
    words: tl.int32, factor: tl.int64, shift: tl.int32, tiles: tl.int32,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Write ``x`` from ``words``: the inverse of :func:`pack_columns_kernel`."""
    i_walker = (tl.program_id(0) // tiles).to(tl.int64)
    o_word = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    m_word = o_word < words
    p_walker = p_words + i_walker * 2 * words
    a = tl.load(p_walker + o_word, mask=m_word, other=0)
    b = tl.load(p_walker + words + o_word, mask=m_word, other=0)
    first, second = swapped(a, b, o_word, factor, shift)
    o_four = tl.arange(0, 16)[None, :]
    first = first[:, None] >> (2 * o_four)
    second = second[:, None] >> (2 * o_four)
    four = (first & 1) | ((second & 1) << 8) | ((first & 2) << 15) | ((second & 2) << 23)
    p_walker = p_x + i_walker * 16 * words
    tl.store(p_walker + 16 * o_word[:, None] + o_four, four, mask=m_word[:, None])
