"""LearnedEnergy: a smooth function of configurations and time."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...kernels.checks import as_integer, as_number, as_seed, is_positive
from ...models.base import Conditions
from ...models.densities.divergences import with_divergence
from ...registry import register
from ..base import initialise
from ..drift.gates import CHEBYSHEV, chebyshev

__all__ = ["LearnedEnergy"]


@register("network")
class LearnedEnergy(nn.Module):
    """An energy ``ψ(x, t)`` by which a path of densities is curved.

    ``ψ = w · h_depth`` with ``h_{l+1} = tanh(A_l h_l + c_l)`` and for ``h_0`` the coordinates ``x /
    s`` beside Chebyshev polynomials of ``2t - 1``. It is bounded and has all derivatives, which
    autograd finds; parameters are float64, since densities are. A path adds ``-t(1-t) ψ`` to ``log
    ρ̃_t``, so that no parameters make its weights biased.

    Args:
        model: a target of floating-point configurations; gives their shape.
        width: hidden units of a layer, at least 1.
        depth: hidden layers, at least 1.
        scale: ``s``, about the size of coordinates, above 0; None for the ``extent`` of a density,
            and 1 for other targets.
        seed: of the initial parameters, at which ``ψ`` is small.

    Call:
        ``energy(configurations, conditions)`` → ``ψ`` float64 ``(walkers,)``.

    Attributes:
        settings: the other arguments.
        shape: of one configuration.
        scale: ``s``.

    Raises:
        ValueError: If an argument is not as above.

    References:
        Máté, Fleuret, *Learning interpolations between Boltzmann densities*, arXiv:2301.07388
        (2023), for paths that are curved so.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.GaussianMixture.two()
        >>> energy = LearnedEnergy(model, width=16)
        >>> path = lt.AnnealingPath(model, start=lt.Gaussian(1.0), correction=energy)
        >>> x = path.start.sample(torch.arange(2), seed=0)
        >>> path.change(x, 0.5).shape
        torch.Size([2])
    """

    def __init__(
        self,
        model: Any,
        width: int = 64,
        depth: int = 2,
        scale: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._expect_real(model)
        width = as_integer("width", width, 1)
        depth = as_integer("depth", depth, 1)
        if scale is None:
            scale = getattr(model, "extent", 1.0)
        wanted = "None or a positive number"
        self.scale = as_number("scale", scale, wanted, is_positive)
        seed = as_seed(seed)
        self.settings = {"width": width, "depth": depth, "scale": self.scale, "seed": seed}
        self.shape: tuple[int, ...] = tuple(model.shape)
        sizes = [math.prod(self.shape) + CHEBYSHEV, *[width] * depth]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers.append(nn.Linear(before, after, dtype=torch.float64))
        self.layers = nn.ModuleList(layers)
        # A constant would cancel in every density.
        self.readout = nn.Linear(width, 1, bias=False, dtype=torch.float64)
        initialise(self, seed)
        with torch.no_grad():
            # Small but not zero: at zero the gradients of all other layers vanish.
            self.readout.weight.mul_(0.1)

    kind = "energy"
    """What tells it from the transports of a sampler, which follows none"""

    def check_model(self, model: Any) -> None:
        """Refuse a model that the energy is not for.

        Args:
            model: the target of a path, completed.

        Raises:
            ValueError: If its configurations are no floating-point numbers, or have another shape.
        """
        self._expect_real(model)
        self._check_shape(model.shape)

    def _expect_real(self, model: Any) -> None:
        if not model.dtype.is_floating_point:
            raise ValueError(
                f"{type(self).__name__} is an energy of floating-point configurations, and those "
                f"of {model!r} are {model.dtype}"
            )

    def _check_shape(self, shape: Sequence[int]) -> None:
        if tuple(shape) != self.shape:
            raise ValueError(
                f"this {type(self).__name__} is for shape {self.shape}, got {tuple(shape)}; make "
                f"one by {type(self).__name__}(model)"
            )

    def forward(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``ψ``, float64 ``(walkers,)``.

        Args:
            configurations: ``(walkers, *shape)``.
            conditions: as a path gives them at a time; ``t`` is of ``(1 | walkers,)``.

        Raises:
            ValueError: If configurations have another shape.
        """
        self._check_shape(configurations.shape[1:])
        dtype = self.readout.weight.dtype
        x = configurations.flatten(1).to(dtype) / self.scale
        time = chebyshev(conditions.t, dtype).expand(len(x), -1)
        hidden = torch.cat([x, time], 1)
        layer: Any
        for layer in self.layers:
            # As functions: within torch.func, a layer's hooks would see tensors that do not last.
            hidden = torch.tanh(F.linear(hidden, layer.weight, layer.bias))
        values = F.linear(hidden, self.readout.weight).squeeze(1)
        return values.to(torch.float64)

    def gradient(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``∇ψ``, like the configurations; parameters have gradients.

        Arguments as in :meth:`forward`.
        """

        def total(x: Tensor) -> Tensor:
            return self(x, conditions).sum()

        # Each value is of its own walker, so that the gradient of the sum holds those of all.
        found: Tensor = torch.func.grad(total)(configurations)
        return found

    def laplacian(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``Δψ``, float64 ``(walkers,)``, by a backward pass for each coordinate.

        Arguments as in :meth:`forward`.
        """

        def gradient(x: Tensor) -> Tensor:
            return self.gradient(x, conditions)

        return with_divergence(gradient, configurations)[1]
