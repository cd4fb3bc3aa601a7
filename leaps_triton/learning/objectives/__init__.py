"""What is minimised: pseudo-likelihood, energy discrepancy, likelihood."""

from .base import Objective, Problem
from .discrepancy import EnergyDiscrepancy
from .likelihood import MaximumLikelihood
from .pseudo import PseudoLikelihood

__all__ = ["EnergyDiscrepancy", "MaximumLikelihood", "Objective", "Problem", "PseudoLikelihood"]
