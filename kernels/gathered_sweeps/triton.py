"""Sweeps on graphs on CUDA devices."""

from .reference import (
    graph_heat_bath_sweeps,
    graph_metropolis_sweeps,
    graph_overrelaxation_sweeps,
)

__all__ = ["graph_heat_bath_sweeps", "graph_metropolis_sweeps", "graph_overrelaxation_sweeps"]
