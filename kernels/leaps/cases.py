"""Inputs of ``tau_leap_step``, of ``tau_leap_log_probability`` and of its gradient."""

from collections.abc import Iterator
from typing import Any

import torch

from ..inputs.case import PHILOX_OPERATIONS, Call, Case, Model, Size
from ..inputs.random import noise, normal, states
from ..jumps.cases import jump
from .op import tau_leap_log_probability_gradient, tau_leap_log_probability_op, tau_leap_step_op
from .reference import tau_leap_step

__all__ = ["OPS", "ends", "leap", "measured", "small", "watched"]

OPS = ("tau_leap_step", "tau_leap_log_probability", "tau_leap_log_probability_gradient")


def leap(shape: tuple[int, ...], q: int, count: int) -> dict[str, Any]:
    """Return random arguments of ``tau_leap_step``."""
    given = jump(shape, q, count)
    names = ("configurations", "rates", "walkers", "events", "seed")
    return {name: given[name] for name in names} | {"duration": given["remaining"]}


def ends(shape: tuple[int, ...], q: int, count: int) -> dict[str, Any]:
    """Return arguments of ``tau_leap_log_probability``: steps five times as long were made."""
    given = leap(shape, q, count)
    after = tau_leap_step(**given | {"duration": 5.0 * given["duration"]}).configurations
    names = ("configurations", "rates", "duration")
    return {name: given[name] for name in names} | {"after": after}


def measured(op: str, size: Size, model: Model) -> Case:
    """Return the case of an op."""
    x = states(size, model.q)
    moves = (size.walkers, model.q - 1, *size.shape)
    if op == "tau_leap_step":
        # About one site in seven moves.
        rates = noise(size, 0, *moves).add_(1.0).div_(model.q - 1)
        duration = (noise(size, 1, size.walkers) + 1.0).double() / 6.0
        arguments = {
            "configurations": x,
            "rates": rates,
            "duration": duration,
            "walkers": size.indices,
            "events": size.indices % 7,
            "seed": size.seed,
        }
        by_walker = frozenset(arguments) - {"seed"}
        # Sum, choice and comparison of every rate; per site four exponentials or logarithms and
        # as many products.
        operations = x.numel() * (4 * (model.q - 1) + 8 + PHILOX_OPERATIONS)
        words = 4 * x.numel()
        return Case(
            op, model.name, size, arguments, by_walker, operations, words=words, flips=x.numel()
        )
    # One site in three moves.
    shift = (1.5 * noise(size, 0, *x.shape).abs()).to(x.dtype)
    duration = noise(size, 2, size.walkers).double() + 1.0
    arguments = {
        "configurations": x,
        "after": (x + shift) % model.q,
        "rates": noise(size, 1, *moves) + 1.1,
        "duration": 0.2 * duration,
    }
    operations = x.numel() * (2 * model.q + 4)
    if op == "tau_leap_log_probability_gradient":
        arguments["to_log_probability"] = noise(size, 3, size.walkers).double()
        operations = x.numel() * 6 * model.q
    return Case(op, model.name, size, arguments, frozenset(arguments), operations)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    made = ends((3, 5), 3, 4)
    upstream = {"to_log_probability": normal(4, seed=4)}
    return {
        "tau_leap_step": (tau_leap_step_op, leap((3, 5), 3, 4)),
        "tau_leap_log_probability": (tau_leap_log_probability_op, made),
        "gradient of a leap": (tau_leap_log_probability_gradient, made | upstream),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    step = leap(shape, 3, walkers)
    made = ends(shape, 3, walkers)
    upstream = {"to_log_probability": normal(walkers, seed=4)}
    for dtype in (torch.float32, torch.float64):
        rates = {"rates": step["rates"].to(dtype)}
        yield tau_leap_step_op, step | rates
        yield tau_leap_log_probability_op, made | rates
        yield tau_leap_log_probability_gradient, made | rates | upstream
