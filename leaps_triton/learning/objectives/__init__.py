"""What is minimised: pseudo-likelihood, energy discrepancy, likelihood."""

from .base import Objective, Problem
from .likelihood import MaximumLikelihood

__all__ = ["MaximumLikelihood", "Objective", "Problem"]
