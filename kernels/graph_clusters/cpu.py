"""Clusters of graphs on a CPU, walker by walker: those of :mod:`.reference`, bit for bit.

Clusters of Potts models in a field alone are given their states by the twin: its exponentials have
no copy here.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..clusters import cpu_runs
from ..clusters.cpu_bonds import BY_BOND, BY_EQUALITY, BY_STATES, CHUNK, Plan
from ..clusters.cpu_runs import Made, knows_equality_alone, plan_of, run
from ..clusters.reference import Clusters, ClusterSweeps, recolours
from ..native.threads import over_walkers
from .cpu_loops import label, swendsen_wang, wolff
from .reference import GraphClusters, Joined

__all__ = ["graph_cluster_labels", "graph_swendsen_wang_sweeps", "graph_wolff_sweeps"]


class Tables(NamedTuple):
    """The model, as the loops take it."""

    first: np.ndarray
    """Int32 ``(bonds,)``: first site of every edge."""
    second: np.ndarray
    """Int32 ``(bonds,)``: second site."""
    beta: np.ndarray
    """Float64 ``(walkers,)``."""
    coupling: np.ndarray
    """Float32 ``(bonds,)``."""
    bond_table: np.ndarray
    """Float32 ``(q, q)``."""
    site_table: np.ndarray
    """Float64 ``(1 | walkers, q, 1 | sites)``; no walkers where there is no field."""


class Space(NamedTuple):
    """Memory of a thread."""

    words: np.ndarray
    """Uint64: two words of 32 bits each, one for each bond or site, in whole chunks."""
    limits: np.ndarray
    """Int32, one for each bond, or for each pair of states."""
    energies: np.ndarray
    """Float32 ``(q * q,)``: ``φ(a, b) - φ(R a, b)``."""
    other: np.ndarray
    """Uint8 ``(q,)``: ``R``."""
    marks: np.ndarray
    """Uint8 ``(sites,)``: marks of members."""
    links: np.ndarray
    """Uint32 ``(sites,)``: links of trees."""
    counts: np.ndarray
    """Uint32 ``(2 * sites,)``: sites of each cluster."""
    gains: np.ndarray
    """Float64 ``(sites,)``: sums of fields; none where there is no field."""
    members: np.ndarray
    """Uint32 ``(sites + 1,)``: sites of one cluster, and room for one more."""
    drawn: np.ndarray
    """Int64 ``(chunks,)``: number of the update for which a chunk was drawn."""


def graph_cluster_labels(given: Joined) -> Tensor:
    """Return the least site of every site's cluster."""
    joined = given.joined.contiguous().view(torch.uint8).numpy()
    first, second = _ends(given.edges)
    walkers = len(joined)
    labels = torch.empty(walkers, given.sites, dtype=torch.int64)
    found = labels.numpy()

    def work(start: int, end: int) -> None:
        label(joined[start:end], first, second, found[start:end])

    over_walkers(work, walkers, given.sites + len(first))
    return labels


def graph_swendsen_wang_sweeps(given: GraphClusters) -> ClusterSweeps:
    """Give all clusters of joined sites new states at once, sweep after sweep."""
    embedded = given.embedded
    recolour = recolours(embedded)
    tables = _tables(given)
    kind = _kind(tables)
    one_gain = recolour or embedded.q == 2
    if kind == BY_BOND and one_gain and knows_equality_alone(tables.bond_table):
        kind = BY_EQUALITY
    plan = plan_of(embedded, kind, recolour)
    space = partial(_space, embedded, tables, plan)
    visits = embedded.sites + len(tables.first)
    return cpu_runs.swendsen_wang(swendsen_wang, embedded, tables, plan, space, visits)


def graph_wolff_sweeps(given: GraphClusters) -> ClusterSweeps:
    """Exchange two states in the cluster of a random site, or not, sweep after sweep."""
    embedded = given.embedded
    tables = _tables(given)
    plan = plan_of(embedded, _kind(tables), recolour=False)
    # Edges of every site, one site after the other.
    ends = torch.from_numpy(np.concatenate([tables.first, tables.second]))
    places = ends.argsort(stable=True).numpy()
    starts = np.zeros(embedded.sites + 1, np.int64)
    starts[1:] = ends.bincount(minlength=embedded.sites).cumsum(0).numpy()
    size = torch.empty(len(given.configurations), dtype=torch.float32)

    def loop(made: Made, space: Space, rows: slice) -> None:
        wolff(
            made.before[rows], made.walkers[rows], tuple(tables), starts, places, tuple(plan),
            tuple(space), rows.start, made.after[rows], size.numpy()[rows], made.changed[rows],
        )  # fmt: skip

    space = partial(_space, embedded, tables, plan)
    visits = plan.sweeps * (embedded.sites + len(tables.first))
    after, moved = run(loop, embedded, space, visits)
    return ClusterSweeps(after, size, moved)


def _ends(edges: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the second site of every edge."""
    first = edges[:, 0].contiguous().numpy()
    second = edges[:, 1].contiguous().numpy()
    return first, second


def _tables(given: GraphClusters) -> Tables:
    """Return the model as the loops take it."""
    site_table = given.site_table
    if not given.embedded.has_field:
        site_table = site_table[:0]
    beta = np.empty(len(given.configurations), np.float64)
    beta[...] = given.beta.numpy()
    first, second = _ends(given.edges)
    return Tables(
        first=first,
        second=second,
        beta=beta,
        coupling=np.array(given.coupling[:-1].numpy(), np.float32),
        bond_table=np.array(given.bond_table.numpy(), np.float32, order="C"),
        site_table=np.array(site_table.numpy(), np.float64, order="C"),
    )


def _kind(tables: Tables) -> int:
    """Return how limits of bonds are found: by two states, where all couplings are alike."""
    coupling = tables.coupling
    if len(coupling) and bool((coupling == coupling[0]).all()):
        return BY_STATES
    return BY_BOND


def _space(given: Clusters, tables: Tables, plan: Plan) -> Space:
    """Return memory of a thread."""
    sites = given.sites
    bonds = len(tables.first)
    chunks = -(-max(bonds, sites) // CHUNK)
    pairs = given.q * given.q
    limits = pairs
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
        marks=np.zeros(sites, np.uint8),
        links=np.empty(sites, np.uint32),
        counts=np.empty(2 * sites, np.uint32),
        gains=np.empty(gains, np.float64),
        members=np.empty(sites + 1, np.uint32),
        drawn=np.zeros(chunks, np.int64),
    )
