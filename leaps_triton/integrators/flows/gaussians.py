"""Gaussian steps in the metric of a preconditioner, and what they cost."""

from typing import NamedTuple

from torch import Tensor

from ...lattices.waves import filtered

__all__ = ["Metric"]


class Metric(NamedTuple):
    """``K``, the covariance of noise per unit of ``2 ε h``: diagonal in Fourier space, or 1."""

    covariance: Tensor | None
    """``K(k)``, float64 ``(*shape)``; None for 1"""

    def spread(self, x: Tensor) -> Tensor:
        """Return ``K x``."""
        if self.covariance is None:
            return x
        return filtered(x, self.covariance)

    def widened(self, x: Tensor) -> Tensor:
        """Return ``√K x``: noise of covariance ``K`` from white noise."""
        if self.covariance is None:
            return x
        return filtered(x, self.covariance.sqrt())

    def whitened(self, x: Tensor) -> Tensor:
        """Return ``x / √K``."""
        if self.covariance is None:
            return x
        return filtered(x, self.covariance.rsqrt())

    def log_gaussian(self, difference: Tensor, variance: float) -> Tensor:
        """Return ``-x·K⁻¹·x / 2 v``: a Gaussian's logarithm, without its normalisation.

        Args:
            difference: ``x``, from its mean, float64 ``(walkers, *shape)``.
            variance: ``v``, the factor of ``K``.

        Returns:
            Float64 ``(walkers,)``.
        """
        squares = self.whitened(difference).flatten(1).square().sum(1)
        return squares * (-0.5 / variance)
