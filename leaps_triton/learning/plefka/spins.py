"""Mean-field theories of spins on lattices and graphs: naive, TAP and third order.

``log Z`` is expanded in powers of the couplings at fixed means ``m`` of spins ±1 (β is absorbed in
couplings ``J`` and fields ``h``), with ``v = 1 - m²``, sums over pairs ``<ij>`` and triangles
``<ijk>`` of bonds, each once::

    log Z ≈ h·m + S(m) + Σ_<ij> J_ij m_i m_j                                          (order 1)
          + 1/2 Σ_<ij> J_ij² v_i v_j                                                  (order 2)
          + 2/3 Σ_<ij> J_ij³ m_i v_i m_j v_j + Σ_<ijk> J_ij J_jk J_ki v_i v_j v_k     (order 3)

with ``S`` the entropy of independent spins. Means are those at which it is stationary::

    m_i = tanh(h_i + Σ_j J_ij m_j - m_i Σ_j J_ij² v_j
                + 2/3 (1 - 3 m_i²) Σ_j J_ij³ m_j v_j - 2 m_i Σ_<jk> J_ij J_jk J_ki v_j v_k)

References:
    Plefka, *Convergence condition of the TAP equation for the infinite-ranged Ising spin glass
    model*, J. Phys. A 15, 1971 (1982).
    Georges, Yedidia, *How to expand around mean-field theory using high-temperature expansions*,
    J. Phys. A 24, 2173 (1991).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ...models.pair import PairModel
from ..families.bonds import bonds_of, coupling_of
from .base import Equations, entropy

__all__ = ["SpinEquations"]


_CANDIDATES = 2**22
"""Pairs of bonds that may be sides of a triangle, at most: about 290 sites joined all to all."""


class Spins(NamedTuple):
    """A pair model of two states as one of spins, ``-βH = c + Σ h_i s_i + Σ_<ij> J_ij s_i s_j``."""

    constant: Tensor
    """``c``, float64 ``()``"""
    fields: Tensor
    """``h``, float64 ``(sites,)``"""
    first: Tensor
    """Lesser site of each pair, in order, int64 ``(pairs,)``"""
    second: Tensor
    """The other site, int64 ``(pairs,)``"""
    strengths: Tensor
    """``J``, none of them 0, float64 ``(pairs,)``"""

    @classmethod
    def of(cls, model: PairModel) -> "Spins":
        """Return the spins of a pair model of two states, whatever its ``φ``."""
        bonds = bonds_of(model.lattice)
        strengths = model.beta * coupling_of(model)[bonds.place]
        signs = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        # φ(a, b) = mean + along_first s + along_second s' + alike s s'.
        table = model.bond_table
        along_first = (signs @ table).sum() / 4.0
        along_second = (table @ signs).sum() / 4.0
        alike = signs @ table @ signs / 4.0
        terms = model.beta * model.site_table.expand(2, *model.shape).flatten(1)
        fields = (terms[1] - terms[0]) / 2.0
        fields = fields.index_add(0, bonds.first, along_first * strengths)
        fields = fields.index_add(0, bonds.second, along_second * strengths)
        constant = terms.mean(0).sum() + table.mean() * strengths.sum()
        # Two bonds that join the same sites are one coupling.
        low = torch.minimum(bonds.first, bonds.second)
        high = torch.maximum(bonds.first, bonds.second)
        keys, pair = torch.unique(low * bonds.sites + high, return_inverse=True)
        summed = torch.zeros(len(keys), dtype=torch.float64)
        summed = summed.index_add(0, pair, alike * strengths)
        there = summed != 0.0
        first = keys[there] // bonds.sites
        second = keys[there] % bonds.sites
        return cls(constant, fields, first, second, summed[there])


class Triangles(NamedTuple):
    """Sets of three sites all of which are coupled."""

    corners: tuple[Tensor, Tensor, Tensor]
    """Sites, int64 ``(triangles,)`` each"""
    strengths: Tensor
    """``J_ij J_jk J_ki``, float64 ``(triangles,)``"""

    @classmethod
    def of(cls, spins: Spins) -> "Triangles":
        """Return all triangles of couplings.

        Raises:
            ValueError: they are too many.
        """
        sites = len(spins.fields)
        # A side i < j goes on with the sides j < k, which stand in a row.
        onward = torch.bincount(spins.first, minlength=sites)
        begins = onward.cumsum(0) - onward
        count = onward[spins.second]
        total = int(count.sum())
        if total > _CANDIDATES:
            raise ValueError(
                f"order 3 sums over triangles of couplings, and {len(spins.strengths)} couplings "
                f"have too many ({total} pairs of them to look at); take order=2"
            )
        side = torch.arange(len(count)).repeat_interleave(count)
        place = torch.arange(total) - (count.cumsum(0) - count)[side]
        onto = begins[spins.second[side]] + place
        # The third side i < k, if there is one, among the keys of all, which are in order.
        keys = spins.first * sites + spins.second
        wanted = spins.first[side] * sites + spins.second[onto]
        third = torch.searchsorted(keys, wanted).clamp(max=max(0, len(keys) - 1))
        closed = keys[third] == wanted
        side, onto, third = side[closed], onto[closed], third[closed]
        corners = (spins.first[side], spins.second[side], spins.second[onto])
        strengths = spins.strengths[side] * spins.strengths[onto] * spins.strengths[third]
        return cls(corners, strengths)


class SpinEquations(Equations):
    """The mean-field equations of a pair model of two states; means are of spins -1 and 1.

    Args:
        model: the model.
        order: 1, 2 or 3.

    Raises:
        ValueError: order 3 of too many couplings.
    """

    lowest = -1.0

    def __init__(self, model: PairModel, order: int) -> None:
        self.shapes = (tuple(model.shape),)
        self.sites = model.lattice.sites
        self._order = order
        self._spins = Spins.of(model)
        self._squares = self._spins.strengths**2
        self._cubes = self._spins.strengths**3
        if order == 3:
            self._triangles = Triangles.of(self._spins)

    def log_z(self, means: Tensor) -> Tensor:
        """Return the approximate ``log Z`` at these means, ``(starts,)``."""
        spins = self._spins
        total = spins.constant + means @ spins.fields + entropy((1.0 + means) / 2.0)
        total = total + self._joined(spins.strengths, means)
        variance = 1.0 - means**2
        if self._order >= 2:
            total = total + self._joined(self._squares, variance) / 2.0
        if self._order >= 3:
            total = total + self._joined(self._cubes, means * variance) * (2.0 / 3.0)
            one, two, three = (variance[:, corner] for corner in self._triangles.corners)
            total = total + (one * two * three) @ self._triangles.strengths
        return total

    def iterated(self, means: Tensor, damping: float) -> Tensor:
        """Return the means after an iteration of all spins at once."""
        return torch.lerp(self._right_side(means), means, damping)

    def residual(self, means: Tensor) -> Tensor:
        """Return by how much the equations miss at most, ``(starts,)``."""
        return (self._right_side(means) - means).abs().amax(1)

    def _right_side(self, means: Tensor) -> Tensor:
        """Return the right side of the equations."""
        variance = 1.0 - means**2
        fields = self._spins.fields + self._around(self._spins.strengths, means)
        if self._order >= 2:
            # The reaction of the neighbours to this spin (Onsager's term).
            fields = fields - means * self._around(self._squares, variance)
        if self._order >= 3:
            third = self._around(self._cubes, means * variance)
            fields = fields + (2.0 / 3.0) * (1.0 - 3.0 * means**2) * third
            fields = fields - 2.0 * means * self._opposite(variance)
        return torch.tanh(fields)

    def _joined(self, table: Tensor, values: Tensor) -> Tensor:
        """Return ``Σ_<ij> T_ij f_i f_j`` of every start."""
        return (values[:, self._spins.first] * values[:, self._spins.second]) @ table

    def _around(self, table: Tensor, values: Tensor) -> Tensor:
        """Return ``Σ_j T_ij f_j``, ``(starts, sites)``."""
        first, second = self._spins.first, self._spins.second
        found = torch.zeros_like(values)
        found.index_add_(1, first, table * values[:, second])
        return found.index_add_(1, second, table * values[:, first])

    def _opposite(self, variance: Tensor) -> Tensor:
        """Return ``Σ_<jk> J_ij J_jk J_ki v_j v_k``, ``(starts, sites)``."""
        found = torch.zeros_like(variance)
        one, two, three = self._triangles.corners
        for corner, left, right in ((one, two, three), (two, three, one), (three, one, two)):
            terms = self._triangles.strengths * variance[:, left] * variance[:, right]
            found.index_add_(1, corner, terms)
        return found
