"""Where walkers of a learning start: exactly at the first parameters, or weighed for them."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import exact
from ...integrators.flows.map_step import MapStep
from ...integrators.jump import Jump
from ...mcmc.base import BaseMove, Move, as_move
from ...mcmc.compose import default_move
from ...mcmc.sweeps import HeatBath
from ...models.base import Target
from ...models.pair import PairModel, is_pair_model
from ...paths.annealing import AnnealingPath
from ...paths.starts import Independent
from ...samplers.ensemble import WeightedEnsemble
from ...samplers.sampler import Sampler

__all__ = [
    "Started",
    "annealed",
    "as_learning_move",
    "independent_sites",
    "started",
]


INTERVALS = 100
"""Of the annealing to first parameters that cannot be drawn from exactly."""


class Started(NamedTuple):
    """Walkers at the first parameters."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    log_weights: Tensor
    """``A``, float64 ``(walkers,)``, zero where they were drawn exactly"""
    log_z_start: float
    """``log Z_0``, such that ``log Z = log Z_0 + log E[e^A]``"""


def as_learning_move(mcmc: Move | None, model: Any) -> BaseMove:
    """Return the move of walkers that are learned from.

    Args:
        mcmc: as a user gave it; None for :class:`~leaps_triton.HeatBath`, or for what
            :func:`~leaps_triton.default_move` has for real fields.
        model: at the first parameters.

    Raises:
        ValueError: no move of the model, or one that cannot act on weighted walkers.
    """
    real = model.dtype.is_floating_point
    if mcmc is None and real:
        mcmc = default_move(model)
    if mcmc is None:
        mcmc = HeatBath()
    move = as_move("mcmc", mcmc)
    if move.unweighted:
        raise ValueError(f"mcmc must be a move that can act on weighted walkers: {move.unweighted}")
    move.check_model(model)
    if real:
        # Steps of trajectories are found once, at the first parameters.
        move = as_move("mcmc", move.settled(model))
    return move


def independent_sites(model: Any) -> bool:
    """Return whether the sites of a model are independent: one of pairs without couplings."""
    return is_pair_model(model) and not bool(model.coupling.any())


def started(model: Target, walkers: int, move: BaseMove, seed: int) -> Started:
    """Return walkers of the law ``∝ exp(-β H)`` of a model.

    Sites without couplings are drawn one by one, other models by :func:`~leaps_triton.exact.sample`
    where it has a route, else by annealed importance sampling, whose weights the walkers keep.

    Args:
        model: at the first parameters.
        walkers: their number; the first ones do not depend on it.
        move: of the annealing, where there is one.
        seed: in [0, 2³²).
    """
    if is_pair_model(model) and independent_sites(model):
        return _of_independent_sites(model, walkers, seed)
    try:
        log_z = exact.log_z(model)
        configurations = exact.sample(model, walkers, seed)
    except ValueError:
        found = annealed(model, walkers, move, seed)
        return Started(found.configurations, found.log_weights, found.log_z_start)
    return Started(configurations, torch.zeros(walkers, dtype=torch.float64), log_z)


def _site_terms(model: PairModel) -> Tensor:
    """Return ``β h`` of every site, float64 ``(q, *shape)``."""
    return model.beta * model.site_table.expand(model.q, *model.shape)


def _of_independent_sites(model: PairModel, walkers: int, seed: int) -> Started:
    """Return walkers of a model without couplings."""
    terms = _site_terms(model)
    log_z = float(torch.logsumexp(terms, dim=0).sum())
    start = Independent(torch.softmax(terms, dim=0)).on(model)
    configurations = start.sample(torch.arange(walkers), seed)
    return Started(configurations, torch.zeros(walkers, dtype=torch.float64), log_z)


def annealed(
    model: Any, walkers: int, move: BaseMove, seed: int, intervals: int = INTERVALS
) -> WeightedEnsemble:
    """Return walkers that were annealed to a model, with their weights.

    Args:
        model: at the parameters at hand.
        walkers: their number.
        move: made in every interval; a model of pairs takes sweeps, which alone follow fields.
        seed: in [0, 2³²).
        intervals: of the annealing.
    """
    start = None
    if is_pair_model(model):
        # Couplings are switched on in the fields that the model has.
        start = Independent(torch.softmax(_site_terms(model), dim=0))
        if not move.follows_fields:
            move = HeatBath()
    path = AnnealingPath(model, start=start)
    integrator: Any = Jump(intervals=intervals)
    if path.model.dtype.is_floating_point:
        integrator = MapStep(intervals=intervals)
    sampler = Sampler(path, None, integrator, mcmc=move, block=walkers, device="cpu")
    return sampler.sample(walkers, seed)
