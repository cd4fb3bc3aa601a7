"""Families of models: what is learned, as one vector of parameters."""

from .base import Family
from .choice import family_of
from .pairs import PairFamily

__all__ = ["Family", "PairFamily", "family_of"]
