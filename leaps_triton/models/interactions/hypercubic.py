"""Energies and sweeps of pair models along the directions of a lattice."""

from typing import ClassVar

import torch
from torch import Tensor

from ... import kernels
from ...kernels import ClusterSweeps, LocalEnergy, Sums
from ...lattices.hypercubic import Lattice
from ..base import SweepPlan
from .base import ClusterOp, Op, Tables, in_order, op_of

__all__ = ["HypercubicInteractions"]


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
        return op_of(self.ops, kind, plan)(
            configurations,
            tables.coupling,
            tables.bond_table,
            tables.site_table,
            beta,
            self.lattice.periodic,
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
        return op_of(self.cluster_ops, kind, plan)(
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
