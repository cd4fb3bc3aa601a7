"""Mixtures of isotropic Gaussian modes, of which all is known."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ... import kernels
from ...kernels import Stream, philox, uniform64
from ...kernels.checks import expect, shown
from ...registry import register
from ..inputs import as_numbers, as_table, shape_of
from .base import DensityModel

__all__ = ["GaussianMixture"]

_FORTY = Path(__file__).with_name("gmm_40.csv")
"""Means of GMM-40, drawn once by ``(rand(40, 2) - ½) 80`` of torch in float32, of seed 0."""


class _Tables(NamedTuple):
    """What densities are computed from, on one device."""

    means: Tensor
    """``μ_k``, ``(modes, dim)``"""
    squares: Tensor
    """``σ_k²``, ``(modes,)``"""
    logs: Tensor
    """Of the weight and the normaliser of a mode, ``(modes,)``"""


@register("model")
class GaussianMixture(DensityModel):
    """A normalised mixture of Gaussian modes, ``ρ(x) = Σ_k w_k N(x; μ_k, σ_k² 1)``.

    Args:
        means: ``μ_k``, ``(modes, dim)``.
        scales: ``σ_k``, above 0: one number for all modes, or one per mode.
        weights: masses of the modes, above 0, in any unit; None for equal ones.
        dtype: type of configurations, ``torch.float64`` or ``torch.float32``, or its name.

    Attributes:
        means: ``μ_k``, float64 ``(modes, dim)``.
        scales: ``σ_k``, float64 ``(modes,)``.
        log_z: 0.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> model = GaussianMixture.two(separation=2.0)
        >>> model.sample(walkers=3, seed=0).shape
        torch.Size([3, 1])
        >>> model.mode_weights
        tensor([0.2000, 0.8000], dtype=torch.float64)
    """

    log_z = 0.0

    def __init__(
        self,
        means: Any,
        scales: Any,
        weights: Any = None,
        dtype: torch.dtype | str = torch.float64,
    ) -> None:
        self.means = _as_means(means)
        modes, dim = self.means.shape
        scales = as_numbers("scales", scales, (modes,), "one per mode")
        self.scales = _above_zero("scales", scales).expand(modes).contiguous()
        if weights is None:
            weights = [1.0] * modes
        given = _above_zero("weights", as_table("weights", weights, (modes,), "one per mode"))
        # As they were given: shares of shares may be others in the last digit.
        self._weights = given
        self._shares = given / given.sum()
        # Three deviations beyond the farthest mean.
        extent = float((self.means.abs().amax(1) + 3.0 * self.scales).max())
        super().__init__(dim, extent, dtype)
        self._sent: dict[torch.device, _Tables] = {}

    def _tables(self, device: torch.device) -> "_Tables":
        """Return what densities are computed from on a device, sent there once."""
        if device not in self._sent:
            # Tensors made in inference mode would serve no training afterwards.
            with torch.inference_mode(False):
                units = self.scales.log() + 0.5 * math.log(2.0 * math.pi)
                logs = self._shares.log() - self.dim * units
                tables = (self.means, self.scales.square(), logs)
                sent = [table.to(device) for table in tables]
                # Made within a derivative of torch.func they would be wrapped for that one alone.
                self._sent[device] = _Tables(*(torch.func.debug_unwrap(each) for each in sent))
        return self._sent[device]

    @classmethod
    def two(
        cls,
        separation: float = 2.0,
        scale: float = 0.5,
        weights: Sequence[float] = (0.2, 0.8),
        dtype: torch.dtype | str = torch.float64,
    ) -> "GaussianMixture":
        """Return two unequal modes on a line, at ``-separation`` and ``separation``.

        Args:
            separation: from 0 to each mode.
            scale: width of both.
            weights: their masses.
            dtype: type of configurations.
        """
        return cls([[-separation], [separation]], scale, weights, dtype)

    @classmethod
    def nine(cls, dtype: torch.dtype | str = torch.float64) -> "GaussianMixture":
        """Return GMM-9: nine equal modes at ``{-5, 0, 5}²``, of variance 0.3.

        Args:
            dtype: type of configurations.
        """
        means = list(itertools.product((-5.0, 0.0, 5.0), repeat=2))
        return cls(means, math.sqrt(0.3), None, dtype)

    @classmethod
    def forty(cls, dtype: torch.dtype | str = torch.float64) -> "GaussianMixture":
        """Return GMM-40: forty equal modes in ``[-40, 40]²``, of ``σ = log(1 + e) = 1.31326``.

        Args:
            dtype: type of configurations.

        References:
            Midgley, Stimper, Simm, Schölkopf, Hernández-Lobato, *Flow annealed importance sampling
            bootstrap*, ICLR (2023).
        """
        means = np.loadtxt(_FORTY, delimiter=",")
        return cls(means, math.log(1.0 + math.e), None, dtype)

    def __repr__(self) -> str:
        modes, dim = self.means.shape
        return f"{type(self).__name__}(<{modes} modes>, dim={dim})"

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the model again, as files keep it."""
        return {
            "means": self.means.tolist(),
            "scales": self.scales.tolist(),
            "weights": self._weights.tolist(),
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    @property
    def mode_weights(self) -> Tensor:
        """Exact masses ``w_k``, of sum 1, float64 ``(modes,)``."""
        return self._shares

    def log_density(self, configurations: Tensor) -> Tensor:
        """Return ``log ρ(x)``, float64 ``(walkers,)``; values are not checked."""
        return self._logs(configurations).logsumexp(1)

    def force(self, configurations: Tensor) -> Tensor:
        """Return ``∇ log ρ(x)``, like the configurations, the values of which are not checked."""
        x = configurations.double()
        tables = self._tables(x.device)
        # Shares of the modes in the density at x.
        shares = self._logs(x).softmax(1) / tables.squares
        pulled = shares @ tables.means - shares.sum(1, keepdim=True) * x
        return pulled.to(configurations.dtype)

    def _logs(self, configurations: Tensor) -> Tensor:
        """Return ``log w_k N(x; μ_k, σ_k²)``, float64 ``(walkers, modes)``."""
        x = configurations.double()
        tables = self._tables(x.device)
        away = (x.unsqueeze(1) - tables.means).square().sum(2)
        return tables.logs - 0.5 * away / tables.squares

    def modes(self, configurations: Tensor) -> Tensor:
        """Return the mode that each walker most probably is of, int64 ``(walkers,)``.

        Args:
            configurations: ``(walkers, dim)``.
        """
        return self._logs(configurations).argmax(1)

    def shares(self, configurations: Tensor) -> Tensor:
        """Return the probability of each mode given the walker, float64 ``(walkers, modes)``.

        Its mean is ``w_k`` however modes overlap, which the share of :meth:`modes` is not.

        Args:
            configurations: ``(walkers, dim)``.
        """
        return self._logs(configurations).softmax(1)

    def _draws(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return exact samples, float64 ``(walkers, dim)``."""
        device = walker_index.device
        words = philox(seed, Stream.EXACT, 0, 0, 1, walker_index, device)
        uniform = uniform64(words[0], words[1])
        law = self._shares.cumsum(0).to(device)
        # The last entry of the law is 1 but for rounding.
        mode = torch.searchsorted(law / law[-1], uniform).clamp(max=len(law) - 1)
        normal = kernels.normals(seed, Stream.EXACT, 0, 2, walker_index, self.dim, torch.float64)
        scale = self.scales.to(device)[mode].unsqueeze(1)
        return self.means.to(device)[mode] + scale * normal


def _as_means(means: Any) -> Tensor:
    """Return means as float64 ``(modes, dim)``."""
    shape = shape_of(means)
    expect(len(shape) == 2 and min(shape) > 0, "means", "numbers (modes, dim)", means)
    return as_table("means", means, shape, "modes by coordinates")


def _above_zero(name: str, values: Tensor) -> Tensor:
    """Return numbers that are all above 0, else raise a ValueError."""
    if not bool((values > 0.0).all()):
        raise ValueError(f"{name} must be above 0, got {shown(values.tolist())}")
    return values
