"""Distances between samples of two distributions on ``ℝᵈ``."""

from .wasserstein import sliced_wasserstein, wasserstein

__all__ = ["sliced_wasserstein", "wasserstein"]
