"""The twins of ``energy`` and ``local_energy``, and the local fields that other families use."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "LocalEnergy", "Sums", "Tables", "bonds_along", "energy", "local_energy", "local_fields",
    "state_counts",
]  # fmt: skip


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
    serves every move of the site.
    """
    bond_table = tables.bond_table.to(dtype)
    coupling = tables.coupling.to(dtype)
    q = bond_table.shape[0]
    ndim = len(tables.periodic)
    states = torch.arange(q, dtype=configurations.dtype, device=configurations.device)
    one_hot = (configurations.unsqueeze(1) == states.view(q, *[1] * ndim)).to(dtype)
    forward = torch.zeros_like(one_hot)
    backward = torch.zeros_like(one_hot)
    for axis in range(ndim):
        bonds = bonds_along(coupling, axis, configurations, tables.periodic).unsqueeze(1)
        # A bond belongs to its lower end: from there it comes back with the roll.
        forward += bonds * one_hot.roll(-1, axis + 2)
        backward += (bonds * one_hot).roll(1, axis + 2)
    # One product for both ends of a bond, whose table need not be symmetric.
    table = torch.cat([bond_table, bond_table.T], dim=1)
    fields = torch.einsum("ab,wb...->wa...", table, torch.cat([forward, backward], dim=1))
    return fields + tables.site_table.to(dtype)


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
    """Return ``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)`` and the state counts."""
    q = bond_table.shape[0]
    counts = state_counts(configurations, q)
    # Where all sites have one field the counts suffice.
    if site_table.shape[2:].numel() == 1:
        total = (counts * site_table.flatten(1)).sum(1)
    else:
        table = site_table.expand(len(counts), q, *configurations.shape[1:])
        total = table.gather(1, configurations.long().unsqueeze(1)).flatten(1).sum(1)
    state = configurations.to(torch.int32)
    # Each bond once, with the site from which it leads in positive direction.
    for axis in range(len(periodic)):
        # Both states of a bond as one number below q².
        pairs = torch.add(configurations.roll(-1, axis + 1), state, alpha=q)
        values = bond_table.flatten().index_select(0, pairs.flatten()).view(pairs.shape)
        values.mul_(bonds_along(coupling, axis, configurations, periodic))
        total = total + values.flatten(1).sum(1)
    return Sums(-total, counts)


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
