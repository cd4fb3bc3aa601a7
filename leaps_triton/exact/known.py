"""Exact values for tables: all that is known of a model and takes seconds."""

import math
from collections.abc import Iterable
from typing import Any

from ..models.densities.base import DensityModel
from ..observables.base import OBSERVABLES, entered, function_of
from .enumeration import enumerate_model
from .fields import known_of_density, known_of_field
from .routes import energy, log_z, specific_heat

__all__ = ["UPDATES", "known"]


_FEW = 2**16
"""Configurations that can be enumerated in seconds."""

UPDATES = 2**28
"""Updates of the transfer matrix that take seconds."""


def known(
    model: Any,
    names: Iterable[str] = OBSERVABLES,
    updates: int = UPDATES,
) -> dict[str, float]:
    """Return exact values of ``log_z`` and of observables, where they are known and take seconds.

    Of a density log Z and the Schwinger–Dyson identity. Of a field that identity, and all of the
    free field. Of spins all by enumeration of up to 2**16 configurations; else log Z, energy and
    specific heat, by the closed form of the Ising torus or by the transfer matrix with up to 2**28
    updates unless told.

    Args:
        model: the target.
        names: those of the observables that enumeration is to give.
        updates: of the transfer matrix at most, fewer where there are many models.

    Example:
        >>> from leaps_triton import Ising
        >>> sorted(known(Ising((16, 16), beta=0.4)))
        ['energy', 'log_z', 'specific_heat']
    """
    # Real numbers have no finite list of configurations.
    if isinstance(model, DensityModel):
        return known_of_density(model)
    if model.dtype.is_floating_point:
        return known_of_field(model)
    if model.q ** math.prod(model.shape) <= _FEW:
        return _enumerated(model, names)
    functions = {"log_z": log_z, "energy": energy, "specific_heat": specific_heat}
    try:
        return {name: function(model, updates=updates) for name, function in functions.items()}
    # The exact functions refuse what they cannot do, or not within so many updates.
    except ValueError:
        return {}


def _enumerated(model: Any, names: Iterable[str]) -> dict[str, float]:
    """Return the exact values of a model of few configurations."""
    law = enumerate_model(model)
    found = {"log_z": law.log_z}
    for name in names:
        observable = entered()[name]
        means = law.mean(observable, model)
        function = function_of(observable)
        if function is not None:
            means = function(means)
        found[name] = float(means)
    return found
