"""The op ``jump_step``."""

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import as_seed, check_rates, check_walkers
from ..registration import Launchers, call, on_cpu, put_on_cuda
from . import reference
from .reference import Event, JumpStep

__all__ = ["jump_step", "jump_step_op"]


def jump_step(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    rates: Tensor,
    corrector: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> JumpStep:
    """Make one event of the jump process for every walker at once.

    Holding time ``T ~ Exp(R)``, ``R = Σ rates``; ``s = min(T, remaining)``; ``A += s κ``. If ``T``
    ended first, the move ``m`` is made with probability ``rates_m / R``; otherwise the walker
    stands at the boundary of its interval, ``remaining`` is 0 and ``T`` is discarded. A walker with
    ``remaining`` 0 is left as it is, whatever its rates. Any other whose exit rate or corrector is
    not finite stays where it is and its ``A`` turns NaN, so that the caller can report it.

    Args:
        configurations: Int8 ``(walkers, *shape)``.
        log_weights: ``A``, float64 ``(walkers,)``.
        remaining: Time left, float64 ``(walkers,)``.
        rates: Out-rates ``(walkers, q-1, *shape)``, ≥ 0.
        corrector: ``κ``, float64 ``(walkers,)``.
        walkers: Global index of each walker, int64 ``(walkers,)``.
        events: Event count of each, int64 ``(walkers,)``; each (walker, event) is used once.
        seed: In [0, 2³²).

    Returns:
        JumpStep(configurations, log_weights, remaining, move int64 ``(walkers,)``, -1 for none).

    Raises:
        ValueError: If a shape or device does not fit the configurations.
    """
    check_rates(configurations, rates)
    count = len(configurations)
    device = configurations.device
    seed = as_seed(seed)
    check_walkers(
        count,
        device,
        torch.float64,
        log_weights=log_weights,
        remaining=remaining,
        corrector=corrector,
    )
    check_walkers(count, device, torch.int64, walkers=walkers, events=events)
    return JumpStep(
        *call(
            jump_step_op,
            configurations,
            log_weights,
            remaining,
            rates,
            corrector,
            walkers,
            events,
            seed,
        )
    )


_on_cpu = on_cpu(reference.jump_step, __package__)


@custom_op("leaps_triton::jump_step", mutates_args=())
def jump_step_op(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    rates: Tensor,
    corrector: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.jump_step`."""
    given = Event(configurations, log_weights, remaining, rates, corrector, walkers, events, seed)
    after, weights, left, move = _on_cpu(given)
    return after, weights, left, move


@jump_step_op.register_fake
def _(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    rates: Tensor,
    corrector: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    after = configurations.new_empty(configurations.shape)
    return (
        after,
        torch.empty_like(log_weights),
        torch.empty_like(remaining),
        torch.empty_like(walkers),
    )


def _launchers() -> Launchers:
    from . import triton

    return [(jump_step_op, triton.jump_step)]


put_on_cuda(_launchers)
