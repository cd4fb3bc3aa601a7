"""What a drift and the density say at one place and time, and drifts made of both."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...kernels.checks import as_number, expect, is_positive
from ...models.base import Conditions
from ...models.densities.divergences import with_divergence
from ...paths.base import change_of
from ..transport import LoneDrift, as_transport, kind_of, precision_of

__all__ = [
    "DriftEvaluation",
    "WithoutNoise",
    "density_change",
    "drift_alone",
    "drift_of",
    "examine_drift",
    "log_density_of",
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

    @property
    def along(self) -> Tensor:
        """Return ``b·∇ log ρ̃_t``, float64 ``(walkers,)``."""
        products = self.drift.double() * self.score.double()
        return products.flatten(1).sum(1)


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
    change = change_of(path, configurations, t)
    return change + found.divergence + found.along


class WithoutNoise(nn.Module):
    """The drift ``b = μ - ½σ² ∇ log ρ̃_t`` of the same densities as those of ``dX = μ dt + σ dW``.

    Samplers follow drifts without noise, and :class:`~leaps_triton.PathRatio` adds a noise of its
    own to these. What is trained with ``TrainingConfig(diffusion=σ)`` is ``μ``; this makes ``b`` of
    it, and is what the sampler of such a training has as its transport. The parameters are those of
    ``μ``. :class:`~leaps_triton.MapStep` cannot follow it, since its slope has no bound.

    Args:
        path: along which ``ρ̃_t`` is taken, with ``score``; that of the sampler.
        drift: ``μ``, a drift with its divergence.
        diffusion: ``σ``, finite and > 0.

    Attributes:
        kind: ``"drift"``.
        path: the path.
        drift: ``μ``.
        diffusion: ``σ``.

    Raises:
        ValueError: a path without a score, no drift, or a σ that is not above 0.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.GaussianMixture.two()
        >>> path = lt.AnnealingPath(model, start=lt.Gaussian(1.0))
        >>> drift = lt.integrators.WithoutNoise(path, lt.DenseDrift(model, width=8), diffusion=0.5)
        >>> sampler = lt.Sampler(path, drift, lt.PathRatio(intervals=20), device="cpu")
        >>> config = lt.TrainingConfig.gauss_newton(steps=2, buffer=32, diffusion=0.5)
        >>> len(lt.Trainer(sampler, config).run().loss)
        2
    """

    kind = "drift"
    maps = False
    steady = False

    def __init__(self, path: Any, drift: Any, diffusion: float) -> None:
        super().__init__()
        scored = callable(getattr(path, "score", None))
        expect(scored, "path", "a path with score(x, t), as that of a density", path)
        known = callable(drift) and kind_of(drift) == "drift"
        expect(known, "drift", "a drift with its divergence, such as a DenseDrift", drift)
        self.path = path
        self.drift = drift
        self.diffusion = as_number("diffusion", diffusion, "finite and > 0", is_positive)

    def check_model(self, model: Any) -> None:
        """Refuse another model than that of the path.

        Raises:
            ValueError: its configurations have another shape, or the drift refuses it.
        """
        as_transport(self.drift).accept(model)
        own = tuple(self.path.model.shape)
        if tuple(model.shape) != own:
            raise ValueError(
                f"this drift is along a path to configurations of shape {own}, got "
                f"{tuple(model.shape)}; make one along the path to that model"
            )

    def check_path(self, path: Any) -> None:
        """Refuse another path than that whose densities are left out of the drift.

        Raises:
            ValueError: it is another one.
        """
        if path is not self.path:
            raise ValueError(
                "this WithoutNoise is along another path than that of the sampler; make it anew by "
                "WithoutNoise(sampler.path, drift, diffusion)"
            )

    def forward(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return ``b`` and ``∇·b``, whose part of noise takes a backward pass for each coordinate.

        Args:
            configurations: ``(walkers, *shape)``.
            conditions: of the path at a time; ``t`` is of ``(1 | walkers,)``.

        Returns:
            ``(walkers, *shape)`` in the type of the configurations, and float64 ``(walkers,)``.
        """
        mu, divergence = drift_of(self.path, self.drift, configurations, conditions.t)

        def score(x: Tensor) -> Tensor:
            found: Tensor = self.path.score(x, conditions.t)
            return found

        # ∇·∇ log ρ̃_t, the Laplacian.
        here, laplacian = with_divergence(score, configurations)
        share = 0.5 * self.diffusion**2
        return mu - share * here.to(mu.dtype), divergence - share * laplacian

    def alone(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``b`` alone, at a far lower cost; arguments as in :meth:`forward`."""
        mu = drift_alone(self.path, self.drift, configurations, conditions.t)
        score = self.path.score(configurations, conditions.t)
        return mu - 0.5 * self.diffusion**2 * score.to(mu.dtype)


def density_change(path: Any, before: Tensor, after: Tensor, t: Tensor) -> Tensor:
    """Return ``log ρ̃_t(after) - log ρ̃_t(before)``, float64 ``(walkers,)``; NaN if not finite.

    Args:
        path: the annealing path.
        before: ``(walkers, *shape)``.
        after: the same.
        t: float64 ``(1,)``.
    """
    return _density(path, after, t) - _density(path, before, t)


def log_density_of(path: Any, configurations: Tensor, t: float) -> float:
    """Return ``log ρ̃_t`` of one walker, to tell in errors what was not finite.

    Args:
        path: the annealing path.
        configurations: ``(1, *shape)``.
        t: the time.
    """
    time = torch.full((1,), t, dtype=torch.float64, device=configurations.device)
    return float(path.log_density(configurations, time))


def _density(path: Any, configurations: Tensor, t: Tensor) -> Tensor:
    """Return ``log ρ̃_t``; NaN, in place of an error, where walkers have gone too far."""
    fine = configurations.flatten(1).isfinite().all(1)
    by_site = fine.view(-1, *[1] * (configurations.ndim - 1))
    density = path.log_density(torch.where(by_site, configurations, 0.0), t)
    return torch.where(fine, density, torch.nan)
