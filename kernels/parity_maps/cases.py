"""Inputs of ``parity_map``."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch

from ..inputs.case import Call, Case, Size
from ..inputs.random import noise, normal
from .op import parity_map_op

__all__ = ["OPS", "measured", "passing", "small", "watched"]

OPS = ("parity_map",)

REACH = 3
"""Taps are all sites of the other sublattice within so many steps along every axis."""


def passing(
    shape: tuple[int, ...],
    walkers: int,
    width: int = 24,
    reach: int = REACH,
    steps: tuple[float, ...] = (0.05, 0.1, 0.05),
    dtype: torch.dtype = torch.float32,
    weights: torch.dtype = torch.float32,
    seed: int = 0,
) -> dict[str, Any]:
    """Return random arguments of ``parity_map``, activations of order one.

    Args:
        shape: even lengths.
        walkers: their number.
        width: hidden width.
        reach: of the windows.
        steps: of the passes, which are of the even and the odd sites in turn.
        dtype: of the fields.
        weights: of the network.
        seed: of all of them.
    """
    sites = math.prod(shape)
    index = torch.arange(sites).view(*shape)
    axes = tuple(range(len(shape)))
    columns: list[torch.Tensor] = []
    for offset in itertools.product(range(-reach, reach + 1), repeat=len(shape)):
        # An odd number of steps away: the other sublattice.
        if sum(offset) % 2 == 1:
            columns.append(index.roll(offset, axes).flatten())
    places = torch.meshgrid(*[torch.arange(length) for length in shape], indexing="ij")
    colour = torch.stack(places).sum(0).flatten() % 2
    sublattices = torch.stack([(colour == parity).nonzero().squeeze(1) for parity in (0, 1)])
    taps = len(columns)
    sizes: dict[str, tuple[int, ...]] = {
        "own": (width,),
        "taps": (width, taps),
        "mean": (width,),
        "hidden": (width, width),
        "readout": (width,),
    }
    terms = {"taps": taps, "hidden": width, "readout": width}
    given: dict[str, Any] = {
        "configurations": normal(walkers, *shape, seed=seed).to(dtype),
        "sublattices": sublattices,
        "windows": torch.stack(columns, 1)[sublattices],
    }
    for use, (name, size) in enumerate(sizes.items()):
        values = normal(*size, seed=seed + use + 1) / terms.get(name, 1) ** 0.5
        given[name] = values.to(weights)
    parities = tuple(number % 2 for number in range(len(steps)))
    return given | {"parities": parities, "steps": steps}


def measured(op: str, size: Size) -> Case:
    """Return the case of the three passes of a map, in float32, on even lengths."""
    given = passing(size.shape, 1)
    given["configurations"] = 0.5 * noise(size, 1, size.walkers, *size.shape)
    given = {
        name: value.to(size.device) if isinstance(value, torch.Tensor) else value
        for name, value in given.items()
    }
    width, taps = given["taps"].shape
    # Each of the three passes moves half of the sites.
    moved = size.walkers * size.sites * 3 // 2
    # Products of the taps and of the hidden layer, and of its tangent, a sum with each.
    operations = moved * (2 * width * (taps + 2) + 4 * width * width + 20 * width)
    # Sums in another order, and a hyperbolic tangent of a rational function.
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-4}
    by_walker = frozenset({"configurations"})
    return Case(op, "", size, given, by_walker, operations, tolerance=tolerance)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    return {"parity_map": (parity_map_op, passing((4, 6), 3, width=5, reach=1))}


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    # Two sublattices are of even lengths, all periodic.
    even = tuple(length + length % 2 for length in shape)
    for width in (16, 24, 40):
        for dtype in (torch.float32, torch.float64):
            yield parity_map_op, passing(even, walkers, width=width, dtype=dtype)
