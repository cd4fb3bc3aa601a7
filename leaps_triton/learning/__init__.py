"""Learning of models from data, and mean-field theories of them."""

from .negatives import (
    Annealed,
    Exact,
    FromData,
    Jarzynski,
    MeanField,
    Negative,
    Persistent,
)
from .tap import TapGradient, TapResult, tap

__all__ = [
    "Annealed",
    "Exact",
    "FromData",
    "Jarzynski",
    "MeanField",
    "Negative",
    "Persistent",
    "TapGradient",
    "TapResult",
    "tap",
]
