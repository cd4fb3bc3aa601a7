"""The twin of ``jump_step``."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..functions.reference import logarithm
from ..philox import Stream, philox, uniform64

__all__ = ["Event", "JumpStep", "jump_step"]


class Event(NamedTuple):
    """Arguments of the op."""

    configurations: Tensor
    log_weights: Tensor
    remaining: Tensor
    rates: Tensor
    corrector: Tensor
    walkers: Tensor
    events: Tensor
    seed: int


class JumpStep(NamedTuple):
    """Holds what :func:`jump_step` returns."""

    configurations: Tensor
    """After the event, ``(walkers, *shape)``."""
    log_weights: Tensor
    """``A`` after the event, float64 ``(walkers,)``."""
    remaining: Tensor
    """Time left in each walker's interval, float64 ``(walkers,)``; 0 at the boundary."""
    move: Tensor
    """The move made, int64 ``(walkers,)``.

    ``(k-1) N + i`` for shift ``k`` of the flattened site ``i``; -1 for none.
    """


def jump_step(given: Event) -> JumpStep:
    """Draw ``T ~ Exp(R)``, ``s = min(T, remaining)``, ``A += s κ``, and a move if there is time.

    The move ``m`` is drawn with probability ``rates_m / R``.
    """
    configurations, log_weights, remaining, rates, corrector, walkers, events, seed = given
    words = philox(seed, Stream.JUMP, 0, events, 0, walkers, configurations.device)
    # Float64 whatever the rates are: the sums decide which move is made.
    cumulative = rates.flatten(1).to(torch.float64).cumsum(1)
    exit_rate = cumulative[:, -1]
    finite = exit_rate.isfinite() & corrector.isfinite()
    # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
    holding = -logarithm(uniform64(words[0], words[1])) / exit_rate
    jumps = (holding < remaining) & finite
    elapsed = torch.where(jumps, holding, remaining)
    threshold = uniform64(words[2], words[3]) * exit_rate
    # The first sum above the threshold, so that a move of rate 0 is never made.
    move = torch.searchsorted(cumulative, threshold.unsqueeze(1), right=True).squeeze(1)
    # Rounding may leave no sum above the threshold: then it is the last move with a rate.
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous()).squeeze(1)
    move = torch.where(jumps, torch.minimum(move, last), -1)

    flat = configurations.flatten(1)
    # Moves are numbered shift by shift, from a shift of 1. A move of -1 names some site, and is
    # undone below.
    site = (move % flat.shape[1]).unsqueeze(1)
    shift = (move // flat.shape[1] + 1).unsqueeze(1)
    state = flat.gather(1, site)
    moved = torch.where(jumps.unsqueeze(1), (state + shift) % (rates.shape[1] + 1), state)
    return JumpStep(
        flat.scatter(1, site, moved.to(flat.dtype)).view_as(configurations),
        log_weights
        + torch.where(finite, elapsed * corrector, torch.nan).where(remaining != 0, 0.0),
        torch.where(finite, remaining - elapsed, remaining),
        move,
    )
