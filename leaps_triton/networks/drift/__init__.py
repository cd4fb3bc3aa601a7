"""Drifts of fields and vectors: what moves walkers of real numbers along a path."""

from .base import Drift
from .foreign import ForeignDrift
from .gaussian import GaussianDrift
from .gradient import GradientDrift
from .hollow import HollowDrift, Pointwise
from .vectors import DenseDrift, HollowDenseDrift

__all__ = [
    "DenseDrift",
    "Drift",
    "ForeignDrift",
    "GaussianDrift",
    "GradientDrift",
    "HollowDenseDrift",
    "HollowDrift",
    "Pointwise",
]
