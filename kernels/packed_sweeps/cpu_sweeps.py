"""Sweeps of words of 32 spins: loops that numba compiles.

A colour's words, uint32, lie in one array, with a margin of a row at either end that repeats the
row around the boundary. They are updated in blocks of :data:`BLOCK`, as many as share the lower
half of their random bits, and each loop over a block does one thing, so that the compiler makes it
one of vectors.
"""

from typing import Any, NamedTuple

import numpy as np

from ..native.compiling import compiled, inlined
from ..native.words import of_sites
from .reference import LOW, SHARED

__all__ = ["BLOCK", "Bonds", "Draws", "Room", "lower", "surround", "update"]

BLOCK = SHARED
ALL = np.uint32(0xFFFFFFFF)
NONE = np.uint32(0)
ONE = np.uint32(1)
LAST = np.uint32(31)


class Bonds(NamedTuple):
    """Holds how the words of a lattice hang together."""

    columns: int
    """Words of a row."""
    along: bool
    """Whether a word holds columns of a row, not walkers."""
    negative: Any
    """Signs of the bonds above, below, in the pair, and beside it: uint32
    ``(2, 4, words | 0)``, none where all are alike."""
    flipped: Any
    """All bits where all bonds are negative, uint32."""


class Draws(NamedTuple):
    """Holds what chooses the random words of one row of words."""

    seed: int
    stream: int
    walker: int


class Room(NamedTuple):
    """Holds memory for one block."""

    drawn: Any
    """Random words, uint32 ``(4, BLOCK)``."""
    low: Any
    """What the lower bits say of each threshold, uint32 ``(thresholds, BLOCK)``."""
    below: Any
    """Where numbers are below a threshold, uint32 ``(thresholds, BLOCK)``."""
    near: Any
    """Where the four neighbours favour state 1, uint32 ``(4, BLOCK)``."""


@inlined
def draw_words(drawn, first, count, draws, event, draw):
    """Write the four random words of some sites."""
    of_sites(drawn, first, count, draws.seed, draws.stream, draws.walker, event, draw)


@inlined
def further(below, drawn, masks, count):
    """Go on to compare with four bits more, the least first; ``masks`` are those of a threshold."""
    m0 = masks[0]
    m1 = masks[1]
    m2 = masks[2]
    m3 = masks[3]
    for k in range(count):
        found = below[k]
        differ = drawn[0, k] ^ m0
        # The higher bit decides where the two differ.
        found = (differ & m0) | ((differ ^ ALL) & found)
        differ = drawn[1, k] ^ m1
        found = (differ & m1) | ((differ ^ ALL) & found)
        differ = drawn[2, k] ^ m2
        found = (differ & m2) | ((differ ^ ALL) & found)
        differ = drawn[3, k] ^ m3
        below[k] = np.uint32((differ & m3) | ((differ ^ ALL) & found))


@inlined
def lower(room, count, masks, draws, sweep):
    """Write what the shared lower bits of a sweep say; ``masks`` uint32 ``(thresholds, 32)``."""
    for t in range(len(masks)):
        for k in range(count):
            room.low[t, k] = NONE
    for draw in range(4):
        draw_words(room.drawn, 0, count, draws, 2 * sweep, 4 + draw)
        for t in range(len(masks)):
            further(room.low[t], room.drawn, masks[t, 4 * draw :], count)


@inlined
def beside(near, others, first, count, c, bonds, all_second):
    """Write the neighbours in the next pair: behind, or ahead where a site is second in its own.

    ``others`` begins a row before the first word.
    """
    columns = bonds.columns
    before = others[columns + first - 1 :]
    after = others[columns + first + 1 :]
    here = others[columns + first :]
    second = all_second[first:]
    turn = NONE if c == 0 else ALL
    if bonds.along:
        for k in range(count):
            behind = (here[k] << ONE) | (before[k] >> LAST)
            ahead = (here[k] >> ONE) | (after[k] << LAST)
            near[k] = np.uint32(behind ^ ((behind ^ ahead) & (second[k] ^ turn)))
    else:
        for k in range(count):
            near[k] = before[k] ^ ((before[k] ^ after[k]) & (second[k] ^ turn))
    # At one end of every row the next pair is at the other end.
    for row in range(first // columns, (first + count - 1) // columns + 1):
        start = row * columns
        end = start + columns - 1
        ahead_is_next = (row + c) & 1
        k = (end if ahead_is_next else start) - first
        if 0 <= k < count:
            if ahead_is_next:
                near[k] = others[columns + start]
                if bonds.along:
                    near[k] = np.uint32((here[k] >> ONE) | (near[k] << LAST))
            else:
                near[k] = others[columns + end]
                if bonds.along:
                    near[k] = np.uint32((here[k] << ONE) | (near[k] >> LAST))


@inlined
def neighbours(near, others, first, count, c, bonds, second):
    """Write where the four neighbours of a block favour state 1."""
    columns = bonds.columns
    above = others[first:]
    here = others[columns + first :]
    below = others[2 * columns + first :]
    flipped = bonds.flipped
    beside(near[3], others, first, count, c, bonds, second)
    if bonds.negative.shape[2]:
        signs = bonds.negative[c, :, first:]
        for k in range(count):
            near[0, k] = above[k] ^ signs[0, k]
            near[1, k] = below[k] ^ signs[1, k]
            near[2, k] = here[k] ^ signs[2, k]
            near[3, k] = near[3, k] ^ signs[3, k]
    else:
        for k in range(count):
            near[0, k] = above[k] ^ flipped
            near[1, k] = below[k] ^ flipped
            near[2, k] = here[k] ^ flipped
            near[3, k] = near[3, k] ^ flipped


@inlined
def counted(a, b, c, d):
    """Return how many of four bits are set, as binary digits."""
    odd = a ^ b ^ c
    two = (a & b) | (c & (a | b))
    carry = odd & d
    return odd ^ d, two ^ carry, two & carry


@inlined
def redraw(own, room, count):
    """Draw the states of a block by the heat bath."""
    near = room.near
    below = room.below
    if len(below) == 2:
        outer = below[0]
        inner = below[1]
        # The highest bit of all is a fair coin.
        coin = room.drawn[3]
        for k in range(count):
            ones, twos, fours = counted(near[0, k], near[1, k], near[2, k], near[3, k])
            even = (twos & coin[k]) | ((twos ^ ALL) & (fours ^ outer[k]))
            own[k] = np.uint32((ones & (twos ^ inner[k])) | ((ones ^ ALL) & even))
    else:
        for k in range(count):
            ones, twos, fours = counted(near[0, k], near[1, k], near[2, k], near[3, k])
            odd = (twos & (below[3, k] ^ ALL)) | ((twos ^ ALL) & below[1, k])
            rest = (fours & (below[4, k] ^ ALL)) | ((fours ^ ALL) & below[0, k])
            even = (twos & (below[2, k] ^ ALL)) | ((twos ^ ALL) & rest)
            own[k] = np.uint32((ones & odd) | ((ones ^ ALL) & even))


@inlined
def move(own, room, count, inverted):
    """Move the states of a block that Metropolis accepts."""
    near = room.near
    below = room.below
    if len(below) == 3:
        for k in range(count):
            # Neighbours that favour the own state, or the other one if that is the better.
            turn = own[k] ^ ALL ^ inverted
            a = near[0, k] ^ turn
            ones, twos, fours = counted(a, near[1, k] ^ turn, near[2, k] ^ turn, near[3, k] ^ turn)
            three = ones & twos
            free = (three | fours) ^ ALL
            moves = (free & below[0, k]) | (three & below[1, k]) | (fours & below[2, k])
            own[k] = np.uint32(own[k] ^ moves)
    else:
        for k in range(count):
            ones, twos, fours = counted(near[0, k], near[1, k], near[2, k], near[3, k])
            up = own[k]
            down = up ^ ALL
            none = (ones | twos | fours) ^ ALL
            moves = none & ((up & below[5, k]) | (down & below[4, k]))
            moves |= (ones & (twos ^ ALL)) & ((up & below[6, k]) | (down & below[3, k]))
            moves |= (twos & (ones ^ ALL)) & ((up & below[7, k]) | (down & below[2, k]))
            moves |= (ones & twos) & ((up & below[8, k]) | (down & below[1, k]))
            moves |= fours & ((up & below[9, k]) | (down & below[0, k]))
            own[k] = np.uint32(up ^ moves)


@compiled
def update(halves, c, begin, end, bonds, second, masks, metropolis, inverted, draws, sweep, room):
    """Update words ``begin … end - 1`` of colour ``c``; ``begin`` is a multiple of the block.

    ``halves`` uint32 ``(2, words + 2 columns)``; ``masks`` uint32 ``(thresholds, 32)``, the bits of
    each threshold; ``second`` uint32 ``(words,)``, all bits where a site of colour 0 is the second
    one of its pair; ``inverted`` where β is negative, for Metropolis without tilt.
    """
    event = 2 * sweep + c
    others = halves[1 - c]
    for first in range(begin, end, BLOCK):
        count = min(BLOCK, end - first)
        for t in range(len(masks)):
            for k in range(count):
                room.below[t, k] = room.low[t, k]
        for draw in range(4):
            draw_words(room.drawn, first, count, draws, event, draw)
            for t in range(len(masks)):
                further(room.below[t], room.drawn, masks[t, LOW + 4 * draw :], count)
        neighbours(room.near, others, first, count, c, bonds, second)
        own = halves[c, bonds.columns + first : bonds.columns + first + count]
        if metropolis:
            move(own, room, count, inverted)
        else:
            redraw(own, room, count)


@inlined
def surround(half, columns):
    """Repeat the last row before the first one, and the first one after the last."""
    end = len(half) - columns
    # Loops: a slice that is assigned takes seconds to compile.
    for k in range(columns):
        half[k] = half[end - columns + k]
        half[end + k] = half[columns + k]
