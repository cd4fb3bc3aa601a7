"""From log-weights ``A`` to free energies and effective sample sizes."""

import math

import torch
from torch import Tensor

__all__ = ["effective_sample_size", "leave_one_out_sums", "log_mean_exp", "log_mean_exp_error", "normalised"]


def _as_log_weights(log_weights: Tensor) -> Tensor:
    if log_weights.ndim < 1 or log_weights.shape[-1] < 1:
        raise ValueError(f"log_weights must have at least one walker on the last axis, got {tuple(log_weights.shape)}")
    return log_weights.double()


def normalised(log_weights: Tensor) -> Tensor:
    """``w_i / Σ_j w_j`` over the last axis, float64."""
    return torch.softmax(_as_log_weights(log_weights), dim=-1)


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """``log (1/n) Σ_i e^{A_i}`` over the last axis: the estimate of ``log Z_1 / Z_0``."""
    a = _as_log_weights(log_weights)
    return torch.logsumexp(a, dim=-1) - math.log(a.shape[-1])


def leave_one_out_sums(values: Tensor) -> Tensor:
    """``Σ_{j≠i} v_j`` over the first axis, without subtraction, so exact too where one entry outweighs the rest."""
    zero = torch.zeros_like(values[:1])
    before = torch.cat([zero, values[:-1].cumsum(0)])
    after = torch.cat([zero, values[1:].flip(0).cumsum(0)]).flip(0)
    return before + after


def log_mean_exp_error(log_weights: Tensor) -> Tensor:
    """Jackknife error of :func:`log_mean_exp` over the last axis; NaN for one walker, infinite where one is all.

    Leaving walker ``i`` out gives ``log Σ_{j≠i} w_j`` up to a constant.
    """
    share = normalised(log_weights)
    n = share.shape[-1]
    if n == 1:
        return torch.full_like(share[..., 0], math.nan)
    left_out = torch.log(leave_one_out_sums(share.movedim(-1, 0)))
    return torch.sqrt((n - 1) * left_out.var(0, correction=0)).nan_to_num(nan=math.inf)


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """``ESS = (Σw)² / (n Σw²)`` over the last axis, in [1/n, 1].

    It flatters when it is small: a mode that no walker found lowers nothing.

    Example
        >>> effective_sample_size(torch.zeros(10))
        tensor(1., dtype=torch.float64)
    """
    share = normalised(log_weights)
    n = share.shape[-1]
    # The bounds are those of the exact value; rounding may pass them by one part in 10¹⁵.
    return (1.0 / (n * (share**2).sum(-1))).clamp(1.0 / n, 1.0)
