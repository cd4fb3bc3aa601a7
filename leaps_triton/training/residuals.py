"""The residual of a transport: what is left of the equation that makes weights constant."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..integrators.flows.evaluation import DriftEvaluation, drift_of, examine_drift
from ..integrators.rates import Transport, evaluate
from ..integrators.transport import kind_of, precision_of
from ..kernels.checks import expect
from ..models.densities.divergences import with_divergence
from ..paths.base import Path, change_of

__all__ = [
    "Physics",
    "ResidualParts",
    "hamilton_jacobi",
    "noise",
    "physics_of",
    "residual",
    "residual_parts",
    "with_noise",
    "with_physics",
]


class Physics(NamedTuple):
    """What a residual takes of a path at given places, where nothing of the path is learned."""

    change: Tensor
    """``∂_t log ρ̃_t``, less ``½σ² (Δ log ρ̃_t + |∇ log ρ̃_t|²)``, float64 ``(walkers,)``"""
    score: Tensor
    """``∇ log ρ̃_t``, float64 ``(walkers, *shape)``"""


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
    change = change_of(path, configurations, t)
    return ResidualParts(change, found.divergence + found.along)


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


def noise(path: Any, configurations: Tensor, t: Tensor, diffusion: float) -> Tensor:
    """Return ``½σ² (Δ log ρ̃_t + |∇ log ρ̃_t|²)``, which is ``½σ² Δρ_t / ρ_t``.

    Args:
        path: the annealing path.
        configurations: ``(walkers, *shape)``.
        t: float64 ``(1 | walkers,)``.
        diffusion: ``σ``.

    Returns:
        float64 ``(walkers,)``.
    """

    def score(x: Tensor) -> Tensor:
        found: Tensor = path.score(x, t)
        return found

    here, laplacian = with_divergence(score, configurations)
    square = here.double().flatten(1).square().sum(1)
    return 0.5 * diffusion**2 * (laplacian + square)


def with_noise(
    path: Any, transport: Any, configurations: Tensor, t: Tensor, diffusion: float
) -> Tensor:
    """Return ``∂_t V + ∇·μ + μ·∇V - ½σ² (ΔV + |∇V|²)``, ``V = log ρ̃_t``, float64 ``(walkers,)``.

    It is constant over ``x`` exactly if ``dX = μ dt + σ dW`` has the law ``ρ_t``: this is the
    Fokker–Planck equation. At ``σ = 0`` it is :func:`~leaps_triton.training.residual`, and ``μ =
    b + ½σ²∇V`` turns either into the other.

    Args:
        path: the annealing path.
        transport: ``μ``, a drift with its divergence.
        configurations: ``(walkers, *shape)``.
        t: float64 ``(1 | walkers,)``.
        diffusion: ``σ``.

    References:
        Sun, Berner, Richter, Zeinhofer, Müller, Azizzadenesheli, Anandkumar, *Dynamical measure
        transport and neural PDE solvers for sampling*, arXiv:2407.07873 (2024).
    """
    xi = residual(path, transport, configurations, t)
    if diffusion == 0.0:
        return xi
    return xi - noise(path, configurations, t, diffusion)


def physics_of(path: Any, configurations: Tensor, t: Tensor, diffusion: float = 0.0) -> Physics:
    """Return what does not depend on a drift; arguments as in :func:`with_noise`."""
    change = change_of(path, configurations, t)
    if diffusion:
        change = change - noise(path, configurations, t, diffusion)
    return Physics(change.detach(), path.score(configurations, t).double().detach())


def with_physics(
    path: Any, transport: Any, configurations: Tensor, t: Tensor, physics: Physics
) -> Tensor:
    """Return :func:`with_noise` where all but the drift is known, float64 ``(walkers,)``.

    Args:
        path: gives the conditions.
        transport: a drift with its divergence.
        configurations: ``(walkers, *shape)``.
        t: float64 ``(walkers,)``.
        physics: at these places and times.
    """
    drift, divergence = drift_of(path, transport, configurations, t)
    found = DriftEvaluation(drift, divergence, physics.score)
    return physics.change + divergence + found.along


def hamilton_jacobi(
    path: Any, transport: Any, configurations: Tensor, t: Tensor, diffusion: float = 0.0
) -> Tensor:
    """Return ``∂_tΦ + ½|∇Φ|² + ½σ²ΔΦ`` of a drift ``∇Φ``, float64 ``(walkers,)``.

    Where it is constant over ``x`` the drift is that of optimal transport from ``ρ_0`` to ``ρ_1``,
    or with noise ``σ`` that of the Schrödinger bridge. What is constant over ``x`` is no matter: a
    function of ``t`` alone in ``Φ`` does not move any walker.

    Args:
        path: gives the conditions.
        transport: a drift with ``potential(configurations, conditions)``.
        configurations: ``(walkers, *shape)``.
        t: float64 ``(1 | walkers,)``.
        diffusion: ``σ``.

    Raises:
        ValueError: a drift without potential.
    """
    potential = getattr(transport, "potential", None)
    expect(callable(potential), "transport", "a drift that has a potential", transport)
    precision = precision_of(transport)

    def total(times: Tensor) -> Tensor:
        value: Tensor = transport.potential(configurations, path.conditions(times))
        return value.double().sum()

    when = t.to(precision).expand(len(configurations))
    # Each value depends on its own time alone: the gradient of the sum holds all derivatives.
    change: Tensor = torch.func.grad(total)(when)
    drift, divergence = drift_of(path, transport, configurations, t)
    kinetic = 0.5 * drift.double().square().flatten(1).sum(1)
    return change.double() + kinetic + 0.5 * diffusion**2 * divergence
