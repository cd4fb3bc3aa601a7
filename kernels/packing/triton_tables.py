"""What packed sweeps read beside the spins: rows of walkers, bits of thresholds, signs of bonds."""

import triton
import triton.language as tl

from ..device import kernel
from ..functions.triton import exponential64

__all__ = ["divided", "reciprocal", "rows_kernel", "signs_kernel", "thresholds_kernel"]


def reciprocal(divisor: int) -> tuple[int, int]:
    """Return the factor and the shift by which :func:`divided` divides.

    References:
        Granlund, Montgomery, *Division by invariant integers using multiplication*, PLDI (1994).
    """
    shift = (divisor - 1).bit_length()
    # Rounded up, and below 2³², since the divisor is above 2^(shift - 1).
    factor = ((1 << (31 + shift)) + divisor - 1) // divisor
    return factor, shift


@triton.jit
def divided(x, factor, shift):
    """Return ``x // divisor``, int32, of ``x`` below 2³⁰, from its :func:`reciprocal`."""
    # Twice x, so that the upper half of the product is all that is shifted.
    product = (2 * x).to(tl.uint32).to(tl.uint64) * factor.to(tl.uint64)
    return (product >> 32).to(tl.int32) >> shift


@kernel
def rows_kernel(
    p_walkers, p_rows, walkers: tl.int32, lanes: tl.int32, BLOCK: tl.constexpr
):  # fmt: skip
    """Find runs of walkers of one group, ``walker >> lanes``; one program.

    ``walkers`` int64 ``(walkers,)``. ``rows`` int32 ``(walkers + 2,)``: how many runs there are,
    the first walker of each, and the number of walkers. A run has up to 32, all in lanes of their
    own. A group that stands in two places is two rows, which draw the same random words.
    """
    count = tl.zeros([], tl.int32)
    for first in range(0, walkers, BLOCK):
        o = first + tl.arange(0, BLOCK)
        m = o < walkers
        group = tl.load(p_walkers + o, mask=m, other=0) >> lanes
        before = tl.load(p_walkers + o - 1, mask=m & (o > 0), other=0) >> lanes
        # Without lanes each walker has a row, even beside one of the same index.
        begins = m & ((o == 0) | (lanes == 0) | (group != before))
        number = count + tl.cumsum(begins.to(tl.int32), 0)
        # Numbered from 1: the first entry is the number of all.
        tl.store(p_rows + number, o, mask=begins)
        count += tl.sum(begins.to(tl.int32), 0)
    tl.store(p_rows, count)
    tl.store(p_rows + 1 + count, walkers)


@triton.jit
def probability(
    chain, beta, strength, tilt, rest, MOVE: tl.constexpr, FIELD: tl.constexpr
):  # fmt: skip
    """Return the probability behind threshold ``chain``, float64; see :mod:`..reference`."""
    if MOVE == 0:
        # The field of state 1 where so many neighbours favour it.
        field = strength * (2 * chain - 4).to(tl.float64) + tilt
        # From three on the complement has a threshold, of which no digit is lost.
        exponent = tl.where(chain < 2, beta * -field, beta * field)
        found = 1.0 / (1.0 + exponential64(exponent))
    else:
        if FIELD:
            favouring = chain % 5
            # Five of state 0, which has the field against it, then five of state 1.
            side = tl.where(chain < 5, -tilt, tilt)
            field = strength * (2 * favouring - 4).to(tl.float64) + side
            exponent = beta * -field
        else:
            # Three or four neighbours that favour the state. Where β a < 0 those that do not are
            # counted: the sign is flipped.
            exponent = -tl.abs(beta * (strength * (2 * chain + 2).to(tl.float64)))
        exponent = tl.where(exponent > 0.0, 0.0, exponent)
        found = (1.0 - rest) * exponential64(exponent)
    return found


@kernel
def thresholds_kernel(
    p_beta, p_masks, p_negative, p_rows, p_walkers,
    s_beta: tl.int32, lanes: tl.int32, uniform: tl.int32,
    strength: tl.float64, tilt: tl.float64, rest: tl.float64,
    MOVE: tl.constexpr, FIELD: tl.constexpr, CHAINS: tl.constexpr,
):  # fmt: skip
    """Write the bits of ``T(p) = min(round(2³² p), 2³² - 1)`` of the walkers of each row.

    ``masks`` int32 ``(rows, CHAINS + 1, 32)``: bit ``l`` of ``masks[r, t, i]`` is bit ``i`` of the
    threshold ``t`` of the walker in lane ``l``; with ``lanes = 0`` a row is one walker, whose bits
    stand in all lanes. ``beta`` float64 ``(1 | walkers,)``; ``negative`` int8, read if ``uniform``.

    ``masks[r, CHAINS]`` begins with the lanes in which neighbours count as turned over: all if the
    one bond of a uniform model is negative, and for Metropolis without field those of ``β a < 0``.
    Then comes what random words count as the walker. The last four are, for Metropolis without
    field, those bits of ``T(1 - rest)``, which has no others.
    """
    o_bit = tl.arange(0, 32)
    for i_row in range(tl.program_id(0), tl.load(p_rows), tl.num_programs(0)):
        first = tl.load(p_rows + 1 + i_row)
        o_walker = first + tl.arange(0, 32)
        m_walker = o_walker < tl.load(p_rows + 2 + i_row)
        b_lane = (tl.load(p_walkers + o_walker, mask=m_walker, other=0) & 31).to(tl.int32)
        b_beta = tl.load(p_beta + o_walker * s_beta, mask=m_walker, other=0.0)
        # The number -1 has all bits.
        b_lane = tl.where(lanes == 0, -1, 1 << b_lane)
        b_lane = tl.where(m_walker, b_lane, 0)
        p_row = p_masks + i_row * tl.full((), 32 * (CHAINS + 1), tl.int64)
        for chain in range(CHAINS):
            # A number of the interpreter's is no tensor.
            number = tl.zeros([], tl.int32) + chain
            b_probability = probability(number, b_beta, strength, tilt, rest, MOVE, FIELD)
            # Between 0 and 2³² a sum with 2⁵² has no binary places: the nearest integer is left.
            b_rounded = (b_probability * 4294967296.0 + 4503599627370496.0) - 4503599627370496.0
            b_threshold = b_rounded.to(tl.int64)
            # Of 2³² itself, which has no bit among the 32, one is taken off.
            b_threshold -= b_threshold >> 32
            b_set = (b_threshold[:, None] >> o_bit[None, :].to(tl.int64)) & 1
            # Lanes are distinct, so that a sum carries nothing.
            b_mask = tl.sum(b_set.to(tl.int32) * b_lane[:, None], 0)
            tl.store(p_row + 32 * chain + o_bit, b_mask)
        flip = tl.load(p_negative).to(tl.int32) * uniform
        b_flip = tl.zeros([32], tl.int32) + flip
        if MOVE == 1 and not FIELD:
            b_flip ^= (b_beta * strength < 0.0).to(tl.int32)
        tl.store(p_row + 32 * CHAINS, tl.sum(b_flip * b_lane, 0))
        b_keep = tl.zeros([32], tl.float64) + (1.0 - rest) * 4294967296.0
        b_kept = b_keep.to(tl.int64) >> o_bit
        tl.store(p_row + 32 * CHAINS + o_bit, -(b_kept & 1).to(tl.int32), mask=o_bit >= 28)
        # Its lower 32 bits count.
        tl.store(p_row + 32 * CHAINS + 1, (tl.load(p_walkers + first) >> lanes).to(tl.int32))


@kernel
def signs_kernel(
    p_negative, p_signs,
    words: tl.int32, length: tl.int32, width: tl.int32, factor: tl.int64, shift: tl.int32,
    BITS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the signs of the bonds of each site as words.

    ``negative`` int8 ``(2, length, width)``; ``signs`` int32 ``(2, 4, words)``, by colour and, of
    each colour, the bonds above, below, in the pair of a site and beside it. Words hold BITS = 32
    columns, or one in all lanes.
    """
    o_word = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    m_word = o_word < words
    o_line = divided(o_word, factor, shift)
    columns = width // (2 * BITS)
    o_bit = tl.arange(0, BITS)
    o_column = (BITS * (o_word - o_line * columns))[:, None] + o_bit[None, :]
    o_line = o_line[:, None]
    m = m_word[:, None]
    b_bit = 1 << o_bit[None, :]
    if BITS == 1:
        # The number -1 has all bits.
        b_bit = o_bit[None, :] - 1
    p_ahead = p_negative + length * width
    o_above = tl.where(o_line == 0, length, o_line) - 1
    for colour in tl.static_range(2):
        m_second = ((o_line + colour) & 1) != 0
        o_place = 2 * o_column + m_second.to(tl.int32)
        o_behind = tl.where(o_place == 0, width, o_place) - 1
        above = tl.load(p_negative + o_above * width + o_place, mask=m, other=0)
        below = tl.load(p_negative + o_line * width + o_place, mask=m, other=0)
        behind = tl.load(p_ahead + o_line * width + o_behind, mask=m, other=0)
        ahead = tl.load(p_ahead + o_line * width + o_place, mask=m, other=0)
        # The second site of a pair has the first one behind.
        within = tl.where(m_second, behind, ahead)
        beside = tl.where(m_second, ahead, behind)
        p_colour = p_signs + 4 * colour * words.to(tl.int64) + o_word
        tl.store(p_colour, tl.sum(above.to(tl.int32) * b_bit, 1), mask=m_word)
        p_colour += words
        tl.store(p_colour, tl.sum(below.to(tl.int32) * b_bit, 1), mask=m_word)
        p_colour += words
        tl.store(p_colour, tl.sum(within.to(tl.int32) * b_bit, 1), mask=m_word)
        p_colour += words
        tl.store(p_colour, tl.sum(beside.to(tl.int32) * b_bit, 1), mask=m_word)
