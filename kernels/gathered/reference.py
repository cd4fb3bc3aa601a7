"""The twins of ``graph_energy`` and ``graph_local_energy``, and the local fields on a graph."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..energies.reference import LocalEnergy, Sums, field_energy, state_counts, sum_of_sites
from .products import Dense
from .rule import energies_by_product, ratios_by_product

__all__ = ["Around", "graph_energy", "graph_local_energy", "local_fields"]


class Around(NamedTuple):
    """Holds a model's tables and what lies around each site of its graph."""

    coupling: Tensor
    """``J`` of every edge and a last 0, float64 ``(bonds + 1,)`` or one row per walker."""
    bond_table: Tensor
    """``φ``, float64 ``(q, q)``."""
    site_table: Tensor
    """``h``, float64 ``(1 | walkers, q, 1 | sites)``."""
    neighbours: Tensor
    """Neighbours of every site, the site itself for none, int32 ``(degree, sites)``."""
    bond: Tensor
    """Their edges, ``bonds`` for none, int32 ``(degree, sites)``."""
    behind: Tensor
    """Whether the site is the second end of the edge, bool or int8 ``(degree, sites)``."""


def local_fields(
    configurations: Tensor, around: Around, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return ``W_a(i) = Σ_j J_ij φ(a, x_j) + h_i(a)``, ``(walkers, q, sites)``.

    Terms come in one order, the field first, then the rows of ``neighbours``, and each is rounded
    once: with the rows of a lattice these are the numbers of
    :func:`..energies.reference.local_fields`, bit for bit.
    """
    ahead = around.bond_table.to(dtype)
    # Columns of both tables, one for every end of an edge and state at the other.
    columns = torch.cat([ahead.T, ahead])
    coupling = torch.atleast_2d(around.coupling).to(dtype)
    q = ahead.shape[0]
    walkers, sites = configurations.shape
    site_table = around.site_table.to(dtype)
    fields = site_table.expand(walkers, q, sites).clone(memory_format=torch.contiguous_format)
    for near, bond, behind in zip(around.neighbours, around.bond, around.behind, strict=True):
        states = configurations.index_select(1, near).int()
        chosen = states + q * behind.int()
        values = columns.index_select(0, chosen.flatten())
        bonds = coupling.index_select(1, bond).unsqueeze(1)
        fields += bonds * values.view(walkers, sites, q).transpose(1, 2)
    return fields


def graph_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    edges: Tensor,
    dense: Dense | None = None,
) -> Sums:
    """Return ``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)`` and the state counts.

    The field comes first, then the edges, in the order of
    :func:`..energies.reference.sum_of_sites`; many edges per site are summed by a matrix product.
    """
    q = bond_table.shape[0]
    sites = configurations.shape[1]
    coupling = torch.atleast_2d(coupling)
    counts = state_counts(configurations, q)
    total = field_energy(configurations, counts, site_table)
    if energies_by_product(len(edges), sites):
        dense = dense or Dense(coupling, edges, sites)
        return Sums(-(total + dense.energy(configurations, bond_table)), counts)
    if len(edges):
        first = configurations.index_select(1, edges[:, 0]).int()
        second = configurations.index_select(1, edges[:, 1])
        # Both states of an edge as one number below q², first that of its first end.
        kinds = torch.add(second, first, alpha=q)
        values = bond_table.flatten().index_select(0, kinds.flatten()).view(kinds.shape)
        total = total + sum_of_sites(values * coupling[:, :-1])
    return Sums(-total, counts)


def graph_local_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    neighbours: Tensor,
    bond: Tensor,
    behind: Tensor,
    edges: Tensor,
    dtype: torch.dtype = torch.float32,
    dense: Dense | None = None,
) -> LocalEnergy:
    """Return ``H(x)`` and ``Δ_k(i) = β [W_{x_i+k}(i) - W_{x_i}(i)]`` of every local move."""
    q = bond_table.shape[0]
    sites = configurations.shape[1]
    if ratios_by_product(len(neighbours), sites):
        dense = dense or Dense(coupling, edges, sites)
        fields = dense.fields(configurations, bond_table.to(dtype), site_table.to(dtype))
    else:
        around = Around(coupling, bond_table, site_table, neighbours, bond, behind)
        fields = local_fields(configurations, around, dtype)
    state = configurations.long().unsqueeze(1)
    # Row k - 1 holds the move by k.
    shifts = torch.arange(1, q, device=state.device).view(1, q - 1, 1)
    differences = fields.gather(1, (state + shifts) % q) - fields.gather(1, state)
    log_ratios = beta.to(dtype).view(-1, 1, 1) * differences
    sums = graph_energy(configurations, coupling, bond_table, site_table, edges, dense)
    return LocalEnergy(sums.energy, log_ratios)
