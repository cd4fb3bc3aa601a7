"""What a symmetric network reads of the surroundings of each site, itself left out in every bit.

All of it is made from charges: ``s = ±1`` where a sign exchanges the two states, else one per state
``a``, ``φ_a(x_j) = φ(a, x_j) - mean over a``. Inputs change with the charges; even inputs multiply
what is made of them. Where couplings of two such states vary from bond to bond, taps and annuli
give way to walks of couplings: then ``s_i → ε_i s_i, J_ij → ε_i ε_j J_ij`` changes nothing but the
sign ``ε_i`` of what is made at a site.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.graphs.packing import packed
from ...kernels.hollow_network.reference import embed
from ...models.base import Conditions
from .geometry import ANNULI, annuli, offsets_of, window_sites
from .neighbours import (
    Bonds,
    bonds_of_spins,
    bonds_of_states,
    energy_about,
    looked_up,
    neighbour_sum,
)
from .sums import annulus_sums, spectrum, walks_of, window_sum

__all__ = ["Inputs", "Sight", "count_inputs", "look", "mixed"]


class Inputs(NamedTuple):
    """What a network reads at every site; a place stands for a channel and a site."""

    charges: Tensor
    """What the taps read, ``(walkers, channels, *shape)``"""
    others: Tensor
    """All other inputs that change with the charges, ``(walkers, places, inputs)``"""
    even: Tensor
    """Inputs that multiply, ``(walkers, places, inputs)``"""
    local: Tensor
    """Half the field of the neighbours, ``(walkers, channels, *shape)``"""
    field: Tensor
    """Field of the site, ``(1 | walkers, channels, *shape or 1s)``"""
    transform: Tensor
    """Fourier transform of the marks, as :func:`~.sums.spectrum` has it; empty with walks"""
    walks: Tensor | None = None
    """Spins at the ends of walks of 2, 3, … steps, ``(walkers, walks, *shape)``"""


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
        steps: the longest walks of couplings, at least 2; 0 for taps and annuli.
        whole: whether the mean and the energy of the whole lattice are read beside those of the
            window.
        focus: ``u`` about which functions of the time are dense; None for the end of the path.
    """

    kernel_size: int
    window: int | None
    fields: bool
    periodic: tuple[bool, ...]
    strength: float | None
    steps: int = 0
    whole: bool = False
    focus: float | None = None

    @property
    def times(self) -> int:
        """Number of functions of the time."""
        if self.focus is None:
            return 6
        return 10

    @property
    def taps(self) -> int:
        """Number of taps."""
        if self.steps:
            return 0
        return len(offsets_of(self.kernel_size, len(self.periodic)))


class Surroundings(NamedTuple):
    """What both kinds of inputs have in common."""

    charges: Tensor
    """``(walkers, channels, *shape)``"""
    annuli: Tensor
    """``(walkers, channels, *shape, annuli)``"""
    mean: Tensor
    """Mean charge of the other sites, ``(walkers, channels, *shape)``"""
    transform: Tensor
    whole: Tensor | None
    """That of the whole lattice, beside one of a window; None where it is not read"""


def count_inputs(sight: Sight) -> tuple[int, int]:
    """Return the numbers of odd and of even inputs."""
    if sight.steps:
        odd = sight.steps + 3
        even = 4
        fields = 1
    elif sight.strength is None:
        odd = sight.taps + len(ANNULI) + 4
        even = 9
        fields = 1
    else:
        odd = sight.taps + len(ANNULI) + 5
        even = 4
        fields = 2
    if sight.fields:
        odd += 1
        even += fields
    if sight.whole:
        odd += 1
        even += 2
    return odd, even


def look(configurations: Tensor, conditions: Conditions, sight: Sight, table: Tensor) -> Inputs:
    """Return the inputs at every site.

    Args:
        configurations: ``(walkers, *shape)``.
        conditions: couplings and field.
        sight: what is read.
        table: ``φ``, ``(q, q)``, in the type of the inputs.
    """
    if sight.steps:
        return _of_glass(configurations, conditions, sight, table.dtype)
    if sight.strength is None:
        return _of_states(configurations, conditions, sight, table)
    return _of_spins(configurations, conditions, sight, table.dtype)


class Products(NamedTuple):
    """What two states that a sign exchanges have of their bonds."""

    odd: list[Tensor]
    even: list[Tensor]
    bonds: Bonds
    local: Tensor


def _products(spins: Tensor, conditions: Conditions, sight: Sight) -> Products:
    """Return local fields and their powers, and products of neighbours and theirs.

    Args:
        spins: ``(walkers, 1, *shape)``.
        conditions: couplings and field.
        sight: what is read.
    """
    shape = spins.shape[2:]
    around = float(2 * len(shape))
    assert sight.strength is not None
    bonds = bonds_of_spins(
        spins, conditions.coupling, conditions.field, sight.strength, sight.periodic
    )
    local = bonds.local()
    total = local + bonds.field

    def beyond(others: Tensor, coupling: Tensor) -> list[Tensor]:
        """Return products that have the signs of a spin in the place of the site."""
        bent = coupling * others * others
        return [bent * spins, bent * others, spins * others]

    squares, cubes, aligned = neighbour_sum(bonds, beyond)
    squared = total * total
    # All inputs are of order one near the critical point.
    odd = [
        total / around,
        total * squared / around**2,
        squares / (2.0 * around),
        cubes / (2.0 * around**2),
    ]
    even = [
        squared / around**2,
        _energy(bonds, sight.window, shape) - 0.2 * around,
        aligned / (around * (around - 1.0)),
    ]
    if sight.fields:
        field = bonds.field.expand_as(total)
        odd.append(field)
        even.append(field * field)
    return Products(odd, even, bonds, local)


def _of_spins(
    configurations: Tensor, conditions: Conditions, sight: Sight, dtype: torch.dtype
) -> Inputs:
    """Return the inputs of two states that a sign exchanges."""
    spins = embed(configurations, 2, dtype)
    seen = _surroundings(spins, spins, None, sight)
    made = _products(spins, conditions, sight)
    field = made.bonds.field
    mean = 3.0 * seen.mean
    odd = [mean, *made.odd]
    even = [*made.even, mean * mean]
    if sight.fields:
        even.append(mean * field)
    if seen.whole is not None:
        # Last of all, so that a network grows by them.
        shape = spins.shape[2:]
        mean = 3.0 * seen.whole
        odd.append(mean)
        around = float(2 * len(shape))
        even += [mean * mean, _energy(made.bonds, None, shape) - 0.2 * around]
    return _joined(seen, odd, even, made.local, field)


def _walks(
    coupling: Tensor, dtype: torch.dtype, sight: Sight, shape: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Return the walks of :func:`~leaps_triton.networks.symmetric.sums.walks_of`."""
    assert sight.strength is not None
    strengths = coupling.to(dtype) * sight.strength
    return walks_of(strengths, shape, sight.periodic, sight.steps)


def _of_glass(
    configurations: Tensor, conditions: Conditions, sight: Sight, dtype: torch.dtype
) -> Inputs:
    """Return the inputs of two states that a sign exchanges, with couplings for every bond."""
    shape = configurations.shape[1:]
    spins = embed(configurations, 2, dtype)
    coupling = conditions.coupling
    # Matrices of all pairs of sites, which no event changes.
    make = partial(_walks, coupling, dtype, sight, tuple(shape))
    walks, loops = packed(make, [coupling], "walks", dtype, sight, tuple(shape))
    # A weight of 0 adds nothing in any bit, so that the site is left out of its own walks.
    ends = torch.matmul(spins.flatten(1).unsqueeze(1), walks.flatten(2))
    ends = ends.view(len(spins), sight.steps - 1, *shape)
    made = _products(spins, conditions, sight)
    # Closed walks tell how frustrated the couplings around a site are.
    closed = loops.view(-1, 1, *shape).expand_as(spins)
    others = torch.stack([*ends.unsqueeze(1).unbind(2), *made.odd], -1)
    even = torch.stack([*made.even, closed], -1)
    return Inputs(
        charges=spins,
        others=others.flatten(1, -2),
        even=even.flatten(1, -2),
        local=made.local,
        field=made.bonds.field,
        transform=ends.new_zeros(0),
        walks=ends,
    )


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

    def further(others: Tensor, coupling: Tensor) -> list[Tensor]:
        """Return what the neighbours feel, and whether they are as they feel."""
        return [coupling * others, charges * others]

    beyond, aligned = neighbour_sum(bonds, further)
    mean = 3.0 * seen.mean
    pairs = around * (around - 1.0)
    # Powers of the local field, less what they are at random.
    squared = total * total
    odd = [mean, squared - 0.5, 0.5 * squared * total, total]
    energy = _energy(bonds, sight.window, shape) - 0.25 * around
    even = [
        torch.full_like(total, 0.3),
        total,
        squared - 0.5,
        mean,
        (mean * mean).sum(1, keepdim=True).expand_as(total),
        energy.expand_as(total),
        squared.mean(1, keepdim=True).expand_as(total) - 0.4,
        aligned / pairs,
        beyond / pairs,
    ]
    if sight.fields:
        field = bonds.field.expand_as(total)
        odd.append(field)
        even.append(field)
    if seen.whole is not None:
        mean = 3.0 * seen.whole
        odd.append(mean)
        energy = _energy(bonds, None, shape) - 0.25 * around
        squares = (mean * mean).sum(1, keepdim=True)
        even += [squares.expand_as(total), energy.expand_as(total)]
    return _joined(seen, odd, even, 0.5 * local, bonds.field)


def _energy(bonds: Bonds, window: int | None, shape: Sequence[int]) -> Tensor:
    """Return minus the energy per site around each site."""
    return energy_about(bonds, window, window_sites(shape, window))


def _joined(
    seen: Surroundings,
    odd: Sequence[Tensor],
    even: Sequence[Tensor],
    local: Tensor,
    field: Tensor,
) -> Inputs:
    """Return all inputs side by side."""
    others = torch.cat([seen.annuli, torch.stack(list(odd), -1)], -1)
    multiplying = torch.stack(list(even), -1)
    return Inputs(
        charges=seen.charges,
        others=others.flatten(1, -2),
        even=multiplying.flatten(1, -2),
        local=local,
        field=field,
        transform=seen.transform,
    )


def _surroundings(
    charges: Tensor, marks: Tensor, mixing: Tensor | None, sight: Sight
) -> Surroundings:
    """Return annuli and means.

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

    def mean_of(window: int | None) -> Tensor:
        """Return the mean charge of the others in a window."""
        # Counts of integers, exact, so that what is left has forgotten the site.
        others = window_sum(wide, sight.periodic, window) - wide
        return mixed(others / window_sites(shape, window), mixing, dtype)

    whole: Tensor | None = None
    if sight.whole:
        whole = mean_of(None)
    return Surroundings(charges, rings, mean_of(sight.window), transform, whole)


def mixed(sums: Tensor, mixing: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return sums of charges from sums of marks, ``(walkers, channels, …)``."""
    own = sums.to(dtype)
    if mixing is None:
        return own
    flat = own.flatten(2)
    return torch.matmul(mixing, flat).view(len(own), -1, *own.shape[2:])
