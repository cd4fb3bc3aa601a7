"""What a model must offer, from the least to all that fast samplers use."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from ..kernels import LocalEnergy
from ..lattices.hypercubic import Lattice

__all__ = ["Conditions", "EnergyModel", "Model", "Observable"]


Observable: TypeAlias = Callable[[Tensor, Any], Tensor]

"""``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``."""


class EnergyModel(Protocol):
    """The least a model must offer."""

    lattice: Lattice
    q: int
    beta: float

    def energy(self, configurations: Tensor) -> Tensor:
        """``H(x)`` without β, ``(walkers, *shape)`` → ``(walkers,)``."""
        ...


@runtime_checkable
class Model(Protocol):
    """What paths and samplers call. ``check=False`` skips reading the values of the
    configurations.
    """

    lattice: Lattice
    q: int
    beta: float
    dtype: torch.dtype
    spins: Tensor
    coupling: Tensor
    site_table: Tensor

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """``H(x)`` without β, float64 ``(walkers,)``."""
        ...

    def local_energy(
        self, configurations: Tensor, beta: Tensor, dtype: torch.dtype = torch.float32
    ) -> LocalEnergy:
        """``H(x)`` and the log-ratios of all moves at inverse temperature ``beta`` ``(1 |
        walkers,)``; not checked.
        """
        ...

    def heat_bath(
        self,
        configurations: Tensor,
        beta: Tensor,
        walkers: Tensor,
        first_sweep: int,
        sweeps: int,
        seed: int,
        backward: bool = False,
    ) -> Tensor:
        """Configurations after heat-bath sweeps at ``beta`` ``(1 | walkers,)``, in reverse order if
        ``backward``.
        """
        ...

    def metropolis(
        self,
        configurations: Tensor,
        beta: Tensor,
        walkers: Tensor,
        first_sweep: int,
        sweeps: int,
        seed: int,
        backward: bool = False,
    ) -> Tensor:
        """The same with Metropolis sweeps."""
        ...


class Conditions(NamedTuple):
    """The physical parameters at time ``t``, as networks read them; leading axis 1 or walkers."""

    t: Tensor
    """``(1 | walkers,)``"""
    beta: Tensor
    """``β_t``, ``(1 | walkers,)``"""
    coupling: Tensor
    """``J``, ``(1, 1 | ndim, *shape)``, lattice axes of size 1 where uniform"""
    field: Tensor
    """``h``, ``(1, q, *shape)``, lattice axes of size 1 where uniform"""
