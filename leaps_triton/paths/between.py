"""Paths between two models that differ in one coupling, along which replicas of a ladder stand."""

import math
from typing import Any

from torch import Tensor

from ..models.varied import Varied
from .annealing import AnnealingPath

__all__ = ["between"]


class _First:
    """A model as the start of a path, which nobody samples from.

    Attributes:
        model: the model.
        log_z: not known.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.log_z = math.nan

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """Raise a ValueError: the law is known but for its samples."""
        raise ValueError(f"there are no exact samples of {self.model!r}; start chains elsewhere")

    def energy(self, configurations: Tensor) -> Tensor:
        """Return the energy of the model, float64 ``(walkers,)``."""
        found: Tensor = self.model.energy(configurations, check=False)
        return found

    def force(self, configurations: Tensor) -> Tensor:
        """Return the force of the model, ``(walkers, *shape)``."""
        found: Tensor = self.model.force(configurations)
        return found


def between(varied: Varied, model: Any) -> AnnealingPath:
    """Return the path that leads evenly through the values of a coupling.

    An action is linear in its couplings, so that ``(1 - t) S_first + t S_last`` is that of the
    coupling between them.

    Args:
        varied: the coupling and its values, the last the model's own.
        model: the last of the models.
    """
    first = varied.models(model)[0]
    return AnnealingPath(model, start=_First(first))
