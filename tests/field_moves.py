"""A move of fields for tests of what is measured, and quadrature over two sites to compare with."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton import kernels
from leaps_triton.mcmc.base import BaseMove, SweepInfo, SweepState


@dataclass(frozen=True)
class PlainHMC(BaseMove):
    """Hybrid Monte Carlo with unit masses, as short as it can be written."""

    leapfrogs: int = 4
    size: float = 0.3

    def step(self, state: Any, path: Any, t: Any, seed: int) -> tuple[Any, Any]:
        x = state.configurations
        sites = x[0].numel()
        walkers = state.walkers
        # Streams of their own, far from those of the library.
        momenta = kernels.normals(seed, 90, state.sweep, 0, walkers, sites, x.dtype).view_as(x)
        words = kernels.philox(seed, 91, 0, state.sweep, 0, walkers, x.device)
        before, score = path.log_density_and_score(x, t)
        before = before - _kinetic(momenta)
        y = x
        for _ in range(self.leapfrogs):
            momenta = momenta + 0.5 * self.size * score
            y = y + self.size * momenta
            after, score = path.log_density_and_score(y, t)
            momenta = momenta + 0.5 * self.size * score
        after = after - _kinetic(momenta)
        accepted = kernels.uniform64(words[0], words[1]).log() < after - before
        by_site = accepted.view(-1, *[1] * (x.ndim - 1))
        moved = SweepState(torch.where(by_site, y, x), walkers, state.sweep + 1)
        return moved, SweepInfo(accepted.float())


def _kinetic(momenta: Tensor) -> Tensor:
    return 0.5 * momenta.double().square().flatten(1).sum(1)


def exact_on_two_sites(mass_squared: float, quartic: float) -> dict[str, float]:
    """Means and log Z of the chain of two sites, whose two bonds join the same pair."""
    grid = torch.linspace(-6.0, 6.0, 1201, dtype=torch.float64)
    x, y = torch.meshgrid(grid, grid, indexing="ij")
    squares = x**2 + y**2
    fourths = x**4 + y**4
    action = -4.0 * x * y + (2.0 + mass_squared) * squares + quartic * fourths
    weights = (-action).exp()
    # The trapezoidal rule is exact to all digits for what falls off at both ends.
    z = float(weights.sum()) * float(grid[1] - grid[0]) ** 2
    share = weights / weights.sum()
    m = (x + y) / 2.0

    def mean(values: Tensor) -> float:
        return float((share * values).sum())

    second = mean(m**2)
    return {
        "log_z": float(torch.tensor(z, dtype=torch.float64).log()),
        "energy": mean(action) / 2.0,
        "abs_magnetization": mean(m.abs()),
        "susceptibility_full": 2.0 * second,
        "binder": 1.0 - mean(m**4) / (3.0 * second**2),
        "field_squared": mean(squares) / 2.0,
        "field_fourth": mean(fourths) / 2.0,
        "schwinger_dyson": 1.0,
    }


TWO_SITES = lt.PhiFour((2,), mass_squared=-1.0, quartic=1.0, dtype=torch.float64)
