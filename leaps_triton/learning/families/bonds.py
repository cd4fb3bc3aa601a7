"""Bonds of a lattice or graph, and sums over them of products of two sites' factors.

The interaction is written as ``φ(a, b) = Σ_r u_r(a) v_r(b)``, so that sums over walkers of many
bonds at once are products of matrices: one term for Ising, q for Potts.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ...lattices.graph import Graph
from ...lattices.hypercubic import Lattice
from ...models.pair import PairModel

__all__ = ["Bonds", "Factors", "bonds_of", "coupling_of", "factors_of"]

_NEGLIGIBLE = 1e-14
"""Singular values below this part of the largest are rounding."""

_ENTRIES = 2**18
"""Numbers of a temporary table, at most."""


class Factors(NamedTuple):
    """Factors of an interaction, ``φ(a, b) = Σ_r first[r, a] second[r, b]``."""

    first: Tensor
    """``u``, float64 ``(rank, q)``"""
    second: Tensor
    """``v``, float64 ``(rank, q)``"""


def factors_of(bond_table: Tensor) -> Factors:
    """Return the factors of an interaction, as few as there may be.

    Args:
        bond_table: ``φ``, float64 ``(q, q)``.
    """
    left, values, right = torch.linalg.svd(bond_table)
    kept = values > _NEGLIGIBLE * values.max()
    roots = values[kept].sqrt()
    first = left[:, kept] * roots
    second = right[kept] * roots.unsqueeze(1)
    return Factors(first.T.contiguous(), second)


class Bonds:
    """Bonds, each from its first to its second site.

    Args:
        first: int64 ``(bonds,)``.
        second: int64 ``(bonds,)``.
        place: of each in the flattened couplings of a model, int64 ``(bonds,)``.
        classes: direction on a lattice, class on a graph, int64 ``(bonds,)``.
        sites: number of sites.
        places: number of flattened couplings.
    """

    def __init__(
        self,
        first: Tensor,
        second: Tensor,
        place: Tensor,
        classes: Tensor,
        sites: int,
        places: int,
    ) -> None:
        self.first = first
        self.second = second
        self.place = place
        self.classes = classes
        self.sites = sites
        self.places = places
        # Of all pairs of sites a product of matrices does about 64 in the time of one gathered.
        self.dense = 64 * len(first) > sites * sites

    def __len__(self) -> int:
        return len(self.first)

    def correlations(self, at_first: Tensor, at_second: Tensor) -> Tensor:
        """Return ``Σ_w f_w(i) g_w(j)`` of every bond ``(i, j)``, float64 ``(bonds,)``.

        Args:
            at_first: ``f``, float64 ``(sites, walkers)``.
            at_second: ``g``, float64 ``(sites, walkers)``.
        """
        if self.dense:
            return (at_first @ at_second.T)[self.first, self.second]
        found = []
        for own in self._chunks(at_first.shape[1]):
            products = at_first[self.first[own]] * at_second[self.second[own]]
            found.append(products.sum(1))
        return torch.cat(found)

    def ahead(self, strengths: Tensor, values: Tensor) -> Tensor:
        """Return ``Σ_j J_ij g(j)`` at the first site of every bond, float64 ``(sites, walkers)``.

        Args:
            strengths: ``J``, float64 ``(bonds,)``.
            values: ``g``, float64 ``(sites, walkers)``.
        """
        return self._gathered(strengths, values, self.first, self.second)

    def behind(self, strengths: Tensor, values: Tensor) -> Tensor:
        """Return ``Σ_i J_ij f(i)`` at the second site of every bond; see :meth:`ahead`."""
        return self._gathered(strengths, values, self.second, self.first)

    def _gathered(self, strengths: Tensor, values: Tensor, here: Tensor, there: Tensor) -> Tensor:
        if self.dense:
            matrix = torch.zeros(self.sites, self.sites, dtype=torch.float64)
            # Two bonds may join the same sites.
            matrix.index_put_((here, there), strengths, accumulate=True)
            return matrix @ values
        found = torch.zeros_like(values)
        for own in self._chunks(values.shape[1]):
            terms = strengths[own].unsqueeze(1) * values[there[own]]
            found.index_add_(0, here[own], terms)
        return found

    def _chunks(self, walkers: int) -> list[slice]:
        """Return parts of the bonds whose temporaries are not too large."""
        size = max(1, _ENTRIES // max(1, walkers))
        return [slice(begin, begin + size) for begin in range(0, len(self), size)]


def bonds_of(lattice: Lattice | Graph) -> Bonds:
    """Return the bonds of a lattice or graph, in the order of a model's couplings."""
    incidence = lattice.incidence()
    if lattice.hypercubic:
        places = lattice.ndim * lattice.sites
    else:
        places = lattice.bonds
    bond = incidence.bond.long()
    # Each bond is met at both its ends: here at the first.
    here = (bond < places) & ~incidence.behind
    sites = torch.arange(lattice.sites).expand_as(bond)
    order = bond[here].argsort()
    place = bond[here][order]
    first = sites[here][order]
    second = incidence.neighbours.long()[here][order]
    if lattice.hypercubic:
        classes = place // lattice.sites
    else:
        classes = lattice.classes
    return Bonds(first, second, place, classes, lattice.sites, places)


def coupling_of(model: PairModel) -> Tensor:
    """Return the couplings of a model, flattened, float64 ``(places,)``."""
    return model.coupling.expand(model.lattice.coupling_shape).flatten()
