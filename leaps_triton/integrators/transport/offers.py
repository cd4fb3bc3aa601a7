"""What a transport is, and what it may offer beyond its call."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

from ...models.base import Conditions

__all__ = [
    "FlowingDrift", "LoneDrift", "Memory", "MidpointDrift", "ParityDrift", "PassingDrift",
    "Tabulated", "Transport", "clock_of", "gauge_of", "kind_of", "precision_of",
]  # fmt: skip


Transport: TypeAlias = Callable[[Tensor, Conditions], Tensor]
"""``G = transport(configurations, conditions)``, locally equivariant; usually an ``nn.Module``.

An attribute ``gauge = "heat_bath"`` says that it returns ``D`` in the place of ``G``, whose rates
are ``[D_k]_+ p_k`` with the probabilities ``p`` of a heat bath; an attribute ``clock = "beta"``
that what it returns is a rate per unit of ``β``, and not of ``t``. An attribute ``kind = "drift"``
says that it is no network of rates, and returns a drift ``b`` with its divergence, ``(walkers,
*shape)`` and float64 ``(walkers,)``."""


@runtime_checkable
class Memory(Protocol):
    """What a transport's ``follow(walkers)`` returns: it remembers a block between two events."""

    def at(self, rows: Tensor | slice) -> Transport:
        """Return the transport for some walkers of the block, by their place in it."""
        ...


@runtime_checkable
class Tabulated(Protocol):
    """What a transport offers whose rates are a table: see :class:`~leaps_triton.LocalRates`."""

    shells: Any

    def by_class(self, shape: Sequence[int], coupling: Tensor, field: Tensor) -> bool:
        """Return whether ``G`` depends on class and magnetisation alone, for such arguments."""
        ...

    def table(self, conditions: Conditions, sites: int, first: int, last: int) -> Tensor:
        """Return ``G`` of every class with ``first … last`` of all sites in state 1.

        Returns:
            ``(last - first + 1, classes)``.
        """
        ...

    def neighbours(self, shape: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return neighbours and strides of :func:`~leaps_triton.kernels.local_jump_steps`."""
        ...


@runtime_checkable
class ParityDrift(Protocol):
    """What a drift offers that half of the sites can follow at once, by maps of known determinant.

    See :class:`~leaps_triton.HollowDrift`. ``maps`` says whether it does. An attribute ``local``
    that is true says that there is no linear part, and ``modes`` is not asked.
    """

    maps: bool

    def modes(self, t: float) -> Tensor:
        """Return the linear part ``K_t(k)`` of all modes, real and even, float64 ``(*shape)``."""
        ...

    def sublattice(self, parity: int) -> Tensor:
        """Return flat indices of the even (0) or odd (1) sites, int64 ``(sites / 2,)``."""
        ...

    def active(self, configurations: Tensor, t: float, parity: int) -> tuple[Tensor, Tensor]:
        """Return the rest ``f`` and ``∂f_i/∂φ_i`` at these sites, ``(walkers, sites / 2)``."""
        ...

    def steepest(self, t: float) -> float:
        """Return a bound on ``|∂f_i/∂φ_i|`` of all configurations."""
        ...


@runtime_checkable
class PassingDrift(Protocol):
    """What such a drift offers that makes several passes over half of the sites in one launch."""

    def push(self, configurations: Tensor, passes: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Return configurations after the passes, and their log-determinant, float64."""
        ...


@runtime_checkable
class FlowingDrift(Protocol):
    """What such a drift offers whose linear part is integrated in time exactly."""

    def flow(self, begin: float, end: float) -> Tensor:
        """Return ``∫ K_t(k) dt`` of all modes from ``begin`` to ``end``, float64 ``(*shape)``."""
        ...


@runtime_checkable
class MidpointDrift(Protocol):
    """What a drift offers that all sites can follow at once, by the implicit midpoint.

    See :class:`~leaps_triton.DenseDrift`. ``midpoint`` says whether it does.
    """

    midpoint: bool

    def linearised(self, configurations: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Return ``b``, ``(walkers, *shape)``, and ``∂b_i/∂x_j``, ``(walkers, sites, sites)``."""
        ...

    def steepest(self, t: float) -> float:
        """Return a bound on the norm of ``∂b_i/∂x_j`` at all configurations."""
        ...


@runtime_checkable
class LoneDrift(Protocol):
    """What a drift offers that can be had without its divergence at a lower cost."""

    def alone(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``b`` alone, ``(walkers, *shape)``."""
        ...


def precision_of(given: Transport | None) -> torch.dtype:
    """Return :attr:`AnyTransport.precision` of a transport as it was given, at every event."""
    if given is None:
        return torch.float64
    if isinstance(given, nn.Module):
        for parameter in given.parameters():
            return parameter.dtype
        # A drift without parameters is a formula, as exact as what it is told.
        if kind_of(given) == "drift":
            return torch.float64
    return torch.float32


def gauge_of(given: Transport | None) -> str:
    """Return :attr:`AnyTransport.gauge` of a transport as it was given, at every event."""
    gauge: str = getattr(given, "gauge", "plain")
    return gauge


def clock_of(given: Transport | None) -> str:
    """Return :attr:`AnyTransport.clock` of a transport as it was given, at every event."""
    clock: str = getattr(given, "clock", "t")
    return clock


def kind_of(given: Transport | None) -> str:
    """Return :attr:`AnyTransport.kind` of a transport as it was given."""
    kind: str = getattr(given, "kind", "rates")
    return kind
