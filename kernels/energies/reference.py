"""The twins of ``energy`` and ``local_energy``, and the local fields that other families use."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "LocalEnergy", "Sums", "bonds_along", "energy", "local_energy", "local_fields", "state_counts",
]  # fmt: skip


class Sums(NamedTuple):
    """What :func:`energy` returns."""

    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""
    counts: Tensor
    """Sites in each state, int64 ``(walkers, q)``."""


class LocalEnergy(NamedTuple):
    """What :func:`local_energy` returns."""

    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""
    log_ratios: Tensor
    """``Δ``, ``(walkers, q-1, *shape)``."""


def bonds_along(
    coupling: Tensor, axis: int, configurations: Tensor, periodic: Sequence[bool]
) -> Tensor:
    """``J`` of the bonds in positive direction ``axis``, broadcastable to ``(walkers, *shape)``; 0 off an open edge."""
    bonds = coupling.select(1, axis if coupling.shape[1] > 1 else 0)
    if periodic[axis]:
        return bonds
    length = configurations.shape[axis + 1]
    inside = torch.arange(length, device=configurations.device) < length - 1
    return bonds * inside.view(-1, *[1] * (len(periodic) - axis - 1)).to(bonds.dtype)


def local_fields(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """``W_a(i) = Σ_j J_ij φ(a, x_j) + h_i(a)``: minus the energy of site ``i`` if it were in state ``a``.

    ``(walkers, q, *shape)``. It does not read ``x_i``, so one evaluation serves every move of the site.
    """
    q = bond_table.shape[0]
    states = torch.arange(q, dtype=configurations.dtype, device=configurations.device)
    one_hot = (configurations.unsqueeze(1) == states.view(q, *[1] * len(periodic))).to(dtype)
    coupling, bond_table = coupling.to(dtype), bond_table.to(dtype)
    forward = torch.zeros_like(one_hot)
    backward = torch.zeros_like(one_hot)
    for axis in range(len(periodic)):
        bonds = bonds_along(coupling, axis, configurations, periodic).unsqueeze(1)
        forward += bonds * one_hot.roll(-1, axis + 2)
        backward += (bonds * one_hot).roll(1, axis + 2)
    table = torch.cat([bond_table, bond_table.T], dim=1)
    fields = torch.einsum("ab,wb...->wa...", table, torch.cat([forward, backward], dim=1))
    return fields + site_table.to(dtype)


def state_counts(configurations: Tensor, q: int) -> Tensor:
    """Sites in each of ``q`` states, int64 ``(walkers, q)``."""
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
    """``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, each bond once, and the sites in each state."""
    q = bond_table.shape[0]
    counts = state_counts(configurations, q)
    if site_table.shape[2:].numel() == 1:
        total = (counts * site_table.flatten(1)).sum(1)
    else:
        table = site_table.expand(len(counts), q, *configurations.shape[1:])
        total = table.gather(1, configurations.long().unsqueeze(1)).flatten(1).sum(1)
    state = configurations.to(torch.int32)
    for axis in range(len(periodic)):
        pairs = torch.add(configurations.roll(-1, axis + 1), state, alpha=q)
        values = bond_table.flatten().index_select(0, pairs.flatten()).view(pairs.shape)
        total = total + values.mul_(bonds_along(coupling, axis, configurations, periodic)).flatten(
            1
        ).sum(1)
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
    """``H(x)`` and ``Δ_k(i) = β [W_{x_i+k}(i) - W_{x_i}(i)]`` of every local move."""
    q, ndim = bond_table.shape[0], len(periodic)
    fields = local_fields(configurations, coupling, bond_table, site_table, periodic, dtype)
    state = configurations.long().unsqueeze(1)
    shifts = torch.arange(1, q, device=state.device).view(1, q - 1, *[1] * ndim)
    differences = fields.gather(1, (state + shifts) % q) - fields.gather(1, state)
    log_ratios = beta.to(dtype).view(-1, *[1] * (ndim + 1)) * differences
    return LocalEnergy(
        energy(configurations, coupling, bond_table, site_table, periodic).energy, log_ratios
    )
