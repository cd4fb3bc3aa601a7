"""What a model must offer, from the least to all that fast samplers use.

The target is ``ρ ∝ exp(-β H)``. A :class:`Target` has an energy ``H``; a :class:`DiscreteModel` has
finitely many states per site and the moves between them; a :class:`DifferentiableModel` has a
force. :func:`~leaps_triton.models.complete` makes the first two out of less, a discrete model out
of an :class:`EnergyModel`. Observables look at a :class:`LatticeModel`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from ..kernels import LocalEnergy

__all__ = [
    "Conditions",
    "DifferentiableModel",
    "DiscreteModel",
    "EnergyModel",
    "LatticeModel",
    "Model",
    "Observable",
    "SweepPlan",
    "Target",
]


Observable: TypeAlias = Callable[[Tensor, Any], Tensor]
"""``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``."""


class SweepPlan(NamedTuple):
    """Which walkers are swept, how often, and with which random numbers."""

    walker_index: Tensor
    """Global indices of the walkers, int64 ``(walkers,)``"""
    first: int
    """Index of the first sweep, the event counter of the random numbers"""
    count: int  # type: ignore[assignment]
    """Number of sweeps"""
    seed: int
    """In [0, 2³²)"""
    backward: bool = False
    """Whether the sites come in reverse order"""
    rest: float = 0.0
    """Probability that Metropolis leaves a site as it is: 0 or a power of two, 1/2 at most"""
    packed: str = ""
    """What words of 32 spins hold, ``"walkers"`` or ``"rows"``; empty for a byte a spin"""


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


class Target(Protocol):
    """The least a distribution ``ρ ∝ exp(-β H)`` must offer; a bare one needs a user's own move.

    ``shape`` holds the lengths of one configuration, ``dtype`` is the type of its values.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of one configuration."""
        ...

    dtype: torch.dtype
    beta: float

    def energy(self, configurations: Tensor) -> Tensor:
        """Return ``H(x)`` without β, ``(walkers, *shape)`` → float64 ``(walkers,)``."""
        ...


class DifferentiableModel(Target, Protocol):
    """A target whose configurations are floating-point numbers, with the gradient of its energy."""

    def force(self, configurations: Tensor) -> Tensor:
        """Return ``-∂H/∂x``, ``(walkers, *shape)``, without β."""
        ...


class EnergyModel(Protocol):
    """The least a model of ``q`` states per site must offer; it may have a shape for a lattice."""

    @property
    def lattice(self) -> Any:
        """A :class:`~leaps_triton.Lattice`, or a :class:`~leaps_triton.Graph`."""
        ...

    q: int
    beta: float

    def energy(self, configurations: Tensor) -> Tensor:
        """Return ``H(x)`` without β, ``(walkers, *shape)`` → ``(walkers,)``."""
        ...


@runtime_checkable
class DiscreteModel(Protocol):
    """A target with ``q`` states per site and everything that fast samplers call.

    ``check=False`` skips reading the values of the configurations.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the lattice."""
        ...

    @property
    def lattice(self) -> Any:
        """A :class:`~leaps_triton.Lattice`, or a :class:`~leaps_triton.Graph`."""
        ...

    q: int
    beta: float
    dtype: torch.dtype
    spins: Tensor
    coupling: Tensor
    site_table: Tensor

    def check(self, configurations: Tensor) -> None:
        """Raise a ValueError unless these are configurations of the model."""
        ...

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """Return ``H(x)`` without β, float64 ``(walkers,)``."""
        ...

    def local_energy(
        self,
        configurations: Tensor,
        beta: Tensor,
        dtype: torch.dtype = torch.float32,
    ) -> LocalEnergy:
        """Return ``H(x)`` and the log-ratios of all moves at ``beta``; values are not checked.

        Args:
            configurations: ``(walkers, *shape)``.
            beta: inverse temperature, float64 ``(1 | walkers,)``.
            dtype: type of the log-ratios.
        """
        ...

    def heat_bath(
        self,
        configurations: Tensor,
        beta: Tensor,
        plan: SweepPlan,
    ) -> Tensor:
        """Return configurations after the heat-bath sweeps of ``plan``.

        Args:
            configurations: ``(walkers, *shape)``.
            beta: inverse temperature, float64 ``(1 | walkers,)``.
            plan: the sweeps.
        """
        ...

    def metropolis(
        self,
        configurations: Tensor,
        beta: Tensor,
        plan: SweepPlan,
    ) -> Tensor:
        """Return configurations after the Metropolis sweeps of ``plan``.

        A proposal is accepted with probability ``(1 - plan.rest) min(1, e^Δ)``.

        Args:
            configurations: ``(walkers, *shape)``.
            beta: inverse temperature, float64 ``(1 | walkers,)``.
            plan: the sweeps.
        """
        ...


class LatticeModel(Protocol):
    """A target on a lattice, of spins or of a field: what observables look at."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the lattice."""
        ...

    @property
    def lattice(self) -> Any:
        """A :class:`~leaps_triton.Lattice`, or a :class:`~leaps_triton.Graph`."""
        ...

    beta: float
    dtype: torch.dtype

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """Return ``H(x)`` without β, float64 ``(walkers,)``."""
        ...


Model = DiscreteModel
"""The former name of :class:`DiscreteModel`."""
