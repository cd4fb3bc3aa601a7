"""What a symmetric network is made from, checked, and read off its model."""

import math
from typing import Any

import numpy as np

from ...kernels.checks import as_integer, as_number, expect
from ...models.pair import PairModel

__all__ = ["alike", "as_beta", "as_widths", "has_field", "varies"]


def as_widths(widths: Any) -> list[int]:
    """Return the widths of layers, at least one."""
    several = isinstance(widths, list | tuple | np.ndarray)
    several = several and np.ndim(widths) == 1 and len(widths) > 0
    expect(several, "widths", "one width or more, such as (64, 32)", widths)
    return [as_integer("widths", width, 1) for width in widths]


def as_beta(beta: Any, model: PairModel) -> float:
    """Return the inverse temperature at which ``u = 1``."""
    if beta is not None:
        return as_number("beta", beta, "positive and finite", lambda x: 0.0 < x < math.inf)
    if model.beta == 0.0:
        return 1.0
    return abs(model.beta)


def has_field(model: PairModel) -> bool:
    """Return whether the model favours a state somewhere."""
    table = model.site_table
    return bool((table != table[:1]).any())


def alike(model: PairModel) -> tuple[int, ...]:
    """Return a label for each direction; those of one label can be exchanged."""
    kinds: list[tuple[int, bool, float]] = []
    for axis, length in enumerate(model.lattice.shape):
        coupling = 0.0
        if model.coupling.numel() == model.lattice.ndim and model.lattice.ndim > 1:
            coupling = float(model.coupling[axis].flatten()[0])
        kinds.append((length, model.lattice.periodic[axis], coupling))
    return tuple(kinds.index(kind) for kind in kinds)


def varies(model: PairModel) -> bool:
    """Return whether couplings of two states that a sign exchanges vary from bond to bond."""
    by_site = model.coupling[0].numel() > 1
    return by_site and model.q == 2 and model.symmetry == "permutation"
