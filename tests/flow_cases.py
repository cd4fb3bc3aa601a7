"""A fixed drift, and moves and paths of fields, for the tests of integrators that follow drifts."""

from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.models.base import Conditions

SHAPE = (2, 2)
LOG_RATIO = 1.5557160303
"""``log Z_1 / Z_0`` of the 2 × 2 lattice, m² 1 → -1, λ 0 → 0.9, by quadrature."""


class FixedDrift:
    """``b = (1 + t)(0.4 φ + 0.5 tanh h - 0.6 tanh(φ + 0.7 h))``, ``h`` the mean of the neighbours.

    A network that was just made is almost 0 and would test nothing. The first term is linear.
    """

    kind = "drift"
    maps = True

    def __init__(self, shape: tuple[int, ...] = SHAPE, scale: float = 1.0) -> None:
        self.shape = shape
        self.scale = scale
        grids = torch.meshgrid(*[torch.arange(length) for length in shape], indexing="ij")
        colour = torch.stack(grids).sum(0).flatten() % 2
        self.sites = [(colour == parity).nonzero().squeeze(1) for parity in (0, 1)]

    def means(self, configurations: Tensor) -> Tensor:
        """``h``, ``(walkers, *shape)``."""
        total = torch.zeros_like(configurations)
        for axis in range(1, configurations.ndim):
            total = total + configurations.roll(1, axis) + configurations.roll(-1, axis)
        return total / (2 * len(self.shape))

    def rest(self, configurations: Tensor, t: Any) -> tuple[Tensor, Tensor]:
        """``f`` and its slope at all sites."""
        h = self.means(configurations)
        inner = torch.tanh(configurations + 0.7 * h)
        factor = self.scale * (1.0 + t)
        value = factor * (0.5 * torch.tanh(h) - 0.6 * inner)
        return value, factor * (-0.6 * (1.0 - inner * inner))

    def __call__(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """``b`` and its divergence."""
        times = conditions.t.double().view(-1, *[1] * len(self.shape))
        value, slope = self.rest(configurations, times)
        linear = self.scale * 0.4 * (1.0 + times)
        divergence = (slope + linear).flatten(1).sum(1).double()
        return value + linear * configurations, divergence

    def modes(self, t: float) -> Tensor:
        """The linear term, of all modes."""
        return torch.full(self.shape, self.scale * 0.4 * (1.0 + t), dtype=torch.float64)

    def sublattice(self, parity: int) -> Tensor:
        """Its sites."""
        return self.sites[parity]

    def active(self, configurations: Tensor, t: float, parity: int) -> tuple[Tensor, Tensor]:
        """``f`` and its slope on one sublattice."""
        value, slope = self.rest(configurations, t)
        sites = self.sites[parity]
        return value.flatten(1)[:, sites], slope.flatten(1)[:, sites]

    def steepest(self, t: float) -> float:
        """The slope of tanh is 1 at most."""
        return self.scale * 0.6 * (1.0 + t)


def path(dtype: torch.dtype = torch.float64) -> lt.AnnealingPath:
    """The path of the 2 × 2 lattice."""
    model = lt.PhiFour(SHAPE, mass_squared=-1.0, quartic=0.9, dtype=dtype)
    return lt.AnnealingPath(model, start=lt.FreeField(1.0))
