"""Paths between two models that differ in one coupling, along which replicas of a ladder stand."""

from typing import Any

from ..models.varied import Varied, model_with
from .annealing import AnnealingPath
from .bridges import FirstRung

__all__ = ["between"]


def between(varied: Varied, model: Any) -> AnnealingPath:
    """Return the path that leads evenly through the values of a coupling.

    An action is linear in its couplings, so that ``(1 - t) S_first + t S_last`` is that of the
    coupling between them.

    Args:
        varied: the coupling and its values, the last the model's own.
        model: the last of the models.
    """
    first = model_with(model, varied.name, varied.values[0])
    return AnnealingPath(model, start=FirstRung(first))
