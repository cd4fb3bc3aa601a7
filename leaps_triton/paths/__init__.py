"""Annealing paths from a start that can be sampled exactly to the target."""

from .annealing import AnnealingPath
from .base import Path, Start
from .free_field import FreeField
from .starts import Uniform

__all__ = [
    "AnnealingPath",
    "FreeField",
    "Path",
    "Start",
    "Uniform",
]
