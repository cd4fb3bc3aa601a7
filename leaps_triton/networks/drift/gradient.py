"""GradientDrift: the gradient of a learned potential, for action matching."""

from typing import Any

import torch
from torch import Tensor, nn

from ...kernels.checks import as_integer, as_seed, expect
from ...lattices.waves import filtered
from ...models.base import Conditions
from ...registry import register
from ..base import check_kernel, initialise
from .base import Drift
from .gates import CHEBYSHEV, chebyshev, radial_network, radial_values, soften
from .geometry import Sites

__all__ = ["GradientDrift"]


@register("network")
class GradientDrift(Drift):
    """A drift ``b = ∇ϕ_t`` of a potential, with its exact divergence ``Δϕ_t``.

    ``ϕ_t = ½ Σ_k K_t(k) |φ_k|² + Σ_i Σ_h w_h(t) log cosh(z_ih)`` with ``z_ih = g_h(t) (Σ_τ A_hτ
    φ_{i+τ} + c_h M)``: waves, and windows with their own site and the mean ``M`` of the whole
    field. ``K`` is a network of ``k̂²`` and ``t``, gates ``w`` and ``g`` are polynomials of ``t``.
    So ``b_i = (K_t φ)_i + Σ_jh w_h g_h tanh(z_jh) ∂z_jh/∂φ_i`` is odd in ``φ`` and equivariant
    under translations, and the Laplacian has squares of weights for its factors. It is what
    :func:`~leaps_triton.training.losses.action_matching` needs; its Jacobian is not diagonal, so
    that :class:`~leaps_triton.PathRatio` alone can sample with it.

    Args:
        model: gives the lattice, periodic.
        kernel_size: width of the window, odd, at most the least length.
        width: hidden units.
        seed: of the initial parameters, at which ``b`` is small.

    Call:
        ``drift(configurations, conditions)`` → ``b`` ``(walkers, *shape)`` and ``∇·b`` float64
        ``(walkers,)``.

    Raises:
        ValueError: If the kernel is even or wider than the lattice, or the model has no fields on a
            periodic lattice.

    References:
        Neklyudov, Brekelmans, Severo, Makhzani, *Action matching*, arXiv:2210.06662 (2022), for
        drifts that are gradients.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.PhiFour((4, 4), mass_squared=-4.0, quartic=6.975)
        >>> path = lt.AnnealingPath(model)
        >>> drift = lt.GradientDrift(model, kernel_size=3, width=8)
        >>> x = path.start.sample(torch.arange(2), seed=0)
        >>> drift.potential(x, path.conditions(0.5)).shape
        torch.Size([2])
    """

    def __init__(self, model: Any, kernel_size: int = 5, width: int = 32, seed: int = 0) -> None:
        kernel_size = as_integer("kernel_size", kernel_size, 0)
        expect(kernel_size % 2 == 1, "kernel_size", "odd and positive", kernel_size)
        width = as_integer("width", width, 1)
        seed = as_seed(seed)
        super().__init__(model, kernel_size=kernel_size, width=width, seed=seed)
        self.kernel_size = kernel_size
        check_kernel(kernel_size, self.shape, [True] * self.ndim)
        if kernel_size > min(self.shape):
            # A site that a window reads twice would count as two in the Laplacian.
            raise ValueError(
                f"kernel_size must be at most the least length of shape {self.shape}, so that no "
                f"window reads a site twice, got {kernel_size}"
            )
        self._sites = Sites.of(self.shape, kernel_size, parity=False)
        taps = self._sites.windows.shape[1]
        self.window = nn.Linear(taps + 2, width, bias=False)
        self.inner_gate = nn.Linear(CHEBYSHEV, width, bias=False)
        self.outer_gate = nn.Linear(CHEBYSHEV, width, bias=False)
        self.radial = radial_network()
        initialise(self, seed)
        with torch.no_grad():
            # Small but not zero: at zero the gradients of all other layers vanish.
            self.outer_gate.weight.mul_(0.01)
            self.inner_gate.weight.mul_(0.3)
            # Fields are about a third: below |z| = 1 a window is as good as a quadratic form.
            self.window.weight[:, 0].mul_(3.0 * (taps + 2) ** 0.5)
            self.window.weight[:, 1:].mul_(2.0)
            soften(self.radial, 0.2)

    @property
    def _dtype(self) -> torch.dtype:
        return self.window.weight.dtype

    def _place(self) -> Sites:
        """Return the windows where the parameters are; they stay there."""
        device = self.window.weight.device
        if self._sites.windows.device != device:
            self._sites = self._sites.to(device)
        return self._sites

    def _gates(self, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return ``g_h`` and ``w_h``, ``(1 | walkers, 1, width)`` each."""
        time = chebyshev(conditions.t, self._dtype)
        inner = 1.0 + self.inner_gate(time)
        return inner.unsqueeze(1), self.outer_gate(time).unsqueeze(1)

    def _inputs(self, flat: Tensor) -> Tensor:
        """Return ``z`` before its gate, ``(walkers, sites, width)``."""
        windows = flat[:, self._place().windows]
        mean = flat.mean(1, keepdim=True).expand_as(flat)
        # The site itself, its window, and the mean of the field.
        seen = torch.cat([flat.unsqueeze(2), windows, mean.unsqueeze(2)], 2)
        inputs: Tensor = self.window(seen)
        return inputs

    def potential(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``ϕ_t``, float64 ``(walkers,)``.

        Args:
            configurations: ``(walkers, *shape)``.
            conditions: as a path gives them at a time.
        """
        self.check_shape(configurations.shape[1:])
        inner, outer = self._gates(conditions)
        x = configurations.to(self._dtype)
        z = inner * self._inputs(x.flatten(1))
        size = z.abs()
        # log cosh without overflow, less its constant.
        values = size + torch.log1p(torch.exp(-2.0 * size))
        windows = (values * outer).double().sum((1, 2))
        waves = 0.5 * (x * self._linear(x, conditions.t)[0]).double().flatten(1).sum(1)
        return windows + waves

    def _linear(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``K_t φ``, like ``x``, and the trace of ``K_t``, float64 ``(1 | walkers,)``."""
        waves = self.waves(x.device)
        values = radial_values(self.radial, waves, t)
        return filtered(x, waves.spread(values)), waves.trace(values)

    def forward(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return ``b`` and ``∇·b``, see :meth:`Drift.forward`."""
        self.check_shape(configurations.shape[1:])
        inner, outer = self._gates(conditions)
        x = configurations.to(self._dtype)
        flat = x.flatten(1)
        linear, trace = self._linear(x, conditions.t)
        bent = torch.tanh(inner * self._inputs(flat))
        drift = self._back(bent * (outer * inner))
        slopes = (1.0 - bent * bent) * (outer * inner * inner)
        divergence = (slopes * self._squares()).double().sum((1, 2))
        drift = drift.view_as(x) + linear
        return drift.to(configurations.dtype), divergence + trace

    def _back(self, values: Tensor) -> Tensor:
        """Return what sites get from all windows that read them, ``(walkers, sites)``.

        Args:
            values: of each window and hidden unit, ``(walkers, sites, width)``.
        """
        parts = values @ self.window.weight
        windows = self._place().windows
        # Over an offset's window each site is read once: adding is a permutation, tap by tap.
        drift = parts[:, :, 0].clone()
        shares = parts[:, :, 1:-1].flatten(1)
        drift = drift.index_add(1, windows.flatten(), shares)
        mean = parts[:, :, -1].mean(1, keepdim=True)
        return drift + mean

    def _squares(self) -> Tensor:
        """Return ``Σ_i (∂z_jh/∂φ_i)²``, the same for every window ``j``, ``(width,)``."""
        weights = self.window.weight
        sites = self._place().windows.shape[0]
        # The mean reads every site a little, those of the window too.
        everywhere = weights[:, -1:] / sites
        inside = (weights[:, :-1] + everywhere).square().sum(1)
        outside = sites - (weights.shape[1] - 1)
        return inside + outside * everywhere.squeeze(1).square()
