"""Lattices: sites, neighbours and colours."""

from .hypercubic import Lattice

__all__ = [
    "Lattice",
]
