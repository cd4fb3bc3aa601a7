"""Times that training looks at."""

import torch
from torch import Tensor

from ...kernels import uniform64
from ..config import TrainingConfig
from .draws import Draws, Use

__all__ = ["bin_of", "held_out_times", "latest_time", "middles", "training_times"]

_HELD_OUT = 8
"""Held-out times after 0; they are dense at late times, where most of the residual is."""


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


def training_times(config: TrainingConfig, draws: Draws, latest: float) -> Tensor:
    """Return a time in each of ``times`` strata, increasing, float64 ``(times,)``.

    Args:
        config: the settings.
        draws: of the step.
        latest: the largest time.
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
    return first + (last - first) * share**config.time_power


def middles(bins: int) -> Tensor:
    """Return the middle of each bin of time, float64 ``(bins,)``."""
    return (torch.arange(bins, dtype=torch.float64) + 0.5) / bins


def bin_of(t: Tensor, bins: int) -> Tensor:
    """Return the bins that times are in, int64; the last one holds 1."""
    return (t * bins).long().clamp(max=bins - 1)


def held_out_times() -> Tensor:
    """Return the times of held-out samples, from 0 to 1, denser at late ones, float64."""
    return (torch.arange(_HELD_OUT + 1, dtype=torch.float64) / _HELD_OUT).sqrt()
