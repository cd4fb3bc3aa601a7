"""Energies and sweeps of pair models, along the directions of a lattice or the edges of a graph."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from ... import kernels
from ...kernels import ClusterSweeps, LocalEnergy, Sums
from ...kernels.gathered.products import KEPT_SITES, Dense
from ...lattices.graph import Graph
from ...lattices.hypercubic import Lattice
from ..base import SweepPlan

__all__ = ["Interactions", "Tables", "interactions_of"]

Op: TypeAlias = Callable[..., Tensor]
ClusterOp: TypeAlias = Callable[..., ClusterSweeps]


class Tables(NamedTuple):
    """A model's tables on one device, with the leading walkers axis that the ops expect."""

    coupling: Tensor
    """``J``, float64 ``(1, 1 | ndim, *shape)``; on a graph ``(1, 1, 1 | bonds)``"""
    bond_table: Tensor
    """``φ``, float64 ``(q, q)``"""
    site_table: Tensor
    """``h``, float64 ``(1, q, *shape)``"""
    colours: Tensor
    """Colour of every site, int8 ``(*shape)``; int32 on a graph of more than 127 colours"""
    spins: Tensor
    """Vector of every state, float64 ``(q, n)``"""


class Interactions(Protocol):
    """What a pair model asks of the ops, wherever its sites stand."""

    @property
    def rowwise(self) -> bool:
        """Whether a walker is the same to the last bit, whoever is computed beside it."""
        ...

    @property
    def rule(self) -> str:
        """How sums over neighbours are found, in words."""
        ...

    def energy(self, configurations: Tensor, tables: Tables) -> Sums:
        """Return energies without β, and the sites in each state."""
        ...

    def local_energy(
        self, configurations: Tensor, tables: Tables, beta: Tensor, dtype: torch.dtype
    ) -> LocalEnergy:
        """Return energies without β, and the log-ratios of all moves at ``beta``."""
        ...

    def sweep(
        self, kind: str, configurations: Tensor, tables: Tables, beta: Tensor, plan: SweepPlan
    ) -> Tensor:
        """Return configurations after sweeps: heat_bath, metropolis or overrelaxation."""
        ...

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
        ...

    def parts(self, members: Tensor, tables: Tables) -> Tensor:
        """Return the least site of every site's part, int64 ``(walkers, sites)``.

        A part is joined by bonds with ``J ≠ 0`` between members, bool ``(walkers, *shape)``.
        """
        ...

    def most_change(self) -> float:
        """Return at least ``Σ_j |J_ij|`` of every site ``i``."""
        ...

    def couplings(self) -> Tensor:
        """Return ``J`` of all bonds, or of all classes that are alike, ``(n,)``."""
        ...


class HypercubicInteractions:
    """Those along the directions of a lattice."""

    ops: ClassVar[dict[str, Op]] = {
        "heat_bath": kernels.heat_bath_sweeps,
        "metropolis": kernels.metropolis_sweeps,
        "overrelaxation": kernels.overrelaxation_sweeps,
    }

    cluster_ops: ClassVar[dict[str, ClusterOp]] = {
        "swendsen_wang": kernels.swendsen_wang_sweeps,
        "wolff": kernels.wolff_sweeps,
    }

    def __init__(self, lattice: Lattice, coupling: Tensor) -> None:
        self.lattice = lattice
        self.coupling = coupling

    @property
    def rowwise(self) -> bool:
        """Return True: each walker has its own sums."""
        return True

    @property
    def rule(self) -> str:
        """How sums over neighbours are found, in words."""
        return "shifted"

    def energy(self, configurations: Tensor, tables: Tables) -> Sums:
        """Return energies without β, and the sites in each state."""
        return kernels.energy(
            configurations,
            tables.coupling,
            tables.bond_table,
            tables.site_table,
            self.lattice.periodic,
        )

    def local_energy(
        self, configurations: Tensor, tables: Tables, beta: Tensor, dtype: torch.dtype
    ) -> LocalEnergy:
        """Return energies without β, and the log-ratios of all moves at ``beta``."""
        return kernels.local_energy(
            configurations,
            tables.coupling,
            tables.bond_table,
            tables.site_table,
            beta,
            self.lattice.periodic,
            dtype,
        )

    def sweep(
        self, kind: str, configurations: Tensor, tables: Tables, beta: Tensor, plan: SweepPlan
    ) -> Tensor:
        """Return configurations after sweeps: heat_bath, metropolis or overrelaxation."""
        classes = self.lattice.num_colours
        return _op(self.ops, kind, plan)(
            configurations,
            tables.coupling,
            tables.bond_table,
            tables.site_table,
            beta,
            self.lattice.periodic,
            _in_order(tables.colours, classes, plan),
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
        return _cluster_op(self.cluster_ops, kind, plan)(
            configurations,
            tables.coupling,
            tables.bond_table,
            tables.site_table,
            beta,
            self.lattice.periodic,
            reflection,
            plan.walker_index,
            plan.first,
            plan.count,
            plan.seed,
        )

    def parts(self, members: Tensor, tables: Tables) -> Tensor:
        """Return the least site of every site's part, int64 ``(walkers, sites)``."""
        joined = []
        for axis in range(self.lattice.ndim):
            both = members & members.roll(-1, axis + 1)
            periodic = self.lattice.periodic
            bonds = kernels.reference.bonds_along(tables.coupling, axis, members, periodic)
            joined.append(both & (bonds != 0))
        return kernels.cluster_labels(torch.stack(joined, dim=1)).flatten(1)

    def most_change(self) -> float:
        """Return at least ``Σ_j |J_ij|`` of every site ``i``."""
        return 2 * self.lattice.ndim * float(self.coupling.abs().max())

    def couplings(self) -> Tensor:
        """Return ``J`` of all bonds, or of all directions that are alike, ``(n,)``."""
        if self.coupling[0].numel() == 1:
            return self.coupling.flatten()
        parts = []
        for axis, own in enumerate(self.coupling):
            # What is said of bonds that leave an open boundary is not looked at.
            if not self.lattice.periodic[axis]:
                own = own.narrow(axis, 0, own.shape[axis] - 1)
            parts.append(own.flatten())
        return torch.cat(parts)


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
        return _op(self.ops, kind, plan)(
            configurations,
            around.coupling,
            tables.bond_table,
            tables.site_table,
            beta,
            around.neighbours,
            around.bond,
            around.behind,
            _in_order(tables.colours, classes, plan),
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
        return _cluster_op(self.cluster_ops, kind, plan)(
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


def interactions_of(lattice: Lattice | Graph, coupling: Tensor) -> Interactions:
    """Return the energies and sweeps of couplings on a lattice or graph.

    Args:
        lattice: where the sites stand.
        coupling: ``J``, float64 ``(1 | ndim, *shape)``, or ``(1, 1 | bonds)`` on a graph.
    """
    if isinstance(lattice, Graph):
        return GraphInteractions(lattice, coupling)
    return HypercubicInteractions(lattice, coupling)


def _op(ops: dict[str, Op], kind: str, plan: SweepPlan) -> Op:
    """Return the op of a kind of sweep; Metropolis alone rests."""
    if kind == "metropolis":
        return partial(ops[kind], rest=plan.rest)
    return ops[kind]


def _cluster_op(ops: dict[str, ClusterOp], kind: str, plan: SweepPlan) -> ClusterOp:
    """Return the op of a kind of cluster; Wolff's alone rest."""
    if kind == "wolff":
        return partial(ops[kind], rest=plan.rest)
    return ops[kind]


def _in_order(colours: Tensor, classes: int, plan: SweepPlan) -> Tensor:
    """Return the colours, in reverse order for sweeps backward."""
    if plan.backward:
        # Classes are swept in the order of their numbers.
        return classes - 1 - colours
    return colours
