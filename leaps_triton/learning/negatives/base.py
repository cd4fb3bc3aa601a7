"""Negative phases: where the means under the model come from, which a gradient needs.

A gradient of the log-likelihood is the difference of the means of the data and of those under the
model at hand. The latter are exact sums, means of walkers that start from the data or go on from
step to step, of annealed ones, or those of mean-field equations.
"""

from abc import ABC, abstractmethod
from typing import Any, Protocol, Self

from torch import Tensor

from ...samplers.ensemble import WeightedEnsemble

__all__ = ["Family", "Negative"]


class Family(Protocol):
    """What negative phases ask of a family of models ``ρ_θ ∝ exp(-u_θ)``.

    Walkers are configurations of the model, those of a machine with hidden units whole: visible and
    hidden. Weights are those of what is visible.
    """

    def at(self, theta: Tensor) -> Any:
        """Return the model with the law ``ρ_θ``, ``β H = u_θ`` but for hidden units.

        Args:
            theta: ``θ``, float64 ``(parameters,)``.
        """
        ...

    def u(self, configurations: Tensor, theta: Tensor) -> Tensor:
        """Return ``u_θ(x)``, hidden units summed out, float64 ``(walkers,)``.

        Args:
            configurations: ``(walkers, *shape)``; hidden units are not looked at.
            theta: ``θ``, float64 ``(parameters,)``.
        """
        ...

    def moments(
        self, configurations: Tensor, theta: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Return the means of ``-∂u_θ/∂θ``, float64 ``(parameters,)``.

        Args:
            configurations: ``(walkers, *shape)``; hidden units are not looked at.
            theta: ``θ``, float64 ``(parameters,)``.
            weights: of sum 1 for means, float64 ``(walkers,)``; None for equal ones.
        """
        ...

    def configurations(self, data: Tensor) -> Tensor:
        """Return rows of data as configurations of the model, with hidden units of any value."""
        ...

    def exact_moments(self, theta: Tensor) -> Tensor | None:
        """Return the means under the model, where the family knows a way of its own; else None."""
        ...

    def refreshed(
        self, configurations: Tensor, theta: Tensor, walker_index: Tensor, event: int, seed: int
    ) -> Tensor:
        """Return configurations whose hidden units were drawn given the visible ones.

        Without hidden units these are the same configurations. A move of the whole then leaves the
        law of what is visible invariant, which it would not from hidden units of other parameters.

        Args:
            configurations: ``(walkers, *shape)``.
            theta: ``θ``, float64 ``(parameters,)``.
            walker_index: global indices, int64 ``(walkers,)``.
            event: another one for every call.
            seed: in [0, 2³²), used for nothing else.
        """
        ...


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
