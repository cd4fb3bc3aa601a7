"""Sweeps on graphs: loops that numba compiles, over walkers side by side or sites one by one.

Of many walkers the states lie side by side, site after site: a neighbour is then a row of bytes,
whatever the graph, and each loop is one of vectors. A walker alone is swept in blocks of sites.
"""

import numpy as np

from ..native.compiling import compiled, inlined
from ..native.turning import turn
from ..native.words import FIRST, FIRST_STEP, HALF, SECOND, SECOND_STEP, WORD, fill
from ..philox import ROUNDS, Stream

__all__ = ["SWEEP", "fill_many", "shift_of", "sweep_by_limits", "take"]

SWEEP = np.uint64(Stream.SWEEP)
NINE = np.uint32(9)
NONE = np.uint8(0)


@inlined
def fill_many(pairs, seed, event, draw, walkers):
    """Write the words of all sites for walkers side by side, uint64 ``(2 groups, width)``.

    Those of :func:`..native.words.fill`, two sites to a number, the first one below; the rounds
    stand inside the loop for the same reason.
    """
    b0 = np.uint64(event) & WORD
    c0 = np.uint64(draw) & WORD
    key0 = np.uint64(seed) & WORD
    for group in range(pairs.shape[0] // 2):
        for w in range(pairs.shape[1]):
            a = np.uint64(group)
            b = b0
            c = c0
            d = walkers[w]
            low = key0
            high = SWEEP
            for _ in range(ROUNDS):
                # Upper halves of keys and words carry over, and are cut off before each product.
                first = (a & WORD) * FIRST
                second = (c & WORD) * SECOND
                a = (second >> HALF) ^ b ^ low
                b = second
                c = (first >> HALF) ^ d ^ high
                d = first
                low += FIRST_STEP
                high += SECOND_STEP
            pairs[2 * group, w] = (a & WORD) | (b << HALF)
            pairs[2 * group + 1, w] = (c & WORD) | (d << HALF)


@inlined
def take(words, pairs, site):
    """Write the words of one site for walkers side by side, uint32 ``(width,)``."""
    row = pairs[site >> 1]
    if site & 1:
        for w in range(len(words)):
            words[w] = np.uint32(row[w] >> HALF)
    else:
        for w in range(len(words)):
            words[w] = np.uint32(row[w] & WORD)


@inlined
def shift_of(word, q):
    """Return Metropolis' proposal less one, uniform in ``0 … q-2``."""
    return np.int64(np.uint64(word) * np.uint64(q - 1) >> HALF)


@inlined
def redraw_many(states, patterns, words, limits, q):
    """Redraw one site of walkers side by side; ``limits`` ``(patterns, q - 1)``."""
    if q == 2:
        for w in range(len(states)):
            states[w] = np.int8(words[w] >> NINE >= limits[patterns[w], 0])
    else:
        for w in range(len(states)):
            number = words[w] >> NINE
            state = 0
            for a in range(q - 1):
                state += number >= limits[patterns[w], a]
            states[w] = state


@inlined
def move_many(states, patterns, words, proposals, limits, q):
    """Try to move one site of walkers side by side; ``limits`` ``(patterns, q²)``."""
    if q == 2:
        for w in range(len(states)):
            # From state 0 to 1 is entry 1, from 1 to 0 is entry 2.
            entry = 1 + np.uint64(states[w])
            states[w] ^= np.int8(words[w] >> NINE < limits[patterns[w], entry])
    else:
        for w in range(len(states)):
            here = np.int64(states[w])
            there = here + 1 + shift_of(proposals[w], q)
            if there >= q:
                there -= q
            accepted = words[w] >> NINE < limits[patterns[w], q * here + there]
            states[w] = there if accepted else here


@inlined
def gather_patterns(patterns, turned, near, place, q):
    """Write the pattern of one site's neighbours for walkers side by side."""
    for w in range(len(patterns)):
        patterns[w] = 0
    for slot in range(near.shape[0]):
        row = turned[near[slot, place]]
        for w in range(len(patterns)):
            patterns[w] = patterns[w] * np.uint32(q) + np.uint32(row[w])


@inlined
def sweep_many(turned, room, pairs, others, order, kinds, limits, q, draw):
    """Sweep walkers side by side once, by limits."""
    sites, ends, near, _ = order
    patterns, words, proposals = room
    for place in range(ends[-1]):
        gather_patterns(patterns, turned, near, place, q)
        site = np.int64(sites[place])
        own = limits[kinds[place]]
        take(words, pairs, site)
        if draw == 0:
            redraw_many(turned[site], patterns, words, own, q)
        else:
            if q > 2:
                take(proposals, others, site)
            move_many(turned[site], patterns, words, proposals, own, q)


@inlined
def add_sums(sums, turned, near, weights, place):
    """Write the weighted sum of one site's neighbours in state 1 for walkers side by side."""
    for w in range(len(sums)):
        sums[w] = 0
    for slot in range(near.shape[0]):
        row = turned[near[slot, place]]
        weight = weights[slot]
        for w in range(len(sums)):
            sums[w] = np.uint8(sums[w] + (weight if row[w] else NONE))


@inlined
def look_up(needs, sums, table):
    """Write an entry of a short table for each sum: as choices, which are vectors."""
    for w in range(len(sums)):
        needs[w] = table[0]
    for value in range(1, len(table)):
        chosen = table[value]
        here = np.uint8(value)
        for w in range(len(sums)):
            needs[w] = chosen if sums[w] == here else needs[w]


@inlined
def rank(ranks, words, cuts, count):
    """Write how many cuts lie at or below the number of each word."""
    for w in range(len(ranks)):
        ranks[w] = 0
    for i in range(count):
        cut = cuts[i]
        for w in range(len(ranks)):
            ranks[w] = np.uint8(ranks[w] + (words[w] >= cut))


@inlined
def sweep_ranked(turned, room, ranked, pairs, order, kinds, draw):
    """Sweep walkers of two states side by side once, by ranks of words among cuts."""
    sites, ends, near, _ = order
    _, words, _ = room
    sums, needs, ups, ranks, weights, cuts, counts, tables = ranked
    for place in range(ends[-1]):
        kind = kinds[place]
        site = np.int64(sites[place])
        add_sums(sums, turned, near, weights, place)
        take(words, pairs, site)
        rank(ranks, words, cuts[kind], counts[kind])
        look_up(needs, sums, tables[kind, 0])
        states = turned[site]
        if draw == 0:
            for w in range(len(states)):
                states[w] = np.int8(ranks[w] >= needs[w])
        else:
            look_up(ups, sums, tables[kind, 1])
            for w in range(len(states)):
                need = ups[w] if states[w] else needs[w]
                # A site moves where its number lies below the limit.
                states[w] ^= np.int8(ranks[w] < need)


@inlined
def sweep_one(x, words, proposals, order, kinds, limits, q, draw):
    """Sweep one walker once, by limits."""
    sites, ends, near, _ = order
    for place in range(ends[-1]):
        pattern = 0
        for slot in range(near.shape[0]):
            pattern = pattern * q + x[near[slot, place]]
        site = sites[place]
        number = words[site] >> NINE
        kind = kinds[place]
        if draw == 0:
            state = 0
            for a in range(q - 1):
                state += number >= limits[kind, pattern, a]
            x[site] = state
        else:
            here = np.int64(x[site])
            there = here + 1
            if q > 2:
                there += shift_of(proposals[site], q)
            if there >= q:
                there -= q
            accepted = number < limits[kind, pattern, q * here + there]
            # Without a branch, which nobody could foresee.
            x[site] = there if accepted else here


@compiled
def sweep_by_limits(x, begin, end, width, order, kinds, limits, found, q, draws, draw):
    """Sweep walkers ``begin … end - 1`` by limits: heat bath if ``draw`` is 0, else Metropolis.

    ``x`` int8 ``(walkers, sites)``; ``width`` walkers lie side by side, a multiple of 8, or 1;
    ``found`` what :func:`.cpu_tables.ranked_of` returns, of which the number of weights is 0 where
    limits are looked up.
    """
    walkers, first_sweep, sweeps, seed = draws
    sites = x.shape[1]
    rows = (sites + 3) // 4 * 2
    weights, cuts, counts, tables = found
    turned = np.zeros((sites, width), np.int8)
    room = (
        np.empty(width, np.uint32),
        np.empty(width, np.uint32),
        np.empty(width, np.uint32),
    )
    byte = np.empty((4, width), np.uint8)
    ranked = (byte[0], byte[1], byte[2], byte[3], weights, cuts, counts, tables)
    pairs = np.empty((rows, width), np.uint64)
    others = np.empty((rows if q > 2 and draw else 1, width), np.uint64)
    index = np.zeros(width, np.uint64)
    single = np.empty(rows, np.uint64)
    second = np.empty(rows, np.uint64)
    for w in range(begin, end, width):
        count = min(width, end - w)
        if count >= 4:
            turn(x[w : w + count], turned, count, sites)
            for lane in range(count):
                index[lane] = np.uint64(walkers[w + lane]) & WORD
            for number in range(first_sweep, first_sweep + sweeps):
                fill_many(pairs, seed, number, draw, index)
                if q > 2 and draw:
                    fill_many(others, seed, number, 0, index)
                if len(weights):
                    sweep_ranked(turned, room, ranked, pairs, order, kinds, draw)
                else:
                    sweep_many(turned, room, pairs, others, order, kinds, limits, q, draw)
            turn(turned, x[w : w + count], sites, count)
            continue
        for walker in range(w, w + count):
            for number in range(first_sweep, first_sweep + sweeps):
                fill(single, 0, seed, SWEEP, number, draw, walkers[walker])
                if q > 2 and draw:
                    fill(second, 0, seed, SWEEP, number, 0, walkers[walker])
                words = single.view(np.uint32)
                proposals = second.view(np.uint32)
                sweep_one(x[walker], words, proposals, order, kinds, limits, q, draw)
