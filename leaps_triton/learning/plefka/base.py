"""What the equations of a mean-field theory offer."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from .results import TapResult

__all__ = ["Equations", "entropy"]


class Equations(ABC):
    """The mean-field equations of a model; means are float64 ``(starts, sites)``.

    Attributes:
        shapes: of one start, as a user may give it.
        sites: number of sites, all units of a machine.
    """

    shapes: tuple[tuple[int, ...], ...]
    sites: int

    lowest: float
    """The least mean of a site; the largest is 1"""

    result: type[TapResult] = TapResult
    """What is told of a solution"""

    @abstractmethod
    def log_z(self, means: Tensor) -> Tensor:
        """Return the approximate ``log Z`` at these means, ``(starts,)``."""

    @abstractmethod
    def iterated(self, means: Tensor, damping: float) -> Tensor:
        """Return the means after an iteration, ``damping`` the share of the old ones."""

    @abstractmethod
    def residual(self, means: Tensor) -> Tensor:
        """Return by how much the equations miss at most, ``(starts,)``."""

    def completed(self, means: Tensor) -> Tensor:
        """Return means of all sites from those that a user gave, ``(starts, …)``."""
        return means.flatten(1)

    def beside(self, means: Tensor) -> dict[str, Any]:
        """Return what else :attr:`result` tells of one start, ``(1, sites)``."""
        return {}


def entropy(chances: Tensor) -> Tensor:
    """Return the entropy of independent sites of two states, ``(starts,)``.

    Args:
        chances: of one state, float64 ``(starts, sites)``.
    """
    # xlogy(0, 0) is 0, as the entropy of a site that is certain must be.
    terms = torch.xlogy(chances, chances) + torch.xlogy(1.0 - chances, 1.0 - chances)
    return -terms.sum(1)
