"""Inputs of the op ``hollow_values``."""

from typing import Any

import torch

from kernel_cases import normal


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
    """Random arguments of hollow_values, activations of order one.

    ``tables``: "own" (couplings and fields of each walker), "shared", "uniform" (one value for all
    sites). ``times``: "own" (of each walker) or "shared".
    """
    embedded = 1 if q == 2 else q
    leading, axes = (walkers if tables == "own" else 1), (1 if tables == "uniform" else len(shape))
    lengths = (1,) * len(shape) if tables == "uniform" else shape
    inputs = channels + embedded * (2 + int(magnetization) + 2 * modes) + 6
    sizes: dict[str, tuple[int, ...]] = {
        "coupling": (leading, axes, *lengths),
        "field": (leading, q, *lengths),
        "time": (walkers if times == "own" else 1, 6),
        "conv": (channels, embedded, *(kernel_size,) * len(shape)),
        "first": (width, inputs),
        "hidden_weight": (width, width),
        "hidden_bias": (width,),
        "readout_weight": (q, width),
        "readout_bias": (q,),
        "skip": (),
    }
    scale = {
        "conv": embedded * kernel_size ** len(shape),
        "first": inputs / 4,
        "hidden_weight": width / 4,
    }
    given: dict[str, Any] = {
        name: (normal(*size, seed=seed + use) / scale.get(name, 1) ** 0.5).to(dtype)
        for use, (name, size) in enumerate(sizes.items())
    }
    generator = torch.Generator().manual_seed(seed)
    return {
        "configurations": torch.randint(
            q, (walkers, *shape), generator=generator, dtype=torch.int8
        ),
        **given,
        "periodic": periodic,
        "magnetization": magnetization,
        "modes": modes,
    }


def double(given: dict[str, Any]) -> dict[str, Any]:
    """The same in float64."""
    return {
        n: v.double() if isinstance(v, torch.Tensor) and v.is_floating_point() else v
        for n, v in given.items()
    }


def moved(x: torch.Tensor, site: int, shift: int, q: int) -> torch.Tensor:
    """One configuration ``(1, *shape)`` after the move of one site."""
    flat = x.flatten().clone()
    flat[site] = (flat[site] + shift) % q
    return flat.view_as(x)
