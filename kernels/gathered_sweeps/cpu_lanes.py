"""Sweeps on graphs: loops that numba compiles, over walkers side by side or sites one by one.

Of many walkers the states lie side by side, site after site: a neighbour is then a row of bytes,
whatever the graph, and each loop is one of vectors. A walker alone is swept in blocks of sites.
"""

import numpy as np

from ..native.compiling import compiled, inlined
from ..native.turning import turn
from ..native.words import FIRST, FIRST_STEP, HALF, SECOND, SECOND_STEP, WORD, fill
from ..philox import ROUNDS, Stream

__all__ = ["SWEEP", "fill_many", "shift_of", "sweep_by_limits"]

SWEEP = np.uint64(Stream.SWEEP)
ZERO = np.float32(0.0)
NINE = np.uint32(9)
BLOCK = 128
"""Sites of a block of one walker."""


@inlined
def fill_many(words, seed, event, draw, walkers):
    """Write the words of all sites for walkers side by side, uint32 ``(4 groups, width)``.

    Those of :func:`..native.words.fill`; the rounds stand inside the loop for the same reason.
    """
    b0 = np.uint64(event) & WORD
    c0 = np.uint64(draw) & WORD
    key0 = np.uint64(seed) & WORD
    for group in range(words.shape[0] // 4):
        first_row = words[4 * group]
        second_row = words[4 * group + 1]
        third_row = words[4 * group + 2]
        fourth_row = words[4 * group + 3]
        for w in range(words.shape[1]):
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
            first_row[w] = np.uint32(a)
            second_row[w] = np.uint32(b)
            third_row[w] = np.uint32(c)
            fourth_row[w] = np.uint32(d)


@inlined
def shift_of(word, q):
    """Return Metropolis' proposal less one, uniform in ``0 … q-2``."""
    return np.int64(np.uint64(word) * np.uint64(q - 1) >> HALF)


@inlined
def redraw_many(states, patterns, words, limits, q):
    """Redraw one site of walkers side by side; ``limits`` ``(patterns, q - 1)``."""
    if q == 2:
        flat = limits.reshape(-1)
        for w in range(len(states)):
            states[w] = np.int8(words[w] >> NINE >= flat[patterns[w]])
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
        flat = limits.reshape(-1)
        for w in range(len(states)):
            # From state 0 to 1 is entry 1, from 1 to 0 is entry 2.
            limit = flat[np.uint32(4) * patterns[w] + np.uint32(1) + np.uint32(states[w])]
            states[w] ^= np.int8(words[w] >> NINE < limit)
    else:
        for w in range(len(states)):
            here = np.int64(states[w])
            there = here + 1 + shift_of(proposals[w], q)
            if there >= q:
                there -= q
            if words[w] >> NINE < limits[patterns[w], q * here + there]:
                states[w] = there


@inlined
def sweep_many(turned, patterns, words, proposals, order, kinds, limits, q, draw):
    """Sweep walkers side by side once, by limits."""
    sites, ends, near, _ = order
    for place in range(ends[-1]):
        for w in range(len(patterns)):
            patterns[w] = 0
        for slot in range(near.shape[0]):
            row = turned[near[slot, place]]
            for w in range(len(patterns)):
                patterns[w] = patterns[w] * np.uint32(q) + np.uint32(row[w])
        site = sites[place]
        own = limits[kinds[place]]
        if draw == 0:
            redraw_many(turned[site], patterns, words[site], own, q)
        else:
            move_many(turned[site], patterns, words[site], proposals[site], own, q)


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
def sweep_by_limits(x, begin, end, width, order, kinds, limits, q, draws, draw):
    """Sweep walkers ``begin … end - 1`` by limits: heat bath if ``draw`` is 0, else Metropolis.

    ``x`` int8 ``(walkers, sites)``; ``width`` walkers lie side by side, a multiple of 8; what is
    left of them goes so too if it is as many as half of eight.
    """
    walkers, first_sweep, sweeps, seed = draws
    sites = x.shape[1]
    groups = (sites + 3) // 4
    step = width if width > 1 else 1
    turned = np.zeros((sites, step), np.int8)
    patterns = np.empty(step, np.uint32)
    words = np.empty((4 * groups, step), np.uint32)
    proposals = np.empty((4 * groups if q > 2 and draw else 1, step), np.uint32)
    index = np.zeros(step, np.uint64)
    pairs = np.empty(2 * groups, np.uint64)
    others = np.empty(2 * groups, np.uint64)
    for w in range(begin, end, step):
        count = min(step, end - w)
        if count >= 4:
            turn(x[w : w + count], turned, count, sites)
            for lane in range(count):
                index[lane] = np.uint64(walkers[w + lane]) & WORD
            for number in range(first_sweep, first_sweep + sweeps):
                fill_many(words, seed, number, draw, index)
                if q > 2 and draw:
                    fill_many(proposals, seed, number, 0, index)
                sweep_many(turned, patterns, words, proposals, order, kinds, limits, q, draw)
            turn(turned, x[w : w + count], sites, count)
            continue
        for walker in range(w, w + count):
            for number in range(first_sweep, first_sweep + sweeps):
                fill(pairs, 0, seed, SWEEP, number, draw, walkers[walker])
                if q > 2 and draw:
                    fill(others, 0, seed, SWEEP, number, 0, walkers[walker])
                single = pairs.view(np.uint32)
                shifts = others.view(np.uint32)
                sweep_one(x[walker], single, shifts, order, kinds, limits, q, draw)
