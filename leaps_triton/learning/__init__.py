"""Learning of models from data, and mean-field theories of them."""

from .families import NetworkEnergy
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
from .objectives import EnergyDiscrepancy, MaximumLikelihood, Objective, PseudoLikelihood
from .penalties import ChosenPenalty, choose_l1
from .plefka import MachineTapResult, TapGradient, TapResult, tap

__all__ = [
    "Annealed",
    "ChosenPenalty",
    "EnergyDiscrepancy",
    "Exact",
    "FromData",
    "Jarzynski",
    "Learned",
    "Learner",
    "LearningHistory",
    "MachineTapResult",
    "MaximumLikelihood",
    "MeanField",
    "Negative",
    "NetworkEnergy",
    "Objective",
    "Persistent",
    "PseudoLikelihood",
    "TapGradient",
    "TapResult",
    "choose_l1",
    "tap",
]
