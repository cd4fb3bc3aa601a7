"""Gradient flow from a Gaussian: only the energy is learned, and the velocity follows from it."""

from typing import Any

import torch
from torch import Tensor, nn

from ..kernels.checks import expect, shown
from ..models.base import Conditions, Target
from ..models.densities.divergences import with_divergence
from .annealing import AnnealingPath
from .base import Start
from .bridges import force_of
from .corrections import Energy, gradient_of, precision_of, scaled
from .gaussian import Gaussian

__all__ = ["FlowVelocity", "GradientFlowPath"]


def _square(t: Tensor) -> Tensor:
    return t * t


class GradientFlowPath(AnnealingPath):
    """Densities of a diffusion from the target to a Gaussian ``N(0, s²)``, run backwards.

    Noising makes of the target at time ``σ`` a density ``ρ ∝ e^{-f}`` with ``∂_σ ρ = ∇·(ρ x) + s²
    Δρ``. In the clock ``t = e^{-σ}`` walkers with the velocity

    ``v_t(x) = (x - s² ∇f_t(x)) / t``

    go from the Gaussian at ``t = 0`` to the target at ``t = 1``. Only the energy is learned,

    ``f_t = (1 - t²) U_0 + t² β H + t(1-t) ψ_t``,

    since variances change as ``t²``: where the target is Gaussian about 0, ``ψ`` has to add little.
    Both ends are exact whatever ``ψ`` is, so that it makes no weights biased. In the velocity
    ``U_0`` cancels, and nothing is divided by ``t``: ``v = -s² [t ∇(β H - U_0) + (1-t) ∇ψ]``.

    A sampler that is given no transport follows ``velocity``; where ``ψ`` is that of the
    diffusion, the residual of the velocity vanishes and weights are constant.
    :class:`~leaps_triton.MapStep` cannot follow the velocity, whose slope has no proven bound: with
    it and ``mcmc`` alone the sampler is annealed importance sampling along the curve. With a
    transport, such as a :class:`~leaps_triton.DenseDrift`, that is followed in the velocity's
    place, along a path like any other.

    Args:
        model: the target, with ``force``; a velocity's divergence differentiates that once more.
        energy: ``ψ(configurations, conditions)``, ``(walkers,)``, such as
            :class:`~leaps_triton.LearnedEnergy`.
        start: a :class:`~leaps_triton.Gaussian` of scale ``s``.

    Attributes:
        velocity: ``v``, a drift with its divergence, whose parameters are those of ``ψ``.

    Raises:
        ValueError: a start that is no Gaussian, an energy that cannot be called, or one of another
            model.

    References:
        Chemseddine, Wald, Duong, Steidl, *Neural sampling from Boltzmann densities: Fisher-Rao
        curves in the Wasserstein geometry*, arXiv:2410.03282 (2024).

    Example:
        >>> import torch, leaps_triton as lt
        >>> model = lt.GaussianMixture.two()
        >>> energy = lt.LearnedEnergy(model, width=16)
        >>> path = GradientFlowPath(model, energy, start=lt.Gaussian(1.0))
        >>> x = path.start.sample(torch.arange(3), seed=0)
        >>> v, divergence = path.velocity(x, path.conditions(0.5))
        >>> v.shape, divergence.shape
        (torch.Size([3, 1]), torch.Size([3]))
    """

    def __init__(self, model: Target, energy: Energy, start: Start | None = None) -> None:
        wanted = "a network ψ(configurations, conditions) such as LearnedEnergy"
        expect(callable(energy), "energy", wanted, energy)
        super().__init__(model, start, _square, energy)
        if not isinstance(self.start, Gaussian):
            raise ValueError(
                f"a gradient flow starts from a Gaussian, such as start=lt.Gaussian(1.0), got "
                f"{shown(self.start)}"
            )
        self.velocity = FlowVelocity(self.model, energy, self.start.scale)


class FlowVelocity(nn.Module):
    """The velocity of a gradient flow, a drift ``v = -s² [t ∇(β H - U_0) + (1-t) ∇ψ]``.

    Args:
        model: the target, completed.
        energy: ``ψ``, whose parameters are the module's.
        scale: ``s``.

    Attributes:
        kind: ``"drift"``.
        energy: ``ψ``.
        shape: of one configuration.
    """

    kind = "drift"
    maps = False
    steady = False

    def __init__(self, model: Any, energy: Energy, scale: float) -> None:
        super().__init__()
        self.energy = energy
        self.shape: tuple[int, ...] = tuple(model.shape)
        self._model = model
        self._scale = scale

    def check_model(self, model: Any) -> None:
        """Refuse another model than that of the path.

        Raises:
            ValueError: its configurations have another shape.
        """
        if tuple(model.shape) != self.shape:
            raise ValueError(
                f"this velocity is that of a path to configurations of shape {self.shape}, got "
                f"{tuple(model.shape)}; make a path to that model"
            )

    def forward(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return ``v`` and ``∇·v``, exactly, by a backward pass for each coordinate.

        Args:
            configurations: ``(walkers, *shape)``.
            conditions: of the path at a time; ``t`` is of ``(1 | walkers,)``.

        Returns:
            ``(walkers, *shape)`` in the type of the configurations, and float64 ``(walkers,)``.
        """

        def field(x: Tensor) -> Tensor:
            return self.alone(x, conditions)

        return with_divergence(field, configurations)

    def alone(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``v`` alone, at a far lower cost; arguments as in :meth:`forward`."""
        t = conditions.t.to(configurations.device, torch.float64)
        own = Conditions(*(each.to(precision_of(self.energy)) for each in conditions))
        learned = gradient_of(self.energy, configurations, own)
        square = self._scale * self._scale
        # -s² ∇(-U_0) = x: the start's part, from which the 1/t of the clock has cancelled.
        force = force_of(self._model, configurations)
        pulled = scaled(t * (square * self._model.beta), force)
        return pulled + scaled(t, configurations) - scaled((1.0 - t) * square, learned)
