"""Exchanges of neighbouring replicas, with the probability that leaves both laws invariant."""

import torch
from torch import Tensor

from ... import kernels
from ...kernels import Stream
from ...paths.annealing import AnnealingPath
from .states import TemperingState

__all__ = ["exchanged"]


def exchanged(
    path: AnnealingPath, excess: Tensor, times: Tensor, state: TemperingState, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return which replica comes to each time, and what was exchanged.

    Args:
        path: the annealing path.
        excess: the path's of all replicas, ``H`` unless its start has an energy, time after
            time, walker after walker.
        times: their times, float64 ``(K, walkers)``.
        state: walkers before the step.
        seed: in [0, 2³²).

    Returns:
        ``(walkers, K)``; which exchanges were tried; which were made.
    """
    count = len(times)
    device = excess.device
    place = torch.arange(count, device=device)
    lower = place[:-1]
    # Even and odd neighbours in turn.
    tried = lower % 2 == state.exchanges % 2
    first = lower[tried]
    partner = place.clone()
    partner[first] = first + 1
    partner[first + 1] = first
    # log of what each replica would gain at its partner's time.
    increment = path.increment_of(excess, times.flatten(), times[partner].flatten())
    increment = increment.unflatten(0, (count, -1)).T
    # The lower place is the site word, the round of exchanges the event word.
    walkers = state.walkers.unsqueeze(1)
    words = kernels.philox(seed, Stream.EXCHANGE, lower, state.exchanges, 0, walkers, device)
    # The gain of both partners decides.
    log_ratio = increment[:, :-1] + increment[:, 1:]
    # Two words: a number of one is at least 2⁻²⁴, so that rarer exchanges would never be made.
    uniform = kernels.uniform64(words[0], words[1])
    # min(1, e^x) without overflow. Neighbours not tried hold gains with other partners.
    accepted = tried & (uniform < log_ratio.clamp(max=0.0).exp())
    # A replica that goes up makes room for the one above it, which comes down.
    up = torch.nn.functional.pad(accepted, (0, 1)).long()
    # The last place is padded with 0, so that the roll brings nothing round to the first.
    return place + up - up.roll(1, 1), tried, accepted
