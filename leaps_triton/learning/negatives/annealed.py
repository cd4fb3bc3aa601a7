"""Walkers annealed anew at every step, by importance sampling or by a learned transport."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...estimators.weights import normalised
from ...kernels.checks import as_integer, expect
from ...mcmc.base import Move, as_move
from ...samplers.sampler import Sampler
from .base import Family, Negative
from .seeds import Purpose, derived_seed
from .starts import INTERVALS, annealed, as_learning_move

__all__ = ["Annealed"]


class Drawn(NamedTuple):
    """Weighted walkers of the parameters at hand."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    log_weights: Tensor
    """``A``, float64 ``(walkers,)``"""
    seed: int
    """From which that of each step is derived"""
    updates: int
    """Updates of the parameters so far"""


@dataclass(frozen=True)
class Annealed(Negative):
    """Takes walkers that are annealed to the model anew at every step, with their weights.

    They remember nothing of earlier steps, so that there is nothing that they could have missed
    since; a step costs as much as a run of the sampler.

    Args:
        walkers: their number.
        intervals: of annealed importance sampling, one step of the move each.
        mcmc: move of the annealing; None for a sweep of :class:`~leaps_triton.HeatBath`, or for
            real fields what :func:`~leaps_triton.default_move` has.
        sampler: what makes a sampler of the model at hand, such as one with a learned transport or
            with resampling; None for annealed importance sampling.

    Raises:
        ValueError: fewer than one walker or interval; no move.

    Example:
        >>> from leaps_triton.learning import Annealed
        >>> Annealed(walkers=200, intervals=20).intervals
        20
    """

    walkers: int = 1000
    intervals: int = INTERVALS
    mcmc: Move | None = None
    sampler: Callable[[Any], Sampler] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "walkers", as_integer("walkers", self.walkers, 1, 2**30))
        object.__setattr__(self, "intervals", as_integer("intervals", self.intervals, 1))
        if self.mcmc is not None:
            as_move("mcmc", self.mcmc)
        made = self.sampler is None or callable(self.sampler)
        expect(made, "sampler", "a function from a model to a Sampler", self.sampler)

    def settled(self, family: Family, theta: Tensor) -> "Annealed":
        """Return the same with its move."""
        return replace(self, mcmc=as_learning_move(self.mcmc, family.at(theta)).own)

    def begin(self, family: Family, theta: Tensor, data: Tensor, seed: int) -> Drawn:
        """Return walkers annealed to the first parameters; the data are not looked at."""
        return self._drawn(family, theta, derived_seed(seed, Purpose.WALKERS), 0)

    def step(self, family: Family, before: Tensor, after: Tensor, state: Drawn) -> Drawn:
        """Return walkers annealed to the new parameters."""
        return self._drawn(family, after, state.seed, state.updates + 1)

    def moments(self, family: Family, theta: Tensor, state: Drawn) -> Tensor:
        """Return the weighted means of the walkers, float64 ``(parameters,)``."""
        shares = normalised(state.log_weights)
        found: Tensor = family.moments(state.configurations, theta, shares)
        return found

    def _drawn(self, family: Family, theta: Tensor, seed: int, updates: int) -> Drawn:
        """Return walkers annealed to parameters, with random numbers of their own."""
        model = family.at(theta)
        own = derived_seed(seed, Purpose.STEP, updates)
        if self.sampler is None:
            move = as_move("mcmc", self.mcmc)
            found = annealed(model, self.walkers, move, own, self.intervals)
        else:
            found = self.sampler(model).sample(self.walkers, own)
        with torch.no_grad():
            return Drawn(found.configurations, found.log_weights, seed, updates)
