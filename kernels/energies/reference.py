"""The twins of ``energy`` and ``local_energy``, and the local fields that other families use."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "LANES", "LocalEnergy", "Sums", "Tables", "bonds_along", "energy", "field_energy", "in_order",
    "local_energy", "local_fields", "state_counts", "sum_of_sites",
]  # fmt: skip

LANES = 16
"""Sums that run beside one another over the sites, so that vectors may hold them."""


class Sums(NamedTuple):
    """Holds what :func:`energy` returns."""

    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""
    counts: Tensor
    """Sites in each state, int64 ``(walkers, q)``."""


class LocalEnergy(NamedTuple):
    """Holds what :func:`local_energy` returns."""

    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""
    log_ratios: Tensor
    """``Δ``, ``(walkers, q-1, *shape)``."""


class Tables(NamedTuple):
    """A model's tables, as its ops take them."""

    coupling: Tensor
    """``J``, float64 ``(1 | walkers, 1 | axes, *shape)``."""
    bond_table: Tensor
    """``φ``, float64 ``(q, q)``."""
    site_table: Tensor
    """``h``, float64 ``(1 | walkers, q, *shape)``."""
    periodic: Sequence[bool]
    """One bool per direction."""


def bonds_along(
    coupling: Tensor, axis: int, configurations: Tensor, periodic: Sequence[bool]
) -> Tensor:
    """Return ``J`` of the bonds in positive direction ``axis``, 0 off an open edge.

    It can be broadcast to ``(walkers, *shape)``.
    """
    # One row serves all directions where they share their couplings.
    row = 0
    if coupling.shape[1] > 1:
        row = axis
    bonds = coupling.select(1, row)
    if periodic[axis]:
        return bonds
    length = configurations.shape[axis + 1]
    # The last site of an open line has no bond in positive direction.
    inside = torch.arange(length, device=configurations.device) < length - 1
    return bonds * inside.view(-1, *[1] * (len(periodic) - axis - 1)).to(bonds.dtype)


def local_fields(
    configurations: Tensor, tables: Tables, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return ``W_a(i) = Σ_j J_ij φ(a, x_j) + h_i(a)``, ``(walkers, q, *shape)``.

    It is minus the energy of site ``i`` in state ``a``. It does not read ``x_i``, so one evaluation
    serves every move of the site. Terms come in one order, the field first, then direction by
    direction the neighbour ahead and the one behind, and each is rounded once, so that every device
    may find the same bits.
    """
    bond_table = tables.bond_table.to(dtype)
    coupling = tables.coupling.to(dtype)
    q = bond_table.shape[0]
    walkers, *shape = configurations.shape
    site_table = tables.site_table.to(dtype)
    fields = site_table.expand(walkers, q, *shape).clone(memory_format=torch.contiguous_format)
    # Of a bond the site comes first in the table forward and second backward, for a table that
    # need not be symmetric.
    ahead = bond_table
    behind = bond_table.T.contiguous()
    for axis in range(len(tables.periodic)):
        bonds = bonds_along(coupling, axis, configurations, tables.periodic).unsqueeze(1)
        fields += bonds * _looked_up(ahead, configurations.roll(-1, axis + 1))
        # A bond belongs to its lower end, whose neighbour ahead finds it behind.
        bonds = bonds.roll(1, axis + 2)
        fields += bonds * _looked_up(behind, configurations.roll(1, axis + 1))
    return fields


def _looked_up(table: Tensor, states: Tensor) -> Tensor:
    """Return ``table[a, x_i]``, ``(walkers, q, *shape)``."""
    columns = table.index_select(1, states.flatten().int())
    return columns.view(len(table), *states.shape).transpose(0, 1)


def state_counts(configurations: Tensor, q: int) -> Tensor:
    """Return the sites in each of ``q`` states, int64 ``(walkers, q)``."""
    # Comparisons into bytes, and sums of them, are five times as fast as those of bool, into int64.
    flat = configurations.flatten(1)
    here = torch.empty_like(flat)
    counts = [torch.eq(flat, state, out=here).sum(1, dtype=torch.int32) for state in range(q)]
    return torch.stack(counts, dim=1).long()


def energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    periodic: Sequence[bool],
) -> Sums:
    """Return ``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)`` and the state counts.

    The field comes first, then direction after direction. What is the same at all sites is counted
    and not summed; other sums have the order of :func:`sum_of_sites`.
    """
    q = bond_table.shape[0]
    counts = state_counts(configurations, q)
    total = field_energy(configurations, counts, site_table)
    uniform = coupling.shape[2:].numel() == 1
    for axis in range(len(periodic)):
        # Both states of a bond as one number below q², first that of the site from which it leads
        # in positive direction.
        kinds = torch.add(configurations.roll(-1, axis + 1).int(), configurations, alpha=q)
        if uniform:
            strength = coupling.select(1, min(axis, coupling.shape[1] - 1)).flatten()
            total = total + strength * _counted(kinds, bond_table, axis, periodic[axis])
        else:
            values = bond_table.flatten().index_select(0, kinds.flatten()).view(kinds.shape)
            values.mul_(bonds_along(coupling, axis, configurations, periodic))
            total = total + sum_of_sites(values.flatten(1))
    return Sums(-total, counts)


def field_energy(configurations: Tensor, counts: Tensor, site_table: Tensor) -> Tensor:
    """Return ``Σ_i h_i(x_i)``, float64 ``(walkers,)``."""
    # Where all sites have one field the counts suffice.
    if site_table.shape[2:].numel() == 1:
        return in_order(counts * site_table.flatten(1))
    table = site_table.expand(*counts.shape, *configurations.shape[1:])
    values = table.gather(1, configurations.long().unsqueeze(1))
    return sum_of_sites(values.flatten(1))


def _counted(kinds: Tensor, bond_table: Tensor, axis: int, wraps: bool) -> Tensor:
    """Return ``Σ φ(x_i, x_j)`` of the bonds in a direction, ``(walkers,)``, from their numbers."""
    if not wraps:
        # The last site of an open line has no bond in positive direction.
        kinds = kinds.narrow(axis + 1, 0, kinds.shape[axis + 1] - 1)
    flat = kinds.flatten(1).long()
    numbers = torch.zeros(len(flat), bond_table.numel(), dtype=torch.float64, device=flat.device)
    ones = torch.ones((), dtype=torch.float64, device=flat.device).expand(flat.shape)
    numbers.scatter_add_(1, flat, ones)
    return in_order(numbers * bond_table.flatten())


def in_order(values: Tensor) -> Tensor:
    """Return sums of rows, one term after the other, ``(rows, n)`` → ``(rows,)``."""
    return values.cumsum(1)[:, -1]


def sum_of_sites(values: Tensor) -> Tensor:
    """Return sums over the sites in a fixed order, float64 ``(walkers, sites)`` → ``(walkers,)``.

    Site ``i`` adds to sum ``i % LANES``, and these are added in their order.
    """
    missing = -values.shape[1] % LANES
    lanes = torch.nn.functional.pad(values, (0, missing)).unflatten(1, (-1, LANES))
    return in_order(lanes.cumsum(1)[:, -1])


def local_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype = torch.float32,
) -> LocalEnergy:
    """Return ``H(x)`` and ``Δ_k(i) = β [W_{x_i+k}(i) - W_{x_i}(i)]`` of every local move."""
    q = bond_table.shape[0]
    ndim = len(periodic)
    tables = Tables(coupling, bond_table, site_table, periodic)
    fields = local_fields(configurations, tables, dtype)
    state = configurations.long().unsqueeze(1)
    # Row k - 1 holds the move by k.
    shifts = torch.arange(1, q, device=state.device).view(1, q - 1, *[1] * ndim)
    differences = fields.gather(1, (state + shifts) % q) - fields.gather(1, state)
    log_ratios = beta.to(dtype).view(-1, *[1] * (ndim + 1)) * differences
    sums = energy(configurations, coupling, bond_table, site_table, periodic)
    return LocalEnergy(sums.energy, log_ratios)
