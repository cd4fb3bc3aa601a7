"""Negative phases of maximum likelihood, and weighted walkers that tell log Z."""

from .annealed import Annealed
from .base import Family, Negative
from .chains import FromData, Persistent
from .exactly import Exact
from .jarzynski import Jarzynski
from .mean_field import MeanField

__all__ = [
    "Annealed",
    "Exact",
    "Family",
    "FromData",
    "Jarzynski",
    "MeanField",
    "Negative",
    "Persistent",
]
