"""Starts of independent coordinates, Gaussian or Laplace, which are sampled exactly."""

import math
from typing import Any, Self

import torch
from torch import Tensor

from .. import kernels
from ..kernels import Stream, philox, uniform64
from ..kernels.checks import as_number, is_positive
from ..models.densities.base import DensityModel
from ..models.energy_only import as_given
from ..registry import register

__all__ = ["Gaussian", "IndependentStart", "Laplace", "broad"]


class IndependentStart:
    """The base of starts whose coordinates are independent and alike, of one width.

    It has no shape until :meth:`on` gives it that of a model, as a path does.

    Args:
        scale: the width, above 0.

    Attributes:
        scale: the width.
        shape: of one configuration, that of the model; None before.
        dtype: type of configurations, that of the model.

    Raises:
        ValueError: ``scale`` is not above 0.
    """

    def __init__(self, scale: float = 1.0) -> None:
        name = f"scale of {type(self).__name__}"
        self.scale = as_number(name, scale, "a positive number", is_positive)
        self.shape: tuple[int, ...] | None = None
        self.dtype: torch.dtype = torch.float64

    def __repr__(self) -> str:
        return f"{type(self).__name__}(scale={self.scale})"

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the start again, as files keep it."""
        return {"scale": self.scale}

    def on(self, model: Any) -> Self:
        """Return the same start for the configurations of a model.

        Args:
            model: its configurations are real numbers.

        Raises:
            ValueError: they are not.
        """
        if not model.dtype.is_floating_point:
            raise ValueError(
                f"{type(self).__name__} needs a model of real numbers, got "
                f"{type(as_given(model)).__name__} of {model.dtype}; leave start= out"
            )
        found = type(self)(self.scale)
        found.shape = tuple(model.shape)
        found.dtype = model.dtype
        return found

    @property
    def coordinates(self) -> int:
        """Number of coordinates."""
        if self.shape is None:
            raise ValueError(
                f"{self!r} has no shape yet; give it that of a model with .on(model), or give it "
                f"to AnnealingPath(model, start=…)"
            )
        return math.prod(self.shape)

    @property
    def log_z(self) -> float:
        """``log Z_0``."""
        return self.coordinates * self._log_unit()

    def sample(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return independent configurations ``(walkers, *shape)``, exactly distributed.

        Args:
            walker_index: global indices of the walkers, int64 ``(walkers,)``.
            seed: in [0, 2³²).
        """
        count = self.coordinates
        assert self.shape is not None
        drawn = self.scale * self._unit(walker_index, count, seed)
        return drawn.view(len(walker_index), *self.shape).to(self.dtype)

    def _log_unit(self) -> float:
        """Return the part of one coordinate in ``log Z_0``."""
        raise NotImplementedError

    def _unit(self, walker_index: Tensor, count: int, seed: int) -> Tensor:
        """Return coordinates at a width of 1, float64 ``(walkers, count)``."""
        raise NotImplementedError


@register("start")
class Gaussian(IndependentStart):
    """Independent normal numbers, ``U_0(x) = |x|² / 2s²`` and ``log Z_0 = (d/2) log 2πs²``.

    A start of paths to a density.

    Args:
        scale: ``s``, above 0.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.GaussianMixture.two(), start=lt.Gaussian(1.0))
        >>> round(path.start.log_z, 12)
        0.918938533205
    """

    def energy(self, configurations: Tensor) -> Tensor:
        """Return ``U_0(x)``, float64 ``(walkers,)``; values are not checked."""
        squares = configurations.double().flatten(1).square().sum(1)
        return squares / (2.0 * self.scale**2)

    def force(self, configurations: Tensor) -> Tensor:
        """Return ``-∇U_0(x)``, like the configurations, the values of which are not checked."""
        return configurations / -(self.scale**2)

    def _log_unit(self) -> float:
        return 0.5 * math.log(2.0 * math.pi * self.scale**2)

    def _unit(self, walker_index: Tensor, count: int, seed: int) -> Tensor:
        return kernels.normals(seed, Stream.START, 0, 0, walker_index, count, torch.float64)


def broad(model: DensityModel) -> Gaussian:
    """Return the start of chains of a density that are given none: its extent is three widths.

    Args:
        model: the density.
    """
    return Gaussian(model.extent / 3.0)


@register("start")
class Laplace(IndependentStart):
    """Independent numbers of ``U_0(x) = Σ_i |x_i| / s``, with ``log Z_0 = d log 2s``.

    A start of paths to a density.

    Args:
        scale: ``s``, above 0.

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.GaussianMixture.two(), start=lt.Laplace(1.0))
        >>> round(path.start.log_z, 12)
        0.69314718056
    """

    def energy(self, configurations: Tensor) -> Tensor:
        """Return ``U_0(x)``, float64 ``(walkers,)``; values are not checked."""
        return configurations.double().flatten(1).abs().sum(1) / self.scale

    def force(self, configurations: Tensor) -> Tensor:
        """Return ``-∇U_0(x)``, like the configurations, the values of which are not checked."""
        return configurations.sign() / -self.scale

    def _log_unit(self) -> float:
        return math.log(2.0 * self.scale)

    def _unit(self, walker_index: Tensor, count: int, seed: int) -> Tensor:
        site = torch.arange(count, device=walker_index.device)
        index = walker_index.unsqueeze(1)
        words = philox(seed, Stream.START, site, 0, 0, index, index.device)
        # Two words make the magnitude, a bit of the third the sign.
        magnitude = -torch.log(uniform64(words[0], words[1]))
        return torch.where(words[2] >> 31 == 1, magnitude, -magnitude)
