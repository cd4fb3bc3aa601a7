"""The implicit midpoint: a map that moves all coordinates at once, with an exact determinant."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..transport import MidpointDrift

__all__ = ["Midpoint", "Moved", "Stalled", "through_middle"]

NEWTON = 1.0 / 3.0
"""Slope below which Newton's method finds the middle from anywhere; see :func:`_middle`."""

ROUNDS = 2000
"""Most iterations on the way to a middle; a slope of 0.99 needs about that many."""

STALLED = 30
"""Rounds in which what is missing has not become less, where it is rounding alone.

All steps lessen it by a factor below 1, which the bound of the drift proves.
"""

ROUNDING = 1e4
"""Last digits that the rounding of a drift may be off by.

A drift ``s g(x / s)`` rounds in units of ``s``, however small it is itself.
"""


class Stalled:
    """Which equations come no closer to their solution, in consecutive rounds of a search.

    Args:
        missing: what is missing at first, of the shape of all later ones, not below 0.
    """

    def __init__(self, missing: Tensor) -> None:
        self._least = torch.full_like(missing, torch.inf)
        self._rounds = torch.zeros_like(missing, dtype=torch.int64)

    def look(self, missing: Tensor) -> Tensor:
        """Return which have come no closer for some rounds, bool, given what is missing now."""
        closer = missing < self._least
        self._least = torch.minimum(self._least, missing)
        self._rounds = torch.where(closer, 0, self._rounds + 1)
        return self._rounds >= STALLED


class Midpoint(NamedTuple):
    """``x → y`` with ``m = x + (h/2) b(m, t)`` and ``y = m + (h/2) b(m, t)``.

    Its own way back is that with ``-h``.
    """

    t: float
    step: float
    """``h``"""
    steepest: float
    """Bound on the norm of the Jacobian of ``b`` at ``t``"""

    def reversed(self) -> "Midpoint":
        """Return the way back."""
        return self._replace(step=-self.step)


class Moved(NamedTuple):
    """Walkers after the map."""

    configurations: Tensor
    log_determinant: Tensor
    """Float64 ``(walkers,)``"""


class _Middle(NamedTuple):
    """Middles, and the drift there."""

    place: Tensor
    """``m``, float64 ``(walkers, sites)``"""
    drift: Tensor
    """``b``, the same"""
    jacobian: Tensor
    """``J``, ``(walkers, sites, sites)``, in the type in which the drift computes"""


def through_middle(drift: MidpointDrift, configurations: Tensor, each: Midpoint) -> Moved:
    """Return walkers after the map, and the logarithm of its determinant.

    ``log |det| = log det(1 + h J(m)/2) - log det(1 - h J(m)/2)``; both are positive where ``h |J| <
    2``, and there the map is one to one and onto, because ``m → m ± (h/2) b(m)`` are.

    Args:
        drift: what is followed.
        configurations: ``(walkers, *shape)``.
        each: the map.
    """
    found = _middle(drift, configurations, each)
    half = 0.5 * each.step
    y = (found.place + half * found.drift).view(configurations.shape)
    determinant = _log_determinant(found.jacobian, half) - _log_determinant(found.jacobian, -half)
    return Moved(y.to(configurations.dtype), determinant)


def _middle(drift: MidpointDrift, configurations: Tensor, each: Midpoint) -> _Middle:
    """Return ``m = x + (h/2) b(m)``.

    Let ``s < 1`` be a bound on the norm of ``h J / 2``, and ``r = m - x - (h/2) b(m)`` what is
    missing. From anywhere, ``m ← m - r`` leaves less than ``s`` of ``r``. A step of Newton's leaves
    less than ``2 s / (1 - s)`` of the distance, so that below ``s = 1/3`` it needs no guard; above,
    a step that leaves more than ``s`` of ``r`` is taken back, for ``m ← m - r``. Where the rounding
    of the drift is more than the last digit of ``m``, a search ends that comes no closer.
    """
    x = configurations.flatten(1).double()
    half = 0.5 * each.step
    slope = abs(half) * each.steepest
    here = _at(drift, configurations, each.t, x)
    # No closer than the last digit of the drift, which may go to and fro.
    digit = torch.finfo(here.jacobian.dtype).eps
    stalled = Stalled(x[:, 0])
    for _ in range(ROUNDS):
        missing = here.place - x - half * here.drift
        size = 1.0 + x.abs() + here.place.abs()
        # What is not finite is found by nobody, and a check reports it.
        far = (missing.abs() > 2.0 * digit * size).any(1)
        rounded = (missing.abs() <= ROUNDING * digit * (size + (half * here.drift).abs())).all(1)
        far = far & ~(stalled.look(_length(missing)) & rounded)
        if not bool(far.any()):
            return here
        # Of walkers that have arrived the last digit would go to and fro.
        rows = far.nonzero().squeeze(1)
        away = missing[rows]
        tried = _at(drift, configurations, each.t, _newton(here, rows, away, half))
        if slope >= NEWTON:
            left = tried.place - x[rows] - half * tried.drift
            worse = ~(_length(left) <= slope * _length(away))
            if bool(worse.any()):
                plain = _at(drift, configurations, each.t, (here.place[rows] - away)[worse])
                back = worse.nonzero().squeeze(1)
                tried = _placed(tried, back, plain)
        here = _placed(here, rows, tried)
    raise RuntimeError(
        f"the middle of a map at t = {each.t:g} was not found in {ROUNDS} rounds; take more "
        "intervals, or more substeps"
    )


def _newton(here: _Middle, rows: Tensor, away: Tensor, half: float) -> Tensor:
    """Return where Newton's method looks next, float64 ``(rows, sites)``."""
    jacobian = here.jacobian[rows].double()
    unit = torch.eye(jacobian.shape[1], dtype=jacobian.dtype, device=jacobian.device)
    # Where a drift breaks its bound the matrix may be singular: then there is no number.
    step = torch.linalg.solve_ex(unit - half * jacobian, away)[0]
    return here.place[rows] - step


def _at(drift: MidpointDrift, configurations: Tensor, t: float, place: Tensor) -> _Middle:
    """Return places with the drift there.

    Args:
        drift: what is followed.
        configurations: of whose shape the places are for the drift.
        t: the time.
        place: float64 ``(rows, sites)``.
    """
    shaped = place.view(len(place), *configurations.shape[1:])
    b, jacobian = drift.linearised(shaped, t)
    return _Middle(place, b.flatten(1).double(), jacobian)


def _placed(all_of_them: _Middle, rows: Tensor, part: _Middle) -> _Middle:
    """Return middles, those of some rows replaced."""
    return _Middle(
        all_of_them.place.index_copy(0, rows, part.place),
        all_of_them.drift.index_copy(0, rows, part.drift),
        all_of_them.jacobian.index_copy(0, rows, part.jacobian),
    )


def _length(vectors: Tensor) -> Tensor:
    """Return norms, ``(rows,)``: those in which a drift proves its bound."""
    return torch.linalg.vector_norm(vectors, dim=1)


def _log_determinant(jacobian: Tensor, half: float) -> Tensor:
    """Return ``log det(1 + half J)``, float64 ``(walkers,)``; NaN where that is not positive."""
    unit = torch.eye(jacobian.shape[1], dtype=torch.float64, device=jacobian.device)
    sign, logarithm = torch.linalg.slogdet(unit + half * jacobian.double())
    # A slope that breaks its bound gives NaN, which a check reports.
    return torch.where(sign > 0.0, logarithm, torch.nan)
