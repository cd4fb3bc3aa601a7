"""Sweeps of models of two states with few local fields: loops over bytes that numba compiles.

The sites of either colour lie in an array of their own, place ``k`` of which is a site of the pair
``2k, 2k + 1``; 0 and 255 are the states. Of colour ``c`` the neighbours of place ``k`` are at few
distances in the other array, as a matrix has few diagonals: its weights, bytes, sum the integer
``n = Σ_j J_ij s_j`` modulo 256 and so tell the local field. A site's word is compared with the
thresholds of all fields beforehand, and how many lie below it, its rank, decides with ``n``.

Arrays are padded to whole vectors, and states have a margin at either end, so that loops over them
leave no rest. Walkers of a small lattice lie side by side, as if they were a large one.
"""

from typing import Any, NamedTuple

import numpy as np

from ..native.compiling import compiled, inlined
from ..native.words import fill
from .cpu_sites import SWEEP
from .cpu_thresholds import exact

__all__ = ["Diagonals", "diagonals", "sweep"]

UPPER = np.uint8(127)
ONES = np.uint8(255)
SEVEN = np.int8(7)
EIGHT = np.uint16(8)
LOW = np.uint16(255)
ZERO = np.float32(0.0)
NONE = np.uint32(0)
MOST = 40
"""Diagonals of one colour, at most."""
VECTOR = 128
"""Bytes of two vectors, at most: what a loop does at once."""
GROUPS = 8
"""Counters of random words that are computed at once."""


class Diagonals(NamedTuple):
    """Holds which sites are neighbours, for colours 0 and 1."""

    swapped: Any
    """255 where the second site of a pair has colour 0, uint8 ``(padded,)``."""
    base: Any
    """Value of ``n`` where all neighbours are in state 0, uint8 ``(2, padded)``."""
    shifts: Any
    """Distances, int64 ``(2, MOST)``."""
    firsts: Any
    """First place of each diagonal, a multiple of VECTOR, int64 ``(2, MOST)``."""
    ends: Any
    """End of each diagonal, int64 ``(2, MOST)``."""
    weights: Any
    """What a neighbour in state 1 adds to ``n``, uint8 ``(2, MOST, padded)``."""
    counts: Any
    """Number of diagonals, int64 ``(2,)``."""
    margin: int
    """Places at either end of the states, as many as a diagonal reaches beyond."""


@compiled
def diagonals(found, colours, neighbours, integers, largest, step):
    """Write the diagonals; return whether there are so few, and all neighbours differ in colour.

    ``colours`` int8 ``(sites,)``; ``neighbours`` int32 ``(slots, sites)``, -1 for none;
    ``integers`` int64 ``(1 | slots, 1 | sites)``, ``J`` of each of them as whole numbers; ``n`` is
    counted from ``-largest`` on in steps of ``step``.
    """
    swapped, base, shifts, firsts, ends, weights, counts, _ = found
    last = len(integers) - 1
    own = integers.shape[1] > 1
    for site in range(len(colours)):
        colour = colours[site]
        k = site >> 1
        total = largest
        for slot in range(len(neighbours)):
            there = neighbours[slot, site]
            if there < 0:
                continue
            if colours[there] == colour:
                return False
            bond = integers[min(slot, last), site if own else 0]
            total -= bond
            if bond == 0:
                continue
            shift = np.int64(there >> 1) - k
            d = 0
            while d < counts[colour] and shifts[colour, d] != shift:
                d += 1
            if d == MOST:
                return False
            if d == counts[colour]:
                counts[colour] += 1
                shifts[colour, d] = shift
                firsts[colour, d] = k // VECTOR * VECTOR
            ends[colour, d] = (k // VECTOR + 1) * VECTOR
            weights[colour, d, k] += np.uint8(2 * bond // step)
        base[colour, k] = np.uint8(total // step)
        if colour == 0 and site & 1:
            swapped[k] = ONES
    return True


@inlined
def split(pairs, swapped, first, second):
    """Write bytes of colours 0 and 1 from pairs of sites, uint16 with the first site below."""
    for k in range(len(pairs)):
        even = pairs[k] & LOW
        odd = pairs[k] >> EIGHT
        change = (even ^ odd) & np.uint16(swapped[k])
        first[k] = np.uint8(even ^ change)
        second[k] = np.uint8(odd ^ change)


@inlined
def join(pairs, swapped, first, second):
    """Write pairs of sites from states of colours 0 and 1."""
    for k in range(len(pairs)):
        change = (first[k] ^ second[k]) & swapped[k]
        even = np.uint16(first[k] ^ change) & np.uint16(1)
        odd = np.uint16(second[k] ^ change) & np.uint16(1)
        pairs[k] = even | (odd << EIGHT)


@inlined
def spread(states):
    """Make 0 and 1 to 0 and 255."""
    for k in range(len(states)):
        states[k] = np.uint8(0) - (states[k] & np.uint8(1))


@inlined
def rank(ranks, words, thresholds, times, number, start):
    """Write how many thresholds lie at or below each word, counted from ``start``.

    Beyond their number thresholds come no times.
    """
    first = np.uint8(start)
    for i in range(len(ranks)):
        ranks[i] = first
    done = 0
    # As many as registers can hold are compared with a word at once.
    while done < number:
        a = thresholds[done]
        b = thresholds[done + 1]
        c = thresholds[done + 2]
        times_a = times[done]
        times_b = times[done + 1]
        times_c = times[done + 2]
        if number - done <= 3:
            done += 3
            for i in range(len(ranks)):
                word = words[i]
                more = times_a if word >= a else NONE
                more += times_b if word >= b else NONE
                more += times_c if word >= c else NONE
                ranks[i] = np.uint8(ranks[i] + more)
        else:
            d = thresholds[done + 3]
            e = thresholds[done + 4]
            times_d = times[done + 3]
            times_e = times[done + 4]
            done += 5
            for i in range(len(ranks)):
                word = words[i]
                more = times_a if word >= a else NONE
                more += times_b if word >= b else NONE
                more += times_c if word >= c else NONE
                more += times_d if word >= d else NONE
                more += times_e if word >= e else NONE
                ranks[i] = np.uint8(ranks[i] + more)


@inlined
def add_neighbours(fields, others, base, shifts, firsts, ends, weights, count, margin):
    """Write ``n`` of the places of a colour; ``others`` has margins."""
    used = len(fields)
    for k in range(len(fields)):
        fields[k] = base[k]
    for d in range(count):
        first = firsts[d]
        end = min(ends[d], used)
        into = fields[first:end]
        shift = margin + shifts[d]
        there = others[first + shift : end + shift]
        weight = weights[d, first:end]
        for k in range(len(into)):
            into[k] = np.uint8(into[k] + (there[k] & weight[k]))


@inlined
def redraw(states, fields, ranks, flipped, top):
    """Redraw all places of a colour: state 1 where ``n`` and the rank reach ``top``."""
    lift = np.uint8(UPPER - top) & np.uint8(~flipped)
    for k in range(len(states)):
        value = np.uint8((fields[k] ^ flipped) + lift + ranks[k])
        # The highest bit becomes all bits.
        states[k] = np.uint8(np.int8(value) >> SEVEN)


@inlined
def move(states, fields, down, up, flipped, top):
    """Flip all places of a colour but those where rank and aligned ``n`` reach ``top``.

    ``down`` and ``up`` are the ranks for a site in state 0 and 1.
    """
    lift = np.uint8(UPPER - top)
    for k in range(len(states)):
        state = states[k]
        turn = ((state ^ ONES) & UPPER) ^ flipped
        level = down[k] ^ ((down[k] ^ up[k]) & state)
        value = np.uint8((fields[k] ^ turn) + (lift & ~turn) + level)
        stays = np.uint8(np.int8(value) >> SEVEN)
        states[k] = state ^ stays ^ ONES


@inlined
def doubtful(sites, low, high):
    """Write the sites whose words lie between the bounds of a threshold; return their number."""
    differ = np.uint8(0)
    for i in range(len(low)):
        differ |= low[i] ^ high[i]
    number = 0
    if differ:
        for i in range(len(low)):
            if low[i] != high[i]:
                sites[number] = i
                number += 1
    return number


@inlined
def decide(c, decided, sites, both, found, model, field, beta, keep, words):
    """Write the new states of the sites in doubt that have colour ``c``; -1 for all others."""
    own = model[0].shape[1]
    for j in range(len(sites)):
        site = sites[j]
        k = site >> 1
        decided[j] = -1
        if (site & 1) ^ (found.swapped[k] & 1) == c:
            # Sites of walkers further on come after those of the first.
            walker = site // own * own
            before = found.margin + (walker >> 1)
            state = both[c, found.margin + k] & 1
            decided[j] = exact(
                site - walker, both[1 - c], before, model, field, beta, keep, state, words[site]
            )


@inlined
def correct(states, decided, sites):
    """Put the sites in doubt into their new states."""
    for j in range(len(sites)):
        if decided[j] >= 0:
            states[sites[j] >> 1] = ONES * np.uint8(decided[j])


@inlined
def rank_all(ranked, low, high, sites, filled, words, levels, table, swapped):
    """Write the ranks of all sites; return how many sites are in doubt.

    ``ranked`` uint8 ``(2, 2, padded)``, those for sites in state 1 first, then colour by colour;
    ``low`` and ``high`` are room for ranks by lower and upper bounds.
    """
    differ = levels.flags[table, 1]
    known = 0
    for down in range(1 + differ):
        for side in range(1 + levels.flags[table, 2]):
            row = 4 * table + 2 * (1 - down) + side
            into = high if side else low
            number = levels.numbers[row]
            start = levels.starts[row]
            rank(into, words, levels.thresholds[row], levels.times[row], number, start)
            if side:
                known += doubtful(sites[known:], low[:filled], high)
        split(low.view(np.uint16), swapped, ranked[down, 0], ranked[down, 1])
    return known


@compiled
def sweep(x, begin, end, places, copies, found, levels, top, model, site_table, betas, draws, keep):
    """Sweep walkers ``begin … end - 1``: heat bath if ``keep`` is 0, else Metropolis.

    ``x`` uint16 ``(walkers · places,)``, pairs of sites; ``keep`` is the probability that a site
    does not rest; ``top`` the largest ``n``; ``model`` what :func:`exact` reads; ``site_table``
    float32 ``(1 | walkers, 2)`` and ``betas`` float32 ``(1 | walkers,)``. So many ``copies`` of the
    lattice, each for a walker, are in ``found``; 1 uses the first alone, as it must where walkers
    differ in β or field.
    """
    swapped, base, shifts, firsts, ends, weights, counts, margin = found
    padded = len(swapped)
    both = np.zeros((2, padded + 2 * margin), np.uint8)
    low = np.empty(2 * padded, np.uint8)
    high = np.empty(2 * padded, np.uint8)
    ranked = np.empty((2, 2, padded), np.uint8)
    fields = np.empty(padded, np.uint8)
    sites = np.empty(4 * padded, np.int32)
    decided = np.empty(4 * padded, np.int8)
    # Four sites share a counter, whose words are two pairs; what is too many is written over.
    half = (places + 2 * GROUPS - 1) // (2 * GROUPS) * 2 * GROUPS
    pairs = np.zeros(padded + half, np.uint64)
    words = pairs.view(np.uint32)
    draw = 0 if keep == ZERO else 1
    for w in range(begin, end, copies):
        own = x[w * places : min(w + copies, end) * places]
        used = (len(own) + VECTOR - 1) // VECTOR * VECTOR
        table = min(w, len(levels.flags) - 1)
        flipped = UPPER if levels.flags[table, 0] else np.uint8(0)
        split(own, swapped, both[0, margin:], both[1, margin:])
        spread(both[0])
        spread(both[1])
        for number in range(draws.first_sweep, draws.first_sweep + draws.sweeps):
            for first in range(0, len(own), places):
                walker = draws.walkers[w + first // places]
                fill(pairs[first : first + half], 0, draws.seed, SWEEP, number, draw, walker)
            known = rank_all(
                ranked, low[: 2 * used], high[: 2 * used], sites, 2 * len(own), words, levels,
                table, swapped,
            )  # fmt: skip
            for c in range(2):
                if known:
                    field = site_table[min(w, len(site_table) - 1)]
                    beta = betas[min(w, len(betas) - 1)]
                    decide(c, decided, sites[:known], both, found, model, field, beta, keep, words)
                add_neighbours(
                    fields[:used], both[1 - c], base[c], shifts[c], firsts[c], ends[c], weights[c],
                    counts[c], margin,
                )  # fmt: skip
                states = both[c, margin : margin + used]
                if draw == 0:
                    redraw(states, fields, ranked[0, c], flipped, top)
                else:
                    downs = ranked[levels.flags[table, 1], c]
                    move(states, fields, downs, ranked[0, c], flipped, top)
                if known:
                    correct(states, decided, sites[:known])
        join(own, swapped, both[0, margin:], both[1, margin:])
