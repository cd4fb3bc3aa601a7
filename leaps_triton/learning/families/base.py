"""What learning asks of a family of models ``ρ_θ ∝ e^{-u_θ}``.

The inverse temperature is absorbed in ``θ``: ``u_θ = β H``. The models made of ``θ`` keep the β of
the model that the family was made from.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from ...io.packing import Contents
from ...io.parts import describe_model

__all__ = ["Family", "PseudoLikelihoodTerms", "check_beta", "weighed_mean"]


class PseudoLikelihoodTerms(ABC):
    """What pseudo-likelihood asks of data that stay the same from step to step."""

    @abstractmethod
    def value(self, theta: Tensor) -> float:
        """Return ``-Σ_i log p(x_i | rest)``, the mean over data.

        Args:
            theta: float64 ``(parameters,)``.
        """

    @abstractmethod
    def loss(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return the same and its gradient, float64 ``(parameters,)``.

        Args:
            theta: float64 ``(parameters,)``.
        """


class Family(ABC):
    """Models that differ in the parameters ``θ`` alone.

    Attributes:
        model: the model that it was made from.
        theta: parameters of that model, float64 ``(parameters,)``.
        penalised: which of them a penalty on couplings holds, bool ``(parameters,)``.
        counts: terms of the energy that each stands for, float64 ``(parameters,)``.
        names: what each part of ``θ`` is and how many numbers it has, in order.
        settings: what makes the same family of the same model.
    """

    model: Any
    theta: Tensor
    penalised: Tensor
    counts: Tensor
    names: dict[str, int]
    settings: dict[str, Any]

    fixed_moments = True
    """Whether the means of data are the same for all parameters"""

    convex = True
    """Whether pseudo-likelihood, where there is one, has one minimum alone"""

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return len(self.theta)

    @abstractmethod
    def at(self, theta: Tensor) -> Any:
        """Return the model with the law ``ρ_θ``.

        Args:
            theta: float64 ``(parameters,)``.
        """

    @abstractmethod
    def u(self, configurations: Tensor, theta: Tensor) -> Tensor:
        """Return ``u_θ(x)``, float64 ``(walkers,)``.

        Args:
            configurations: ``(walkers, *shape)``.
            theta: float64 ``(parameters,)``.
        """

    @abstractmethod
    def moments(
        self, configurations: Tensor, theta: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Return ``-∂u_θ/∂θ``, summed with weights, float64 ``(parameters,)``.

        Args:
            configurations: ``(walkers, *shape)``.
            theta: float64 ``(parameters,)``.
            weights: float64 ``(walkers,)``, of any sign and sum; None for the mean.
        """

    def described(self) -> Contents:
        """Return the model that the family was made from as data, as files keep it.

        Raises:
            ValueError: it cannot be stored.
        """
        return describe_model(self.model)

    def first(self, data: Tensor) -> Tensor:
        """Return parameters to start from, unless the model's own are asked for.

        Args:
            data: ``(samples, *shape)``.
        """
        return self.theta.clone()

    def configurations(self, rows: Tensor) -> Tensor:
        """Return data as configurations of the models, hidden units of any value.

        Args:
            rows: data, or configurations already.

        Raises:
            ValueError: these are no configurations.
        """
        self.model.check(rows)
        return rows

    def inside(self, theta: Tensor) -> Tensor:
        """Return the nearest parameters of which there is a model."""
        return theta

    def refreshed(
        self, configurations: Tensor, theta: Tensor, walker_index: Tensor, event: int, seed: int
    ) -> Tensor:
        """Return configurations whose hidden units, if any, were drawn given the visible ones.

        Args:
            configurations: ``(walkers, *shape)``.
            theta: float64 ``(parameters,)``.
            walker_index: global indices, int64 ``(walkers,)``.
            event: another one for every call.
            seed: in [0, 2³²), used for nothing else.
        """
        return configurations

    def exact_moments(self, theta: Tensor) -> Tensor | None:
        """Return the means under the model, where the family knows a way of its own; else None."""
        return None

    def conditionals(self, data: Tensor) -> PseudoLikelihoodTerms:
        """Return what pseudo-likelihood needs of data.

        Raises:
            ValueError: conditional probabilities of single sites have no closed form.
        """
        raise ValueError(
            f"pseudo-likelihood needs a model of pairs, or a NetworkEnergy, whose sites are all in "
            f"the data, got {self.model!r}; take MaximumLikelihood, or EnergyDiscrepancy"
        )


def check_beta(model: Any) -> None:
    """Raise a ValueError unless couplings can be told from ``θ = β J``."""
    if not model.beta > 0.0:
        raise ValueError(
            f"beta of a model that is learned must be above 0, since its couplings are θ / beta, "
            f"got {model.beta:g}"
        )


def weighed_mean(terms: Tensor, weights: Tensor | None) -> Tensor:
    """Return the sum over walkers with weights, or the mean.

    Args:
        terms: float64 ``(walkers, …)``.
        weights: float64 ``(walkers,)``, or None.
    """
    if weights is None:
        return terms.mean(0)
    return torch.tensordot(weights.to(terms.dtype), terms, dims=1)
