"""Bounds on slopes of pointwise networks that hold for every input."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["largest_slope", "steepest_gradient", "steepest_layers"]

_MOST_BENT = 4.0 / 27.0**0.5
"""Largest ``|tanh''|``."""

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


def steepest_layers(matrices: Sequence[Tensor], linear: Tensor) -> float:
    """Return a bound on the norm of ``L + W_n D_{n-1} W_{n-1} … D_1 W_1`` for slopes ``D`` of tanh.

    With ``D = (1 + σ)/2``, ``σ`` diagonal in [-1, 1], the product is the sum over all ways to cut
    it: where ``σ`` stands the norms of the parts multiply, elsewhere matrices do. So the bound is
    ``|L + W_n … W_1 / 2^(n-1)|`` and, over ``2^(n-1)``, the sum over all ways with a cut.

    Args:
        matrices: ``W_1, …, W_n``, float64.
        linear: ``L``, float64.
    """
    count = len(matrices)
    # Sums over all ways to cut the first matrices, with the last cut behind them.
    sums = [1.0]
    whole = 0.0
    product = matrices[0]
    for end in range(count):
        total = 0.0
        product = matrices[end]
        for begin in range(end, -1, -1):
            if begin < end:
                product = product @ matrices[begin]
            whole = _norm(product)
            total += sums[begin] * whole
        sums.append(total)
    share = 0.5 ** (count - 1)
    # The one way without a cut goes with the linear part.
    cut = max(0.0, sums[-1] - whole)
    return (_norm(linear + share * product) + share * cut) * _ROUNDING


def steepest_gradient(matrices: Sequence[Tensor], linear: Tensor) -> float:
    """Return a bound on the norm of ``L + ∂²Φ``, ``Φ = r·tanh(W_n tanh(… tanh(W_1 z + …)))``.

    The Hessian is a sum over layers of ``Jᵀ diag(g tanh'') J`` with ``J = W_l D W_{l-1} … D W_1``
    and ``g`` the gradient of ``Φ`` by what the layer gives, of which ``|W|ᵀ … |W|ᵀ |r|`` is a bound
    in each component, and ``|tanh''| ≤ 4 / √27``.

    Args:
        matrices: ``W_1, …, W_n`` and ``r``, the latter ``(1, width)``, float64.
        linear: ``L``, float64.
    """
    *layers, readout = matrices
    grown = readout[0].abs()
    largest: list[Tensor] = []
    for layer in reversed(layers):
        largest.insert(0, grown)
        grown = layer.abs().T @ grown
    total = _norm(linear)
    behind = 1.0
    for layer, slopes in zip(layers, largest, strict=True):
        weighted = slopes.sqrt().unsqueeze(1) * layer
        total += _MOST_BENT * (_norm(weighted) * behind) ** 2
        behind *= _norm(layer)
    return total * _ROUNDING


def _norm(matrix: Tensor) -> float:
    """Return the greatest singular value."""
    return float(torch.linalg.matrix_norm(matrix, 2))
