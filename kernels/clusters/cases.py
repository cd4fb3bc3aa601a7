"""Inputs of ``swendsen_wang_sweeps`` and ``wolff_sweeps``."""

from collections.abc import Iterator
from typing import Any

import torch

from ..inputs.case import PHILOX_OPERATIONS, Call, Case, Model, Size
from ..inputs.random import integers, normal, states
from .op import swendsen_wang_sweeps_op, wolff_sweeps_op

__all__ = ["OPS", "SWEEPS", "measured", "small", "symmetric", "watched"]

OPS = ("swendsen_wang_sweeps", "wolff_sweeps")
SWEEPS = 4
"""Sweeps of one call that is measured."""

LABELLING = 20
"""Operations per bond to find the clusters."""


def measured(op: str, size: Size, model: Model) -> Case:
    """Return the case of :data:`SWEEPS` sweeps."""
    x = states(size, model.q)
    arguments = {
        "configurations": x,
        **model.tables(),
        "beta": model.beta,
        "reflection": False,
        "walkers": size.indices,
        "first_sweep": 0,
        "sweeps": SWEEPS,
        "seed": size.seed,
    }
    updates = SWEEPS * x.numel()
    bonds = updates * model.ndim
    words = bonds
    if op == "swendsen_wang_sweeps":
        words += updates
    operations = bonds * LABELLING + words * (PHILOX_OPERATIONS // 4)
    by_walker = frozenset({"configurations", "walkers"})
    return Case(op, model.name, size, arguments, by_walker, operations, words=words, flips=updates)


def symmetric(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    walkers: int,
    q: int = 2,
    reflection: bool = False,
    kind: str = "uniform",
    field: str = "",
) -> dict[str, Any]:
    """Return arguments of Wolff's updates, for a model that has the symmetry.

    Args:
        shape: Of the lattice.
        periodic: Its boundaries.
        walkers: Their number.
        q: States of a site.
        reflection: Whether the model is a clock model, else one of equal and other states.
        kind: Couplings: ``uniform``, ``axes``, ``antiferromagnet``, ``signs``, ``normal``, or
            ``walkers``, for each its own.
        field: ``""``, ``uniform`` or ``sites``.
    """
    ndim = len(shape)
    ones = (1,) * ndim
    couplings = {
        "uniform": torch.ones(1, 1, *ones, dtype=torch.float64),
        "axes": 0.3 + torch.arange(ndim, dtype=torch.float64).view(1, ndim, *ones) / 4,
        "antiferromagnet": -torch.ones(1, 1, *ones, dtype=torch.float64),
        "signs": normal(1, ndim, *shape, seed=11).sign(),
        "normal": normal(1, ndim, *shape, seed=12),
        "walkers": normal(walkers, 1, *shape, seed=13),
    }
    fields = {
        "": torch.zeros(1, q, *ones, dtype=torch.float64),
        "uniform": 0.05 * normal(1, q, *ones, seed=14),
        "sites": normal(1, q, *shape, seed=15),
    }
    state = torch.arange(q)
    table = torch.eye(q, dtype=torch.float64)
    if q == 2:
        table = 2 * table - 1
    if reflection:
        angle = 2 * torch.pi * (state.unsqueeze(1) - state).double() / q
        table = angle.cos()
    return {
        "configurations": integers(q, walkers, *shape, seed=16),
        "coupling": couplings[kind],
        "bond_table": table,
        "site_table": fields[field],
        "beta": torch.linspace(0.3, 0.9, walkers, dtype=torch.float64),
        "periodic": periodic,
        "reflection": reflection,
        "walkers": torch.arange(walkers) * 7 + 2**31 - 8,
        "first_sweep": 2**31 - 2,
        "sweeps": 3,
        "seed": 2**32 - 9,
    }


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = symmetric((3, 5), (True, False), 4)
    return {
        "swendsen_wang_sweeps": (swendsen_wang_sweeps_op, given),
        "wolff_sweeps": (wolff_sweeps_op, given),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    given = symmetric(shape, periodic, walkers)
    yield swendsen_wang_sweeps_op, given
    yield wolff_sweeps_op, given
