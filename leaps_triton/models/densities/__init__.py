"""Densities of low and middle dimension, of most of which log Z and samples are known exactly."""

from .base import Density, DensityModel
from .funnel import Funnel
from .mixtures import GaussianMixture
from .pairs import LaplacePair
from .wells import ManyWell

__all__ = ["Density", "DensityModel", "Funnel", "GaussianMixture", "LaplacePair", "ManyWell"]
