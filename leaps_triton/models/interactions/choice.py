"""Which energies and sweeps go with a lattice or a graph."""

from torch import Tensor

from ...lattices.graph import Graph
from ...lattices.hypercubic import Lattice
from .base import Interactions
from .graphs import GraphInteractions
from .hypercubic import HypercubicInteractions

__all__ = ["interactions_of"]


def interactions_of(lattice: Lattice | Graph, coupling: Tensor) -> Interactions:
    """Return the energies and sweeps of couplings on a lattice or graph.

    Args:
        lattice: where the sites stand.
        coupling: ``J``, float64 ``(1 | ndim, *shape)``, or ``(1, 1 | bonds)`` on a graph.
    """
    if isinstance(lattice, Graph):
        return GraphInteractions(lattice, coupling)
    return HypercubicInteractions(lattice, coupling)
