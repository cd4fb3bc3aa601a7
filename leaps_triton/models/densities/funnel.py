"""Neal's funnel: a width that is itself random."""

import math
from typing import Any

import torch
from torch import Tensor

from ... import kernels
from ...kernels import Stream
from ...kernels.checks import as_integer, as_number, is_positive
from ...registry import register
from .base import DensityModel

__all__ = ["Funnel"]


@register("model")
class Funnel(DensityModel):
    """``x_1 ~ N(0, s²)``, and the others given it independent, ``x_i ~ N(0, e^{x_1})``; normalised.

    Args:
        dim: number of coordinates, at least 2.
        scale: ``s``, above 0. Papers take 3, as here, or 1.
        dtype: type of configurations, ``torch.float64`` or ``torch.float32``, or its name.

    Attributes:
        scale: ``s``.
        log_z: 0.

    Raises:
        ValueError: an argument is not as above.

    References:
        Neal, *Slice sampling*, Ann. Stat. 31, 705 (2003).

    Example:
        >>> Funnel(dim=10, scale=3.0).sample(walkers=5, seed=0).shape
        torch.Size([5, 10])
    """

    log_z = 0.0

    def __init__(
        self,
        dim: int = 10,
        scale: float = 3.0,
        dtype: torch.dtype | str = torch.float64,
    ) -> None:
        self.scale = as_number("scale", scale, "a positive number", is_positive)
        super().__init__(as_integer("dim", dim, 2), 3.0 * self.scale, dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim}, scale={self.scale:g})"

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the model again, as files keep it."""
        dtype = str(self.dtype).removeprefix("torch.")
        return {"dim": self.dim, "scale": self.scale, "dtype": dtype}

    def log_density(self, configurations: Tensor) -> Tensor:
        """Return ``log ρ(x)``, float64 ``(walkers,)``; values are not checked."""
        x = configurations.double()
        first = x[:, 0]
        squares = x[:, 1:].square().sum(1)
        others = self.dim - 1
        # All normalisers of Gaussians but the width of the others, which is e^{x_1/2}.
        constant = 0.5 * self.dim * math.log(2.0 * math.pi) + math.log(self.scale)
        neck = 0.5 * (first / self.scale).square()
        return -neck - 0.5 * (others * first + squares * torch.exp(-first)) - constant

    def force(self, configurations: Tensor) -> Tensor:
        """Return ``∇ log ρ(x)``, like the configurations, the values of which are not checked."""
        x = configurations
        first = x[:, :1]
        rest = x[:, 1:]
        narrowness = torch.exp(-first)
        pushed = rest.square().sum(1, keepdim=True) * narrowness - (self.dim - 1)
        along = 0.5 * pushed - first / self.scale**2
        return torch.cat([along, -rest * narrowness], dim=1)

    def _draws(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return exact samples, float64 ``(walkers, dim)``."""
        normal = kernels.normals(seed, Stream.EXACT, 0, 2, walker_index, self.dim, torch.float64)
        first = self.scale * normal[:, :1]
        return torch.cat([first, normal[:, 1:] * torch.exp(0.5 * first)], dim=1)
