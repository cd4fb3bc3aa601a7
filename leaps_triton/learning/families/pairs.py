"""Pair models on lattices and graphs, ``u_θ(x) = -Σ_b θ_b φ(x_i, x_j) - Σ_i h_i(x_i)``."""

from typing import Any

import torch
from torch import Tensor

from ...kernels.checks import expect
from ...models.pair import PairModel
from .base import Family, PseudoLikelihoodTerms, check_beta
from .bonds import Bonds, bonds_of, coupling_of, factors_of
from .conditionals import PairConditionals

__all__ = ["COUPLINGS", "FIELDS", "PairFamily"]


COUPLINGS = ("bond", "class", "uniform")
"""Which couplings are free: of every bond, of every class of bonds, or one."""

FIELDS = ("site", "uniform")
"""Which fields are free: of every site, or one for all."""

_BEFORE = 0.5
"""Rows of data counted for each state beside those that there are: no state is impossible."""


class PairFamily(Family):
    """The pair models of one interaction on one lattice or graph.

    ``θ`` holds β times the couplings, then β times the fields. For two states a field is one number
    per site, half the difference of the terms of states 1 and 0; for ``q > 2`` it is ``q`` numbers
    per site, of which learning leaves the sum as it is.

    Args:
        model: a pair model, with β above 0.
        coupling: ``"bond"``, ``"class"`` (direction on a lattice), ``"uniform"``; None to leave
            them as they are.
        field: ``"site"``, ``"uniform"``; None to leave them as they are.

    Raises:
        ValueError: nothing is left to learn, or an argument is not as above.
    """

    def __init__(
        self, model: PairModel, coupling: str | None = "bond", field: str | None = None
    ) -> None:
        wanted = "None, or one of " + ", ".join(COUPLINGS)
        expect(coupling is None or coupling in COUPLINGS, "coupling", wanted, coupling)
        wanted = "None, or one of " + ", ".join(FIELDS)
        expect(field is None or field in FIELDS, "field", wanted, field)
        if coupling is None and field is None:
            raise ValueError(
                "nothing is left to learn: give coupling='bond', 'class' or 'uniform', or "
                "field='site' or 'uniform'"
            )
        check_beta(model)
        self.model = model
        self.settings = {"coupling": coupling, "field": field}
        self.coupling = coupling
        self.field = field
        self.bonds: Bonds = bonds_of(model.lattice)
        self.factors = factors_of(model.bond_table)
        self.group, groups = _groups(self.bonds, coupling)
        self.basis = self._basis()
        fields = self._fields_shape()
        self.names = {"coupling": groups, "field": fields.numel()}
        strengths = model.beta * coupling_of(model)[self.bonds.place]
        self._fixed = torch.zeros_like(strengths)
        if coupling is None:
            self._fixed = strengths
        self._split(strengths, groups, fields)
        self.penalised = torch.arange(groups + fields.numel()) < groups

    def _basis(self) -> Tensor:
        """Return what a field adds to the terms of the states, float64 ``(q, fields)``."""
        if self.model.q == 2:
            return torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
        return torch.eye(self.model.q, dtype=torch.float64)

    def _fields_shape(self) -> torch.Size:
        """Return the shape of the fields that are learned."""
        if self.field is None:
            return torch.Size([0])
        columns = self.basis.shape[1]
        if self.field == "uniform":
            return torch.Size([columns, 1])
        return torch.Size([columns, self.bonds.sites])

    def _split(self, strengths: Tensor, groups: int, fields: torch.Size) -> None:
        """Find the parameters of the model, and what of its fields stays."""
        model = self.model
        whole = model.beta * model.site_table.expand(model.q, *model.shape).flatten(1)
        size = torch.bincount(self.group, minlength=groups)[:groups].double()
        own = torch.zeros(groups, dtype=torch.float64)
        if groups:
            own = own.index_add(0, self.group, strengths) / size
        learned = torch.zeros(fields, dtype=torch.float64)
        if fields.numel():
            # The columns of the basis are orthogonal.
            learned = (self.basis.T @ whole) / self.basis.square().sum(0).unsqueeze(1)
        if self.field == "uniform":
            learned = learned.mean(1, keepdim=True)
        sharing = torch.ones(fields.numel(), dtype=torch.float64)
        if self.field == "uniform":
            sharing = sharing * self.bonds.sites
        self._fields = fields
        self._rest = whole
        if fields.numel():
            self._rest = whole - self.basis @ learned
        self.theta = torch.cat([own, learned.flatten()])
        self.counts = torch.cat([size, sharing])

    def strengths(self, theta: Tensor) -> Tensor:
        """Return ``β J`` of every bond, float64 ``(bonds,)``."""
        groups = self.names["coupling"]
        if groups == 0:
            return self._fixed
        return theta[:groups][self.group]

    def site_terms(self, theta: Tensor) -> Tensor:
        """Return ``β h_i(a)``, float64 ``(q, sites)``."""
        if self.field is None:
            return self._rest
        learned = theta[self.names["coupling"] :].view(self._fields)
        return self._rest + self.basis @ learned

    def at(self, theta: Tensor) -> Any:
        """Return the model with the law ``ρ_θ``.

        Args:
            theta: float64 ``(parameters,)``.
        """
        model = self.model
        coupling = model.coupling
        if self.coupling is not None:
            flat = torch.zeros(self.bonds.places, dtype=torch.float64)
            flat[self.bonds.place] = self.strengths(theta) / model.beta
            coupling = self._in_short(flat)
        site_table = model.site_table
        if self.field is not None:
            terms = self.site_terms(theta) / model.beta
            site_table = terms.view(model.q, *model.shape)
        if self.field == "uniform" and model.site_table.numel() == model.q:
            site_table = site_table.flatten(1)[:, :1]
        return model.with_tables(model.beta, site_table, coupling)

    def _in_short(self, flat: Tensor) -> Tensor:
        """Return flattened couplings as models have them: one number where all are one."""
        lattice = self.model.lattice
        # Ops take one number for all bonds, and are faster with it.
        uniform = (1,) * lattice.ndim
        first = int(self.bonds.place[0])
        if self.coupling == "uniform":
            return flat[first].view(1, *uniform)
        if not lattice.hypercubic:
            return flat.view(1, -1)
        table = flat.view(lattice.ndim, *lattice.shape)
        if self.coupling == "class":
            # The first site of a direction has a bond ahead, if any site has.
            return table.flatten(1)[:, :1].view(-1, *uniform)
        return table

    def u(self, configurations: Tensor, theta: Tensor) -> Tensor:
        """Return ``u_θ(x)``, float64 ``(walkers,)``."""
        energy: Tensor = self.at(theta).energy(configurations, check=False)
        return self.model.beta * energy

    def moments(
        self, configurations: Tensor, theta: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Return the sums of ``φ`` over each coupling's bonds, and of what each field adds."""
        states = configurations.flatten(1).T.long()
        if weights is None:
            walkers = states.shape[1]
            weights = torch.full((walkers,), 1.0 / walkers, dtype=torch.float64)
        parts = []
        if self.coupling is not None:
            parts.append(self.grouped(self._pair_sums(states, weights)))
        if self.field is not None:
            parts.append(self.gathered_fields(self._state_sums(states, weights)))
        return torch.cat(parts)

    def _pair_sums(self, states: Tensor, weights: Tensor) -> Tensor:
        """Return ``Σ_w weight φ(x_i, x_j)`` of every bond, float64 ``(bonds,)``."""
        total = torch.zeros(len(self.bonds), dtype=torch.float64)
        for first, second in zip(self.factors.first, self.factors.second, strict=True):
            total = total + self.bonds.correlations(first[states] * weights, second[states])
        return total

    def _state_sums(self, states: Tensor, weights: Tensor) -> Tensor:
        """Return ``Σ_w weight [x_i = a]``, float64 ``(q, sites)``."""
        found = [((states == state) * weights).sum(1) for state in range(self.model.q)]
        return torch.stack(found)

    def grouped(self, by_bond: Tensor) -> Tensor:
        """Return sums over the bonds of each coupling, float64 ``(couplings,)``."""
        groups = self.names["coupling"]
        if groups == len(by_bond):
            return by_bond
        return torch.zeros(groups, dtype=torch.float64).index_add(0, self.group, by_bond)

    def gathered_fields(self, by_state: Tensor) -> Tensor:
        """Return sums for each field, from those of states, ``(q, sites)``."""
        sums = self.basis.T @ by_state
        if self.field == "uniform":
            sums = sums.sum(1)
        return sums.flatten()

    def first(self, data: Tensor) -> Tensor:
        """Return independent sites: no couplings, and the fields that the data's means ask for.

        Couplings or fields that are not learned stay as they are.

        Args:
            data: ``(samples, *shape)``.
        """
        couplings = torch.zeros(self.names["coupling"], dtype=torch.float64)
        if self.field is None:
            return couplings
        if bool(self._fixed.any()):
            # Beside couplings that stay, means do not tell the fields.
            return self.theta.clone()
        states = data.flatten(1).T.long()
        counts = self._state_sums(states, torch.ones(len(data), dtype=torch.float64)) + _BEFORE
        if self.field == "uniform":
            counts = counts.sum(1, keepdim=True)
        terms = torch.log(counts / counts.sum(0))
        terms = terms - terms.mean(0)
        fields = (self.basis.T @ terms) / self.basis.square().sum(0).unsqueeze(1)
        return torch.cat([couplings, fields.flatten()])

    def conditionals(self, data: Tensor) -> PseudoLikelihoodTerms:
        """Return what pseudo-likelihood needs of data, int8 ``(samples, *shape)``."""
        return PairConditionals(self, data)


def _groups(bonds: Bonds, coupling: str | None) -> tuple[Tensor, int]:
    """Return which coupling each bond has, and how many there are."""
    if coupling == "bond":
        return torch.arange(len(bonds)), len(bonds)
    if coupling == "class":
        return bonds.classes, int(bonds.classes.max()) + 1
    none = torch.zeros(len(bonds), dtype=torch.int64)
    if coupling == "uniform":
        return none, 1
    return none, 0
