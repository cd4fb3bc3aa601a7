"""What integrators ask of a transport beyond its call, and answers for one that offers no more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

from ..kernels.proposals.op import GAUGES
from ..models.base import Conditions

__all__ = [
    "AnyTransport", "FlowingDrift", "LoneDrift", "Memory", "MidpointDrift", "ParityDrift",
    "PassingDrift", "Tabulated", "Transport", "as_transport", "clock_of", "gauge_of", "kind_of",
    "precision_of",
]  # fmt: skip


Transport: TypeAlias = Callable[[Tensor, Conditions], Tensor]
"""``G = transport(configurations, conditions)``, locally equivariant; usually an ``nn.Module``.

An attribute ``gauge = "heat_bath"`` says that it returns ``D`` in the place of ``G``, whose rates
are ``[D_k]_+ p_k`` with the probabilities ``p`` of a heat bath; an attribute ``clock = "beta"``
that what it returns is a rate per unit of ``β``, and not of ``t``. An attribute ``kind = "drift"``
says that it is no network of rates, and returns a drift ``b`` with its divergence, ``(walkers,
*shape)`` and float64 ``(walkers,)``."""

KINDS = ("rates", "drift")
"""What a transport may be."""

CLOCKS = ("t", "beta")
"""What the rates of a transport may be per unit of."""


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
        block: walkers that are evaluated together; 0 for all.
        standing: whether it stands on a linear response, whose values are no table.
        parity: the transport itself if it is a drift that half of the sites can follow at once;
            None if it is not.
        passing: the same if it makes several passes in one launch; None if it does not.
        flowing: the same if its linear part is integrated exactly; None if it is not.
        local: whether it has no linear part.
        midpoint: the transport itself if it is a drift that all sites can follow at once by the
            implicit midpoint; None if it is not.
        unmapped: why it has no map, if it says so.
    """

    given: Transport | None
    name: str
    reach: Any = None
    tables: Tabulated | None = None
    declared_steady: bool = False
    memory: Memory | None = None
    block: int = 0
    standing: bool = False
    parity: ParityDrift | None = None
    passing: PassingDrift | None = None
    flowing: FlowingDrift | None = None
    local: bool = False
    midpoint: MidpointDrift | None = None
    unmapped: str = ""

    @property
    def kind(self) -> str:
        """Return what it is: ``"rates"``, or ``"drift"`` of floating-point configurations."""
        return kind_of(self.given)

    @property
    def gauge(self) -> str:
        """Return what it returns: ``"plain"`` for ``G``, ``"heat_bath"`` for ``D``."""
        return gauge_of(self.given)

    @property
    def clock(self) -> str:
        """Return what its rates are per unit of: ``"t"``, or ``"beta"`` for ``β_t``."""
        return clock_of(self.given)

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

        Raises:
            ValueError: it is, or an energy, or its kind, its gauge or its clock is unknown.
        """
        if self.kind == "energy":
            raise ValueError(
                f"{self.name} is an energy, which moves nothing, and so no transport; give it to "
                f"the path, lt.AnnealingPath(model, start=…, correction=energy) or "
                f"lt.GradientFlowPath(model, energy, start=…), and to the sampler a drift such as "
                f"lt.DenseDrift(model)"
            )
        _check_word(self.name, "kind", self.kind, KINDS)
        _check_word(self.name, "gauge", self.gauge, GAUGES)
        _check_word(self.name, "clock", self.clock, CLOCKS)
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

    def ride(self, walkers: int, block: int, follow: bool) -> "AnyTransport":
        """Return the answers for several blocks of walkers, each evaluated by itself.

        So a walker has the rates that it would have if its block were alone: a network may round
        otherwise in a larger batch.

        Args:
            walkers: their number in all blocks, whole ones.
            block: walkers per block.
            follow: whether each block is remembered, if the transport offers that.
        """
        if self.given is None or walkers == block:
            return self.follow(walkers) if follow else self
        parts: list[AnyTransport] = []
        for _ in range(walkers // block):
            parts.append(self.follow(block) if follow else self)
        return _Riding(
            self.given,
            self.name,
            self.reach,
            self.tables,
            self.declared_steady,
            block=block,
            parts=tuple(parts),
        )

    def at(self, rows: Tensor | slice) -> Transport | None:
        """Return what a step calls for some walkers of the block, by their place in it."""
        if self.memory is None:
            return self.given
        return self.memory.at(rows)


def _check_word(name: str, attribute: str, given: object, known: Sequence[str]) -> None:
    """Raise a ValueError unless what a transport says of itself is known."""
    if given not in known:
        words = " or ".join(repr(word) for word in known)
        raise ValueError(f"the {attribute} of {name} must be {words}, got {given!r}")


@dataclass(frozen=True)
class _Riding(AnyTransport):
    """The answers for several blocks.

    Attributes:
        parts: the answers for each block.
    """

    parts: tuple[AnyTransport, ...] = ()

    @property
    def steady(self) -> bool:
        """Return whether calls can be recorded once and launched again and again."""
        return all(part.steady for part in self.parts)

    def at(self, rows: Tensor | slice) -> Transport | None:
        """Return what a step calls for some walkers, by their place among those of all blocks."""
        calls: list[_Call] = []
        if isinstance(rows, slice):
            for number, part in enumerate(self.parts):
                here = slice(number * self.block, (number + 1) * self.block)
                calls.append(_Call(here, part.at(slice(None))))
            return _BlockByBlock(self.given, calls, self.reach)
        edges = torch.arange(len(self.parts) + 1, device=rows.device) * self.block
        # Rows come in their order, so that those of a block are side by side.
        begins = torch.searchsorted(rows, edges).tolist()
        for number, part in enumerate(self.parts):
            here = slice(begins[number], begins[number + 1])
            own: Tensor | slice = rows[here] - number * self.block
            # A block of which all go on is called as it is alone.
            if here.stop - here.start == self.block:
                own = slice(None)
            if here.stop > here.start:
                calls.append(_Call(here, part.at(own)))
        return _BlockByBlock(self.given, calls, self.reach)


class _Call(NamedTuple):
    """An evaluation of one block."""

    rows: slice
    """Its walkers among those of all blocks"""
    transport: Any


class _BlockByBlock(nn.Module):
    """A transport that evaluates the walkers of each block by themselves.

    Args:
        given: the transport as it was given.
        calls: one evaluation for each block.
        reach: that of the transport.
    """

    def __init__(self, given: Any, calls: Sequence[_Call], reach: Any) -> None:
        super().__init__()
        # A module among its attributes tells its precision.
        self.given = given
        self.gauge = gauge_of(given)
        self.clock = clock_of(given)
        self.calls = calls
        self.reach = reach

    def forward(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``G`` of all walkers."""
        pieces: list[Tensor] = []
        for rows, transport in self.calls:
            own: list[Tensor] = []
            for value in conditions:
                # What all walkers share has one row.
                if len(value) > 1:
                    value = value[rows]
                own.append(value)
            pieces.append(transport(configurations[rows], Conditions(*own)))
        return torch.cat(pieces)


def as_transport(given: Transport | None) -> AnyTransport:
    """Ask a transport for all that it offers beyond its call; integrators ask nowhere else.

    Args:
        given: a function of configurations and conditions, which need offer no more; None for none.
    """
    offered: Any = given
    tables = offered if isinstance(offered, Tabulated) else None
    name = type(given).__name__
    reach = getattr(offered, "reach", None)
    # What a network says of itself is not true any more where it stands on a response.
    if getattr(offered, "reads_all", False) is True:
        reach = None
    # None, which makes no rates at all, is as steady as can be.
    steady = given is None or getattr(offered, "steady", False) is True
    standing = getattr(offered, "response", None) is not None
    answers = AnyTransport(given, name, reach, tables, steady, standing=standing)
    if isinstance(offered, ParityDrift) and offered.maps:
        return replace(
            answers,
            parity=offered,
            passing=offered if isinstance(offered, PassingDrift) else None,
            flowing=offered if isinstance(offered, FlowingDrift) else None,
            local=getattr(offered, "local", False) is True,
        )
    if isinstance(offered, MidpointDrift) and offered.midpoint:
        return replace(answers, midpoint=offered)
    return replace(answers, unmapped=getattr(offered, "unmapped", ""))
