"""The law of the overlap with error bars."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_integer, expect, is_real
from .autocorrelation import chain_estimate
from .jackknife import weighted_estimate

__all__ = ["OverlapDistribution", "overlap_distribution"]


class OverlapDistribution(NamedTuple):
    """``P(q)`` in bins, float64 ``(bins,)`` each."""

    centres: Tensor
    """Middle of every bin"""
    density: Tensor
    """``P(q)``, whose sum over the bins times their widths is 1"""
    error: Tensor
    """Of the density; 0 in a bin where no overlap is, about which it says nothing"""


def overlap_distribution(
    overlaps: Tensor, bins: int | Tensor = 41, log_weights: Tensor | None = None, together: int = 1
) -> OverlapDistribution:
    """``P(q)`` from overlaps of pairs of walkers: of each bin the share of the pairs, and its
    error.

    Of chains the window of every bin is at least that of the overlap itself: while a pair seldom
    goes from ``q`` to ``-q`` each bin knows of it too little to find that slow time by itself.

    Args:
        overlaps: of chains ``(pairs, draws)``, such as ``chain.values["overlap"]``, errors by the
            Γ-method; of independent pairs ``(pairs,)``, errors by the jackknife. In [-1, 1].
        bins: of equal width from -1 to 1; or their edges, increasing, which hold all overlaps.
            Overlaps of N spins ±1 are multiples of 2/N, and bins that hold now more of them, now
            fewer, make a comb.
        log_weights: of independent pairs: the sum of both walkers' ``A``; None where all weigh
            alike.
        together: how many consecutive pairs of chains are correlated; of Houdayer's pairs 1, since
            each is alone.

    Raises:
        ValueError: fewer than one bin, overlaps outside, shapes that do not fit; as
            :func:`~leaps_triton.estimators.chain_estimate`.

    Warns:
        ShortChainWarning: as :func:`~leaps_triton.estimators.chain_estimate`.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.EdwardsAnderson((4, 4), beta=0.5, seed=1)
        >>> chain = lt.run_chain(
        ...     model, lt.HeatBath(), 16, 500, observables=["overlap"], device="cpu"
        ... )
        >>> law = lt.estimators.overlap_distribution(chain.values["overlap"], bins=5)
        >>> law.density.shape, float(law.density.sum() * 0.4)
        (torch.Size([5]), 1.0)
    """
    fits = is_real(overlaps) and overlaps.ndim in (1, 2) and overlaps.numel() > 0
    expect(fits, "overlaps", "real numbers of shape (pairs, draws) or (pairs,)", overlaps)
    expect(
        log_weights is None or is_real(log_weights),
        "log_weights",
        "None or a tensor of real numbers",
        log_weights,
    )
    if isinstance(bins, Tensor) and bins.ndim > 0:
        increasing = (
            is_real(bins) and bins.ndim == 1 and len(bins) > 1 and bool((bins.diff() > 0).all())
        )
        expect(increasing, "bins", "a number of bins, or their increasing edges", bins)
        edges = bins.double().cpu()
    else:
        edges = torch.linspace(-1.0, 1.0, as_integer("bins", bins, 1) + 1, dtype=torch.float64)
    q, low, high = overlaps.double().cpu().contiguous(), float(edges[0]), float(edges[-1])
    # Sums of products may pass 1 by rounding.
    if not bool(((q >= low - 1e-9) & (q <= high + 1e-9)).all()):
        raise ValueError(
            f"overlaps must be in [{low:g}, {high:g}], got {float(q.min()):g} to {float(q.max()):g}"
        )
    if log_weights is not None and q.ndim == 2:
        raise ValueError(
            "draws of chains have no weights; give log_weights for independent pairs (pairs,) only"
        )
    index = (torch.bucketize(q, edges, right=True) - 1).clamp(0, len(edges) - 2)
    a = torch.zeros(len(q), dtype=torch.float64) if log_weights is None else log_weights.cpu()
    window = chain_estimate(q, together=together).window if q.ndim == 2 else 0
    found: list[Any] = []
    for row, width in enumerate(edges.diff().tolist()):
        inside = (index == row).double() / width
        if q.ndim == 2:
            found.append(chain_estimate(inside, together=together, least_window=window))
        else:
            found.append(weighted_estimate(inside, a))
    columns = torch.tensor([(f.value, f.error) for f in found], dtype=torch.float64).T
    return OverlapDistribution((edges[1:] + edges[:-1]) / 2.0, *columns)
