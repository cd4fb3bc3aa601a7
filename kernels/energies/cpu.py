"""Energies and log-ratios on a CPU: the loops of numba, with the numbers of :mod:`.reference`.

The neighbours of all sites in a direction are first laid out as an array of their own. Then every
loop runs over all sites in memory order, whatever the shape of the lattice, and becomes one of
vectors.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..native.compiling import compiled, inlined
from ..native.threads import over_walkers
from .reference import LANES, LocalEnergy, Sums, Tables, bonds_along

__all__ = ["energy", "local_energy"]


@inlined
def copy(source, target):
    """Copy a row; assigning to a part of an array would first look whether the two overlap."""
    for i in range(target.shape[0]):
        target[i] = source[i]


@inlined
def look_ahead(x, found, length, stride):
    """Write every site's neighbour ahead in a direction of this length and stride, which wraps."""
    sites = x.shape[0]
    copy(x[stride:], found[: sites - stride])
    line = length * stride
    # At the end of a line the neighbour is the site at its other end.
    if stride == 1:
        for row in range(sites // line):
            found[(row + 1) * line - 1] = x[row * line]
    else:
        for first in range(0, sites, line):
            copy(x[first:], found[first + line - stride : first + line])


@inlined
def look_behind(x, found, length, stride):
    """Write every site's neighbour behind, as :func:`look_ahead` does those ahead."""
    sites = x.shape[0]
    copy(x, found[stride:])
    line = length * stride
    if stride == 1:
        for row in range(sites // line):
            found[row * line] = x[(row + 1) * line - 1]
    else:
        for first in range(0, sites, line):
            copy(x[first + line - stride :], found[first : first + stride])


@inlined
def add_bonds(field, states, table, bonds):
    """Add ``J φ(a, x_j)`` of one direction to the field of one state at all sites."""
    if table.shape[0] == 2:
        # A choice between two numbers is a vector, other than a look into a table.
        down = table[0]
        up = table[1]
        for i in range(field.shape[0]):
            field[i] += bonds[i] * (up if states[i] else down)
    else:
        for i in range(field.shape[0]):
            field[i] += bonds[i] * table[states[i]]


@compiled
def log_ratios_of(x, bonds, tables, site_table, beta, lengths, strides, first, end, out):
    """Write ``Δ_k(i)`` of walkers ``first … end - 1`` into ``out``, ``(walkers, q-1, sites)``.

    ``bonds`` ``(1 | walkers, axes, 2, sites)`` are ``J`` of every site's bond ahead and behind, 0
    where there is none, and ``tables`` ``(2, q, q)`` are ``φ`` with the site's own state first.
    """
    q = tables.shape[1]
    sites = x.shape[1]
    fields = np.empty((q, sites), out.dtype)
    found = np.empty((2, sites), np.int8)
    for walker in range(first, end):
        states = x[walker]
        table = site_table[min(walker, site_table.shape[0] - 1)]
        for a in range(q):
            copy(table[a], fields[a])
        own = bonds[min(walker, bonds.shape[0] - 1)]
        for axis in range(lengths.shape[0]):
            look_ahead(states, found[0], lengths[axis], strides[axis])
            look_behind(states, found[1], lengths[axis], strides[axis])
            for side in range(2):
                for a in range(q):
                    add_bonds(fields[a], found[side], tables[side, a], own[axis, side])
        scale = beta[min(walker, beta.shape[0] - 1)]
        if q == 2:
            down = fields[0]
            up = fields[1]
            row = out[walker, 0]
            for i in range(sites):
                to_up = up[i] - down[i]
                # The difference the other way has the same digits.
                row[i] = scale * (-to_up if states[i] else to_up)
        else:
            for shift in range(1, q):
                row = out[walker, shift - 1]
                for i in range(sites):
                    here = states[i]
                    there = here + shift
                    if there >= q:
                        there -= q
                    row[i] = scale * (fields[there, i] - fields[here, i])


@inlined
def count_ups(x, up, numbers, length, stride, wraps):
    """Count bonds of one direction of a model of two states, as :func:`count_kinds` does.

    ``up`` is the number of sites in state 1; how many bonds have it at both ends tells the rest.
    """
    sites = x.shape[0]
    line = length * stride
    within = line - stride
    both = 0
    ahead = x[stride:]
    for i in range(sites - stride):
        both += x[i] & ahead[i]
    # These lead from one line into the next.
    for first in range(line, sites, line):
        for i in range(first, first + stride):
            both -= x[i - stride] & x[i]
    here = up
    there = up
    bonds = sites
    if wraps:
        for first in range(0, sites, line):
            for i in range(first, first + stride):
                both += x[i + within] & x[i]
    else:
        # Ends of lines have no bond ahead, and their beginnings none behind.
        for first in range(0, sites, line):
            for i in range(first, first + stride):
                here -= x[i + within]
                there -= x[i]
        bonds = sites - sites // length
    numbers[3] = both
    numbers[2] = here - both
    numbers[1] = there - both
    numbers[0] = bonds - here - there + both


@inlined
def count_kinds(x, ahead, q, numbers, length, stride, wraps):
    """Count bonds of one direction by the states at their ends, ``q x_i + x_j``."""
    sites = x.shape[0]
    line = length * stride
    numbers[:] = 0
    look_ahead(x, ahead, length, stride)
    for i in range(sites):
        numbers[q * np.int64(x[i]) + ahead[i]] += 1
    if not wraps:
        # Bonds around the edge do not count.
        for edge in range(line - stride, sites, line):
            for i in range(edge, edge + stride):
                numbers[q * np.int64(x[i]) + ahead[i]] -= 1


@inlined
def sum_of_sites(values, lanes):
    """Return the sum of a row in the order of :func:`.reference.sum_of_sites`."""
    sites = values.shape[0]
    lanes[:] = 0.0
    for block in range(sites // LANES):
        row = values[block * LANES : (block + 1) * LANES]
        for lane in range(LANES):
            lanes[lane] += row[lane]
    whole = sites - sites % LANES
    for i in range(whole, sites):
        lanes[i - whole] += values[i]
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    return total


@inlined
def sum_of_bonds(x, ahead, bond_table, bonds, values, lanes):
    """Return ``Σ J φ(x_i, x_j)`` of one direction, the bonds 0 where there is none."""
    q = bond_table.shape[0]
    if q == 2:
        down_down = bond_table[0, 0]
        down_up = bond_table[0, 1]
        up_down = bond_table[1, 0]
        up_up = bond_table[1, 1]
        for i in range(x.shape[0]):
            down = down_up if ahead[i] else down_down
            up = up_up if ahead[i] else up_down
            values[i] = bonds[i] * (up if x[i] else down)
    else:
        for i in range(x.shape[0]):
            values[i] = bonds[i] * bond_table[x[i], ahead[i]]
    return sum_of_sites(values, lanes)


@inlined
def count_states(states, counts):
    """Count the sites in each state."""
    if counts.shape[0] == 2:
        up = 0
        for i in range(states.shape[0]):
            up += states[i]
        counts[1] = up
        counts[0] = states.shape[0] - up
    else:
        counts[:] = 0
        for i in range(states.shape[0]):
            counts[states[i]] += 1


@compiled
def energies_of(
    x, bonds, bond_table, site_table, lengths, strides, periodic, first, end, energies, counts
):
    """Write energy and state counts of walkers ``first … end - 1``.

    ``bonds`` ``(1 | walkers, axes, 1 | sites)`` and ``site_table`` ``(1 | walkers, q, 1 | sites)``
    have a last axis of 1 where they are uniform.
    """
    q = counts.shape[1]
    sites = x.shape[1]
    lanes = np.empty(LANES)
    values = np.empty(sites)
    ahead = np.empty(sites, np.int8)
    numbers = np.empty(q * q, np.int64)
    kinds = bond_table.reshape(-1)
    for walker in range(first, end):
        states = x[walker]
        count_states(states, counts[walker])
        table = site_table[min(walker, site_table.shape[0] - 1)]
        total = 0.0
        if table.shape[1] == 1:
            for a in range(q):
                total += counts[walker, a] * table[a, 0]
        else:
            for i in range(sites):
                values[i] = table[states[i], i]
            total = sum_of_sites(values, lanes)
        own = bonds[min(walker, bonds.shape[0] - 1)]
        for axis in range(lengths.shape[0]):
            length = lengths[axis]
            stride = strides[axis]
            if own.shape[1] > 1:
                look_ahead(states, ahead, length, stride)
                total += sum_of_bonds(states, ahead, bond_table, own[axis], values, lanes)
                continue
            if q == 2:
                count_ups(states, counts[walker, 1], numbers, length, stride, periodic[axis])
            else:
                count_kinds(states, ahead, q, numbers, length, stride, periodic[axis])
            along = 0.0
            for kind in range(q * q):
                along += numbers[kind] * kinds[kind]
            total += own[axis, 0] * along
        energies[walker] = -total


class _Lattice:
    """Configurations and tables as the loops take them."""

    def __init__(self, configurations: Tensor, tables: Tables) -> None:
        self.given = tables
        self.configurations = configurations
        shape = configurations.shape[1:]
        self.sites = shape.numel()
        self.ndim = len(shape)
        self.q = len(tables.bond_table)
        self.x = configurations.reshape(-1, self.sites).contiguous().numpy()
        self.lengths = np.array(shape, np.int64)
        self.strides = self.sites // np.cumprod(self.lengths)

    def bonds(self) -> list[Tensor]:
        """Return ``J`` of the bonds ahead by direction, ``(1 | walkers, *shape)``."""
        shape = self.configurations.shape[1:]
        found = []
        for axis in range(self.ndim):
            bonds = bonds_along(self.given.coupling, axis, self.configurations, self.given.periodic)
            found.append(bonds.expand(-1, *shape))
        return found

    def fields(self) -> Tensor:
        """Return the site table of all sites, ``(1 | walkers, q, sites)``."""
        shape = self.configurations.shape[1:]
        return self.given.site_table.expand(-1, self.q, *shape).flatten(2)


def energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    periodic: Sequence[bool],
) -> Sums:
    """Return what :func:`.reference.energy` does."""
    lattice = _Lattice(configurations, Tables(coupling, bond_table, site_table, periodic))
    walkers = len(configurations)
    if coupling.shape[2:].numel() == 1:
        bonds = coupling.flatten(2).expand(-1, lattice.ndim, 1)
    else:
        bonds = torch.stack([along.flatten(1) for along in lattice.bonds()], 1)
    if site_table.shape[2:].numel() == 1:
        fields = site_table.flatten(2)
    else:
        fields = lattice.fields()
    tables = [table.contiguous().numpy() for table in (bonds, bond_table, fields)]
    edges = np.array(periodic, np.bool_)
    energies = np.empty(walkers)
    counts = np.empty((walkers, lattice.q), np.int64)

    def work(first: int, end: int) -> None:
        energies_of(
            lattice.x, *tables, lattice.lengths, lattice.strides, edges, first, end, energies,
            counts,
        )  # fmt: skip

    over_walkers(work, walkers, lattice.sites)
    return Sums(torch.from_numpy(energies), torch.from_numpy(counts))


def local_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype = torch.float32,
) -> LocalEnergy:
    """Return what :func:`.reference.local_energy` does."""
    given = Tables(coupling, bond_table, site_table, periodic)
    lattice = _Lattice(configurations, given)
    walkers, *shape = configurations.shape
    sites = lattice.sites
    # The bond behind a site is that ahead of its neighbour.
    sides = [torch.stack([b, b.roll(1, axis + 1)], 1) for axis, b in enumerate(lattice.bonds())]
    bonds = torch.stack(sides, 1).flatten(3).to(dtype).contiguous().numpy()
    ahead = bond_table.to(dtype)
    tables = torch.stack([ahead, ahead.T]).numpy()
    fields = lattice.fields().to(dtype).contiguous().numpy()
    scale = beta.to(dtype).contiguous().numpy()
    log_ratios = torch.empty(walkers, lattice.q - 1, sites, dtype=dtype)
    out = log_ratios.numpy()

    def work(first: int, end: int) -> None:
        log_ratios_of(
            lattice.x, bonds, tables, fields, scale, lattice.lengths, lattice.strides,
            first, end, out,
        )  # fmt: skip

    over_walkers(work, walkers, lattice.q * lattice.ndim * sites)
    energies = energy(configurations, *given).energy
    return LocalEnergy(energies, log_ratios.view(walkers, lattice.q - 1, *shape))
