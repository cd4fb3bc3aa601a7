"""Negative phases of maximum likelihood, and weighted walkers that tell log Z."""

from .annealed import Annealed
from .base import Negative
from .chains import FromData, Persistent
from .exactly import Exact
from .jarzynski import Jarzynski

__all__ = [
    "Annealed",
    "Exact",
    "FromData",
    "Jarzynski",
    "Negative",
    "Persistent",
]
