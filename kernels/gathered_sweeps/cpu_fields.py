"""Sweeps on graphs by the local fields themselves, where limits are too many to be looked up.

Local fields, exponentials and sums are those of :mod:`.reference`, term by term. Each loop over the
lanes of a block, walkers side by side or sites of one walker, does one thing, so that the compiler
makes it one of vectors.
"""

import numpy as np

from ..functions.cpu import exponential, uniform32
from ..gathered.cpu_ratios import fields_of_many, fields_of_one
from ..native.compiling import compiled, inlined
from ..native.turning import turn
from ..native.words import HALF, WORD, fill
from ..site_sweeps.cpu_sites import nearest_axis
from .cpu_lanes import SWEEP, fill_many, take

__all__ = ["HEAT_BATH", "METROPOLIS", "REFLECT", "sweep_by_fields"]

ZERO = np.float32(0.0)
BLOCK = 128
"""Sites of a block of one walker."""
HEAT_BATH = 0
METROPOLIS = 1
REFLECT = 2


@inlined
def redraw(states, fields, top, total, uniform, beta):
    """Write new states of all lanes; fields become weights."""
    q = len(fields)
    for k in range(len(states)):
        top[k] = fields[0, k] * beta[k]
        total[k] = ZERO
        states[k] = 0
    for a in range(q):
        field = fields[a]
        for k in range(len(states)):
            field[k] *= beta[k]
            top[k] = max(top[k], field[k])
    for a in range(q):
        field = fields[a]
        for k in range(len(states)):
            field[k] = exponential(np.float32(field[k] - top[k]))
            # The first sum is exact.
            total[k] += field[k]
    for k in range(len(states)):
        top[k] = ZERO
    # The last state needs no threshold, so that rounding cannot lead out of range.
    for a in range(q - 1):
        field = fields[a]
        for k in range(len(states)):
            top[k] += field[k] / total[k]
            if top[k] <= uniform[k]:
                states[k] += 1


@inlined
def reflections(proposed, states, fields, waves):
    """Write the reflection of each lane about the axis nearest to its field."""
    for k in range(len(states)):
        there = nearest_axis(fields, k, waves) - np.int64(states[k])
        if there < 0:
            there += len(fields)
        proposed[k] = there


@inlined
def proposals(proposed, states, shifts, q):
    """Write Metropolis' proposal of each lane."""
    for k in range(len(states)):
        there = np.int32(states[k]) + np.int32(1)
        if q > 2:
            there += np.int32(np.uint64(shifts[k]) * np.uint64(q - 1) >> HALF)
        proposed[k] = there - q if there >= q else there


@inlined
def move(states, fields, proposed, acceptance, changes, uniform, beta, keep):
    """Write new states of all lanes: what is proposed where it is accepted."""
    q = len(fields)
    here = changes[0]
    there = changes[1]
    for k in range(len(states)):
        here[k] = fields[0, k]
        there[k] = fields[0, k]
    for a in range(1, q):
        # Choices, which are vectors, in place of look-ups.
        for k in range(len(states)):
            here[k] = fields[a, k] if states[k] == a else here[k]
            there[k] = fields[a, k] if proposed[k] == a else there[k]
    for k in range(len(states)):
        log_ratio = np.float32(beta[k] * (there[k] - here[k]))
        acceptance[k] = keep * exponential(min(log_ratio, ZERO))
    for k in range(len(states)):
        # Without a branch, which nobody could foresee.
        states[k] = proposed[k] if uniform[k] < acceptance[k] else states[k]


@inlined
def decide(states, fields, room, words, shifts, beta, keep, waves, op):
    """Write new states of all lanes from their fields and words."""
    top, total, uniform, proposed, changes = room
    for k in range(len(states)):
        uniform[k] = uniform32(words[k])
    if op == HEAT_BATH:
        redraw(states, fields, top, total, uniform, beta)
        return
    if op == REFLECT:
        reflections(proposed, states, fields, waves)
    else:
        proposals(proposed, states, shifts, len(fields))
    move(states, fields, proposed, top, changes, uniform, beta, keep)


@inlined
def sweep_one(x, words, shifts, order, bonds, tables, site_table, room, beta, keep, waves, op):
    """Sweep one walker once, in blocks of sites of one colour."""
    sites, ends, near, behind = order
    fields, columns, states, own, other, numbers = room
    for colour in range(len(ends) - 1):
        for first in range(ends[colour], ends[colour + 1], BLOCK):
            end = min(first + BLOCK, ends[colour + 1])
            count = end - first
            block = fields[:, :count]
            fields_of_one(block, columns, x, near, bonds, behind, tables, site_table, first, end)
            for k in range(count):
                site = sites[first + k]
                states[k] = x[site]
                own[k] = words[site]
                other[k] = shifts[site]
            decide(states[:count], block, numbers, own, other, beta, keep, waves, op)
            for k in range(count):
                x[sites[first + k]] = states[k]


@inlined
def sweep_many(
    turned, words, shifts, order, bonds, tables, site_table, fields, room, beta, keep, waves, op
):
    """Sweep walkers side by side once."""
    sites, ends, near, behind = order
    own, other, numbers = room
    for place in range(ends[-1]):
        fields_of_many(fields, turned, near, bonds, behind, tables, site_table, place)
        site = np.int64(sites[place])
        take(own, words, site)
        if len(shifts) > 1:
            take(other, shifts, site)
        decide(turned[site], fields, numbers, own, other, beta, keep, waves, op)


@compiled
def sweep_by_fields(x, begin, end, width, order, terms, betas, draws, keep, waves, op):
    """Sweep walkers ``begin … end - 1`` by their local fields.

    ``x`` int8 ``(walkers, sites)``; ``width`` walkers lie side by side, 1 where they have tables of
    their own; ``keep`` is the probability that a site does not rest; ``op`` one of those above.
    """
    all_bonds, tables, site_tables = terms
    walkers, first_sweep, sweeps, seed = draws
    q = len(tables)
    groups = (x.shape[1] + 3) // 4
    draw = 0 if op == HEAT_BATH else 1
    proposes = op == METROPOLIS and q > 2
    lanes = max(width, BLOCK)
    fields = np.zeros((q, width), tables.dtype)
    block = np.zeros((q, BLOCK), tables.dtype)
    columns = np.empty(BLOCK, np.uint32)
    states = np.empty(BLOCK, np.int8)
    # As many as lanes: walkers side by side may be more than the sites of a block.
    own = np.empty(lanes, np.uint32)
    other = np.empty(lanes, np.uint32)
    beta = np.zeros(lanes, tables.dtype)
    numbers = (
        np.empty(lanes, np.float32),
        np.empty(lanes, np.float32),
        np.empty(lanes, np.float32),
        np.empty(lanes, np.int8),
        np.empty((2, lanes), tables.dtype),
    )
    room = (block, columns, states, own, other, numbers)
    turned = np.zeros((x.shape[1], width), np.int8)
    words = np.empty((2 * groups, width), np.uint64)
    shifts = np.zeros((2 * groups if proposes else 1, width), np.uint64)
    index = np.zeros(width, np.uint64)
    pairs = np.empty(2 * groups, np.uint64)
    others = np.zeros(2 * groups, np.uint64)
    for w in range(begin, end, width):
        count = min(width, end - w)
        if count >= 4:
            turn(x[w : w + count], turned, count, x.shape[1])
            for lane in range(count):
                index[lane] = np.uint64(walkers[w + lane]) & WORD
                beta[lane] = betas[min(w + lane, len(betas) - 1)]
            for number in range(first_sweep, first_sweep + sweeps):
                fill_many(words, seed, number, draw, index)
                if proposes:
                    fill_many(shifts, seed, number, 0, index)
                sweep_many(
                    turned, words, shifts, order, all_bonds[0], tables, site_tables[0], fields,
                    (own[:width], other[:width], numbers), beta, keep, waves, op,
                )  # fmt: skip
            turn(turned, x[w : w + count], x.shape[1], count)
            continue
        for walker in range(w, w + count):
            bonds = all_bonds[min(walker, len(all_bonds) - 1)]
            table = site_tables[min(walker, len(site_tables) - 1)]
            beta[:] = betas[min(walker, len(betas) - 1)]
            for number in range(first_sweep, first_sweep + sweeps):
                fill(pairs, 0, seed, SWEEP, number, draw, walkers[walker])
                if proposes:
                    fill(others, 0, seed, SWEEP, number, 0, walkers[walker])
                sweep_one(
                    x[walker], pairs.view(np.uint32), others.view(np.uint32), order, bonds, tables,
                    table, room, beta, keep, waves, op,
                )  # fmt: skip
