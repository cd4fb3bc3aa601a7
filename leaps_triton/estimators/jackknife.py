"""Estimates with error bars from weighted samples, by the jackknife."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import expect, shown
from .weights import block_sums, leave_one_out_sums, normalised

__all__ = ["Estimate", "shown_means", "weighted_estimate"]


ALL_THE_WEIGHT = "one walker, or one block of correlated ones, has all the weight"
"""Why there may be no error."""


class _Pair(NamedTuple):
    """A value and its error."""

    value: float
    error: float


class Estimate(_Pair):
    """A value and its one-sigma error; as a tuple ``(value, error)``.

    Attributes:
        value: the mean, or function of means.
        error: its one-sigma error.
        reason: why one of them is NaN; empty where none is.

    Example:
        >>> print(Estimate(-1.49167, 0.0021))
        -1.4917 ± 0.0021
    """

    # A pair made from a tuple alone has none.
    reason: str = ""

    def __new__(cls, value: float, error: float, reason: str = "") -> "Estimate":
        """Return the pair, and remember why one of them is NaN."""
        made = super().__new__(cls, value, error)
        made.reason = reason
        return made

    def pull(self, exact: float) -> float:
        """Return the distance from ``exact`` in units of the error; NaN without an error."""
        # NaN is not above 0 either.
        if not self.error > 0:
            return float("nan")
        return (self.value - exact) / self.error

    @property
    def details(self) -> dict[str, float]:
        """Return what a table of results shows beside value and error: nothing more."""
        return {}

    def __str__(self) -> str:
        if self.reason:
            return f"{self.value:.6g} ± {self.error:.2g} ({self.reason})"
        if not 0.0 < self.error < float("inf"):
            return f"{self.value:.6g} ± {self.error:.2g}"
        # Two significant digits of the error fix the digits of both.
        digits = max(0, 1 - int(f"{self.error:.1e}".partition("e")[2]))
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"


def weighted_estimate(
    values: Tensor,
    log_weights: Tensor,
    function: Callable[[Tensor], Tensor] | None = None,
    block: int = 1,
) -> Estimate:
    """Return the mean ``Σ w f / Σ w``, or a function of such means, with its jackknife error.

    Args:
        values: ``f``, ``(walkers,)`` or ``(walkers, k)``.
        log_weights: ``A``, ``(walkers,)``.
        function: of means ``(..., k)`` (``(...)`` for values of one axis), acting on the last axis
            alone, to ``(...)``.
        block: walkers that stay or go together; 1 where they are independent, else the size of the
            consecutive blocks that are. The error is NaN where there is one block only: nothing is
            then known about the spread.

    Raises:
        ValueError: fewer than two walkers, shapes that differ, or several values without a
            function.

    References:
        Efron, *The Jackknife, the Bootstrap and Other Resampling Plans*, SIAM (1982).

    Example:
        >>> print(weighted_estimate(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3)))
        2.00 ± 0.58
    """
    share = normalised(log_weights)
    _check(values, log_weights, function)
    # One share per walker, whatever the number of values.
    share = share.view(len(share), *[1] * (values.ndim - 1))
    weighted = share * values.double()
    mean = weighted.sum(0)
    # Numerator and denominator leave out the same block.
    others = leave_one_out_sums(block_sums(weighted, block))
    left_out = others / leave_one_out_sums(block_sums(share, block))
    blocks = len(left_out)
    if function is not None:
        mean = function(mean)
        left_out = function(left_out)
    tensors = isinstance(left_out, Tensor) and isinstance(mean, Tensor)
    if not tensors or mean.ndim != 0 or left_out.shape != (blocks,):
        raise ValueError(
            f"function must map means (..., k) to (...), got {shown(left_out)} for {blocks} sets "
            f"of means"
        )
    # Estimates without one block differ by 1 / (blocks - 1) of what whole samples would.
    error = torch.sqrt((blocks - 1) * left_out.var(correction=0))
    reason = ""
    if not bool(mean.isfinite()) or not bool(error.isfinite()):
        reason = _why_not_finite(values, share, block, weighted.sum(0), left_out)
    return Estimate(float(mean), float(error), reason)


def _why_not_finite(
    values: Tensor, share: Tensor, block: int, means: Tensor, left_out: Tensor
) -> str:
    """Return why a weighted mean, or its error, is not finite.

    Args:
        values: ``(walkers,)`` or ``(walkers, k)``.
        share: of the weight, the same shape or ``(walkers, 1)``.
        block: the same as in :func:`weighted_estimate`.
        means: weighted means of the values, ``()`` or ``(k,)``.
        left_out: the estimate without each block, ``(blocks,)``.
    """
    bad = ~values.isfinite()
    if values.ndim == 2:
        bad = bad.any(1)
    if bool(bad.any()):
        return f"the observable is NaN or infinite for {int(bad.sum())} of {len(bad)} walkers"
    if len(left_out) == 1:
        return one_block(len(values))
    if not bool((leave_one_out_sums(block_sums(share, block)) > 0).all()):
        return ALL_THE_WEIGHT
    undefined = int((~left_out.isfinite()).sum())
    return (
        f"the function of means has no finite value at {shown_means(means)}, or at those without "
        f"one walker or block ({undefined} of {len(left_out)})"
    )


def one_block(walkers: int) -> str:
    """Return why there is no error where all walkers are relatives.

    Args:
        walkers: their number.
    """
    return (
        f"the {walkers} walkers are one block of correlated ones, which tells nothing of its own "
        f"spread; draw more blocks"
    )


def shown_means(means: Tensor) -> str:
    """Return means in a few words, for a message.

    Example:
        >>> shown_means(torch.tensor([1.5, -0.25]))
        'means (1.5, -0.25)'
    """
    numbers = means.flatten().tolist()
    texts = [f"{number:.4g}" for number in numbers[:4]]
    if len(numbers) > 4:
        texts.append("…")
    return f"means ({', '.join(texts)})"


def _check(
    values: Tensor, log_weights: Tensor, function: Callable[[Tensor], Tensor] | None
) -> None:
    if log_weights.ndim != 1:
        raise ValueError(f"log_weights must have shape (walkers,), got {tuple(log_weights.shape)}")
    n = len(log_weights)
    if n < 2:
        raise ValueError(f"an error bar needs at least 2 walkers, got {n}")
    real = isinstance(values, Tensor) and not values.is_complex()
    fits = real and values.ndim in (1, 2) and len(values) == n
    expect(fits, "values", f"real numbers of shape ({n},) or ({n}, k)", values)
    known = function is None or callable(function)
    expect(known, "function", "None or a function of means", function)
    if values.ndim == 2 and function is None:
        raise ValueError(
            f"values of shape {tuple(values.shape)} need function= to make one number of their "
            f"{values.shape[1]} means"
        )
