"""The answers of a transport to all that integrators ask beyond its call."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from ...kernels.proposals.op import GAUGES
from .blockwise import BlockByBlock, Call
from .offers import (
    FlowingDrift,
    Memory,
    MidpointDrift,
    ParityDrift,
    PassingDrift,
    Tabulated,
    Transport,
    clock_of,
    gauge_of,
    kind_of,
    precision_of,
)

__all__ = ["AnyTransport", "as_transport"]


_LOG = logging.getLogger("leaps_triton")

_TOLD: set[tuple[str, float, float]] = set()
"""What has been logged, so that it is logged once."""

_ROUNDING = 1e-6

KINDS = ("rates", "drift")
"""What a transport may be."""

CLOCKS = ("t", "beta")
"""What the rates of a transport may be per unit of."""


@dataclass(frozen=True)
class AnyTransport:
    """The answers of a transport to all that integrators ask; :func:`as_transport` makes them.

    Attributes:
        given: the transport as it was given; None for none.
        name: its class, for messages.
        reach: largest distance, in any direction, between a site and those that ``G`` reads there,
            as the transport says it; None where it says none, or reads all.
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

        A model colder than all that the transport knows is taken, and the logger ``leaps_triton``
        says so once.

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
        known = getattr(self.given, "known_beta", None)
        if known is not None:
            _tell_beyond(self.name, model.beta, known)

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


def _tell_beyond(name: str, beta: float, known: float) -> None:
    """Log once that a model lies beyond the inverse temperatures that a transport knows."""
    # A known β may be a float32.
    within = abs(beta) <= abs(known) * (1.0 + _ROUNDING)
    if within or (name, beta, known) in _TOLD:
        return
    _TOLD.add((name, beta, known))
    _LOG.warning(
        "this %s knows inverse temperatures up to beta = %.6g, and the model has beta = %.6g; "
        "weights are exact there too, but few walkers carry them: read the ESS",
        name,
        known,
        beta,
    )


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
        calls: list[Call] = []
        if isinstance(rows, slice):
            for number, part in enumerate(self.parts):
                here = slice(number * self.block, (number + 1) * self.block)
                calls.append(Call(here, part.at(slice(None))))
            return BlockByBlock(self.given, calls, self.reach)
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
                calls.append(Call(here, part.at(own)))
        return BlockByBlock(self.given, calls, self.reach)


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
