"""The op ``local_jump_steps``."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import (
    as_integer,
    as_number,
    as_seed,
    check_configurations,
    check_tensor,
    check_walkers,
    expect,
)
from ..registration import Launchers, call, on_cpu, put_on_cuda, taking
from . import reference
from .reference import (
    MOST_CLASSES,
    MOST_LANES,
    MOST_LEVELS,
    Events,
    LocalJumpSteps,
    RunningClasses,
)  # fmt: skip

__all__ = ["local_jump_steps", "local_jump_steps_op"]

SCHEMA = (
    "(Tensor configurations, Tensor log_weights, Tensor remaining, Tensor walkers, Tensor events, "
    "Tensor rates, Tensor corrector, Tensor neighbours, Tensor strides, SymInt first_row, "
    "SymInt seed, SymInt steps, Tensor? in_rates=None, Tensor? levels=None, Tensor? level=None, "
    "float speed=0.0, float offset=0.0) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
"""Arguments in the order of :class:`.reference.Events`, those of its running density at the end."""
PLAIN = Events._fields[:-1]
"""Names of the arguments before these."""


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
    running: RunningClasses | None = None,
) -> LocalJumpSteps:
    """Make many events of the jump process of a model with two states whose rates are a table.

    The class of a site is ``c_i = Σ_l strides_l x_{neighbours[i, l]}``. With ``n_c`` sites of class
    ``c`` and ``K = Σ_i x_i``, ``R = Σ_c n_c rates[K, c]`` and ``κ = Σ_c n_c corrector[K, c]``.
    Holding times, weights and the boundary are those of :func:`jump_step`; a class is drawn with
    probability ``n_c rates[K, c] / R``, and each of its sites with the same. Every walker advances
    by ``steps`` events or to the boundary of its interval. An event costs the classes, the
    neighbours of one site, and a search of the site among those of its class.

    With ``running`` the density moves on within an interval, as that of :func:`jump_step`: a hold
    of duration ``s`` adds ``A += s κ - Σ_c n_c w_c (I_{level(c)} - s)``. The caller takes the
    change of the energy into ``corrector``, per site of a class.

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
        running: Rates of the reversed process float64 ``(rows, classes)``, levels float64
            ``(levels,)`` and the level of each class int64 ``(classes,)``, which is not checked,
            speed and offset; None if the density is frozen too.

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
    density: tuple[Any, ...] = ()
    if running is not None:
        density = _checked(running, given)
    return LocalJumpSteps(*call(local_jump_steps_op, *given[: len(PLAIN)], *density))


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


def _checked(running: RunningClasses, given: Events) -> RunningClasses:
    """Return a density with Python's numbers, refuse one that does not fit the tables."""
    wanted_type = "a kernels.RunningClasses or None"
    expect(isinstance(running, RunningClasses), "running", wanted_type, running)
    classes = given.rates.shape[1]
    wanted = {
        "in_rates": (running.in_rates, tuple(given.rates.shape), torch.float64),
        "levels": (running.levels, None, torch.float64),
        "level": (running.level, (classes,), torch.int64),
    }
    device = given.configurations.device
    for name, (tensor, shape, dtype) in wanted.items():
        check_tensor(name, tensor)
        if tensor.dtype != dtype or tensor.device != device:
            raise ValueError(
                f"{name} must be {dtype} on {device}, got {tensor.dtype} on {tensor.device}"
            )
        if shape is not None and tuple(tensor.shape) != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(tensor.shape)}")
    levels = running.levels
    if levels.ndim != 1 or not 1 <= len(levels) <= MOST_LEVELS:
        raise ValueError(
            f"levels must be (levels,) with 1 to {MOST_LEVELS} of them, got {tuple(levels.shape)}"
        )
    speed = as_number("speed", running.speed, "a finite number", math.isfinite)
    offset = as_number("offset", running.offset, "a finite number", math.isfinite)
    return running._replace(speed=speed, offset=offset)


_on_cpu = on_cpu(reference.local_jump_steps, __package__)


def _events(*arguments: Any, **named: Any) -> Events:
    """Return the record of the op's arguments, with a density where its rates are given."""
    names = (*PLAIN, *RunningClasses._fields)
    found = dict(zip(names, arguments, strict=False)) | named
    plain = [found[name] for name in PLAIN]
    if found.get("in_rates") is None:
        return Events(*plain)
    density = RunningClasses(*(found[name] for name in RunningClasses._fields))
    return Events(*plain)._replace(running=density)


def _run(*arguments: Any) -> tuple[Tensor, ...]:
    return tuple(_on_cpu(_events(*arguments)))


def _fake(*arguments: Any) -> tuple[Tensor, ...]:
    given = _events(*arguments)
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

    return [(local_jump_steps_op, taking(_events, triton.local_jump_steps))]


put_on_cuda(_launchers)
