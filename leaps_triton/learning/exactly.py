"""Exact means under a model: by enumeration, or from differences of an exact log Z."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from .. import exact

__all__ = ["exact_moments"]


_MOST = 2**20
"""Configurations that are enumerated."""

_CHUNK = 2**16
"""Configurations looked at together."""

_FEW = 8
"""Parameters of a family whose means come from differences of log Z."""

_APART = 1e-3
"""Step of the differences, whose error is of fourth order."""


def exact_moments(family: Any, theta: Tensor) -> Tensor:
    """Return the means under the model at ``theta``, float64 ``(parameters,)``.

    Args:
        family: whose parameters they are.
        theta: float64 ``(parameters,)``.

    Raises:
        ValueError: there is no exact route; what to take instead.
    """
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


def _enumerated(family: Any, theta: Tensor, shape: tuple[int, ...], q: int) -> Tensor:
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


def _differences(family: Any, theta: Tensor) -> Tensor:
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
