"""Inputs of the ops of real fields for tests, benchmarks and memory checks."""

from collections.abc import Iterator
from typing import Any

import torch

from ..inputs.case import Call, Case, Size
from ..inputs.random import noise, normal
from .op import action_and_force_op, lattice_action_op, site_potential_op

__all__ = ["OPS", "fields", "measured", "of_potential", "small", "watched"]

OPS = ("lattice_action", "action_and_force", "site_potential")


def fields(
    shape: tuple[int, ...],
    walkers: int,
    dtype: torch.dtype = torch.float32,
    own: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Return random arguments of ``action_and_force``.

    Args:
        shape: Shape of the lattice.
        walkers: Number of walkers.
        dtype: Type of the fields.
        own: Whether each walker has couplings of its own.
        seed: Of all of them.
    """
    leading = 1
    if own:
        leading = walkers
    return {
        "configurations": normal(walkers, *shape, seed=seed).to(dtype),
        "mass_squared": normal(leading, seed=seed + 1),
        "quartic": normal(leading, seed=seed + 2).abs(),
    }


def of_potential(given: dict[str, Any]) -> dict[str, Any]:
    """Return the same as arguments of ``site_potential``."""
    renamed = dict(given)
    renamed["quadratic"] = renamed.pop("mass_squared")
    return renamed


def measured(op: str, size: Size) -> Case:
    """Return the case of an op on fields in float32."""
    one = torch.ones(1, dtype=torch.float64, device=size.device)
    arguments = {
        "configurations": noise(size, 1, size.walkers, *size.shape),
        "mass_squared": -4.0 * one,
        "quartic": 5.0 * one,
    }
    # The square, two products and a sum, and the sum over sites.
    operations = 5
    if op == "site_potential":
        arguments = of_potential(arguments)
    else:
        # Two neighbours per direction, and their product with the site.
        operations += 2 * len(size.shape) + 2
    if op == "action_and_force":
        operations += 5
    by_walker = frozenset({"configurations"})
    work = size.walkers * size.sites * operations
    return Case(op, "", size, arguments, by_walker, work)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = fields((3, 5), 4, torch.float64, own=True)
    return {
        "lattice_action": (lattice_action_op, given),
        "action_and_force": (action_and_force_op, given),
        "site_potential": (site_potential_op, of_potential(given)),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    for dtype in (torch.float32, torch.float64):
        given = fields(shape, walkers, dtype, own=True)
        yield lattice_action_op, given
        yield action_and_force_op, given
        yield site_potential_op, of_potential(given)
