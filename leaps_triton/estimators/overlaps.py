"""The law of the overlap, with error bars."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_tensor, expect, is_real
from .autocorrelation import examine
from .jackknife import Estimate, weighted_estimate
from .trust.cautions import caution, joined

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
    overlaps: Tensor,
    bins: "int | Tensor | np.ndarray[Any, Any]" = 41,
    log_weights: Tensor | None = None,
    together: int = 1,
) -> OverlapDistribution:
    """Return ``P(q)`` from overlaps of pairs of walkers: the share of each bin, and its error.

    For chains the window of every bin is at least that of the overlap itself: while a pair seldom
    goes from ``q`` to ``-q`` each bin knows of it too little to find that slow time by itself.

    Args:
        overlaps: of chains ``(pairs, draws)``, such as ``chain.values["overlap"]``, errors by the
            Γ-method; of independent pairs ``(pairs,)``, errors by the jackknife. In [-1, 1].
        bins: their number, of equal width from -1 to 1; or their edges, increasing, which hold all
            overlaps. Overlaps of N spins ±1 are multiples of 2/N, and bins that hold now more of
            them, now fewer, make a comb.
        log_weights: of independent pairs: the sum of both walkers' ``A``; None where all weigh
            alike.
        together: how many consecutive pairs of chains are correlated; of Houdayer's pairs 1, since
            each is alone.

    Raises:
        ValueError: fewer than one bin, overlaps outside, shapes that do not fit; the same as in
            :func:`~leaps_triton.estimators.chain_estimate`.

    Warns:
        ShortChainWarning, DriftWarning: the same as in
            :func:`~leaps_triton.estimators.chain_estimate`; once for all bins.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.EdwardsAnderson((4, 4), beta=0.5, seed=1)
        >>> measured = ["overlap"]
        >>> chain = lt.run_chain(model, lt.HeatBath(), 16, 500, observables=measured, device="cpu")
        >>> law = lt.estimators.overlap_distribution(chain.values["overlap"], bins=5)
        >>> law.density.shape, float(law.density.sum() * 0.4)
        (torch.Size([5]), 1.0)
    """
    fits = is_real(overlaps) and overlaps.ndim in (1, 2) and overlaps.numel() > 0
    expect(fits, "overlaps", "real numbers of shape (pairs, draws) or (pairs,)", overlaps)
    fits = log_weights is None or is_real(log_weights)
    expect(fits, "log_weights", "None or a tensor of real numbers", log_weights)
    edges = _edges(bins)
    q = overlaps.double().cpu().contiguous()
    low = float(edges[0])
    high = float(edges[-1])
    # Sums of products may pass 1 by rounding.
    if not bool(((q >= low - 1e-9) & (q <= high + 1e-9)).all()):
        raise ValueError(
            f"overlaps must be in [{low:g}, {high:g}], got {float(q.min()):g} to {float(q.max()):g}"
        )
    if log_weights is not None and q.ndim == 2:
        raise ValueError(
            "draws of chains have no weights; give log_weights for independent pairs (pairs,) only"
        )
    widths = edges.diff()
    # A bin holds its lower edge, and the last one its upper edge too.
    index = (torch.bucketize(q, edges, right=True) - 1).clamp(0, len(widths) - 1)
    inside = [(index == row).double() / width for row, width in enumerate(widths.tolist())]
    if q.ndim == 2:
        columns = _of_chains(q, inside, together)
    else:
        a = torch.zeros(len(q), dtype=torch.float64)
        if log_weights is not None:
            a = log_weights.cpu()
        columns = [weighted_estimate(values, a) for values in inside]
    density, error = torch.tensor(columns, dtype=torch.float64).T
    return OverlapDistribution((edges[1:] + edges[:-1]) / 2.0, density, error)


def _of_chains(overlaps: Tensor, inside: list[Tensor], together: int) -> list[Estimate]:
    """Return the density of every bin, and warn once for all of them.

    Args:
        overlaps: ``(pairs, draws)``.
        inside: of every bin: 1 over its width where an overlap is inside, else 0.
        together: how many consecutive pairs are correlated.
    """
    whole, found = examine(overlaps, together=together)
    doubts = [("the overlap", doubt) for doubt in found]
    columns = []
    for place, values in enumerate(inside):
        one, found = examine(values, together=together, least_window=whole.window)
        doubts.extend((f"bin {place}", doubt) for doubt in found)
        columns.append(Estimate(one.value, one.error))
    caution(joined(doubts))
    return columns


def _edges(bins: "int | Tensor | np.ndarray[Any, Any]") -> Tensor:
    """Return the edges of the bins, float64 ``(bins + 1,)``."""
    if isinstance(bins, np.ndarray) and bins.ndim > 0:
        bins = as_tensor(bins)
    if not isinstance(bins, Tensor) or bins.ndim == 0:
        count = as_integer("bins", bins, 1)
        return torch.linspace(-1.0, 1.0, count + 1, dtype=torch.float64)
    listed = is_real(bins) and bins.ndim == 1 and len(bins) > 1
    fits = listed and bool((bins.diff() > 0).all())
    expect(fits, "bins", "a number of bins, or their increasing edges", bins)
    # Torch warns of edges of other strides.
    return bins.double().cpu().contiguous()
