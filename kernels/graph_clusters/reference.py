"""The twins of the cluster ops of graphs: those of lattices, with bonds in the order of edges."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..clusters.reference import Clusters, ClusterSweeps, swendsen_wang, wolff
from ..functions.reference import exponential
from ..philox import uniform32

__all__ = [
    "GraphClusters", "Joined", "graph_cluster_labels", "graph_swendsen_wang_sweeps",
    "graph_wolff_sweeps",
]  # fmt: skip


class Joined(NamedTuple):
    """Arguments of the op of labels."""

    joined: Tensor
    edges: Tensor
    sites: int


class GraphClusters(NamedTuple):
    """Arguments of both updates; Wolff's alone rest."""

    configurations: Tensor
    coupling: Tensor
    bond_table: Tensor
    site_table: Tensor
    beta: Tensor
    edges: Tensor
    reflection: bool
    walkers: Tensor
    first_sweep: int
    sweeps: int
    seed: int
    rest: float = 0.0

    @property
    def embedded(self) -> Clusters:
        """The record of the algorithm, which knows neither edges nor boundaries."""
        return Clusters(
            self.configurations, self.coupling, self.bond_table, self.site_table, self.beta, (),
            self.reflection, self.walkers, self.first_sweep, self.sweeps, self.seed, self.rest,
        )  # fmt: skip


def graph_cluster_labels(given: Joined) -> Tensor:
    """Return the least site of every site's cluster.

    Labels fall across joined edges and along labels until none falls any more.
    """
    joined = given.joined
    walkers = len(joined)
    edges = given.edges.long()
    first = edges[:, 0].expand(walkers, -1)
    second = edges[:, 1].expand(walkers, -1)
    labels = torch.arange(given.sites, device=joined.device).repeat(walkers, 1)
    while True:
        lesser = torch.minimum(labels.gather(1, first), labels.gather(1, second))
        # What is not joined brings a label that is larger than any.
        lesser = lesser.masked_fill(joined.logical_not(), given.sites)
        least = labels.scatter_reduce(1, first, lesser, "amin")
        least = least.scatter_reduce(1, second, lesser, "amin")
        if torch.equal(least, labels):
            return labels
        # The site that a label names falls with it, or large clusters would need as many rounds as
        # they are long.
        fallen = torch.minimum(least, least.scatter_reduce(1, labels, least, "amin"))
        # Two steps along the labels shorten chains further at little cost.
        for _ in range(2):
            fallen = fallen.gather(1, fallen)
        labels = fallen


def labels_at(
    edges: Tensor, given: Clusters, x: Tensor, other: Tensor | None, sweep: int
) -> Tensor:
    """Return clusters of edges that join with probability ``1 - e^{-[β J (φ(x_i, x_j) - φ')]_+}``.

    Args:
        edges: Sites ``i`` and ``j`` of every bond, int64 ``(bonds, 2)``.
        given: Arguments of the op.
        x: States, int64 ``(walkers, sites)``.
        other: ``R x``, so that ``φ'`` is ``φ(R x_i, x_j)``; None for ``φ`` off the diagonal of the
            bond table.
        sweep: Event counter of the random numbers.

    Returns:
        First site of the cluster of every site, ``(walkers, sites)``.
    """
    table = given.bond_table.float().flatten()
    ahead = x[:, edges[:, 1]]
    # φ(0, 1) stands for all: Potts tables have one value off the diagonal.
    without = table[1]
    if other is not None:
        without = table[other[:, edges[:, 0]] * given.q + ahead]
    energy = table[x[:, edges[:, 0]] * given.q + ahead] - without
    scale = given.beta.float().unsqueeze(1)
    gain = scale * given.coupling[:-1].float() * energy
    # Bond b has the word that a lattice gives to the bond of this number.
    uniform = uniform32(given.site_words(sweep, len(edges), draw=0))
    # Where the gain is ≤ 0 this is at least 1, above any uniform number: [·]_+ needs no clamp.
    joined = uniform > exponential(-gain)
    return graph_cluster_labels(Joined(joined, edges, given.sites))


def graph_swendsen_wang_sweeps(given: GraphClusters) -> ClusterSweeps:
    """Give all clusters of joined sites new states at once, sweep after sweep."""
    return swendsen_wang(given.embedded, partial(labels_at, given.edges.long()))


def graph_wolff_sweeps(given: GraphClusters) -> ClusterSweeps:
    """Exchange two states in the cluster of a random site, or not, sweep after sweep."""
    return wolff(given.embedded, partial(labels_at, given.edges.long()))
