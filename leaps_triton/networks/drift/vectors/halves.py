"""HollowDenseDrift: a drift of vectors of any size, one half of which moves given the other."""

from typing import Any

import torch
from torch import Tensor, nn

from ....kernels.checks import as_integer, as_seed
from ....models.base import Conditions
from ....registry import register
from ...base import initialise
from ..base import Drift, as_time
from ..gates import CHEBYSHEV, chebyshev
from .scales import scale_of

__all__ = ["HollowDenseDrift"]

_ROUNDING = 1.0 + 1e-5
"""By how much slopes that are computed in float32 may exceed those of exact arithmetic."""


@register("network")
class HollowDenseDrift(Drift):
    """A drift ``b_i = f_i(x_i, h, t)`` of vectors, ``h`` features of the other half of them.

    Coordinates of even numbers are one half, those of odd numbers the other. ``f_i = s (k_i(t) z_i
    + c_i(t) + C_i·h + Σ_u R_iu tanh(O_iu z_i + S_iu·h + B_iu(t)))`` with ``z = x/s``, where ``h =
    tanh(W z' + B(t))`` reads the other half ``z'`` alone. So the Jacobian within a half is
    diagonal: the divergence costs no more than ``b``, and :class:`~leaps_triton.MapStep` moves one
    half after the other by maps with exact determinants, in any number of coordinates.

    Args:
        model: gives the shape, of at least two sites, which stand in no order.
        width: number of features of each half.
        units: tanh functions of each coordinate.
        scale: ``s``, a length on which ``x`` is about 1, above 0; None for half the ``extent`` that
            the model says it has, or 1.
        seed: of the initial parameters, at which ``b`` is small.

    Call:
        ``drift(configurations, conditions)`` → ``b`` ``(walkers, *shape)`` and ``∇·b`` float64
        ``(walkers,)``. Parameters have the type of the configurations.

    Raises:
        ValueError: If a size is below 1, the scale is not above 0, or the model is none of two or
            more real numbers.

    References:
        Chen, Duvenaud, *Neural networks with cheap differential operators*, arXiv:1912.03579
        (2019), for hollow networks.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.GaussianMixture.nine()
        >>> path = lt.AnnealingPath(model, start=lt.Gaussian(3.0))
        >>> drift = lt.HollowDenseDrift(model, width=8)
        >>> sampler = lt.Sampler(path, drift, lt.MapStep(intervals=4), device="cpu")
        >>> len(sampler.sample(walkers=16, seed=0).log_weights)
        16
    """

    maps = True
    local = True
    periodic = False

    def __init__(
        self,
        model: Any,
        width: int = 64,
        units: int = 8,
        scale: float | None = None,
        seed: int = 0,
    ) -> None:
        width = as_integer("width", width, 1)
        units = as_integer("units", units, 1)
        scale = scale_of(model, scale)
        seed = as_seed(seed)
        super().__init__(model, width=width, units=units, scale=scale, seed=seed)
        if self.sites < 2:
            raise ValueError(
                f"a HollowDenseDrift needs two coordinates or more, one for each half, got shape "
                f"{self.shape}; take DenseDrift"
            )
        self.scale = scale
        order = torch.arange(self.sites)
        self._sites = (order[0::2], order[1::2])
        even = len(self._sites[0])
        odd = len(self._sites[1])
        self.even = _Half(even, odd, width, units)
        self.odd = _Half(odd, even, width, units)
        initialise(self, seed)
        self.even.soften()
        self.odd.soften()
        self.to(model.dtype)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def _halved(self, configurations: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs of each half, ``(walkers, sites of it)``."""
        self.check_shape(configurations.shape[1:])
        z = configurations.flatten(1).to(self._dtype) / self.scale
        return z[:, 0::2], z[:, 1::2]

    def forward(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return ``b`` and ``∇·b``, see :meth:`Drift.forward`."""
        even, odd = self._halved(configurations)
        time = chebyshev(conditions.t, self._dtype).to(even.device)
        first, first_slope = self.even(even, odd, time)
        second, second_slope = self.odd(odd, even, time)
        divergence = first_slope.double().sum(1) + second_slope.double().sum(1)
        # Back to the order of the coordinates.
        places = torch.cat(self._sites).argsort().to(even.device)
        drift = self.scale * torch.cat([first, second], 1)[:, places]
        return drift.view(configurations.shape).to(configurations.dtype), divergence

    def sublattice(self, parity: int) -> Tensor:
        """Return the coordinates of one half, see :meth:`Drift.sublattice`."""
        return self._sites[parity].to(next(self.parameters()).device)

    @torch.no_grad()
    def active(
        self, configurations: Tensor, t: Tensor | float, parity: int
    ) -> tuple[Tensor, Tensor]:
        """Return ``f`` and its slope on one half, see :meth:`Drift.active`."""
        halves = self._halved(configurations)
        time = chebyshev(as_time(t), self._dtype).to(configurations.device)
        moving = (self.even, self.odd)[parity]
        f, slope = moving(halves[parity], halves[1 - parity], time)
        return self.scale * f, slope

    @torch.no_grad()
    def steepest(self, t: Tensor | float) -> float:
        """Return a bound on ``|∂f_i/∂x_i|``, see :meth:`Drift.steepest`."""
        time = chebyshev(as_time(t), self._dtype).to(next(self.parameters()).device)
        return max(self.even.steepest(time), self.odd.steepest(time))


class _Half(nn.Module):
    """``f`` of one half and its slopes, by layers that are all called, tangents included.

    Args:
        own: number of its coordinates.
        others: number of those of the other half.
        width: number of features.
        units: tanh functions of each coordinate.
    """

    def __init__(self, own: int, others: int, width: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.seen = nn.Linear(others, width, bias=False)
        self.seen_hour = nn.Linear(CHEBYSHEV, width, bias=False)
        self.centre = nn.Linear(width, own * units, bias=False)
        self.hour = nn.Linear(CHEBYSHEV, own * units, bias=False)
        # Column i of one and row i of the other are those of coordinate i.
        self.own = nn.Linear(own, units, bias=False)
        self.readout = nn.Linear(units, own, bias=False)
        self.moved = nn.Linear(width, own, bias=False)
        self.shift = nn.Linear(CHEBYSHEV, own, bias=False)
        self.stretch = nn.Linear(CHEBYSHEV, own, bias=False)

    @torch.no_grad()
    def soften(self) -> None:
        """Make initial parameters such that ``f`` is small, and layers bend a little."""
        # Each coordinate, and not their sum, is about 1.
        self.own.weight.mul_(0.7 * self.own.in_features**0.5)
        self.seen.weight.mul_(0.7)
        self.seen_hour.weight.mul_(0.6)
        self.hour.weight.mul_(0.6)
        # Small but not zero: at zero the gradients of all other layers vanish.
        for layer in (self.readout, self.moved, self.shift, self.stretch):
            layer.weight.mul_(0.1)

    def forward(self, z: Tensor, others: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``f / s`` and ``∂f/∂z``, ``(walkers, own)`` each.

        Args:
            z: coordinates of this half, ``(walkers, own)``.
            others: those of the other half.
            time: polynomials, ``(1 | walkers, 4)``.
        """
        seen = torch.tanh(self.seen(others) + self.seen_hour(time))
        centres = (self.centre(seen) + self.hour(time)).view(len(z), z.shape[1], self.units)
        # Each row has one coordinate alone, and each tangent is that of its own row.
        alone = torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(z), -1, -1)
        tangent = self.own(alone)
        inner = torch.tanh(self.own(torch.diag_embed(z)) + centres)
        inner_slope = (1.0 - inner * inner) * tangent
        bent = self.readout(inner).diagonal(dim1=1, dim2=2)
        slope = self.readout(inner_slope).diagonal(dim1=1, dim2=2)
        stretch = self.stretch(time)
        f = bent + self.moved(seen) + self.shift(time) + stretch * z
        return f, slope + stretch

    def steepest(self, time: Tensor) -> float:
        """Return a bound on ``|∂f/∂z|``: slopes of tanh are anywhere in [0, 1], each for itself."""
        products = self.readout.weight.double() * self.own.weight.double().T
        stretch = self.stretch(time)[0].double()
        up = stretch + products.clamp(min=0.0).sum(1)
        down = stretch + products.clamp(max=0.0).sum(1)
        return float(torch.maximum(up.abs(), down.abs()).max()) * _ROUNDING
