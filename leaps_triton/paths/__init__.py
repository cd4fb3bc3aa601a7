"""Annealing paths from a start that can be sampled exactly to the target."""

from .annealing import AnnealingPath
from .base import Path, Start
from .flow import GradientFlowPath
from .free_field import FreeField
from .gaussian import Gaussian, Laplace
from .starts import Independent, Uniform

__all__ = [
    "AnnealingPath",
    "FreeField",
    "Gaussian",
    "GradientFlowPath",
    "Independent",
    "Laplace",
    "Path",
    "Start",
    "Uniform",
]
