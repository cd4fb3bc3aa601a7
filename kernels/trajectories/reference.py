"""The twin of ``quartic_trajectories``, and of trajectories for any density that has a force.

A sweep of hybrid Monte Carlo draws momenta, follows the equations of motion by leapfrogs, and
accepts where they lead with probability ``min(1, e^{-ΔH})``, ``H = S + ½ Σ q²``. Momenta ``q`` are
those of modes, each divided by the root of its mass, so that they are independent normal numbers;
``σ_k`` is the step divided by the same root: ``q += ½ σ F̂``, ``φ += T(σ q)``, ``q += ½ σ F̂``, with
``T`` the transform of :mod:`.modes` and ``F̂ = T(F)`` the force. One ``σ`` for all modes needs no
transform, and its momenta are those of sites.

References:
    Duane, Kennedy, Pendleton, Roweth, *Hybrid Monte Carlo*, Phys. Lett. B 195, 216 (1987).
    Batrouni et al., *Langevin simulations of lattice field theories*, Phys. Rev. D 32, 2736 (1985),
    for masses by mode.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from ..functions.reference import exponential64, logarithm
from ..lattice_fields.reference import action_and_force
from ..normal_numbers.reference import Normals, normals
from ..philox import Stream, philox, uniform64
from .modes import transform

__all__ = ["Density", "FieldSweeps", "Trajectories", "follow", "leap", "quartic_trajectories"]

Density: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Fields → actions, float64 ``(walkers,)``, and forces ``-∂S/∂φ`` in the type of the fields."""


class Trajectories(NamedTuple):
    """Arguments of the op."""

    configurations: Tensor
    mass_squared: Tensor
    quartic: Tensor
    scales: Tensor
    leapfrogs: int
    walkers: Tensor
    first_sweep: int
    sweeps: int
    seed: int


class FieldSweeps(NamedTuple):
    """Fields after sweeps of hybrid Monte Carlo, and how these went."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    accepted: Tensor
    """Fraction of the sweeps that were accepted, float64 ``(walkers,)``"""
    acceptance: Tensor
    """Mean probability of it over the sweeps, float64 ``(walkers,)``; NaN counts as 0"""
    energy_error: Tensor
    """``ΔH`` of the last sweep, float64 ``(walkers,)``; 0 without sweeps"""


def quartic_trajectories(given: Trajectories) -> FieldSweeps:
    """Return fields after sweeps that leave ``e^{-S}`` of the quartic action invariant."""

    def density(field: Tensor) -> tuple[Tensor, Tensor]:
        return action_and_force(field, given.mass_squared, given.quartic)

    return follow(given, density)


def follow(given: Trajectories, density: Density) -> FieldSweeps:
    """Return fields after sweeps that leave ``e^{-S}`` invariant.

    Args:
        given: Fields and sweeps; its couplings are not looked at.
        density: ``S`` and the force.
    """
    field = given.configurations
    action, force = density(field)
    accepted = torch.zeros_like(action)
    acceptance = torch.zeros_like(action)
    error = torch.zeros_like(action)
    for sweep in range(given.first_sweep, given.first_sweep + given.sweeps):
        momenta = _draw(given, sweep)
        before = action + _kinetic(momenta)
        proposed, momenta, end, push = leap(field, momenta, force, given, density)
        error = end + _kinetic(momenta) - before
        agreed = _accept(error, given, sweep)
        # What is not a number is never agreed to.
        acceptance = acceptance + exponential64(-error.clamp(min=0.0)).nan_to_num(0.0)
        accepted = accepted + agreed.double()
        everywhere = agreed.view(-1, *[1] * (field.ndim - 1))
        field = torch.where(everywhere, proposed, field)
        force = torch.where(everywhere, push, force)
        action = torch.where(agreed, end, action)
    count = max(given.sweeps, 1)
    return FieldSweeps(field, accepted / count, acceptance / count, error)


def _draw(given: Trajectories, sweep: int) -> Tensor:
    """Return momenta, divided by the roots of their masses."""
    field = given.configurations
    sites = field[0].numel()
    numbers = normals(
        Normals(given.walkers, given.seed, Stream.FIELD_MOMENTA, sweep, 0, sites, field.dtype)
    )
    return numbers.view_as(field)


def _kinetic(momenta: Tensor) -> Tensor:
    """Return ``½ Σ q²``, float64 ``(walkers,)``."""
    return 0.5 * momenta.double().square().flatten(1).sum(1)


def leap(
    field: Tensor, momenta: Tensor, force: Tensor, given: Trajectories, density: Density
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return field, momenta, action and force at the end of the leapfrogs."""
    by_mode = given.scales.numel() > 1
    scales = given.scales.to(field.dtype)
    half = 0.5 * scales
    action = force
    push = force
    if by_mode:
        push = transform(force)
    momenta = momenta + half * push
    for number in range(given.leapfrogs):
        change = scales * momenta
        if by_mode:
            change = transform(change)
        field = field + change
        action, force = density(field)
        push = force
        if by_mode:
            push = transform(force)
        kick = scales
        # The last kick is a half, as the first was.
        if number == given.leapfrogs - 1:
            kick = half
        momenta = momenta + kick * push
    return field, momenta, action, force


def _accept(error: Tensor, given: Trajectories, sweep: int) -> Tensor:
    """Return which walkers go where the leapfrogs led, bool ``(walkers,)``."""
    words = philox(
        given.seed, Stream.FIELD_ACCEPT, 0, sweep, 0, given.walkers, given.walkers.device
    )
    # A comparison with NaN is false: such a walker stays.
    return logarithm(uniform64(words[0], words[1])) < -error
