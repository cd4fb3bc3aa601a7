"""The twins of ``tau_leap_step``, of ``tau_leap_log_probability`` and of its gradient."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..philox import Stream, philox, uniform64

__all__ = [
    "TauLeapStep", "tau_leap_log_probability", "tau_leap_log_probability_gradient", "tau_leap_step",
]  # fmt: skip


class TauLeapStep(NamedTuple):
    """Holds what :func:`tau_leap_step` returns."""

    configurations: Tensor
    """After the step, ``(walkers, *shape)``."""
    log_probability: Tensor
    """``log F(y|x)`` of the step made, float64 ``(walkers,)``."""


def _leap(configurations: Tensor, after: Tensor, rates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return every site's shift as a one-hot mask, its rates in float64, and their sum ``Λ``.

    The first two are ``(walkers, q-1, sites)``, the last ``(walkers, sites)``.
    """
    rates = rates.flatten(2).double()
    # Modulo q = rates + 1, and never negative as Python's remainder is not.
    shift = (after.flatten(1).long() - configurations.flatten(1)) % (rates.shape[1] + 1)
    made = shift.unsqueeze(1) == torch.arange(1, rates.shape[1] + 1, device=rates.device).unsqueeze(
        1
    )
    return made, rates, rates.cumsum(1)[:, -1]


def tau_leap_log_probability(
    configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor
) -> Tensor:
    """Return ``Σ_i log {e^{-hΛ_i} if y_i = x_i; (1 - e^{-hΛ_i}) λ_k/Λ_i if y_i = x_i + k}``.

    ``Λ_i = Σ_k λ_k(i)``.
    """
    made, rates, total = _leap(configurations, after, rates)
    rate = torch.where(made, rates, 0.0).sum(1)
    hazard = duration.unsqueeze(1) * total
    # expm1 keeps the digits of 1 - e^{-hΛ} where hΛ is small.
    log_move = torch.log(-torch.expm1(-hazard)) + torch.log(rate / total)
    # Without any rate it would be NaN.
    log_move = torch.where(rate == 0.0, -torch.inf, log_move)
    return torch.where(made.any(1), log_move, -hazard).sum(1)


def tau_leap_log_probability_gradient(
    configurations: Tensor,
    after: Tensor,
    rates: Tensor,
    duration: Tensor,
    to_log_probability: Tensor,
) -> Tensor:
    """Return the gradient of ``log F(y|x)`` with respect to ``λ_k(i)``, times the one given.

    It is ``-h`` if the site stays, ``h/(e^{hΛ} - 1) - 1/Λ + [k made]/λ_k`` if it moves.
    """
    made, double, total = _leap(configurations, after, rates)
    h = duration.unsqueeze(1)
    moved = made.any(1)
    common = torch.where(moved, h / torch.expm1(h * total) - 1.0 / total, -h).unsqueeze(1)
    gradient = to_log_probability.view(-1, 1, 1) * (common + torch.where(made, 1.0 / double, 0.0))
    return gradient.to(rates.dtype).view_as(rates)


def tau_leap_step(
    configurations: Tensor,
    rates: Tensor,
    duration: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> TauLeapStep:
    """Move every site at once, ``x_i → x_i + k`` with probability ``(1 - e^{-hΛ_i}) λ_k/Λ_i``.

    The logarithm of the step's probability is that of :func:`tau_leap_log_probability`.
    """
    flat = configurations.flatten(1)
    site = torch.arange(flat.shape[1], device=flat.device)
    words = philox(seed, Stream.LEAP, site, events.unsqueeze(1), 0, walkers.unsqueeze(1))
    # Float64 whatever the rates are: the sums decide which move is made.
    cumulative = rates.flatten(2).double().cumsum(1)
    total = cumulative[:, -1]
    finite = total.isfinite()
    moves = finite & (uniform64(words[0], words[1]) < -torch.expm1(-duration.unsqueeze(1) * total))
    threshold = uniform64(words[2], words[3]) * total
    # The number of sums at or below the threshold is the move: one of rate 0 is never made.
    shift = (cumulative <= threshold.unsqueeze(1)).sum(1) + 1
    moved = ((flat + shift) % (rates.shape[1] + 1)).to(flat.dtype)
    after = torch.where(moves, moved, flat).view_as(configurations)
    log_probability = tau_leap_log_probability(configurations, after, rates, duration)
    return TauLeapStep(after, torch.where(finite.all(1), log_probability, torch.nan))
