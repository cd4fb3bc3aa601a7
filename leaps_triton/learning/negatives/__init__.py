"""Negative phases of maximum likelihood, and weighted walkers that tell log Z."""

from .annealed import Annealed
from .base import Family, Negative
from .chains import FromData, Persistent
from .exactly import Exact
from .jarzynski import Jarzynski

__all__ = [
    "Annealed",
    "Exact",
    "Family",
    "FromData",
    "Jarzynski",
    "Negative",
    "Persistent",
]
