"""Walkers of chains, what a step did to them, and the lowest energies that they have had."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Lowest", "SweepInfo", "SweepState"]


class SweepState(NamedTuple):
    """Walkers of a Markov chain."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    sweep: int
    """Sweeps, or cluster updates, so far: the Philox event counter"""


class SweepInfo(NamedTuple):
    """What one step did."""

    changed: Tensor
    """Fraction of sites whose value changed, float32 ``(walkers,)``"""


class Lowest(NamedTuple):
    """The lowest energy that each walker has had, and where."""

    energies: Tensor
    """``H`` without β, float64 ``(walkers,)``; infinite before any was seen"""
    configurations: Tensor
    """``(walkers, *shape)``"""

    def and_of(self, energies: Tensor, configurations: Tensor) -> "Lowest":
        """Return the lower of each walker's own and of another energy; the earlier of two equal.

        Args:
            energies: ``H``, float64 ``(walkers,)``.
            configurations: theirs, ``(walkers, *shape)``.
        """
        # NaN is lower than nothing.
        lower = energies < self.energies
        by_site = lower.view(-1, *[1] * (configurations.ndim - 1))
        return Lowest(
            torch.where(lower, energies, self.energies),
            torch.where(by_site, configurations, self.configurations),
        )
