"""Energies and sweeps of pair models along the edges of a graph."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ... import kernels
from ...kernels import ClusterSweeps, LocalEnergy, Sums
from ...kernels.gathered.products import KEPT_SITES, Dense
from ...lattices.graph import Graph
from ..base import SweepPlan
from .base import ClusterOp, Op, Tables, in_order, op_of

__all__ = ["GraphInteractions"]


class EdgeTables(NamedTuple):
    """The edges of a graph on one device, as the ops take them."""

    coupling: Tensor
    """``J`` of every edge and a last 0, float64 ``(bonds + 1,)``"""
    neighbours: Tensor
    """Int32 ``(degree, sites)``"""
    bond: Tensor
    """Int32 ``(degree, sites)``"""
    behind: Tensor
    """Bool ``(degree, sites)``"""
    edges: Tensor
    """Int32 ``(bonds, 2)``"""


class GraphInteractions:
    """Those along the edges of a graph."""

    ops: ClassVar[dict[str, Op]] = {
        "heat_bath": kernels.graph_heat_bath_sweeps,
        "metropolis": kernels.graph_metropolis_sweeps,
        "overrelaxation": kernels.graph_overrelaxation_sweeps,
    }

    cluster_ops: ClassVar[dict[str, ClusterOp]] = {
        "swendsen_wang": kernels.graph_swendsen_wang_sweeps,
        "wolff": kernels.graph_wolff_sweeps,
    }

    def __init__(self, graph: Graph, coupling: Tensor) -> None:
        self.graph = graph
        bonds = coupling.flatten().expand(graph.bonds)
        # Where a site has fewer neighbours than others, the missing ones have this last J = 0.
        self.coupling = torch.cat([bonds, torch.zeros(1, dtype=torch.float64)])
        self._on_device: dict[torch.device, EdgeTables] = {}
        self._matrices: dict[torch.device, Dense] = {}

    @property
    def rowwise(self) -> bool:
        """Return whether neighbours are gathered: products round otherwise in other batches."""
        return not self.graph.wide

    @property
    def rule(self) -> str:
        """How sums over neighbours are found, in words."""
        return self.graph.rule

    def around(self, device: torch.device) -> EdgeTables:
        """Return the edges on a device, copied there once."""
        if device not in self._on_device:
            neighbours, bond, behind = self.graph.incidence()
            edges = self.graph.edges.int()
            tables = (self.coupling, neighbours, bond, behind, edges)
            self._on_device[device] = EdgeTables(*(table.to(device) for table in tables))
        return self._on_device[device]

    def dense(self, device: torch.device) -> Dense | None:
        """Return the couplings on a device as matrices, kept there; None where none are kept."""
        if not self.graph.wide or self.graph.sites > KEPT_SITES:
            return None
        kept = self._matrices.get(device)
        if kept is None or not kept.fits:
            around = self.around(device)
            kept = Dense(around.coupling, around.edges, self.graph.sites)
            self._matrices[device] = kept
        return kept

    def energy(self, configurations: Tensor, tables: Tables) -> Sums:
        """Return energies without β, and the sites in each state."""
        around = self.around(configurations.device)
        return kernels.graph_energy(
            configurations,
            around.coupling,
            tables.bond_table,
            tables.site_table,
            around.edges,
            self.dense(configurations.device),
        )

    def local_energy(
        self, configurations: Tensor, tables: Tables, beta: Tensor, dtype: torch.dtype
    ) -> LocalEnergy:
        """Return energies without β, and the log-ratios of all moves at ``beta``."""
        around = self.around(configurations.device)
        return kernels.graph_local_energy(
            configurations,
            around.coupling,
            tables.bond_table,
            tables.site_table,
            beta,
            around.neighbours,
            around.bond,
            around.behind,
            around.edges,
            dtype,
            self.dense(configurations.device),
        )

    def sweep(
        self, kind: str, configurations: Tensor, tables: Tables, beta: Tensor, plan: SweepPlan
    ) -> Tensor:
        """Return configurations after sweeps: heat_bath, metropolis or overrelaxation."""
        around = self.around(configurations.device)
        classes = self.graph.num_colours
        return op_of(self.ops, kind, plan)(
            configurations,
            around.coupling,
            tables.bond_table,
            tables.site_table,
            beta,
            around.neighbours,
            around.bond,
            around.behind,
            in_order(tables.colours, classes, plan),
            classes,
            plan.walker_index,
            plan.first,
            plan.count,
            plan.seed,
        )

    def clusters(
        self,
        kind: str,
        configurations: Tensor,
        tables: Tables,
        beta: Tensor,
        reflection: bool,
        plan: SweepPlan,
    ) -> ClusterSweeps:
        """Return what updates of clusters make: swendsen_wang, or wolff, which may rest."""
        around = self.around(configurations.device)
        return op_of(self.cluster_ops, kind, plan)(
            configurations,
            around.coupling,
            tables.bond_table,
            tables.site_table,
            beta,
            around.edges,
            reflection,
            plan.walker_index,
            plan.first,
            plan.count,
            plan.seed,
        )

    def parts(self, members: Tensor, tables: Tables) -> Tensor:
        """Return the least site of every site's part, int64 ``(walkers, sites)``."""
        around = self.around(members.device)
        ends = around.edges.long()
        both = members[:, ends[:, 0]] & members[:, ends[:, 1]]
        joined = both & (around.coupling[:-1] != 0)
        return kernels.graph_cluster_labels(joined, around.edges, self.graph.sites)

    def most_change(self) -> float:
        """Return at least ``Σ_j |J_ij|`` of every site ``i``."""
        bonds = self.coupling[:-1].abs()
        around = torch.zeros(self.graph.sites, dtype=torch.float64)
        for end in self.graph.edges.unbind(1):
            around.index_add_(0, end, bonds)
        return float(around.max())

    def couplings(self) -> Tensor:
        """Return ``J`` of all edges, ``(bonds,)``."""
        return self.coupling[:-1]
