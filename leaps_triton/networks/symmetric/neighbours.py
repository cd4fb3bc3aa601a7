"""Fields at a site and at its neighbours, none of which reads the site itself in any bit.

A site is left out by never adding it: taking it away again would leave its rounding behind.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.energies.reference import bonds_along
from .sums import window_sum

__all__ = [
    "Bonds",
    "bonds_of_spins",
    "bonds_of_states",
    "energy_about",
    "looked_up",
    "neighbour_sum",
]

_ENERGY_GRID = 2.0**24
"""Parts of a unit of energy to which a bond is rounded, so that sums of bonds are of integers."""


class Bonds(NamedTuple):
    """What the neighbours of each site add to its fields, 0 beyond an open edge."""

    forward: list[Tensor]
    """By direction: what the neighbour ahead adds, ``(walkers, channels, *shape)``"""
    backward: list[Tensor]
    """By direction: what the neighbour behind adds"""
    couplings: list[Tensor]
    """By direction: ``J`` of the bond ahead, broadcast to ``(walkers, 1, *shape)``"""
    energies: list[Tensor]
    """By direction: ``J φ`` of the bond ahead, ``(walkers, 1, *shape)``"""
    field: Tensor
    """Field of each channel, ``(1 | walkers, channels, *shape or 1s)``"""
    periodic: Sequence[bool]

    def local(self) -> Tensor:
        """Return what all neighbours add, without the field, ``(walkers, channels, *shape)``."""
        total = torch.zeros_like(self.forward[0])
        for ahead, behind in zip(self.forward, self.backward, strict=True):
            total = total + (ahead + behind)
        return total

    def but_for(self, axis: int) -> Tensor:
        """Return the field of each site, without its neighbours along one direction."""
        total = self.field.expand_as(self.forward[axis])
        for other, (ahead, behind) in enumerate(zip(self.forward, self.backward, strict=True)):
            if other != axis:
                total = total + (ahead + behind)
        return total


def _couplings(coupling: Tensor, configurations: Tensor, periodic: Sequence[bool]) -> list[Tensor]:
    """Return ``J`` of the bonds in each positive direction."""
    found: list[Tensor] = []
    for axis in range(len(periodic)):
        bonds = bonds_along(coupling, axis, configurations, periodic)
        found.append(bonds.unsqueeze(1))
    return found


def bonds_of_spins(
    spins: Tensor, coupling: Tensor, field: Tensor, strength: float, periodic: Sequence[bool]
) -> Bonds:
    """Return the bonds of two states that a sign exchanges: half the field of 1 less that of 0.

    Args:
        spins: ±1, ``(walkers, 1, *shape)``.
        coupling: ``J``, ``(1 | walkers, 1 | ndim, *shape or 1s)``.
        field: ``h``, ``(1 | walkers, 2, *shape or 1s)``.
        strength: ``φ`` of equal states less their mean.
        periodic: boundary of each direction.
    """
    dtype = spins.dtype
    forward: list[Tensor] = []
    backward: list[Tensor] = []
    energies: list[Tensor] = []
    couplings = _couplings(coupling.to(dtype), spins[:, 0], periodic)
    for axis, bonds in enumerate(couplings):
        weights = bonds * strength
        ahead = weights * spins.roll(-1, axis + 2)
        forward.append(ahead)
        energies.append(spins * ahead)
        # A bond belongs to its lower end.
        backward.append(weights.roll(1, axis + 2) * spins.roll(1, axis + 2))
    difference = (field[:, 1:] - field[:, :1]).to(dtype)
    return Bonds(forward, backward, couplings, energies, 0.5 * difference, periodic)


def bonds_of_states(
    configurations: Tensor,
    table: Tensor,
    coupling: Tensor,
    field: Tensor,
    periodic: Sequence[bool],
) -> Bonds:
    """Return the bonds by state of the site that reads them, less the mean over its states.

    Args:
        configurations: ``(walkers, *shape)``.
        table: ``φ``, ``(q, q)``.
        coupling: ``J``, ``(1 | walkers, 1 | ndim, *shape or 1s)``.
        field: ``h``, ``(1 | walkers, q, *shape or 1s)``.
        periodic: boundary of each direction.
    """
    dtype = table.dtype
    q = len(table)
    # A site at the lower end of a bond comes first in the table, at its upper end second.
    centred_ahead = table - table.mean(0, keepdim=True)
    turned = table.T
    centred_behind = turned - turned.mean(0, keepdim=True)
    forward: list[Tensor] = []
    backward: list[Tensor] = []
    energies: list[Tensor] = []
    couplings = _couplings(coupling.to(dtype), configurations, periodic)
    for axis, bonds in enumerate(couplings):
        later = configurations.roll(-1, axis + 1)
        forward.append(bonds * looked_up(centred_ahead, later))
        sooner = configurations.roll(1, axis + 1)
        backward.append(bonds.roll(1, axis + 2) * looked_up(centred_behind, sooner))
        pair = configurations.int() * q + later
        values = table.flatten().index_select(0, pair.flatten()).view(pair.shape)
        energies.append(bonds * values.unsqueeze(1))
    given = field.to(dtype)
    own = given - given.mean(1, keepdim=True)
    return Bonds(forward, backward, couplings, energies, own, periodic)


def looked_up(table: Tensor, configurations: Tensor) -> Tensor:
    """Return ``table[a, x_i]``, ``(walkers, q, *shape)``."""
    columns = table.index_select(1, configurations.flatten().int())
    return columns.view(len(table), *configurations.shape).transpose(0, 1)


def neighbour_sum(bonds: Bonds, pair: Callable[[Tensor, Tensor], list[Tensor]]) -> list[Tensor]:
    """Return sums over the neighbours ``j`` of each site ``i`` of what they make without ``i``.

    Args:
        bonds: those of all sites.
        pair: a function of the fields ``H(j)`` without ``i``, ``(walkers, channels, *shape)``, and
            of the coupling of ``i`` and ``j``, both at the places of the neighbours.

    Returns:
        What ``pair`` returns, each summed.
    """
    totals: list[Tensor] = []
    for axis, wraps in enumerate(bonds.periodic):
        place = axis + 2
        rest = bonds.but_for(axis)
        length = rest.shape[place]
        coupling = bonds.couplings[axis]
        ahead = rest
        behind = rest
        # On a ring of two sites the neighbour's other neighbour is the site itself.
        if not wraps or length > 2:
            ahead = rest + bonds.forward[axis]
            behind = rest + bonds.backward[axis]
        # A neighbour ahead is asked for what lies beyond it, through the bond behind it.
        before = coupling.roll(1, place)
        from_ahead = pair(ahead, before)
        from_behind = pair(behind, coupling)
        for index, (one, other) in enumerate(zip(from_ahead, from_behind, strict=True)):
            both = _moved(one, -1, place, wraps) + _moved(other, 1, place, wraps)
            if axis == 0:
                totals.append(both)
            else:
                totals[index] = totals[index] + both
    return totals


def _moved(values: Tensor, step: int, axis: int, wraps: bool) -> Tensor:
    """Return values moved along an axis by one place, 0 where nothing comes round an open edge."""
    moved = values.roll(step, axis)
    if wraps:
        return moved
    return moved * _edge(moved, axis, last=step < 0)


def _edge(like: Tensor, axis: int, last: bool) -> Tensor:
    """Return 1 along an axis but for its last or first place, 0 there."""
    line = torch.ones(like.shape[axis], dtype=like.dtype, device=like.device)
    place = 0
    if last:
        place = -1
    # Written by the device: a number that is assigned is sent to a GPU, and both wait.
    line[place].zero_()
    later = like.ndim - axis - 1
    return line.view(-1, *[1] * later)


def energy_about(bonds: Bonds, window: int | None, sites: int) -> Tensor:
    """Return minus the energy per site of the bonds around each site, without its own bonds.

    Args:
        bonds: those of all sites.
        window: sites a side of what is around a site; None for the whole lattice.
        sites: their number.

    Returns:
        ``(walkers, 1, *shape)``.
    """
    own: Tensor | None = None
    for axis, energies in enumerate(bonds.energies):
        # Sums of integers, in whatever order, leave nothing of the site behind.
        whole = (energies.double() * _ENERGY_GRID).round()
        both = whole + whole.roll(1, axis + 2)
        if own is None:
            own = both
        else:
            own = own + both
    assert own is not None
    around = window_sum(own, bonds.periodic, window)
    # Each bond of the site is counted at both of its ends.
    left = around - 2.0 * own
    made = left / (2.0 * sites * _ENERGY_GRID)
    return made.to(bonds.energies[0].dtype)
