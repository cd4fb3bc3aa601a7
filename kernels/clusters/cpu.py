"""Cluster updates on a CPU, walker by walker: those of :mod:`.reference`, bit for bit.

Clusters of Potts models in a field alone are given their states by the twin: its exponentials have
no copy here.
"""

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..labels.cpu import lengths_of
from . import cpu_runs
from .cpu_bonds import BY_BOND, BY_EQUALITY, BY_STATES, CHUNK, Plan, Space, Tables
from .cpu_runs import Made, knows_equality_alone, plan_of, run
from .cpu_swendsen_wang import swendsen_wang
from .cpu_wolff import wolff
from .reference import Clusters, ClusterSweeps, recolours

__all__ = ["swendsen_wang_sweeps", "wolff_sweeps"]


def swendsen_wang_sweeps(given: Clusters) -> ClusterSweeps:
    """Give all clusters of joined sites new states at once, sweep after sweep."""
    recolour = recolours(given)
    tables = _tables(given)
    kind = _by_coupling(tables)
    if (recolour or given.q == 2) and knows_equality_alone(tables.bond_table):
        kind = BY_EQUALITY
    plan = plan_of(given, kind, recolour)
    space = partial(_space, given, tables, plan)
    return cpu_runs.swendsen_wang(swendsen_wang, given, tables, plan, space, given.sites)


def wolff_sweeps(given: Clusters) -> ClusterSweeps:
    """Exchange two states in the cluster of a random site, or not, sweep after sweep."""
    tables = _of_four_axes(_tables(given))
    # Limits by equality are for all bonds at once; one by one, a table does as well.
    plan = plan_of(given, _by_coupling(tables), recolour=False)
    couplings = None
    if plan.kind == BY_BOND:
        couplings = tables.coupling
    size = torch.empty(len(given.configurations), dtype=torch.float32)

    def loop(made: Made, space: Space, rows: slice) -> None:
        wolff(
            made.before[rows], made.walkers[rows], tuple(tables), tuple(plan), tuple(space),
            rows.start, couplings, made.after[rows], size.numpy()[rows], made.changed[rows],
        )  # fmt: skip

    space = partial(_space, given, tables, plan)
    after, moved = run(loop, given, space, plan.sweeps * given.sites)
    return ClusterSweeps(after, size, moved)


def _of_sites(table: Tensor, axes: int, shape: torch.Size, dtype: type) -> np.ndarray:
    """Return a table ``(…, axes, 1 | sites)`` of one whose lattice axes may have length 1.

    One row serves all axes where they share it.
    """
    given = table.numpy()
    lattice = given.shape[2:]
    if given[:1, :1].size > 1:
        lattice = tuple(shape)
    # A copy: what is broadcast is read-only, which would be another type to numba.
    wide = np.empty((len(given), axes, *lattice), dtype)
    wide[...] = given
    return wide.reshape(len(given), axes, math.prod(lattice))


def _tables(given: Clusters) -> Tables:
    """Return the model as the loops take it."""
    x = given.configurations
    shape = x.shape[1:]
    site_table = given.site_table
    if not given.has_field:
        site_table = site_table[:0]
    beta = np.empty(len(x), np.float64)
    beta[...] = given.beta.numpy()
    return Tables(
        lengths=lengths_of(list(shape)),
        periodic=np.array(given.periodic, np.bool_),
        beta=beta,
        coupling=_of_sites(given.coupling, len(shape), shape, np.float32),
        bond_table=np.array(given.bond_table.numpy(), np.float32, order="C"),
        site_table=_of_sites(site_table, given.q, shape, np.float64),
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
        links=np.empty(sites, np.uint32),
        counts=np.empty(2 * sites, np.uint32),
        gains=np.empty(gains, np.float64),
        members=np.empty(sites + 1, np.uint32),
        drawn=np.zeros(chunks, np.int64),
        progress=np.zeros(2, np.int64),
    )
