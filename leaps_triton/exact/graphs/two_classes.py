"""Exact values where the bonds join two classes of sites, and one class is small.

The sites of one class are independent once those of the other are given. So a sum over the states
``a`` of the smaller class is enough: ``Z = Σ_a e^{-βH(a)} Π_b Σ_k e^{β F_b(k; a)}``, with
``F_b(k; a)`` the local field of site ``b`` of the larger class. A restricted Boltzmann machine has
two such classes, its visible and its hidden units.
"""

import math
from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...kernels import Stream, philox, uniform64
from ...models.pair import is_pair_model
from ..transfer import NOT_A_PAIR_MODEL, UPDATES, Moments

__all__ = ["class_moments", "class_obstacle", "class_sample"]


# States of the smaller class at most: their probabilities are kept where samples are drawn.
_STATES = 2**24

# Entries of the local fields that are found together: they fit a cache.
_CHUNK = 2**20


class _Classes(NamedTuple):
    """The two classes of a model, and the fields that one makes at the other."""

    few: Tensor
    """Sites of the smaller class, int64 ``(few,)``"""
    many: Tensor
    """Sites of the larger class, int64 ``(many,)``"""
    own: Tensor
    """``β h`` at the smaller class, float64 ``(few, q)``"""
    base: Tensor
    """``β F`` at the larger class where all of the smaller are in state 0, ``(q, 1, many)``"""
    change: Tensor
    """What each other state of a site adds to it, float64 ``(q, few (q - 1), many)``"""


class _Chunk(NamedTuple):
    """Consecutive states of the smaller class."""

    states: Tensor
    """int64 ``(states, few)``"""
    base: Tensor
    """``β Σ h`` of the smaller class, float64 ``(states,)``"""
    fields: Tensor
    """``β F`` at the larger class, float64 ``(q, states, many)``"""

    def log_weights(self) -> Tensor:
        """Return the logarithm of each state's share of ``Z``, float64 ``(states,)``."""
        # Pairwise, which for few states is faster than the sum over an axis.
        at_site = reduce(torch.logaddexp, self.fields.unbind(0))
        return self.base + at_site.sum(1)


def class_obstacle(model: Any, updates: int = UPDATES) -> str:
    """Return why a sum over one class of sites cannot serve this model; empty if it can.

    Args:
        model: any.
        updates: the most local fields that are to be found.
    """
    if not is_pair_model(model):
        return NOT_A_PAIR_MODEL
    if model.lattice.hypercubic:
        return "its sites stand on a lattice, of which the transfer matrix has layers"
    if model.lattice.num_colours > 2:
        return f"its sites have {model.lattice.num_colours} colours, and not two"
    colours = model.lattice.colours().flatten()
    second = int(colours.sum())
    few = min(second, len(colours) - second)
    states = model.q**few
    if states > _STATES:
        return f"the smaller of two classes has {model.q}**{few} states, more than 2**24"
    if states * len(colours) > updates:
        return (
            f"the smaller of two classes has {model.q}**{few} states, each with "
            f"{len(colours) - few} fields: more than {updates} in all"
        )
    return ""


@torch.no_grad()
def class_moments(model: Any, energies: bool = False) -> Moments:
    """Return ``log Z``, and the mean and variance of ``H``.

    Args:
        model: one without :func:`class_obstacle`, at β other than 0 for energies.
        energies: whether mean and variance are wanted.
    """
    found = []
    for chunk in _chunks(model, _classes(model)):
        log_weights = chunk.log_weights()
        log_z = torch.logsumexp(log_weights, dim=0)
        if not energies:
            found.append(torch.stack([log_z, log_z * 0.0, log_z * 0.0]))
            continue
        law = torch.softmax(chunk.fields, dim=0)
        # Mean and variance of -βH where the smaller class is given: its sites are independent.
        at_site = (law * chunk.fields).sum(0)
        means = chunk.base + at_site.sum(1)
        spreads = (law * (chunk.fields - at_site) ** 2).sum((0, 2))
        shares = torch.softmax(log_weights, dim=0)
        found.append(torch.stack([log_z, *_mixed(shares, means, spreads)]))
    rows = torch.stack(found)
    log_z = float(torch.logsumexp(rows[:, 0], dim=0))
    if not energies:
        return Moments(log_z, math.nan, math.nan)
    mean, variance = _mixed(torch.softmax(rows[:, 0], dim=0), rows[:, 1], rows[:, 2])
    return Moments(log_z, -float(mean) / model.beta, float(variance) / model.beta**2)


@torch.no_grad()
def class_sample(model: Any, n: int, seed: int) -> Tensor:
    """Return independent exact samples, int8 ``(n, *shape)``.

    The smaller class is drawn from its law, then every site of the larger given it.

    Args:
        model: one without :func:`class_obstacle`.
        n: number of samples; the first ones do not depend on how many are asked for.
        seed: in [0, 2³²).
    """
    classes = _classes(model)
    log_weights = torch.cat([chunk.log_weights() for chunk in _chunks(model, classes)])
    sites = model.lattice.sites
    sample = torch.arange(n)
    # One number for all sites of the smaller class, one for each of the larger.
    words = philox(seed, Stream.EXACT, sites, 0, 0, sample)
    law = torch.softmax(log_weights, dim=0).cumsum(0)
    # The last entry of the law is 1 but for rounding.
    rows = torch.searchsorted(law / law[-1], uniform64(words[0], words[1]))
    chosen = rows.clamp(max=len(law) - 1)
    flat = torch.empty(n, sites, dtype=torch.int8)
    size = _chunk_size(model.q, classes)
    for part in sample.split(size):
        chunk = _chunk_of(chosen[part], classes, model.q)
        flat[part.unsqueeze(1), classes.few] = chunk.states.to(torch.int8)
        words = philox(seed, Stream.EXACT, classes.many, 0, 0, part.unsqueeze(1))
        thresholds = torch.softmax(chunk.fields, dim=0).cumsum(0)[:-1]
        # The state is the number of thresholds at or below u.
        drawn = (thresholds <= uniform64(words[0], words[1])).sum(0, dtype=torch.int8)
        flat[part.unsqueeze(1), classes.many] = drawn
    return flat.view(n, *model.shape)


def _mixed(shares: Tensor, means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of a mixture, by the law of total variance."""
    mean = shares @ means
    return mean, shares @ (variances + (means - mean) ** 2)


def _classes(model: Any) -> _Classes:
    """Return the two classes of a model and what joins them."""
    colours = model.lattice.colours().flatten()
    first = (colours == 0).nonzero().flatten()
    second = (colours != 0).nonzero().flatten()
    few = first
    many = second
    if len(second) < len(first):
        few = second
        many = first
    q = model.q
    sites = model.lattice.sites
    field = model.beta * model.site_table.view(q, -1).expand(q, sites).T
    # Where a site stands within its class.
    place = torch.empty(sites, dtype=torch.int64)
    place[few] = torch.arange(len(few))
    place[many] = torch.arange(len(many))
    small = torch.zeros(sites, dtype=torch.bool)
    small[few] = True
    edges = model.lattice.edges
    coupling = model.beta * model.coupling.flatten().expand(len(edges))
    # [few, many, state of few, state of many]; φ of a bond takes the first end first.
    joined = torch.zeros(len(few), len(many), q, q, dtype=torch.float64)
    for ahead, table in ((True, model.bond_table), (False, model.bond_table.T)):
        chosen = small[edges[:, 0]] == ahead
        ends = edges[chosen]
        if not ahead:
            ends = ends.flip(1)
        terms = coupling[chosen].view(-1, 1, 1) * table
        at = (place[ends[:, 0]], place[ends[:, 1]])
        joined.index_put_(at, terms, accumulate=True)
    base = (field[many] + joined[:, :, 0].sum(0)).T.unsqueeze(1)
    change = joined[:, :, 1:] - joined[:, :, :1]
    # A matrix per state of the larger class.
    change = change.permute(3, 0, 2, 1).reshape(q, -1, len(many))
    return _Classes(few, many, field[few], base, change)


def _chunk_size(q: int, classes: _Classes) -> int:
    return max(1, _CHUNK // (q * len(classes.many)))


def _chunks(model: Any, classes: _Classes) -> Iterator[_Chunk]:
    """Give all states of the smaller class, a part at a time."""
    numbers = torch.arange(model.q ** len(classes.few))
    for part in numbers.split(_chunk_size(model.q, classes)):
        yield _chunk_of(part, classes, model.q)


def _chunk_of(numbers: Tensor, classes: _Classes, q: int) -> _Chunk:
    """Return the states of the smaller class whose base-q digits these numbers have."""
    few = len(classes.few)
    powers = q ** torch.arange(few - 1, -1, -1)
    states = numbers.unsqueeze(1) // powers % q
    told = torch.nn.functional.one_hot(states, q).double()
    base = (told * classes.own).sum((1, 2))
    # State 0 is in the base: only what the others add is summed.
    fields = classes.base + told[:, :, 1:].flatten(1) @ classes.change
    return _Chunk(states, base, fields)
