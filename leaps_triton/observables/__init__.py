"""Observables: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``, float64.

An observable that is a function of means, such as a susceptibility, returns the moments and carries
the function: ``observable.function(means)`` maps means ``(..., k)`` to ``(...)``.
``ensemble.estimate(observable)`` uses it. Energies are without β, and all but log Z are per site:
energies in units of the coupling J, susceptibilities in 1/J, specific heats in k_B, lengths in
lattice spacings, the rest without a unit. All raise a ValueError for configurations that are not
the model's (their values are looked at on a CPU alone). The magnetisation is the lattice mean of
``model.spins``: ±1 for q = 2, unit vectors otherwise. Those that look along a direction take it as
``direction=``, 0 unless told; :func:`along` makes an observable of another one. Overlaps compare
two replicas: they take two sets of configurations, and a chain measures them of its walkers two by
two; :func:`replica_energies` it measures of parallel tempering.
"""

import inspect

from . import spins
from .base import OBSERVABLES, of_means, of_pairs
from .pairs import OverlapHistogram, link_overlap, overlap, overlap_histogram, replica_energies
from .spins import (
    abs_magnetization,
    along,
    binder,
    correlation,
    correlation_length,
    energy,
    magnetization,
    magnetization_squared,
    potts_order,
    specific_heat,
    structure_factor,
    susceptibility,
    susceptibility_full,
)

__all__ = [
    "OBSERVABLES",
    "OverlapHistogram",
    "abs_magnetization",
    "along",
    "binder",
    "correlation",
    "correlation_length",
    "energy",
    "link_overlap",
    "magnetization",
    "magnetization_squared",
    "of_means",
    "of_pairs",
    "overlap",
    "overlap_histogram",
    "potts_order",
    "replica_energies",
    "specific_heat",
    "structure_factor",
    "susceptibility",
    "susceptibility_full",
]

MEASURABLE = [
    name
    for name in spins.__all__
    if list(inspect.signature(getattr(spins, name)).parameters)[:2] == ["configurations", "model"]
]
"""Names of the functions of configurations and model."""


OF_CHAINS = ["link_overlap", "overlap", "replica_energies"]
"""Names of the functions of pairs of walkers or of replicas, which chains alone measure."""
