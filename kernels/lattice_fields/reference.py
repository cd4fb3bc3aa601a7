"""The twins of ``lattice_action``, ``site_potential`` and ``action_and_force``.

``S(φ) = Σ_x [-2 Σ_μ φ_x φ_{x+μ} + (2d + m²) φ_x² + λ φ_x⁴]`` on a periodic lattice of ``d``
directions, each bond once; the force is ``-∂S/∂φ``.
"""

from typing import NamedTuple

import torch
from torch import Tensor

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
    ndim = configurations.ndim - 1
    field = configurations.double()
    forward = torch.zeros_like(field)
    for axis in range(1, ndim + 1):
        forward = forward + field.roll(-1, axis)
    square = field * field
    diagonal = per_site(mass_squared, ndim) + 2.0 * ndim
    terms = square * (diagonal + per_site(quartic, ndim) * square) - 2.0 * field * forward
    return terms.flatten(1).sum(1)


def site_potential(configurations: Tensor, quadratic: Tensor, quartic: Tensor) -> Tensor:
    """Return ``Σ_x (a φ_x² + λ φ_x⁴)``, float64 ``(walkers,)``."""
    ndim = configurations.ndim - 1
    field = configurations.double()
    square = field * field
    terms = square * (per_site(quadratic, ndim) + per_site(quartic, ndim) * square)
    return terms.flatten(1).sum(1)


def action_and_force(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> ActionForce:
    """Return ``S(φ)`` and ``-∂S/∂φ = 2 Σ_μ (φ_{x+μ} + φ_{x-μ}) - 2 (2d + m²) φ - 4 λ φ³``."""
    dtype = configurations.dtype
    ndim = configurations.ndim - 1
    neighbours = torch.zeros_like(configurations)
    for axis in range(1, ndim + 1):
        both = configurations.roll(-1, axis) + configurations.roll(1, axis)
        neighbours = neighbours + both
    # Couplings are rounded once, to the type in which the force is computed.
    linear = per_site(2.0 * (mass_squared + 2.0 * ndim), ndim).to(dtype)
    cubic = per_site(4.0 * quartic, ndim).to(dtype)
    square = configurations * configurations
    force = 2.0 * neighbours - configurations * (linear + cubic * square)
    return ActionForce(lattice_action(configurations, mass_squared, quartic), force)


def force_gradient(
    configurations: Tensor, mass_squared: Tensor, quartic: Tensor, to_force: Tensor
) -> Tensor:
    """Return the gradient of what depends on the force: ``-∂²S/∂φ² · to_force``."""
    ndim = configurations.ndim - 1
    dtype = configurations.dtype
    neighbours = torch.zeros_like(to_force)
    for axis in range(1, ndim + 1):
        neighbours = neighbours + to_force.roll(-1, axis) + to_force.roll(1, axis)
    linear = per_site(2.0 * (mass_squared + 2.0 * ndim), ndim).to(dtype)
    cubic = per_site(12.0 * quartic, ndim).to(dtype)
    square = configurations * configurations
    return 2.0 * neighbours - to_force * (linear + cubic * square)


def per_site(coupling: Tensor, ndim: int) -> Tensor:
    """Return a number per walker, ``(1 | walkers,)``, with lattice axes of size 1."""
    return coupling.view(-1, *[1] * ndim)
