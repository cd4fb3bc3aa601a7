"""Spins in and out of words, for both layouts: loops that numba compiles.

Configurations are bytes, 0 or 1. Bytes of eight walkers become one byte of bits and four of those
one word; eight sites of a row become four bits of either colour.
"""

import numpy as np

from ..native.compiling import compiled, inlined

__all__ = ["pack_rows", "pack_walkers", "unpack_rows", "unpack_walkers"]

CHUNK = 4096
"""Sites that are packed at once, about; they stay near the processor."""
OCTET = 8
OCTETS = 4
ONE = np.uint8(1)
NO_BITS = np.uint8(0)
NONE = np.uint32(0)
# Every second byte of eight, then what is left of them in pairs, and in fours.
BYTES = np.uint64(0x0001000100010001)
PAIRS = np.uint64(0x0000000300000003)
NIBBLE = np.uint64(0xF)
# Nibbles of eight bytes, then of words of 16 and 32 bits.
NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
TWO_NIBBLES = np.uint64(0x00FF00FF00FF00FF)
FOUR_NIBBLES = np.uint64(0x0000FFFF0000FFFF)
U4 = np.uint64(4)
U8 = np.uint64(8)
U15 = np.uint64(15)
U16 = np.uint64(16)
U30 = np.uint64(30)


@inlined
def rows_of(width):
    """Return how many rows are packed at once."""
    return max(1, CHUNK // width)


@compiled
def pack_walkers(halves, x, lanes, length, width):
    """Write the spins of a group into its words.

    ``halves`` uint32 ``(2, columns + words + columns)``; ``x`` uint8 ``(walkers, sites)``;
    ``lanes`` int64 ``(32,)``, the row of ``x`` of each lane, or -1.
    """
    columns = width // 2
    step = rows_of(width)
    octet = np.empty(step * width, np.uint8)
    flat = np.empty(step * width, np.uint32)
    for top in range(0, length, step):
        rows = min(step, length - top)
        sites = rows * width
        for k in range(sites):
            flat[k] = NONE
        for part in range(OCTETS):
            for k in range(sites):
                octet[k] = NO_BITS
            for bit in range(OCTET):
                lane = lanes[OCTET * part + bit]
                if lane >= 0:
                    source = x[lane, top * width : top * width + sites]
                    factor = np.uint8(1 << bit)
                    for k in range(sites):
                        octet[k] |= np.uint8(source[k] * factor)
            shift = np.uint32(OCTET * part)
            for k in range(sites):
                flat[k] |= np.uint32(np.uint32(octet[k]) << shift)
        for row in range(top, top + rows):
            place = columns + row * columns
            own = flat[(row - top) * width : (row - top + 1) * width]
            first = halves[row & 1, place : place + columns]
            second = halves[1 - (row & 1), place : place + columns]
            for k in range(columns):
                first[k] = own[2 * k]
                second[k] = own[2 * k + 1]


@compiled
def unpack_walkers(x, halves, lanes, length, width):
    """Write the spins of a group from its words; the inverse of :func:`pack_walkers`."""
    columns = width // 2
    step = rows_of(width)
    octet = np.empty(step * width, np.uint8)
    flat = np.empty(step * width, np.uint32)
    for top in range(0, length, step):
        rows = min(step, length - top)
        sites = rows * width
        for row in range(top, top + rows):
            place = columns + row * columns
            own = flat[(row - top) * width : (row - top + 1) * width]
            first = halves[row & 1, place : place + columns]
            second = halves[1 - (row & 1), place : place + columns]
            for k in range(columns):
                own[2 * k] = first[k]
                own[2 * k + 1] = second[k]
        for part in range(OCTETS):
            shift = np.uint32(OCTET * part)
            for k in range(sites):
                octet[k] = np.uint8(flat[k] >> shift)
            for bit in range(OCTET):
                lane = lanes[OCTET * part + bit]
                if lane >= 0:
                    into = x[lane, top * width : top * width + sites]
                    down = np.uint8(bit)
                    for k in range(sites):
                        into[k] = np.uint8(octet[k] >> down) & ONE


@inlined
def narrowed(word):
    """Return the lower four bits of eight bytes as one number."""
    word = (word | (word >> U4)) & TWO_NIBBLES
    word = (word | (word >> U8)) & FOUR_NIBBLES
    return np.uint32(word | (word >> U16))


@inlined
def widened(word):
    """Return 32 bits as the lower four of eight bytes."""
    found = np.uint64(word)
    found = (found | (found << U16)) & FOUR_NIBBLES
    found = (found | (found << U8)) & TWO_NIBBLES
    return (found | (found << U4)) & NIBBLES


@compiled
def pack_rows(halves, x, begin, end, width):
    """Write rows ``begin … end - 1`` of a walker into words of 32 columns.

    ``halves`` uint32 ``(2, columns + words + columns)``; ``x`` uint64 ``(sites / 8,)``, eight sites
    each, the first one lowest.
    """
    columns = width // 64
    eighths = width // 8
    even = np.empty(eighths, np.uint8)
    odd = np.empty(eighths, np.uint8)
    even_words = even.view(np.uint64)
    odd_words = odd.view(np.uint64)
    for row in range(begin, end):
        own = x[row * eighths : (row + 1) * eighths]
        for k in range(eighths):
            one = own[k] & BYTES
            one |= one >> U15
            even[k] = np.uint8((one | (one >> U30)) & NIBBLE)
            two = (own[k] >> U8) & BYTES
            two |= two >> U15
            odd[k] = np.uint8((two | (two >> U30)) & NIBBLE)
        place = columns + row * columns
        first = halves[row & 1, place : place + columns]
        second = halves[1 - (row & 1), place : place + columns]
        for k in range(columns):
            first[k] = narrowed(even_words[k])
            second[k] = narrowed(odd_words[k])


@compiled
def unpack_rows(x, halves, begin, end, width):
    """Write rows of a walker from words of 32 columns; the inverse of :func:`pack_rows`."""
    columns = width // 64
    eighths = width // 8
    even = np.empty(eighths, np.uint8)
    odd = np.empty(eighths, np.uint8)
    even_words = even.view(np.uint64)
    odd_words = odd.view(np.uint64)
    for row in range(begin, end):
        place = columns + row * columns
        first = halves[row & 1, place : place + columns]
        second = halves[1 - (row & 1), place : place + columns]
        for k in range(columns):
            even_words[k] = widened(first[k])
            odd_words[k] = widened(second[k])
        own = x[row * eighths : (row + 1) * eighths]
        for k in range(eighths):
            one = np.uint64(even[k])
            one = (one | (one << U30)) & PAIRS
            one = (one | (one << U15)) & BYTES
            two = np.uint64(odd[k])
            two = (two | (two << U30)) & PAIRS
            two = (two | (two << U15)) & BYTES
            own[k] = one | (two << U8)
