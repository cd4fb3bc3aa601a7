"""Equilibrium samples along a path, and the linear response that is fitted to them."""

from .linear_response import linear_response
from .samples import EQUILIBRIA, equilibrate

__all__ = ["EQUILIBRIA", "equilibrate", "linear_response"]
