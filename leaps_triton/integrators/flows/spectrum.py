"""Linear maps that are diagonal in Fourier space."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...paths.free_field import lattice_momenta

__all__ = ["filtered", "mean_field_mass"]


def filtered(configurations: Tensor, factors: Tensor) -> Tensor:
    """Return configurations with each mode multiplied by its factor.

    Args:
        configurations: ``(walkers, *shape)``, floating-point.
        factors: real, the same at ``k`` and ``-k``, ``(*shape)``.
    """
    # Fourier transforms refuse batches of nothing.
    if not len(configurations):
        return configurations.clone()
    shape = tuple(configurations.shape[1:])
    axes = tuple(range(1, len(shape) + 1))
    # Of real fields half of the modes tell all; the last axis is halved.
    half = factors[..., : shape[-1] // 2 + 1].to(configurations.dtype)
    modes = torch.fft.rfftn(configurations, dim=axes)
    return torch.fft.irfftn(modes * half, s=shape, dim=axes)


def mean_field_mass(shape: Sequence[int], mass_squared: float, quartic: float) -> float:
    """Return the mass that a free field needs to fluctuate as φ⁴ does, to lowest order.

    It solves ``M² = m² + 6 λ ⟨φ²⟩`` with ``⟨φ²⟩ = mean_k 1 / 2(k̂² + M²)``: Hartree's equation.

    Args:
        shape: lengths of the lattice.
        mass_squared: ``m²``.
        quartic: ``λ ≥ 0``; with 0 the mass is ``m²`` itself, which is to be positive.

    Example:
        >>> round(mean_field_mass((8, 8), -4.0, 6.008), 2)
        0.85
    """
    momenta = lattice_momenta(tuple(shape))
    low = 0.0
    high = abs(mass_squared) + 6.0 * quartic + 1.0
    # The right-hand side falls as M² grows, so that there is one solution; halvings find it.
    for _ in range(200):
        middle = 0.5 * (low + high)
        spread = float((0.5 / (momenta + middle)).mean())
        if mass_squared + 6.0 * quartic * spread > middle:
            low = middle
        else:
            high = middle
    return high
