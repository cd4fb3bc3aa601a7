"""Local fields and energies by matrix products, for graphs whose sites have many neighbours.

A site with hundreds of neighbours is not gathered from one after another: states are written as
ones and noughts, and one product with the matrix of couplings finds the fields of all sites. The
order of its sums is that of the device's own product, so that they hold to rounding; which graphs
are summed so :mod:`.rule` says.
"""

import torch
from torch import Tensor

__all__ = ["dense", "energy_by_product", "fields_by_product", "fields_of"]


def dense(coupling: Tensor, edges: Tensor, sites: int, dtype: torch.dtype) -> Tensor:
    """Return the matrix of couplings, first ends down and second ends along.

    Args:
        coupling: ``J`` of every edge and a last 0, float64 ``(bonds + 1,)`` or one row per walker.
        edges: int32 ``(bonds, 2)``.
        sites: their number.
        dtype: of the matrix.

    Returns:
        ``(1 | walkers, sites, sites)``.
    """
    coupling = torch.atleast_2d(coupling)
    place = edges[:, 0].long() * sites + edges[:, 1]
    matrix = torch.zeros(len(coupling), sites * sites, dtype=torch.float64, device=coupling.device)
    # Two edges of one pair of sites add up.
    matrix.index_add_(1, place, coupling[:, :-1])
    return matrix.view(-1, sites, sites).to(dtype)


def indicators(configurations: Tensor, q: int, dtype: torch.dtype) -> Tensor:
    """Return 1 where a site is in state ``b``, else 0, for ``b = 1 … q-1``.

    Its shape is ``(q - 1, walkers, sites)``.
    """
    states = torch.arange(1, q, device=configurations.device, dtype=configurations.dtype)
    return (configurations == states.view(-1, 1, 1)).to(dtype)


def summed(ones: Tensor, matrix: Tensor) -> Tensor:
    """Return ``Σ_j M_ij [x_j = b]`` for ``b = 0 … q-1``, ``(q, walkers, rows)``.

    Args:
        ones: what :func:`indicators` returns.
        matrix: ``M``, ``(1 | walkers, rows, sites)``.
    """
    if len(matrix) == 1:
        found = ones @ matrix[0].T
    else:
        found = (matrix @ ones.unsqueeze(3)).squeeze(3)
    # A site is in one state: what is in none of the others is in state 0.
    rest = matrix.sum(2) - found.sum(0)
    return torch.cat([rest.unsqueeze(0), found])


def fields_by_product(
    configurations: Tensor, matrix: Tensor, bond_table: Tensor, site_table: Tensor
) -> Tensor:
    """Return the local fields ``W_a(i)`` of all sites, ``(walkers, q, sites)``.

    Args:
        configurations: int8 ``(walkers, sites)``.
        matrix: what :func:`dense` returns.
        bond_table: ``φ``, of the type of the matrix.
        site_table: ``h``, likewise.
    """
    both = matrix + matrix.mT
    turned = matrix - matrix.mT
    return fields_of(configurations, both, turned, bond_table, site_table)


def fields_of(
    configurations: Tensor, both: Tensor, turned: Tensor, bond_table: Tensor, site_table: Tensor
) -> Tensor:
    """Return the local fields from couplings whatever the end, and with their sign by the end.

    ``φ`` is the sum of an even and an odd table, of which the even one sees a coupling whatever the
    end of the edge that a site is, and the odd one with the opposite sign from its second end.

    Args:
        configurations: int8 ``(walkers, columns)``, those of the sites that are summed.
        both: ``J_ij`` whichever end ``i`` is, ``(1 | walkers, rows, columns)``.
        turned: ``J_ij`` where ``i`` is the first end, ``-J_ij`` where it is the second.
        bond_table: ``φ``, of the type of both.
        site_table: ``h`` of the rows, likewise.

    Returns:
        ``(walkers, q, rows)``.
    """
    q = len(bond_table)
    ones = indicators(configurations, q, both.dtype)
    even = 0.5 * (bond_table + bond_table.T)
    fields = torch.einsum("ab,bwi->wai", even, summed(ones, both))
    if needs_odd(bond_table):
        odd = 0.5 * (bond_table - bond_table.T)
        fields = fields + torch.einsum("ab,bwi->wai", odd, summed(ones, turned))
    return fields + site_table


def needs_odd(bond_table: Tensor) -> bool:
    """Return whether the odd table is to be summed; a device is not asked, and sums it."""
    # What is left out is exactly 0. A number of a CUDA device would make the host wait.
    return bond_table.device.type != "cpu" or not torch.equal(bond_table, bond_table.T)


def energy_by_product(configurations: Tensor, matrix: Tensor, bond_table: Tensor) -> Tensor:
    """Return ``Σ_<ij> J_ij φ(x_i, x_j)``, float64 ``(walkers,)``, from the matrix of couplings."""
    q = len(bond_table)
    ones = indicators(configurations, q, torch.float64)
    along = torch.einsum("ab,bwi->wai", bond_table, summed(ones, matrix))
    state = configurations.long().unsqueeze(1)
    return along.gather(1, state).sum((1, 2))
