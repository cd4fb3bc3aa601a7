"""Local fields and energies by matrix products, for graphs whose sites have many neighbours.

A site with hundreds of neighbours is not gathered from one after another: states are written as
ones and noughts, and one product with the matrix of couplings finds the fields of all sites. The
order of its sums is that of the device's own product, so that they hold to rounding; which graphs
are summed so :mod:`.rule` says.
"""

import torch
from torch import Tensor

__all__ = ["KEPT_SITES", "Dense", "both_ends", "fields_of", "matrix_of", "writes_into"]

KEPT_SITES = 2**11
"""The largest graph whose matrices are kept between calls."""


class Dense:
    """Couplings of a graph as matrices, each made when it is first asked for.

    Args:
        coupling: ``J`` of every edge and a last 0, float64 ``(bonds + 1,)`` or one row per walker.
        edges: int32 ``(bonds, 2)``.
        sites: their number.
    """

    def __init__(self, coupling: Tensor, edges: Tensor, sites: int) -> None:
        self._coupling = coupling
        self._writes = writes_into(coupling)
        self._edges = edges
        self._sites = sites
        self._matrix: Tensor | None = None
        self._ends: dict[torch.dtype, tuple[Tensor, Tensor]] = {}

    @property
    def fits(self) -> bool:
        """Whether nothing was written into the couplings since, as far as torch counts."""
        return writes_into(self._coupling) == self._writes

    @property
    def matrix(self) -> Tensor:
        """``J``, first ends down and second ends along, float64 ``(1 | walkers, sites, sites)``."""
        if self._matrix is None:
            first, second = self._edges.long().T
            bonds = torch.atleast_2d(self._coupling)[:, :-1]
            self._matrix = matrix_of(first, second, bonds, self._sites)
        return self._matrix

    def energy(self, configurations: Tensor, bond_table: Tensor) -> Tensor:
        """Return ``Σ_<ij> J_ij φ(x_i, x_j)``, float64 ``(walkers,)``.

        Args:
            configurations: int8 ``(walkers, sites)``.
            bond_table: ``φ``, float64.
        """
        q = len(bond_table)
        ones = indicators(configurations, q, torch.float64)
        along = torch.einsum("ab,bwi->wai", bond_table, summed(ones, self.matrix))
        state = configurations.long().unsqueeze(1)
        return along.gather(1, state).sum((1, 2))

    def fields(self, configurations: Tensor, bond_table: Tensor, site_table: Tensor) -> Tensor:
        """Return the local fields ``W_a(i)`` of all sites, ``(walkers, q, sites)``.

        Args:
            configurations: int8 ``(walkers, sites)``.
            bond_table: ``φ``, of the type of the fields.
            site_table: ``h``, likewise.
        """
        dtype = bond_table.dtype
        if dtype not in self._ends:
            self._ends[dtype] = both_ends(self.matrix, dtype)
        return fields_of(configurations, *self._ends[dtype], bond_table, site_table)


def matrix_of(first: Tensor, second: Tensor, bonds: Tensor, sites: int) -> Tensor:
    """Return ``J``, first ends down and second ends along, float64 ``(1 | walkers, sites, sites)``.

    Args:
        first: first end of every edge, int64 ``(bonds,)``.
        second: second end, likewise.
        bonds: ``J`` of every edge, float64 ``(1 | walkers, bonds)``.
        sites: their number.
    """
    matrix = bonds.new_zeros(len(bonds), sites**2)
    # Two edges of one pair of sites add up.
    matrix.index_add_(1, first * sites + second, bonds)
    return matrix.view(-1, sites, sites)


def both_ends(matrix: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return ``J_ij`` whichever end ``i`` is, and ``-J_ij`` where it is the second.

    Args:
        matrix: what :func:`matrix_of` returns.
        dtype: of what is returned.
    """
    # Rounded first: of large graphs the sums in float64 would take much memory.
    rounded = matrix.to(dtype)
    return rounded + rounded.mT, rounded - rounded.mT


def writes_into(tensor: Tensor) -> int:
    """Return how often torch wrote into a tensor; it does not count in inference mode."""
    if tensor.is_inference():
        return 0
    return tensor._version


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
