"""The op ``local_jump_steps``."""

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import as_integer, as_seed, check_configurations, check_tensor, check_walkers, expect
from ..registration import Launchers, put_on_cuda
from . import reference
from .reference import MOST_CLASSES, MOST_LANES, LocalJumpSteps

__all__ = ["local_jump_steps", "local_jump_steps_op"]


def local_jump_steps(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    walkers: Tensor,
    events: Tensor,
    rates: Tensor,
    corrector: Tensor,
    neighbours: Tensor,
    strides: Tensor,
    first_row: int,
    seed: int,
    steps: int,
) -> LocalJumpSteps:
    """Events of the jump process of a model with two states whose rates are a table: many in one call.

    The class of a site is ``c_i = Σ_l strides_l x_{neighbours[i, l]}``. With ``n_c`` sites of class ``c`` and
    ``K = Σ_i x_i``, ``R = Σ_c n_c rates[K, c]`` and ``κ = Σ_c n_c corrector[K, c]``. Holding times, weights and the
    boundary are those of :func:`jump_step`; a class is drawn with probability ``n_c rates[K, c] / R``, and each of its
    sites with the same. Every walker advances by ``steps`` events or to the boundary of its interval. An event costs
    the classes, the neighbours of one site, and a search of the site among those of its class.

    Arguments
        configurations: values 0 and 1, ``(walkers, *shape)``.
        log_weights, remaining: ``A`` and time left; float64 ``(walkers,)``.
        rates, corrector: float64 ``(rows, classes)``, row 0 for ``K = first_row``; of every ``K`` that the walkers may
            reach, which is not checked.
        neighbours: of every site those whose state its class counts, int64 ``(sites, lanes)``, all different; if ``j``
            is a neighbour of ``i`` then ``i`` is one of ``j``, with the same stride.
        strides: int64 ``(lanes,)``.
        walkers, events, seed: see the module; each (walker, event) is used once.
        steps: most events a walker, at least 1.

    Raises
        ValueError: shapes, dtypes or devices that do not fit, too many classes or neighbours.

    References
        Bortz, Kalos, Lebowitz, *A new algorithm for Monte Carlo simulation of Ising spin systems*, J. Comput. Phys. 17,
        10 (1975).
    """
    check_configurations(configurations)
    expect(configurations.ndim > 1, "configurations", "(walkers, *shape)", configurations)
    count, device, sites = (
        len(configurations),
        configurations.device,
        configurations.shape[1:].numel(),
    )
    check_walkers(count, device, torch.float64, log_weights=log_weights, remaining=remaining)
    check_walkers(count, device, torch.int64, walkers=walkers, events=events)
    tables = {"rates": rates, "corrector": corrector, "neighbours": neighbours, "strides": strides}
    for name, tensor in tables.items():
        check_tensor(name, tensor)
    if rates.ndim != 2 or rates.shape != corrector.shape or not 1 <= rates.shape[1] <= MOST_CLASSES:
        raise ValueError(
            f"rates and corrector must both be (rows, classes) with at most {MOST_CLASSES} classes, got "
            f"{tuple(rates.shape)} and {tuple(corrector.shape)}"
        )
    if (
        neighbours.shape != (sites, strides.numel())
        or strides.ndim != 1
        or not 1 <= len(strides) <= MOST_LANES
    ):
        raise ValueError(
            f"neighbours must be ({sites}, lanes) and strides (lanes,) with at most {MOST_LANES} lanes, got "
            f"{tuple(neighbours.shape)} and {tuple(strides.shape)}"
        )
    for name, tensor in tables.items():
        dtype = torch.float64 if name in ("rates", "corrector") else torch.int64
        if tensor.dtype != dtype or tensor.device != device:
            raise ValueError(
                f"{name} must be {dtype} on {device}, got {tensor.dtype} on {tensor.device}"
            )
    first_row, steps, seed = (
        as_integer("first_row", first_row, 0),
        as_integer("steps", steps, 1),
        as_seed(seed),
    )
    return LocalJumpSteps(
        *local_jump_steps_op(
            configurations,
            log_weights,
            remaining,
            walkers,
            events,
            rates,
            corrector,
            neighbours,
            strides,
            first_row,
            seed,
            steps,
        )
    )


@custom_op("leaps_triton::local_jump_steps", mutates_args=())
def local_jump_steps_op(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    walkers: Tensor,
    events: Tensor,
    rates: Tensor,
    corrector: Tensor,
    neighbours: Tensor,
    strides: Tensor,
    first_row: int,
    seed: int,
    steps: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.local_jump_steps`."""
    after = reference.local_jump_steps(
        configurations,
        log_weights,
        remaining,
        walkers,
        events,
        rates,
        corrector,
        neighbours,
        strides,
        first_row,
        seed,
        steps,
    )
    x, weights, left, made, exit_rate, correction = after
    return x, weights, left, made, exit_rate, correction


@local_jump_steps_op.register_fake
def _(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    walkers: Tensor,
    events: Tensor,
    rates: Tensor,
    corrector: Tensor,
    neighbours: Tensor,
    strides: Tensor,
    first_row: int,
    seed: int,
    steps: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    after = configurations.new_empty(configurations.shape)
    floats = [torch.empty_like(log_weights) for _ in range(4)]
    return after, floats[0], floats[1], torch.empty_like(events), floats[2], floats[3]


def _launchers() -> Launchers:
    from . import triton

    return [(local_jump_steps_op, triton.local_jump_steps)]


put_on_cuda(_launchers)
