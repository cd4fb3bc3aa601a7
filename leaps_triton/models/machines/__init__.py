"""Boltzmann machines: pair models of units that data show, and of units that they do not."""

from .rbm import RBM

__all__ = ["RBM"]
