"""Times that training looks at."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels import uniform64
from ..config import TrainingConfig
from .draws import Draws, Use

__all__ = [
    "TimeDensity",
    "bin_of",
    "held_out_times",
    "latest_time",
    "middles",
    "training_times",
]

_EVERYWHERE = 0.25
"""Share of the times that are drawn as if nothing had been measured, so that none is forgotten."""

_GRID = 512
"""Cells of the table that a density of times is inverted by."""


class TimeDensity(NamedTuple):
    """How densely a batch looks at times, as a table that is linear in between."""

    t: Tensor
    """Increasing times from 0 to 1, float64 ``(knots,)``"""
    weight: Tensor
    """Not negative, of any scale, float64 ``(knots,)``"""

    def at(self, t: Tensor) -> Tensor:
        """Return the weight at times in [0, 1], of their shape."""
        right = torch.searchsorted(self.t, t).clamp(1, len(self.t) - 1)
        left = right - 1
        share = (t - self.t[left]) / (self.t[right] - self.t[left])
        return self.weight[left] + share * (self.weight[right] - self.weight[left])


def latest_time(config: TrainingConfig, step: int, steps: int) -> float:
    """Return the largest time that a step trains: 1, or less within the curriculum.

    Args:
        config: the settings.
        step: steps before this one.
        steps: those that the training was planned to have when it began.
    """
    rising = config.curriculum * steps
    if step >= rising:
        return 1.0
    start = config.curriculum_start
    return start + (1.0 - start) * step / rising


def training_times(
    config: TrainingConfig, draws: Draws, latest: float, density: TimeDensity | None = None
) -> Tensor:
    """Return a time in each of ``times`` strata, increasing, float64 ``(times,)``.

    Args:
        config: the settings.
        draws: of the step.
        latest: the largest time.
        density: what three quarters of the times follow; None for ``time_power`` alone.
    """
    words = draws.words(Use.TIMES, config.times)
    stratum = torch.arange(config.times, dtype=torch.float64)
    last = latest
    if config.loss != "physics_informed":
        # Segments end by 1; whole paths begin at 0, where sweeps draw from the start itself.
        last = latest * (1.0 - config.segment / config.leaps)
    if config.time_power == 1.0 and config.first_time == 0.0:
        # In this order of operations, as trainings have always drawn them.
        return last * (stratum + uniform64(words[0], words[1])) / config.times
    share = (stratum + uniform64(words[0], words[1])) / config.times
    first = min(config.first_time, last)
    if density is None:
        return first + (last - first) * share**config.time_power
    return _dense(share, first, last, config.time_power, density)


def _dense(share: Tensor, first: float, last: float, power: float, density: TimeDensity) -> Tensor:
    """Return the quantiles of a mixture of a measured density and of ``u^power``.

    Args:
        share: what part of the times is below each, float64 ``(times,)``.
        first: the earliest time.
        last: the latest one.
        power: of the part that is not measured.
        density: of the other.
    """
    # Distribution functions on the edges of a table are exact for what is linear in its cells.
    part = torch.linspace(0.0, 1.0, _GRID + 1, dtype=torch.float64)
    edges = first + (last - first) * part
    measured = torch.cumulative_trapezoid(density.at(edges), edges)
    # There is no density where there is no time between the two.
    if float(measured[-1]) <= 0.0:
        return first + (last - first) * share**power
    measured = torch.cat([torch.zeros(1, dtype=torch.float64), measured / measured[-1]])
    below = _EVERYWHERE * part ** (1.0 / power) + (1.0 - _EVERYWHERE) * measured
    right = torch.searchsorted(below, share).clamp(1, _GRID)
    left = right - 1
    inside = (share - below[left]) / (below[right] - below[left])
    return edges[left] + inside * (edges[right] - edges[left])


def middles(bins: int) -> Tensor:
    """Return the middle of each bin of time, float64 ``(bins,)``."""
    return (torch.arange(bins, dtype=torch.float64) + 0.5) / bins


def bin_of(t: Tensor, bins: int) -> Tensor:
    """Return the bins that times are in, int64; the last one holds 1."""
    return (t * bins).long().clamp(max=bins - 1)


def held_out_times(times: int) -> Tensor:
    """Return the times of held-out samples, from 0 to 1, denser at late ones, float64.

    Args:
        times: how many there are after 0; ``(times + 1,)`` in all.
    """
    return (torch.arange(times + 1, dtype=torch.float64) / times).sqrt()
