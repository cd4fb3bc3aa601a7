"""Exact means under a model: by enumeration, or from differences of an exact log Z."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ... import exact
from .base import Family, Negative

__all__ = ["Exact", "exact_moments"]


_MOST = 2**20
"""Configurations that are enumerated."""

_CHUNK = 2**16
"""Configurations looked at together."""

_FEW = 8
"""Parameters of a family whose means come from differences of log Z."""

_APART = 1e-3
"""Step of the differences, whose error is of fourth order."""


class NoState(NamedTuple):
    """What a negative phase without memory keeps."""

    updates: int = 0
    """Updates of the parameters so far"""


@dataclass(frozen=True)
class Exact(Negative):
    """Sums over all configurations, for models that can be enumerated.

    Those of an :class:`~leaps_triton.RBM` are over the states of its smaller layer alone. A family
    of few parameters may be larger: differences of :func:`~leaps_triton.exact.log_z` give its
    means.

    Example:
        >>> from leaps_triton.learning import Exact
        >>> Exact()
        Exact()
    """

    def begin(self, family: Family, theta: Tensor, data: Tensor, seed: int) -> NoState:
        """Return that nothing is kept."""
        return NoState()

    def step(self, family: Family, before: Tensor, after: Tensor, state: NoState) -> NoState:
        """Return that one more update is done."""
        return NoState(state.updates + 1)

    def moments(self, family: Family, theta: Tensor, state: NoState) -> Tensor:
        """Return the exact means under the model, float64 ``(parameters,)``."""
        return exact_moments(family, theta)


def exact_moments(family: Family, theta: Tensor) -> Tensor:
    """Return the means under the model at ``theta``, float64 ``(parameters,)``.

    Args:
        family: whose parameters they are.
        theta: float64 ``(parameters,)``.

    Raises:
        ValueError: there is no exact route; what to take instead.
    """
    own = family.exact_moments(theta)
    if own is not None:
        return own
    model = family.at(theta)
    configurations = model.q**model.lattice.sites
    if configurations <= _MOST:
        return _enumerated(family, theta, tuple(model.shape), model.q)
    if len(theta) <= _FEW:
        return _differences(family, theta)
    raise ValueError(
        f"Exact needs at most 2**20 configurations, or {_FEW} parameters of a model with an exact "
        f"log Z, got {model.q}**{model.lattice.sites} configurations and {len(theta)} parameters; "
        f"take Jarzynski(walkers=1000, witnesses=1000)"
    )


@lru_cache(maxsize=1)
def _all_configurations(shape: tuple[int, ...], q: int) -> Tensor:
    """Return all configurations, kept for the next step."""
    return exact.enumerate_configurations(shape, q)


def _enumerated(family: Family, theta: Tensor, shape: tuple[int, ...], q: int) -> Tensor:
    """Return the means by a sum over all configurations."""
    chunks = _all_configurations(shape, q).split(_CHUNK)
    log_weights = [-family.u(x, theta) for x in chunks]
    law = torch.softmax(torch.cat(log_weights), dim=0).split(_CHUNK)
    total = torch.zeros_like(theta)
    for x, shares in zip(chunks, law, strict=True):
        # Each chunk has its own mean, and counts by its own weight.
        weight = shares.sum()
        if float(weight) > 0.0:
            total = total + weight * family.moments(x, theta, shares / weight)
    return total


def _differences(family: Family, theta: Tensor) -> Tensor:
    """Return the means as derivatives of log Z, by central differences of fourth order."""
    found = []
    for place in range(len(theta)):
        values = []
        for count in (1, -1, 2, -2):
            moved = theta.clone()
            moved[place] += count * _APART
            values.append(exact.log_z(family.at(moved)))
        near = values[0] - values[1]
        far = values[2] - values[3]
        # The error of third order of the two cancels.
        found.append((8.0 * near - far) / (12.0 * _APART))
    return torch.tensor(found, dtype=torch.float64)
