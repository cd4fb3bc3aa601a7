"""Energies and log-ratios on graphs on a CPU."""

from .reference import graph_energy, graph_local_energy

__all__ = ["graph_energy", "graph_local_energy"]
