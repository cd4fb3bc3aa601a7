"""Families of models: what is learned, as one vector of parameters."""

from .base import Family
from .choice import family_of
from .fields import FieldFamily
from .machines import MachineFamily
from .networks import NetworkEnergy, NetworkFamily
from .pairs import PairFamily

__all__ = [
    "Family",
    "FieldFamily",
    "MachineFamily",
    "NetworkEnergy",
    "NetworkFamily",
    "PairFamily",
    "family_of",
]
