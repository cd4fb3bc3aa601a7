"""Observables: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``, float64.

An observable that is a function of means, such as a susceptibility, returns the moments and carries
the function: ``observable.function(means)`` maps means ``(..., k)`` to ``(...)``.
``ensemble.estimate(observable)`` uses it. Energies are without β, and all but log Z are per site:
energies in units of the coupling J, susceptibilities in 1/J, specific heats in k_B, lengths in
lattice spacings, the rest without a unit. All raise a ValueError for configurations that are not
the model's (their values are looked at on a CPU alone). The magnetisation is the lattice mean of
``model.spins``: ±1 for q = 2, unit vectors otherwise. Those that look along a direction take it as
``direction=``, 0 unless told; :func:`along` makes an observable of another one. On graphs, and on
lattices too, :func:`structure_factor_at` and :func:`correlation_by_distance` go by positions, and
:func:`staggered_magnetization` and :func:`three_sublattice_order` by sublattices. Overlaps compare
two replicas: they take two sets of configurations, and a chain measures them of its walkers two by
two; :func:`replica_energies` it measures of parallel tempering. A chain of parallel tempering also
measures every observable of configurations at all its inverse temperatures, by a name such as
``energy_at_betas``.
"""

from . import fields, graphs, pairs, spins
from .base import (
    OBSERVABLES,
    entered,
    is_of_pairs,
    is_of_replicas,
    of_means,
    of_pairs,
)
from .fields import *  # noqa: F403
from .graphs import *  # noqa: F403
from .pairs import *  # noqa: F403
from .replicas import COUPLINGS_SUFFIX, SUFFIX
from .spins import *  # noqa: F403

__all__ = ["OBSERVABLES", "of_means", "of_pairs"]
__all__ += fields.__all__
__all__ += graphs.__all__
__all__ += pairs.__all__
__all__ += spins.__all__


OF_CHAINS = [
    name for name, known in entered().items() if is_of_pairs(known) or is_of_replicas(known)
]
"""Names of the functions of pairs of walkers or of replicas, which chains alone measure."""

MEASURABLE = [name for name in entered() if name not in OF_CHAINS]
"""Names of the functions of configurations and model."""

AT_BETAS = [name + SUFFIX for name in MEASURABLE]
"""Names of the same at all temperatures, which chains of parallel tempering alone measure."""

AT_COUPLINGS = [name + COUPLINGS_SUFFIX for name in MEASURABLE]
"""Names of the same at all values of a coupling."""
