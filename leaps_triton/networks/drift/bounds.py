"""Bounds on slopes of pointwise networks that hold for every input."""

import torch
from torch import Tensor

__all__ = ["largest_slope"]

_ROUNDING = 1.0 + 1e-5
"""By how much slopes that are computed in float32 may exceed those of exact arithmetic."""


def largest_slope(first: Tensor, hidden: Tensor, readout: Tensor) -> float:
    """Return a bound on the slope of ``Σ_g r_g tanh(Σ_h W_gh tanh(o_h φ + …))`` in ``φ``.

    The slope is ``Σ_gh s_g M_gh s'_h`` with ``M_gh = r_g W_gh o_h`` and ``s``, ``s'`` derivatives
    of tanh, which lie in [0, 1]. Two bounds hold for all of these, and the lesser is returned:

    - with ``s`` and ``s'`` free in each term, the sum of all positive, or of all negative, ``M``;
    - with ``s = (1 + σ)/2`` and ``σ`` in [-1, 1], ``(|Σ M| + Σ_g |row g| + Σ_h |column h| + √(GH)
      ‖M‖)/4``, of which the last is the greatest singular value.

    Args:
        first: ``o``, ``(H,)``.
        hidden: ``W``, ``(G, H)``.
        readout: ``r``, ``(G,)``.
    """
    # In float64, whatever the parameters are, so that the bound itself is not rounded down.
    matrix = readout.double().unsqueeze(1) * hidden.double() * first.double()
    term_by_term = max(float(matrix.clamp(min=0.0).sum()), float(matrix.clamp(max=0.0).sum().neg()))
    rows = float(matrix.sum(1).abs().sum())
    columns = float(matrix.sum(0).abs().sum())
    total = abs(float(matrix.sum()))
    norm = float(torch.linalg.matrix_norm(matrix, 2)) * matrix.numel() ** 0.5
    centred = (total + rows + columns + norm) / 4.0
    return min(term_by_term, centred) * _ROUNDING
