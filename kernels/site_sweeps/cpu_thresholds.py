"""Thresholds of models of two states with few local fields, as random words.

A site is redrawn or moved by whether its 23-bit number lies below a threshold: a whole number that
follows from the local field, by the same float32 numbers as in :mod:`.reference`. Fields of one
``n = Σ_j J_ij s_j`` may differ in their last bits, as sums of other orders do; then a threshold has
bounds, between which the neighbours themselves decide.
"""

from typing import Any, NamedTuple

import numpy as np

from ..functions.cpu import exponential
from ..native.compiling import compiled, inlined

__all__ = ["SPARE", "Levels", "Patterns", "exact", "levels_of"]

ZERO = np.float32(0.0)
ALL = 2**23
"""Numbers below this are drawn."""
SHIFT = np.uint32(9)
"""The lower bits of a word that are not used."""
SPARE = 8
"""Thresholds that are read beyond the last, and never reached."""
NEVER = np.uint32(0xFFFFFFFF)
LOW = 0
HIGH = 1


class Patterns(NamedTuple):
    """Holds what each neighbour of a site can contribute, in the order of the neighbours."""

    terms: Any
    """``J φ(a, b)``, float32 ``(slots, options, 2)``, the state ``a`` of the site last."""
    integers: Any
    """What it adds to ``n``, int64 ``(slots, options)``."""
    counts: Any
    """Number of options, int64 ``(slots,)``."""
    largest: int
    """The largest ``|n|``."""
    step: int
    """``n`` counts from ``-largest`` in steps of this."""


class Levels(NamedTuple):
    """Holds thresholds in growing order of ``n``, or of aligned ``n``, for sites in states 0 and 1.

    Row ``4 table + 2 state + side`` belongs to a table, one or one per walker, to a state, of which
    the heat bath uses 1, and to lower bounds, side 0, or upper ones.
    """

    thresholds: Any
    """As words, uint32 ``(rows, values + SPARE)``."""
    times: Any
    """How many values of ``n`` share each of them, uint32 of the same shape."""
    numbers: Any
    """How many there are, int64 ``(rows,)``."""
    starts: Any
    """How many values of ``n`` have the threshold 0, int64 ``(rows,)``."""
    flags: Any
    """Whether ``n`` counts the other way, states differ, bounds differ; int64 ``(tables, 3)``."""


@inlined
def threshold(down, up, beta, keep, state):
    """Return how many numbers lie below the threshold of a site with these two fields.

    The heat bath, ``keep = 0``, draws state 0 below it; Metropolis moves a site below it.
    """
    if keep == ZERO:
        down = beta * down
        up = beta * up
        top = max(down, up)
        weight = exponential(down - top)
        probability = weight / (weight + exponential(up - top))
        # What is no number lies below nothing, and state 0 is drawn.
        if probability != probability:
            return ALL
    else:
        change = up - down if state == 0 else down - up
        probability = keep * exponential(min(beta * change, ZERO))
        if probability != probability:
            return 0
    # Number m stands for (m + 1/2) 2⁻²³; all of this is exact in float64.
    return int(np.ceil(np.float64(probability) * ALL - 0.5))


@inlined
def bounds(bound, patterns, down_field, up_field, beta, keep):
    """Write the least and the greatest threshold of every ``n``, int64 ``(4, values)``."""
    terms, integers, counts, largest, step = patterns
    for k in range(bound.shape[1]):
        for state in range(2):
            bound[2 * state + LOW, k] = ALL + 1
            bound[2 * state + HIGH, k] = -1
    last = len(counts) - 1
    digits = np.zeros(last + 1, np.int64)
    while digits[last] < counts[last]:
        down = down_field
        up = up_field
        n = largest
        for slot in range(last + 1):
            option = digits[slot]
            down += terms[slot, option, 0]
            up += terms[slot, option, 1]
            n += integers[slot, option]
        # Sums that no site has are left out.
        if 0 <= n <= 2 * largest and n % step == 0:
            k = n // step
            for state in range(2):
                found = threshold(down, up, beta, keep, state)
                bound[2 * state + LOW, k] = min(bound[2 * state + LOW, k], found)
                bound[2 * state + HIGH, k] = max(bound[2 * state + HIGH, k], found)
        digits[0] += 1
        for slot in range(last):
            if digits[slot] == counts[slot]:
                digits[slot] = 0
                digits[slot + 1] += 1


@inlined
def turned(bound):
    """Return whether thresholds of state 1 grow with ``n``."""
    first = -1
    end = -1
    for k in range(bound.shape[1]):
        if bound[2 + HIGH, k] >= 0:
            if first < 0:
                first = k
            end = k
    return bound[2 + LOW, first] < bound[2 + LOW, end]


@inlined
def descend(falling, bound, backward):
    """Widen bounds until they fall with ``n``, if need be after its order is turned.

    A site in state 0 is aligned with neighbours in state 0, so that its order is the other.
    """
    last = bound.shape[1] - 1
    for state in range(2):
        turn = backward == (state == 1)
        greatest = 0
        for j in range(last, -1, -1):
            k = last - j if turn else j
            if bound[2 * state + HIGH, k] >= 0:
                greatest = max(greatest, bound[2 * state + HIGH, k])
                bound[2 * state + HIGH, k] = greatest
        least = ALL
        high = ALL
        for j in range(last + 1):
            k = last - j if turn else j
            # What no site has is like what comes before.
            if bound[2 * state + HIGH, k] >= 0:
                least = min(least, bound[2 * state + LOW, k])
                high = bound[2 * state + HIGH, k]
            falling[2 * state + LOW, j] = least
            falling[2 * state + HIGH, j] = high


@inlined
def listed(levels, table, falling):
    """Write different thresholds and how often each comes."""
    thresholds, times, numbers, starts, _ = levels
    for own in range(4):
        row = 4 * table + own
        number = 0
        start = 0
        last = 0
        for k in range(thresholds.shape[1]):
            thresholds[row, k] = NEVER
            times[row, k] = 0
        for k in range(falling.shape[1]):
            value = falling[own, k]
            if value <= 0:
                start += 1
            elif value < ALL:
                if value != last:
                    thresholds[row, number] = np.uint32(value) << SHIFT
                    number += 1
                last = value
                times[row, number - 1] += 1
        numbers[row] = number
        starts[row] = start


@compiled
def levels_of(levels, patterns, site_table, betas, keep):
    """Write the thresholds of β and field, float32 ``(1 | tables,)`` and ``(1 | tables, 2)``."""
    values = 2 * patterns.largest // patterns.step + 1
    bound = np.empty((4, values), np.int64)
    falling = np.empty((4, values), np.int64)
    flags = levels.flags
    for table in range(len(flags)):
        row = min(table, len(site_table) - 1)
        beta = betas[min(table, len(betas) - 1)]
        bounds(bound, patterns, site_table[row, 0], site_table[row, 1], beta, keep)
        backward = turned(bound)
        descend(falling, bound, backward)
        listed(levels, table, falling)
        flags[table, 0] = int(backward)
        flags[table, 1] = 0
        flags[table, 2] = 0
        for k in range(values):
            for side in range(2):
                # The heat bath asks for no state.
                if keep > ZERO and falling[side, k] != falling[2 + side, k]:
                    flags[table, 1] = 1
            for state in range(2):
                if falling[2 * state + LOW, k] != falling[2 * state + HIGH, k]:
                    flags[table, 2] = 1


@inlined
def exact(site, others, before, model, field, beta, keep, state, word):
    """Return the new state of a site, 0 or 1, from its neighbours themselves.

    ``before`` places of ``others`` come before those of its walker.
    """
    neighbours, bonds, table = model
    down = field[0]
    up = field[1]
    for slot in range(len(neighbours)):
        there = neighbours[slot, site]
        if there < 0:
            continue
        bond = bonds[min(slot, len(bonds) - 1), min(site, bonds.shape[1] - 1)]
        other = others[before + (there >> 1)] & 1
        down += bond * table[0, other]
        up += bond * table[1, other]
    below = np.int64(word >> SHIFT) < threshold(down, up, beta, keep, state)
    if keep == ZERO:
        return 0 if below else 1
    return 1 - state if below else state
