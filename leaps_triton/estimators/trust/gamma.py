"""Autocovariance of chains and the window of its sum: the parts of the Γ-method."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import shown

__all__ = ["Spread", "autocovariance", "linearised", "spread_of", "window_of"]


class Spread(NamedTuple):
    """How a mean over chains fluctuates."""

    variance: float
    """``Γ(0)`` of one draw"""
    tau: float
    """Integrated autocorrelation time in draws, at least ½"""

    def error(self, draws: int) -> float:
        """Return the error of a mean of so many draws, those of all chains counted."""
        return math.sqrt(2.0 * self.tau * self.variance / draws)


def linearised(function: Callable[[Tensor], Tensor] | None, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``F`` at the means, and its gradient there.

    Raises:
        ValueError: a function that is not of means to one number, or without a gradient.
    """
    if function is None:
        return mean, torch.ones_like(mean)
    # An error is linear in small fluctuations: those along the gradient count.
    with torch.enable_grad():
        point = mean.clone().requires_grad_()
        value = function(point)
        if not isinstance(value, Tensor) or value.ndim != 0:
            raise ValueError(
                f"function must map means (..., k) to (...), got {shown(value)} for one set of "
                f"means"
            )
        if not value.requires_grad:
            raise ValueError(
                "function must be one that autograd can differentiate, got a value without a "
                "gradient"
            )
        (gradient,) = torch.autograd.grad(value, point)
    return value.detach(), gradient


def autocovariance(fluctuation: Tensor) -> Tensor:
    """Return ``Γ(t)`` for ``t < draws/2``, over all walkers; float64, on the CPU.

    Args:
        fluctuation: about the mean, float64 ``(walkers, draws)``.
    """
    walkers, draws = fluctuation.shape
    # Zeros of the same length keep the end of a chain from meeting its beginning.
    size = 2 ** math.ceil(math.log2(2 * draws))
    power = torch.fft.rfft(fluctuation, size).abs().square().sum(0)
    longest = max(2, draws // 2)
    t = torch.arange(longest, dtype=torch.float64, device=fluctuation.device)
    # A chain has draws - t pairs at distance t: their number, not n, makes the mean.
    pairs = walkers * (draws - t)
    return (torch.fft.irfft(power, size)[:longest] / pairs).cpu()


def window_of(rho: Tensor, n: int, factor: float) -> tuple[bool, int]:
    """Return whether the condition of the window is met, and where first, or the last of all.

    Args:
        rho: ``ρ(t)``.
        n: draws of all walkers together.
        factor: ``S``, the decay time in units of ``τ_int``.
    """
    excess = rho[1:].cumsum(0)
    # The decay time of an exponential with this τ_int; the least number where there is none.
    # log[(2 τ_int + 1) / (2 τ_int - 1)] is log(1 + 1/excess) for τ_int = ½ + excess.
    positive = factor / torch.log1p(1.0 / excess.clamp(min=1e-300))
    decay = torch.where(excess > 0, positive, 1e-300)
    t = torch.arange(1, len(rho), dtype=torch.float64)
    # Where the slope of systematic and statistical error together changes its sign.
    met = (torch.exp(-t / decay) - decay / torch.sqrt(t * n) < 0).nonzero()
    if len(met):
        return True, int(met[0]) + 1
    return False, len(rho) - 1


def spread_of(fluctuation: Tensor, factor: float = 1.5) -> Spread:
    """Return how draws fluctuate about their mean, by the Γ-method.

    Args:
        fluctuation: float64 ``(walkers, draws)``, about any number.
        factor: ``S``, the same as in :func:`window_of`.
    """
    centred = fluctuation - fluctuation.mean()
    gamma = autocovariance(centred)
    variance = float(gamma[0])
    if variance <= 0.0:
        return Spread(0.0, 0.5)
    rho = gamma / gamma[0]
    _, window = window_of(rho, centred.numel(), factor)
    # Anticorrelated draws count as independent ones, so that no error is too small.
    tau = max(0.5, 0.5 + float(rho[1 : window + 1].sum()))
    # The mean of the chains stands for the true one, which makes Γ(t) too small.
    bias = 1.0 + (2 * window + 1) / centred.numel()
    return Spread(variance, tau * bias)
