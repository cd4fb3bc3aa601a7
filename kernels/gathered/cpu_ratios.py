"""Log-ratios of local moves on graphs on a CPU: of walkers one by one, or side by side."""

import numpy as np

from ..native.compiling import compiled, inlined
from ..native.turning import turn

__all__ = ["WIDTH", "fields_of_many", "fields_of_one", "log_ratios_of"]

BLOCK = 512
"""Sites of a block of one walker, whose fields stay near the processor."""
SITES = 16
"""Sites of a block of walkers side by side."""
WIDTH = 64
"""Walkers whose states lie side by side."""


@inlined
def fields_of_one(fields, states, x, near, bonds, behind, tables, site_table, first, end):
    """Write ``W_a(i)`` of a block of sites of one walker: the field, then neighbour by neighbour.

    ``fields`` ``(q, block)``; ``tables`` ``(q, 2 q)`` are ``φ`` with the site's own state first, as
    its first end and as its second.
    """
    q = fields.shape[0]
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
    for slot in range(near.shape[0]):
        there = near[slot, first:end]
        bond = bonds[slot, first:end]
        second = behind[slot, first:end]
        for k in range(count):
            # The state at the other end, and which end it is: a column of both tables.
            states[k] = np.uint32(x[there[k]]) + np.uint32(q) * second[k]
        for a in range(q):
            field = fields[a]
            row = tables[a]
            if q == 2:
                # Choices among four numbers need no look-up.
                ahead_down = row[0]
                ahead_up = row[1]
                behind_down = row[2]
                behind_up = row[3]
                for k in range(count):
                    ahead = ahead_up if states[k] & 1 else ahead_down
                    chosen = behind_up if states[k] & 1 else behind_down
                    field[k] += bond[k] * (chosen if states[k] & 2 else ahead)
            else:
                for k in range(count):
                    field[k] += bond[k] * row[states[k]]


@inlined
def fields_of_many(fields, turned, near, bonds, behind, tables, site_table, site):
    """Write ``W_a(i)`` of one site for walkers side by side, ``fields`` ``(q, width)``."""
    q = fields.shape[0]
    width = fields.shape[1]
    place = min(site, site_table.shape[1] - 1)
    for a in range(q):
        own = site_table[a, place]
        for w in range(width):
            fields[a, w] = own
    if q == 2:
        add_of_two(fields, turned, near, bonds, behind, tables, site)
        return
    for slot in range(near.shape[0]):
        there = near[slot, site]
        bond = bonds[slot, site]
        # The columns of the table for this end of the edge.
        column = q * np.int64(behind[slot, site])
        for a in range(q):
            if q == 3:
                zero = bond * tables[a, column]
                one = bond * tables[a, column + 1]
                two = bond * tables[a, column + 2]
                for w in range(width):
                    above = two if turned[there, w] == 2 else one
                    fields[a, w] += above if turned[there, w] else zero
            else:
                for w in range(width):
                    fields[a, w] += bond * tables[a, column + turned[there, w]]


@inlined
def add_of_two(fields, turned, near, bonds, behind, tables, site):
    """Add the neighbours of a site that has two states, one choice for both of them."""
    down = fields[0]
    up = fields[1]
    for slot in range(near.shape[0]):
        states = turned[near[slot, site]]
        bond = bonds[slot, site]
        column = 2 * np.int64(behind[slot, site])
        down_by_down = bond * tables[0, column]
        down_by_up = bond * tables[0, column + 1]
        up_by_down = bond * tables[1, column]
        up_by_up = bond * tables[1, column + 1]
        for w in range(down.shape[0]):
            down[w] += down_by_up if states[w] else down_by_down
            up[w] += up_by_up if states[w] else up_by_down


@inlined
def ratios_of(ratios, fields, states, scale):
    """Write ``Δ_k`` from local fields, lane by lane: ``ratios`` ``(q-1, lanes)``."""
    q = fields.shape[0]
    if q == 2:
        down = fields[0]
        up = fields[1]
        row = ratios[0]
        for k in range(row.shape[0]):
            to_up = up[k] - down[k]
            # The difference the other way has the same digits.
            row[k] = scale[k] * (-to_up if states[k] else to_up)
        return
    for shift in range(1, q):
        row = ratios[shift - 1]
        for k in range(row.shape[0]):
            here = np.int64(states[k])
            there = here + shift
            if there >= q:
                there -= q
            row[k] = scale[k] * (fields[there, k] - fields[here, k])


@inlined
def write_many(out, ratios, first, count, width):
    """Write ratios ``(sites, q-1, width)`` of a block of sites as ``(walkers, q-1, sites)``."""
    for w in range(width):
        for move in range(out.shape[1]):
            row = out[w, move]
            for k in range(count):
                row[first + k] = ratios[k, move, w]


@compiled
def log_ratios_of(x, near, all_bonds, behind, tables, site_tables, betas, begin, end, out):
    """Write ``Δ_k(i)`` of walkers ``begin … end - 1`` into ``out``, ``(walkers, q-1, sites)``."""
    q = tables.shape[0]
    sites = x.shape[1]
    fields = np.empty((q, BLOCK), out.dtype)
    states = np.empty(BLOCK, np.uint32)
    scale = np.empty(BLOCK, out.dtype)
    turned = np.zeros((sites, WIDTH), np.int8)
    together = np.zeros((q, WIDTH), out.dtype)
    ratios = np.empty((SITES, q - 1, WIDTH), out.dtype)
    step = WIDTH
    # Tables of each walker's own are no vector's.
    if all_bonds.shape[0] > 1 or site_tables.shape[0] > 1:
        step = 1
    for walker in range(begin, end, step):
        count = min(step, end - walker)
        if 2 * count > WIDTH:
            turn(x[walker : walker + count], turned, count, sites)
            for w in range(WIDTH):
                scale[w] = betas[min(walker + w, betas.shape[0] - 1)]
            for first in range(0, sites, SITES):
                last = min(first + SITES, sites)
                for site in range(first, last):
                    fields_of_many(
                        together, turned, near, all_bonds[0], behind, tables, site_tables[0], site
                    )
                    ratios_of(ratios[site - first], together, turned[site], scale)
                write_many(out[walker : walker + count], ratios, first, last - first, count)
            continue
        for own in range(walker, walker + count):
            table = site_tables[min(own, site_tables.shape[0] - 1)]
            bonds = all_bonds[min(own, all_bonds.shape[0] - 1)]
            scale[:] = betas[min(own, betas.shape[0] - 1)]
            for first in range(0, sites, BLOCK):
                last = min(first + BLOCK, sites)
                fields_of_one(
                    fields, states, x[own], near, bonds, behind, tables, table, first, last
                )
                ratios_of(out[own, :, first:last], fields, x[own, first:last], scale)
