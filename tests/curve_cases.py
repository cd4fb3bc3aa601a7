"""Energies of order one that curve paths, targets of theirs, and paths that do it wrongly."""

import math
from typing import Any

import torch
from torch import Tensor, nn

import leaps_triton as lt
from leaps_triton.models.base import Conditions


def bent(configurations: Tensor, conditions: Conditions) -> Tensor:
    """``ψ = 1.5 sin(x_0 + 2t) + cos(t Σ x) + ½ tanh(x_0)``."""
    t = conditions.t
    first = configurations.flatten(1)[:, 0]
    total = configurations.flatten(1).sum(1)
    return 1.5 * torch.sin(first + 2.0 * t) + torch.cos(t * total) + 0.5 * torch.tanh(first)


@lt.register("network", name="bent for tests")
class Bent(nn.Module):
    """The same as a module of a user's own, with one parameter."""

    def __init__(self, model: Any, strength: float = 1.0) -> None:
        super().__init__()
        self.settings = {"strength": strength}
        self.strength = nn.Parameter(torch.tensor(strength))

    def forward(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        return self.strength * bent(configurations, conditions)


class Diffused:
    """``ψ`` of the exact Ornstein-Uhlenbeck process of a mixture, and a part of :func:`bent`.

    Args:
        model: the mixture.
        scale: of the Gaussian that the process ends in.
        strength: of what is added.
    """

    def __init__(self, model: lt.GaussianMixture, scale: float, strength: float = 0.0) -> None:
        self.model = model
        self.scale = scale
        self.strength = strength
        parts = [torch.tensor(model.settings[name], dtype=torch.float64) for name in PARTS]
        self.means, self.widths, self.weights = parts

    def energy(self, configurations: Tensor, t: Tensor) -> Tensor:
        """``f_t``: means go as ``t``, variances as ``s² + (σ² - s²) t²``."""
        square = self.scale**2
        times = t.view(-1, 1)
        variance = square + (self.widths**2 - square) * times * times
        distances = configurations.unsqueeze(1) - self.means * times.unsqueeze(2)
        dim = configurations.shape[1]
        terms = torch.log(self.weights) - 0.5 * dim * torch.log(2.0 * math.pi * variance)
        return -torch.logsumexp(terms - 0.5 * distances.square().sum(2) / variance, 1)

    def __call__(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``ψ``, made of ``f_t``."""
        # At the ends it counts for nothing, and 0 / 0 would be NaN.
        t = conditions.t.clamp(1e-6, 1.0 - 1e-6)
        start = 0.5 * configurations.square().sum(1) / self.scale**2
        target = self.model.energy(configurations, check=False)
        straight = (1.0 - t * t) * start + t * t * target
        exact = (self.energy(configurations, t) - straight) / (t * (1.0 - t))
        return exact + self.strength * bent(configurations, conditions)


PARTS = ("means", "scales", "weights")


def double_well() -> lt.Density:
    """``H = 2(x² - 1)² - 0.3 x``; its log Z by the trapezoidal rule, exact to rounding here."""
    grid = torch.linspace(-4.0, 4.0, 2001, dtype=torch.float64)
    values = torch.exp(0.3 * grid - 2.0 * (grid.square() - 1.0).square())
    log_z = math.log(float(values.sum()) * 0.004)

    def log_density(x: Tensor) -> Tensor:
        return (0.3 * x - 2.0 * (x.square() - 1.0).square()).sum(1)

    return lt.Density(log_density, dim=1, log_z=log_z)


def plane() -> lt.GaussianMixture:
    """A mixture of four in two dimensions, of log Z = 0."""
    means = [[1.5, 1.5], [-1.5, 1.5], [1.5, -1.5], [-1.5, -1.5]]
    return lt.GaussianMixture(means, 0.7, [0.1, 0.2, 0.3, 0.4])


class StraightMoves(lt.AnnealingPath):
    """WRONG: moves keep the densities without ``ψ``, weights are those with it."""

    def log_density_and_score(self, configurations: Tensor, t: Any) -> tuple[Tensor, Tensor]:
        straight = lt.AnnealingPath(self.model, self.start, self.schedule)
        return straight.log_density_and_score(configurations, t)


class StraightWeights(lt.AnnealingPath):
    """WRONG: weights are those without ``ψ``, moves keep the densities with it."""

    def log_increment(self, configurations: Tensor, t_from: Any, t_to: Any) -> Tensor:
        straight = lt.AnnealingPath(self.model, self.start, self.schedule)
        return straight.log_increment(configurations, t_from, t_to)


def pull(log_weights: Tensor, log_ratio: float) -> float:
    """Return by how many standard errors ``mean e^A`` misses ``Z_1 / Z_0``."""
    ratio = torch.exp(log_weights - log_ratio)
    return float((ratio.mean() - 1.0) / (ratio.std() / math.sqrt(len(ratio))))
