"""Inputs of ``packed_heat_bath_sweeps`` and ``packed_metropolis_sweeps``."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from ..inputs.case import PHILOX_OPERATIONS, Call, Case, Size
from ..inputs.random import integers, normal, states
from .op import packed_heat_bath_sweeps_op, packed_metropolis_sweeps_op

__all__ = ["OPS", "SWEEPS", "measured", "packed", "small", "watched"]

OPS = ("packed_heat_bath_sweeps", "packed_metropolis_sweeps")
SWEEPS = 4
"""Sweeps of one call that is measured."""
CRITICAL = 0.4406867935097715
"""Inverse temperature of the Ising model at which it is measured, log(1 + √2) / 2."""


def packed(
    shape: tuple[int, ...],
    walkers: int,
    sweeps: int = 2,
    tilt: float = 0.0,
    signs: bool = False,
    own: bool = True,
    rows: bool = False,
) -> dict[str, Any]:
    """Return random arguments of the ops.

    Args:
        shape: Shape of the lattice.
        walkers: Number of walkers, whose indices lie in several groups.
        sweeps: How many sweeps.
        tilt: Difference of the two states' fields.
        signs: Whether each bond has a sign of its own.
        own: Whether each walker has its own β, of either sign; else one serves all.
        rows: Whether words hold columns.
    """
    negative = torch.zeros(1, 1, 1, dtype=torch.bool)
    if signs:
        negative = integers(2, 2, *shape, seed=1).bool()
    leading = 1
    if own:
        leading = walkers
    return {
        "configurations": integers(2, walkers, *shape, seed=0),
        "negative": negative,
        "strength": 1.25,
        "tilt": tilt,
        "beta": 0.5 * normal(leading, seed=2),
        "walkers": torch.arange(walkers) * 7 + 2**31 - 8,
        "first_sweep": 2**31 - 2,
        "sweeps": sweeps,
        "seed": 2**32 - 9,
        "rows": rows,
    }


def measured(op: str, size: Size) -> Case:
    """Return the case of :data:`SWEEPS` sweeps of the Ising model without a field."""
    x = states(size, 2)
    arguments = {
        "configurations": x,
        "negative": torch.zeros(1, 1, 1, dtype=torch.bool, device=size.device),
        "strength": 2.0,
        "tilt": 0.0,
        "beta": torch.full((1,), CRITICAL, dtype=torch.float64, device=size.device),
        "walkers": size.indices,
        "first_sweep": 0,
        "sweeps": SWEEPS,
        "seed": size.seed,
    }
    thresholds = 2
    # As users have it.
    if op == "packed_metropolis_sweeps":
        arguments["rest"] = 2.0**-3
        thresholds = 3
    flips = SWEEPS * x.numel()
    # Half a word for each spin, and two operations for each bit of a threshold of 32 spins.
    words = flips // 2
    operations = words * (PHILOX_OPERATIONS // 4) + 2 * thresholds * flips
    by_walker = frozenset({"configurations", "walkers"})
    return Case(op, "", size, arguments, by_walker, operations, words=words, flips=flips)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = packed((4, 6), 3, signs=True) | {"seed": 5}
    return {
        "packed_heat_bath_sweeps": (packed_heat_bath_sweeps_op, given),
        "packed_metropolis_sweeps": (packed_metropolis_sweeps_op, given | {"tilt": 0.3}),
        "no packed sweep": (packed_heat_bath_sweeps_op, given | {"sweeps": 0}),
        "packed rows": (packed_heat_bath_sweeps_op, packed((2, 64), 2, rows=True) | {"seed": 5}),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family, on the next lattice that has words."""
    length, width = shape
    length += length % 2
    # A thread loads four words of a colour at once where a row has a multiple of eight sites.
    width += -width % 8
    for tilt, signs in itertools.product((0.0, 0.3), (False, True)):
        for rows in (False, True):
            # Words hold columns of rows that are long enough.
            lengths = (length, 128 * width if rows else width)
            given = packed(lengths, walkers, 2, tilt, signs, rows=rows)
            yield packed_heat_bath_sweeps_op, given
            yield packed_metropolis_sweeps_op, given | {"rest": 2.0**-3}
