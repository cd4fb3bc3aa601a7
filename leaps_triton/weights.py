"""From log-weights ``A`` to free energies and effective sample sizes."""

import math

import torch
from torch import Tensor

__all__ = ["effective_sample_size", "log_mean_exp", "log_mean_exp_error", "normalised"]


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


def log_mean_exp_error(log_weights: Tensor) -> Tensor:
    """Jackknife error of :func:`log_mean_exp` over ``(walkers,)``; NaN for one walker.

    Leaving walker ``i`` out changes the estimate by ``log1p(-w_i / Σw)``, up to a constant.
    """
    share = normalised(log_weights)
    n = share.shape[-1]
    left_out = torch.log1p(-share)
    return torch.sqrt((n - 1) * left_out.var(-1, correction=0)) if n > 1 else torch.full_like(share[..., 0], math.nan)


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """``ESS = (Σw)² / (n Σw²)`` over the last axis, in [1/n, 1].

    It flatters when it is small: a mode that no walker found lowers nothing.

    Example
        >>> effective_sample_size(torch.zeros(10))
        tensor(1., dtype=torch.float64)
    """
    a = _as_log_weights(log_weights)
    return torch.exp(2.0 * torch.logsumexp(a, -1) - torch.logsumexp(2.0 * a, -1)) / a.shape[-1]
