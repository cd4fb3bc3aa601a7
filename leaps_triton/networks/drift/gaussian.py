"""GaussianDrift: the drift that carries one free field into another."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import as_number, is_positive
from ...lattices.waves import filtered
from ...models.base import Conditions
from ...models.fields import hartree_masses
from ...registry import register
from .base import Drift, as_time

__all__ = ["GaussianDrift"]

_START_MASS = 1.0
"""Squared mass of the start that a path of fields has unless told."""


class _Masses(NamedTuple):
    """The squared mass of the best Gaussian at several times, and its derivative by time."""

    value: Tensor
    """float64 ``(times,)``"""
    rate: Tensor
    """float64 ``(times,)``"""


@register("network")
class GaussianDrift(Drift):
    """A drift ``b = K_t φ`` with ``K = ½ d/dt log G_t`` of the Gaussian nearest to ``ρ_t``.

    ``G_t(k) = 1 / (2(k̂² + M_t))`` is the variance of a wave. For a free field ``M_t = m²_t``, and
    the drift carries ``ρ_0`` exactly to every ``ρ_t``: the residual is constant. With a quartic
    term ``M_t`` is the Hartree mass, ``M = m²_t + 6 λ_t ⟨φ²⟩`` with ``⟨φ²⟩`` of this Gaussian. It
    has no parameters; weights are exact all the same.

    Args:
        model: a :class:`~leaps_triton.PhiFour`.
        start: the squared mass of the path's start, or the :class:`~leaps_triton.FreeField`; None
            for 1. Couplings lead from there to the model linearly in ``t``, as on a path without
            schedule.

    Raises:
        ValueError: If the model has no ``mass_squared`` and ``quartic`` on a periodic lattice, or
            the squared mass of the start is not positive.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.PhiFour((4, 4), mass_squared=0.05, quartic=0.0)
        >>> lt.GaussianDrift(model).modes(1.0)[0, 0]
        tensor(9.5000, dtype=torch.float64)
    """

    maps = True
    linear = True

    def __init__(self, model: Any, start: Any = None) -> None:
        mass = _START_MASS
        if start is not None:
            mass = getattr(start, "mass_squared", start)
        mass = as_number("start", mass, "None, a FreeField or a positive squared mass", is_positive)
        super().__init__(model, start=mass)
        if not hasattr(model, "mass_squared") or not hasattr(model, "quartic"):
            raise ValueError(
                f"a GaussianDrift is for a model with mass_squared and quartic, such as PhiFour, "
                f"got {model!r}"
            )
        self.start_mass = mass
        self.mass_squared = float(model.mass_squared)
        self.quartic = float(model.quartic)

    def masses(self, t: Tensor) -> _Masses:
        """Return ``M_t`` and ``dM_t/dt``.

        Args:
            t: float64 ``(times,)``.
        """
        waves = self.waves(t.device)
        change = self.mass_squared - self.start_mass
        mass = self.start_mass + change * t
        quartic = self.quartic * t
        value = hartree_masses(mass, quartic, waves.squares, waves.counts)
        # ⟨φ²⟩ and how it falls with M.
        spread = 1.0 / (waves.squares + value.unsqueeze(1))
        weights = waves.counts / waves.counts.sum()
        square = 0.5 * spread @ weights
        fall = 0.5 * spread.square() @ weights
        # M depends on t through both couplings, and on itself.
        rate = (change + 6.0 * self.quartic * square) / (1.0 + 6.0 * quartic * fall)
        return _Masses(value, rate)

    def _values(self, t: Tensor) -> Tensor:
        """Return ``K_t`` of all different ``k̂²``, float64 ``(times, values)``."""
        found = self.masses(t)
        squares = self.waves(t.device).squares
        # G = 1 / (2 (k̂² + M)): half the derivative of its logarithm.
        return -0.5 * found.rate.unsqueeze(1) / (squares + found.value.unsqueeze(1))

    def forward(self, configurations: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return ``b`` and ``∇·b``, see :meth:`Drift.forward`."""
        self.check_shape(configurations.shape[1:])
        waves = self.waves(configurations.device)
        values = self._values(conditions.t.double().to(configurations.device))
        drift = filtered(configurations, waves.spread(values))
        divergence = waves.trace(values)
        return drift, divergence.expand(len(configurations))

    def modes(self, t: Tensor | float) -> Tensor:
        """Return ``K_t(k)``, float64 ``(*shape)``, see :meth:`Drift.modes`."""
        values = self._values(as_time(t))
        return self.waves(values.device).spread(values)[0]

    def flow(self, begin: float, end: float) -> Tensor:
        """Return ``∫ K_t(k) dt`` from one time to another, ``½ log(G_end / G_begin)``.

        A map by ``e^{∫K dt}`` carries one Gaussian exactly to the other.

        Args:
            begin: one time.
            end: the other.

        Returns:
            float64 ``(*shape)``.
        """
        device = self._waves.index.device
        times = torch.tensor([begin, end], dtype=torch.float64, device=device)
        found = self.masses(times).value
        squares = self.waves(times.device).squares
        stiffness = squares + found.unsqueeze(1)
        values = -0.5 * (stiffness[1:] / stiffness[:1]).log()
        return self.waves(times.device).spread(values)[0]

    def sublattice(self, parity: int) -> Tensor:
        """Return no sites: nothing is left to be moved one sublattice at a time."""
        return torch.zeros(0, dtype=torch.int64, device=self._waves.index.device)

    def active(
        self, configurations: Tensor, t: Tensor | float, parity: int
    ) -> tuple[Tensor, Tensor]:
        """Return ``f = 0`` of no sites, see :meth:`Drift.active`."""
        nothing = configurations.flatten(1)[:, :0]
        return nothing, nothing

    def steepest(self, t: Tensor | float) -> float:
        """Return 0, the slope of ``f = 0``."""
        return 0.0
