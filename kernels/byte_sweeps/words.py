"""Device functions of sweeps of two states: eight sites of a row in one word, four bits each.

A thread has eight sites, shifted words bring all their neighbours to the same places, and the
states of a site's neighbours side by side are the number of its threshold. Two counters of random
words serve the sites of both colours.
"""

import triton
import triton.language as tl

from ..device import philox

__all__ = ["gathered", "scattered", "updated", "ways_of", "words_of"]


@triton.jit
def gathered(b_bytes):
    """Return words of eight states, four bits each, from numbers of eight bytes, uint32."""
    b_low = b_bytes.to(tl.uint32)
    b_high = (b_bytes >> 32).to(tl.uint32)
    # Each byte of an odd place joins the one before, then each pair the pair before.
    b_low = (b_low | (b_low >> 4)) & 0x00110011
    b_high = (b_high | (b_high >> 4)) & 0x00110011
    b_low = (b_low | (b_low >> 8)) & 0x1111
    b_high = (b_high | (b_high >> 8)) & 0x1111
    return b_low | (b_high << 16)


@triton.jit
def scattered(b_states):
    """Return numbers of eight bytes from words of eight states: the inverse of ``gathered``."""
    b_low = b_states & 0xFFFF
    b_high = b_states >> 16
    b_low = (b_low | (b_low << 8)) & 0x00110011
    b_high = (b_high | (b_high << 8)) & 0x00110011
    b_low = (b_low | (b_low << 4)) & 0x01010101
    b_high = (b_high | (b_high << 4)) & 0x01010101
    return b_low.to(tl.int64) | (b_high.to(tl.int64) << 32)


@triton.jit
def ways_of(o_group, n1, n2, n3, NDIM: tl.constexpr):
    """Return the groups ahead and behind, and the places, in each direction, int32 ``[groups]``.

    As in :func:`..device.neighbours`, all directions wrap; coordinates are made once.
    """
    ways = ()
    places = ()
    o_rest = o_group
    stride = tl.full((), 1, tl.int32)
    # From the last direction to the first.
    for axis in tl.static_range(NDIM):
        length = n3
        if axis == 1:
            length = n2
        if axis == 2:
            length = n1
        o_place = o_rest
        if axis < NDIM - 1:
            # Divisions of unsigned numbers are the shorter ones.
            o_above = (o_rest.to(tl.uint32) // length.to(tl.uint32)).to(tl.int32)
            o_place = o_rest - o_above * length
            o_rest = o_above
        jump = stride - stride * length
        ahead = o_group + tl.where(o_place == length - 1, jump, stride)
        behind = o_group - tl.where(o_place == 0, jump, stride)
        # Triton adds tuples and does not unpack them.
        ways = (ahead, behind) + ways  # type: ignore[assignment]  # noqa: RUF005
        places = (o_place,) + places  # type: ignore[assignment]  # noqa: RUF005
        stride = stride * length
    return ways, places


@triton.jit
def surroundings(p_states, b_states, ways, m_group, NDIM: tl.constexpr):
    """Return the states of all neighbours as bits in the places of sites, uint32 ``[groups]``.

    A place has four bits: those of two directions in the first word, ahead and behind of each, and
    of a third one in the second word.
    """
    b_near = tl.zeros_like(b_states)
    b_more = tl.zeros_like(b_states)
    for axis in tl.static_range(NDIM):
        b_ahead = tl.load(p_states + ways[2 * axis], mask=m_group, other=0)
        b_behind = tl.load(p_states + ways[2 * axis + 1], mask=m_group, other=0)
        b_ahead = b_ahead.to(tl.uint32, bitcast=True)
        b_behind = b_behind.to(tl.uint32, bitcast=True)
        if axis == NDIM - 1:
            # Along the row sites move by one place, and one comes from the next word.
            b_ahead = (b_states >> 4) | (b_ahead << 28)
            b_behind = (b_states << 4) | (b_behind >> 28)
        if axis < 2:
            b_near += (b_ahead << (2 * axis)) + (b_behind << (2 * axis + 1))
        else:
            b_more += b_ahead + (b_behind << 1)
    return b_near, b_more


@triton.jit
def words_of(seed, STREAM: tl.constexpr, OP: tl.constexpr, o_place, event, walker):
    """Draw the words of eight sites each, uint32: word ``i % 4`` of counter ``i // 4``."""
    # Metropolis accepts by the second draw; the first would choose among several states.
    draw = tl.full((), OP, tl.uint32)
    first = philox(seed, STREAM, 2 * o_place, event, draw, walker)
    second = philox(seed, STREAM, 2 * o_place + 1, event, draw, walker)
    return first + second


@triton.jit
def updated(
    p_states, p_thresholds, b_states, b_odd, words, ways, m_group,
    OP: tl.constexpr, NDIM: tl.constexpr,
):  # fmt: skip
    """Return the states after an update of one colour, uint32 ``[groups]``.

    Its sites have odd places in a word where ``odd`` is 1, even ones where it is 0. What another
    thread writes meanwhile are sites of this colour: those that are read stay.
    """
    b_shift = 4 * b_odd
    b_near, b_more = surroundings(p_states, b_states, ways, m_group, NDIM)
    if OP == 1:
        # The site's own state comes after those of its neighbours.
        b_more += b_states << (2 * NDIM - 4)
    # Every second place has eight bits now.
    b_near = (b_near >> b_shift) & 0x0F0F0F0F
    if 2 * NDIM + OP > 4:
        b_near |= ((b_more >> b_shift) & 0x0F0F0F0F) << 4
    b_turns = tl.zeros_like(b_states)
    for i in tl.static_range(4):
        b_number = ((b_near >> (8 * i)) & 0xFF).to(tl.int32)
        b_threshold = tl.load(p_thresholds + b_number)
        b_word = tl.where(b_odd != 0, words[2 * i + 1], words[2 * i])
        # The sign is set where the upper 23 bits are below the threshold.
        b_sign = ((b_word >> 9) + b_threshold.to(tl.uint32, bitcast=True)) >> 31
        b_turns |= b_sign << (8 * i)
    if OP == 0:
        # State 0 below the threshold; the other places stay.
        b_drawn = (b_turns ^ 0x01010101) << b_shift
        b_states = (b_states & (tl.full((), 0x10101010, tl.uint32) >> b_shift)) | b_drawn
    else:
        b_states ^= b_turns << b_shift
    return b_states
