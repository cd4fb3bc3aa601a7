"""Learning with Jarzynski's weights, and witnesses that tell an unbiased log Z of what was learned.

Two kinds of walkers follow the same parameters. *Learners* give the gradient: weighted means under
the model, whatever modes their move does not join. But the next parameters are computed from them,
so that ``E[e^A]`` of theirs is no ratio of partition functions: their log Z is too low, by about
``(1/W) Σ_k η_k tr Cov(φ)``, and their effective sample size does not see it. *Witnesses* enter no
gradient. To them the parameters are given from outside, and their weights are exact.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import as_integer, as_number
from ...mcmc.base import Move, as_move
from ...samplers.ensemble import WeightedEnsemble
from .base import Family, Negative
from .seeds import Purpose, derived_seed
from .starts import Started, as_learning_move, started
from .weighed import Handling, WeighedWalkers, carried, is_fraction, shares

__all__ = ["BLOCKS", "Jarzynski", "JarzynskiState", "block_of", "ensemble_of"]


BLOCKS = 20
"""Blocks of witnesses that are resampled each among themselves, unless told otherwise."""


class JarzynskiState(NamedTuple):
    """Walkers of :class:`Jarzynski` between two updates."""

    learners: WeighedWalkers
    """Those of the gradient; their weights tell no log Z"""
    witnesses: WeighedWalkers | None
    """Those that enter no gradient"""
    log_z_start: float
    """``log Z_0`` at the first parameters"""
    seed: int
    """Of their random numbers"""


@dataclass(frozen=True)
class Jarzynski(Negative):
    """Takes means under the model from walkers that are weighed at every update.

    Walkers start exactly at the first parameters. At each update ``θ → θ'`` their weights gain
    ``e^{u_θ(x) - u_θ'(x)}``, then they are moved at the new parameters. So modes that the move does
    not join keep their probabilities, where persistent walkers without weights lose them.

    Args:
        walkers: learners, whose weighted means are the gradient.
        witnesses: walkers that enter no gradient, and whose log Z is exact; 0 for none.
        mcmc: a move that can act on weighted walkers; None for a sweep of
            :class:`~leaps_triton.HeatBath`, or for real fields what
            :func:`~leaps_triton.default_move` has.
        resample_below: ESS, as a fraction, below which all learners, or the witnesses of a block,
            are drawn anew by their weights; 0 for never.
        block: witnesses that are resampled among themselves, the unit of their errors; None for a
            twentieth of them.

    Raises:
        ValueError: an argument is out of range.

    References:
        Carbone, Hua, Coste, Vanden-Eijnden, *Efficient training of energy-based models using
        Jarzynski equality*, arXiv:2305.19414 (2023).
    """

    walkers: int = 1000
    witnesses: int = 0
    mcmc: Move | None = None
    resample_below: float = 0.5
    block: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "walkers", as_integer("walkers", self.walkers, 1, 2**30))
        witnesses = as_integer("witnesses", self.witnesses, 0, 2**30)
        object.__setattr__(self, "witnesses", witnesses)
        if self.mcmc is not None:
            as_move("mcmc", self.mcmc)
        wanted = "a fraction of the walkers in [0, 1]"
        threshold = as_number("resample_below", self.resample_below, wanted, is_fraction)
        object.__setattr__(self, "resample_below", threshold)
        if self.block is not None:
            object.__setattr__(self, "block", as_integer("block", self.block, 1))

    def settled(self, family: Family, theta: Tensor) -> "Jarzynski":
        """Return the same with its move and its block."""
        move = as_learning_move(self.mcmc, family.at(theta))
        return replace(self, mcmc=move.own, block=block_of(self.witnesses, self.block))

    def begin(self, family: Family, theta: Tensor, data: Tensor, seed: int) -> JarzynskiState:
        """Return learners and witnesses of the first parameters; the data are not looked at."""
        move = as_move("mcmc", self.mcmc)
        count = self.walkers + self.witnesses
        first = started(family.at(theta), count, move, derived_seed(seed, Purpose.START))
        learners = _some(first, 0, self.walkers)
        witnesses = None
        if self.witnesses:
            witnesses = _some(first, self.walkers, count)
        walked = derived_seed(seed, Purpose.WALKERS)
        return JarzynskiState(learners, witnesses, first.log_z_start, walked)

    def step(
        self, family: Family, before: Tensor, after: Tensor, state: JarzynskiState
    ) -> JarzynskiState:
        """Return the walkers weighed for, and moved at, the new parameters."""
        move = as_move("mcmc", self.mcmc)
        # Learners are relatives anyway, by the parameters that they share.
        handling = Handling(move, state.seed, self.resample_below, self.walkers)
        learners = carried(family, state.learners, before, after, handling)
        witnesses = state.witnesses
        if witnesses is not None:
            blocks = handling._replace(block=block_of(self.witnesses, self.block))
            witnesses = carried(family, witnesses, before, after, blocks)
        return state._replace(learners=learners, witnesses=witnesses)

    def moments(self, family: Family, theta: Tensor, state: JarzynskiState) -> Tensor:
        """Return the weighted means of the learners, float64 ``(parameters,)``."""
        learners = state.learners
        return family.moments(learners.configurations, theta, shares(learners))

    def witnessed(
        self, family: Family, theta: Tensor, state: JarzynskiState
    ) -> WeightedEnsemble | None:
        """Return what the witnesses say of the model at ``theta``; None without any.

        Args:
            family: whose parameters they are.
            theta: float64 ``(parameters,)``.
            state: at ``theta``.
        """
        if state.witnesses is None:
            return None
        block = block_of(self.witnesses, self.block)
        model = family.at(theta)
        return ensemble_of(model, state.witnesses, state.log_z_start, state.seed, block)


def _some(first: Started, begin: int, end: int) -> WeighedWalkers:
    """Return some of the walkers that were started together."""
    own = slice(begin, end)
    return WeighedWalkers.begin(first.configurations[own], first.log_weights[own], begin)


def block_of(walkers: int, block: int | None) -> int:
    """Return how many walkers are resampled among themselves.

    Args:
        walkers: all of them.
        block: as a user gave it; None for a twentieth.
    """
    if block is not None:
        return block
    return max(1, math.ceil(walkers / BLOCKS))


def ensemble_of(
    model: Any, walkers: WeighedWalkers, log_z_start: float, seed: int, block: int
) -> WeightedEnsemble:
    """Return what weighted walkers say of the model that they have come to.

    Args:
        model: at the last parameters.
        walkers: none of which the parameters depend on.
        log_z_start: ``log Z_0``.
        seed: of their random numbers.
        block: walkers that were resampled among themselves.
    """
    updates = walkers.updates
    times = torch.arange(1, updates + 1, dtype=torch.float64) / max(1, updates)
    return WeightedEnsemble(
        model,
        walkers.configurations,
        walkers.log_weights,
        log_z_start,
        times,
        walkers.ess_trace,
        walkers.resampled,
        float(walkers.sweep),
        seed,
        block,
    )
