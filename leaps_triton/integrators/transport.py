"""What integrators ask of a transport beyond its call, and answers for one that offers no more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

from ..models.base import Conditions

__all__ = ["AnyTransport", "Memory", "Tabulated", "Transport", "as_transport", "precision_of"]


Transport: TypeAlias = Callable[[Tensor, Conditions], Tensor]
"""``G = transport(configurations, conditions)``, locally equivariant; usually an ``nn.Module``."""


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


def precision_of(given: Transport | None) -> torch.dtype:
    """Return :attr:`AnyTransport.precision` of a transport as it was given, at every event."""
    if given is None:
        return torch.float64
    if isinstance(given, nn.Module):
        for parameter in given.parameters():
            return parameter.dtype
    return torch.float32


@dataclass(frozen=True)
class AnyTransport:
    """The answers of a transport to all that integrators ask; :func:`as_transport` makes them.

    Attributes:
        given: the transport as it was given; None for none.
        name: its class, for messages.
        reach: largest distance, in any direction, between a site and those that ``G`` reads there;
            what else stands under that name where it does not say.
        tables: the transport itself if its rates are a table; None if they are not.
        declared_steady: whether it says that it looks at no number, does the same work at every
            call, and keeps nothing in between.
        memory: what remembers the block of walkers; None for nothing.
    """

    given: Transport | None
    name: str
    reach: Any = None
    tables: Tabulated | None = None
    declared_steady: bool = False
    memory: Memory | None = None

    @property
    def precision(self) -> torch.dtype:
        """Floating-point type of the parameters; float32 without any, float64 for no transport."""
        return precision_of(self.given)

    @property
    def steady(self) -> bool:
        """Return whether calls can be recorded once and launched again and again."""
        return self.declared_steady and self.memory is None

    def places(self) -> tuple[int, ...]:
        """Return where all weights lie, which a recording goes by."""
        if not isinstance(self.given, nn.Module):
            return ()
        module = self.given
        return tuple(each.data_ptr() for each in (*module.parameters(), *module.buffers()))

    def accept(self, model: Any) -> None:
        """Raise a ValueError if the transport says that it is for other models than this one.

        Args:
            model: that of the path; a transport says so by a method ``check_model``.
        """
        check = getattr(self.given, "check_model", None)
        if check is not None:
            check(model)

    def follow(self, walkers: int) -> Self:
        """Return the answers for one block of walkers, remembered if the transport offers that."""
        offered = getattr(self.given, "follow", None)
        if offered is None:
            return self
        memory = offered(walkers)
        if not isinstance(memory, Memory):
            return self
        return replace(self, memory=memory)

    def at(self, rows: Tensor | slice) -> Transport | None:
        """Return what a step calls for some walkers of the block, by their place in it."""
        if self.memory is None:
            return self.given
        return self.memory.at(rows)


def as_transport(given: Transport | None) -> AnyTransport:
    """Ask a transport for all that it offers beyond its call; integrators ask nowhere else.

    Args:
        given: a function of configurations and conditions, which need offer no more; None for none.
    """
    offered: Any = given
    tables = offered if isinstance(offered, Tabulated) else None
    name = type(given).__name__
    reach = getattr(offered, "reach", None)
    # None, which makes no rates at all, is as steady as can be.
    steady = given is None or getattr(offered, "steady", False) is True
    return AnyTransport(given, name, reach, tables, steady)
