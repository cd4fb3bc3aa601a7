"""DenseDrift: a drift of vectors of few coordinates, each of which sees all others."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ....kernels.checks import as_bool, as_integer, as_seed
from ....models.base import Conditions
from ....registry import register
from ...base import initialise
from ..base import Drift, as_time
from ..bounds import steepest_gradient, steepest_layers
from ..gates import CHEBYSHEV, chebyshev
from .perceptron import Perceptron
from .scales import scale_of

__all__ = ["DenseDrift"]

MOST = 16
"""Coordinates up to which maps solve for all of them at once."""


@register("network")
class DenseDrift(Drift):
    """A drift ``b = s g(x/s, t)`` of vectors, or the gradient of a potential.

    ``g(z, t) = k(t) z + c(t) + R tanh(W_2 tanh(W_1 z + B_1(t)) + B_2(t))``, with ``k``, ``c`` and
    the ``B`` polynomials of time, and as many layers as ``depth`` says. With ``potential``, ``b =
    ∇Φ`` of ``Φ = s² (k(t)·z²/2 + c(t)·z + R tanh(…) + a(t))``. Jacobian and divergence are exact,
    and a bound on the slope is proved from the weights: :class:`~leaps_triton.MapStep` follows
    the drift by maps with exact determinants, up to 16 coordinates. For more take
    :class:`~leaps_triton.HollowDenseDrift`, or :class:`~leaps_triton.PathRatio`.

    Args:
        model: gives the shape; its sites stand in no order, and all see all others.
        width: of hidden layers.
        depth: number of hidden layers.
        scale: ``s``, a length on which ``x`` is about 1, above 0; None for half the ``extent`` that
            the model says it has, or 1.
        potential: whether the drift is a gradient, as optimal transport and action matching ask.
        seed: of the initial parameters, at which ``b`` is small.

    Call:
        ``drift(configurations, conditions)`` → ``b`` ``(walkers, *shape)`` and ``∇·b`` float64
        ``(walkers,)``. Parameters have the type of the configurations.

    Raises:
        ValueError: If a size is below 1, the scale is not above 0, or the model is none of real
            numbers.

    References:
        Máté, Fleuret, *Learning interpolations between Boltzmann densities*, arXiv:2301.07388
        (2023), for drifts of densities learned from the continuity equation.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.GaussianMixture.two()
        >>> path = lt.AnnealingPath(model, start=lt.Gaussian(1.0))
        >>> drift = lt.DenseDrift(model, width=8)
        >>> x = path.start.sample(torch.arange(2), seed=0)
        >>> drift.jacobian(x, 0.5).shape
        torch.Size([2, 1, 1])
    """

    periodic = False

    def __init__(
        self,
        model: Any,
        width: int = 64,
        depth: int = 2,
        scale: float | None = None,
        potential: bool = False,
        seed: int = 0,
    ) -> None:
        width = as_integer("width", width, 1)
        depth = as_integer("depth", depth, 1)
        scale = scale_of(model, scale)
        potential = as_bool("potential", potential)
        seed = as_seed(seed)
        super().__init__(
            model, width=width, depth=depth, scale=scale, potential=potential, seed=seed
        )
        self.scale = scale
        self.midpoint = self.sites <= MOST
        self.unmapped = ""
        if not self.midpoint:
            self.unmapped = (
                f"its maps solve for all coordinates at once, and {self.sites} > {MOST}, while "
                f"those of HollowDenseDrift move any number"
            )
        self.head: _Head = _Velocity(self.sites, width, depth)
        if potential:
            self.head = _Gradient(self.sites, width, depth)
        initialise(self, seed)
        self.head.soften()
        self.to(model.dtype)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def _inputs(self, configurations: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``z``, ``(walkers, sites)``, and polynomials of time, ``(1 | walkers, 4)``."""
        self.check_shape(configurations.shape[1:])
        z = configurations.flatten(1).to(self._dtype) / self.scale
        return z, chebyshev(t, self._dtype).to(z.device)

    def _like(self, values: Tensor, configurations: Tensor) -> Tensor:
        """Return ``b`` from ``g``, like the configurations."""
        drift = (self.scale * values).view(configurations.shape)
        return drift.to(configurations.dtype)

    def forward(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return ``b`` and ``∇·b``, see :meth:`Drift.forward`."""
        values, divergence = self.head.diverging(*self._inputs(configurations, conditions.t))
        return self._like(values, configurations), divergence

    def alone(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``b`` without its divergence.

        Args:
            configurations: the same as in :meth:`forward`.
            conditions: the same as in :meth:`forward`.
        """
        values = self.head(*self._inputs(configurations, conditions.t))
        return self._like(values, configurations)

    def potential(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``Φ_t``, of which ``b`` is the gradient, float64 ``(walkers,)``.

        Args:
            configurations: ``(walkers, *shape)``.
            conditions: as a path gives them at a time.

        Raises:
            ValueError: the drift is no gradient.
        """
        values = self.head.potential(*self._inputs(configurations, conditions.t))
        return self.scale**2 * values

    @torch.no_grad()
    def jacobian(self, configurations: Tensor, t: Tensor | float) -> Tensor:
        """Return ``∂b_i/∂x_j``, ``(walkers, sites, sites)``.

        Args:
            configurations: ``(walkers, *shape)``.
            t: one time.
        """
        return self.linearised(configurations, t)[1]

    @torch.no_grad()
    def linearised(self, configurations: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return ``b``, like the configurations, and :meth:`jacobian`, from one pass.

        Args:
            configurations: ``(walkers, *shape)``.
            t: one time.
        """
        values, jacobian = self.head.linearised(*self._inputs(configurations, as_time(t)))
        return self._like(values, configurations), jacobian

    @torch.no_grad()
    def steepest(self, t: Tensor | float) -> float:
        """Return a bound on the norm of the Jacobian that holds everywhere, from the weights.

        So it is one on ``|b(x) - b(y)| / |x - y|``.

        Args:
            t: one time.
        """
        device = next(self.parameters()).device
        return self.head.steepest(chebyshev(as_time(t).to(device), self._dtype))


class _Head(Protocol):
    """What makes ``g`` of inputs and polynomials of time; its call returns ``g``."""

    def __call__(self, z: Tensor, time: Tensor) -> Tensor: ...

    def soften(self) -> None:
        """Make initial parameters such that ``g`` is small."""

    def diverging(self, z: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``g``, and its divergence, float64 ``(walkers,)``."""

    def linearised(self, z: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``g`` and ``∂g_i/∂z_j``."""

    def potential(self, z: Tensor, time: Tensor) -> Tensor:
        """Return ``Φ/s²``, float64 ``(walkers,)``."""

    def steepest(self, time: Tensor) -> float:
        """Return a bound on the norm of the Jacobian."""


class _Velocity(nn.Module):
    """``g`` itself is what the layers give."""

    def __init__(self, sites: int, width: int, depth: int) -> None:
        super().__init__()
        self.layers = Perceptron(sites, width, depth, sites)
        self.stretch = nn.Linear(CHEBYSHEV, sites, bias=False)

    @torch.no_grad()
    def soften(self) -> None:
        """See :class:`_Head`."""
        self.layers.soften()
        self.stretch.weight.mul_(0.1)

    def forward(self, z: Tensor, time: Tensor) -> Tensor:
        """Return ``g``."""
        values: Tensor = self.layers(z, time) + self.stretch(time) * z
        return values

    def diverging(self, z: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`_Head`."""
        values, first = self.layers.tangents(z, time)
        stretch = self.stretch(time)
        slopes = first.diagonal(dim1=1, dim2=2) + stretch
        return values + stretch * z, slopes.double().sum(1)

    def linearised(self, z: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`_Head`."""
        values, first = self.layers.tangents(z, time)
        stretch = self.stretch(time)
        jacobian = first.transpose(1, 2) + torch.diag_embed(stretch)
        return values + stretch * z, jacobian

    def potential(self, z: Tensor, time: Tensor) -> Tensor:
        """See :class:`_Head`."""
        raise ValueError(
            "this DenseDrift is the gradient of no potential; take DenseDrift(potential=True)"
        )

    def steepest(self, time: Tensor) -> float:
        """See :class:`_Head`."""
        linear = self.stretch(time)[0].double()
        return steepest_layers(self.layers.matrices(), torch.diag(linear))


class _Gradient(nn.Module):
    """``g`` is the gradient of what the layers give."""

    def __init__(self, sites: int, width: int, depth: int) -> None:
        super().__init__()
        self.layers = Perceptron(sites, width, depth, 1)
        self.slope = nn.Linear(CHEBYSHEV, sites, bias=False)
        self.stretch = nn.Linear(CHEBYSHEV, sites, bias=False)

    @torch.no_grad()
    def soften(self) -> None:
        """See :class:`_Head`."""
        self.layers.soften()
        self.slope.weight.mul_(0.1)
        self.stretch.weight.mul_(0.1)

    def _whole(self, first: Tensor, z: Tensor, time: Tensor) -> Tensor:
        """Return the gradient, that of the linear and the quadratic term added."""
        return first.squeeze(2) + self.slope(time) + self.stretch(time) * z

    def forward(self, z: Tensor, time: Tensor) -> Tensor:
        """Return ``g``."""
        return self._whole(self.layers.tangents(z, time)[1], z, time)

    def diverging(self, z: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`_Head`."""
        jet = self.layers.jet(z, time, mixed=False)
        curvatures = jet.second.flatten(1) + self.stretch(time)
        return self._whole(jet.first, z, time), curvatures.double().sum(1)

    def linearised(self, z: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`_Head`."""
        jet = self.layers.jet(z, time, mixed=True)
        jacobian = jet.second.squeeze(3) + torch.diag_embed(self.stretch(time))
        return self._whole(jet.first, z, time), jacobian

    def potential(self, z: Tensor, time: Tensor) -> Tensor:
        """See :class:`_Head`."""
        linear = self.slope(time) + 0.5 * self.stretch(time) * z
        values = self.layers(z, time).squeeze(1) + (linear * z).sum(1)
        return values.double()

    def steepest(self, time: Tensor) -> float:
        """See :class:`_Head`."""
        linear = self.stretch(time)[0].double()
        return steepest_gradient(self.layers.matrices(), torch.diag(linear))
