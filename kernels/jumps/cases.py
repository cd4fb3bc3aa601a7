"""Inputs of ``jump_step``."""

from collections.abc import Iterator
from typing import Any

import torch

from ..inputs.case import PHILOX_OPERATIONS, Call, Case, Model, Size
from ..inputs.random import integers, noise, normal, states
from .op import jump_step_op
from .reference import Running

__all__ = ["OPS", "density", "jump", "measured", "small", "watched"]

OPS = ("jump_step",)


def jump(shape: tuple[int, ...], q: int, count: int) -> dict[str, Any]:
    """Return random arguments; half of all moves have rate 0."""
    return {
        "configurations": integers(q, count, *shape, seed=3),
        "log_weights": normal(count, seed=1),
        "remaining": torch.full((count,), 0.1, dtype=torch.float64),
        "rates": torch.relu(normal(count, q - 1, *shape, seed=2)),
        "corrector": normal(count, seed=4),
        "walkers": torch.arange(count),
        "events": torch.arange(count) + 5,
        "seed": 11,
    }


def density(shape: tuple[int, ...], q: int, count: int) -> Running:
    """Return a running density for :func:`jump`; its slopes are even, half of its rates are 0."""
    moves = (count, q - 1, *shape)
    return Running(
        in_rates=torch.relu(normal(*moves, seed=5)),
        slopes=2.0 * normal(*moves, seed=6).round(),
        speed=normal(count, seed=7),
        offset=0.2 * normal(count, seed=8),
    )


def measured(op: str, size: Size, model: Model) -> Case:
    """Return the case of one event; about half of the walkers jump in the time remaining."""
    moves = (model.q - 1) * size.sites
    # An exit rate near 1.
    rates = noise(size, 0, size.walkers, model.q - 1, *size.shape).add_(1.0).div_(moves)
    weights, remaining, corrector = (noise(size, 1, 3, size.walkers) + 1.0).double()
    arguments = {
        "configurations": states(size, model.q),
        "log_weights": weights,
        "remaining": remaining,
        "rates": rates,
        "corrector": corrector,
        "walkers": size.indices,
        "events": size.indices % 7,
        "seed": size.seed,
    }
    by_walker = frozenset(arguments) - {"seed"}
    operations = size.walkers * (2 * moves + PHILOX_OPERATIONS)
    words = 4 * size.walkers
    return Case(op, model.name, size, arguments, by_walker, operations, words=words)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = jump((3, 5), 3, 4)
    running = density((3, 5), 3, 4)._asdict()
    return {
        "jump_step": (jump_step_op, given),
        "jump_step with a running density": (jump_step_op, given | running),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    given = jump(shape, 3, walkers)
    running = density(shape, 3, walkers)
    for dtype in (torch.float32, torch.float64):
        plain = given | {"rates": given["rates"].to(dtype)}
        yield jump_step_op, plain
        moves = {"in_rates": running.in_rates.to(dtype), "slopes": running.slopes.to(dtype)}
        yield jump_step_op, plain | running._asdict() | moves
