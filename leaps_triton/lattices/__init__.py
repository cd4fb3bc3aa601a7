"""Lattices: sites, neighbours, colours, and their couplings from files."""

from .couplings import read_couplings
from .edges import Incidence
from .files import Edges, GraphFile, read_edges, read_graph
from .graph import Graph
from .hypercubic import Lattice, as_lattice, require_hypercubic

__all__ = [
    "Edges",
    "Graph",
    "GraphFile",
    "Incidence",
    "Lattice",
    "as_lattice",
    "read_couplings",
    "read_edges",
    "read_graph",
    "require_hypercubic",
]
