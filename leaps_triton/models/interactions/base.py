"""What a pair model asks of its couplings, and how it chooses among ops."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from ...kernels import ClusterSweeps, LocalEnergy, Sums
from ..base import SweepPlan

__all__ = ["ClusterOp", "Interactions", "Op", "Tables", "in_order", "op_of"]

Op: TypeAlias = Callable[..., Tensor]
ClusterOp: TypeAlias = Callable[..., ClusterSweeps]
Made = TypeVar("Made")

_RESTING = ("metropolis", "wolff")
"""Kinds of updates that may leave sites as they are."""


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


def op_of(ops: dict[str, Callable[..., Made]], kind: str, plan: SweepPlan) -> Callable[..., Made]:
    """Return the op of a kind of update, told how often to rest where it may."""
    if kind in _RESTING:
        return partial(ops[kind], rest=plan.rest)
    return ops[kind]


def in_order(colours: Tensor, classes: int, plan: SweepPlan) -> Tensor:
    """Return the colours, in reverse order for sweeps backward."""
    if plan.backward:
        # Classes are swept in the order of their numbers.
        return classes - 1 - colours
    return colours
