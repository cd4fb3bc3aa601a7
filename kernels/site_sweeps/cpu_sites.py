"""Sweeps of any model: loops that numba compiles, over blocks of sites of one colour.

Local fields, exponentials and sums are those of :mod:`.reference`, term by term. Each loop over the
sites of a block does one thing, so that the compiler makes it one of vectors.
"""

from typing import Any, NamedTuple

import numpy as np

from ..functions.cpu import exponential, uniform32
from ..native.compiling import compiled, inlined
from ..native.words import fill
from ..philox import Stream
from .reference import SAME_LENGTH

__all__ = ["BLOCK", "Draws", "Order", "Terms", "by_colour", "in_order", "reflect", "sweep"]

SWEEP = np.uint64(Stream.SWEEP)
HALF = np.uint64(32)
ONE = np.uint64(1)
ZERO = np.float32(0.0)
BLOCK = 128
"""Sites of a block, whose fields stay near the processor."""


class Order(NamedTuple):
    """Holds the sites colour by colour."""

    sites: Any
    """Flat indices, uint32 ``(sites,)``; those of no colour are left out."""
    ends: Any
    """Colour ``c`` is ``sites[ends[c] : ends[c + 1]]``, int64 ``(num_colours + 1,)``."""
    near: Any
    """Neighbours in the order of the sites: in each direction the one ahead, then the one behind,
    the site itself for none; uint32 ``(2 ndim, sites)``."""


class Terms(NamedTuple):
    """Holds the tables of a model, in the order of the sites and the type of its fields.

    Their first axis is 1 or the walkers.
    """

    bonds: Any
    """``J`` of each neighbour, 0 for none, ``(1 | walkers, 2 ndim, sites)``."""
    ahead: Any
    """``φ(a, b)`` in row ``a``, ``(q, q)``."""
    behind: Any
    """``φ(b, a)`` in row ``a``, ``(q, q)``."""
    site_table: Any
    """``h``, ``(1 | walkers, q, 1 | sites)``."""
    beta: Any
    """``β``, ``(1 | walkers,)``."""


class Draws(NamedTuple):
    """Holds what chooses the random words."""

    walkers: Any
    """Global index of each walker, int64 ``(walkers,)``."""
    first_sweep: int
    sweeps: int
    seed: int


@compiled
def by_colour(colours, sites, ends):
    """Write the sites of colour after colour, and where each of them ends.

    ``colours`` integers ``(sites,)``; the others as in :class:`Order`.
    """
    ends[:] = 0
    last = len(ends) - 1
    for colour in colours:
        if 0 <= colour < last:
            ends[colour + 1] += 1
    for colour in range(last):
        ends[colour + 1] += ends[colour]
    place = ends.copy()
    for site in range(len(colours)):
        colour = colours[site]
        if 0 <= colour < last:
            sites[place[colour]] = site
            place[colour] += 1


@compiled
def in_order(sites, neighbours, coupling, near, bonds):
    """Write neighbours and their bonds in the order of the sites.

    ``neighbours`` int32 ``(2 ndim, sites)``, -1 for none; ``coupling`` ``(1 | walkers, 1 | axes,
    1 | sites)`` of the type of the bonds.
    """
    last = coupling.shape[1] - 1
    own = coupling.shape[2] > 1
    for slot in range(len(near)):
        axis = min(slot >> 1, last)
        for place in range(near.shape[1]):
            site = np.int64(sites[place])
            there = np.int64(neighbours[slot, site])
            near[slot, place] = site if there < 0 else there
            # A bond belongs to its lower end.
            end = there if slot & 1 else site
            for w in range(len(bonds)):
                if there < 0:
                    bonds[w, slot, place] = 0.0
                else:
                    bonds[w, slot, place] = coupling[w, axis, end if own else 0]


@inlined
def local_fields(fields, states, x, near, bonds, tables, site_table, first, end):
    """Write ``W_a(i)`` of a block of sites: the field, then the neighbours one by one."""
    q = len(fields)
    count = end - first
    for a in range(q):
        field = fields[a]
        if site_table.shape[1] > 1:
            own = site_table[a, first:end]
            for k in range(count):
                field[k] = own[k]
        else:
            for k in range(count):
                field[k] = site_table[a, 0]
    for slot in range(len(near)):
        table = tables[slot & 1]
        there = near[slot, first:end]
        bond = bonds[slot, first:end]
        for k in range(count):
            states[k] = x[there[k]]
        for a in range(q):
            field = fields[a]
            row = table[a]
            if q == 2:
                # A choice of two needs no look-up.
                down = row[0]
                up = row[1]
                for k in range(count):
                    chosen = up if states[k] else down
                    field[k] += bond[k] * chosen
            else:
                for k in range(count):
                    field[k] += bond[k] * row[states[k]]


@inlined
def redraw(x, sites, fields, states, top, total, words, beta):
    """Redraw a block of sites; fields become weights."""
    q = len(fields)
    count = len(sites)
    for k in range(count):
        top[k] = fields[0, k] * beta
        total[k] = ZERO
        states[k] = 0
    for a in range(q):
        field = fields[a]
        for k in range(count):
            field[k] *= beta
            top[k] = max(top[k], field[k])
    for a in range(q):
        field = fields[a]
        for k in range(count):
            field[k] = exponential(field[k] - top[k])
            # The first sum is exact.
            total[k] += field[k]
    uniform = fields[q - 1]
    for k in range(count):
        top[k] = ZERO
        # The weight of the last state is no longer needed: it needs no threshold, so that rounding
        # cannot lead out of range.
        uniform[k] = uniform32(words[sites[k]])
    for a in range(q - 1):
        field = fields[a]
        for k in range(count):
            top[k] += field[k] / total[k]
            if top[k] <= uniform[k]:
                states[k] += 1
    for k in range(count):
        x[sites[k]] = states[k]


@inlined
def acceptance(log_ratio):
    """Return ``min(1, e^Δ)``."""
    return exponential(min(log_ratio, ZERO))


@inlined
def move(x, sites, fields, states, top, total, words, proposals, beta, keep):
    """Try to move a block of sites."""
    q = len(fields)
    count = len(sites)
    for k in range(count):
        site = sites[k]
        # The upper half of a product is uniform in 0 … q-2.
        shift = np.uint64(0)
        if q > 2:
            shift = np.uint64(proposals[site]) * np.uint64(q - 1) >> HALF
        here = np.int64(x[site])
        there = here + 1 + np.int64(shift)
        if there >= q:
            there -= q
        states[k] = there
        top[k] = beta * (fields[there, k] - fields[here, k])
        total[k] = uniform32(words[site])
    for k in range(count):
        top[k] = keep * acceptance(top[k])
    for k in range(count):
        site = sites[k]
        # Without a branch, which nobody could foresee.
        x[site] = states[k] if total[k] < top[k] else x[site]


@compiled
def sweep(x, begin, stop, order, terms, draws, keep):
    """Sweep walkers ``begin … stop - 1``: heat bath if ``keep`` is 0, else Metropolis.

    ``x`` int8 ``(walkers, sites)``; ``keep`` is the probability that a site does not rest.
    """
    sites, ends, near = order
    all_bonds, ahead, behind, site_tables, betas = terms
    walkers, first_sweep, sweeps, seed = draws
    tables = (ahead, behind)
    q = len(ahead)
    fields = np.empty((q, BLOCK), np.float32)
    states = np.empty(BLOCK, np.uint32)
    top = np.empty(BLOCK, np.float32)
    total = np.empty(BLOCK, np.float32)
    # Four sites share a counter, whose words are two pairs.
    pairs = np.empty((x.shape[1] + 3) // 4 * 2, np.uint64)
    others = np.empty(len(pairs), np.uint64)
    words = pairs.view(np.uint32)
    proposals = others.view(np.uint32)
    for w in range(begin, stop):
        bonds = all_bonds[min(w, len(all_bonds) - 1)]
        table = site_tables[min(w, len(site_tables) - 1)]
        beta = betas[min(w, len(betas) - 1)]
        for number in range(first_sweep, first_sweep + sweeps):
            if keep == ZERO:
                fill(pairs, 0, seed, SWEEP, number, 0, walkers[w])
            else:
                fill(pairs, 0, seed, SWEEP, number, 1, walkers[w])
            if keep > ZERO and q > 2:
                fill(others, 0, seed, SWEEP, number, 0, walkers[w])
            for colour in range(len(ends) - 1):
                for first in range(ends[colour], ends[colour + 1], BLOCK):
                    end = min(first + BLOCK, ends[colour + 1])
                    own = sites[first:end]
                    local_fields(fields, states, x[w], near, bonds, tables, table, first, end)
                    if keep == ZERO:
                        redraw(x[w], own, fields, states, top, total, words, beta)
                    else:
                        move(x[w], own, fields, states, top, total, words, proposals, beta, keep)


@inlined
def nearest_axis(fields, k, waves):
    """Return the least ``r`` of the axes nearest to the local field."""
    q = len(fields)
    along = fields[0, k] * waves[0, 0]
    across = fields[0, k] * waves[1, 0]
    for a in range(1, q):
        along += fields[a, k] * waves[0, a]
        across += fields[a, k] * waves[1, a]
    largest = 0.0
    for r in range(q):
        largest = max(largest, abs(along * waves[2, r] + across * waves[3, r]))
    for r in range(q):
        # Lengths that differ by less count as equal: rounding does not choose.
        if abs(along * waves[2, r] + across * waves[3, r]) >= largest - SAME_LENGTH:
            return r
    return 0


@compiled
def reflect(x, begin, stop, order, terms, draws, waves):
    """Make over-relaxation sweeps of walkers ``begin … stop - 1``; fields are float64."""
    sites, ends, near = order
    all_bonds, ahead, behind, site_tables, betas = terms
    walkers, first_sweep, sweeps, seed = draws
    tables = (ahead, behind)
    q = len(ahead)
    fields = np.empty((q, BLOCK), np.float64)
    states = np.empty(BLOCK, np.uint32)
    pairs = np.empty((x.shape[1] + 3) // 4 * 2, np.uint64)
    words = pairs.view(np.uint32)
    for w in range(begin, stop):
        bonds = all_bonds[min(w, len(all_bonds) - 1)]
        table = site_tables[min(w, len(site_tables) - 1)]
        beta = betas[min(w, len(betas) - 1)]
        for number in range(first_sweep, first_sweep + sweeps):
            fill(pairs, 0, seed, SWEEP, number, 1, walkers[w])
            for colour in range(len(ends) - 1):
                for first in range(ends[colour], ends[colour + 1], BLOCK):
                    end = min(first + BLOCK, ends[colour + 1])
                    local_fields(fields, states, x[w], near, bonds, tables, table, first, end)
                    for k in range(end - first):
                        site = sites[first + k]
                        here = np.int64(x[w, site])
                        there = nearest_axis(fields, k, waves) - here
                        if there < 0:
                            there += q
                        log_ratio = np.float32(beta * (fields[there, k] - fields[here, k]))
                        if uniform32(words[site]) < acceptance(log_ratio):
                            x[w, site] = there
