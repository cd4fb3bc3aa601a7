"""Energies and sweeps of pair models: along directions or edges, and 32 spins a word."""

from .edges import GraphInteractions, Interactions, Tables, interactions_of

__all__ = ["GraphInteractions", "Interactions", "Tables", "interactions_of"]
