"""Conditional probabilities of single sites, in data that stay the same.

``-log p(x_i | rest) = log Σ_a e^{L_i(a)} - L_i(x_i)`` with
``L_i(a) = h_i(a) + Σ_r [u_r(a) Σ_j J_ij v_r(x_j) + v_r(a) Σ_j J_ji u_r(x_j)]``, the first sum over
bonds that begin at ``i``, the second over those that end there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .base import PseudoLikelihoodTerms

if TYPE_CHECKING:
    from .pairs import PairFamily

__all__ = ["PairConditionals"]

_ENTRIES = 2**17
"""Numbers of a temporary table, at most."""


class PairConditionals(PseudoLikelihoodTerms):
    """Pseudo-likelihood of pair models.

    Args:
        family: the models.
        data: int8 ``(samples, *shape)``.
    """

    def __init__(self, family: PairFamily, data: Tensor) -> None:
        self.family = family
        self.samples = len(data)
        size = max(1, _ENTRIES // (family.model.q * family.bonds.sites))
        # Sites first: a neighbour is a whole row.
        self.chunks = [part.flatten(1).T.long() for part in data.split(size)]

    def value(self, theta: Tensor) -> float:
        """Return ``-Σ_i log p(x_i | rest)``, the mean over data."""
        strengths = self.family.strengths(theta)
        site_terms = self.family.site_terms(theta)
        total = 0.0
        for states in self.chunks:
            log_p = self._logits(states, strengths, site_terms).log_softmax(0)
            total -= float(log_p.gather(0, states.unsqueeze(0)).sum())
        return total / self.samples

    def loss(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return ``-Σ_i log p(x_i | rest)``, the mean over data, and its gradient."""
        strengths = self.family.strengths(theta)
        site_terms = self.family.site_terms(theta)
        value = 0.0
        gradient = torch.zeros_like(theta)
        for states in self.chunks:
            own, slope = self._of_chunk(states, strengths, site_terms)
            value += own
            gradient += slope
        return value / self.samples, gradient / self.samples

    def _of_chunk(
        self, states: Tensor, strengths: Tensor, site_terms: Tensor
    ) -> tuple[float, Tensor]:
        """Return the loss of some rows and its gradient, summed over them."""
        family = self.family
        logits = self._logits(states, strengths, site_terms)
        log_p = logits.log_softmax(0)
        present = log_p.gather(0, states.unsqueeze(0)).squeeze(0)
        # What is there less what is expected there given the rest, for each state.
        surplus = -log_p.exp()
        surplus.scatter_add_(0, states.unsqueeze(0), torch.ones_like(surplus[:1]))
        parts = []
        if family.coupling is not None:
            parts.append(-family.grouped(self._by_bond(states, surplus)))
        if family.field is not None:
            parts.append(-family.gathered_fields(surplus.sum(2)))
        return -float(present.sum()), torch.cat(parts)

    def _logits(self, states: Tensor, strengths: Tensor, site_terms: Tensor) -> Tensor:
        """Return ``L_i(a)``, float64 ``(q, sites, rows)``."""
        bonds = self.family.bonds
        factors = self.family.factors
        q = len(site_terms)
        logits = site_terms.unsqueeze(2).expand(q, *states.shape).clone()
        for first, second in zip(factors.first, factors.second, strict=True):
            ahead = bonds.ahead(strengths, second[states])
            behind = bonds.behind(strengths, first[states])
            for state in range(q):
                logits[state] += first[state] * ahead + second[state] * behind
        return logits

    def _by_bond(self, states: Tensor, surplus: Tensor) -> Tensor:
        """Return ``Σ_w`` of both ends' surplus of ``φ``, float64 ``(bonds,)``."""
        bonds = self.family.bonds
        factors = self.family.factors
        total = torch.zeros(len(bonds), dtype=torch.float64)
        for first, second in zip(factors.first, factors.second, strict=True):
            at_first = torch.tensordot(first, surplus, dims=1)
            at_second = torch.tensordot(second, surplus, dims=1)
            total += bonds.correlations(at_first, second[states])
            total += bonds.correlations(first[states], at_second)
        return total
