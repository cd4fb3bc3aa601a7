"""Lattices: sites, neighbours, colours, and their couplings from files."""

from .files import Edges, read_couplings, read_edges
from .graph import Graph, Incidence
from .hypercubic import Lattice, as_lattice, require_hypercubic

__all__ = [
    "Edges",
    "Graph",
    "Incidence",
    "Lattice",
    "as_lattice",
    "read_couplings",
    "read_edges",
    "require_hypercubic",
]
