"""States of walkers side by side: bytes turned from rows of walkers to rows of sites, and back."""

import numpy as np

from .compiling import inlined

__all__ = ["EIGHT", "turn"]

EIGHT = 8
"""Rows and columns that are turned at once, as eight numbers of eight bytes."""
FOURS = np.uint64(0x00000000FFFFFFFF)
TWOS = np.uint64(0x0000FFFF0000FFFF)
ONES = np.uint64(0x00FF00FF00FF00FF)
HALF = np.uint64(32)
QUARTER = np.uint64(16)
BYTE = np.uint64(8)


@inlined
def swapped(low, high, mask, shift):
    """Exchange the upper parts of one number with the lower parts of another."""
    change = ((low >> shift) ^ high) & mask
    return low ^ (change << shift), high ^ change


@inlined
def turn(rows, columns, count, width):
    """Write ``rows`` int8 ``(count, width)`` as ``columns`` ``(width, count)`` or larger.

    Either may have more rows and columns than that. Squares of eight by eight bytes are turned as
    eight numbers, in three rounds of exchanges; what is left is copied byte by byte. Rows of both
    are whole multiples of eight bytes where ``count`` and ``width`` reach eight.
    """
    whole_rows = count // EIGHT
    whole_columns = width // EIGHT
    if rows.shape[1] % EIGHT or columns.shape[1] % EIGHT:
        whole_rows = 0
    if whole_rows and whole_columns:
        source = rows.view(np.uint64)
        target = columns.view(np.uint64)
        for i in range(whole_rows):
            for j in range(whole_columns):
                a = source[EIGHT * i, j]
                b = source[EIGHT * i + 1, j]
                c = source[EIGHT * i + 2, j]
                d = source[EIGHT * i + 3, j]
                e = source[EIGHT * i + 4, j]
                f = source[EIGHT * i + 5, j]
                g = source[EIGHT * i + 6, j]
                h = source[EIGHT * i + 7, j]
                a, e = swapped(a, e, FOURS, HALF)
                b, f = swapped(b, f, FOURS, HALF)
                c, g = swapped(c, g, FOURS, HALF)
                d, h = swapped(d, h, FOURS, HALF)
                a, c = swapped(a, c, TWOS, QUARTER)
                b, d = swapped(b, d, TWOS, QUARTER)
                e, g = swapped(e, g, TWOS, QUARTER)
                f, h = swapped(f, h, TWOS, QUARTER)
                a, b = swapped(a, b, ONES, BYTE)
                c, d = swapped(c, d, ONES, BYTE)
                e, f = swapped(e, f, ONES, BYTE)
                g, h = swapped(g, h, ONES, BYTE)
                target[EIGHT * j, i] = a
                target[EIGHT * j + 1, i] = b
                target[EIGHT * j + 2, i] = c
                target[EIGHT * j + 3, i] = d
                target[EIGHT * j + 4, i] = e
                target[EIGHT * j + 5, i] = f
                target[EIGHT * j + 6, i] = g
                target[EIGHT * j + 7, i] = h
    else:
        whole_rows = 0
        whole_columns = 0
    for i in range(EIGHT * whole_rows, count):
        for j in range(width):
            columns[j, i] = rows[i, j]
    for i in range(EIGHT * whole_rows):
        for j in range(EIGHT * whole_columns, width):
            columns[j, i] = rows[i, j]
