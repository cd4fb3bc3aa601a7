"""Error bars from Markov chains: the Γ-method with its automatic window."""

import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, expect, is_real, shown
from .jackknife import Estimate

__all__ = ["ChainEstimate", "ShortChainWarning", "chain_estimate"]


_ENOUGH = 50.0

_LEAST_Q = 1e-3


class ShortChainWarning(UserWarning):
    """Chains are too short for their error bar, which may be too small.

    They are shorter than 50 autocorrelation times; or their means differ by more than the error
    allows, which of chains that are long enough one estimate in a thousand does by chance.
    """


@dataclass(frozen=True)
class ChainEstimate:
    """A value with what its chains say of its error.

    Attributes:
        value, error: as of :class:`~leaps_triton.Estimate`.
        error_error: statistical error of ``error``.
        tau, tau_error: integrated autocorrelation time ``½ + Σ_{t≥1} ρ(t)`` in draws, ½ for
            independent ones and at least; NaN where nothing varies.
        window: ``W``, where that sum was cut.
        draws: of all chains together; walkers that are correlated with one another are one chain.
        autocorrelation: ``ρ(t)``, ``t = 0, …, W``, float64.
        replica_q: probability that the means of the chains differ by as much as they do, or more,
            if the error is right; evenly distributed in [0, 1] where it is. Near 0 where chains do
            not leave their part of the law, too slowly for ``ρ(t)`` to show it. NaN for one chain,
            and where nothing varies.

    Example:
        >>> estimate = chain_estimate(torch.arange(400.0).sin().view(4, 100))
        >>> estimate.draws, estimate.tau < 0.5
        (400, False)
    """

    value: float
    error: float
    error_error: float
    tau: float
    tau_error: float
    window: int
    draws: int
    autocorrelation: Tensor = field(repr=False)
    replica_q: float = math.nan

    @property
    def effective_draws(self) -> float:
        """``draws / (2 τ)``: as many independent ones would give the same error."""
        return self.draws / (2.0 * self.tau)

    def pull(self, exact: float) -> float:
        """Distance from ``exact`` in units of the error."""
        return Estimate(self.value, self.error).pull(exact)

    def __str__(self) -> str:
        return str(Estimate(self.value, self.error))


def chain_estimate(
    values: Tensor,
    function: Callable[[Tensor], Tensor] | None = None,
    window_factor: float = 1.5,
    together: int = 1,
    least_window: int = 0,
) -> ChainEstimate:
    """Mean over Markov chains, or a function of means, with the error and autocorrelation time of
    the Γ-method.

    With ``a`` the fluctuation of the values projected on the gradient of ``function`` at the means,
    ``Γ(t) = Σ a_i a_{i+t} / (N - R t)`` over ``R`` walkers with ``N`` draws together,
    ``σ² = (1 + (2W + 1)/N) [Γ(0) + 2 Σ_{t=1}^W Γ(t)] / N``. The window ``W`` is the first with
    ``exp(-W/τ) < τ/√(W N)``, where ``τ(W)`` is ``S`` times the decay time that goes with
    ``τ_int(W)``: there the systematic error of cutting falls below the statistical one. ``τ_int``
    counts as ½ at least, so that the error of anticorrelated chains is too large rather than too
    small.

    The spread of the means of ``R`` chains of ``n`` draws has ``χ² = n Σ_r (mean_r - mean)² / (N
    σ²)`` with ``R - 1`` degrees of freedom.

    Args:
        values: ``(walkers, draws)`` or ``(walkers, draws, k)``; walkers are chains of one law.
        function: of means ``(k,)`` (``()`` for values of two axes) to ``()``, which autograd can
            differentiate.
        window_factor: ``S``; 1 to 2 is usual.
        together: how many consecutive walkers are correlated with one another, such as the 2 of
            each pair of :class:`~leaps_triton.Houdayer`; their mean counts as one chain. 1 where
            all are independent.
        least_window: ``W`` at least, such as that of a slower quantity, of which these values hold
            too little for their own ``ρ(t)`` to show it; at most half the draws of a walker are
            taken.

    Raises:
        ValueError: fewer than 4 draws a walker, a bad shape, several values without a function,
            walkers that are no multiple of ``together``.

    Warns:
        ShortChainWarning: a walker has fewer than 50 τ draws, or no window was found; or
            ``replica_q`` is below 1e-3.

    References:
        U. Wolff, *Monte Carlo errors with less errors*, arXiv:hep-lat/0306017, eqs. 31-52, with the
        Q-value of its program for replica.

    Example:
        >>> import leaps_triton as lt
        >>> noise = lt.kernels.uniform64(*lt.kernels.philox(0, 0, 0, torch.arange(4000), 0, 0)[:2])
        >>> estimate = chain_estimate(noise.view(4, 1000))
        >>> abs(estimate.pull(0.5)) < 3, abs(estimate.tau - 0.5) < 3 * estimate.tau_error
        (True, True)
    """
    expect(is_real(values), "values", "a tensor of real numbers", values)
    expect(
        function is None or callable(function), "function", "None or a function of means", function
    )
    window_factor = as_number(
        "window_factor", window_factor, "a positive number", lambda s: 0.0 < s < math.inf
    )
    if values.ndim not in (2, 3) or values.shape[0] < 1 or values.shape[1] < 4:
        raise ValueError(
            f"values must have shape (walkers, draws) or (walkers, draws, k) with at least 4 draws, "
            f"got {tuple(values.shape)}"
        )
    if values.ndim == 3 and function is None:
        raise ValueError(
            f"values of shape {tuple(values.shape)} need function= to make one number of their {values.shape[2]} means"
        )
    together, least_window = (
        as_integer("together", together, 1),
        as_integer("least_window", least_window, 0),
    )
    if len(values) % together:
        raise ValueError(
            f"together must divide the number of walkers, got {together} for {len(values)}"
        )
    values = values.detach().double()
    walkers, per_walker = len(values) // together, values.shape[1]
    n = walkers * per_walker
    mean = values.mean((0, 1))
    value, gradient = _linearised(function, mean)
    fluctuation = (
        ((values - mean) * gradient).view(walkers, together, per_walker, -1).sum(3).mean(1)
    )
    gamma = _autocovariance(fluctuation)
    rounding = (
        4
        * torch.finfo(torch.float64).eps
        * float((values.abs().amax((0, 1)) * gradient.abs()).sum())
    )
    if not float(gamma[0]) > rounding**2:
        error = 0.0 if bool(gamma[0].isfinite()) else math.nan
        return ChainEstimate(float(value), error, error, math.nan, math.nan, 0, n, gamma[:1])
    rho = gamma / gamma[0]
    found, window = _window(rho, n, window_factor)
    window = min(max(window, least_window), len(rho) - 1)
    # Where neighbours are anticorrelated the window closes at once, and the first term alone may
    # leave nothing.
    tau = max(0.5, 0.5 + float(rho[1 : window + 1].sum()))
    bias = 1.0 + (2 * window + 1) / n
    error = math.sqrt(2.0 * tau * float(gamma[0]) * bias / n)
    estimate = ChainEstimate(
        value=float(value),
        error=error,
        error_error=error * math.sqrt((window + 0.5) / n),
        tau=tau * bias,
        tau_error=2.0 * tau * math.sqrt(abs(window + 0.5 - tau) / n),
        window=window,
        draws=n,
        autocorrelation=rho[: window + 1].clone(),
        replica_q=_replica_q(fluctuation.mean(1), error),
    )
    if not found or per_walker < _ENOUGH * estimate.tau:
        _warn(
            f"{per_walker} draws a walker are fewer than 50 autocorrelation times of {estimate.tau:.3g} draws: the "
            f"error bar may be too small; run longer chains"
        )
    if estimate.replica_q < _LEAST_Q:
        _warn(
            f"the means of {walkers} chains differ by more than their error allows (replica_q = "
            f"{estimate.replica_q:.1g}), so that they have a longer autocorrelation time than it shows: the error bar "
            f"may be too small; run longer chains, or take a kernel that mixes faster"
        )
    return estimate


def _warn(message: str) -> None:
    """A ShortChainWarning at the line that called the library."""
    package, frame, level = __name__.partition(".")[0], sys._getframe(), 1
    while (
        frame.f_back is not None
        and str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, ShortChainWarning, stacklevel=level)


def _replica_q(means: Tensor, error: float) -> float:
    """``P(χ² or more)`` of the means of equally long chains about their own mean, whose error is
    given.
    """
    freedom = len(means) - 1
    if freedom == 0:
        return math.nan
    chi_squared = float(means.square().sum()) / (len(means) * error**2)
    half = torch.tensor([0.5 * freedom, 0.5 * chi_squared], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


def _linearised(function: Callable[[Tensor], Tensor] | None, mean: Tensor) -> tuple[Tensor, Tensor]:
    """``F`` at the means, and its gradient there."""
    if function is None:
        return mean, torch.ones_like(mean)
    with torch.enable_grad():
        point = mean.clone().requires_grad_()
        value = function(point)
        if not isinstance(value, Tensor) or value.ndim != 0:
            raise ValueError(
                f"function must map means (..., k) to (...), got {shown(value)} for one set of means"
            )
        if not value.requires_grad:
            raise ValueError(
                "function must be one that autograd can differentiate, got a value without a gradient"
            )
        (gradient,) = torch.autograd.grad(value, point)
    return value.detach(), gradient


def _autocovariance(fluctuation: Tensor) -> Tensor:
    """``Γ(t)`` for ``t < draws/2``, over all walkers."""
    walkers, draws = fluctuation.shape
    size = 2 ** math.ceil(math.log2(2 * draws))
    power = torch.fft.rfft(fluctuation, size).abs().square().sum(0)
    longest = max(2, draws // 2)
    pairs = walkers * (
        draws - torch.arange(longest, dtype=torch.float64, device=fluctuation.device)
    )
    return (torch.fft.irfft(power, size)[:longest] / pairs).cpu()


def _window(rho: Tensor, n: int, factor: float) -> tuple[bool, int]:
    """Whether the condition of the window is met anywhere, and the first place, or the last of
    all.
    """
    excess = rho[1:].cumsum(0)
    decay = torch.where(excess > 0, factor / torch.log1p(1.0 / excess.clamp(min=1e-300)), 1e-300)
    t = torch.arange(1, len(rho), dtype=torch.float64)
    met = (torch.exp(-t / decay) - decay / torch.sqrt(t * n) < 0).nonzero()
    return (True, int(met[0]) + 1) if len(met) else (False, len(rho) - 1)
