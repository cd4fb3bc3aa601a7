"""HollowDrift: a drift with exact divergence, and exact log-determinants of its maps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ... import kernels
from ...kernels.checks import as_bool, as_integer, as_seed, expect
from ...lattices.waves import filtered
from ...models.base import Conditions
from ...registry import register
from ..base import check_kernel, initialise
from .base import Drift, as_time
from .bounds import largest_slope
from .gates import CHEBYSHEV, chebyshev, radial_network, radial_values, soften
from .geometry import Sites

__all__ = ["HollowDrift", "Pointwise"]

_CHUNK_SITES = 16384
"""Sites that a CPU evaluates at once: their activations stay in its cache."""


class Pointwise(NamedTuple):
    """The weights of ``f`` at one time, with all that multiplies them folded in.

    ``f_i = Σ_g r_g tanh(Σ_h W_gh tanh(o_h φ_i + Σ_τ A_hτ φ_{i+τ} + m_h M_i))``, with ``τ`` the taps
    of the window of ``i`` and ``M_i`` the mean of the other sublattice.
    """

    own: Tensor
    """``o``, ``(width,)``"""
    taps: Tensor
    """``A``, ``(width, taps)``"""
    mean: Tensor
    """``m``, ``(width,)``"""
    hidden: Tensor
    """``W``, ``(width, width)``"""
    readout: Tensor
    """``r``, ``(width,)``"""


@register("network")
class HollowDrift(Drift):
    """A drift ``b = K_t φ + f(φ_i, h_i, t)`` whose features ``h_i`` do not read ``φ_i``.

    So ``∇·b = Σ_k K_t(k) + Σ_i ∂f/∂φ_i`` exactly, from one pass. With ``parity``, ``h_i`` reads the
    other sublattice alone: a window of it, and its mean. Then the Jacobian of ``f`` within a
    sublattice is diagonal, and all its sites move at once by a map whose log-determinant is exact.

    ``K_t(k)`` is a network of ``k̂²`` and ``t``, and couples all sites. ``f`` has two tanh layers
    without biases, opened by gates that are polynomials of ``t``; so ``b`` is odd in ``φ``, and
    ``f`` is bounded: ``φ + h f`` reaches every number. It is equivariant under translations, and
    its parameters serve every lattice size (:meth:`for_model`).

    Args:
        model: gives the lattice, periodic, of even lengths with ``parity``.
        kernel_size: width of the window, odd; its radius must be smaller than every length.
        channels: linear features of the window.
        width: hidden width.
        parity: whether windows read the other sublattice alone. Without it the divergence is exact
            all the same, but not the log-determinant of a map: for
            :class:`~leaps_triton.PathRatio`.
        seed: of the initial parameters, at which ``b`` is small.

    Call:
        ``drift(configurations, conditions)`` → ``b`` ``(walkers, *shape)`` and ``∇·b`` float64
        ``(walkers,)``.

    Raises:
        ValueError: If a length is odd with ``parity``, the kernel is even or too large, or the
            model has no fields on a periodic lattice.

    References:
        Chen, Duvenaud, *Neural networks with cheap differential operators*, arXiv:1912.03579
        (2019), for hollow networks; Albergo, Vanden-Eijnden, *NETS*, arXiv:2410.02711 (2024), for
        drifts along annealing paths.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.PhiFour((4, 4), mass_squared=-4.0, quartic=6.975)
        >>> path = lt.AnnealingPath(model)
        >>> drift = lt.HollowDrift(model, kernel_size=3, channels=4, width=8)
        >>> x = path.start.sample(torch.arange(2), seed=0)
        >>> b, divergence = drift(x, path.conditions(0.5))
        >>> b.shape, divergence.shape
        (torch.Size([2, 4, 4]), torch.Size([2]))
    """

    def __init__(
        self,
        model: Any,
        kernel_size: int = 7,
        channels: int = 12,
        width: int = 24,
        parity: bool = True,
        seed: int = 0,
    ) -> None:
        kernel_size = as_integer("kernel_size", kernel_size, 0)
        expect(kernel_size % 2 == 1, "kernel_size", "odd and positive", kernel_size)
        channels = as_integer("channels", channels, 1)
        width = as_integer("width", width, 1)
        parity = as_bool("parity", parity)
        seed = as_seed(seed)
        super().__init__(
            model,
            kernel_size=kernel_size,
            channels=channels,
            width=width,
            parity=parity,
            seed=seed,
        )
        self.maps = parity
        self.kernel_size = kernel_size
        self._check_lengths(kernel_size, parity)
        self._sites = Sites.of(self.shape, kernel_size, parity)
        self._make_layers(channels, width, seed)

    def _check_lengths(self, kernel_size: int, parity: bool) -> None:
        """Refuse lattices without two sublattices, and those that the kernel reaches around."""
        odd = [length for length in self.shape if length % 2 == 1]
        if parity and odd:
            raise ValueError(
                f"a HollowDrift with parity=True needs even lengths, for the two sublattices, got "
                f"shape {self.shape}; change it, or take parity=False, which PathRatio alone can "
                f"use"
            )
        check_kernel(kernel_size, self.shape, [True] * self.ndim)

    def _make_layers(self, channels: int, width: int, seed: int) -> None:
        """Make all parameters, in the order in which files hold them and seeds draw them.

        All are layers that are called, tangents included, so that per-sample gradients are cheap.
        """
        taps = self._sites.windows.shape[1]
        self.window = nn.Linear(taps, channels, bias=False)
        self.own = nn.Linear(1, width, bias=False)
        self.seen = nn.Linear(channels + 1, width, bias=False)
        self.first_gate = nn.Linear(CHEBYSHEV, width, bias=False)
        self.hidden = nn.Linear(width, width, bias=False)
        self.second_gate = nn.Linear(CHEBYSHEV, width, bias=False)
        self.readout = nn.Linear(width, 1, bias=False)
        self.radial = radial_network()
        initialise(self, seed)
        with torch.no_grad():
            # Fields are of order one: layers begin where tanh bends a little.
            self.window.weight.mul_(0.3)
            self.own.weight.mul_(0.5)
            self.seen.weight.mul_(0.5 * (channels + 1) ** 0.5)
            self.first_gate.weight.mul_(0.6)
            self.second_gate.weight.mul_(0.6)
            # Small but not zero: at zero the gradients of all other layers vanish.
            self.readout.weight.mul_(0.1)
            soften(self.radial, 0.2)

    @property
    def _dtype(self) -> torch.dtype:
        return self.readout.weight.dtype

    def _place(self) -> Sites:
        """Return windows and sublattices where the parameters are; they stay there."""
        device = self.readout.weight.device
        if self._sites.windows.device != device:
            self._sites = self._sites.to(device)
        return self._sites

    def forward(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return ``b`` and ``∇·b``, see :meth:`Drift.forward`."""
        self.check_shape(configurations.shape[1:])
        x = configurations.to(self._dtype)
        t = conditions.t.double()
        values = self._radial(t)
        waves = self.waves(x.device)
        linear = filtered(x, waves.spread(values))
        f, slope = self._everywhere(x.flatten(1), t)
        divergence = waves.trace(values) + slope.double().sum(1)
        drift = linear + f.view_as(x)
        return drift.to(configurations.dtype), divergence

    def _everywhere(self, flat: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``f`` and its slope at all sites, ``(walkers, sites)`` each."""
        sites = self._place()
        seen = self.window(flat[:, sites.windows])
        means = self._means(flat)
        seen = torch.cat([seen, means.unsqueeze(2)], 2)
        time = chebyshev(t, self._dtype)
        # One row per time or walker, and the same for all sites.
        first_gate = 1.0 + self.first_gate(time).unsqueeze(1)
        second_gate = 1.0 + self.second_gate(time).unsqueeze(1)
        own = flat.unsqueeze(2)
        # A layer that is linear has its own matrix as its tangent.
        unit = torch.ones_like(own[:, :1])
        tangent = self.own(unit)
        first = torch.tanh(self.own(own) + self.seen(seen))
        first_slope = (1.0 - first * first) * (tangent * first_gate)
        second = torch.tanh(self.hidden(first * first_gate))
        second_slope = (1.0 - second * second) * self.hidden(first_slope)
        f = self.readout(second * second_gate).squeeze(2)
        slope = self.readout(second_slope * second_gate).squeeze(2)
        return f, slope

    def _means(self, flat: Tensor) -> Tensor:
        """Return twice the mean of what a site may read, ``(walkers, sites)``."""
        sites = self._place().sublattices
        if not self.maps:
            others = flat.sum(1, keepdim=True) - flat
            return 2.0 * others / (flat.shape[1] - 1)
        even = flat[:, sites[0]].mean(1, keepdim=True)
        odd = flat[:, sites[1]].mean(1, keepdim=True)
        means = torch.empty_like(flat)
        means[:, sites[0]] = 2.0 * odd
        means[:, sites[1]] = 2.0 * even
        return means

    def _radial(self, t: Tensor) -> Tensor:
        """Return ``K_t`` of all different ``k̂²``, ``(1 | walkers, values)``."""
        return radial_values(self.radial, self.waves(self.readout.weight.device), t)

    @torch.no_grad()
    def modes(self, t: Tensor | float) -> Tensor:
        """Return ``K_t(k)``, float64 ``(*shape)``, see :meth:`Drift.modes`."""
        values = self._radial(as_time(t)).double()
        return self.waves(values.device).spread(values)[0]

    def sublattice(self, parity: int) -> Tensor:
        """Return the sites of one sublattice, see :meth:`Drift.sublattice`."""
        if not self.maps:
            raise self._no_map()
        return self._place().sublattices[parity]

    @torch.no_grad()
    def windows(self, parity: int) -> Tensor:
        """Return what the windows of a sublattice's sites read, int64 ``(sites / 2, taps)``."""
        chosen = self.sublattice(parity)
        return self._place().windows[chosen]

    @torch.no_grad()
    def pointwise(self, t: Tensor | float) -> Pointwise:
        """Return the weights of ``f`` at one time, in the type of the parameters.

        Args:
            t: one time.
        """
        when = as_time(t).to(self.readout.weight.device)
        time = chebyshev(when, self._dtype)
        first_gate = 1.0 + self.first_gate(time)[0]
        second_gate = 1.0 + self.second_gate(time)[0]
        seen = self.seen.weight
        taps = seen[:, :-1] @ self.window.weight
        # The layer reads twice the mean.
        mean = 2.0 * seen[:, -1]
        hidden = self.hidden.weight * first_gate
        readout = self.readout.weight[0] * second_gate
        own = self.own.weight[:, 0].detach()
        return Pointwise(own, taps, mean, hidden, readout)

    @torch.no_grad()
    def active(
        self, configurations: Tensor, t: Tensor | float, parity: int
    ) -> tuple[Tensor, Tensor]:
        """Return ``f`` and its slope on one sublattice, see :meth:`Drift.active`."""
        sites = self.sublattice(parity)
        windows = self.windows(parity)
        others = self.sublattice(1 - parity)
        weights = self.pointwise(t)
        flat = configurations.flatten(1).to(self._dtype)
        walkers = max(1, _CHUNK_SITES // len(sites))
        values: list[Tensor] = []
        slopes: list[Tensor] = []
        for part in flat.split(walkers):
            mean = part[:, others].mean(1).view(-1, 1, 1)
            f, slope = _at_sites(weights, part[:, sites], part[:, windows], mean)
            values.append(f)
            slopes.append(slope)
        return torch.cat(values), torch.cat(slopes)

    @torch.no_grad()
    def push(self, configurations: Tensor, passes: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Return fields after passes over the sublattices, ``φ_i ← φ_i + η f_i``, in one launch.

        Args:
            configurations: ``(walkers, *shape)``.
            passes: one after the other, each with a ``parity``, a time ``t``, the same for all, and
                a ``step``.

        Returns:
            ``(walkers, *shape)``, and ``Σ log(1 + η ∂f_i/∂φ_i)``, float64 ``(walkers,)``.
        """
        sublattices = torch.stack([self.sublattice(parity) for parity in (0, 1)])
        windows = torch.stack([self.windows(parity) for parity in (0, 1)])
        weights = self.pointwise(passes[0].t)
        parities = [each.parity for each in passes]
        steps = [each.step for each in passes]
        return kernels.parity_map(configurations, sublattices, windows, *weights, parities, steps)

    def steepest(self, t: Tensor | float) -> float:
        """Return a bound on ``|∂f_i/∂φ_i|``, see :meth:`Drift.steepest`."""
        weights = self.pointwise(t)
        return largest_slope(weights.own, weights.hidden, weights.readout)


def _at_sites(
    weights: Pointwise, own: Tensor, windows: Tensor, mean: Tensor
) -> tuple[Tensor, Tensor]:
    """Return ``f`` and its slope, ``(walkers, sites)`` each.

    Args:
        weights: of ``f``.
        own: ``φ_i``, ``(walkers, sites)``.
        windows: what their windows read, ``(walkers, sites, taps)``.
        mean: of the other sublattice, ``(walkers, 1, 1)``.
    """
    inputs = windows @ weights.taps.T
    inputs = inputs + own.unsqueeze(2) * weights.own + mean * weights.mean
    first = torch.tanh(inputs)
    first_slope = (1.0 - first * first) * weights.own
    second = torch.tanh(first @ weights.hidden.T)
    second_slope = (1.0 - second * second) * (first_slope @ weights.hidden.T)
    return second @ weights.readout, second_slope @ weights.readout
