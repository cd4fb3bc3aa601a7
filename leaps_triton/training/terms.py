"""Residuals of drifts as rows: continuity or Fokker–Planck, and the equation of Hamilton–Jacobi."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..integrators.flows.evaluation import drift_of
from ..integrators.transport import kind_of, precision_of
from ..kernels.checks import expect
from .config import TrainingConfig
from .residuals import residual

__all__ = ["Physics", "Terms", "hamilton_jacobi", "noise", "with_noise"]


class Physics(NamedTuple):
    """What a residual takes of a path at given places, where nothing of the path is learned."""

    change: Tensor
    """``∂_t log ρ̃_t``, less ``½σ² (Δ log ρ̃_t + |∇ log ρ̃_t|²)``, float64 ``(walkers,)``"""
    score: Tensor
    """``∇ log ρ̃_t``, float64 ``(walkers, *shape)``"""


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

    here = score(configurations).double().flatten(1)
    laplacian = _trace(score, configurations)
    return 0.5 * diffusion**2 * (laplacian + here.square().sum(1))


def _trace(vector: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the divergence of a vector field, one derivative per coordinate, float64."""
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for index in range(x[0].numel()):
        direction = torch.zeros_like(x).flatten(1)
        direction[:, index] = 1.0
        slope: Tensor = torch.func.jvp(vector, (x,), (direction.view_as(x),))[1]
        total = total + slope.flatten(1)[:, index].double()
    return total


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

    def of_time(times: Tensor) -> Tensor:
        value: Tensor = transport.potential(configurations, path.conditions(times))
        return value.double()

    when = t.to(precision).expand(len(configurations))
    change: Tensor = torch.func.jvp(of_time, (when,), (torch.ones_like(when),))[1]
    drift, divergence = drift_of(path, transport, configurations, t)
    kinetic = 0.5 * drift.double().square().flatten(1).sum(1)
    return change + kinetic + 0.5 * diffusion**2 * divergence


class Terms:
    """Computes the residuals that a training of a drift brings down, a row for each kind.

    Args:
        path: what the drift goes along.
        transport: the drift.
        config: gives ``diffusion`` and ``hamilton_jacobi``.
        curved: whether the path is learned, so that nothing of it is known beforehand.

    Raises:
        ValueError: a transport of rates.
    """

    def __init__(self, path: Any, transport: Any, config: TrainingConfig, curved: bool) -> None:
        if kind_of(transport) != "drift":
            raise ValueError(
                "nodes, and steps of Gauss-Newton on them, are for drifts of densities; rates are "
                "trained by optimizer='spring' or 'adam' on samples"
            )
        self._path = path
        self._transport = transport
        self._diffusion = config.diffusion
        self._weight = config.hamilton_jacobi
        self._curved = curved

    def physics(self, configurations: Tensor, t: Tensor) -> Physics | None:
        """Return what does not depend on any parameter; None where the path is learned."""
        if self._curved:
            return None
        path = self._path
        change = path.time_derivative(path.excess(configurations), t)
        if self._diffusion:
            change = change - noise(path, configurations, t, self._diffusion)
        return Physics(change, path.score(configurations, t).double())

    def __call__(self, configurations: Tensor, t: Tensor, physics: Physics | None) -> Tensor:
        """Return the residuals, of which each row should be constant at any one time.

        Args:
            configurations: ``(walkers, *shape)``.
            t: float64 ``(walkers,)``.
            physics: of these; None to compute it.

        Returns:
            float64 ``(kinds, walkers)``: ``ξ``, and where it is wanted the residual of
            Hamilton–Jacobi times the root of its weight.
        """
        given = (self._path, self._transport, configurations, t)
        if physics is None:
            first = with_noise(*given, self._diffusion)
        else:
            drift, divergence = drift_of(*given)
            along = (drift.double() * physics.score).flatten(1).sum(1)
            first = physics.change + divergence + along
        if not self._weight:
            return first.unsqueeze(0)
        second = hamilton_jacobi(*given, self._diffusion)
        return torch.stack([first, self._weight**0.5 * second])
