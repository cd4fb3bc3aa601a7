"""Classes of sites, for 64 walkers at once, and how many sites of one walker each class has."""

import numpy as np

from ..native.compiling import inlined

__all__ = ["EACH", "EIGHTS", "GROUP", "NONE", "count_sites", "make_classes", "mark"]

GROUP = 64
"""Walkers whose classes are made at once, a byte each."""
EIGHTS = GROUP // 8
"""Words of 8 bytes for them."""

NONE = np.uint64(0)
EIGHT = np.uint64(8)
SIXTEEN = np.uint64(16)
THIRTY_TWO = np.uint64(32)
EACH = np.uint64(0x0101010101010101)
"""A one in every byte."""
# Every second byte, pair of bytes, and half.
BYTES = np.uint64(0x00FF00FF00FF00FF)
PAIRS = np.uint64(0x0000FFFF0000FFFF)
HALVES = np.uint64(0x00000000FFFFFFFF)


@inlined
def exchange(tile, one, other, shift, mask):
    """Exchange the upper parts of one row's words with the lower parts of another's."""
    for eight in range(EIGHTS):
        moved = ((tile[one, eight] >> shift) ^ tile[other, eight]) & mask
        tile[one, eight] ^= moved << shift
        tile[other, eight] ^= moved


@inlined
def transpose(tile, words, place):
    """Write a tile of 8 sites by 64 walkers into the walkers' rows."""
    for row in range(0, 8, 2):
        exchange(tile, row, row + 1, EIGHT, BYTES)
    for row in range(4):
        low = row + 2 * (row // 2)
        exchange(tile, low, low + 2, SIXTEEN, PAIRS)
    for row in range(4):
        exchange(tile, row, row + 4, THIRTY_TWO, HALVES)
    for eight in range(EIGHTS):
        for row in range(8):
            words[8 * eight + row, place] = tile[row, eight]


@inlined
def make_classes(spins, tile, words, neighbours, strides):
    """Write the class of every site of ``GROUP`` walkers, ``Σ_l strides_l x_l``.

    Bytes of all walkers are added at once, 8 a word: classes are numbers below 256, so that no sum
    carries into the next byte.
    """
    sites = len(neighbours)
    for place in range(words.shape[1]):
        for number in range(8):
            # Beyond the last site stands the last one again, which nobody asks for.
            site = min(8 * place + number, sites - 1)
            # Eight sums of their own, which stay in registers.
            a = b = c = d = e = f = g = h = NONE
            for lane in range(len(strides)):
                stride = EACH * np.uint64(strides[lane])
                other = neighbours[site, lane]
                a += spins[other, 0] & stride
                b += spins[other, 1] & stride
                c += spins[other, 2] & stride
                d += spins[other, 3] & stride
                e += spins[other, 4] & stride
                f += spins[other, 5] & stride
                g += spins[other, 6] & stride
                h += spins[other, 7] & stride
            tile[number, 0] = a
            tile[number, 1] = b
            tile[number, 2] = c
            tile[number, 3] = d
            tile[number, 4] = e
            tile[number, 5] = f
            tile[number, 6] = g
            tile[number, 7] = h
        transpose(tile, words, place)


@inlined
def count_sites(classes, w, sites, length, counts, parts):
    """Count the sites of every class, in all and by segment."""
    segments = parts.shape[1]
    for kind in range(len(counts)):
        counts[kind] = 0
    if segments == 1:
        for site in range(sites):
            counts[classes[w, site]] += 1
        return
    for kind in range(len(parts)):
        for segment in range(segments):
            parts[kind, segment] = 0
    for site in range(sites):
        parts[classes[w, site], site // length] += 1
    for kind in range(len(parts)):
        for segment in range(segments):
            counts[kind] += parts[kind, segment]


@inlined
def mark(counts, occupied):
    """Set the bits of the classes that have a site."""
    for word in range(len(occupied)):
        bits = NONE
        for place in range(64):
            bits |= np.uint64(counts[64 * word + place] != 0) << np.uint64(place)
        occupied[word] = bits
