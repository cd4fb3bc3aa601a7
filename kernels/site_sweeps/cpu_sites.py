"""Sweeps site by site, of any model: loops that numba compiles.

Local fields, exponentials and sums are those of :mod:`.reference`, term by term.
"""

from typing import Any, NamedTuple

import numpy as np

from ..functions.cpu import exponential, uniform32
from ..native.compiling import compiled, inlined
from ..native.words import fill
from ..philox import Stream
from .reference import SAME_LENGTH

__all__ = ["Draws", "Order", "Terms", "by_colour", "reflect_sites", "sweep_sites", "update_sites"]

SWEEP = np.uint64(Stream.SWEEP)
HALF = np.uint64(32)
ZERO = np.float32(0.0)


class Terms(NamedTuple):
    """Holds the tables of a model in the type of its fields, float32 or float64.

    Their first axis is 1 or the walkers; that of the sites has length 1 where all are alike.
    """

    near: Any
    """Neighbours ahead and behind in each direction, -1 for none; int32 ``(sites, 2 ndim)``."""
    coupling: Any
    """``J``, ``(1 | walkers, 1 | axes, 1 | sites)``."""
    ahead: Any
    """``φ(a, b)`` in row ``b``, ``(q, q)``."""
    behind: Any
    """``φ(b, a)`` in row ``b``, ``(q, q)``."""
    site_table: Any
    """``h``, ``(1 | walkers, 1 | sites, q)``."""
    beta: Any
    """``β``, ``(1 | walkers,)``."""


class Draws(NamedTuple):
    """Holds what chooses the random words."""

    walkers: Any
    """Global index of each walker, int64 ``(walkers,)``."""
    first_sweep: int
    sweeps: int
    seed: int


class Order(NamedTuple):
    """Holds the sites colour by colour."""

    sites: Any
    """Flat indices, int32 ``(sites,)``."""
    ends: Any
    """Colour ``c`` is ``sites[ends[c] : ends[c + 1]]``, int64 ``(num_colours + 1,)``."""


@compiled
def by_colour(colours, order):
    """Write the order of the sites; ``colours`` int8 ``(sites,)``. Others are left out."""
    ends = order.ends
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
            order.sites[place[colour]] = site
            place[colour] += 1


@inlined
def local_fields(fields, x, site, w, terms):
    """Write ``W_a(i)``: the field, then in each direction the neighbours ahead and behind."""
    table = terms.site_table[min(w, len(terms.site_table) - 1)]
    # Site 0 stands for all where they are alike.
    row = site if len(table) > 1 else 0
    for a in range(len(fields)):
        fields[a] = table[row, a]
    coupling = terms.coupling[min(w, len(terms.coupling) - 1)]
    last = len(coupling) - 1
    own = coupling.shape[1] > 1
    for axis in range(terms.near.shape[1] // 2):
        bonds = coupling[min(axis, last)]
        there = terms.near[site, 2 * axis]
        if there >= 0:
            bond = bonds[site if own else 0]
            for a in range(len(fields)):
                fields[a] += bond * terms.ahead[x[there], a]
        there = terms.near[site, 2 * axis + 1]
        if there >= 0:
            bond = bonds[there if own else 0]
            for a in range(len(fields)):
                fields[a] += bond * terms.behind[x[there], a]


@inlined
def redrawn(fields, beta, uniform):
    """Return the heat bath's new state; the fields become weights."""
    for a in range(len(fields)):
        fields[a] *= beta
    top = fields[0]
    for a in range(1, len(fields)):
        top = max(top, fields[a])
    fields[0] = exponential(fields[0] - top)
    total = fields[0]
    for a in range(1, len(fields)):
        fields[a] = exponential(fields[a] - top)
        total += fields[a]
    drawn = 0
    threshold = ZERO
    # The last state needs no threshold, so rounding cannot lead out of range.
    for a in range(len(fields) - 1):
        threshold += fields[a] / total
        if threshold <= uniform:
            drawn += 1
    return drawn


@inlined
def acceptance(log_ratio):
    """Return ``min(1, e^Δ)``."""
    return exponential(min(log_ratio, ZERO))


@inlined
def update_sites(x, sites, fields, w, terms, words, proposals, keep):
    """Redraw these sites of a walker, or where ``keep`` is positive try to move them.

    ``words`` uint32 ``(sites,)`` decide; ``proposals``, as many where q > 2, propose.
    """
    q = len(fields)
    beta = terms.beta[min(w, len(terms.beta) - 1)]
    for place in range(len(sites)):
        site = sites[place]
        local_fields(fields, x, site, w, terms)
        uniform = uniform32(words[site])
        if keep == ZERO:
            x[site] = redrawn(fields, beta, uniform)
        else:
            # The upper half of a product is uniform in 0 … q-2.
            shift = 1
            if q > 2:
                shift += np.int64(np.uint64(proposals[site]) * np.uint64(q - 1) >> HALF)
            here = np.int64(x[site])
            there = (here + shift) % q
            if uniform < keep * acceptance(beta * (fields[there] - fields[here])):
                x[site] = there


@compiled
def sweep_sites(x, begin, end, order, terms, draws, keep):
    """Sweep walkers ``begin … end - 1``: heat bath if ``keep`` is 0, else Metropolis.

    ``x`` int8 ``(walkers, sites)``; ``keep`` is the probability that a site does not rest.
    """
    q = len(terms.ahead)
    # Four sites share a counter, whose words are two pairs.
    pairs = np.empty((x.shape[1] + 3) // 4 * 2, np.uint64)
    others = np.empty(len(pairs), np.uint64)
    fields = np.empty(q, np.float32)
    draw = 0 if keep == ZERO else 1
    for w in range(begin, end):
        walker = draws.walkers[w]
        for sweep in range(draws.first_sweep, draws.first_sweep + draws.sweeps):
            fill(pairs, draws.seed, SWEEP, sweep, draw, walker)
            if draw == 1 and q > 2:
                fill(others, draws.seed, SWEEP, sweep, 0, walker)
            for colour in range(len(order.ends) - 1):
                sites = order.sites[order.ends[colour] : order.ends[colour + 1]]
                words = pairs.view(np.uint32)
                update_sites(x[w], sites, fields, w, terms, words, others.view(np.uint32), keep)


@inlined
def nearest_axis(fields, waves):
    """Return the least ``r`` of the axes nearest to the local field."""
    q = len(fields)
    along = fields[0] * waves[0, 0]
    across = fields[0] * waves[1, 0]
    for a in range(1, q):
        along += fields[a] * waves[0, a]
        across += fields[a] * waves[1, a]
    largest = 0.0
    for r in range(q):
        largest = max(largest, abs(along * waves[2, r] + across * waves[3, r]))
    for r in range(q):
        # Lengths that differ by less count as equal: rounding does not choose.
        if abs(along * waves[2, r] + across * waves[3, r]) >= largest - SAME_LENGTH:
            return r
    return 0


@compiled
def reflect_sites(x, begin, end, order, terms, draws, waves):
    """Make over-relaxation sweeps of walkers ``begin … end - 1``; fields are float64."""
    q = len(terms.ahead)
    pairs = np.empty((x.shape[1] + 3) // 4 * 2, np.uint64)
    words = pairs.view(np.uint32)
    fields = np.empty(q, np.float64)
    for w in range(begin, end):
        beta = terms.beta[min(w, len(terms.beta) - 1)]
        for sweep in range(draws.first_sweep, draws.first_sweep + draws.sweeps):
            fill(pairs, draws.seed, SWEEP, sweep, 1, draws.walkers[w])
            for place in range(order.ends[-1]):
                site = order.sites[place]
                local_fields(fields, x[w], site, w, terms)
                here = np.int64(x[w, site])
                there = (nearest_axis(fields, waves) - here) % q
                log_ratio = np.float32(beta * (fields[there] - fields[here]))
                if uniform32(words[site]) < acceptance(log_ratio):
                    x[w, site] = there
