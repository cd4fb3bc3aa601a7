"""What drifts learn of time and of waves: gates, and the kernel of the linear part."""

import torch
from torch import Tensor, nn

from .geometry import Modes

__all__ = ["CHEBYSHEV", "chebyshev", "radial_network", "radial_values"]

CHEBYSHEV = 4
"""Chebyshev polynomials of ``2t - 1`` that gates are made of, the constant among them."""

_RADIAL_WIDTH = 16
"""Hidden width of the network of ``k̂²`` and ``t``."""


def chebyshev(t: Tensor, dtype: torch.dtype) -> Tensor:
    """Return polynomials of ``2t - 1``, ``(1 | walkers, 4)``.

    Args:
        t: times, ``(1 | walkers,)``.
        dtype: type of the result; the polynomials are computed in float64.
    """
    u = 2.0 * t.double() - 1.0
    polynomials = [torch.ones_like(u), u]
    for _ in range(CHEBYSHEV - 2):
        polynomials.append(2.0 * u * polynomials[-1] - polynomials[-2])
    return torch.stack(polynomials, 1).to(dtype)


def radial_network() -> nn.Sequential:
    """Return a network of two functions of ``k̂²`` and of ``t`` that gives ``K_t(k)``."""
    return nn.Sequential(nn.Linear(3, _RADIAL_WIDTH), nn.Tanh(), nn.Linear(_RADIAL_WIDTH, 1))


def radial_values(network: nn.Sequential, waves: Modes, t: Tensor) -> Tensor:
    """Return ``K_t`` of all different ``k̂²``, ``(1 | walkers, values)``.

    Args:
        network: of :func:`radial_network`.
        waves: of the lattice, where the parameters are.
        t: times, ``(1 | walkers,)``.
    """
    squares = waves.squares
    # 4 ndim is the largest k̂² that there is.
    high = squares / (4.0 * len(waves.shape)) - 0.5
    # What tells the longest waves apart, on every lattice size.
    low = torch.log(squares + 0.1) / 2.0
    inputs = torch.stack([high, low], 1).expand(len(t), -1, -1)
    times = t.double().to(squares.device).view(-1, 1, 1).expand(-1, len(squares), 1)
    dtype = next(network.parameters()).dtype
    values: Tensor = network(torch.cat([inputs, times], 2).to(dtype))
    return values.squeeze(2)
