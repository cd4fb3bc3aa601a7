"""Waves of periodic lattices, and linear maps that are diagonal in Fourier space."""

import torch
from torch import Tensor

from ..kernels.trajectories.modes import squared_momenta

__all__ = ["filtered", "squared_momenta"]


def filtered(configurations: Tensor, factors: Tensor) -> Tensor:
    """Return fields with each wave multiplied by its factor.

    Args:
        configurations: ``(walkers, *shape)``, floating-point.
        factors: real, the same at ``k`` and ``-k``, ``(*shape)`` or ``(1 | walkers, *shape)``.

    Returns:
        ``(walkers, *shape)``, in the type of the configurations.
    """
    # Fourier transforms refuse batches of nothing.
    if not len(configurations):
        return configurations.clone()
    shape = configurations.shape[1:]
    axes = tuple(range(1, configurations.ndim))
    # Of real fields half of the waves tell all; the last axis is halved.
    half = factors[..., : shape[-1] // 2 + 1].to(configurations.dtype)
    waves = torch.fft.rfftn(configurations, dim=axes)
    return torch.fft.irfftn(waves * half, s=shape, dim=axes)
