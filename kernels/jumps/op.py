"""The op ``jump_step``."""

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import (
    as_seed,
    check_floating,
    check_rates,
    check_shape,
    check_tensor,
    check_walkers,
    expect,
)  # fmt: skip
from ..registration import Launchers, call, on_cpu, put_on_cuda
from . import reference
from .reference import Event, JumpStep, Running

__all__ = ["hold_correction", "jump_step", "jump_step_op"]


def jump_step(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    rates: Tensor,
    corrector: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
    running: Running | None = None,
) -> JumpStep:
    """Make one event of the jump process for every walker at once.

    Holding time ``T ~ Exp(R)``, ``R = Σ rates``; ``s = min(T, remaining)``; ``A += s κ``. If ``T``
    ended first, the move ``m`` is made with probability ``rates_m / R``; otherwise the walker
    stands at the boundary of its interval, ``remaining`` is 0 and ``T`` is discarded. A walker with
    ``remaining`` 0 is left as it is, whatever its rates. Any other whose exit rate or corrector is
    not finite stays where it is and its ``A`` turns NaN, so that the caller can report it.

    With ``running`` the rates are those of a frozen ``β*`` while the density moves on, ``β`` being
    linear in time: a hold then adds ``A += s κ - Σ_m w_m (I_m - s)`` with
    ``I_m = ∫_0^s exp(d_m (offset - speed (remaining - u))) du``. The caller takes the change of the
    energy into ``corrector``: ``κ - speed H(x)``. Random numbers, moves and times stay the same.

    Args:
        configurations: Int8 ``(walkers, *shape)``.
        log_weights: ``A``, float64 ``(walkers,)``.
        remaining: Time left, float64 ``(walkers,)``.
        rates: Out-rates ``(walkers, q-1, *shape)``, ≥ 0.
        corrector: ``κ``, float64 ``(walkers,)``.
        walkers: Global index of each walker, int64 ``(walkers,)``.
        events: Event count of each, int64 ``(walkers,)``; each (walker, event) is used once.
        seed: In [0, 2³²).
        running: Rates of the reversed process and slopes ``(walkers, q-1, *shape)``, both float32
            or float64, speed and offset float64 ``(walkers,)``; None if the density is frozen too.

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
    density: tuple[Tensor, ...] = ()
    if running is not None:
        running = _checked(running, rates)
        # Kernels take all moves in one type: float32 in float64 is the same number.
        rates = rates.to(running.in_rates.dtype)
        density = running
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
            *density,
        )
    )


def _checked(running: Running, rates: Tensor) -> Running:
    """Return a density whose rates and slopes have one type, refuse one that does not fit."""
    expect(isinstance(running, Running), "running", "a kernels.Running or None", running)
    dtype = rates.dtype
    for name, tensor in (("in_rates", running.in_rates), ("slopes", running.slopes)):
        check_tensor(name, tensor)
        check_shape(name, tensor, [{length} for length in rates.shape])
        check_floating(name, tensor.dtype)
        expect(tensor.device == rates.device, name, f"on {rates.device}", tensor.device)
        dtype = torch.promote_types(dtype, tensor.dtype)
    numbers = {"speed": running.speed, "offset": running.offset}
    check_walkers(len(rates), rates.device, torch.float64, **numbers)
    in_rates = running.in_rates.to(dtype)
    return running._replace(in_rates=in_rates, slopes=running.slopes.to(dtype))


def hold_correction(running: Running, remaining: Tensor, elapsed: Tensor) -> Tensor:
    """Return what a running density takes off the log-weight of a hold of every walker.

    It is ``Σ_m w_m (I_m - s)``, ``I_m = ∫_0^s exp(d_m (offset - speed (remaining - u))) du``; moves
    whose ``w_m`` is 0 add nothing, even where the rest overflows. Plain torch on every device, with
    the same operations as those of :func:`jump_step`.

    Args:
        running: The density, as in :func:`jump_step`.
        remaining: Time left in the interval before the hold, float64 ``(walkers,)``.
        elapsed: ``s``, the duration of the hold, float64 ``(walkers,)``.

    Returns:
        Float64 ``(walkers,)``.

    Raises:
        ValueError: If a shape, dtype or device does not fit the rates of the density.

    Example:
        >>> one = torch.ones(1, dtype=torch.float64)
        >>> running = Running(torch.ones(1, 1, 4), torch.zeros(1, 1, 4), one, one)
        >>> hold_correction(running, one, one)
        tensor([0.], dtype=torch.float64)
    """
    expect(isinstance(running, Running), "running", "a kernels.Running", running)
    check_tensor("in_rates", running.in_rates)
    wanted = "of shape (walkers, q-1, *shape)"
    expect(running.in_rates.ndim > 1, "in_rates", wanted, running.in_rates)
    running = _checked(running, running.in_rates)
    count = len(running.in_rates)
    device = running.in_rates.device
    check_walkers(count, device, torch.float64, remaining=remaining, elapsed=elapsed)
    return reference.hold_correction(running, remaining, elapsed)


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
    in_rates: Tensor | None = None,
    slopes: Tensor | None = None,
    speed: Tensor | None = None,
    offset: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.jump_step`; the last four are those of ``running``."""
    running = None
    if in_rates is not None:
        assert slopes is not None and speed is not None and offset is not None
        running = Running(in_rates, slopes, speed, offset)
    given = Event(
        configurations, log_weights, remaining, rates, corrector, walkers, events, seed, running
    )
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
    in_rates: Tensor | None = None,
    slopes: Tensor | None = None,
    speed: Tensor | None = None,
    offset: Tensor | None = None,
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
