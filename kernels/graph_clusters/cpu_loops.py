"""Loops of clusters of graphs, walker by walker and edge by edge."""

import numpy as np

from ..clusters.cpu_bonds import (
    BY_EQUALITY,
    BY_STATES,
    CHUNK,
    CLUSTER,
    NINE,
    STEP,
    by_states,
    difference,
    exchange,
    integer,
    limit_of,
)
from ..clusters.cpu_swendsen_wang import by_equality, count, flip, recolour, weigh
from ..clusters.cpu_wolff import draw_chunk, log_ratio
from ..functions.cpu import exponential, logarithm, uniform32
from ..labels.cpu import link
from ..native.compiling import compiled, inlined
from ..native.words import fill, four

__all__ = ["label", "swendsen_wang", "wolff"]

SIGN = np.int32(31)
EQUAL = np.int32(0)


@inlined
def grow_trees(joined, first, second, links):
    """Make the trees of one walker; no link leads to a greater site."""
    for site in range(links.shape[0]):
        links[site] = site
    for bond in range(first.shape[0]):
        if joined[bond] != 0:
            link(links, np.uint32(first[bond]), np.uint32(second[bond]))


@compiled
def label(joined, first, second, labels):
    """Write the labels of some walkers, int64 ``(walkers, sites)``."""
    sites = labels.shape[1]
    links = np.empty(sites, np.uint32)
    for walker in range(labels.shape[0]):
        grow_trees(joined[walker], first, second, links)
        for site in range(sites):
            # Lesser sites have their roots by now.
            root = links[links[site]]
            links[site] = root
            labels[walker, site] = root


@inlined
def joins(kind, bond, here, there, word, limits, scale, coupling, energies, states):
    """Return whether an edge joins its sites, which are in the states ``here`` and ``there``."""
    if kind == BY_EQUALITY:
        limit = limits[bond]
        sign = limit >> SIGN
        reached = np.int32(word >> NINE) >= limit ^ sign
        return reached & ((here == there) ^ (sign != EQUAL))
    pair = np.uint32(here) * states + np.uint32(there)
    if kind == BY_STATES:
        return np.int32(word >> NINE) >= limits[pair]
    return uniform32(word) > exponential(-(scale * coupling[bond] * energies[pair]))


@compiled
def join_sites(kind, x, first, second, words, limits, scale, coupling, energies, q, links):
    """Draw the bonds of one walker, and make the trees of its clusters."""
    states = np.uint32(q)
    for site in range(links.shape[0]):
        links[site] = site
    for bond in range(first.shape[0]):
        i = np.uint32(first[bond])
        j = np.uint32(second[bond])
        if joins(kind, bond, x[i], x[j], words[bond], limits, scale, coupling, energies, states):
            link(links, i, j)


@compiled
def swendsen_wang(before, walkers, tables, plan, space, first_row, labels, x, size, changed):
    """Update some walkers, or find the labels of their clusters.

    It is one function beyond 50 lines, since numba compiles what it calls once more with it.

    Args:
        before: Uint8 ``(walkers, sites)``.
        walkers: Their global indices, int64.
        tables: The entries of :class:`.cpu.Tables`.
        plan: Those of :class:`..clusters.cpu_bonds.Plan`.
        space: Those of :class:`.cpu.Space`.
        first_row: Row of the first walker in tables that have one for each.
        labels: Int64 ``(walkers, sites)``, written where it is not empty; then states stay.
        x: Uint8 ``(walkers, sites)``, written.
        size: Float64 ``(walkers,)``: the sums of squared sizes of clusters, written.
        changed: Float32 ``(walkers,)``, written.
    """
    first_site, second_site, betas, coupling, bond_table, site_table = tables
    kind, reflection, recolours, _, first_sweep, sweeps, seed = plan
    pairs, limits, energies, other, _, links, counts, gains, _, _ = space
    sites = x.shape[1]
    bonds = first_site.shape[0]
    words = pairs.view(np.uint32)
    q = other.shape[0]
    for i in range(x.shape[0]):
        row = first_row + i
        index = walkers[i]
        scale = np.float32(betas[row])
        here = x[i]
        for site in range(sites):
            here[site] = before[i, site]
        squares = 0.0
        for sweep in range(first_sweep, first_sweep + sweeps):
            # Of two states there is but one exchange, and limits stay.
            if sweep == first_sweep or not (q == 2 or recolours):
                _, shift_word, first_word, _ = four(seed, CLUSTER, 0, sweep, 2, index)
                first = integer(first_word, q)
                # Two different states, uniform among all pairs.
                second = (first + 1 + integer(shift_word, q - 1)) % q
                exchange(bond_table, reflection, recolours, first, second, other, energies)
                if kind == BY_EQUALITY:
                    by_equality(scale, coupling, energies, limits)
                elif kind == BY_STATES:
                    by_states(scale, coupling, energies, limits)
            fill(pairs[: (bonds + 3) // 4 * 2], 0, seed, CLUSTER, sweep, 0, index)
            join_sites(
                kind, here, first_site, second_site, words, limits, scale, coupling, energies, q,
                links,
            )  # fmt: skip
            squares += float(count(links, counts))
            if labels.shape[0] > 0:
                for site in range(sites):
                    labels[i, site] = links[site]
                continue
            # Words of bonds are no longer needed.
            fill(pairs[: (sites + 3) // 4 * 2], 0, seed, CLUSTER, sweep, 1, index)
            if recolours:
                recolour(here, links, words, q)
            else:
                if gains.shape[0] > 0:
                    table = site_table[row % site_table.shape[0]]
                    weigh(here, links, betas[row], table, other, gains, words)
                flip(here, links, words, other)
        size[i] = squares
        changed[i] = difference(before[i], here)


@compiled
def wolff(before, walkers, tables, starts, places, plan, space, first_row, x, size, changed):
    """Update some walkers; words of bonds are drawn in chunks, where the cluster comes.

    It is one function beyond 50 lines, since numba compiles what it calls once more with it.

    Args:
        before: Uint8 ``(walkers, sites)``.
        walkers: Their global indices, int64.
        tables: The entries of :class:`.cpu.Tables`.
        starts: Int64 ``(sites + 1,)``: where the edges of a site begin in ``places``.
        places: Int64 ``(2 * bonds,)``: edges, plus their number where the site is the second.
        plan: The entries of :class:`..clusters.cpu_bonds.Plan`.
        space: Those of :class:`.cpu.Space`.
        first_row: Row of the first walker in tables that have one for each.
        x: Uint8 ``(walkers, sites)``, written.
        size: Float32 ``(walkers,)``: mean fraction of the sites in the cluster, written.
        changed: Float32 ``(walkers,)``, written.
    """
    first_site, second_site, betas, coupling, bond_table, site_table = tables
    kind, reflection, recolours, rest, first_sweep, sweeps, seed = plan
    pairs, limits, energies, other, marks, _, _, _, members, drawn = space
    sites = x.shape[1]
    bonds = first_site.shape[0]
    q = other.shape[0]
    words = pairs.view(np.uint32)
    update = 0
    for i in range(x.shape[0]):
        row = first_row + i
        index = walkers[i]
        scale = np.float32(betas[row])
        here = x[i]
        for place in range(sites):
            here[place] = before[i, place]
        sizes = np.float32(0.0)
        for sweep in range(first_sweep, first_sweep + sweeps):
            update += 1
            site_word, shift_word, _, last_word = four(seed, CLUSTER, 0, sweep, 2, index)
            start = integer(site_word, sites)
            first = np.int64(here[start])
            # A shift by 1 … q - 1, so that the new state is never the old one.
            second = (first + 1 + integer(shift_word, q - 1)) % q
            if sweep == first_sweep or q > 2:
                exchange(bond_table, reflection, recolours, first, second, other, energies)
                if kind == BY_STATES:
                    by_states(scale, coupling, energies, limits)
            members[0] = start
            marks[start] = 1
            number = 1
            done = 0
            while done < number:
                site = np.int64(members[done])
                for place in range(starts[site], starts[site + 1]):
                    bond = places[place]
                    behind = bond >= bonds
                    if behind:
                        bond -= bonds
                        there = np.int64(first_site[bond])
                        pair = np.int64(here[there]) * q + np.int64(here[site])
                    else:
                        there = np.int64(second_site[bond])
                        pair = np.int64(here[site]) * q + np.int64(here[there])
                    if marks[there] != 0:
                        continue
                    if drawn[bond // CHUNK] != update:
                        draw_chunk(pairs, bond // CHUNK, seed, sweep, index)
                        drawn[bond // CHUNK] = update
                    if kind == BY_STATES:
                        limit = limits[pair]
                    else:
                        limit = limit_of(scale * coupling[bond] * energies[pair])
                    if np.int32(words[bond] >> NINE) >= limit:
                        marks[there] = 1
                        members[number] = there
                        number += 1
                done += 1
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
