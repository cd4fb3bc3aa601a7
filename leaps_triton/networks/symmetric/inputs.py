"""What a symmetric network reads of the surroundings of each site, itself left out in every bit.

All of it is made from charges: ``s = ±1`` where a sign exchanges the two states, else one per state
``a``, ``φ_a(x_j) = φ(a, x_j) - mean over a``. Inputs change with the charges; even inputs multiply
what is made of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.hollow_network.reference import embed, pad
from ...models.base import Conditions
from .geometry import ANNULI, annuli, offsets_of, taps_read, window_sites
from .neighbours import (
    Bonds,
    bonds_of_spins,
    bonds_of_states,
    energy_about,
    looked_up,
    neighbour_sum,
)
from .sums import annulus_sums, spectrum, window_sum

__all__ = ["Inputs", "Sight", "count_inputs", "look"]


class Inputs(NamedTuple):
    """What a network reads at every site, ``(walkers, channels · sites, …)`` where not said."""

    odd: Tensor
    """Inputs that change with the charges, last"""
    even: Tensor
    """Inputs that multiply, last"""
    local: Tensor
    """Half the field of the neighbours, ``(walkers, channels, *shape)``"""
    field: Tensor
    """Field of the site, ``(1 | walkers, channels, *shape or 1s)``"""
    transform: Tensor
    """Fourier transform of the marks, as :func:`~.sums.spectrum` has it"""


@dataclass(frozen=True)
class Sight:
    """How far a network looks, and at what.

    Attributes:
        kernel_size: sites a side of the taps.
        window: sites a side of sums; None for the whole lattice.
        fields: whether fields are read.
        periodic: boundary of each direction.
        strength: ``φ`` of equal states less the mean, where a sign exchanges both states; None
            for a channel per state.
    """

    kernel_size: int
    window: int | None
    fields: bool
    periodic: tuple[bool, ...]
    strength: float | None


class Surroundings(NamedTuple):
    """What both kinds of inputs have in common."""

    taps: Tensor
    """``(walkers, channels, *shape, taps)``"""
    annuli: Tensor
    """``(walkers, channels, *shape, annuli)``"""
    mean: Tensor
    """Mean charge of the other sites, ``(walkers, channels, *shape)``"""
    transform: Tensor


def count_inputs(sight: Sight) -> tuple[int, int]:
    """Return the numbers of odd and of even inputs."""
    taps = len(offsets_of(sight.kernel_size, len(sight.periodic)))
    if sight.strength is None:
        odd = taps + len(ANNULI) + 4
        even = 9
        fields = 1
    else:
        odd = taps + len(ANNULI) + 5
        even = 4
        fields = 2
    if sight.fields:
        odd += 1
        even += fields
    return odd, even


def look(configurations: Tensor, conditions: Conditions, sight: Sight, table: Tensor) -> Inputs:
    """Return the inputs at every site.

    Args:
        configurations: ``(walkers, *shape)``.
        conditions: couplings and field.
        sight: what is read.
        table: ``φ``, ``(q, q)``, in the type of the inputs.
    """
    if sight.strength is None:
        return _of_states(configurations, conditions, sight, table)
    return _of_spins(configurations, conditions, sight, sight.strength, table.dtype)


def _of_spins(
    configurations: Tensor,
    conditions: Conditions,
    sight: Sight,
    strength: float,
    dtype: torch.dtype,
) -> Inputs:
    """Return the inputs of two states that a sign exchanges."""
    shape = configurations.shape[1:]
    around = float(2 * len(shape))
    spins = embed(configurations, 2, dtype)
    bonds = bonds_of_spins(spins, conditions.coupling, conditions.field, strength, sight.periodic)
    seen = _surroundings(spins, spins, None, sight)
    local = bonds.local()
    total = local + bonds.field
    # Products of spins beyond a neighbour, each with the signs of a spin in the place of the site.
    squares = neighbour_sum(bonds, lambda others, coupling: coupling * spins * others * others)
    cubes = neighbour_sum(bonds, lambda others, coupling: coupling * others * others * others)
    aligned = neighbour_sum(bonds, lambda others, _: spins * others)
    mean = 3.0 * seen.mean
    odd = [
        mean,
        total / around,
        total**3 / around**2,
        squares / (2.0 * around),
        cubes / (2.0 * around**2),
    ]
    even = [
        total**2 / around**2,
        _energy(bonds, sight, shape) - 0.2 * around,
        mean**2,
        aligned / (around * (around - 1.0)),
    ]
    if sight.fields:
        field = bonds.field.expand_as(total)
        odd.append(field)
        even += [field**2, field * mean]
    return _joined(seen, odd, even, local, bonds.field)


def _of_states(
    configurations: Tensor, conditions: Conditions, sight: Sight, table: Tensor
) -> Inputs:
    """Return the inputs of every state: the same functions of the charges that belong to it."""
    shape = configurations.shape[1:]
    around = float(2 * len(shape))
    marks = embed(configurations, len(table), table.dtype)
    mixing = table - table.mean(0, keepdim=True)
    charges = looked_up(mixing, configurations)
    bonds = bonds_of_states(
        configurations, table, conditions.coupling, conditions.field, sight.periodic
    )
    seen = _surroundings(charges, marks, mixing, sight)
    local = bonds.local()
    total = (local + bonds.field) * (2.0 / around)
    beyond = neighbour_sum(bonds, lambda others, coupling: coupling * others)
    aligned = neighbour_sum(bonds, lambda others, _: charges * others)
    mean = 3.0 * seen.mean
    pairs = around * (around - 1.0)
    odd = [mean, total**2 - 0.5, 0.5 * total**3, total]
    energy = _energy(bonds, sight, shape) - 0.25 * around
    even = [
        torch.full_like(total, 0.3),
        total,
        total**2 - 0.5,
        mean,
        (mean**2).sum(1, keepdim=True).expand_as(total),
        energy.expand_as(total),
        (total**2).mean(1, keepdim=True).expand_as(total) - 0.4,
        aligned / pairs,
        beyond / pairs,
    ]
    if sight.fields:
        field = bonds.field.expand_as(total)
        odd.append(field)
        even.append(field)
    return _joined(seen, odd, even, 0.5 * local, bonds.field)


def _energy(bonds: Bonds, sight: Sight, shape: Sequence[int]) -> Tensor:
    """Return minus the energy per site around each site."""
    return energy_about(bonds, sight.window, window_sites(shape, sight.window))


def _joined(
    seen: Surroundings,
    odd: Sequence[Tensor],
    even: Sequence[Tensor],
    local: Tensor,
    field: Tensor,
) -> Inputs:
    """Return all inputs side by side."""
    others = torch.stack(list(odd), -1)
    joined = torch.cat([seen.taps, seen.annuli, others], -1)
    multiplying = torch.stack(list(even), -1)
    return Inputs(
        odd=joined.flatten(1, -2),
        even=multiplying.flatten(1, -2),
        local=local,
        field=field,
        transform=seen.transform,
    )


def _surroundings(
    charges: Tensor, marks: Tensor, mixing: Tensor | None, sight: Sight
) -> Surroundings:
    """Return taps, annuli and means.

    Args:
        charges: ``(walkers, channels, *shape)``.
        marks: integers that make the charges.
        mixing: charges of each mark, ``(channels, marks)``; None where marks are the charges.
        sight: what is read.
    """
    shape = tuple(charges.shape[2:])
    device = charges.device
    dtype = charges.dtype
    transform = spectrum(marks, sight.periodic)
    kernels = annuli(shape, sight.periodic, sight.window, device)
    sums = annulus_sums(transform, kernels, shape, sight.periodic)
    rings = mixed(sums, mixing, dtype).movedim(2, -1) / kernels.norms.to(dtype)
    wide = marks.double()
    # Counts of integers, exact, so that what is left has forgotten the site.
    others = window_sum(wide, sight.periodic, sight.window) - wide
    sites = window_sites(shape, sight.window)
    mean = mixed(others / sites, mixing, dtype)
    return Surroundings(_taps(charges, sight), rings, mean, transform)


def mixed(sums: Tensor, mixing: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return sums of charges from sums of marks, ``(walkers, channels, …)``."""
    own = sums.to(dtype)
    if mixing is None:
        return own
    flat = own.flatten(2)
    return torch.matmul(mixing, flat).view(len(own), -1, *own.shape[2:])


def _taps(charges: Tensor, sight: Sight) -> Tensor:
    """Return the charges around each site, ``(walkers, channels, *shape, taps)``."""
    shape = tuple(charges.shape[2:])
    kernel_size = sight.kernel_size
    padded = charges
    for axis, wraps in enumerate(sight.periodic):
        padded = _padded(padded, axis + 2, kernel_size // 2, wraps)
    for axis in range(len(shape)):
        padded = padded.unfold(axis + 2, kernel_size, 1)
    around = padded.flatten(2 + len(shape))
    centre = around.shape[-1] // 2
    taps = torch.cat([around[..., :centre], around[..., centre + 1 :]], -1)
    reads = taps_read(shape, sight.periodic, kernel_size, charges.device)
    if reads is not None:
        # A small lattice wraps some taps onto the site, which is not to be read.
        taps = torch.where(reads, taps, torch.zeros_like(taps))
    return taps


def _padded(values: Tensor, axis: int, radius: int, wraps: bool) -> Tensor:
    """Return values with ``radius`` places more at both ends, around the lattice if it wraps."""
    length = values.shape[axis]
    if not wraps or radius <= length:
        return pad(values, axis, radius, wraps)
    places = torch.arange(-radius, length + radius, device=values.device) % length
    return values.index_select(axis, places)
