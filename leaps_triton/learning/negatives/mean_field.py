"""Means of restricted Boltzmann machines by mean-field equations, in place of walkers."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import as_integer, expect
from ...models.machines import RBM
from ..families.base import Family
from ..plefka import MachineEquations, tap
from .base import Negative
from .chains import rows_of
from .seeds import Purpose, derived_seed

__all__ = ["MeanField"]


_INSIDE = 0.1
"""How far from 0 and 1 means are that start from data."""


class Solutions(NamedTuple):
    """Solutions of the mean-field equations, which follow the parameters."""

    means: Tensor
    """Means of all units, float64 ``(starts, visible + hidden)``"""
    residual: float
    """By how much the equations miss, at most over units and starts"""


@dataclass(frozen=True)
class MeanField(Negative):
    """Takes means of a restricted Boltzmann machine from mean-field equations (TAP).

    Without noise, and cheap while weights are small. On learned weights solutions fall into one,
    which misses modes, and may not converge: prefer :class:`~leaps_triton.learning.Persistent` or
    :class:`~leaps_triton.learning.Jarzynski`, and never report its log Z.

    Args:
        order: 1 (naive), 2 (Thouless–Anderson–Palmer) or 3.
        starts: solutions followed, each from a row of the data.
        iterations: of the equations at every step.

    Raises:
        ValueError: an argument is out of range; at the first step, a model that is no RBM.

    References:
        Gabrié, Tramel, Krzakala, *Training restricted Boltzmann machines via the
        Thouless-Anderson-Palmer free energy*, NIPS (2015), arXiv:1506.02914.

    Example:
        >>> from leaps_triton.learning import MeanField
        >>> MeanField(order=2)
        MeanField(order=2, starts=100, iterations=3)
    """

    order: int = 2
    starts: int = 100
    iterations: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", as_integer("order", self.order, 1, 3))
        object.__setattr__(self, "starts", as_integer("starts", self.starts, 1))
        object.__setattr__(self, "iterations", as_integer("iterations", self.iterations, 1))

    def settled(self, family: Family, theta: Tensor) -> "MeanField":
        """Return the same, if the models are machines.

        Raises:
            ValueError: they are not.
        """
        model = family.at(theta)
        expect(isinstance(model, RBM), "model", "an RBM, for MeanField", model)
        return self

    def begin(self, family: Family, theta: Tensor, data: Tensor, seed: int) -> Solutions:
        """Return solutions at the first parameters, from rows of the data."""
        rows = rows_of(data, self.starts, derived_seed(seed, Purpose.ROWS), 0)
        visible = rows[:, : family.at(theta).visible].double()
        # Units that are certain would stay so.
        visible = _INSIDE + (1.0 - 2.0 * _INSIDE) * visible
        return self._followed(family, theta, visible)

    def step(self, family: Family, before: Tensor, after: Tensor, state: Solutions) -> Solutions:
        """Return the solutions after some iterations at the new parameters."""
        return self._followed(family, after, state.means)

    def moments(self, family: Family, theta: Tensor, state: Solutions) -> Tensor:
        """Return the derivatives of the approximate log Z, float64 ``(parameters,)``."""
        model = family.at(theta)
        parts = MachineEquations(model, self.order).gradient(state.means)
        return torch.cat([parts.weights.flatten(), parts.visible_bias, parts.hidden_bias])

    def _followed(self, family: Family, theta: Tensor, means: Tensor) -> Solutions:
        """Return means after some iterations that begin with others."""
        model = family.at(theta)
        found = tap(model, self.order, starts=means, iterations=self.iterations)
        return Solutions(found.means_of_starts, float(found.residual_of_starts.max()))
