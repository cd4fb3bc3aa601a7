"""Energies and sweeps of pair models: along directions or edges, and 32 spins a word."""

from .base import Interactions, Tables
from .choice import interactions_of
from .graphs import GraphInteractions

__all__ = ["GraphInteractions", "Interactions", "Tables", "interactions_of"]
