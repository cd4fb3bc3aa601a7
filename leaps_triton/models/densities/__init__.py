"""Densities of low and middle dimension, of most of which log Z and samples are known exactly."""

from .base import Density, DensityModel
from .mixtures import GaussianMixture

__all__ = ["Density", "DensityModel", "GaussianMixture"]
