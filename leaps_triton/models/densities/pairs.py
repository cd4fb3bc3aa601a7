"""Two peaks of a Laplace law on a line, between which a linear path moves mass badly."""

import math
from typing import Any

import torch
from torch import Tensor

from ...kernels import Stream, philox, uniform64
from ...kernels.checks import as_number, is_positive
from ...registry import register
from .base import DensityModel

__all__ = ["LaplacePair"]


@register("model")
class LaplacePair(DensityModel):
    """``H(x) = min(|x|, |x - m|)`` on a line: equal peaks at 0 and ``m``.

    From the start ``Laplace(1.0)``, that is from the peak at 0, half of the mass has to move to the
    other peak. Along the linear path it does so late, and ever faster as ``m`` grows:
    :func:`leaps_triton.exact.laplace_velocity_norm`.

    Args:
        separation: ``m``, above 0.
        dtype: type of configurations, ``torch.float64`` or ``torch.float32``, or its name.

    Attributes:
        separation: ``m``.
        log_z: ``log(4 - 2 e^{-m/2})``.

    Raises:
        ValueError: an argument is not as above.

    References:
        Máté, Fleuret, *Learning interpolations between Boltzmann densities*, TMLR (2023).

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.LaplacePair(separation=8.0)
        >>> path = lt.AnnealingPath(model, start=lt.Laplace(1.0))
        >>> model.energy(torch.tensor([[3.0], [7.0]], dtype=torch.float64)).tolist()
        [3.0, 1.0]
    """

    def __init__(self, separation: float, dtype: torch.dtype | str = torch.float64) -> None:
        self.separation = as_number("separation", separation, "a positive number", is_positive)
        # What a peak lacks beyond the middle, where the other begins.
        self._missing = math.exp(-self.separation / 2.0)
        self.log_z = math.log(4.0 - 2.0 * self._missing)
        self._halves = torch.full((2,), 0.5, dtype=torch.float64)
        super().__init__(1, self.separation + 4.0, dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(separation={self.separation:g})"

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the model again, as files keep it."""
        dtype = str(self.dtype).removeprefix("torch.")
        return {"separation": self.separation, "dtype": dtype}

    def log_density(self, configurations: Tensor) -> Tensor:
        """Return ``-H(x)``, float64 ``(walkers,)``; values are not checked."""
        x = configurations.double()[:, 0]
        return -torch.minimum(x.abs(), (x - self.separation).abs())

    def force(self, configurations: Tensor) -> Tensor:
        """Return ``-∇H(x)``, 0 at the peaks, like the configurations; values are not checked."""
        x = configurations
        nearest = torch.where(x > self.separation / 2.0, self.separation, 0.0).to(x.dtype)
        return -(x - nearest).sign()

    @property
    def mode_weights(self) -> Tensor:
        """Exact masses of :meth:`modes`, one half each, float64 ``(2,)``."""
        return self._halves

    def modes(self, configurations: Tensor) -> Tensor:
        """Return 0 for the peak at 0 and 1 for that at ``m``, int64 ``(walkers,)``.

        Args:
            configurations: ``(walkers, 1)``.
        """
        return (configurations[:, 0] > self.separation / 2.0).long()

    def _draws(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return exact samples, float64 ``(walkers, 1)``."""
        words = philox(seed, Stream.EXACT, 0, 0, 1, walker_index, walker_index.device)
        # The mass of a peak is 1 on its outer side, 1 - e^{-m/2} on its inner one.
        mass = uniform64(words[0], words[1]) * (2.0 - self._missing)
        outer = torch.log(mass.clamp(max=1.0))
        inner = -torch.log((2.0 - mass).clamp(max=1.0))
        away = outer + inner
        # The other peak is the mirror image.
        mirrored = words[2] >> 31 == 1
        return torch.where(mirrored, self.separation - away, away).unsqueeze(1)
