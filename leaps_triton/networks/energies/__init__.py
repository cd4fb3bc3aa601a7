"""Learned energies, which bend the curve of densities between the two ends of a path."""

from .learned import LearnedEnergy

__all__ = ["LearnedEnergy"]
