"""Moves of real fields: hybrid Monte Carlo, Langevin steps, clusters of equal signs."""

from .base import FieldMove, TrajectoryInfo
from .hmc import HMC, Langevin
from .signs import SignCluster

__all__ = ["HMC", "FieldMove", "Langevin", "SignCluster", "TrajectoryInfo"]
