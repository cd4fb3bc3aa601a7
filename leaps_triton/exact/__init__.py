"""Exact references: closed forms, enumeration, transfer matrix, exact samples, velocities."""

from .closed_forms import (
    ising_energy,
    ising_log_z,
    ising_specific_heat,
    onsager_energy,
    onsager_log_z,
    onsager_specific_heat,
    yang_magnetization,
)
from .enumeration import Enumeration, enumerate_configurations, enumerate_model, expectation
from .fields import free_field_log_z, free_field_two_point, free_field_variances
from .perfect_sampling import coupling_from_the_past
from .routes import energy, log_z, sample, specific_heat
from .transfer import (
    NOT_A_PAIR_MODEL,
    UPDATES,
    Moments,
    transfer_moments,
    transfer_obstacle,
    transfer_sample,
)
from .velocities import (
    LineVelocity,
    laplace_velocity_norm,
    ornstein_uhlenbeck,
    velocity_norm,
    velocity_on_line,
)

__all__ = [
    "NOT_A_PAIR_MODEL",
    "UPDATES",
    "Enumeration",
    "LineVelocity",
    "Moments",
    "coupling_from_the_past",
    "energy",
    "enumerate_configurations",
    "enumerate_model",
    "expectation",
    "free_field_log_z",
    "free_field_two_point",
    "free_field_variances",
    "ising_energy",
    "ising_log_z",
    "ising_specific_heat",
    "laplace_velocity_norm",
    "log_z",
    "onsager_energy",
    "onsager_log_z",
    "onsager_specific_heat",
    "ornstein_uhlenbeck",
    "sample",
    "specific_heat",
    "transfer_moments",
    "transfer_obstacle",
    "transfer_sample",
    "velocity_norm",
    "velocity_on_line",
    "yang_magnetization",
]
