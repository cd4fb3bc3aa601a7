"""The ops ``tau_leap_step`` and ``tau_leap_log_probability``, and the gradient of the latter."""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import as_seed, check_configurations, check_rates, check_walkers
from ..registration import Launchers, call, put_on_cuda
from . import reference
from .reference import TauLeapStep

__all__ = [
    "tau_leap_log_probability", "tau_leap_log_probability_gradient", "tau_leap_log_probability_op",
    "tau_leap_step",
    "tau_leap_step_op",
]  # fmt: skip


def tau_leap_step(
    configurations: Tensor,
    rates: Tensor,
    duration: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> TauLeapStep:
    """Make one step of tau-leaping for every walker: all sites at once, each at most one move.

    ``F(y|x) = ∏_i {e^{-hΛ_i} if y_i = x_i; (1 - e^{-hΛ_i}) λ_k(i)/Λ_i if y_i = (x_i + k) mod q}``
    with ``Λ_i = Σ_k λ_k(i)``; ``y`` is drawn from it in float64, and ``log F(y|x)`` is that of the
    very numbers it was drawn with. A duration of 0 leaves the walker as it is, with ``log F = 0``.
    A site whose rates are not finite stays as it is and the walker's ``log F`` is NaN, so that the
    caller can report it.

    Args:
        configurations: ``x``, int8 ``(walkers, *shape)``.
        rates: ``λ``, ``(walkers, q-1, *shape)``, ≥ 0.
        duration: ``h``, float64 ``(walkers,)``, ≥ 0.
        walkers: Global index of each walker, int64 ``(walkers,)``.
        events: Event count of each, int64 ``(walkers,)``; each (walker, event) is used once.
        seed: In [0, 2³²).

    Returns:
        TauLeapStep(configurations ``y``, log_probability ``log F(y|x)`` float64 ``(walkers,)``).

    Raises:
        ValueError: If a shape or device does not fit the configurations.

    References:
        Gillespie, *Approximate accelerated stochastic simulation of chemically reacting systems*,
        J. Chem. Phys. 115, 1716 (2001), for leaping over many events.
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).
    """
    check_rates(configurations, rates)
    check_walkers(len(configurations), configurations.device, torch.float64, duration=duration)
    check_walkers(
        len(configurations), configurations.device, torch.int64, walkers=walkers, events=events
    )
    seed = as_seed(seed)
    return TauLeapStep(
        *call(tau_leap_step_op, configurations, rates, duration, walkers, events, seed)
    )


def tau_leap_log_probability(
    configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor
) -> Tensor:
    """Return the log-probability ``log F(y|x)`` that :func:`tau_leap_step` leads from x to y.

    It is minus infinity where a site made a move of rate 0, and can be differentiated with respect
    to the rates, once.

    Args:
        configurations: ``x``, int8 ``(walkers, *shape)``.
        after: ``y``, int8 ``(walkers, *shape)``.
        rates: ``λ`` at ``x``, ``(walkers, q-1, *shape)``, ≥ 0.
        duration: ``h``, float64 ``(walkers,)``, ≥ 0.

    Returns:
        ``log F(y|x)``, float64 ``(walkers,)``.

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations.
    """
    check_rates(configurations, rates)
    check_configurations(after)
    if after.shape != configurations.shape or after.device != configurations.device:
        raise ValueError(
            f"after must have shape {tuple(configurations.shape)} on {configurations.device}, "
            f"got {tuple(after.shape)} on {after.device}"
        )
    check_walkers(len(configurations), configurations.device, torch.float64, duration=duration)
    return call(tau_leap_log_probability_op, configurations, after, rates, duration)


@custom_op("leaps_triton::tau_leap_step", mutates_args=())
def tau_leap_step_op(
    configurations: Tensor,
    rates: Tensor,
    duration: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.tau_leap_step`."""
    after, log_probability = reference.tau_leap_step(
        configurations, rates, duration, walkers, events, seed
    )
    return after, log_probability


@tau_leap_step_op.register_fake
def _(
    configurations: Tensor,
    rates: Tensor,
    duration: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> tuple[Tensor, Tensor]:
    return configurations.new_empty(configurations.shape), torch.empty_like(duration)


@custom_op("leaps_triton::tau_leap_log_probability", mutates_args=())
def tau_leap_log_probability_op(
    configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor
) -> Tensor:
    """See :func:`leaps_triton.kernels.tau_leap_log_probability`."""
    return reference.tau_leap_log_probability(configurations, after, rates, duration)


@tau_leap_log_probability_op.register_fake
def _(configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor) -> Tensor:
    return torch.empty_like(duration)


@custom_op("leaps_triton::tau_leap_log_probability_gradient", mutates_args=())
def tau_leap_log_probability_gradient(
    configurations: Tensor,
    after: Tensor,
    rates: Tensor,
    duration: Tensor,
    to_log_probability: Tensor,
) -> Tensor:
    """Return the gradient of :func:`tau_leap_log_probability` with respect to the rates."""
    return reference.tau_leap_log_probability_gradient(
        configurations, after, rates, duration, to_log_probability
    )


@tau_leap_log_probability_gradient.register_fake
def _(
    configurations: Tensor,
    after: Tensor,
    rates: Tensor,
    duration: Tensor,
    to_log_probability: Tensor,
) -> Tensor:
    return rates.new_empty(rates.shape)


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, to_log_probability: Tensor) -> tuple[Tensor | None, ...]:
    gradient = tau_leap_log_probability_gradient(*ctx.saved_tensors, to_log_probability)
    return None, None, gradient, None


tau_leap_log_probability_op.register_autograd(_differentiate, setup_context=_save)


def _launchers() -> Launchers:
    from . import triton

    return [
        (tau_leap_step_op, triton.tau_leap_step),
        (tau_leap_log_probability_op, triton.tau_leap_log_probability),
        (tau_leap_log_probability_gradient, triton.tau_leap_log_probability_gradient),
    ]


put_on_cuda(_launchers)
