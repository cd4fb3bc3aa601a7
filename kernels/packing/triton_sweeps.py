"""The kernel of packed sweeps: logical operations on words of 32 spins.

Columns come in quads: QUAD neighbouring words of a line, which are one access to memory. A program
holds a block of quads as a tuple of QUAD blocks, one a word. Words, bits and thresholds are
numbered as in :mod:`..packed_sweeps.reference`.
"""

# Triton adds tuples, and does not unpack them; their types change as they grow.
# ruff: noqa: RUF005
# mypy: disable-error-code="assignment"

import triton
import triton.language as tl

from ..device import kernel, philox_rounds
from .triton_tables import divided

__all__ = ["sweep_kernel"]


@triton.jit
def random_words(seed, stream, site, event, draw, walker):
    """Return the four words of a counter, int32, of a key that is no constant of the compiler."""
    # Of a constant key the compiler makes sums of 64 bits, and adds nought to every product.
    nought = (site * 0).to(tl.uint32)
    word0, word1, word2, word3 = philox_rounds(
        seed.to(tl.uint32), stream.to(tl.uint32), site.to(tl.uint32),
        nought + event.to(tl.uint32), nought + draw, nought + walker.to(tl.uint32),
    )  # fmt: skip
    word0 = word0.to(tl.int32, bitcast=True)
    word1 = word1.to(tl.int32, bitcast=True)
    word2 = word2.to(tl.int32, bitcast=True)
    word3 = word3.to(tl.int32, bitcast=True)
    return word0, word1, word2, word3


@triton.jit
def load_masks(p_masks, FIRST: tl.constexpr, COUNT: tl.constexpr, CHAINS: tl.constexpr):
    """Load bits ``FIRST … FIRST + COUNT - 1`` of all thresholds, those of one bit together."""
    found = ()
    for i in tl.static_range(COUNT):
        for chain in tl.static_range(CHAINS):
            found = found + (tl.load(p_masks + chain * 32 + FIRST + i),)
    return found


@triton.jit
def load_four(p_masks, FIRST: tl.constexpr, CHAINS: tl.constexpr):
    """Load four bits of all thresholds, two at once; where nothing else hides the loads."""
    p_pairs = p_masks.to(tl.pointer_type(tl.int64))
    found = ()
    for i in tl.static_range(2):
        upper = ()
        for chain in tl.static_range(CHAINS):
            # The halves of a number of 64 bits are registers of their own.
            pair = tl.load(p_pairs + chain * 16 + FIRST // 2 + i)
            found = found + (pair.to(tl.int32),)
            upper = upper + ((pair >> 32).to(tl.int32),)
        found = found + upper
    return found


@triton.jit
def compared(word, own, bits, lower, FIRST: tl.constexpr, CHAINS: tl.constexpr, OWN: tl.constexpr):
    """Compare four bits more of a number with each threshold: where it is below.

    With OWN there are CHAINS thresholds of state 0, and as many of state 1; ``own`` chooses.
    """
    for i in tl.static_range(4):
        after = ()
        for chain in tl.static_range(CHAINS):
            if OWN:
                nought = bits[(FIRST + i) * 2 * CHAINS + chain]
                one = bits[(FIRST + i) * 2 * CHAINS + CHAINS + chain]
                bit = (own & one) | (~own & nought)
            else:
                bit = bits[(FIRST + i) * CHAINS + chain]
            # Where the bits differ the threshold's decides, else the bits before.
            less = (~word[i] & bit) | (~(word[i] ^ bit) & lower[chain])
            after = after + (less,)
        lower = after
    return lower


@triton.jit
def compare_lower(p_masks, seed, stream, event, walker, SHARED: tl.constexpr, CHAINS: tl.constexpr):
    """Compare the lower 16 bits, which all words share whose numbers agree modulo SHARED."""
    o_word = tl.arange(0, SHARED)
    found = ()
    for _ in tl.static_range(CHAINS):
        found = found + (o_word * 0,)
    for d in tl.static_range(4):
        draw = tl.full((), 4 + d, tl.uint32)
        word = random_words(seed, stream, o_word, event, draw, walker)
        bits = load_masks(p_masks, 4 * d, 4, CHAINS)
        found = compared(word, o_word, bits, found, 0, CHAINS, False)
    return found


@triton.jit
def parted(b, QUAD: tl.constexpr, ROWS: tl.constexpr):
    """Return the columns of ``[ROWS, QUAD]``."""
    if QUAD == 4:
        even, odd = tl.split(tl.reshape(b, [ROWS, 2, 2]))
        w0, w2 = tl.split(even)
        w1, w3 = tl.split(odd)
        return w0, w1, w2, w3
    elif QUAD == 2:
        return tl.split(b)
    else:
        return (tl.reshape(b, [ROWS]),)


@triton.jit
def spread(found, SHARED: tl.constexpr, QUAD: tl.constexpr, ROWS: tl.constexpr):
    """Return blocks of SHARED words as QUAD blocks of ``[ROWS]`` each that repeat them."""
    blocks = ()
    LINES: tl.constexpr = SHARED // QUAD
    for chain in tl.static_range(len(found)):
        parts = parted(tl.reshape(found[chain], [LINES, QUAD]), QUAD, LINES)
        for part in tl.static_range(QUAD):
            again = tl.broadcast_to(parts[part][None, :], [ROWS // LINES, LINES])
            blocks = blocks + (tl.reshape(again, [ROWS]),)
    return blocks


@triton.jit
def load_quads(p, o_quad, m_quad, QUAD: tl.constexpr, ROWS: tl.constexpr):
    """Load quads ``[ROWS]`` as QUAD blocks."""
    o_word = QUAD * o_quad[:, None] + tl.arange(0, QUAD)[None, :]
    return parted(tl.load(p + o_word, mask=m_quad[:, None], other=0), QUAD, ROWS)


@triton.jit
def store_quads(p, b, o_quad, m_quad, QUAD: tl.constexpr, ROWS: tl.constexpr):
    """Store quads ``[ROWS]`` from QUAD blocks."""
    if QUAD == 4:
        joined = tl.reshape(tl.join(tl.join(b[0], b[2]), tl.join(b[1], b[3])), [ROWS, 4])
    elif QUAD == 2:
        joined = tl.join(b[0], b[1])
    else:
        joined = tl.reshape(b[0], [ROWS, 1])
    o_word = QUAD * o_quad[:, None] + tl.arange(0, QUAD)[None, :]
    tl.store(p + o_word, joined, mask=m_quad[:, None])


@triton.jit
def beside(b, b_edge, m_ahead, turn, QUAD: tl.constexpr):
    """Return the spins one column ahead, or one behind, of those of a quad.

    Of two words in a line the lower half is left when both are shifted by ``turn`` bits: a word by
    0 or 32, a column of a word by 1 or 31.
    """
    found = ()
    for part in tl.static_range(QUAD):
        b_ahead = b_edge
        b_behind = b_edge
        if part + 1 < QUAD:
            b_ahead = b[part + 1]
        if part > 0:
            b_behind = b[part - 1]
        upper = tl.where(m_ahead, b_ahead, b[part]).to(tl.uint32, bitcast=True)
        lower = tl.where(m_ahead, b[part], b_behind).to(tl.uint32, bitcast=True)
        both = (upper.to(tl.uint64) << 32) | lower.to(tl.uint64)
        shifted = (both >> turn.to(tl.uint64)).to(tl.uint32)
        found = found + (shifted.to(tl.int32, bitcast=True),)
    return found


@triton.jit
def decided(n0, n1, n2, n3, own, flip, top, below, MOVE: tl.constexpr, FIELD: tl.constexpr):
    """Return the new states of a word.

    ``n0 … n3`` are the neighbours, which ``flip`` turns over; ``below`` says where the number is
    below each threshold, ``top`` is its highest bit.
    """
    if MOVE == 1:
        # Counted are neighbours that favour the own state.
        flip = ~(own ^ flip)
    # A sum of bits in binary: three of them first, whose majority is their carry.
    three = n0 ^ n1 ^ n2 ^ flip
    fourth = n3 ^ flip
    majority = (n0 & n1) | (n2 & (n0 | n1))
    carry = three & fourth
    ones = three ^ fourth
    twos = majority ^ flip ^ carry
    fours = (majority ^ flip) & carry
    if MOVE == 0 and FIELD == 0:
        # Two neighbours: a fair bit. From three on state 0 has the threshold.
        even = (twos & top) | (~twos & (fours ^ below[0]))
        after = (ones & (twos ^ below[1])) | (~ones & even)
    elif MOVE == 0:
        nought = (fours & ~below[4]) | (~fours & below[0])
        even = (twos & ~below[2]) | (~twos & nought)
        odd = (twos & ~below[3]) | (~twos & below[1])
        after = (ones & odd) | (~ones & even)
    elif FIELD == 0:
        # Up to two neighbours that favour the state hinder no move.
        three = ones & twos
        few = (three & below[0]) | (~three & below[2])
        after = own ^ ((fours & below[1]) | (~fours & few))
    else:
        nought = (fours & below[4]) | (~fours & below[0])
        even = (twos & below[2]) | (~twos & nought)
        odd = (twos & below[3]) | (~twos & below[1])
        after = own ^ ((ones & odd) | (~ones & even))
    return after


@triton.jit
def surrounding(
    p_other, p_signs, o_quad, m_quad, colour, quads, width, factor, shift, lanes,
    SIGNS: tl.constexpr, QUAD: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Load the neighbours above, below, in the pair of a site and beside it: QUAD blocks each.

    A site is turned over beyond a negative bond.
    """
    i_line = divided(o_quad, factor, shift)
    o_begin = i_line * width
    o_end = o_begin + width - 1
    o_above = o_quad - width + tl.where(i_line == 0, quads, 0)
    o_below = o_quad + width
    o_below -= tl.where(o_below >= quads, quads, 0)
    # The second site of a pair has the first one behind, and the next pair ahead.
    m_ahead = ((i_line + colour) & 1) != 0
    o_ahead = QUAD * tl.where(o_quad == o_end, o_begin, o_quad + 1)
    o_behind = QUAD * tl.where(o_quad == o_begin, o_end, o_quad - 1) + QUAD - 1
    o_edge = tl.where(m_ahead, o_ahead, o_behind)
    b_edge = tl.load(p_other + o_edge, mask=m_quad, other=0)
    b_pair = load_quads(p_other, o_quad, m_quad, QUAD, ROWS)
    found = load_quads(p_other, o_above, m_quad, QUAD, ROWS)
    found = found + load_quads(p_other, o_below, m_quad, QUAD, ROWS)
    # A column is a word, where a word has lanes of walkers, or else a bit.
    turn = tl.where(m_ahead, 32, 0)
    if lanes == 0:
        turn = tl.where(m_ahead, 1, 31)
    found = found + b_pair + beside(b_pair, b_edge, m_ahead, turn, QUAD)
    if SIGNS:
        turned = ()
        for i in tl.static_range(4):
            p_direction = p_signs + i * QUAD * quads
            signs = load_quads(p_direction, o_quad, m_quad, QUAD, ROWS)
            for part in tl.static_range(QUAD):
                turned = turned + (found[i * QUAD + part] ^ signs[part],)
        found = turned
    return found


@triton.jit
def compare_all(
    own, held, p_masks, lower, seed, stream, o_word, event, walker, part,
    RESTS: tl.constexpr, CHAINS: tl.constexpr, QUAD: tl.constexpr, HELD: tl.constexpr,
):  # fmt: skip
    """Return where a number is below each threshold, and its highest bit.

    ``lower`` holds what the lower half says, QUAD blocks for each threshold. With RESTS there is
    one threshold more, of which four bits are 0 or 1 and all below are 0.
    """
    OWN: tl.constexpr = CHAINS == 10
    COMPARED: tl.constexpr = 5 if OWN else CHAINS
    below = ()
    for chain in tl.static_range(COMPARED):
        if OWN:
            one = lower[(chain + COMPARED) * QUAD + part]
            below = below + ((own & one) | (~own & lower[chain * QUAD + part]),)
        else:
            below = below + (lower[chain * QUAD + part],)
    top = own
    for d in tl.static_range(4):
        draw = tl.full((), d, tl.uint32)
        word = random_words(seed, stream, o_word, event, draw, walker)
        if HELD:
            below = compared(word, own, held, below, 4 * d, COMPARED, OWN)
        else:
            bits = load_four(p_masks, 16 + 4 * d, CHAINS)
            below = compared(word, own, bits, below, 0, COMPARED, OWN)
        if RESTS and d == 3:
            KEPT: tl.constexpr = 16 * CHAINS if HELD else 0
            moves = (~word[0] & held[KEPT]) | (~word[1] & held[KEPT + 1])
            moves |= (~word[2] & held[KEPT + 2]) | (~word[3] & held[KEPT + 3])
            below = below + (moves,)
        top = word[3]
    return below, top


@triton.jit
def update_block(
    p_own, p_other, p_signs, p_masks, o_quad, colour, quads, width, factor, shift, lanes,
    held, lower, flip, walker, event, seed, stream,
    MOVE: tl.constexpr, FIELD: tl.constexpr, SIGNS: tl.constexpr, CHAINS: tl.constexpr,
    QUAD: tl.constexpr, ROWS: tl.constexpr, HELD: tl.constexpr,
):  # fmt: skip
    """Redraw, or move, the sites of a block of quads of one colour."""
    m_quad = o_quad < quads
    around = surrounding(
        p_other, p_signs, o_quad, m_quad, colour, quads, width, factor, shift, lanes,
        SIGNS, QUAD, ROWS,
    )  # fmt: skip
    b_own = around
    if MOVE == 1:
        b_own = load_quads(p_own, o_quad, m_quad, QUAD, ROWS)
    b_new = ()
    for part in tl.static_range(QUAD):
        below, top = compare_all(
            b_own[part], held, p_masks, lower, seed, stream, QUAD * o_quad + part, event,
            walker, part, MOVE == 1 and FIELD == 0, CHAINS, QUAD, HELD,
        )  # fmt: skip
        new = decided(
            around[part], around[QUAD + part], around[2 * QUAD + part], around[3 * QUAD + part],
            b_own[part], flip, top, below, MOVE, FIELD,
        )  # fmt: skip
        b_new = b_new + (new,)
    store_quads(p_own, b_new, o_quad, m_quad, QUAD, ROWS)


@kernel
def sweep_kernel(
    p_x, p_masks, p_signs, p_rows,
    quads: tl.int32, width: tl.int32, factor: tl.int64, shift: tl.int32, lanes: tl.int32,
    tiles: tl.int32, first_step: tl.int32, last_step: tl.int32, backward: tl.int32,
    first_sweep: tl.int64, sweeps: tl.int32, seed: tl.int64, stream: tl.int32,
    MOVE: tl.constexpr, FIELD: tl.constexpr, SIGNS: tl.constexpr, CHAINS: tl.constexpr,
    SHARED: tl.constexpr, QUAD: tl.constexpr, BLOCK: tl.constexpr, HELD: tl.constexpr,
):  # fmt: skip
    """Redraw, or move, all sites of a colour at once, colour after colour, in place.

    Heat bath (MOVE 0): state 1 where ``U < T(p_n)``, or not ``U < T(1 - p_n)``; Metropolis (1): the
    other state where ``U < T((1 - rest) min(1, e^Δ))``; ``n`` the neighbours that favour state 1,
    or the own state. Sums and comparisons are logical operations on words of 32 spins (Creutz,
    Jacobs, Rebbi, Phys. Rev. D 20, 1915, 1979; Bhanot, Duke, Salvador, J. Stat. Phys. 44, 985,
    1986). One program per row of words and tile; it goes on to other rows and blocks of quads.

    ``x`` int32 ``(rows, 2, QUAD quads)``; ``masks`` int32 ``(rows, CHAINS + 1, 32)``; ``signs``
    int32 ``(2, 4, QUAD quads)``; ``rows`` int32, whose first entry is their number. Thresholds of
    the upper 16 bits are HELD in registers, or loaded each time.
    """
    ROWS: tl.constexpr = BLOCK // QUAD
    half = QUAD * quads
    i_tile = tl.program_id(0) % tiles
    programs = tl.num_programs(0) // tiles
    for i_row in range(tl.program_id(0) // tiles, tl.load(p_rows), programs):
        p_row = p_x + i_row * (2 * half).to(tl.int64)
        p_bits = p_masks + i_row * tl.full((), 32 * (CHAINS + 1), tl.int64)
        flip = tl.load(p_bits + CHAINS * 32)
        walker = tl.load(p_bits + CHAINS * 32 + 1)
        held = ()
        if HELD:
            held = load_masks(p_bits, 16, 16, CHAINS)
        if MOVE == 1 and FIELD == 0:
            held = held + load_masks(p_bits + CHAINS * 32, 28, 4, 1)
        for i_sweep in range(sweeps):
            event = 2 * (first_sweep + i_sweep)
            low = compare_lower(p_bits, seed, stream, event, walker, SHARED, CHAINS)
            lower = spread(low, SHARED, QUAD, ROWS)
            for i_step in range(first_step, last_step):
                colour = i_step ^ backward
                p_own = p_row + colour * half
                p_other = p_row + (1 - colour) * half
                p_colour = p_signs + 4 * colour.to(tl.int64) * half
                for o_first in range(i_tile * ROWS, quads, tiles * ROWS):
                    update_block(
                        p_own, p_other, p_colour, p_bits, o_first + tl.arange(0, ROWS),
                        colour, quads, width, factor, shift, lanes, held, lower, flip, walker,
                        event + colour, seed, stream,
                        MOVE, FIELD, SIGNS, CHAINS, QUAD, ROWS, HELD,
                    )  # fmt: skip
                # The next colour reads, in other threads, what this one has written.
                tl.debug_barrier()
