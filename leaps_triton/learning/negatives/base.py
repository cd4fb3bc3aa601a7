"""Negative phases: where the means under the model come from, which a gradient needs.

A gradient of the log-likelihood is the difference of the means of the data and of those under the
model at hand. The latter are exact sums, means of walkers that start from the data or go on from
step to step, of annealed ones, or those of mean-field equations.
"""

from abc import ABC, abstractmethod
from typing import Any, Self

from torch import Tensor

from ...samplers.ensemble import WeightedEnsemble
from ..families.base import Family

__all__ = ["Negative"]


class Negative(ABC):
    """What gives the means under the model, step by step.

    A learner calls ``settled`` once, then ``begin``, and ``step`` after every update of the
    parameters. States are tuples of tensors and numbers, from which a file goes on.
    """

    def settled(self, family: Family, theta: Tensor) -> Self:
        """Return the same with all that its user did not name.

        Args:
            family: whose parameters are learned.
            theta: the first parameters, float64 ``(parameters,)``.

        Raises:
            ValueError: it does not serve these models.
        """
        return self

    @abstractmethod
    def begin(self, family: Family, theta: Tensor, data: Tensor, seed: int) -> Any:
        """Return the state at the first parameters.

        Args:
            family: whose parameters are learned.
            theta: the first parameters, float64 ``(parameters,)``.
            data: ``(samples, *shape)``.
            seed: in [0, 2³²).
        """

    @abstractmethod
    def step(self, family: Family, before: Tensor, after: Tensor, state: Any) -> Any:
        """Return the state after an update of the parameters.

        Args:
            family: whose parameters they are.
            before: ``θ``, float64 ``(parameters,)``.
            after: ``θ'``, likewise.
            state: at ``θ``.
        """

    @abstractmethod
    def moments(self, family: Family, theta: Tensor, state: Any) -> Tensor:
        """Return the means under the model, float64 ``(parameters,)``.

        Args:
            family: whose parameters they are.
            theta: ``θ``, float64 ``(parameters,)``.
            state: at ``θ``.
        """

    def witnessed(self, family: Family, theta: Tensor, state: Any) -> WeightedEnsemble | None:
        """Return weighted walkers of the model that entered no gradient; None without any.

        Args:
            family: whose parameters they are.
            theta: ``θ``, float64 ``(parameters,)``.
            state: at ``θ``.
        """
        return None
