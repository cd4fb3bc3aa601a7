"""The residual of a transport: what is left of the equation that makes weights constant."""

from typing import Any, NamedTuple

from torch import Tensor

from ..integrators.flows.evaluation import examine_drift
from ..integrators.rates import Transport, evaluate
from ..integrators.transport import kind_of
from ..paths.base import Path, change_of

__all__ = ["ResidualParts", "residual", "residual_parts"]


class ResidualParts(NamedTuple):
    """The two parts of ``ξ_t(x)``."""

    change: Tensor
    """``∂_t log ρ̃_t(x)``, float64 ``(walkers,)``"""
    corrector: Tensor
    """``κ_t(x)``, or ``∇·b + b·∇ log ρ̃_t`` of a drift; its mean over ``ρ_t`` vanishes, whatever the
    transport, float64 ``(walkers,)``"""

    @property
    def total(self) -> Tensor:
        """Return ``ξ_t(x)``."""
        return self.change + self.corrector


def residual_parts(
    path: Path, transport: Transport, configurations: Tensor, t: Tensor
) -> ResidualParts:
    """Return both parts of the residual; arguments as in :func:`residual`."""
    if kind_of(transport) == "drift":
        return _of_drift(path, transport, configurations, t)
    rates = evaluate(path, transport, configurations, t)
    return ResidualParts(path.time_derivative(rates.energy, t), rates.corrector)


def _of_drift(path: Any, drift: Transport, configurations: Tensor, t: Tensor) -> ResidualParts:
    """Return both parts of a drift's residual."""
    found = examine_drift(path, drift, configurations, t)
    along = (found.drift.double() * found.score.double()).flatten(1).sum(1)
    change = change_of(path, configurations, t)
    return ResidualParts(change, found.divergence + along)


def residual(path: Path, transport: Transport, configurations: Tensor, t: Tensor) -> Tensor:
    """Return ``ξ_t(x) = ∂_t log ρ̃_t(x) + κ_t(x)``, float64 ``(walkers,)``.

    It is constant over ``x`` exactly when the weights are. For a drift ``b`` it is ``∂_t log ρ̃_t +
    ∇·b + b·∇ log ρ̃_t``, and serves all diffusions along it: the terms of noise ``√(2ε)`` and drift
    ``b + ε∇ log ρ̃_t`` cancel.

    Args:
        path: the annealing path.
        transport: a locally equivariant network, or a drift.
        configurations: ``(walkers, *shape)``.
        t: float64 ``(1 | walkers,)``.

    References:
        Albergo, Vanden-Eijnden, *NETS: a non-equilibrium transport sampler*, arXiv:2410.02711
        (2024), for drifts.
    """
    return residual_parts(path, transport, configurations, t).total
