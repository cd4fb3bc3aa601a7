"""Models: energies of configurations, and the protocols that paths and samplers rely on."""

from ..kernels.checks import as_seed
from .base import (
    Conditions,
    DifferentiableModel,
    DiscreteModel,
    EnergyModel,
    Model,
    Observable,
    SweepPlan,
    Target,
)
from .energy_only import as_given, complete
from .fields import PhiFour, fields_in, log_z_in
from .pair import PairModel, Tables, is_pair_model
from .spins import Clock, EdwardsAnderson, Ising, Potts

__all__ = [
    "Clock",
    "Conditions",
    "DifferentiableModel",
    "DiscreteModel",
    "EdwardsAnderson",
    "EnergyModel",
    "Ising",
    "Model",
    "Observable",
    "PairModel",
    "PhiFour",
    "Potts",
    "SweepPlan",
    "Tables",
    "Target",
    "as_given",
    "as_seed",
    "complete",
    "fields_in",
    "is_pair_model",
    "log_z_in",
]
