"""Training of the transport of a sampler."""

from .config import BASELINES, TrainingConfig
from .data.buffer import Batch
from .equilibrium import (
    EQUILIBRIA,
    equilibrate,
    fit_response,
    linear_response,
    model_like,
    sampler_for,
    transfer,
)
from .history import Leg, TrainingDiverged, TrainingHistory
from .losses import (
    LOSSES,
    FreeEnergy,
    action_matching,
    increments,
    log_variance,
    mean_square,
    physics_informed,
    residual,
    squared_residual,
)
from .state import read_history
from .trainer import Trainer

__all__ = [
    "BASELINES",
    "EQUILIBRIA",
    "LOSSES",
    "Batch",
    "FreeEnergy",
    "Leg",
    "Trainer",
    "TrainingConfig",
    "TrainingDiverged",
    "TrainingHistory",
    "action_matching",
    "equilibrate",
    "fit_response",
    "increments",
    "linear_response",
    "log_variance",
    "mean_square",
    "model_like",
    "physics_informed",
    "read_history",
    "residual",
    "sampler_for",
    "squared_residual",
    "transfer",
]
