"""A transport that evaluates walkers block by block."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...models.base import Conditions
from .offers import clock_of, gauge_of

__all__ = ["BlockByBlock", "Call"]


class Call(NamedTuple):
    """An evaluation of one block."""

    rows: slice
    """Its walkers among those of all blocks"""
    transport: Any


class BlockByBlock(nn.Module):
    """A transport that evaluates the walkers of each block by themselves.

    Args:
        given: the transport as it was given.
        calls: one evaluation for each block.
        reach: that of the transport.
    """

    def __init__(self, given: Any, calls: Sequence[Call], reach: Any) -> None:
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
