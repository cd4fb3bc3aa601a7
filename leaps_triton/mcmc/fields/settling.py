"""Step and masses of a target, found in a burn-in with a fixed seed.

The burn-in follows the path from a free field to the target, or from independent normal numbers
where the target is no φ⁴ model. At the target it takes masses from ``⟨|φ_k|²⟩`` in three
rounds, each longer than the one before, and then the step at which trajectories are accepted as
often as was asked for.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import kernels
from ...kernels import Stream
from ...models.densities.base import DensityModel
from ...models.fields import is_phi_four
from ...paths.annealing import AnnealingPath
from ...paths.free_field import FreeField
from ...paths.gaussian import broad
from ..base import SweepState
from .masses import masses_of, squares
from .sweeping import Rule, sweep_fields

__all__ = ["SEED", "path_to", "settle"]

SEED = 2**32 - 1509
"""Of the burn-in, so that a move that is settled twice is the same."""

SITES = 2**14
"""Sites of all walkers together, about."""
LEAST = 16
MOST = 64
"""Walkers of the burn-in."""

ANNEALED = 60
"""Sweeps on the way to the target."""
ROUNDS = (40, 80, 160)
"""Sweeps from which masses are found."""
TUNED = 120
"""Sweeps in which the step is found, the second half of which it is the mean of."""

QUARTER = math.pi / (2.0 * math.sqrt(2.0))
"""Length of a trajectory that takes a Gaussian mode to where it is independent.

Its mass is ``1 / (2 Var)``, so that it swings as ``cos √2 τ``; longer trajectories would return.
"""


class White(NamedTuple):
    """Independent normal numbers, a start where nothing better is known."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    log_z: float

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return configurations ``(walkers, *shape)``."""
        sites = math.prod(self.shape)
        numbers = kernels.normals(seed, Stream.START, 0, 0, walker_index, sites, self.dtype)
        return numbers.view(-1, *self.shape)


class BurnIn:
    """Walkers on their way to the target, and the step that adapts to them.

    Args:
        model: the target, completed.
        leapfrogs: of a trajectory.
        acceptance: mean probability that is asked for.
        masses: to begin with; None for 1.
        step: if it is given it stays.
    """

    def __init__(
        self,
        model: Any,
        leapfrogs: int,
        acceptance: float,
        masses: tuple[float, ...] | None,
        step: float | None,
    ) -> None:
        self.path = path_to(model)
        walkers = min(MOST, max(LEAST, SITES // math.prod(model.shape)))
        index = torch.arange(walkers)
        self.state = SweepState(self.path.start.sample(index, SEED), index, 0)
        self.leapfrogs = leapfrogs
        self.acceptance = acceptance
        self.masses = masses
        self.fixed = step is not None
        self.step = step or self.longest / 2.0

    @property
    def longest(self) -> float:
        """Return the step of a trajectory of a quarter of a period."""
        return QUARTER / self.leapfrogs

    def sweep(self, t: float, gain: float) -> None:
        """Make a sweep at time ``t``, and take the step nearer to what was asked for."""
        rule = Rule(self.leapfrogs, self.step, self.masses)
        made = sweep_fields(rule, self.state, self.path, t, SEED)
        before = self.state
        self.state = SweepState(made.configurations, before.walkers, before.sweep + 1)
        if self.fixed:
            return
        # Robbins and Monro, in the logarithm, whatever the scale of the step is.
        missed = float(made.acceptance.mean()) - self.acceptance
        self.step = self.step * math.exp(gain * missed)
        # Masses of 1 say nothing of periods.
        if self.masses is not None:
            self.step = min(self.step, self.longest)

    def find_masses(self) -> None:
        """Take masses from ``⟨|φ_k|²⟩`` at the target."""
        for sweeps in ROUNDS:
            total = torch.zeros(())
            for _ in range(sweeps):
                self.sweep(1.0, 0.3)
                total = total + squares(self.state.configurations)
            self.masses = masses_of(total / sweeps)

    def find_step(self) -> float:
        """Return the step at the target, to three digits."""
        logs = []
        for number in range(TUNED):
            self.sweep(1.0, 3.0 / (10.0 + number))
            logs.append(math.log(self.step))
        kept = logs[TUNED // 2 :]
        return float(f"{math.exp(sum(kept) / len(kept)):.3g}")


def settle(
    model: Any,
    leapfrogs: int,
    fourier: bool,
    acceptance: float,
    step: float | None,
    masses: tuple[float, ...] | None,
) -> tuple[float, tuple[float, ...] | None]:
    """Return the step and the masses of a target; what is given stays.

    Args:
        model: the target, completed.
        leapfrogs: of a trajectory.
        fourier: whether modes have masses of their own.
        acceptance: mean probability to accept a trajectory.
        step: length of a leapfrog; None to find it.
        masses: one for each orbit of modes; None to find them, where they are asked for.
    """
    found = masses
    if fourier and masses is None:
        found = masses_of(squares(path_to(model).start.sample(torch.arange(LEAST), SEED)))
    burn_in = BurnIn(model, leapfrogs, acceptance, found, step)
    for number in range(1, ANNEALED + 1):
        burn_in.sweep(number / ANNEALED, 0.5)
    if fourier and masses is None:
        burn_in.find_masses()
    if step is None:
        step = burn_in.find_step()
    return step, burn_in.masses


def path_to(model: Any) -> AnnealingPath:
    """Return a path to a model of real fields, as burn-ins take it."""
    if is_phi_four(model):
        return AnnealingPath(model, FreeField())
    if isinstance(model, DensityModel):
        return AnnealingPath(model, broad(model))
    return AnnealingPath(model, White(tuple(model.shape), model.dtype, math.nan))
