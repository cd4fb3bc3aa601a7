"""Drifts of fields: what moves walkers of floating-point configurations along a path."""

from .base import Drift
from .foreign import ForeignDrift
from .gaussian import GaussianDrift
from .gradient import GradientDrift
from .hollow import HollowDrift, Pointwise

__all__ = ["Drift", "ForeignDrift", "GaussianDrift", "GradientDrift", "HollowDrift", "Pointwise"]
