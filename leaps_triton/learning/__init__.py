"""Learning of models from data, and mean-field theories of them."""

from .learned import Learned, LearningHistory
from .learner import Learner
from .negatives import (
    Annealed,
    Exact,
    FromData,
    Jarzynski,
    MeanField,
    Negative,
    Persistent,
)
from .objectives import MaximumLikelihood, Objective, PseudoLikelihood
from .tap import TapGradient, TapResult, tap

__all__ = [
    "Annealed",
    "Exact",
    "FromData",
    "Jarzynski",
    "Learned",
    "Learner",
    "LearningHistory",
    "MaximumLikelihood",
    "MeanField",
    "Negative",
    "Objective",
    "Persistent",
    "PseudoLikelihood",
    "TapGradient",
    "TapResult",
    "tap",
]
