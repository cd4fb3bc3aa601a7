"""Inputs of ``local_jump_steps``: classes are the sites in state 1 of each shell of neighbours."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..inputs.case import PHILOX_OPERATIONS, Call, Case, Size
from ..inputs.random import noise, normal, states
from .op import local_jump_steps_op
from .reference import RunningClasses

__all__ = [
    "EVENTS",
    "OPS",
    "Surroundings",
    "classes",
    "density",
    "measured",
    "small",
    "surroundings",
    "watched",
]

OPS = ("local_jump_steps",)
EVENTS = 128
"""Events of one call that is measured, as many as the sampler makes."""


class Surroundings(NamedTuple):
    """What a class counts on a torus."""

    neighbours: Tensor
    """Of every site itself and its shells, int64 ``(sites, lanes)``."""
    strides: Tensor
    """What each of them adds to the class, int64 ``(lanes,)``."""
    classes: int

    @property
    def distinct(self) -> bool:
        """Whether no two neighbours of a site are the same."""
        return len(self.neighbours[0].unique()) == len(self.strides)


def surroundings(shape: tuple[int, ...], shells: int) -> Surroundings:
    """Return the classes of a site and of its nearest ``shells`` of neighbours."""
    by_distance: dict[int, list[tuple[int, ...]]] = {}
    for offset in itertools.product(range(-shells, shells + 1), repeat=len(shape)):
        by_distance.setdefault(sum(n * n for n in offset), []).append(offset)
    nearest = [by_distance[distance] for distance in sorted(by_distance)[1 : shells + 1]]
    index = torch.arange(math.prod(shape)).view(shape)
    axes = tuple(range(len(shape)))
    columns = [index]
    strides: list[int] = []
    # The last shell is the least significant digit of the class, the site itself the greatest.
    stride = 1
    for shell in reversed(nearest):
        strides = [stride] * len(shell) + strides
        stride *= len(shell) + 1
    for offset in itertools.chain.from_iterable(nearest):
        columns.append(index.roll(tuple(-n for n in offset), axes))
    neighbours = torch.stack([column.flatten() for column in columns], dim=1)
    return Surroundings(neighbours, torch.tensor([stride, *strides]), 2 * stride)


def _shells(ndim: int) -> int:
    """Return the most shells with few enough classes: 3, 3, 2, 1 in one to four dimensions."""
    return min(3, 5 - ndim)


def classes(
    shape: tuple[int, ...], walkers: int, steps: int = 5, length: float = 1.0
) -> dict[str, Any]:
    """Return random arguments, about 5 events per unit of time, no rate for many classes.

    Args:
        shape: Shape of a torus; the first row of the tables is that of no site in state 1.
        walkers: Number of walkers.
        steps: Events at most.
        length: Mean time left.
    """
    sites = math.prod(shape)
    around = surroundings(shape, _shells(len(shape)))
    generator = torch.Generator().manual_seed(sites)
    configurations = torch.randint(2, (walkers, *shape), generator=generator, dtype=torch.int8)
    remaining = 0.5 + torch.rand(walkers, generator=generator, dtype=torch.float64)
    rates = torch.relu(normal(sites + 1, around.classes, seed=1))
    return {
        "configurations": configurations,
        "log_weights": normal(walkers, seed=2),
        "remaining": length * remaining,
        "walkers": torch.arange(walkers) * 7 + 2**31 - 8,
        "events": torch.randint(2**31, (walkers,), generator=generator),
        "rates": rates * (10.0 / sites),
        "corrector": normal(sites + 1, around.classes, seed=3) * (5.0 / sites),
        "neighbours": around.neighbours,
        "strides": around.strides,
        "first_row": 0,
        "seed": 2**32 - 5,
        "steps": steps,
    }


def density(rates: Tensor) -> RunningClasses:
    """Return a running density for a table of rates; half of its own are 0."""
    classes = rates.shape[1]
    levels = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0], dtype=torch.float64)
    in_rates = torch.relu(normal(*rates.shape, seed=4)) * rates.mean()
    level = torch.arange(classes) * 7 % len(levels)
    return RunningClasses(in_rates, levels, level, 0.04, 0.1)


def measured(op: str, size: Size) -> Case:
    """Return the case of :data:`EVENTS` events, with fewer shells on a small lattice."""
    shells = _shells(len(size.shape))
    around = surroundings(size.shape, shells)
    while not around.distinct:
        shells -= 1
        around = surroundings(size.shape, shells)
    x = states(size, 2)
    ones = x.flatten(1).sum(1, dtype=torch.int64)
    first = max(0, int(ones.min()) - EVENTS)
    last = min(size.sites, int(ones.max()) + EVENTS)
    table = (last - first + 1, around.classes)
    # Exit rates near 1; one walker in twenty reaches the end of its interval.
    rates = noise(size, 0, *table).double() / size.sites + 1.0 / size.sites
    weights, remaining = (noise(size, 2, 2, size.walkers) + 1.0).double()
    arguments = {
        "configurations": x,
        "log_weights": weights,
        "remaining": 10.0 * EVENTS * remaining,
        "walkers": size.indices,
        "events": size.indices % 7,
        "rates": rates,
        "corrector": noise(size, 1, *table).double() / size.sites,
        "neighbours": around.neighbours.to(size.device),
        "strides": around.strides.to(size.device),
        "first_row": first,
        "seed": size.seed,
        "steps": EVENTS,
    }
    by_walker = frozenset({"configurations", "log_weights", "remaining", "walkers", "events"})
    # Two products and three sums per class, then the classes of the neighbours and the search of
    # a site.
    lanes = len(around.strides)
    each = 5 * around.classes + 2 * lanes + size.sites // 2 + PHILOX_OPERATIONS
    events = size.walkers * EVENTS
    return Case(op, "", size, arguments, by_walker, events * each, words=4 * events)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = classes((5, 6), 4)
    running = density(given["rates"])._asdict()
    return {
        "local_jump_steps": (local_jump_steps_op, given),
        "local_jump_steps with a running density": (local_jump_steps_op, given | running),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    given = classes(shape, walkers)
    yield local_jump_steps_op, given
    yield local_jump_steps_op, given | density(given["rates"])._asdict()
