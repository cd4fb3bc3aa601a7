"""Gates that open and close with time."""

import torch
from torch import Tensor

__all__ = ["CHEBYSHEV", "chebyshev"]

CHEBYSHEV = 4
"""Chebyshev polynomials of ``2t - 1`` that gates are made of, the constant among them."""


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
