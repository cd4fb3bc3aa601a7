"""Loops over groups of walkers that stand side by side: flat arrays, ``sites`` times ``LANES``.

Every number of a lane is made by the same operations whoever is in the lanes beside it. Loops run
over slices of many numbers each, which the compiler makes loops of vectors; numbers per lane come
repeated, ``WIDE`` of them.
"""

import numpy as np

from ..functions.cpu import exponential64, logarithm, uniform64
from ..native.compiling import inlined
from ..native.words import four
from ..normal_numbers.cpu import pair
from ..philox import MULTIPLIERS, ROUNDS, WEYL, Stream

__all__ = [
    "LANES", "WIDE", "accept", "action", "draw", "kick", "kinetic", "push", "take", "transform",
    "widen",
]  # fmt: skip

LANES = 16
"""Walkers of a group: as many float32 as the widest registers hold."""
WIDE = 128
"""Numbers of a slice, whole multiples of the lanes."""
MOMENTA = np.uint64(Stream.FIELD_MOMENTA)
ACCEPT = np.uint64(Stream.FIELD_ACCEPT)
FIRST = np.uint64(MULTIPLIERS[0])
SECOND = np.uint64(MULTIPLIERS[1])
FIRST_STEP = np.uint64(WEYL[0])
SECOND_STEP = np.uint64(WEYL[1])
WORD = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


@inlined
def widen(wide, lanes):
    """Repeat one number a lane."""
    for place in range(WIDE):
        wide[place] = lanes[place % LANES]


@inlined
def folded(wide, lanes):
    """Add up what belongs to each lane."""
    for lane in range(LANES):
        total = 0.0
        for place in range(lane, WIDE, LANES):
            total += wide[place]
        lanes[lane] = total


@inlined
def words_of(first, second, third, fourth, group, sweep, walkers, seed):
    """Write the four words of counters ``(group, sweep, 0, walker)`` for many groups and lanes.

    The ten rounds stand inside the loop, which the compiler makes one of vectors.
    """
    for place in range(len(first)):
        a = np.uint64(group + place // LANES)
        b = np.uint64(sweep) & WORD
        c = np.uint64(0)
        d = np.uint64(walkers[place]) & WORD
        low = np.uint64(seed) & WORD
        high = MOMENTA
        for _ in range(ROUNDS):
            one = (a & WORD) * FIRST
            two = (c & WORD) * SECOND
            a = (two >> HALF) ^ b ^ low
            b = two
            c = (one >> HALF) ^ d ^ high
            d = one
            low += FIRST_STEP
            high += SECOND_STEP
        first[place] = a & WORD
        second[place] = b & WORD
        third[place] = c & WORD
        fourth[place] = d & WORD


@inlined
def pairs_of(across, along, radial, angular):
    """Write the normal numbers of pairs of words."""
    for place in range(len(radial)):
        x, y = pair(np.int64(radial[place]), np.int64(angular[place]))
        across[place] = x
        along[place] = y


@inlined
def draw(momenta, words, numbers, sweep, walkers, seed):
    """Write normal numbers, those of the op ``normals``.

    Args:
        momenta: Where they are written.
        words: Scratch, uint64 ``(4, WIDE)``.
        numbers: Scratch, float64 ``(4, WIDE)``.
        sweep: Event of the counters.
        walkers: Their indices, ``(WIDE,)``.
        seed: First word of the key.
    """
    groups = WIDE // LANES
    sites = len(momenta) // LANES
    for group in range(0, (sites + 3) // 4, groups):
        words_of(words[0], words[1], words[2], words[3], group, sweep, walkers, seed)
        pairs_of(numbers[0], numbers[1], words[0], words[1])
        pairs_of(numbers[2], numbers[3], words[2], words[3])
        # A counter serves four sites.
        for site in range(4 * group, min(4 * (group + groups), sites)):
            source = numbers[
                site % 4, (site // 4 - group) * LANES : (site // 4 - group + 1) * LANES
            ]
            target = momenta[site * LANES : (site + 1) * LANES]
            for lane in range(len(target)):
                target[lane] = source[lane]


@inlined
def bonds(sums, here, there):
    """Take twice the products of neighbours off sums, in float64."""
    for start in range(0, len(here), WIDE):
        own = here[start : start + WIDE]
        other = there[start : start + WIDE]
        for place in range(len(own)):
            sums[place] -= 2.0 * np.float64(own[place]) * np.float64(other[place])


@inlined
def action(field, shape, diagonal, quartic, sums, total):
    """Write ``S`` of every lane, in float64.

    Args:
        field: Sites first.
        shape: Lengths of the axes.
        diagonal: ``2d + m²``, ``(WIDE,)``.
        quartic: ``λ``, ``(WIDE,)``.
        sums: Scratch, ``(WIDE,)``.
        total: Where it is written, ``(LANES,)``.
    """
    for place in range(WIDE):
        sums[place] = 0.0
    for start in range(0, len(field), WIDE):
        own = field[start : start + WIDE]
        for place in range(len(own)):
            here = np.float64(own[place])
            square = here * here
            sums[place] += square * (diagonal[place] + quartic[place] * square)
    inner = len(field)
    outer = 1
    for axis in range(len(shape)):
        size = inner
        inner //= shape[axis]
        # Along an axis neighbours are a shift of all that stands within, and a wrap at its end.
        for block in range(outer):
            part = field[block * size : (block + 1) * size]
            bonds(sums, part[: size - inner], part[inner:])
            bonds(sums, part[size - inner :], part[:inner])
        outer *= shape[axis]
    folded(sums, total)


@inlined
def add(target, source):
    """Add one array to another."""
    for place in range(len(target)):
        target[place] += source[place]


@inlined
def push(field, shape, linear, cubic, force):
    """Write the force ``2 Σ_μ (φ_{x+μ} + φ_{x-μ}) - φ (linear + cubic φ²)``."""
    for place in range(len(force)):
        force[place] = 0
    inner = len(field)
    outer = 1
    for axis in range(len(shape)):
        size = inner
        inner //= shape[axis]
        for block in range(outer):
            part = field[block * size : (block + 1) * size]
            made = force[block * size : (block + 1) * size]
            add(made[: size - inner], part[inner:])
            add(made[size - inner :], part[:inner])
            add(made[inner:], part[: size - inner])
            add(made[:inner], part[size - inner :])
        outer *= shape[axis]
    for start in range(0, len(field), WIDE):
        own = field[start : start + WIDE]
        made = force[start : start + WIDE]
        for place in range(len(own)):
            here = own[place]
            slope = linear[place] + cubic[place] * (here * here)
            made[place] = (made[place] + made[place]) - here * slope


@inlined
def row_of(row, given, factors, width):
    """Write the sum of rows of ``given`` times ``factors``."""
    for place in range(width):
        row[place] = 0
    length = len(factors)
    whole = length // 4 * 4
    # Four terms at a time, so that the sum is read and written less often.
    for site in range(0, whole, 4):
        first = factors[site]
        second = factors[site + 1]
        third = factors[site + 2]
        fourth = factors[site + 3]
        one = given[site * width : (site + 1) * width]
        two = given[(site + 1) * width : (site + 2) * width]
        three = given[(site + 2) * width : (site + 3) * width]
        last = given[(site + 3) * width : (site + 4) * width]
        for place in range(width):
            upper = first * one[place] + second * two[place]
            lower = third * three[place] + fourth * last[place]
            row[place] += upper + lower
    for site in range(whole, length):
        first = factors[site]
        one = given[site * width : (site + 1) * width]
        for place in range(width):
            row[place] += first * one[place]


@inlined
def turn(made, given, table, row):
    """Write the transform of the first axis, which becomes the last one."""
    length = len(table)
    width = len(given) // length
    for mode in range(length):
        row_of(row, given, table[mode], width)
        for site in range(width // LANES):
            target = made[(site * length + mode) * LANES : (site * length + mode + 1) * LANES]
            source = row[site * LANES : (site + 1) * LANES]
            for lane in range(len(target)):
                target[lane] = source[lane]


@inlined
def transform(field, spare, row, tables, shape):
    """Write the modes of ``field`` over it.

    Args:
        field: Sites first.
        spare: Scratch of its size.
        row: Scratch of its size.
        tables: Modes of every axis, ``(ndim, longest, longest)``.
        shape: Lengths of the axes.
    """
    given = field
    made = spare
    # Each axis in turn becomes the last one, so that all are in their places in the end.
    for axis in range(len(shape)):
        length = shape[axis]
        turn(made, given, tables[axis, :length, :length], row)
        other = given
        given = made
        made = other
    if len(shape) % 2 == 1:
        for place in range(len(field)):
            field[place] = spare[place]


@inlined
def kinetic(momenta, sums, total):
    """Write ``½ Σ q²`` of every lane, in float64."""
    for place in range(WIDE):
        sums[place] = 0.0
    for start in range(0, len(momenta), WIDE):
        own = momenta[start : start + WIDE]
        for place in range(len(own)):
            here = np.float64(own[place])
            sums[place] += 0.5 * here * here
    folded(sums, total)


@inlined
def kick(momenta, force, scales):
    """Add ``scales · force`` to momenta."""
    for place in range(len(momenta)):
        momenta[place] += scales[place] * force[place]


@inlined
def take(kept, proposed, agreed):
    """Write what was agreed to over what was kept; ``agreed`` is ``(WIDE,)``."""
    for start in range(0, len(kept), WIDE):
        own = kept[start : start + WIDE]
        other = proposed[start : start + WIDE]
        for place in range(len(own)):
            chosen = own[place]
            if agreed[place] == 1.0:
                chosen = other[place]
            own[place] = chosen


@inlined
def accept(error, sweep, walkers, seed, agreed, chance):
    """Decide where to go: 1 in ``agreed`` for where the leapfrogs led; its probability too."""
    for lane in range(LANES):
        high, low, _, _ = four(seed, ACCEPT, 0, sweep, 0, walkers[lane])
        threshold = logarithm(uniform64(high, low))
        # Comparisons with NaN are false: such a walker stays.
        agreed[lane] = 0.0
        if threshold < -error[lane]:
            agreed[lane] = 1.0
        chance[lane] = 0.0
        if error[lane] <= 0.0:
            chance[lane] = 1.0
        elif error[lane] > 0.0:
            chance[lane] = exponential64(-error[lane])
