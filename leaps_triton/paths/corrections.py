"""What a learned energy adds to the densities of a path, between its two ends."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..kernels.checks import expect
from ..kernels.lattice_fields.reference import per_site
from ..models.base import Conditions

__all__ = ["Correction", "Energy", "gradient_of", "precision_of", "scaled"]

Energy = Callable[[Tensor, Conditions], Tensor]
"""``ψ = energy(configurations, conditions)``, ``(walkers,)``; usually an ``nn.Module``.

It must be smooth in configurations and time, and a walker's must not depend on the others."""


def precision_of(energy: Energy) -> torch.dtype:
    """Return the type of an energy's parameters; float64 where there are none."""
    if isinstance(energy, nn.Module):
        for parameter in energy.parameters():
            return parameter.dtype
    return torch.float64


def value_of(energy: Energy, configurations: Tensor, conditions: Conditions) -> Tensor:
    """Return ``ψ``, float64 ``(walkers,)``.

    Args:
        energy: ``ψ``.
        configurations: ``(walkers, *shape)``.
        conditions: of the path, in the type of the parameters.

    Raises:
        ValueError: it returns something else.
    """
    found: Any = energy(configurations.to(precision_of(energy)), conditions)
    if not isinstance(found, Tensor) or found.shape != configurations.shape[:1]:
        expect(False, "what a learned energy returns", "a number per walker, (walkers,)", found)
    # Densities are float64, whatever the network computes in.
    return found.to(torch.float64)


def gradient_of(energy: Energy, configurations: Tensor, conditions: Conditions) -> Tensor:
    """Return ``∇ψ``, like the configurations; arguments as in :func:`value_of`."""

    def total(x: Tensor) -> Tensor:
        return value_of(energy, x, conditions).sum()

    # Each value is of its own walker, so that the gradient of the sum holds those of all.
    found: Tensor = torch.func.grad(total)(configurations)
    return found


def scaled(share: Tensor, gradient: Tensor) -> Tensor:
    """Return a number per walker times its gradient, in the gradient's type."""
    return per_site(share, gradient.ndim - 1).to(gradient.dtype) * gradient


class Correction:
    """``-t(1-t) ψ(x, t)``, added to ``log ρ̃_t(x)``: nothing at both ends, whatever ``ψ`` is.

    Derivatives are those of :mod:`torch.func`, so that they can be differentiated in the parameters
    of ``ψ``, and by ``vmap`` and ``grad`` again. Times are float64 ``(1 | walkers,)``, on the
    device of the configurations.

    Args:
        energy: ``ψ``.
        conditions: those of the path at times, which autograd can follow.

    Attributes:
        energy: ``ψ``.

    Raises:
        ValueError: the energy cannot be called.
    """

    def __init__(self, energy: Energy, conditions: Callable[[Tensor], Conditions]) -> None:
        wanted = "None or a network ψ(configurations, conditions) such as LearnedEnergy"
        expect(callable(energy), "correction", wanted, energy)
        self.energy = energy
        self._conditions = conditions

    @property
    def module(self) -> nn.Module | None:
        """Return what there is to train; None where the energy is a plain function."""
        if isinstance(self.energy, nn.Module):
            return self.energy
        return None

    def log_density(self, configurations: Tensor, times: Tensor) -> Tensor:
        """Return ``-t(1-t) ψ``, float64 ``(walkers,)``."""
        values = value_of(self.energy, configurations, self._told(times))
        return -_bump(times) * values

    def score(self, configurations: Tensor, times: Tensor) -> Tensor:
        """Return ``-t(1-t) ∇ψ``, like the configurations."""
        gradient = gradient_of(self.energy, configurations, self._told(times))
        return scaled(-_bump(times), gradient)

    def log_density_and_score(self, configurations: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Return both, from one pass."""
        conditions = self._told(times)

        def total(x: Tensor) -> tuple[Tensor, Tensor]:
            values = value_of(self.energy, x, conditions)
            return values.sum(), values

        gradient, values = torch.func.grad(total, has_aux=True)(configurations)
        share = -_bump(times)
        return share * values, scaled(share, gradient)

    def change(self, configurations: Tensor, times: Tensor) -> Tensor:
        """Return the derivative of :meth:`log_density` by time, float64 ``(walkers,)``."""
        # What conditions keep for later is made here, outside of the differentiation.
        self._told(times)

        def total(t: Tensor) -> tuple[Tensor, Tensor]:
            values = value_of(self.energy, configurations, self._told(t))
            return values.sum(), values

        each = times.expand(len(configurations))
        slope, values = torch.func.grad(total, has_aux=True)(each)
        return -(1.0 - 2.0 * times) * values - _bump(times) * slope

    def _told(self, times: Tensor) -> Conditions:
        """Return what ``ψ`` is told at times."""
        return self._conditions(times.to(precision_of(self.energy)))


def _bump(times: Tensor) -> Tensor:
    """Return ``t(1-t)``, exactly 0 at both ends."""
    return times * (1.0 - times)
