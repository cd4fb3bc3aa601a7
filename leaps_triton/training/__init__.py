"""Training of the transport of a sampler."""

from .config import BASELINES, TrainingConfig
from .history import TrainingDiverged, TrainingHistory
from .losses import (
    LOSSES,
    FreeEnergy,
    increments,
    log_variance,
    mean_square,
    physics_informed,
    residual,
    squared_residual,
)
from .trainer import Trainer

__all__ = [
    "BASELINES",
    "LOSSES",
    "FreeEnergy",
    "Trainer",
    "TrainingConfig",
    "TrainingDiverged",
    "TrainingHistory",
    "increments",
    "log_variance",
    "mean_square",
    "physics_informed",
    "residual",
    "squared_residual",
]
