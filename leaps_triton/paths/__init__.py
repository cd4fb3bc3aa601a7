"""Annealing paths from a start that can be sampled exactly to the target."""

from .annealing import AnnealingPath
from .base import Start
from .starts import Uniform

__all__ = [
    "AnnealingPath",
    "Start",
    "Uniform",
]
