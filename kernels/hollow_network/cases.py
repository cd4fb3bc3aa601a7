"""Inputs of ``hollow_values`` and of its gradient."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..checks import PRECISIONS
from ..inputs.case import Call
from ..inputs.random import integers, normal
from .op import hollow_values_gradient_op, hollow_values_op

__all__ = ["double", "moved", "network", "small", "watched"]

TIMES = 6
"""Features of the time."""


def _inputs(q: int, channels: int, modes: int, magnetization: bool) -> int:
    features = 2 + 2 * modes
    if magnetization:
        features += 1
    return channels + _embedded(q) * features + TIMES


def _embedded(q: int) -> int:
    """Return the channels of the embedding: two states are one of ±1."""
    if q == 2:
        return 1
    return q


def network(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    q: int,
    walkers: int,
    kernel_size: int = 3,
    channels: int = 5,
    width: int = 12,
    modes: int = 2,
    magnetization: bool = True,
    tables: str = "shared",
    times: str = "own",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> dict[str, Any]:
    """Return random arguments of ``hollow_values``, activations of order one.

    Args:
        shape: Shape of the lattice.
        periodic: One bool per direction.
        q: States of a site.
        walkers: Number of walkers.
        kernel_size: Odd.
        channels: Channels of the convolution.
        width: Hidden width.
        modes: Waves.
        magnetization: Whether it is a feature.
        tables: "own" (couplings and fields per walker), "shared", "uniform" (one value for all
            sites).
        times: "own" (per walker) or "shared".
        dtype: Of all floating-point tensors.
        seed: Of all of them.
    """
    embedded = _embedded(q)
    inputs = _inputs(q, channels, modes, magnetization)
    leading = 1
    if tables == "own":
        leading = walkers
    rows = 1
    if times == "own":
        rows = walkers
    axes = len(shape)
    lengths = shape
    if tables == "uniform":
        axes = 1
        lengths = (1,) * len(shape)
    sizes: dict[str, tuple[int, ...]] = {
        "coupling": (leading, axes, *lengths),
        "field": (leading, q, *lengths),
        "time": (rows, TIMES),
        "conv": (channels, embedded, *(kernel_size,) * len(shape)),
        "first": (width, inputs),
        "hidden_weight": (width, width),
        "hidden_bias": (width,),
        "readout_weight": (q, width),
        "readout_bias": (q,),
        "skip": (),
    }
    # Terms of the sum that each of these makes, so that what it gives is of order one.
    terms = {
        "conv": embedded * kernel_size ** len(shape),
        "first": inputs / 4,
        "hidden_weight": width / 4,
    }
    given: dict[str, Any] = {"configurations": integers(q, walkers, *shape, seed=seed)}
    for use, (name, size) in enumerate(sizes.items()):
        values = normal(*size, seed=seed + use) / terms.get(name, 1) ** 0.5
        given[name] = values.to(dtype)
    return given | {"periodic": periodic, "magnetization": magnetization, "modes": modes}


def double(given: dict[str, Any]) -> dict[str, Any]:
    """Return the same in float64."""
    wide = dict(given)
    for name, value in given.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            wide[name] = value.double()
    return wide


def moved(x: Tensor, site: int, shift: int, q: int) -> Tensor:
    """Return one configuration ``(1, *shape)`` after the move of one site."""
    flat = x.flatten().clone()
    flat[site] = (flat[site] + shift) % q
    return flat.view_as(x)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = network((3, 5), (True, False), 3, 4) | {"precision": "float32"}
    to_values = normal(4, 3, 3, 5, seed=7).float()
    return {
        "hollow_values": (hollow_values_op, given),
        "hollow_values_gradient": (hollow_values_gradient_op, {"to_values": to_values, **given}),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    for q in (2, 3):
        for precision in PRECISIONS["hollow_values"]:
            # Of a CPU alone.
            if precision == "bfloat16":
                continue
            given = network(shape, periodic, q, walkers) | {"precision": precision}
            to_values = normal(walkers, q, *shape, seed=7).float()
            yield hollow_values_op, given
            yield hollow_values_gradient_op, {"to_values": to_values, **given}
