"""Closed forms of the Ising model on tori and infinite lattices."""

from .square import (
    ising_energy,
    ising_log_z,
    ising_specific_heat,
    onsager_energy,
    onsager_log_z,
    onsager_specific_heat,
    yang_magnetization,
)
from .triangular import (
    honeycomb_energy,
    honeycomb_log_z,
    honeycomb_specific_heat,
    kagome_energy,
    kagome_log_z,
    kagome_specific_heat,
    triangular_energy,
    triangular_log_z,
    triangular_specific_heat,
)

__all__ = [
    "honeycomb_energy",
    "honeycomb_log_z",
    "honeycomb_specific_heat",
    "ising_energy",
    "ising_log_z",
    "ising_specific_heat",
    "kagome_energy",
    "kagome_log_z",
    "kagome_specific_heat",
    "onsager_energy",
    "onsager_log_z",
    "onsager_specific_heat",
    "triangular_energy",
    "triangular_log_z",
    "triangular_specific_heat",
    "yang_magnetization",
]
