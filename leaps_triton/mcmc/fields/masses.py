"""Masses of the modes of a lattice, one for all that its symmetries make alike."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ...kernels.trajectories.modes import transform

__all__ = ["as_masses", "masses_of", "orbits", "scales_of", "squares"]


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def orbits(shape: tuple[int, ...]) -> tuple[Tensor, int]:
    """Return the number of each mode's orbit, int64 ``(*shape)``, and how many orbits there are.

    Modes are alike if reflections of axes, and exchanges of axes of one length, lead from one to
    the other.

    Args:
        shape: lengths of a periodic lattice.

    Example:
        >>> orbits((4,))
        (tensor([0, 1, 2, 1]), 3)
    """
    coordinates = []
    for axis, length in enumerate(shape):
        mode = torch.arange(length)
        # A mode and its opposite are alike.
        folded = torch.minimum(mode, length - mode)
        along = [1] * len(shape)
        along[axis] = length
        coordinates.append(folded.view(along).expand(shape))
    stacked = torch.stack(coordinates)
    for length in set(shape):
        alike = [axis for axis, other in enumerate(shape) if other == length]
        stacked[alike] = stacked[alike].sort(dim=0).values
    key = torch.zeros(shape, dtype=torch.int64)
    for folded in stacked:
        key = key * (max(shape) + 1) + folded
    found, number = key.unique(return_inverse=True)
    return number, len(found)


def squares(configurations: Tensor) -> Tensor:
    """Return the mean of ``|φ_k|²`` over walkers and over each orbit, float64 ``(orbits,)``.

    Args:
        configurations: ``(walkers, *shape)``.
    """
    number, count = orbits(tuple(configurations.shape[1:]))
    modes = transform(configurations.double())
    # Real modes of k and -k mix the two, whose squares have one mean.
    mean = modes.square().mean(0).flatten().cpu()
    total = torch.zeros(count, dtype=torch.float64).index_add(0, number.flatten(), mean)
    return total / number.flatten().bincount(minlength=count)


def masses_of(variances: Tensor) -> tuple[float, ...]:
    """Return the masses ``1 / (2 ⟨|φ_k|²⟩)`` to four digits, as a move keeps them.

    Args:
        variances: ``⟨|φ_k|²⟩`` of every orbit, float64 ``(orbits,)``.
    """
    masses = (0.5 / variances).tolist()
    # More digits would be those of one burn-in.
    return tuple(float(f"{mass:.4g}") for mass in masses)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def scales_of(
    shape: tuple[int, ...], masses: tuple[float, ...] | None, step: float, device: torch.device
) -> Tensor:
    """Return the step over the root of the mass, float64 ``(*shape)``, or ``(1,)`` without masses.

    Args:
        shape: lengths of the lattice.
        masses: one for each orbit of modes; None for 1.
        step: length of a leapfrog.
        device: where it is to be.

    Raises:
        ValueError: masses that are not as many as the orbits.
    """
    if masses is None:
        return torch.full((1,), step, dtype=torch.float64, device=device)
    number, count = orbits(shape)
    if len(masses) != count:
        raise ValueError(
            f"masses must be {count} numbers for the modes of a lattice {shape}, got "
            f"{len(masses)}; they are those of another lattice: leave them out"
        )
    table = step / torch.tensor(masses, dtype=torch.float64).sqrt()
    return table[number].to(device)


def as_masses(masses: Sequence[float] | None) -> tuple[float, ...] | None:
    """Return masses as a tuple of numbers above 0, None for None.

    Raises:
        ValueError: one of them is no such number.
    """
    if masses is None:
        return None
    found = tuple(float(mass) for mass in masses)
    if not found or not all(math.isfinite(mass) and mass > 0.0 for mass in found):
        raise ValueError(f"masses must be positive numbers, or None, got {masses!r}")
    return found
