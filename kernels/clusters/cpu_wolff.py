"""Loops of Wolff's updates, walker by walker.

Words of bonds are drawn in chunks, and only where the cluster comes: a small cluster costs little
on any lattice.
"""

import numpy as np

from ..functions.cpu import logarithm
from ..native.compiling import compiled, inlined
from ..native.words import fill, four
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

__all__ = ["draw_chunk", "log_ratio", "wolff"]

GROUPS = CHUNK // 4
ONE = np.uint64(1)
ROW = np.uint64(CHUNK)


@inlined
def draw_chunk(words, chunk, seed, sweep, index):
    """Write the words of a chunk of bonds."""
    first = chunk * GROUPS
    fill(words[2 * first : 2 * (first + GROUPS)], first, seed, CLUSTER, sweep, 0, index)


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
def grow(
    x, q, lengths, periodic, limits, scale, coupling, energies, words, bonds, marks, members, drawn,
    progress, update,
):  # fmt: skip
    """Go on with a cluster, neighbour by neighbour, until words are needed that are not drawn.

    Returns:
        The chunk of these words, or -1 where the cluster is complete.
    """
    sites = np.uint64(x.shape[0])
    states = np.uint64(q)
    done = np.uint64(progress[0])
    number = np.uint64(progress[1])
    while done < number:
        site = np.uint64(members[done])
        state = np.uint64(x[site])
        stride = ONE
        first_bond = np.uint64(bonds)
        # Always four axes, so that the loop is unrolled.
        for axis in range(3, -1, -1):
            length = np.uint64(lengths[axis])
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
            if drawn[bond // ROW] != update:
                progress[0] = done
                progress[1] = number
                return np.int64(bond // ROW)
            pair = state * states + np.uint64(x[there])
            limit = limit_at(pair, axis, site, limits, scale, coupling, energies)
            if edge and not periodic[axis]:
                limit = NEVER
            number = reach(there, words[bond], limit, marks, members, number)
            edge = place < stride
            there = site - stride
            if edge:
                there += block
            bond = first_bond + there
            if drawn[bond // ROW] != update:
                progress[0] = done
                progress[1] = number
                return np.int64(bond // ROW)
            pair = np.uint64(x[there]) * states + state
            limit = limit_at(pair, axis, there, limits, scale, coupling, energies)
            if edge and not periodic[axis]:
                limit = NEVER
            number = reach(there, words[bond], limit, marks, members, number)
            stride = block
        done += ONE
    progress[1] = number
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
        tables: The entries of :class:`.cpu_bonds.Tables`, for four axes.
        plan: Those of :class:`.cpu_bonds.Plan`.
        space: Those of :class:`.cpu_bonds.Space`.
        first_row: Row of the first walker in tables that have one for each.
        couplings: None where all bonds of an axis are alike, else anything that is not None.
        x: Uint8 ``(walkers, sites)``, written.
        size: Float32 ``(walkers,)``: mean fraction of the sites in the cluster, written.
        changed: Float32 ``(walkers,)``, written.
    """
    lengths, periodic, betas, all_couplings, bond_table, site_table = tables
    kind, reflection, recolours, rest, first_sweep, sweeps, seed = plan
    pairs, limits, energies, other, bonds, marks, _, _, _, members, drawn, progress = space
    sites = x.shape[1]
    q = other.shape[0]
    words = pairs.view(np.uint32)
    update = 0
    for i in range(x.shape[0]):
        row = first_row + i
        index = walkers[i]
        scale = np.float32(betas[row])
        coupling = all_couplings[row % all_couplings.shape[0]]
        here = x[i]
        for site in range(sites):
            here[site] = before[i, site]
        sizes = np.float32(0.0)
        for sweep in range(first_sweep, first_sweep + sweeps):
            update += 1
            site_word, shift_word, _, last_word = four(seed, CLUSTER, 0, sweep, 2, index)
            start = integer(site_word, sites)
            first = np.int64(here[start])
            # A shift by 1 … q - 1, so that the new state is never the old one.
            second = (first + 1 + integer(shift_word, q - 1)) % q
            if sweep == first_sweep or q > 2:
                exchange(
                    bond_table, reflection, recolours, first, second, other,
                    energies,
                )  # fmt: skip
                if kind == BY_STATES:
                    for axis in range(4):
                        row_of_limits = limits[axis * q * q : (axis + 1) * q * q]
                        by_states(scale, coupling[axis], energies, row_of_limits)
            members[0] = start
            marks[start] = 1
            progress[0] = 0
            progress[1] = 1
            chunk = 0
            while chunk >= 0:
                if couplings is None:
                    chunk = grow(
                        here, q, lengths, periodic, limits, scale, None, energies, words,
                        bonds.shape[0], marks, members, drawn, progress, update,
                    )  # fmt: skip
                else:
                    chunk = grow(
                        here, q, lengths, periodic, limits, scale, coupling, energies, words,
                        bonds.shape[0], marks, members, drawn, progress, update,
                    )  # fmt: skip
                if chunk >= 0:
                    draw_chunk(pairs, chunk, seed, sweep, index)
                    drawn[chunk] = update
            number = progress[1]
            sizes += np.float32(number) / np.float32(sites)
            uniform = (float(last_word >> np.uint64(9)) + 0.5) * STEP
            moves = uniform < 1.0 - rest
            if moves and site_table.shape[0] > 0:
                table = site_table[row % site_table.shape[0]]
                ratio = log_ratio(here, marks, betas[row], table, other)
                moves = logarithm(uniform / (1.0 - rest)) < ratio
            for k in range(number):
                member = np.int64(members[k])
                marks[member] = 0
                if moves:
                    here[member] = other[here[member]]
        size[i] = sizes / np.float32(sweeps)
        changed[i] = difference(before[i], here)
