"""Lattices: sites, neighbours, colours, and their couplings from files."""

from .files import Edges, read_couplings, read_edges
from .hypercubic import Lattice

__all__ = [
    "Edges",
    "Lattice",
    "read_couplings",
    "read_edges",
]
