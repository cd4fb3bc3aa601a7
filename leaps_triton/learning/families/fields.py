"""Scalar fields, ``u_θ(φ) = S(φ)`` with ``θ = (m², λ)``."""

import torch
from torch import Tensor

from ...models.fields import PhiFour
from .base import Family, weighed_mean

__all__ = ["FieldFamily"]


_LEAST = 1e-6
"""The quartic coupling, at least: without one the action may be unbounded."""


class FieldFamily(Family):
    """The φ⁴ fields on one lattice. The coupling of neighbours is fixed by the unit of the field.

    Args:
        model: one of them.
    """

    model: PhiFour

    def __init__(self, model: PhiFour) -> None:
        self.model = model
        self.settings = {"coupling": "bond", "field": None}
        self.names = {"mass_squared": 1, "quartic": 1}
        self.theta = model.coupling.clone()
        self.penalised = torch.zeros(2, dtype=torch.bool)
        self.counts = torch.full((2,), float(model.lattice.sites), dtype=torch.float64)

    def at(self, theta: Tensor) -> PhiFour:
        """Return the field with the law ``ρ_θ``."""
        mass_squared, quartic = theta.tolist()
        return self.model.with_couplings(mass_squared=mass_squared, quartic=quartic)

    def u(self, configurations: Tensor, theta: Tensor) -> Tensor:
        """Return the action, float64 ``(walkers,)``."""
        return self.at(theta).energy(configurations, check=False)

    def moments(
        self, configurations: Tensor, theta: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Return sums of ``-Σ φ²`` and ``-Σ φ⁴``, float64 ``(2,)``."""
        squares = configurations.flatten(1).double().square()
        terms = torch.stack([-squares.sum(1), -squares.square().sum(1)], dim=1)
        return weighed_mean(terms, weights)

    def inside(self, theta: Tensor) -> Tensor:
        """Return the parameters with a quartic coupling above 0."""
        return torch.stack([theta[0], theta[1].clamp(min=_LEAST)])
