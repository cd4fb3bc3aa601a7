"""The twins of ``lattice_action``, ``site_potential`` and ``action_and_force``.

``S(φ) = Σ_x [-2 Σ_μ φ_x φ_{x+μ} + (2d + m²) φ_x² + λ φ_x⁴]`` on a periodic lattice of ``d``
directions, each bond once; the force is ``-∂S/∂φ``.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..energies.reference import sum_of_sites

__all__ = [
    "ActionForce",
    "action_and_force",
    "force_gradient",
    "lattice_action",
    "site_potential",
]


class ActionForce(NamedTuple):
    """Action and force of each walker's field."""

    action: Tensor
    """``S(φ)``, float64 ``(walkers,)``"""
    force: Tensor
    """``-∂S/∂φ``, ``(walkers, *shape)``, in the type of the field"""


def lattice_action(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> Tensor:
    """Return ``S(φ)``, float64 ``(walkers,)``."""
    return action_and_force(configurations, mass_squared, quartic).action


def site_potential(configurations: Tensor, quadratic: Tensor, quartic: Tensor) -> Tensor:
    """Return ``Σ_x (a φ_x² + λ φ_x⁴)``, float64 ``(walkers,)``."""
    ndim = configurations.ndim - 1
    field = configurations.double()
    square = field * field
    terms = square * (per_site(quadratic, ndim) + per_site(quartic, ndim) * square)
    return sum_of_sites(terms.flatten(1))


def action_and_force(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> ActionForce:
    """Return ``S(φ)`` and ``-∂S/∂φ = 2 Σ_μ (φ_{x+μ} + φ_{x-μ}) - 2 (2d + m²) φ - 4 λ φ³``."""
    ndim = configurations.ndim - 1
    # All is computed in float64: sums of float32 terms would lose what a weight is made of.
    field = configurations.double()
    square = field * field
    near = _neighbours(field)
    diagonal = per_site(mass_squared, ndim) + 2.0 * ndim
    own = per_site(quartic, ndim)
    # The sum over all neighbours meets each bond at both ends, and so once for its 2.
    terms = square * (diagonal + own * square) - field * near
    force = 2.0 * near - field * (2.0 * diagonal + 4.0 * own * square)
    return ActionForce(sum_of_sites(terms.flatten(1)), force.to(configurations.dtype))


def force_gradient(
    configurations: Tensor, mass_squared: Tensor, quartic: Tensor, to_force: Tensor
) -> Tensor:
    """Return the gradient of what depends on the force: ``-∂²S/∂φ² · to_force``."""
    ndim = configurations.ndim - 1
    field = configurations.double()
    towards = to_force.double()
    linear = 2.0 * (per_site(mass_squared, ndim) + 2.0 * ndim)
    cubic = 12.0 * per_site(quartic, ndim)
    gradient = 2.0 * _neighbours(towards) - towards * (linear + cubic * (field * field))
    return gradient.to(configurations.dtype)


def _neighbours(field: Tensor) -> Tensor:
    """Return the sum of all neighbours of each site."""
    near = torch.zeros_like(field)
    for axis in range(1, field.ndim):
        near = near + (field.roll(-1, axis) + field.roll(1, axis))
    return near


def per_site(coupling: Tensor, ndim: int) -> Tensor:
    """Return a number per walker, ``(1 | walkers,)``, with lattice axes of size 1."""
    return coupling.view(-1, *[1] * ndim)
