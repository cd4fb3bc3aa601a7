"""Drifts of fields: what moves walkers of floating-point configurations along a path."""

from .base import Drift
from .gaussian import GaussianDrift
from .hollow import HollowDrift, Pointwise

__all__ = ["Drift", "GaussianDrift", "HollowDrift", "Pointwise"]
