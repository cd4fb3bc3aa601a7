"""Action and force on a CPU: the loops of numba, with the bits of :mod:`.reference`.

The neighbours of all sites in a direction are laid out as an array of their own, so that every loop
runs over all sites in memory order, whatever the shape of the lattice, and becomes one of vectors.
"""

import numpy as np
import torch
from torch import Tensor

from ..energies.cpu import look_ahead, look_behind, sum_of_sites
from ..energies.reference import LANES
from ..native.compiling import compiled, inlined
from ..native.threads import over_walkers
from .reference import ActionForce

__all__ = ["action_and_force", "lattice_action", "site_potential"]


@inlined
def add_neighbours(field, found, sums, lengths, strides):
    """Write the sum of all neighbours of each site, float64; ``found`` is room for two rows."""
    sites = field.shape[0]
    for i in range(sites):
        sums[i] = 0.0
    for axis in range(lengths.shape[0]):
        look_ahead(field, found[0], lengths[axis], strides[axis])
        look_behind(field, found[1], lengths[axis], strides[axis])
        ahead = found[0]
        behind = found[1]
        for i in range(sites):
            sums[i] += np.float64(ahead[i]) + np.float64(behind[i])


@compiled
def actions_of(x, mass_squared, quartic, lengths, strides, first, end, actions):
    """Write the actions of walkers ``first … end - 1``."""
    sites = x.shape[1]
    axes = lengths.shape[0]
    found = np.empty((2, sites), x.dtype)
    sums = np.empty(sites)
    lanes = np.empty(LANES)
    for walker in range(first, end):
        field = x[walker]
        add_neighbours(field, found, sums, lengths, strides)
        diagonal = mass_squared[min(walker, mass_squared.shape[0] - 1)] + 2.0 * axes
        own = quartic[min(walker, quartic.shape[0] - 1)]
        for i in range(sites):
            here = np.float64(field[i])
            square = here * here
            sums[i] = square * (diagonal + own * square) - here * sums[i]
        actions[walker] = sum_of_sites(sums, lanes)


@compiled
def both_of(x, mass_squared, quartic, lengths, strides, first, end, actions, forces):
    """Write the actions and forces of walkers ``first … end - 1``."""
    sites = x.shape[1]
    axes = lengths.shape[0]
    found = np.empty((2, sites), x.dtype)
    sums = np.empty(sites)
    lanes = np.empty(LANES)
    for walker in range(first, end):
        field = x[walker]
        force = forces[walker]
        add_neighbours(field, found, sums, lengths, strides)
        diagonal = mass_squared[min(walker, mass_squared.shape[0] - 1)] + 2.0 * axes
        own = quartic[min(walker, quartic.shape[0] - 1)]
        linear = 2.0 * diagonal
        cubic = 4.0 * own
        for i in range(sites):
            here = np.float64(field[i])
            square = here * here
            near = sums[i]
            sums[i] = square * (diagonal + own * square) - here * near
            force[i] = 2.0 * near - here * (linear + cubic * square)
        actions[walker] = sum_of_sites(sums, lanes)


@compiled
def potentials_of(x, quadratic, quartic, first, end, potentials):
    """Write the potentials of walkers ``first … end - 1``."""
    sites = x.shape[1]
    terms = np.empty(sites)
    lanes = np.empty(LANES)
    for walker in range(first, end):
        field = x[walker]
        linear = quadratic[min(walker, quadratic.shape[0] - 1)]
        own = quartic[min(walker, quartic.shape[0] - 1)]
        for i in range(sites):
            here = np.float64(field[i])
            square = here * here
            terms[i] = square * (linear + own * square)
        potentials[walker] = sum_of_sites(terms, lanes)


def lattice_action(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> Tensor:
    """Return ``S(φ)``, float64 ``(walkers,)``."""
    x = _rows(configurations)
    actions = torch.empty(len(x), dtype=torch.float64)
    couplings = (_numbers(mass_squared), _numbers(quartic))
    lattice = _lengths_and_strides(configurations)

    def work(first: int, end: int) -> None:
        actions_of(x, *couplings, *lattice, first, end, actions.numpy())

    over_walkers(work, len(x), x.shape[1])
    return actions


def action_and_force(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> ActionForce:
    """Return ``S(φ)`` and ``-∂S/∂φ``."""
    x = _rows(configurations)
    actions = torch.empty(len(x), dtype=torch.float64)
    forces = torch.empty(configurations.shape, dtype=configurations.dtype)
    rows = _rows(forces)
    couplings = (_numbers(mass_squared), _numbers(quartic))
    lattice = _lengths_and_strides(configurations)

    def work(first: int, end: int) -> None:
        both_of(x, *couplings, *lattice, first, end, actions.numpy(), rows)

    over_walkers(work, len(x), x.shape[1])
    return ActionForce(actions, forces)


def site_potential(configurations: Tensor, quadratic: Tensor, quartic: Tensor) -> Tensor:
    """Return ``Σ_x (a φ_x² + λ φ_x⁴)``, float64 ``(walkers,)``."""
    x = _rows(configurations)
    potentials = torch.empty(len(x), dtype=torch.float64)
    couplings = (_numbers(quadratic), _numbers(quartic))

    def work(first: int, end: int) -> None:
        potentials_of(x, *couplings, first, end, potentials.numpy())

    over_walkers(work, len(x), x.shape[1])
    return potentials


def _rows(field: Tensor) -> np.ndarray:
    """Return fields as ``(walkers, sites)``."""
    sites = field.shape[1:].numel()
    # An empty tensor does not tell one of its lengths from the others.
    return field.detach().contiguous().view(len(field), sites).numpy()


def _numbers(coupling: Tensor) -> np.ndarray:
    return coupling.detach().contiguous().numpy()


def _lengths_and_strides(field: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the length and stride of each lattice axis, int64."""
    lengths = np.array(field.shape[1:], np.int64)
    strides = np.ones_like(lengths)
    strides[:-1] = np.cumprod(lengths[:0:-1])[::-1]
    return lengths, strides
