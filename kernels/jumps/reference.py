"""The twin of ``jump_step``."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..functions.reference import exponential64, logarithm, mean_exponential64
from ..philox import Stream, philox, uniform64

__all__ = ["Event", "JumpStep", "Running", "growth", "hold_correction", "jump_step"]


class Running(NamedTuple):
    """What a running density adds to the hold of :func:`jump_step`.

    The density is ``ρ_β`` with ``β`` linear in time within an interval; rates are frozen at
    ``β*``.
    """

    in_rates: Tensor
    """``w``, out-rates of the process reversed in ``ρ_{β*}``, ``(walkers, q-1, *shape)``."""
    slopes: Tensor
    """``d = Δ`` per unit of ``β``, ``-δH`` of each move, as ``in_rates``."""
    speed: Tensor
    """``β'``, change of ``β`` per unit of time, float64 ``(walkers,)``."""
    offset: Tensor
    """``β - β*`` at the end of the interval, float64 ``(walkers,)``."""


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
    running: Running | None = None


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


def growth(exponent: Tensor, change: Tensor, elapsed: Tensor) -> Tensor:
    """Return ``I = ∫_0^s exp(E + c u / s) du``, float64: ``s e^{max(E, E + c)} φ₁(-|c|)``.

    The larger end is taken out of the integral, so that ``φ₁`` lies between 0 and 1.

    Args:
        exponent: ``E``, that at the beginning.
        change: ``c``, by how much it changes.
        elapsed: ``s``.
    """
    greatest = exponent + change.clamp(min=0.0)
    return elapsed * exponential64(greatest) * mean_exponential64(-change.abs())


def hold_correction(running: Running, remaining: Tensor, elapsed: Tensor) -> Tensor:
    """Return what a running density takes off the log-weight of a hold.

    It is ``Σ_m w_m (I_m - s)`` with ``I_m = ∫_0^s exp(d_m (offset - speed (remaining - u))) du``,
    float64 ``(walkers,)``. Moves whose ``w_m`` is 0 add nothing, even where the rest overflows.
    """
    weights = running.in_rates.flatten(1).to(torch.float64)
    slopes = running.slopes.flatten(1).to(torch.float64)
    # β - β* at the beginning of the hold, and its change until the end.
    begin = (running.offset - running.speed * remaining).unsqueeze(1)
    change = (running.speed * elapsed).unsqueeze(1)
    duration = elapsed.unsqueeze(1)
    excess = growth(begin * slopes, change * slopes, duration) - duration
    # One move after the other: the order of CPU kernels too.
    terms = torch.where(weights == 0.0, 0.0, weights * excess)
    return terms.cumsum(1)[:, -1]


def jump_step(given: Event) -> JumpStep:
    """Draw ``T ~ Exp(R)``, ``s = min(T, remaining)``, ``A += s κ``, and a move if there is time.

    The move ``m`` is drawn with probability ``rates_m / R``. With a running density, ``A`` loses
    :func:`hold_correction` as well.
    """
    configurations, log_weights, remaining, rates, corrector, walkers, events, seed, running = given
    words = philox(seed, Stream.JUMP, 0, events, 0, walkers, configurations.device)
    # Float64 whatever the rates are: the sums decide which move is made.
    cumulative = rates.flatten(1).to(torch.float64).cumsum(1)
    exit_rate = cumulative[:, -1]
    finite = exit_rate.isfinite() & corrector.isfinite()
    # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
    holding = -logarithm(uniform64(words[0], words[1])) / exit_rate
    jumps = (holding < remaining) & finite
    elapsed = torch.where(jumps, holding, remaining)
    gain = elapsed * corrector
    if running is not None:
        correction = hold_correction(running, remaining, elapsed)
        gain = gain - correction
        finite = finite & correction.isfinite()
        jumps = jumps & finite
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
        log_weights + torch.where(finite, gain, torch.nan).where(remaining != 0, 0.0),
        torch.where(finite, remaining - elapsed, remaining),
        move,
    )
