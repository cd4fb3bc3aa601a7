"""Cluster updates on a CPU, walker by walker: those of :mod:`.reference`, bit for bit.

Clusters of Potts models in a field alone are given their states by the twin: its exponentials have
no copy here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..labels.cpu import lengths_of
from ..native.threads import over_walkers
from .cpu_bonds import BY_BOND, BY_EQUALITY, BY_STATES, CHUNK, Plan, Space, Tables
from .cpu_swendsen_wang import find_labels, swendsen_wang
from .cpu_wolff import wolff
from .reference import Clusters, ClusterSweeps, changed, mean_size, recoloured, recolours

__all__ = ["swendsen_wang_sweeps", "wolff_sweeps"]


def swendsen_wang_sweeps(given: Clusters) -> ClusterSweeps:
    """Give all clusters of joined sites new states at once, sweep after sweep."""
    recolour = recolours(given)
    tables = _tables(given)
    plan = _plan(given, tables, recolour)
    if recolour and len(tables.site_table):
        return _recolour(given, tables, plan)
    return _run(swendsen_wang, given, tables, plan)


def wolff_sweeps(given: Clusters) -> ClusterSweeps:
    """Exchange two states in the cluster of a random site, or not, sweep after sweep."""
    tables = _tables(given)
    plan = _plan(given, tables, recolour=False)
    # Limits by equality are for all bonds at once; here a table does as well.
    if plan.kind == BY_EQUALITY:
        plan = plan._replace(kind=_by_coupling(tables))
    return _run(wolff, given, _of_four_axes(tables), plan)


def _of_sites(table: Tensor, shape: list[int]) -> Tensor:
    """Return a table ``(…, …, 1 | sites)`` of one whose lattice axes may have length 1."""
    rows = table.shape[0]
    if table[0, 0].numel() > 1:
        table = table.expand(-1, -1, *shape)
    return table.reshape(rows, table.shape[1], -1)


def _tables(given: Clusters) -> Tables:
    """Return the model as the loops take it."""
    walkers, *shape = given.configurations.shape
    coupling = _of_sites(given.coupling.float(), shape)
    # One row serves all directions where they share their couplings.
    coupling = coupling.expand(-1, len(shape), -1)
    site_table = _of_sites(given.site_table, shape)
    if not given.has_field:
        site_table = site_table[:0]
    return Tables(
        lengths_of(shape),
        np.array(given.periodic, np.bool_),
        given.beta.expand(walkers).contiguous().numpy(),
        coupling.contiguous().numpy(),
        given.bond_table.float().contiguous().numpy(),
        site_table.contiguous().numpy(),
    )


def _of_four_axes(tables: Tables) -> Tables:
    """Return the tables with axes of length 1 before those of a lattice of fewer than four."""
    more = 4 - len(tables.lengths)
    lengths = np.ones(4, np.int64)
    lengths[more:] = tables.lengths
    periodic = np.ones(4, np.bool_)
    periodic[more:] = tables.periodic
    rows, _, sites = tables.coupling.shape
    coupling = np.zeros((rows, 4, sites), np.float32)
    coupling[:, more:] = tables.coupling
    return tables._replace(lengths=lengths, periodic=periodic, coupling=coupling)


def _by_coupling(tables: Tables) -> int:
    if tables.coupling.shape[2] == 1:
        return BY_STATES
    return BY_BOND


def _plan(given: Clusters, tables: Tables, recolour: bool) -> Plan:
    kind = _by_coupling(tables)
    table = tables.bond_table
    equal = np.eye(given.q, dtype=np.bool_)
    # Two values, on the diagonal and off it: rounding has left no third.
    two = bool((table == np.where(equal, table[0, 0], table[0, 1])).all())
    if two and (recolour or given.q == 2):
        kind = BY_EQUALITY
    return Plan(
        kind=kind,
        reflection=bool(given.reflection),
        recolour=recolour,
        rest=float(given.rest),
        first_sweep=int(given.first_sweep),
        sweeps=int(given.sweeps),
        seed=int(given.seed),
    )


def _space(given: Clusters, tables: Tables, plan: Plan) -> Space:
    """Return memory of a thread."""
    sites = given.sites
    bonds = sites * len(given.periodic)
    chunks = -(-bonds // CHUNK)
    pairs = given.q * given.q
    limits = 4 * pairs
    if plan.kind == BY_EQUALITY:
        limits = bonds
    gains = 0
    if len(tables.site_table):
        gains = sites
    return Space(
        words=np.empty(chunks * CHUNK // 2, np.uint64),
        limits=np.empty(limits, np.int32),
        energies=np.empty(pairs, np.float32),
        other=np.empty(given.q, np.uint8),
        bonds=np.empty(bonds, np.uint8),
        shifted=np.zeros(sites, np.uint8),
        links=np.empty(sites + 1, np.uint32),
        counts=np.empty(2 * sites, np.uint32),
        gains=np.empty(gains, np.float64),
        drawn=np.zeros(chunks, np.int64),
        progress=np.zeros(2, np.int64),
    )


def _states(x: Tensor) -> np.ndarray:
    """Return configurations as the loops take them, uint8 ``(walkers, sites)``."""
    return x.view(len(x), x.shape[1:].numel()).numpy().view(np.uint8)


def _run(loop: Callable[..., Any], given: Clusters, tables: Tables, plan: Plan) -> ClusterSweeps:
    """Return what a loop makes of all walkers."""
    x = given.configurations.contiguous()
    after = torch.empty_like(x)
    size = torch.empty(len(x), dtype=torch.float32)
    moved = torch.empty(len(x), dtype=torch.float32)
    before = _states(x)
    found = _states(after)
    walkers = given.walkers.contiguous().numpy()
    sizes = size.numpy()
    changes = moved.numpy()

    def work(first: int, end: int) -> None:
        rows = slice(first, end)
        space = _space(given, tables, plan)
        loop(
            before[rows], walkers[rows], tables, plan, space, first, found[rows], sizes[rows],
            changes[rows],
        )  # fmt: skip

    over_walkers(work, len(x), given.sweeps * given.sites)
    return ClusterSweeps(after, size, moved)


def _recolour(given: Clusters, tables: Tables, plan: Plan) -> ClusterSweeps:
    """Return walkers whose clusters are given states by their fields."""
    x = given.configurations.contiguous()
    walkers = given.walkers.contiguous().numpy()
    labels = torch.empty(len(x), given.sites, dtype=torch.int64)
    squares = torch.zeros(len(x), dtype=torch.float64)
    found = labels.numpy()
    sums = squares.numpy()
    for sweep in given.numbers():
        states = _states(x)

        def work(first: int, end: int, sweep: int = sweep, states: np.ndarray = states) -> None:
            rows = slice(first, end)
            space = _space(given, tables, plan)
            find_labels(
                states[rows], walkers[rows], tables, plan, space, first, sweep, found[rows],
                sums[rows],
            )  # fmt: skip

        over_walkers(work, len(x), given.sites)
        x = recoloured(given, x, labels, sweep, has_field=True)
    moved = changed(given.configurations, x)
    return ClusterSweeps(x, mean_size(given, squares), moved)
