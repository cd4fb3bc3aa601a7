"""Energies and log-ratios on graphs on a CPU, with the numbers of :mod:`.reference`.

Walkers are taken one by one, and sites in blocks whose fields stay near the processor. Where there
are many walkers the states of a block of them lie side by side: what a neighbour adds is then the
same for a whole vector.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..energies.cpu import count_states, sum_of_sites
from ..energies.reference import LANES, LocalEnergy, Sums
from ..native.compiling import compiled, inlined
from ..native.threads import over_walkers
from ..native.turning import turn
from . import reference
from .cpu_ratios import WIDTH, log_ratios_of
from .rule import energies_by_product, ratios_by_product

__all__ = ["graph_energy", "graph_local_energy"]


@inlined
def field_energies(x, counts, table, values, lanes):
    """Return ``Σ_i h_i(x_i)`` of one walker, in the order of the twin."""
    total = 0.0
    if table.shape[1] == 1:
        for a in range(table.shape[0]):
            total += counts[a] * table[a, 0]
        return total
    for i in range(x.shape[0]):
        values[i] = table[x[i], i]
    return sum_of_sites(values[: x.shape[0]], lanes)


@inlined
def edges_of_one(x, edges, bonds, bond_table, values, lanes):
    """Return ``Σ J φ(x_i, x_j)`` of one walker."""
    for e in range(edges.shape[0]):
        values[e] = bonds[e] * bond_table[x[edges[e, 0]], x[edges[e, 1]]]
    return sum_of_sites(values[: edges.shape[0]], lanes)


@inlined
def edges_of_many(turned, edges, bonds, bond_table, sums):
    """Add ``J φ(x_i, x_j)`` of walkers side by side to sums, float64 ``(LANES, width)``."""
    q = bond_table.shape[0]
    width = turned.shape[1]
    for e in range(edges.shape[0]):
        first = turned[edges[e, 0]]
        second = turned[edges[e, 1]]
        total = sums[e % LANES]
        bond = bonds[e]
        if q == 2:
            # A choice between two numbers is a vector, other than a look into a table.
            down_down = bond * bond_table[0, 0]
            down_up = bond * bond_table[0, 1]
            up_down = bond * bond_table[1, 0]
            up_up = bond * bond_table[1, 1]
            for w in range(width):
                down = down_up if second[w] else down_down
                up = up_up if second[w] else up_down
                total[w] += up if first[w] else down
        else:
            for w in range(width):
                total[w] += bond * bond_table[first[w], second[w]]


@compiled
def energies_of(x, edges, all_bonds, bond_table, site_tables, begin, end, energies, counts):
    """Write energy and state counts of walkers ``begin … end - 1``."""
    sites = x.shape[1]
    lanes = np.empty(LANES)
    values = np.empty(max(sites, edges.shape[0]))
    sums = np.empty((LANES, WIDTH))
    turned = np.zeros((sites, WIDTH), np.int8)
    # Couplings of each walker's own are no vector's.
    step = WIDTH if all_bonds.shape[0] == 1 else 1
    for first in range(begin, end, step):
        count = min(step, end - first)
        many = 2 * count > WIDTH
        if many:
            turn(x[first : first + count], turned, count, sites)
            sums[:] = 0.0
            edges_of_many(turned, edges, all_bonds[0], bond_table, sums)
        for w in range(count):
            walker = first + w
            count_states(x[walker], counts[walker])
            table = site_tables[min(walker, site_tables.shape[0] - 1)]
            total = field_energies(x[walker], counts[walker], table, values, lanes)
            bonds = all_bonds[min(walker, all_bonds.shape[0] - 1)]
            along = 0.0
            if many:
                for lane in range(LANES):
                    along += sums[lane, w]
            else:
                along = edges_of_one(x[walker], edges, bonds, bond_table, values, lanes)
            energies[walker] = -(total + along)


def _numbers(tensor: Tensor) -> Any:
    """Return a tensor as an array whose numbers are side by side."""
    return tensor.contiguous().numpy()


def graph_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    edges: Tensor,
) -> Sums:
    """Return what :func:`.reference.graph_energy` does."""
    walkers, sites = configurations.shape
    if not configurations.numel() or energies_by_product(len(edges), sites):
        return reference.graph_energy(configurations, coupling, bond_table, site_table, edges)
    x = _numbers(configurations)
    bonds = _numbers(torch.atleast_2d(coupling))
    tables = (_numbers(edges), bonds, _numbers(bond_table), _numbers(site_table))
    energies = np.empty(walkers)
    counts = np.empty((walkers, len(bond_table)), np.int64)

    def work(first: int, end: int) -> None:
        energies_of(x, *tables, first, end, energies, counts)

    over_walkers(work, walkers, sites + len(edges))
    return Sums(torch.from_numpy(energies), torch.from_numpy(counts))


def graph_local_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    neighbours: Tensor,
    bond: Tensor,
    behind: Tensor,
    edges: Tensor,
    dtype: torch.dtype = torch.float32,
) -> LocalEnergy:
    """Return what :func:`.reference.graph_local_energy` does."""
    walkers, sites = configurations.shape
    if not configurations.numel() or ratios_by_product(len(neighbours), sites):
        tables = (coupling, bond_table, site_table, beta, neighbours, bond, behind, edges)
        return reference.graph_local_energy(configurations, *tables, dtype)
    x = _numbers(configurations)
    q = len(bond_table)
    # One row of couplings per site, in the order of its neighbours.
    rows = torch.atleast_2d(coupling).to(dtype).index_select(1, bond.flatten())
    bonds = _numbers(rows.view(len(rows), *bond.shape))
    ahead = bond_table.to(dtype)
    both = _numbers(torch.cat([ahead, ahead.T], 1))
    around = (_numbers(neighbours), bonds, _numbers(behind.to(torch.uint8)), both)
    fields = (_numbers(site_table.to(dtype)), _numbers(beta.to(dtype)))
    log_ratios = torch.empty(walkers, q - 1, sites, dtype=dtype)
    out = log_ratios.numpy()

    def work(first: int, end: int) -> None:
        log_ratios_of(x, *around, *fields, first, end, out)

    over_walkers(work, walkers, q * len(neighbours) * sites)
    sums = graph_energy(configurations, coupling, bond_table, site_table, edges)
    return LocalEnergy(sums.energy, log_ratios)
