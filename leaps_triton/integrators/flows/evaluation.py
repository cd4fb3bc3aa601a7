"""What a drift and the density say at one place and time."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...paths.base import change_of
from ..transport import LoneDrift, precision_of

__all__ = [
    "DriftEvaluation",
    "density_change",
    "drift_alone",
    "drift_of",
    "examine_drift",
    "residual_of",
]


class DriftEvaluation(NamedTuple):
    """A drift and the physics at ``(x, t)``."""

    drift: Tensor
    """``b``, ``(walkers, *shape)``, in the type of the configurations"""
    divergence: Tensor
    """``∇·b``, float64 ``(walkers,)``"""
    score: Tensor
    """``∇ log ρ̃_t``, ``(walkers, *shape)``"""


def drift_of(path: Any, transport: Any, configurations: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return a drift and its divergence; zeros without a transport.

    Args:
        path: the annealing path.
        transport: a drift, or None.
        configurations: ``(walkers, *shape)``.
        t: float64 ``(1 | walkers,)``.
    """
    if transport is None:
        nought = torch.zeros(len(configurations), dtype=torch.float64, device=configurations.device)
        return torch.zeros_like(configurations), nought
    conditions = path.conditions(t.to(precision_of(transport)))
    drift, divergence = transport(configurations, conditions)
    return drift.to(configurations.dtype), divergence.double()


def drift_alone(path: Any, transport: Any, configurations: Tensor, t: Tensor) -> Tensor:
    """Return a drift without its divergence, which may cost more than all else.

    Arguments as in :func:`drift_of`.
    """
    if not isinstance(transport, LoneDrift):
        return drift_of(path, transport, configurations, t)[0]
    given: Any = transport
    conditions = path.conditions(t.to(precision_of(given)))
    return transport.alone(configurations, conditions).to(configurations.dtype)


def examine_drift(path: Any, transport: Any, configurations: Tensor, t: Tensor) -> DriftEvaluation:
    """Evaluate drift and score once; arguments as in :func:`drift_of`."""
    drift, divergence = drift_of(path, transport, configurations, t)
    return DriftEvaluation(drift, divergence, path.score(configurations, t))


def residual_of(path: Any, found: DriftEvaluation, configurations: Tensor, t: Tensor) -> Tensor:
    """Return ``ξ_t(x) = ∂_t log ρ̃_t + ∇·b + b·∇ log ρ̃_t``, float64 ``(walkers,)``.

    Args:
        path: the annealing path.
        found: at these configurations and this time.
        configurations: ``(walkers, *shape)``.
        t: float64 ``(1 | walkers,)``.
    """
    along = (found.drift.double() * found.score.double()).flatten(1).sum(1)
    change = change_of(path, configurations, t)
    total: Tensor = change + found.divergence + along
    return total


def density_change(path: Any, before: Tensor, after: Tensor, t: Tensor) -> Tensor:
    """Return ``log ρ̃_t(after) - log ρ̃_t(before)``, float64 ``(walkers,)``; NaN if not finite.

    Args:
        path: the annealing path.
        before: ``(walkers, *shape)``.
        after: the same.
        t: float64 ``(1,)``.
    """
    return _density(path, after, t) - _density(path, before, t)


def _density(path: Any, configurations: Tensor, t: Tensor) -> Tensor:
    """Return ``log ρ̃_t``; NaN, in place of an error, where walkers have gone too far."""
    fine = configurations.flatten(1).isfinite().all(1)
    by_site = fine.view(-1, *[1] * (configurations.ndim - 1))
    density = path.log_density(torch.where(by_site, configurations, 0.0), t)
    return torch.where(fine, density, torch.nan)
