"""How far weights can be trusted: how many count, what one carries, how heavy their tail is."""

import math

import torch
from torch import Tensor

from ...kernels.checks import as_integer, expect, is_real
from ..weights import block_sums, effective_sample_size, normalised
from .cautions import Doubt, LowEssWarning

__all__ = [
    "draw_doubts",
    "independent",
    "pareto_k",
    "pareto_threshold",
    "weight_doubts",
    "why_no_k",
]


_EFFECTIVE = 20.0
"""Effective walkers below which an error bar is itself uncertain by more than a sixth."""

_LARGEST = 0.1
"""Share of the weight that one walker may carry."""

_UNEVEN = 5.0
"""Times its even share that a walker may carry, where there are few."""

_LEAST_TAIL = 5
"""Weights in the tail from which it is fitted."""

_PRIOR_WEIGHT = 10.0
"""Draws that the prior of the tail's shape counts as."""

_PRIOR_K = 0.5
"""Its mean."""


def pareto_k(log_weights: Tensor) -> float:
    """Return the shape ``k`` of the generalised Pareto law that the largest weights follow.

    Moments of the weights beyond ``1/k`` do not exist: from ``k = ½`` their variance is infinite,
    from 1 their mean. Estimates converge as the number of walkers lets hope up to
    :func:`pareto_threshold`. The tail is that of the ``min(n/5, 3 √n)`` largest weights.

    Args:
        log_weights: ``A``, ``(walkers,)``, independent.

    Returns:
        ``k̂``; NaN where there are fewer than 5 weights in the tail, or all of them are alike.

    Raises:
        ValueError: something else than such a tensor, or NaN in it.

    References:
        Vehtari, Simpson, Gelman, Yao, Gabry, *Pareto smoothed importance sampling*,
        arXiv:1507.02646, with its prior for short tails; Zhang, Stephens, *A new and efficient
        estimation method for the generalized Pareto distribution*, Technometrics 51, 316 (2009).

    Example:
        >>> u = (torch.arange(10000.0).double() + 0.5) / 10000.0
        >>> round(pareto_k(-0.4 * u.log()), 1)
        0.4
    """
    fits = is_real(log_weights) and log_weights.ndim == 1
    expect(fits, "log_weights", "a tensor of real numbers (walkers,)", log_weights)
    # NaN is not below infinity either.
    finite = bool((log_weights < math.inf).all())
    expect(finite, "log_weights", "finite, or minus infinity for a weight of 0", log_weights)
    tail = _tail(log_weights)
    if len(tail) < _LEAST_TAIL:
        return math.nan
    return _shape(tail)


def pareto_threshold(walkers: int) -> float:
    """Return the ``k`` up to which so many independent walkers give trusted estimates.

    It is ``min(1 - 1/log10 n, 0.7)``.

    Args:
        walkers: their number.

    Raises:
        ValueError: no integer of at least 0.

    References:
        Vehtari et al., arXiv:1507.02646, section 3.2.4.

    Example:
        >>> round(pareto_threshold(100), 2), pareto_threshold(100000)
        (0.5, 0.7)
    """
    walkers = as_integer("walkers", walkers, 0)
    # The formula is for more than ten, and gives 0 there.
    if walkers <= 10:
        return 0.0
    return min(1.0 - 1.0 / math.log10(walkers), 0.7)


def why_no_k(log_weights: Tensor, correlated: int = 1) -> str:
    """Return why there is no ``k`` of the tail of weights; empty if there is one.

    Args:
        log_weights: ``A``, ``(walkers,)``.
        correlated: how many consecutive walkers are correlated; their sum then counts as one.
    """
    units = independent(log_weights, correlated)
    if not math.isnan(pareto_k(units)):
        return ""
    if len(units) >= 25:
        return "the largest weights are all alike"
    if correlated > 1:
        return f"it takes 25 independent blocks, and there are {len(units)}"
    return f"it takes 25 independent walkers, and there are {len(units)}"


def independent(log_weights: Tensor, correlated: int) -> Tensor:
    """Return the log-weights of what is independent: of walkers, or the sums of whole blocks.

    Args:
        log_weights: ``A``, ``(walkers,)``.
        correlated: how many consecutive walkers are correlated.
    """
    if correlated == 1:
        return log_weights.double()
    return block_sums(normalised(log_weights), correlated).log()


def weight_doubts(log_weights: Tensor, correlated: int = 1) -> list[Doubt]:
    """Return why estimates with these weights may be wrong; nothing if there is no sign of it.

    Few walkers of even weight are no reason: their error bar is uncertain, but does not flatter.

    Args:
        log_weights: ``A``, ``(walkers,)``.
        correlated: how many consecutive walkers are correlated; blocks of them are then counted,
            by the sum of their weights.
    """
    units = independent(log_weights, correlated)
    count = len(units)
    effective = count * float(effective_sample_size(units))
    what = "walkers"
    one = "one walker"
    if correlated > 1:
        what = "independent blocks"
        one = "one block"
    mend = "move the walkers better (more intervals, sweeps or training), or draw many more"
    return _doubts(effective, count, float(normalised(units).max()), (what, one, mend))


def draw_doubts(log_weights: Tensor, tau: float, mend: str) -> list[Doubt]:
    """Return why draws of one law may say little of another; nothing if there is no sign of it.

    Args:
        log_weights: of all draws, of any shape.
        tau: autocorrelation time in draws, ½ where they are independent; NaN counts as that.
        mend: what to do about it.
    """
    weights = log_weights.flatten().double()
    # A number of torch's or NumPy's may come, and NaN leaves 1.
    count = len(weights) / max(1.0, 2.0 * float(tau))
    effective = count * float(effective_sample_size(weights))
    largest = float(normalised(weights).max())
    return _doubts(effective, round(count), largest, ("independent draws", "one draw", mend))


def _doubts(
    effective: float, count: int, largest: float, words: tuple[str, str, str]
) -> list[Doubt]:
    """Return one doubt, or none.

    Args:
        effective: number of units that count.
        count: number of all.
        largest: share of the weight that one carries.
        words: what the units are called, what one of them is, and what mends it.
    """
    what, one, mend = words
    few = effective < _EFFECTIVE and effective < 0.5 * count
    heavy = largest > max(_LARGEST, _UNEVEN / max(count, 1))
    reasons = []
    if few:
        reasons.append(f"of {count} {what} {effective:.2g} are effective")
    if heavy:
        reasons.append(f"{one} carries {largest:.0%} of the weight")
    if not reasons:
        return []
    return [Doubt(LowEssWarning, f"{' and '.join(reasons)}: values and error bars flatter; {mend}")]


def _tail(log_weights: Tensor) -> Tensor:
    """Return by how much the largest weights exceed the next one, ascending; those above 0."""
    values = log_weights.detach().double().sort().values
    count = len(values)
    size = math.ceil(min(0.2 * count, 3.0 * math.sqrt(count)))
    if size < _LEAST_TAIL:
        return values[:0]
    # In units of the largest, so that none overflows.
    weights = torch.exp(values[-size - 1 :] - values[-1])
    exceeding = weights[1:] - weights[0]
    return exceeding[exceeding > 0.0]


def _shape(tail: Tensor) -> float:
    """Return ``k̂`` of a generalised Pareto law, by Zhang and Stephens, with the prior of PSIS.

    Args:
        tail: positive, ascending, float64 ``(n,)``.
    """
    n = len(tail)
    count = 30 + int(math.sqrt(n))
    place = torch.arange(1, count + 1, dtype=torch.float64, device=tail.device)
    quartile = tail[int(n / 4 + 0.5) - 1]
    # A grid of b = -k/σ about the prior of the paper, which knows the largest value and a quartile.
    b = 1.0 / tail[-1] + (1.0 - torch.sqrt(count / (place - 0.5))) / (3.0 * quartile)
    k = torch.log1p(-b.unsqueeze(1) * tail).mean(1)
    # The profile likelihood of b; k and b have opposite signs.
    log_likelihood = n * (torch.log(-b / k) - k - 1.0)
    posterior = torch.softmax(log_likelihood, dim=0)
    mean = float((posterior * b).sum())
    found = float(torch.log1p(-mean * tail).mean())
    # Short tails are drawn to the prior's mean of ½.
    return (n * found + _PRIOR_WEIGHT * _PRIOR_K) / (n + _PRIOR_WEIGHT)
