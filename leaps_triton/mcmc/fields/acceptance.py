"""How often trajectories of a chain are accepted, measured where the chain has come to."""

from typing import Any

import torch
from torch import Tensor

from ..base import BaseMove, Move, SweepState, as_move
from .settling import path_to

__all__ = ["LEAST_ACCEPTANCE", "acceptance_of", "accepted_at"]

LEAST_ACCEPTANCE = 0.2
"""Acceptance below which chains are warned of."""

WALKERS = 256
"""Walkers that are looked at, at most."""

LEAST = 4
"""Steps of each."""
PROPOSALS = 1024
"""Of all walkers together, about: the mean of as many is known to 0.01."""


@torch.no_grad()
def acceptance_of(move: BaseMove, model: Any, state: Any, seed: int) -> float:
    """Return the mean probability to accept in the steps that a chain would make next.

    Nothing of the chain changes, and the same steps are made again where it goes on.

    Args:
        move: of the chain, settled, which tells; of replicas, what moves each.
        model: the target.
        state: of the chain after its last draw.
        seed: of the chain.
    """
    rows = slice(0, WALKERS)
    here = SweepState(state.configurations[rows], state.walkers[rows], state.sweep)
    path = path_to(model)
    means = []
    for _ in range(max(LEAST, PROPOSALS // len(here.walkers))):
        # At the end of the path, where every chain stays.
        here, info = move.step(here, path, 1.0, seed)
        means.append(move.accepted(info).mean())
    return float(torch.stack(means).mean())


def accepted_at(move: Move | None, model: Any, configurations: Tensor, seed: int) -> float | None:
    """Return the mean probability to accept in trajectories that begin at configurations.

    Args:
        move: settled; None for none.
        model: the target.
        configurations: where they begin, ``(walkers, *shape)``.
        seed: in [0, 2³²).

    Returns:
        The probability; None without a move, and for moves that do not tell, such as sweeps.
    """
    if move is None:
        return None
    each = as_move("move", move)
    if not each.tells_acceptance:
        return None
    walkers = torch.arange(len(configurations), device=configurations.device)
    return acceptance_of(each, model, SweepState(configurations, walkers, 0), seed)
