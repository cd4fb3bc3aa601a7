"""Models: energies of configurations, and the protocols that paths and samplers rely on."""

from ..kernels.checks import as_seed
from .base import Conditions, EnergyModel, Model, Observable
from .energy_only import complete
from .pair import PairModel, Tables, is_pair_model
from .spins import Clock, EdwardsAnderson, Ising, Potts

__all__ = [
    "Clock",
    "Conditions",
    "EdwardsAnderson",
    "EnergyModel",
    "Ising",
    "Model",
    "Observable",
    "PairModel",
    "Potts",
    "Tables",
    "as_seed",
    "complete",
    "is_pair_model",
]
