"""The ops ``graph_cluster_labels``, ``graph_swendsen_wang_sweeps`` and ``graph_wolff_sweeps``."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.library import CustomOpDef, custom_op

from ..checks import as_bool, as_integer, as_rest, check_sweeps, check_tensor, expect
from ..clusters.reference import ClusterSweeps
from ..gathered.checks import check_edges, check_tables
from ..registration import Launchers, call, cluster_op, on_cpu, put_on_cuda, taking
from . import reference
from .reference import GraphClusters, Joined

__all__ = [
    "graph_cluster_labels", "graph_cluster_labels_op", "graph_swendsen_wang_sweeps",
    "graph_swendsen_wang_sweeps_op", "graph_wolff_sweeps", "graph_wolff_sweeps_op",
]  # fmt: skip

SCHEMA = (
    "(Tensor configurations, Tensor coupling, Tensor bond_table, Tensor site_table, Tensor beta, "
    "Tensor edges, bool reflection, Tensor walkers, SymInt first_sweep, SymInt sweeps, "
    "SymInt seed, float rest=0.0) -> (Tensor, Tensor, Tensor)"
)
"""Arguments of both updates, in the order of :class:`.reference.GraphClusters`."""


def graph_cluster_labels(joined: Tensor, edges: Tensor, sites: int) -> Tensor:
    """Return the least site in every site's cluster: connected components of each walker.

    Args:
        joined: Bool ``(walkers, bonds)``: whether edge ``b`` joins its two sites.
        edges: The two sites of every edge, int32 ``(bonds, 2)``.
        sites: Their number.

    Returns:
        Int64 ``(walkers, sites)``, equal where two sites are joined by a path of edges and nowhere
        else.

    Raises:
        ValueError: If ``joined`` is not bool with one column per edge, or edges are no pairs of
            sites, at which CPUs look alone.

    Example:
        >>> edges = torch.tensor([[0, 1], [1, 3], [2, 4]], dtype=torch.int32)
        >>> graph_cluster_labels(torch.tensor([[True, True, False]]), edges, 5)
        tensor([[0, 0, 2, 0, 4]])
    """
    check_tensor("joined", joined)
    sites = as_integer("sites", sites, 1, 2**31 - 1)
    expect(joined.dtype == torch.bool, "joined", "bool (walkers, bonds)", joined)
    expect(joined.ndim == 2, "joined", "bool (walkers, bonds)", joined)
    check_edges(edges, joined.shape[1], sites, joined)
    return call(graph_cluster_labels_op, joined, edges, sites)


def graph_swendsen_wang_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    edges: Tensor,
    reflection: bool,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> ClusterSweeps:
    """Give all clusters of joined sites of a graph new states at once, sweep after sweep.

    The law is that of :func:`leaps_triton.kernels.swendsen_wang_sweeps`, with edges for bonds. Bond
    ``b`` has the random word that a lattice gives to its bond of this number: for the edges of a
    periodic lattice in its order both ops give the same configurations.

    Args:
        configurations: Int8 ``(walkers, sites)``.
        coupling: ``J`` of every edge and a last entry 0, float64 ``(bonds + 1,)``.
        bond_table: ``φ(x_i, x_j)`` with ``i`` the first and ``j`` the second site of an edge,
            float64 ``(q, q)``, which must allow the exchange: ``φ(Ra, Rb) = φ(a, b)``.
        site_table: ``h``, float64 ``(1 | walkers, q, 1 | sites)``.
        beta: ``β``, float64 ``(1 | walkers,)``.
        edges: The two sites of every edge, int32 ``(bonds, 2)``.
        reflection: Whether ``R`` is ``x → r - x mod q`` (clock models) rather than two states that
            take each other's place (Ising and Potts models).
        walkers: Global index of each walker, int64 ``(walkers,)``.
        first_sweep: The random numbers are those of the sweeps
            ``first_sweep … first_sweep + sweeps - 1``.
        sweeps: How many sweeps, at least 1.
        seed: In [0, 2³²).

    Returns:
        ClusterSweeps(configurations, the new ones, the given ones are left alone; size and changed,
        float32 ``(walkers,)``).

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, sweeps < 1, or, on
            a CPU, an index is out of range; see :func:`leaps_triton.kernels.graph_energy`.

    References:
        Swendsen, Wang, *Nonuniversal critical dynamics in Monte Carlo simulations*, Phys. Rev.
        Lett. 58, 86 (1987).
    """
    given = GraphClusters(
        configurations, coupling, bond_table, site_table, beta, edges, reflection, walkers,
        first_sweep, sweeps, seed,
    )  # fmt: skip
    return _checked(graph_swendsen_wang_sweeps_op, given)


def graph_wolff_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    edges: Tensor,
    reflection: bool,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
    rest: float = 0.0,
) -> ClusterSweeps:
    """Exchange two states in the cluster of a random site of a graph, or not, update after update.

    The law is that of :func:`leaps_triton.kernels.wolff_sweeps`, with edges for bonds and the words
    of :func:`graph_swendsen_wang_sweeps`.

    Args:
        configurations: Int8 ``(walkers, sites)``; see :func:`graph_swendsen_wang_sweeps`, as for
            all others.
        coupling: ``J`` of every edge and a last entry 0.
        bond_table: ``φ``.
        site_table: ``h``.
        beta: ``β``.
        edges: The two sites of every edge.
        reflection: Whether ``R`` is a reflection.
        walkers: Global index of each walker.
        first_sweep: Number of the first update.
        sweeps: How many updates, at least 1.
        seed: In [0, 2³²).
        rest: The probability that an update leaves the cluster as it is, 0 or a power of two from
            2⁻²³ to 1/2.

    Returns:
        ClusterSweeps(configurations, the new ones, the given ones are left alone; size and changed,
        float32 ``(walkers,)``).

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, sweeps < 1, rest is
            no such number, or, on a CPU, an index is out of range.

    References:
        Wolff, *Collective Monte Carlo updating for spin systems*, Phys. Rev. Lett. 62, 361 (1989).
    """
    given = GraphClusters(
        configurations, coupling, bond_table, site_table, beta, edges, reflection, walkers,
        first_sweep, sweeps, seed, as_rest("rest", rest),
    )  # fmt: skip
    return _checked(graph_wolff_sweeps_op, given)


def _checked(op: CustomOpDef, given: GraphClusters) -> ClusterSweeps:
    x = given.configurations
    check_tensor("beta", given.beta)
    check_tables(x, given.coupling, given.bond_table, given.site_table, given.beta)
    # Loops have one row of couplings for all walkers.
    expect(given.coupling.ndim == 1, "coupling", "of shape (bonds + 1,)", given.coupling)
    check_edges(given.edges, len(given.coupling) - 1, x.shape[1], x)
    given = check_sweeps(given, least=1)._replace(
        reflection=as_bool("reflection", given.reflection),
    )
    return ClusterSweeps(*call(op, *given))


_run_labels = on_cpu(reference.graph_cluster_labels, __package__)


@custom_op("leaps_triton::graph_cluster_labels", mutates_args=())
def graph_cluster_labels_op(joined: Tensor, edges: Tensor, sites: int) -> Tensor:
    """See :func:`leaps_triton.kernels.graph_cluster_labels`."""
    labels: Tensor = _run_labels(Joined(joined, edges, sites))
    return labels


@graph_cluster_labels_op.register_fake
def _(joined: Tensor, edges: Tensor, sites: int) -> Tensor:
    return joined.new_empty(len(joined), sites, dtype=torch.int64)


def _register(twin: Callable[[GraphClusters], ClusterSweeps]) -> CustomOpDef:
    return cluster_op(twin, GraphClusters, SCHEMA, __package__)


graph_swendsen_wang_sweeps_op = _register(reference.graph_swendsen_wang_sweeps)
graph_wolff_sweeps_op = _register(reference.graph_wolff_sweeps)


def _launchers() -> Launchers:
    # The twins: labels are found edge by edge in plain torch.
    return [
        (graph_cluster_labels_op, taking(Joined, reference.graph_cluster_labels)),
        (
            graph_swendsen_wang_sweeps_op,
            taking(GraphClusters, reference.graph_swendsen_wang_sweeps),
        ),
        (graph_wolff_sweeps_op, taking(GraphClusters, reference.graph_wolff_sweeps)),
    ]


put_on_cuda(_launchers)
