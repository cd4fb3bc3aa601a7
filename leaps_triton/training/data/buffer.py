"""Configurations to train on: a replay buffer filled by rollouts and refreshed by sweeps."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...integrators.base import Integrator
from ...integrators.states import State
from ...integrators.transport import Transport
from ...mcmc.base import BaseMove, SweepInfo, SweepState, changed
from ...models.base import SweepPlan
from ...paths.base import Path
from ...samplers.sampler import Sampler
from ..config import TrainingConfig
from ..residuals import Physics
from .draws import Draws, Use
from .times import TimeDensity, training_times

__all__ = ["Batch", "Buffer", "Refresh", "ReplayBuffer", "drawn_rows"]

# Sweeps of the first rollout, which no transport helps, in units of the configuration's.
_FIRST_SWEEPS = 5


@dataclass(frozen=True)
class Batch:
    """Configurations to train on, and their times.

    Attributes:
        configurations: ``(times, walkers, *shape)``.
        t: float64 ``(times,)``, increasing.
        members: which model of a family each time is of, int64 ``(times,)``; None for one model.
        weights: share of each configuration in the mean at its time, float64 ``(times, walkers)``;
            None for equal ones.
        physics: what a residual takes of the path, ``(times, walkers, …)``, where it is known
            beforehand; else None.
    """

    configurations: Tensor
    t: Tensor
    members: Tensor | None = None
    weights: Tensor | None = None
    physics: Physics | None = None


class Buffer(Protocol):
    """What training takes its configurations from.

    Attributes:
        configurations: ``(intervals or bins, rows, *shape)``, all that it goes on from.
    """

    configurations: Tensor

    def prepare(self, transport: Transport, draws: Draws) -> None:
        """Do what is due before a step: fill all before the first, renew a part at others.

        Args:
            transport: what is being trained.
            draws: of the step.
        """
        ...

    def batch(self, draws: Draws, latest: float, density: TimeDensity | None) -> Batch:
        """Return configurations at stratified times up to ``latest``, refreshed and kept so."""
        ...


def drawn_rows(config: TrainingConfig, draws: Draws) -> Tensor:
    """Return which rows of a buffer a step takes, int64 ``(times, walkers)``."""
    word = draws.words(Use.ROWS, config.times * config.walkers)[0]
    # floor(rows · word / 2³²): every row with the same probability.
    return (word * config.buffer >> 32).view(config.times, config.walkers)


@dataclass(frozen=True)
class Refresh(BaseMove):
    """Moves walkers by what the path itself refreshes configurations with.

    Args:
        sweeps: sweeps per step.
    """

    sweeps: int

    def step(
        self, state: SweepState, path: Path, t: Tensor | float, seed: int
    ) -> tuple[SweepState, SweepInfo]:
        """Return chains after ``sweeps`` sweeps at time ``t`` of the path."""
        before = state.configurations
        plan = SweepPlan(state.walkers, state.sweep, self.sweeps, seed)
        after = path.refresh(before, t, plan)
        moved = SweepState(after, state.walkers, state.sweep + self.sweeps)
        return moved, SweepInfo(changed(before, after))


class ReplayBuffer:
    """Keeps configurations for each interval of a sampler's integrator.

    Rollouts of the current transport fill it, the first by sweeps alone. Each use sweeps what it
    takes, and puts it back.

    Attributes:
        configurations: ``(intervals, rows, *shape)``.
    """

    def __init__(self, sampler: Sampler, config: TrainingConfig) -> None:
        model = sampler.path.model
        self._path = sampler.path
        self._integrator: Integrator = sampler.integrator
        self._config = config
        # The first rollout fills all of it before any use.
        self.configurations = torch.zeros(
            sampler.integrator.intervals,
            config.buffer,
            *model.shape,
            dtype=model.dtype,
            device=sampler.device,
        )

    @property
    def device(self) -> torch.device:
        """Where the configurations are."""
        return self.configurations.device

    def prepare(self, transport: Transport, draws: Draws) -> None:
        """Roll out where that is due."""
        if draws.step % self._config.rollout_every == 0:
            self.roll_out(transport, draws)

    @torch.no_grad()
    def roll_out(self, transport: Transport, draws: Draws) -> None:
        """Replace a part by walkers of ``transport``, or all by sweeps alone before any training.

        Args:
            transport: what is being trained.
            draws: of the step.
        """
        config = self._config
        if draws.step == 0:
            count = config.buffer
            sampler = self._sampler(None, config.sweeps * _FIRST_SWEEPS)
        else:
            count = config.rollout
            sampler = self._sampler(transport, config.sweeps)
        rollouts = draws.step // config.rollout_every
        first = rollouts * config.rollout
        # Rollouts take turns over the rows, so that the oldest are replaced first.
        rows = (torch.arange(count, device=self.device) + first) % config.buffer

        def keep(state: State, entered: Tensor) -> None:
            interval = int(state.interval[0])
            # Walkers at the end of the path are in no interval.
            if interval < len(self.configurations):
                self.configurations[interval, rows] = state.configurations

        sampler.run_block(torch.arange(count), draws.own_seed(Use.ROLLOUT_SEED), keep)

    def _sampler(self, transport: Transport | None, sweeps: int) -> Sampler:
        return Sampler(
            self._path,
            transport,
            integrator=self._integrator,
            mcmc=Refresh(sweeps),
            device=self.device,
        )

    def batch(self, draws: Draws, latest: float = 1.0, density: TimeDensity | None = None) -> Batch:
        """Return configurations at stratified times, after sweeps that the buffer keeps."""
        config = self._config
        t = training_times(config, draws, latest, density)
        # With inner boundaries alone the result is an interval, from 0 on.
        interval = torch.bucketize(t, self._integrator.times[1:-1])
        rows = drawn_rows(config, draws)
        where = (interval.unsqueeze(1).to(self.device), rows.to(self.device))
        taken = self.configurations[where].flatten(0, 1)
        walker_index = torch.arange(rows.numel(), device=self.device)
        # Sweeps are counted over all of training, so that no random number comes twice.
        first_sweep = draws.step * config.sweeps
        plan = SweepPlan(walker_index, first_sweep, config.sweeps, config.seed)
        per_walker = t.repeat_interleave(config.walkers)
        swept = self._path.refresh(taken, per_walker, plan)
        swept = swept.unflatten(0, (config.times, config.walkers))
        # Where a row was drawn twice, either of its successors may stay.
        self.configurations[where] = swept
        return Batch(swept, t.to(self.device))
