"""Error bars from Markov chains: the Γ-method with its automatic window."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, expect, is_real
from .jackknife import Estimate, shown_means
from .trust.cautions import Doubt, DriftWarning, ShortChainWarning, caution
from .trust.drift import MOST_SIGMA, drift
from .trust.gamma import autocovariance, linearised, window_of

__all__ = ["ChainEstimate", "ShortChainWarning", "chain_estimate", "examine"]


_ENOUGH = 50.0
"""Draws per walker in units of the autocorrelation time, from which an error bar is trusted."""

_LEAST_Q = 1e-3
"""Probability below which the means of chains differ by more than chance."""


@dataclass(frozen=True)
class ChainEstimate:
    """A value with what its chains say of its error.

    Attributes:
        value: the mean, or function of means.
        error: its one-sigma error.
        error_error: statistical error of ``error``.
        tau: integrated autocorrelation time ``½ + Σ_{t≥1} ρ(t)`` in draws, ½ for independent ones
            and at least; NaN where nothing varies.
        tau_error: its one-sigma error.
        window: ``W``, where that sum was cut.
        draws: number in all chains together; walkers that are correlated with one another are one
            chain.
        autocorrelation: ``ρ(t)``, ``t = 0, …, W``, float64.
        replica_q: probability that the means of the chains differ by as much as they do, or more,
            if the error is right; evenly distributed in [0, 1] where it is. Near 0 where chains do
            not leave their part of the law, too slowly for ``ρ(t)`` to show it. NaN for one chain,
            and where nothing varies.
        drift: how many of its errors the mean of the last half of the draws lies above that of the
            first tenth; beyond ±3.5 there is a :class:`~leaps_triton.DriftWarning`. NaN where there
            are fewer than 20 draws per walker, and where nothing varies.
        reason: why ``value``, ``error`` or ``tau`` is NaN; empty where none is.

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
    drift: float = math.nan
    reason: str = ""

    @property
    def effective_draws(self) -> float:
        """Return ``draws / (2 τ)``: as many independent ones would give the same error."""
        return self.draws / (2.0 * self.tau)

    def pull(self, exact: float) -> float:
        """Return the distance from ``exact`` in units of the error."""
        return Estimate(self.value, self.error).pull(exact)

    @property
    def details(self) -> dict[str, float]:
        """Return what a table of results shows beside value and error: ``τ`` and its window."""
        return {"tau": self.tau, "tau_error": self.tau_error, "window": self.window}

    def __str__(self) -> str:
        return str(Estimate(self.value, self.error, self._why_no_error))

    @property
    def _why_no_error(self) -> str:
        """Return the reason, where value or error is NaN; τ is not shown."""
        if math.isnan(self.value) or math.isnan(self.error):
            return self.reason
        return ""


def chain_estimate(
    values: Tensor,
    function: Callable[[Tensor], Tensor] | None = None,
    window_factor: float = 1.5,
    together: int = 1,
    least_window: int = 0,
) -> ChainEstimate:
    """Return the mean over Markov chains, or a function of means, by the Γ-method.

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
        ValueError: fewer than 4 draws per walker, a bad shape, several values without a function,
            walkers that are no multiple of ``together``.

    Warns:
        ShortChainWarning: a walker has fewer than 50 τ draws, or no window was found; or
            ``replica_q`` is below 1e-3.
        DriftWarning: the first tenth and the last half of the draws differ by more than 3.5 of
            their errors.

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
    estimate, doubts = examine(values, function, window_factor, together, least_window)
    caution(doubts)
    return estimate


def examine(
    values: Tensor,
    function: Callable[[Tensor], Tensor] | None = None,
    window_factor: float = 1.5,
    together: int = 1,
    least_window: int = 0,
) -> tuple[ChainEstimate, list[Doubt]]:
    """Return what :func:`chain_estimate` does, and what it would warn of in place of warnings.

    Args:
        values: the same as in :func:`chain_estimate`.
        function: the same as in :func:`chain_estimate`.
        window_factor: the same as in :func:`chain_estimate`.
        together: the same as in :func:`chain_estimate`.
        least_window: the same as in :func:`chain_estimate`.

    Raises:
        ValueError: the same as in :func:`chain_estimate`.
    """
    _check(values, function)
    positive = "a positive number"
    factor = as_number("window_factor", window_factor, positive, lambda s: 0.0 < s < math.inf)
    together = as_integer("together", together, 1)
    least_window = as_integer("least_window", least_window, 0)
    if len(values) % together:
        raise ValueError(
            f"together must divide the number of walkers, got {together} for {len(values)}"
        )
    # Small fluctuations about a large mean would drown in the rounding of float32.
    values = values.detach().double()
    chains = len(values) // together
    per_walker = values.shape[1]
    n = chains * per_walker
    mean = values.mean((0, 1))
    value, gradient = linearised(function, mean)
    projected = (values - mean) * gradient
    # Walkers that belong together count as one chain, by their mean.
    fluctuation = projected.view(chains, together, per_walker, -1).sum(3).mean(1)
    gamma = autocovariance(fluctuation)
    # What sums of values of this size lose by rounding is no fluctuation.
    largest = float((values.abs().amax((0, 1)) * gradient.abs()).sum())
    rounding = 4 * torch.finfo(torch.float64).eps * largest
    # Not ≤, so that NaN ends here too.
    if not float(gamma[0]) > rounding**2:
        return _still(values, float(value), mean, gamma, n), []
    found, window = window_of(gamma / gamma[0], n, factor)
    # Γ(t) is known for t below half the draws, and the window ends there.
    window = min(max(window, least_window), len(gamma) - 1)
    estimate = _with_error(float(value), gamma, window, fluctuation)
    return estimate, _doubts(estimate, found, chains, per_walker)


def _still(values: Tensor, value: float, mean: Tensor, gamma: Tensor, n: int) -> ChainEstimate:
    """Return the estimate of what does not vary, or is not finite, and has no τ therefore.

    Args:
        values: float64 ``(walkers, draws)`` or ``(walkers, draws, k)``.
        value: of the mean, or function of means.
        mean: ``()`` or ``(k,)``.
        gamma: ``Γ(t)``.
        n: number of draws in all chains together.
    """
    error = 0.0
    reason = (
        "all draws are alike: there is no autocorrelation time, and an error of 0 says only that "
        "nothing rarer was seen"
    )
    if not bool(gamma[0].isfinite()):
        error = math.nan
        reason = _why_not_finite(values, mean)
    return ChainEstimate(value, error, error, math.nan, math.nan, 0, n, gamma[:1], reason=reason)


def _why_not_finite(values: Tensor, mean: Tensor) -> str:
    """Return why a function of means has no finite value or gradient."""
    bad = ~values.isfinite()
    if values.ndim == 3:
        bad = bad.any(2)
    if bool(bad.any()):
        return f"{int(bad.sum())} of {bad.numel()} draws are NaN or infinite"
    return f"the function of means has no finite value and slope at {shown_means(mean)}"


def _with_error(value: float, gamma: Tensor, window: int, fluctuation: Tensor) -> ChainEstimate:
    """Return a value with its error and autocorrelation time.

    Args:
        value: of the mean, or function of means.
        gamma: ``Γ(t)``.
        window: ``W``.
        fluctuation: ``a``, float64 ``(chains, draws)``.
    """
    n = fluctuation.numel()
    rho = gamma / gamma[0]
    # Where neighbours are anticorrelated the window closes at once, and the first term alone may
    # leave nothing.
    tau = max(0.5, 0.5 + float(rho[1 : window + 1].sum()))
    # The mean of the chains stands for the true one, which makes Γ(t) too small.
    bias = 1.0 + (2 * window + 1) / n
    error = math.sqrt(2.0 * tau * float(gamma[0]) * bias / n)
    return ChainEstimate(
        value=value,
        error=error,
        error_error=error * math.sqrt((window + 0.5) / n),
        tau=tau * bias,
        # Γ(t) is a mean over fewer pairs than Γ(0), so ρ(t) may pass 1, and τ with it W + ½.
        tau_error=2.0 * tau * math.sqrt(abs(window + 0.5 - tau) / n),
        window=window,
        draws=n,
        autocorrelation=rho[: window + 1].clone(),
        replica_q=_replica_q(fluctuation.mean(1), error),
        drift=drift(fluctuation, error),
    )


def _check(values: Tensor, function: Callable[[Tensor], Tensor] | None) -> None:
    expect(is_real(values), "values", "a tensor of real numbers", values)
    known = function is None or callable(function)
    expect(known, "function", "None or a function of means", function)
    shape = tuple(values.shape)
    if values.ndim not in (2, 3) or shape[0] < 1 or shape[1] < 4:
        raise ValueError(
            f"values must have shape (walkers, draws) or (walkers, draws, k) with at least 4 "
            f"draws, got {shape}"
        )
    if values.ndim == 3 and function is None:
        raise ValueError(
            f"values of shape {shape} need function= to make one number of their {shape[2]} means"
        )


def _doubts(estimate: ChainEstimate, found: bool, chains: int, per_walker: int) -> list[Doubt]:
    """Return why value or error bar may be wrong; nothing if there is no sign of it.

    Args:
        estimate: with its error bar.
        found: whether the condition of the window was met.
        chains: number of independent chains.
        per_walker: draws per walker.
    """
    reasons = []
    if not found or per_walker < _ENOUGH * estimate.tau:
        reasons.append(
            f"{per_walker} draws a walker are fewer than 50 autocorrelation times of "
            f"{estimate.tau:.3g} draws: the error bar may be too small; run longer chains"
        )
    if estimate.replica_q < _LEAST_Q:
        reasons.append(
            f"the means of {chains} chains differ by more than their error allows (replica_q = "
            f"{estimate.replica_q:.1g}), so that they have a longer autocorrelation time than it "
            f"shows: the error bar may be too small; run longer chains, or take a move that mixes "
            f"faster"
        )
    doubts = [Doubt(ShortChainWarning, reason) for reason in reasons]
    # NaN is not above the limit either.
    if abs(estimate.drift) > MOST_SIGMA:
        reason = (
            f"the last half of the draws lies {estimate.drift:+.1f} errors from their first tenth: "
            f"the chains had not forgotten their start, and the value may be wrong; give a longer "
            f"burn_in, or burn_in='auto'"
        )
        doubts.append(Doubt(DriftWarning, reason))
    return doubts


def _replica_q(means: Tensor, error: float) -> float:
    """Return ``P(χ² or more)`` of the means of equally long chains, given the error of all."""
    # The mean of all comes from the same chains, which takes one degree of freedom.
    freedom = len(means) - 1
    if freedom == 0:
        return math.nan
    # Each mean has the variance of all draws together times the number of chains.
    # Fluctuations are about the mean of all, so that their squares need no mean taken off.
    chi_squared = float(means.square().sum()) / (len(means) * error**2)
    # P(χ² or more) is the upper incomplete gamma function of half of both.
    half = torch.tensor([0.5 * freedom, 0.5 * chi_squared], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))
