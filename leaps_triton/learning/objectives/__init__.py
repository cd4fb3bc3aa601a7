"""What is minimised: pseudo-likelihood, energy discrepancy, likelihood."""

from .base import Objective, Problem
from .likelihood import MaximumLikelihood
from .pseudo import PseudoLikelihood

__all__ = ["MaximumLikelihood", "Objective", "Problem", "PseudoLikelihood"]
