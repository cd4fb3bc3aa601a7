"""What networks read of where sites stand: the directions of a lattice, or the edges of a graph."""

from ...lattices.graph import Graph
from ...lattices.hypercubic import Lattice
from .base import Place
from .graph import GraphPlace
from .hypercubic import HypercubicPlace

__all__ = ["GraphPlace", "HypercubicPlace", "Place", "place_of"]


def place_of(lattice: Lattice | Graph) -> Place:
    """Return what networks read of the sites of a lattice or graph.

    Args:
        lattice: of the model that a network is made for.
    """
    if isinstance(lattice, Graph):
        return GraphPlace(lattice)
    return HypercubicPlace(lattice)
