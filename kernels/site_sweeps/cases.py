"""Inputs of ``heat_bath_sweeps``, ``metropolis_sweeps`` and ``overrelaxation_sweeps``."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..energies.cases import KINDS, model
from ..inputs.case import PHILOX_OPERATIONS, Call, Case, Model, Size
from ..inputs.random import states
from .op import heat_bath_sweeps_op, metropolis_sweeps_op, overrelaxation_sweeps_op

__all__ = ["OPS", "SWEEPS", "colouring", "measured", "small", "sweep", "watched"]

OPS = ("heat_bath_sweeps", "metropolis_sweeps", "overrelaxation_sweeps")
SWEEPS = 4
"""Sweeps of one call that is measured."""


def colouring(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> tuple[Tensor, int]:
    """Return a proper colouring, int8 ``(*shape)``, and the number of its colours."""
    number = 2
    total = torch.zeros(shape, dtype=torch.int64)
    for axis, (length, wraps) in enumerate(zip(shape, periodic, strict=True)):
        line = torch.arange(length) % 2
        # Around an odd ring two colours do not suffice.
        if wraps and length % 2:
            line[-1] = 2
            number = 3
        total += line.view(-1, *[1] * (len(shape) - axis - 1))
    return (total % number).to(torch.int8), number


def sweep(given: dict[str, Any], sweeps: int, seed: int = 2**32 - 9) -> dict[str, Any]:
    """Return arguments of the sweeps that go with those of ``local_energy``."""
    count, *shape = given["configurations"].shape
    colours, num_colours = colouring(tuple(shape), given["periodic"])
    return given | {
        "colours": colours,
        "num_colours": num_colours,
        "walkers": torch.arange(count) * 7 + 2**31 - 8,
        "first_sweep": 2**31 - 2,
        "sweeps": sweeps,
        "seed": seed,
    }


def measured(op: str, size: Size, model: Model) -> Case:
    """Return the case of :data:`SWEEPS` sweeps."""
    x = states(size, model.q)
    arguments = {
        "configurations": x,
        **model.tables(),
        "beta": model.beta,
        "colours": model.colours,
        "num_colours": model.num_colours,
        "walkers": size.indices,
        "first_sweep": 0,
        "sweeps": SWEEPS,
        "seed": size.seed,
    }
    flips = SWEEPS * x.numel()
    words = flips
    # Metropolis draws an acceptance, and where there is a choice a proposal.
    if op == "metropolis_sweeps" and model.q > 2:
        words = 2 * flips
    per_state = 4
    # A reflection is about the nearest of q axes.
    if op == "overrelaxation_sweeps":
        per_state = 12
    fields = model.q * (4 * model.ndim + 1)
    operations = flips * (fields + per_state * model.q) + words * (PHILOX_OPERATIONS // 4)
    # As users have it.
    if op == "metropolis_sweeps":
        arguments["rest"] = 2.0**-3
    by_walker = frozenset({"configurations", "walkers"})
    return Case(op, model.name, size, arguments, by_walker, operations, words=words, flips=flips)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = model((3, 5), (True, False), 3, 4)
    two = sweep(given, 2, seed=5)
    return {
        "heat_bath_sweeps": (heat_bath_sweeps_op, two),
        "metropolis_sweeps": (metropolis_sweeps_op, two),
        "overrelaxation_sweeps": (overrelaxation_sweeps_op, two),
        "no sweep": (heat_bath_sweeps_op, sweep(given, 0, seed=5)),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    for q, tables in KINDS:
        given = sweep(model(shape, periodic, q, walkers, tables), 2)
        yield heat_bath_sweeps_op, given
        yield metropolis_sweeps_op, given
        # Two states have no reflections.
        if q > 2:
            yield overrelaxation_sweeps_op, given
    # Even lattices with rows of whole words, for the kernels that have eight sites a word.
    rows = tuple(8 * length for length in shape[1:])
    doubled = (*(2 * length for length in shape), 16)
    for lengths in ((shape[0] - shape[0] % 2, *rows), (2 * shape[0], *rows), doubled):
        given = sweep(model(lengths, (True,) * len(lengths), 2, walkers, "uniform"), 3)
        yield heat_bath_sweeps_op, given
        yield metropolis_sweeps_op, given
