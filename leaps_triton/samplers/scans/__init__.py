"""Scans: observables and log Z at several β or couplings, by chains or annealed walkers."""

from .plan import METHODS, Plan, scan
from .result import Scan

__all__ = ["METHODS", "Plan", "Scan", "scan"]
