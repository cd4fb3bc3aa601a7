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

__all__ = ["SIZE", "Levels", "Patterns", "exact", "levels_of"]

ZERO = np.float32(0.0)
ALL = 2**23
"""Numbers below this are drawn."""
SHIFT = np.uint32(9)
"""The lower bits of a word that are not used."""
SIZE = 136
"""Length of a list of thresholds: 128 values of ``n``, and what is read beyond them."""
NEVER = np.uint32(0xFFFFFFFF)
LOW = 0
HIGH = 1


class Patterns(NamedTuple):
    """Holds what a neighbour can contribute to a site, in each direction."""

    terms: Any
    """``J φ(a, b)`` ahead and ``J φ(b, a)`` behind, float32 ``(ndim, 2, options, 2)``, the state
    ``a`` of the site last."""
    integers: Any
    """What it adds to ``n``, int64 ``(ndim, options)``."""
    counts: Any
    """Number of options, int64 ``(ndim,)``."""
    largest: int
    """The largest ``|n|``."""
    step: int
    """``n`` counts from ``-largest`` in steps of this."""


class Levels(NamedTuple):
    """Holds thresholds in growing order of ``n``, or of aligned ``n``, for sites in states 0 and 1.

    For each state there are lower and upper bounds; the heat bath uses those of state 1.
    """

    thresholds: Any
    """As words, uint32 ``(2, 2, SIZE)``."""
    times: Any
    """How many values of ``n`` share each of them, uint32 ``(2, 2, SIZE)``."""
    numbers: Any
    """How many there are, int64 ``(2, 2)``."""
    starts: Any
    """How many values of ``n`` have the threshold 0, int64 ``(2, 2)``."""
    flags: Any
    """Whether ``n`` counts the other way, states differ, bounds differ; int64 ``(3,)``."""


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
def bounds(bound, patterns, field, beta, keep, digits):
    """Write the least and the greatest threshold of every ``n``, int64 ``(2, 2, values)``."""
    terms, integers, counts, largest, step = patterns
    bound[:, LOW] = ALL + 1
    bound[:, HIGH] = -1
    digits[:] = 0
    last = len(digits) - 1
    while digits[last] < counts[last >> 1]:
        down = field[0]
        up = field[1]
        n = largest
        for slot in range(len(digits)):
            option = digits[slot]
            down += terms[slot >> 1, slot & 1, option, 0]
            up += terms[slot >> 1, slot & 1, option, 1]
            n += integers[slot >> 1, option]
        # Sums that no site has are left out.
        if 0 <= n <= 2 * largest and n % step == 0:
            for state in range(2):
                found = threshold(down, up, beta, keep, state)
                own = bound[state, :, n // step]
                own[LOW] = min(own[LOW], found)
                own[HIGH] = max(own[HIGH], found)
        digits[0] += 1
        for slot in range(last):
            if digits[slot] == counts[slot >> 1]:
                digits[slot] = 0
                digits[slot + 1] += 1


@inlined
def turned(bound):
    """Return whether thresholds grow with ``n``."""
    first = -1
    end = -1
    for k in range(bound.shape[1]):
        if bound[HIGH, k] >= 0:
            if first < 0:
                first = k
            end = k
    return bound[LOW, first] < bound[LOW, end]


@inlined
def descend(bound, backward):
    """Widen bounds until they fall with ``n``, if need be after its order is turned."""
    values = bound.shape[1]
    if backward:
        for k in range(values // 2):
            for side in range(2):
                other = bound[side, values - 1 - k]
                bound[side, values - 1 - k] = bound[side, k]
                bound[side, k] = other
    greatest = 0
    for k in range(values - 1, -1, -1):
        greatest = max(greatest, bound[HIGH, k])
        if bound[HIGH, k] >= 0:
            bound[HIGH, k] = greatest
    least = ALL
    high = ALL
    for k in range(values):
        # What no site has is like what comes before.
        if bound[HIGH, k] >= 0:
            least = min(least, bound[LOW, k])
            high = bound[HIGH, k]
        bound[LOW, k] = least
        bound[HIGH, k] = high


@inlined
def listed(bound, thresholds, times):
    """Write different thresholds and how often each comes; return their number, and that of 0."""
    number = 0
    start = 0
    thresholds[:] = NEVER
    times[:] = 0
    for k in range(len(bound)):
        if bound[k] <= 0:
            start += 1
        elif bound[k] < ALL:
            word = np.uint32(bound[k]) << SHIFT
            if number == 0 or thresholds[number - 1] != word:
                thresholds[number] = word
                number += 1
            times[number - 1] += 1
    return number, start


@compiled
def levels_of(levels, patterns, field, beta, keep):
    """Write the thresholds of one β and field, float32 ``(2,)``."""
    values = 2 * patterns.largest // patterns.step + 1
    bound = np.empty((2, 2, values), np.int64)
    digits = np.empty(2 * len(patterns.counts), np.int64)
    bounds(bound, patterns, field, beta, keep, digits)
    backward = turned(bound[1])
    descend(bound[1], backward)
    # A site in state 0 is aligned with neighbours in state 0.
    descend(bound[0], not backward)
    for state in range(2):
        for side in range(2):
            number, start = listed(
                bound[state, side], levels.thresholds[state, side], levels.times[state, side]
            )
            levels.numbers[state, side] = number
            levels.starts[state, side] = start
    levels.flags[0] = int(backward)
    levels.flags[1] = 0
    levels.flags[2] = 0
    for k in range(values):
        for side in range(2):
            # The heat bath asks for no state.
            if keep > ZERO and bound[0, side, k] != bound[1, side, k]:
                levels.flags[1] = 1
        for state in range(2):
            if bound[state, LOW, k] != bound[state, HIGH, k]:
                levels.flags[2] = 1


@inlined
def exact(site, others, model, field, beta, keep, state, word):
    """Return the new state of a site, 0 or 1, from its neighbours themselves."""
    neighbours, coupling, ahead, behind = model
    down = field[0]
    up = field[1]
    for slot in range(len(neighbours)):
        there = neighbours[slot, site]
        if there < 0:
            continue
        # A bond belongs to its lower end.
        end = there if slot & 1 else site
        if coupling.shape[1] == 1:
            end = 0
        bond = coupling[min(slot >> 1, len(coupling) - 1), end]
        other = others[there >> 1] & 1
        if slot & 1:
            down += bond * behind[0, other]
            up += bond * behind[1, other]
        else:
            down += bond * ahead[0, other]
            up += bond * ahead[1, other]
    below = np.int64(word >> SHIFT) < threshold(down, up, beta, keep, state)
    if keep == ZERO:
        return 0 if below else 1
    return 1 - state if below else state
