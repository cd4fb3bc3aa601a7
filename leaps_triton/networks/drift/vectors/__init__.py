"""Drifts of vectors, whose coordinates stand in no order: dense and hollow ones."""

from .dense import DenseDrift
from .halves import HollowDenseDrift

__all__ = ["DenseDrift", "HollowDenseDrift"]
