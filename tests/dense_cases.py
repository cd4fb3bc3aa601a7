"""Drifts of vectors of order one, densities, and quadrature, for the tests of dense drifts."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.models.base import Conditions

FLOAT64 = torch.float64


def conditions(t: Any) -> Conditions:
    """What a path of densities tells at a time."""
    times = torch.as_tensor(t, dtype=FLOAT64).reshape(-1)
    return Conditions(times, torch.ones(1), torch.ones(1, 1), torch.zeros(1, 1))


def awake(drift: Any, size: float = 0.25, seed: int = 1) -> Any:
    """The drift far from a new one, which is almost 0 and would test nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in drift.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=FLOAT64)
            parameter.add_(size * noise.to(parameter.dtype))
    return drift.requires_grad_(False)


def quartic(dim: int) -> lt.Density:
    """Coupled double wells."""

    def log_density(x: Tensor) -> Tensor:
        wells = x.square() - x.square().square()
        return wells.sum(1) + 0.5 * x[:, 0] * x[:, -1] + 0.3 * x[:, 0]

    return lt.Density(log_density, dim)


def path_to(model: Any, scale: float = 1.0) -> lt.AnnealingPath:
    """A path from normal numbers."""
    return lt.AnnealingPath(model, start=lt.Gaussian(scale))


class Grid(NamedTuple):
    """Points of a quadrature whose weights are all the same, beyond whose edge nothing is left."""

    points: Tensor
    """``(points, dim)``"""
    weight: float

    @classmethod
    def of(cls, dim: int, edge: float, count: int) -> "Grid":
        """The trapezoidal rule, whose error for smooth densities falls beyond all powers."""
        line = torch.linspace(-edge, edge, count, dtype=FLOAT64)
        points = torch.cartesian_prod(*[line] * dim).view(-1, dim)
        return cls(points, (2.0 * edge / (count - 1)) ** dim)

    def log_integral(self, logarithms: Tensor) -> float:
        """``log ∫ e^f dx``."""
        return float(torch.logsumexp(logarithms, 0)) + math.log(self.weight)


def excess_of(path: Any, integrator: Any, drift: Any, grid: Grid) -> float:
    """``log E[e^A] - log Z_1/Z_0`` over all starts, without noise; only for steps without noise."""
    x = grid.points
    state = integrator.init(x, torch.arange(len(x)))
    with torch.no_grad():
        after = integrator.run(state, path, drift, 0)
    found = grid.log_integral(path.log_density(x, 0.0) + after.log_weights)
    return found - grid.log_integral(path.model.log_density(x))


class Steep:
    """``b = c R tanh x`` with a rotation ``R``: the norm of its Jacobian is ``c`` at most."""

    kind = "drift"
    midpoint = True

    def __init__(self, size: float, told: float | None = None, angle: float = 0.7) -> None:
        self.size = size
        self.told = size if told is None else told
        turn = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        self.matrix = size * torch.tensor(turn, dtype=FLOAT64)

    def __call__(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """``b`` and its divergence."""
        b, jacobian = self.linearised(configurations, 0.0)
        return b, jacobian.diagonal(dim1=1, dim2=2).sum(1)

    def linearised(self, configurations: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """``b`` and its Jacobian."""
        inner = torch.tanh(configurations.double())
        slopes = (1.0 - inner.square()).unsqueeze(1)
        return inner @ self.matrix.T, self.matrix * slopes

    def steepest(self, t: float) -> float:
        """The slope of tanh is 1 at most."""
        return self.told
