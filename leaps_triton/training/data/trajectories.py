"""Trajectories to train on: exact steps of tau-leaping with the current rates."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...integrators.base import Integrator
from ...integrators.rates import Transport, evaluate
from ...integrators.tau_leap import TauLeap
from ...kernels import tau_leap_step
from ...paths.base import Path
from ..config import TrainingConfig
from .draws import Draws

__all__ = ["Trajectories", "leap_of", "leap_trajectories", "segments"]


@dataclass(frozen=True)
class Trajectories:
    """Walkers on segments of the annealing path.

    Attributes:
        configurations: ``(times, steps + 1, walkers, *shape)``.
        t: times of their points, increasing, float64 ``(times, steps + 1)``.
    """

    configurations: Tensor
    t: Tensor


def leap_of(integrator: Integrator) -> TauLeap:
    """Return the tau-leaping to train with: the sampler's own, if its weights are exact."""
    if isinstance(integrator, TauLeap) and integrator.exact:
        return integrator
    return TauLeap()


def segments(config: TrainingConfig, t: Tensor) -> Tensor:
    """Return the times of a segment's points, float64 ``(times, segment + 1)``.

    Args:
        config: gives the number of steps from 0 to 1, and of those of a segment.
        t: where the segments begin, float64 ``(times,)``.
    """
    steps = torch.arange(config.segment + 1, device=t.device)
    return t.unsqueeze(1) + steps / config.leaps


@torch.no_grad()
def leap_trajectories(
    path: Path,
    transport: Transport,
    configurations: Tensor,
    grid: Tensor,
    leap: TauLeap,
    draws: Draws,
    first: int = 0,
) -> Trajectories:
    """Return where the current rates take walkers.

    Args:
        path: the annealing path.
        transport: gives the rates.
        configurations: where the walkers begin, ``(times, walkers, *shape)``.
        grid: float64 ``(times, steps + 1)``.
        leap: gives the reversible rates that are added.
        draws: of the training step.
        first: number of the first walker in its batch, of which these may be a part.
    """
    times, walkers = configurations.shape[:2]
    last = first + times * walkers
    walker_index = torch.arange(first, last, device=configurations.device)
    steps = grid.shape[1] - 1
    x = configurations.flatten(0, 1)
    points = [configurations]
    for count in range(steps):
        here = grid[:, count].repeat_interleave(walkers)
        there = grid[:, count + 1].repeat_interleave(walkers)
        rates = evaluate(path, transport, x, here, leap.reversible, leap.floor).rates
        # Every step of every batch is an event of its own, so no random number comes twice.
        event = torch.full_like(walker_index, draws.step * steps + count)
        made = tau_leap_step(x, rates, there - here, walker_index, event, draws.seed)
        x = made.configurations
        points.append(x.view_as(configurations))
    # Points of a trajectory are the second axis, before the walkers.
    return Trajectories(torch.stack(points, dim=1), grid)
