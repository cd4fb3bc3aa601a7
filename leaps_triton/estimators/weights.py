"""From log-weights ``A`` to free energies, effective sample sizes and offspring."""

import math

import torch
from torch import Tensor

from ..kernels.checks import as_integer, expect, is_real, shown

__all__ = [
    "RESAMPLING",
    "ancestors",
    "block_sums",
    "effective_sample_size",
    "leave_one_out_sums",
    "log_mean_exp",
    "log_mean_exp_error",
    "normalised",
    "unchecked_size",
]


RESAMPLING = ("systematic", "stratified", "residual")
"""Names of the schemes of :func:`ancestors`."""


def _as_log_weights(log_weights: Tensor) -> Tensor:
    expect(is_real(log_weights), "log_weights", "a tensor of real numbers", log_weights)
    if log_weights.ndim < 1 or log_weights.shape[-1] < 1:
        raise ValueError(
            f"log_weights must have at least one walker on the last axis, got "
            f"{tuple(log_weights.shape)}"
        )
    values = log_weights.double()
    # NaN is not below infinity either.
    if not bool((values < torch.inf).all()):
        raise ValueError(
            "log_weights must be finite, or minus infinity for a weight of 0; got NaN or infinity"
        )
    return values


def normalised(log_weights: Tensor) -> Tensor:
    """Return the shares ``w_i / Σ_j w_j`` over the last axis, float64.

    Args:
        log_weights: ``A = log w``, ``(..., walkers)``.

    Raises:
        ValueError: no such weights, or all of them 0.
    """
    values = _as_log_weights(log_weights)
    if not bool((values > -torch.inf).any(-1).all()):
        raise ValueError(
            "log_weights must not all be minus infinity: weights that are all 0 have no shares"
        )
    return torch.softmax(values, dim=-1)


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """Return ``log (1/n) Σ_i e^{A_i}`` over the last axis: the estimate of ``log Z_1 / Z_0``."""
    a = _as_log_weights(log_weights)
    return torch.logsumexp(a, dim=-1) - math.log(a.shape[-1])


def leave_one_out_sums(values: Tensor) -> Tensor:
    """Return ``Σ_{j≠i} v_j`` over the first axis.

    Nothing is subtracted, so it is exact too where one entry outweighs the rest.
    """
    _check_axes(values)
    # Sums of what comes before each entry, and of what comes after it.
    zero = torch.zeros_like(values[:1])
    before = torch.cat([zero, values[:-1].cumsum(0)])
    after = torch.cat([zero, values[1:].flip(0).cumsum(0)]).flip(0)
    return before + after


def block_sums(values: Tensor, block: int) -> Tensor:
    """Return sums over every ``block`` consecutive entries of the first axis.

    The last sum is over what is left.
    """
    _check_axes(values)
    block = as_integer("block", block, 1)
    if block == 1:
        return values
    # Zeros fill the last block.
    missing = -len(values) % block
    padding = torch.zeros_like(values[:1]).expand(missing, *values.shape[1:])
    return torch.cat([values, padding]).unflatten(0, (-1, block)).sum(1)


def _check_axes(values: object) -> None:
    fits = isinstance(values, Tensor) and values.ndim > 0
    expect(fits, "values", "a tensor of one axis or more", values)


def log_mean_exp_error(log_weights: Tensor, block: int = 1) -> Tensor:
    """Return the jackknife error of :func:`log_mean_exp` over the last axis.

    Leaving block ``b`` out gives ``log Σ_{j∉b} w_j - log (n - n_b)`` up to a constant. The error is
    infinite where one walker, or block, is all.

    Args:
        log_weights: ``A``, ``(..., walkers)``.
        block: walkers that stay or go together; 1 where they are independent, else the size of the
            consecutive blocks that are. The error is NaN where there is one block only: nothing is
            then known about the spread.
    """
    block = as_integer("block", block, 1)
    share = normalised(log_weights).movedim(-1, 0)
    blocks = block_sums(share, block)
    n = len(blocks)
    if n == 1:
        return torch.full_like(blocks[0], math.nan)
    ones = torch.ones(len(share), dtype=share.dtype, device=share.device)
    # Not (blocks - 1) · block: the last block may have fewer walkers.
    numbers = leave_one_out_sums(block_sums(ones, block)).view(n, *[1] * (blocks.ndim - 1))
    left_out = torch.log(leave_one_out_sums(blocks)) - torch.log(numbers)
    # Where one block is all, nothing is left without it, and infinities differ by NaN.
    variance = left_out.var(0, correction=0)
    return torch.sqrt((n - 1) * variance).nan_to_num(nan=math.inf)


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """Return ``ESS = (Σw)² / (n Σw²)`` over the last axis, in [1/n, 1].

    It flatters when it is small: a mode that no walker found lowers nothing.

    Example:
        >>> effective_sample_size(torch.zeros(10))
        tensor(1., dtype=torch.float64)
    """
    return _size_of(normalised(log_weights))


def unchecked_size(log_weights: Tensor) -> Tensor:
    """Return :func:`effective_sample_size` without a look at the weights; NaN where it refuses."""
    return _size_of(torch.softmax(log_weights.double(), dim=-1))


def _size_of(share: Tensor) -> Tensor:
    """Return the effective sample size of shares whose sum is 1."""
    n = share.shape[-1]
    # The bounds are those of the exact value; rounding may pass them by one part in 10¹⁵.
    return (1.0 / (n * (share**2).sum(-1))).clamp(1.0 / n, 1.0)


def ancestors(log_weights: Tensor, uniform: Tensor, scheme: str = "systematic") -> Tensor:
    """Return the walkers that continue after resampling, one per slot.

    Walker ``i`` is named ``n w_i / Σw`` times in expectation. With ``C_i = Σ_{j≤i} w_j / Σw``, slot
    ``s`` descends from the ``i`` with ``C_{i-1} < p_s ≤ C_i``, where ``p_s = (s + u_0) / n``
    (systematic) or ``(s + u_s) / n`` (stratified). The residual scheme makes ``⌊n w_i / Σw⌋``
    copies each, and fills the other slots independently by what is left over. The offspring of
    slots that lie together are alike: shuffle the slots before using some of them only.

    Args:
        log_weights: ``A``, ``(walkers,)``; minus infinity for a walker without offspring.
        uniform: ``u``, float64 ``(walkers,)`` in (0, 1).
        scheme: ``"systematic"``, ``"stratified"`` or ``"residual"``.

    Returns:
        int64 ``(walkers,)``.

    Raises:
        ValueError: an unknown scheme, shapes that differ.

    References:
        Douc, Cappé, Moulines, *Comparison of resampling schemes for particle filtering*,
        arXiv:cs/0507025 (2005).

    Example:
        >>> ancestors(torch.tensor([0.5, 0.3, 0.2]).log(), torch.full((3,), 0.5)).tolist()
        [0, 0, 2]
    """
    if scheme not in RESAMPLING:
        raise ValueError(f"resampling must be one of {', '.join(RESAMPLING)}, got {scheme!r}")
    share = normalised(log_weights)
    real = isinstance(uniform, Tensor) and not uniform.is_complex()
    if not real or log_weights.ndim != 1 or uniform.shape != log_weights.shape:
        raise ValueError(
            f"log_weights and uniform must both have shape (walkers,), got "
            f"{tuple(log_weights.shape)} and {shown(uniform)}"
        )
    n = len(log_weights)
    uniform = uniform.double()
    inside = bool(((uniform > 0.0) & (uniform <= 1.0)).all())
    if not inside:
        expect(False, "uniform", "in (0, 1]", uniform[:3].tolist())
    slots = torch.arange(n, device=share.device)
    if scheme == "systematic":
        return _invert(share, (slots + uniform[:1]) / n)
    if scheme == "stratified":
        return _invert(share, (slots + uniform) / n)
    expected = n * share
    # Rounding must not make a whole number of copies a matter of chance.
    copies = (expected * (1.0 + 1e-12)).floor()
    whole = slots.repeat_interleave(copies.long())
    # The 10⁻¹² above may round copies up past what was expected, and no share is below 0.
    left_over = (expected - copies).clamp(min=0.0)
    return torch.cat([whole, _invert(left_over, uniform[: n - len(whole)])])


def _invert(weights: Tensor, points: Tensor) -> Tensor:
    """Return where the cumulative share first reaches each point: never at a weight of 0."""
    if len(points) == 0:
        return torch.empty(0, dtype=torch.int64, device=points.device)
    # Divided by its last entry, it ends at 1 whatever the rounding.
    cumulative = weights.cumsum(0)
    return torch.searchsorted(cumulative / cumulative[-1], points)
