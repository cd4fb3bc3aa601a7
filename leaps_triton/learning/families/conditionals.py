"""Conditional probabilities of single sites, in data that stay the same.

Of pair models ``-log p(x_i | rest) = log Σ_a e^{L_i(a)} - L_i(x_i)`` with
``L_i(a) = h_i(a) + Σ_r [u_r(a) Σ_j J_ij v_r(x_j) + v_r(a) Σ_j J_ji u_r(x_j)]``, the first sum over
bonds that begin at ``i``, the second over those that end there. Of any energy
``-log p(x_i | rest) = log (1 + Σ_k e^{u(x) - u(x^{(i,k)})})``, with ``x^{(i,k)}`` what differs from
``x`` at site ``i`` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .base import PseudoLikelihoodTerms

if TYPE_CHECKING:
    from .networks import NetworkFamily
    from .pairs import PairFamily

__all__ = ["NetworkConditionals", "PairConditionals"]

_ENTRIES = 2**17
"""Numbers of a temporary table, at most."""

_EVALUATED = 2**12
"""Configurations whose energies a network is asked for at once, about at most."""


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


class NetworkConditionals(PseudoLikelihoodTerms):
    """Pseudo-likelihood of a network's energies.

    It costs ``samples (1 + sites (q - 1))`` energies, in batches of a few thousand configurations.

    Args:
        family: the models.
        data: int8 ``(samples, *shape)``.
    """

    def __init__(self, family: NetworkFamily, data: Tensor) -> None:
        self.family = family
        self.samples = len(data)
        self.others = family.model.q - 1
        self.chunks = data.split(max(1, _EVALUATED // self.others))

    def value(self, theta: Tensor) -> float:
        """Return ``-Σ_i log p(x_i | rest)``, the mean over data."""
        total = 0.0
        for rows in self.chunks:
            own = self._u(rows, theta)
            for sites in self._batches(rows):
                total += float(self._surprise(rows, own, sites, theta))
        return total / self.samples

    def loss(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return ``-Σ_i log p(x_i | rest)``, the mean over data, and its gradient."""
        total = 0.0
        gradient = torch.zeros_like(theta)
        with torch.enable_grad():
            free = theta.detach().clone().requires_grad_()
            for rows in self.chunks:
                through = self._u(rows, free)
                # Every batch of sites reads these: what they ask of them is gathered first.
                own = through.detach().requires_grad_()
                asked = torch.zeros_like(own)
                for sites in self._batches(rows):
                    part = self._surprise(rows, own, sites, free)
                    slope, of_own = torch.autograd.grad(part, (free, own))
                    total += float(part.detach())
                    gradient += slope
                    asked += of_own
                gradient += torch.autograd.grad(through, free, asked)[0]
        return total / self.samples, gradient / self.samples

    def _batches(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return all sites, as many at once as make a batch."""
        sites = torch.arange(rows[0].numel())
        return sites.split(max(1, _EVALUATED // (self.others * len(rows))))

    def _u(self, configurations: Tensor, theta: Tensor) -> Tensor:
        """Return ``u_θ(x)`` with its gradients, float64 ``(walkers,)``."""
        energy = self.family.own.energy_at(configurations, theta)
        return self.family.model.beta * energy.double()

    def _surprise(self, rows: Tensor, own: Tensor, sites: Tensor, theta: Tensor) -> Tensor:
        """Return ``-Σ log p(x_i | rest)`` over some sites of all rows, a number.

        Args:
            rows: ``(rows, *shape)``.
            own: ``u_θ`` of these, float64 ``(rows,)``.
            sites: int64 ``(sites,)``.
            theta: float64 ``(parameters,)``.
        """
        moved = self._moved(rows, sites)
        u = self._u(moved.view(-1, *rows.shape[1:]), theta)
        scores = own - u.view(self.others, len(sites), len(rows))
        there = torch.zeros_like(scores[:1])
        return torch.logsumexp(torch.cat([there, scores]), dim=0).sum()

    def _moved(self, rows: Tensor, sites: Tensor) -> Tensor:
        """Return rows with every other state at each site, ``(q-1, sites, rows, all sites)``."""
        flat = rows.flatten(1)
        shifts = torch.arange(1, self.others + 1).view(-1, 1, 1)
        # State plus shift may exceed the range of int8.
        states = (flat[:, sites].T.long() + shifts) % (self.others + 1)
        moved = flat.expand(self.others, len(sites), *flat.shape).clone()
        places = sites.view(1, -1, 1, 1).expand(*states.shape, 1)
        return moved.scatter_(3, places, states.to(flat.dtype).unsqueeze(3))
