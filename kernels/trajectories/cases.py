"""Inputs of ``quartic_trajectories`` for tests, benchmarks and memory checks."""

from collections.abc import Iterator
from typing import Any

import torch

from ..inputs.case import PHILOX_OPERATIONS, Call, Case, Size
from ..inputs.random import noise, normal
from .modes import squared_momenta
from .op import quartic_trajectories_op

__all__ = ["LEAPFROGS", "OPS", "arguments", "measured", "small", "watched"]

OPS = ("quartic_trajectories",)

LEAPFROGS = 3
"""Leapfrogs of the trajectory that is measured."""


def arguments(
    shape: tuple[int, ...],
    walkers: int,
    dtype: torch.dtype = torch.float32,
    by_mode: bool = True,
    own: bool = False,
) -> dict[str, Any]:
    """Return random arguments, most trajectories of which are accepted.

    Args:
        shape: Shape of the lattice.
        walkers: Number of walkers.
        dtype: Type of the fields.
        by_mode: Whether modes have masses of their own.
        own: Whether each walker has couplings of its own.
    """
    leading = 1
    if own:
        leading = walkers
    scales = torch.full((1,), 0.1, dtype=torch.float64)
    if by_mode:
        scales = 0.3 / (squared_momenta(shape, torch.device("cpu")) + 0.87).sqrt()
    return {
        "configurations": 0.5 * normal(walkers, *shape, seed=1).to(dtype),
        "mass_squared": -4.0 + 0.3 * normal(leading, seed=2),
        "quartic": 5.0 + 0.3 * normal(leading, seed=3).abs(),
        "scales": scales,
        "leapfrogs": LEAPFROGS,
        "walkers": torch.arange(walkers) * 7 + 2**31 - 8,
        "first_sweep": 2**31 - 2,
        "sweeps": 2,
        "seed": 2**32 - 9,
    }


def measured(op: str, size: Size) -> Case:
    """Return the case of one trajectory, in float32."""
    given = arguments(size.shape, 1)
    given["configurations"] = 0.5 * noise(size, 1, size.walkers, *size.shape)
    given["walkers"] = size.indices
    given["sweeps"] = 1
    given = {
        name: value.to(size.device) if isinstance(value, torch.Tensor) else value
        for name, value in given.items()
    }
    sites = size.walkers * size.sites
    # Two transforms a leapfrog and one before, a product of as many terms as the axis has sites.
    transforms = sites * sum(2 * length for length in size.shape) * (2 * LEAPFROGS + 1)
    operations = transforms + sites * (PHILOX_OPERATIONS // 4 + 20 * LEAPFROGS)
    by_walker = frozenset({"configurations", "walkers"})
    # Energies in float64 of fields that are rounded to float32 in another order.
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-4}
    return Case(op, "", size, given, by_walker, operations, words=sites, tolerance=tolerance)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = arguments((3, 5), 4, torch.float64, own=True)
    return {"quartic_trajectories": (quartic_trajectories_op, given)}


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    for by_mode in (False, True):
        yield quartic_trajectories_op, arguments(shape, walkers, by_mode=by_mode, own=True)
    # Programs of every size hold lattices of up to as many sites.
    for small_shape in ((4, 4), (8, 16), (16, 16)):
        yield quartic_trajectories_op, arguments(small_shape, walkers)
