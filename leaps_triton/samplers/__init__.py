"""Samplers: walkers follow the path, moved by a transport and by moves, and are weighed exactly."""

from .ensemble import WeightedEnsemble
from .reverse import ReverseEnsemble, reverse_ess
from .sampler import Advance, BlockRun, Observe, Sampler
from .scans import Scan, scan
from .schedules import constant_ess, equal_steps, thermodynamic_length, through

__all__ = [
    "Advance",
    "BlockRun",
    "Observe",
    "ReverseEnsemble",
    "Sampler",
    "Scan",
    "WeightedEnsemble",
    "constant_ess",
    "equal_steps",
    "reverse_ess",
    "scan",
    "thermodynamic_length",
    "through",
]
