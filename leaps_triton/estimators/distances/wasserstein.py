"""Wasserstein distances: along lines of many directions, and exact where samples are few."""

import importlib
import math
from typing import Any

import torch
from torch import Tensor

from ...kernels import Stream, normals
from ...kernels.checks import as_integer, as_number, as_seed, expect, is_real
from ..weights import normalised

__all__ = ["sliced_wasserstein", "wasserstein"]

MOST = 5000
"""Samples of which the exact distance is found: it costs the cube of their number."""


def wasserstein(first: Tensor, second: Tensor, order: float = 2.0) -> float:
    """Return the Wasserstein distance of two samples of one size, by the best pairing.

    ``W_p = min_π (1/n Σ_i |x_i - y_π(i)|^p)^{1/p}``, exact for the samples. It costs the cube of
    their number. That of two samples of one distribution is not 0, but falls slowly with ``n``, as
    ``n^{-1/d}`` in many dimensions: quote it beside that of two exact samples.

    Args:
        first: ``(n, d)``, ``n`` at most 5000.
        second: ``(n, d)``.
        order: ``p``, at least 1.

    Raises:
        ValueError: an argument is not as above.
        ImportError: there is no scipy, which finds the pairing.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [5.0]])
        >>> wasserstein(x, x.flip(0) + 2.0)
        2.0
    """
    one, two = _samples(first, second)
    order = as_number("order", order, "a number of at least 1", _is_order)
    if len(one) != len(two) or len(one) > MOST:
        raise ValueError(
            f"the exact distance needs two samples of one size, {MOST} at most, got {len(one)} and "
            f"{len(two)}; take fewer, or sliced_wasserstein"
        )
    costs = torch.cdist(one, two, compute_mode="donot_use_mm_for_euclid_dist").pow(order)
    rows, columns = _optimize().linear_sum_assignment(costs.numpy())
    paired = costs[torch.as_tensor(rows), torch.as_tensor(columns)]
    return float(paired.mean()) ** (1.0 / order)


def sliced_wasserstein(
    first: Tensor,
    second: Tensor,
    log_weights: Tensor | None = None,
    other_log_weights: Tensor | None = None,
    directions: int = 128,
    order: float = 2.0,
    seed: int = 0,
) -> float:
    """Return the sliced Wasserstein distance of two samples, which may be weighted.

    ``(mean_θ W_p(θ·x, θ·y)^p)^{1/p}`` over random directions ``θ`` of length 1. On a line it is the
    distance itself.

    Args:
        first: ``(n, d)``.
        second: ``(m, d)``.
        log_weights: ``A`` of the first, ``(n,)``; None for equal weights.
        other_log_weights: those of the second, ``(m,)``.
        directions: how many, at least 1; the first ones do not depend on how many are asked for.
        order: ``p``, at least 1.
        seed: of the directions, in [0, 2³²).

    Raises:
        ValueError: an argument is not as above.

    References:
        Bonneel, Rabin, Peyré, Pfister, *Sliced and Radon Wasserstein barycenters of measures*,
        J. Math. Imaging Vis. 51, 22 (2015).

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [5.0]])
        >>> round(sliced_wasserstein(x, x + 2.0), 12)
        2.0
    """
    one, two = _samples(first, second)
    order = as_number("order", order, "a number of at least 1", _is_order)
    count = as_integer("directions", directions, 1)
    shares = _shares("log_weights", log_weights, len(one))
    others = _shares("other_log_weights", other_log_weights, len(two))
    dim = one.shape[1]
    # On a line there is one direction, but for its sign.
    if dim == 1:
        count = 1
    index = torch.arange(count)
    along = normals(as_seed(seed), Stream.EXACT, 0, 3, index, dim, torch.float64)
    along = along / along.norm(dim=1, keepdim=True)
    total = 0.0
    for direction in along:
        total += _on_a_line(one @ direction, two @ direction, shares, others, order)
    return (total / count) ** (1.0 / order)


def _on_a_line(x: Tensor, y: Tensor, shares: Tensor, others: Tensor, order: float) -> float:
    """Return ``W_p^p`` of weighted numbers, ``∫ |F⁻¹(u) - G⁻¹(u)|^p du``."""
    x, rank = x.sort()
    y, other_rank = y.sort()
    reached = shares[rank].cumsum(0)
    other_reached = others[other_rank].cumsum(0)
    steps = torch.cat([reached, other_reached]).sort().values
    widths = steps.diff(prepend=steps.new_zeros(1))
    # Between two steps neither quantile changes; a step itself belongs to what is before it.
    middle = steps - 0.5 * widths
    i = torch.searchsorted(reached, middle).clamp(max=len(x) - 1)
    j = torch.searchsorted(other_reached, middle).clamp(max=len(y) - 1)
    return float((widths * (x[i] - y[j]).abs().pow(order)).sum())


def _samples(first: Any, second: Any) -> tuple[Tensor, Tensor]:
    """Return both samples in float64 on the CPU, else raise a ValueError."""
    found = []
    for name, given in (("first", first), ("second", second)):
        wanted = "finite real numbers (n, d)"
        fits = is_real(given) and given.ndim == 2 and given.numel() > 0
        expect(fits and bool(given.isfinite().all()), name, wanted, given)
        found.append(given.detach().double().cpu())
    one, two = found
    if one.shape[1] != two.shape[1]:
        raise ValueError(
            f"both samples must have as many coordinates, got {one.shape[1]} and {two.shape[1]}"
        )
    return one, two


def _shares(name: str, log_weights: Tensor | None, count: int) -> Tensor:
    """Return shares of the weight, float64 ``(n,)``."""
    if log_weights is None:
        return torch.full((count,), 1.0 / count, dtype=torch.float64)
    shares = normalised(log_weights).cpu()
    if shares.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), got {tuple(shares.shape)}")
    return shares


def _optimize() -> Any:
    """Return scipy's module, which only this needs."""
    try:
        return importlib.import_module("scipy.optimize")
    except ImportError:
        raise ImportError(
            "the exact Wasserstein distance needs scipy: pip install 'leaps_triton[scipy]'; "
            "sliced_wasserstein does without"
        ) from None


def _is_order(number: float) -> bool:
    return math.isfinite(number) and number >= 1.0
