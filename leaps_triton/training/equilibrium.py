"""Samples of ``ρ_t`` along a path."""

import torch
from torch import Tensor

from ..mcmc.base import SweepState
from ..mcmc.clusters import SwendsenWang
from ..models.base import SweepPlan
from ..paths.annealing import AnnealingPath
from .data.buffer import Batch

__all__ = ["equilibrate"]


def equilibrate(
    path: AnnealingPath, t: Tensor, walkers: int, refresh: str, seed: int, progress: bool = False
) -> Batch:
    """Return samples of ``ρ_t`` at increasing times (stand-in)."""
    index = torch.arange(walkers)
    x = path.start.sample(index, seed)
    made = []
    sweep = 0
    for time in t:
        here = time.view(1)
        for _ in range(8):
            if refresh == "swendsen_wang":
                x = SwendsenWang().step(SweepState(x, index, sweep), path, here, seed)[0][0]
            else:
                x = path.refresh(x, here, SweepPlan(index, sweep, 1, seed))
            sweep += 1
        made.append(x)
    return Batch(torch.stack(made), t)
