"""Loops of Wolff's updates, walker by walker.

Words of bonds are drawn in chunks, and only where the cluster comes: a small cluster costs little
on any lattice.
"""

import numpy as np

from ..functions.cpu import logarithm
from ..native.compiling import compiled, inlined
from ..native.words import FIRST, FIRST_STEP, HALF, SECOND, SECOND_STEP, WORD, four
from ..philox import ROUNDS
from .cpu_bonds import (
    BY_STATES,
    CHUNK,
    CLUSTER,
    NEVER,
    NINE,
    STEP,
    by_states,
    difference,
    exchange,
    gain_at,
    integer,
    limit_of,
)  # fmt: skip

__all__ = ["wolff"]

GROUPS = CHUNK // 4
ONE = np.uint64(1)
ROW = np.uint64(CHUNK)


@compiled
def draw_chunk(words, chunk, seed, sweep, index):
    """Write the words of a chunk of bonds, which are those of :func:`..native.words.fill`."""
    first_group = chunk * GROUPS
    pairs = words[2 * first_group : 2 * (first_group + GROUPS)]
    for group in range(GROUPS):
        a = np.uint64(first_group + group)
        b = np.uint64(sweep) & WORD
        c = np.uint64(0)
        d = np.uint64(index) & WORD
        low = np.uint64(seed) & WORD
        high = np.uint64(CLUSTER)
        for _ in range(ROUNDS):
            first = (a & WORD) * FIRST
            second = (c & WORD) * SECOND
            a = (second >> HALF) ^ b ^ low
            b = second
            c = (first >> HALF) ^ d ^ high
            d = first
            low += FIRST_STEP
            high += SECOND_STEP
        pairs[2 * group] = (a & WORD) | (b << HALF)
        pairs[2 * group + 1] = (c & WORD) | (d << HALF)


@inlined
def limit_at(pair, axis, low, limits, scale, coupling, energies):
    """Return the limit of a bond from site ``low``, with a coupling of its own if there are any."""
    # Numba leaves the other case out when it compiles: both in one loop would both be computed.
    if coupling is None:
        return limits[np.uint64(axis * energies.shape[0]) + pair]
    return limit_of(scale * coupling[axis, low] * energies[pair])


@inlined
def reach(there, word, limit, marks, members, number):
    """Take a neighbour into the cluster, if it is joined and new; return the number of members."""
    fresh = np.uint8((marks[there] == 0) & (np.int32(word >> NINE) >= limit))
    # Written in any case, and kept if the number grows: a branch could not be foretold.
    members[number] = there
    marks[there] |= fresh
    return number + np.uint64(fresh)


@compiled
def grow(x, q, tables, limits, scale, coupling, energies, words, space, update):
    """Go on with a cluster, neighbour by neighbour, until words are needed that are not drawn.

    Returns:
        The chunk of these words, or -1 where the cluster is complete.
    """
    sites = np.uint64(x.shape[0])
    states = np.uint64(q)
    marks = space.shifted
    members = space.members
    done = np.uint64(space.progress[0])
    number = np.uint64(space.progress[1])
    while done < number:
        site = np.uint64(members[done])
        state = np.uint64(x[site])
        stride = ONE
        first_bond = np.uint64(space.bonds.shape[0])
        # Always four axes, so that the loop is unrolled.
        for axis in range(3, -1, -1):
            length = np.uint64(tables.lengths[axis])
            first_bond -= sites
            # A site that is its own neighbour joins nothing, and short shapes begin with such axes.
            if length == ONE:
                continue
            block = stride * length
            place = site
            if axis > 0:
                place = site % block
            edge = place + stride >= block
            there = site + stride
            if edge:
                there -= block
            bond = first_bond + site
            if space.drawn[bond // ROW] != update:
                space.progress[0] = done
                space.progress[1] = number
                return np.int64(bond // ROW)
            pair = state * states + np.uint64(x[there])
            limit = limit_at(pair, axis, site, limits, scale, coupling, energies)
            if edge and not tables.periodic[axis]:
                limit = NEVER
            number = reach(there, words[bond], limit, marks, members, number)
            edge = place < stride
            there = site - stride
            if edge:
                there += block
            bond = first_bond + there
            if space.drawn[bond // ROW] != update:
                space.progress[0] = done
                space.progress[1] = number
                return np.int64(bond // ROW)
            pair = np.uint64(x[there]) * states + state
            limit = limit_at(pair, axis, there, limits, scale, coupling, energies)
            if edge and not tables.periodic[axis]:
                limit = NEVER
            number = reach(there, words[bond], limit, marks, members, number)
            stride = block
        done += ONE
    space.progress[1] = number
    return -1


@inlined
def log_ratio(x, marks, beta, table, other):
    """Return ``β Σ_i [h_i(R x_i) - h_i(x_i)]`` over the cluster, in the order of sites."""
    total = 0.0
    for site in range(x.shape[0]):
        if marks[site] != 0:
            total += gain_at(site, x[site], beta, table, other)
    return total


@compiled
def wolff(before, walkers, tables, plan, space, first_row, couplings, x, size, changed):
    """Update some walkers.

    It is one function beyond 50 lines, since numba compiles what it calls once more with it.

    Args:
        before: Uint8 ``(walkers, sites)``.
        walkers: Their global indices, int64.
        tables: The model, with four axes.
        plan: What is done.
        space: Memory.
        first_row: Row of the first walker in tables that have one for each.
        couplings: None where all bonds of an axis are alike, else those of the tables.
        x: Uint8 ``(walkers, sites)``, written.
        size: Float32 ``(walkers,)``: mean fraction of the sites in the cluster, written.
        changed: Float32 ``(walkers,)``, written.
    """
    sites = x.shape[1]
    q = space.other.shape[0]
    words = space.words.view(np.uint32)
    update = 0
    for i in range(x.shape[0]):
        row = first_row + i
        index = walkers[i]
        scale = np.float32(tables.beta[row])
        coupling = tables.coupling[row % tables.coupling.shape[0]]
        here = x[i]
        for site in range(sites):
            here[site] = before[i, site]
        sizes = np.float32(0.0)
        for sweep in range(plan.first_sweep, plan.first_sweep + plan.sweeps):
            update += 1
            site_word, shift_word, _, last_word = four(plan.seed, CLUSTER, 0, sweep, 2, index)
            start = integer(site_word, sites)
            first = np.int64(here[start])
            # A shift by 1 … q - 1, so that the new state is never the old one.
            second = (first + 1 + integer(shift_word, q - 1)) % q
            if sweep == plan.first_sweep or q > 2:
                exchange(
                    tables.bond_table, plan.reflection, plan.recolour, first, second, space.other,
                    space.energies,
                )  # fmt: skip
                if plan.kind == BY_STATES:
                    for axis in range(4):
                        limits = space.limits[axis * q * q : (axis + 1) * q * q]
                        by_states(scale, coupling[axis], space.energies, limits)
            space.members[0] = start
            space.shifted[start] = 1
            space.progress[0] = 0
            space.progress[1] = 1
            chunk = 0
            while chunk >= 0:
                if couplings is None:
                    chunk = grow(
                        here, q, tables, space.limits, scale, None, space.energies, words, space,
                        update,
                    )  # fmt: skip
                else:
                    chunk = grow(
                        here, q, tables, space.limits, scale, couplings[row % couplings.shape[0]],
                        space.energies, words, space, update,
                    )  # fmt: skip
                if chunk >= 0:
                    draw_chunk(space.words, chunk, plan.seed, sweep, index)
                    space.drawn[chunk] = update
            number = space.progress[1]
            sizes += np.float32(number) / np.float32(sites)
            uniform = (float(last_word >> np.uint64(9)) + 0.5) * STEP
            moves = uniform < 1.0 - plan.rest
            if moves and tables.site_table.shape[0] > 0:
                table = tables.site_table[row % tables.site_table.shape[0]]
                ratio = log_ratio(here, space.shifted, tables.beta[row], table, space.other)
                moves = logarithm(uniform / (1.0 - plan.rest)) < ratio
            for k in range(number):
                site = np.int64(space.members[k])
                space.shifted[site] = 0
                if moves:
                    here[site] = space.other[here[site]]
        size[i] = sizes / np.float32(plan.sweeps)
        changed[i] = difference(before[i], here)
