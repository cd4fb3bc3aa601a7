"""The ops ``graph_energy`` and ``graph_local_energy``."""

import torch
from torch import Tensor
from torch.library import custom_op

from ..checks import check_floating, check_tensor
from ..energies.reference import LocalEnergy, Sums
from ..registration import Launchers, call, on_cpu, put_on_cuda
from . import reference
from .checks import check_around, check_edges, check_tables
from .products import Dense
from .rule import energies_by_product, ratios_by_product

__all__ = ["graph_energy", "graph_energy_op", "graph_local_energy", "graph_local_energy_op"]

_energy = on_cpu(reference.graph_energy, __package__)
_local_energy = on_cpu(reference.graph_local_energy, __package__)


def graph_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    edges: Tensor,
    dense: Dense | None = None,
) -> Sums:
    """Return the energy ``H(x)`` of every walker on a graph and its sites in each state.

    ``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, ``i`` the first end of an edge and ``j`` the
    second. Of a mean degree of 33 or more the sum is a matrix product in float64.

    Args:
        configurations: Int8 ``(walkers, sites)``, ``0 … q-1``.
        coupling: ``J`` of every edge and a last 0, float64 ``(bonds + 1,)``, or one row per walker.
        bond_table: ``φ``, float64 ``(q, q)``.
        site_table: ``h``, float64 ``(1 | walkers, q, 1 | sites)``.
        edges: Both ends of every edge, int32 ``(bonds, 2)``.
        dense: The matrices of just these couplings and edges, from an earlier call; None to make
            what is needed.

    Returns:
        Sums(energy float64 ``(walkers,)`` without β, counts int64 ``(walkers, q)``).

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, or edges join other
            sites than there are. A CPU looks at each table of indices once, and again when torch
            has written into it; other devices do not look, and read what is there.
    """
    check_tables(configurations, coupling, bond_table, site_table, None)
    check_edges(edges, coupling.shape[-1] - 1, configurations.shape[1], configurations)
    tables = (coupling, bond_table, site_table, edges)
    if dense is not None and energies_by_product(len(edges), configurations.shape[1]):
        # Plain torch on every device: what is kept cannot be an argument of torch's op.
        return reference.graph_energy(configurations, *tables, dense)
    return Sums(*call(graph_energy_op, configurations, *tables))


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
    """Return the energy of every walker on a graph and the log-ratio of every local move.

    ``Δ_k(i) = -β [H(x^{(i,k)}) - H(x)]`` with ``x^{(i,k)}`` the configuration after
    ``x_i → (x_i + k) mod q``. The local fields are gathered neighbour by neighbour, and above 32
    neighbours are matrix products.

    Args:
        configurations: Int8 ``(walkers, sites)``; see :func:`graph_energy`, as for all up to
            ``site_table``.
        coupling: ``J``.
        bond_table: ``φ``.
        site_table: ``h``.
        beta: ``β``, float64 ``(1 | walkers,)``.
        neighbours: Neighbours of every site, the site itself for none, int32 ``(degree, sites)``.
        bond: Their edges, ``bonds`` for none, int32 ``(degree, sites)``.
        behind: Whether the site is the second end of the edge, bool or int8 ``(degree, sites)``.
        edges: Both ends of every edge, int32 ``(bonds, 2)``.
        dtype: Precision of the log-ratios, float32 or float64; energies are always float64.
        dense: The matrices of just these couplings and edges, from an earlier call; None to make
            what is needed.

    Returns:
        LocalEnergy(energy float64 ``(walkers,)`` without β, log_ratios ``(walkers, q-1, sites)``
        with β).

    Raises:
        ValueError: If a shape, dtype or device does not fit the configurations, or, on a CPU, an
            index is out of range; see :func:`graph_energy`.
    """
    check_tensor("beta", beta)
    check_tables(configurations, coupling, bond_table, site_table, beta)
    check_around(configurations, neighbours, bond, behind, coupling.shape[-1] - 1)
    check_edges(edges, coupling.shape[-1] - 1, configurations.shape[1], configurations)
    check_floating("dtype of the log-ratios", dtype)
    tables = (coupling, bond_table, site_table, beta, neighbours, bond, behind, edges)
    if dense is not None and ratios_by_product(len(neighbours), configurations.shape[1]):
        return reference.graph_local_energy(configurations, *tables, dtype, dense)
    return LocalEnergy(*call(graph_local_energy_op, configurations, *tables, dtype))


@custom_op("leaps_triton::graph_energy", mutates_args=())
def graph_energy_op(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    edges: Tensor,
) -> tuple[Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.graph_energy`."""
    energies, counts = _energy(configurations, coupling, bond_table, site_table, edges)
    return energies, counts


@graph_energy_op.register_fake
def _(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    edges: Tensor,
) -> tuple[Tensor, Tensor]:
    walkers = len(configurations)
    energies = configurations.new_empty(walkers, dtype=torch.float64)
    return energies, configurations.new_empty(walkers, len(bond_table), dtype=torch.int64)


@custom_op("leaps_triton::graph_local_energy", mutates_args=())
def graph_local_energy_op(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    neighbours: Tensor,
    bond: Tensor,
    behind: Tensor,
    edges: Tensor,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """See :func:`leaps_triton.kernels.graph_local_energy`."""
    tables = (coupling, bond_table, site_table, beta, neighbours, bond, behind, edges)
    energies, log_ratios = _local_energy(configurations, *tables, dtype)
    return energies, log_ratios.contiguous()


@graph_local_energy_op.register_fake
def _(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    neighbours: Tensor,
    bond: Tensor,
    behind: Tensor,
    edges: Tensor,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    walkers, sites = configurations.shape
    log_ratios = configurations.new_empty(walkers, bond_table.shape[0] - 1, sites, dtype=dtype)
    return configurations.new_empty(walkers, dtype=torch.float64), log_ratios


def _launchers() -> Launchers:
    from . import triton

    return [
        (graph_energy_op, triton.graph_energy),
        (graph_local_energy_op, triton.graph_local_energy),
    ]


put_on_cuda(_launchers)
