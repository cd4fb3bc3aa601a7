"""The op ``local_jump_steps``."""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import (
    as_integer,
    as_seed,
    check_configurations,
    check_tensor,
    check_walkers,
    expect,
)
from ..registration import Launchers, call, on_cpu, put_on_cuda, taking
from . import reference
from .reference import MOST_CLASSES, MOST_LANES, Events, LocalJumpSteps

__all__ = ["local_jump_steps", "local_jump_steps_op"]

SCHEMA = (
    "(Tensor configurations, Tensor log_weights, Tensor remaining, Tensor walkers, Tensor events, "
    "Tensor rates, Tensor corrector, Tensor neighbours, Tensor strides, SymInt first_row, "
    "SymInt seed, SymInt steps) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
"""Arguments in the order of :class:`.reference.Events`."""


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
    """Make many events of the jump process of a model with two states whose rates are a table.

    The class of a site is ``c_i = Σ_l strides_l x_{neighbours[i, l]}``. With ``n_c`` sites of class
    ``c`` and ``K = Σ_i x_i``, ``R = Σ_c n_c rates[K, c]`` and ``κ = Σ_c n_c corrector[K, c]``.
    Holding times, weights and the boundary are those of :func:`jump_step`; a class is drawn with
    probability ``n_c rates[K, c] / R``, and each of its sites with the same. Every walker advances
    by ``steps`` events or to the boundary of its interval. An event costs the classes, the
    neighbours of one site, and a search of the site among those of its class.

    Args:
        configurations: Values 0 and 1, ``(walkers, *shape)``.
        log_weights: ``A``, float64 ``(walkers,)``.
        remaining: Time left, float64 ``(walkers,)``.
        walkers: Global index of each walker, int64 ``(walkers,)``.
        events: Event count of each, int64 ``(walkers,)``; each (walker, event) is used once.
        rates: Float64 ``(rows, classes)``, row 0 for ``K = first_row``; for every ``K`` that the
            walkers may reach, which is not checked.
        corrector: ``κ`` of one site of each class, in the shape of ``rates``.
        neighbours: For every site those whose state its class counts, int64 ``(sites, lanes)``, all
            different; if ``j`` is a neighbour of ``i`` then ``i`` is one of ``j``, with the same
            stride.
        strides: Int64 ``(lanes,)``.
        first_row: ``K`` of the first row of the tables.
        seed: In [0, 2³²).
        steps: Most events per walker, at least 1.

    Returns:
        LocalJumpSteps(configurations, log_weights, remaining, events, exit_rate, corrector), the
        given ones left alone.

    Raises:
        ValueError: If shapes, dtypes or devices do not fit, or there are too many classes or
            neighbours.

    References:
        Bortz, Kalos, Lebowitz, *A new algorithm for Monte Carlo simulation of Ising spin systems*,
        J. Comput. Phys. 17, 10 (1975).
    """
    given = Events(
        configurations, log_weights, remaining, walkers, events, rates, corrector,
        neighbours, strides,
        as_integer("first_row", first_row, 0), as_seed(seed), as_integer("steps", steps, 1),
    )  # fmt: skip
    _check(given)
    return LocalJumpSteps(*call(local_jump_steps_op, *given))


def _check(given: Events) -> None:
    x = given.configurations
    check_configurations(x)
    expect(x.ndim > 1, "configurations", "(walkers, *shape)", x)
    floats = {"log_weights": given.log_weights, "remaining": given.remaining}
    check_walkers(len(x), x.device, torch.float64, **floats)
    check_walkers(len(x), x.device, torch.int64, walkers=given.walkers, events=given.events)
    tables = {"rates": given.rates, "corrector": given.corrector}
    indices = {"neighbours": given.neighbours, "strides": given.strides}
    for name, tensor in (tables | indices).items():
        check_tensor(name, tensor)
    shape = given.rates.shape
    if len(shape) != 2 or shape != given.corrector.shape or not 1 <= shape[1] <= MOST_CLASSES:
        raise ValueError(
            f"rates and corrector must both be (rows, classes) with at most {MOST_CLASSES} "
            f"classes, got {tuple(shape)} and {tuple(given.corrector.shape)}"
        )
    sites = x.shape[1:].numel()
    strides = given.strides
    # One row of neighbours per site, one stride per neighbour.
    fits = given.neighbours.shape == (sites, strides.numel()) and strides.ndim == 1
    if not fits or not 1 <= len(strides) <= MOST_LANES:
        raise ValueError(
            f"neighbours must be ({sites}, lanes) and strides (lanes,) with at most {MOST_LANES} "
            f"lanes, got {tuple(given.neighbours.shape)} and {tuple(strides.shape)}"
        )
    for group, dtype in ((tables, torch.float64), (indices, torch.int64)):
        for name, tensor in group.items():
            if tensor.dtype != dtype or tensor.device != x.device:
                raise ValueError(
                    f"{name} must be {dtype} on {x.device}, got {tensor.dtype} on {tensor.device}"
                )


_on_cpu = on_cpu(reference.local_jump_steps, __package__)


def _run(*arguments: Any) -> tuple[Tensor, ...]:
    return tuple(_on_cpu(Events(*arguments)))


def _fake(*arguments: Any) -> tuple[Tensor, ...]:
    given = Events(*arguments)
    numbers = given.log_weights
    return (
        given.configurations.new_empty(given.configurations.shape),
        torch.empty_like(numbers),
        torch.empty_like(numbers),
        torch.empty_like(given.events),
        torch.empty_like(numbers),
        torch.empty_like(numbers),
    )


local_jump_steps_op = custom_op(
    "leaps_triton::local_jump_steps", _run, mutates_args=(), schema=SCHEMA
)
local_jump_steps_op.register_fake(_fake)


def _launchers() -> Launchers:
    from . import triton

    return [(local_jump_steps_op, taking(Events, triton.local_jump_steps))]


put_on_cuda(_launchers)
