"""Where chains may begin: the first draws that still tell of the start are left out."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from ...kernels.checks import expect, is_real
from .gamma import linearised, spread_of

__all__ = ["Beginning", "find_beginning"]


_CANDIDATES = 100
"""Beginnings that are tried, evenly spaced over the draws."""

_LEAST_LEFT = 0.25
"""Share of the draws that is left at least: of fewer, nothing can be said."""


class Beginning(NamedTuple):
    """Where chains begin."""

    draw: int
    """Draws per walker that come before and are left out"""
    observable: str
    """Name of the one that needs so many; empty where none needs any"""

    def words(self, draws: int) -> str:
        """Return it in words.

        Args:
            draws: per walker, those left out counted.

        Example:
            >>> Beginning(20, "energy").words(400)
            'after 20 of 400 draws (energy)'
        """
        text = f"after {self.draw} of {draws} draws"
        if self.observable:
            text = f"{text} ({self.observable})"
        return text


def find_beginning(
    values: Mapping[str, Tensor],
    functions: Mapping[str, Callable[[Tensor], Tensor] | None] | None = None,
) -> Beginning:
    """Return where chains may begin: at the latest of the beginnings of all observables.

    Of each observable it is the ``t_0`` that leaves the most effective draws, ``(n - t_0) / (2
    τ(t_0))``: what relaxes makes ``τ`` long, and each draw left out without need costs one. ``τ``
    is that of the mean over all walkers, which relax alike while their noise averages out, so that
    the more walkers there are, the smaller a drift is found. The latest beginning counts, since all
    observables are of the same chains, and none of them is to remember the start.

    Args:
        values: name → ``(rows, draws)`` or ``(rows, draws, k)``.
        functions: name → function of the means ``(k,)``; observables of ``k`` values without one
            are looked at value by value.

    Returns:
        Draw and observable. At most three quarters of the draws are left out.

    Raises:
        ValueError: no mapping, or values of another shape.

    References:
        J. D. Chodera, *A simple method for automated equilibration detection in molecular
        simulations*, J. Chem. Theory Comput. 12, 1799 (2016), the method of pymbar's
        ``detect_equilibration``.

    Example:
        >>> import torch, leaps_triton as lt
        >>> t = torch.arange(400)
        >>> noise = lt.kernels.uniform64(*lt.kernels.philox(0, 0, 0, t, 0, 0)[:2])
        >>> relaxing = 5.0 * (-t.double() / 10.0).exp() + noise
        >>> 10 <= find_beginning({"energy": relaxing.view(1, -1)}).draw <= 80
        True
    """
    expect(isinstance(values, Mapping), "values", "a mapping from names to tensors", values)
    known = functions or {}
    latest = Beginning(0, "")
    for name, value in values.items():
        fits = is_real(value) and value.ndim in (2, 3)
        expect(fits, name, "real numbers of shape (rows, draws) or (rows, draws, k)", value)
        for series in _series(value.detach().double(), known.get(name)):
            draw = _best(series)
            if draw > latest.draw:
                latest = Beginning(draw, name)
    return latest


def _series(values: Tensor, function: Callable[[Tensor], Tensor] | None) -> list[Tensor]:
    """Return the means over walkers, float64 ``(draws,)`` each, of what an observable holds."""
    mean = values.mean(0)
    if mean.ndim == 1:
        return [mean]
    if function is None:
        return list(mean.unbind(1))
    # The second half has forgotten more of the start: there the function is made linear.
    _, gradient = linearised(function, mean[len(mean) // 2 :].mean(0))
    return [mean @ gradient]


def _best(series: Tensor) -> int:
    """Return the beginning that leaves the most effective draws of one series."""
    # Where a function of means has no value there is nothing to compare.
    if not bool(series.isfinite().all()):
        return 0
    draws = len(series)
    step = max(1, math.ceil(draws / _CANDIDATES))
    # Four draws at least, as the Γ-method needs.
    last = min(int((1.0 - _LEAST_LEFT) * draws), draws - 4)
    best = 0
    most = 0.0
    for begin in range(0, last + 1, step):
        left = series[begin:]
        spread = spread_of(left.unsqueeze(0))
        # What does not vary at all has no drift either.
        effective = len(left) / (2.0 * spread.tau)
        if effective > most:
            best = begin
            most = effective
    return best
