"""Parameters of models learned from data."""

from .negatives import Annealed, Exact, FromData, Jarzynski, Negative, Persistent

__all__ = ["Annealed", "Exact", "FromData", "Jarzynski", "Negative", "Persistent"]
