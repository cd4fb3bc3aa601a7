"""The move that makes samples of real fields for training."""

from functools import lru_cache
from typing import Any

from ...mcmc.fields import HMC

__all__ = ["TRAJECTORIES", "field_move"]

TRAJECTORIES = 3
"""Trajectories per 1/64 of the path; κ on held-out samples tells if they are too few."""

_LEAPFROGS = 3


@lru_cache(maxsize=8)
def field_move(model: Any, sweeps: int = 1) -> HMC:
    """Return hybrid Monte Carlo with masses by mode, settled for a model; always the same.

    It is kept, since a buffer and held-out samples of one training take the same.

    Args:
        model: the target.
        sweeps: trajectories per step.

    Raises:
        ValueError: If the model has no force, or no fields on a periodic lattice.
    """
    move: HMC = HMC(leapfrogs=_LEAPFROGS, sweeps=sweeps).settled(model)
    return move
