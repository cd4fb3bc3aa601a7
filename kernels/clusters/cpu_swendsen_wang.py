"""Loops of Swendsen and Wang's updates, walker by walker."""

import numpy as np

from ..functions.cpu import exponential, logarithm, uniform32
from ..labels.cpu import connect
from ..native.compiling import compiled, inlined
from ..native.words import fill, four
from .cpu_bonds import (
    BY_EQUALITY,
    BY_STATES,
    CLUSTER,
    NINE,
    STEP,
    by_states,
    difference,
    exchange,
    gain_at,
    integer,
    limit_of,
)  # fmt: skip

__all__ = ["by_equality", "count", "flip", "recolour", "swendsen_wang", "weigh"]

EQUAL = np.int32(0)
UNEQUAL = np.int32(-1)
SIGN = np.int32(31)
UPPER = np.uint32(2**31)
ZERO = np.float32(0.0)


@inlined
def signed_limit(strength, equal, unequal):
    """Return the limit of a bond between equal states, or the complement of that between others.

    The complement is negative. At most one of the two gains is positive.
    """
    gain = strength * equal
    sign = EQUAL
    if not gain > ZERO:
        gain = strength * unequal
        sign = UNEQUAL
    return limit_of(gain) ^ sign


@inlined
def by_equality(scale, coupling, energies, limits):
    """Write the limits of the bonds of an axis, one for each."""
    if coupling.shape[0] == 1:
        limit = signed_limit(scale * coupling[0], energies[0], energies[1])
        for i in range(limits.shape[0]):
            limits[i] = limit
    else:
        for i in range(limits.shape[0]):
            limits[i] = signed_limit(scale * coupling[i], energies[0], energies[1])


@inlined
def shift(x, stride, block, shifted):
    """Write the state of every site's neighbour in positive direction."""
    ahead = x[stride:]
    for i in range(ahead.shape[0]):
        shifted[i] = ahead[i]
    # The last sites of a block have the first for neighbours.
    for start in range(0, x.shape[0], block):
        for i in range(start, start + stride):
            shifted[np.uint64(i + block - stride)] = x[np.uint64(i)]


@compiled
def draw_bonds(kind, x, shifted, words, limits, scale, coupling, energies, q, bonds):
    """Write which sites are joined to their neighbours along one axis."""
    states = np.uint32(q)
    if kind == BY_EQUALITY:
        for i in range(x.shape[0]):
            limit = limits[i]
            sign = limit >> SIGN
            reached = np.int32(words[i] >> NINE) >= limit ^ sign
            bonds[i] = reached & ((x[i] == shifted[i]) ^ (sign != EQUAL))
    elif kind == BY_STATES:
        for i in range(x.shape[0]):
            limit = limits[np.uint32(x[i]) * states + np.uint32(shifted[i])]
            bonds[i] = np.int32(words[i] >> NINE) >= limit
    else:
        for i in range(x.shape[0]):
            energy = energies[np.uint32(x[i]) * states + np.uint32(shifted[i])]
            bonds[i] = uniform32(words[i]) > exponential(-(scale * coupling[i] * energy))


@inlined
def open_edge(stride, block, bonds):
    """Take away the bonds that leave an open edge."""
    for end in range(block, bonds.shape[0] + 1, block):
        for i in range(end - stride, end):
            bonds[i] = 0


@inlined
def count(links, counts):
    """Make every link lead to the root, count the sites of each; return the sum of squares."""
    sites = links.shape[0]
    for i in range(2 * sites):
        counts[i] = 0
    odd = np.uint32(0)
    for site in range(sites):
        root = links[links[site]]
        links[site] = root
        # Neighbours are of one cluster often, and then count in two places side by side.
        counts[root + root + odd] += np.uint32(1)
        odd ^= np.uint32(1)
    squares = np.int64(0)
    for site in range(sites):
        number = np.int64(counts[2 * site]) + np.int64(counts[2 * site + 1])
        squares += number * number
    return squares


@inlined
def recolour(x, links, words, q):
    """Give every cluster a state by the word of its root."""
    for site in range(x.shape[0]):
        x[site] = integer(words[links[site]], q)


@inlined
def flip(x, links, words, other):
    """Exchange the two states in clusters whose word is in the lower half."""
    for site in range(x.shape[0]):
        state = x[site]
        made = other[state]
        # All bits or none: a branch could not be foretold.
        stays = np.uint8(-np.int32(words[links[site]] >> np.uint32(31)))
        x[site] = made ^ ((made ^ state) & stays)


@inlined
def weigh(x, links, beta, table, other, gains, words):
    """Make the word of a root 0 if its cluster is to be exchanged by the fields, else the largest.

    ``u < e^g / (1 + e^g)`` with ``g`` the sum of all gains of the cluster, in the order of sites.
    """
    for site in range(x.shape[0]):
        gain = gain_at(site, x[site], beta, table, other)
        root = links[site]
        if root == site:
            gains[site] = gain
        else:
            gains[root] += gain
    for site in range(x.shape[0]):
        if links[site] == site:
            uniform = (float(words[site] >> NINE) + 0.5) * STEP
            word = UPPER
            if logarithm(uniform) - logarithm(1.0 - uniform) < gains[site]:
                word = np.uint32(0)
            words[site] = word


@compiled
def swendsen_wang(before, walkers, tables, plan, space, first_row, labels, x, size, changed):
    """Update some walkers, or find the labels of their clusters.

    It is one function beyond 50 lines, since numba compiles what it calls once more with it.

    Args:
        before: Uint8 ``(walkers, sites)``.
        walkers: Their global indices, int64.
        tables: The entries of :class:`.cpu_bonds.Tables`.
        plan: Those of :class:`.cpu_bonds.Plan`.
        space: Those of :class:`.cpu_bonds.Space`.
        first_row: Row of the first walker in tables that have one for each.
        labels: Int64 ``(walkers, sites)``, written where it is not empty; then states stay.
        x: Uint8 ``(walkers, sites)``, written.
        size: Float64 ``(walkers,)``: the sums of squared sizes of clusters, written.
        changed: Float32 ``(walkers,)``, written.
    """
    lengths, periodic, betas, all_couplings, bond_table, site_table = tables
    kind, reflection, recolours, _, first_sweep, sweeps, seed = plan
    pairs, all_limits, energies, other, all_bonds, shifted, links, counts, gains, _, _, _ = space
    axes = lengths.shape[0]
    sites = x.shape[1]
    words = pairs.view(np.uint32)
    q = other.shape[0]
    each = q * q
    if kind == BY_EQUALITY:
        each = sites
    for i in range(x.shape[0]):
        row = first_row + i
        index = walkers[i]
        scale = np.float32(betas[row])
        couplings = all_couplings[row % all_couplings.shape[0]]
        here = x[i]
        for site in range(sites):
            here[site] = before[i, site]
        squares = 0.0
        for sweep in range(first_sweep, first_sweep + sweeps):
            # Of two states there is but one exchange, and limits stay.
            anew = sweep == first_sweep or not (q == 2 or recolours)
            if anew:
                _, shift_word, first_word, _ = four(seed, CLUSTER, 0, sweep, 2, index)
                first = integer(first_word, q)
                # Two different states, uniform among all pairs.
                second = (first + 1 + integer(shift_word, q - 1)) % q
                exchange(
                    bond_table, reflection, recolours, first, second, other,
                    energies,
                )  # fmt: skip
            fill(pairs[: (axes * sites + 3) // 4 * 2], 0, seed, CLUSTER, sweep, 0, index)
            stride = np.int64(1)
            for axis in range(axes - 1, -1, -1):
                low = axis * sites
                block = stride * lengths[axis]
                coupling = couplings[axis]
                limits = all_limits[axis * each : axis * each + each]
                if anew and kind == BY_EQUALITY:
                    by_equality(scale, coupling, energies, limits)
                elif anew and kind == BY_STATES:
                    by_states(scale, coupling, energies, limits)
                shift(here, stride, block, shifted)
                bonds = all_bonds[low : low + sites]
                draw_bonds(
                    kind, here, shifted, words[low : low + sites], limits, scale, coupling,
                    energies, q, bonds,
                )  # fmt: skip
                if not periodic[axis]:
                    open_edge(stride, block, bonds)
                stride = block
            connect(all_bonds, lengths, links)
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
