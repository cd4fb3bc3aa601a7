"""The site-by-site transfer matrix of any pair model: partition function, energy, and independent
exact samples.

Layers of ``M`` sites follow one another along one direction. The message ``B(f)`` is the sum of
``exp(-β H)`` over all sites beyond a frontier of ``M`` sites, given their states ``f``. Going back
by the site ``c`` of layer ``t``, its state ``b`` is summed out and that of the site behind it in
layer ``t - 1``, ``a``, enters:

``B'(… a …) = Σ_b exp(β J φ(a, b)) D(b, …) B(… b …)``,

with ``D`` its field and its bonds within the layer to sites with smaller ``c``. A message has
``q**M`` entries. Where the layers close to a ring there is one for every state of the first layer,
``q**(2M)`` entries in all, in batches that fit a cache.
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels import Stream, philox, uniform64
from ..lattices.hypercubic import Lattice
from ..models.pair import PairModel, is_pair_model

__all__ = [
    "NOT_A_PAIR_MODEL",
    "UPDATES",
    "Moments",
    "transfer_moments",
    "transfer_obstacle",
    "transfer_sample",
]


NOT_A_PAIR_MODEL = "the model is not a PairModel"


UPDATES = 2**34

"""Entries of messages to be updated at most, unless told: about a minute."""


_MESSAGE = 2**24

_KEPT = 2**27

_BATCH = 2**17

# Within this many powers of e, messages are kept as numbers; beyond, as logarithms, several times
# slower.
_SPREAD = 300.0


class _Layers(NamedTuple):
    """A model cut into layers along a direction; float64, ``L`` layers of ``M`` sites."""

    axis: int
    ring: bool
    along: Tensor
    """``J`` of the bond from a site to the next layer, ``(L, M)``"""
    within: list[tuple[int, int, Tensor]]
    """Bonds of a layer: from site, to site, ``J (L,)``"""
    field: Tensor
    """``h``, ``(L, M, q)``"""
    bond_table: Tensor

    @property
    def states(self) -> int:
        """``q**M``."""
        return int(self.field.shape[2] ** self.field.shape[1])


def _work(model: PairModel, axis: int) -> int:
    """Entries to be updated with the layers along ``axis``."""
    lattice = model.lattice
    messages = 2 if lattice.periodic[axis] else 1
    return int(lattice.sites * model.q ** (messages * (lattice.sites // lattice.shape[axis])))


def _as_power(number: int) -> str:
    power = number.bit_length() - 1
    return f"2**{power}" if number == 2**power else str(number)


def _direction(model: PairModel) -> int:
    return min(range(model.lattice.ndim), key=lambda axis: _work(model, axis))


def transfer_obstacle(model: object, keep: bool = False, updates: int = UPDATES) -> str:
    """Why the transfer matrix cannot serve this model; empty if it can.

    Args:
        model: any.
        keep: whether all messages must be kept, as for samples.
        updates: the most entries of messages to be updated.
    """
    if not is_pair_model(model):
        return NOT_A_PAIR_MODEL
    axis = _direction(model)
    sites = model.lattice.sites
    width = sites // model.lattice.shape[axis]
    if model.q**width > _MESSAGE:
        return f"a layer has {model.q}**{width} states, more than 2**24"
    if _work(model, axis) > updates:
        power = width * (2 if model.lattice.periodic[axis] else 1)
        return f"it needs {sites} * {model.q}**{power} updates of messages, more than {_as_power(updates)}"
    if keep and sites * model.q**width > _KEPT:
        return f"its {sites} messages of {model.q}**{width} float64 numbers take more than 1 GiB"
    return ""


class Moments(NamedTuple):
    """What the transfer matrix says of a model."""

    log_z: float
    energy: float
    """``⟨H⟩``, not per site; NaN unless asked for"""
    variance: float
    """``⟨H²⟩ - ⟨H⟩²``; NaN unless asked for"""


@torch.no_grad()
def transfer_moments(model: PairModel, energies: bool = False) -> Moments:
    """``log Z``, and the mean and variance of ``H``.

    With every message go the mean and the variance of the energy beyond the frontier. A factor adds
    to the mean, and summing out a site follows the laws of total mean and total variance: nothing
    cancels.

    Args:
        model: one without :func:`transfer_obstacle`.
        energies: whether mean and variance are wanted; they take about five times as long.
    """
    layers = _cut(model)
    log_weights, mean, variance = _first_layer(
        layers, model.beta, _is_linear(layers, model.beta), energies
    )
    log_z = float(torch.logsumexp(log_weights, dim=0))
    if not energies:
        return Moments(log_z, math.nan, math.nan)
    law = torch.softmax(log_weights, dim=0)
    total = law @ mean
    return Moments(log_z, -float(total), float(law @ (variance + (mean - total) ** 2)))


def _cut(model: PairModel) -> _Layers:
    lattice, axis = model.lattice, _direction(model)
    shape = lattice.shape
    length, width = shape[axis], lattice.sites // shape[axis]

    def by_layer(table: Tensor) -> Tensor:
        return table.expand(shape).movedim(axis, 0).reshape(length, width)

    coupling = [by_layer(c) for c in model.coupling.expand(lattice.ndim, *[-1] * lattice.ndim)]
    others = [d for d in range(lattice.ndim) if d != axis]
    within = []
    if others:
        section = Lattice([shape[d] for d in others], [lattice.periodic[d] for d in others])
        for d, forward in zip(others, section.neighbours()[::2].tolist(), strict=True):
            within += [(i, j, coupling[d][:, i]) for i, j in enumerate(forward) if j >= 0]
    field = torch.stack([by_layer(h) for h in model.site_table], dim=-1)
    return _Layers(axis, lattice.periodic[axis], coupling[axis], within, field, model.bond_table)


def _is_linear(layers: _Layers, beta: float) -> bool:
    """Whether no message spans more powers of e than a float64 does.

    Two entries of a message differ by the bonds of the frontier only: one along and those within
    the layer a site.
    """
    table = layers.bond_table
    reach = abs(beta) * float(table.max() - table.min())
    bonds = layers.along.abs().sum(1).max() + sum(float(j.abs().max()) for _, _, j in layers.within)
    return reach * float(bonds) < _SPREAD


def _site_terms(layers: _Layers, layer: int, site: int, start: int) -> Tensor:
    """``log D / β`` of a site over the states of its layer, ``(q**M,)``, sites in the order
    ``start, start + 1, …``.
    """
    width, q = layers.field.shape[1:]

    def on(axes: tuple[int, ...], table: Tensor) -> Tensor:
        places = [(a - start) % width for a in axes]
        if places != sorted(places):
            table, places = table.T, sorted(places)
        return table.reshape([q if place in places else 1 for place in range(width)])

    total = on((site,), layers.field[layer, site])
    for i, j, coupling in layers.within:
        if max(i, j) == site:
            total = total + on((i, j), coupling[layer] * layers.bond_table)
    return total.expand([q] * width).reshape(-1)


class _Message(NamedTuple):
    """Of the sites beyond a frontier, for all its states; ``(batch, q**M)``."""

    layer: int
    site: int
    weight: Tensor
    """``B / e^scale``, or its logarithm"""
    scale: Tensor
    """``(batch,)``"""
    mean: Tensor | None
    """Of ``-H`` of those sites"""
    variance: Tensor | None


def _backwards(
    layers: _Layers, beta: float, first: Tensor | None, linear: bool, energies: bool = False
) -> Iterator[_Message]:
    """Messages from the last site to the second layer; last, as of layer 0, the one for the first
    layer.

    A row for each state ``first (batch,)`` of the first layer of a ring, else one row. With a site
    comes the message before it is summed out, sites in the order ``c + 1, …, M - 1, 0, …, c``.
    """
    length, width, q = layers.field.shape
    terms = torch.zeros(1, layers.states, dtype=torch.float64)
    if first is not None:
        terms = terms.new_zeros(len(first), 1)
        for site in range(width):
            digit = first // q ** (width - 1 - site) % q
            terms = (
                terms.unsqueeze(2)
                + (layers.along[-1, site] * layers.bond_table[:, digit].T).unsqueeze(1)
            ).flatten(1)
    scale = beta * terms.amax(1) if beta > 0 else beta * terms.amin(1)
    weight = beta * terms - scale.unsqueeze(1)
    weight = weight.exp() if linear else weight
    message = _Message(
        length, 0, weight, scale, *((terms, torch.zeros_like(terms)) if energies else (None, None))
    )
    for layer, site in itertools.product(range(length - 1, 0, -1), range(width - 1, -1, -1)):
        message = message._replace(layer=layer, site=site)
        yield message
        own = _site_terms(layers, layer, site, site + 1)
        message = _summed_out(
            message, own, layers.along[layer - 1, site] * layers.bond_table, beta, linear
        )
    yield message._replace(layer=0)


def _summed_out(
    message: _Message, own: Tensor, bond: Tensor, beta: float, linear: bool
) -> _Message:
    """``B'``, with the site behind in the place of the first axis; ``own`` and ``bond`` are ``-H``
    of the factors.
    """
    q, shape = len(bond), (len(message.weight), -1, len(bond))
    own_top, bond_top = (beta * own).max(), (beta * bond).max()
    own_factor, bond_factor = beta * own - own_top, beta * bond - bond_top
    if linear:
        bond_factor = bond_factor.exp()
        joint = (message.weight * own_factor.exp()).view(shape)
        rows = [joint @ row for row in bond_factor]
    else:
        joint = (message.weight + own_factor).view(shape)
        rows = [torch.logsumexp(joint + row, dim=2) for row in bond_factor]
    weight = torch.stack(rows, dim=1).flatten(1)
    peak = weight.amax(1, keepdim=True)
    scale = message.scale + own_top + bond_top + (peak.log() if linear else peak).squeeze(1)
    message = message._replace(weight=weight / peak if linear else weight - peak, scale=scale)
    if message.mean is None or message.variance is None:
        return message
    # State by state: sums over a last axis of length q are slow.
    before = (message.mean + own).view(shape).unbind(2)
    spread, joints = message.variance.view(shape).unbind(2), joint.unbind(2)
    means, variances = [], []
    for a in range(q):
        if linear:
            law = [joints[b] * (bond_factor[a, b] / rows[a]) for b in range(q)]
        else:
            law = [torch.exp(joints[b] + bond_factor[a, b] - rows[a]) for b in range(q)]
        values = [before[b] + bond[a, b] for b in range(q)]
        mean = torch.stack([p * value for p, value in zip(law, values, strict=True)]).sum(0)
        parts = [
            p * (v + (value - mean) ** 2) for p, v, value in zip(law, spread, values, strict=True)
        ]
        means.append(mean)
        variances.append(torch.stack(parts).sum(0))
    return message._replace(
        mean=torch.stack(means, dim=1).flatten(1), variance=torch.stack(variances, dim=1).flatten(1)
    )


def _first_layer(
    layers: _Layers, beta: float, linear: bool, energies: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-weight of every state of the first layer, all other sites summed out; mean and variance
    of ``-H`` given it.

    float64 ``(q**M,)`` each; the last two are empty unless ``energies``.
    """
    width, states = layers.field.shape[1], layers.states
    own = torch.stack([_site_terms(layers, 0, site, 0) for site in range(width)]).sum(0)
    batches = torch.arange(states).split(max(1, _BATCH // states)) if layers.ring else (None,)
    parts: list[tuple[Tensor, ...]] = []
    for first in batches:
        for message in _backwards(layers, beta, first, linear, energies):
            last = message
        columns = [last.weight] + [c for c in (last.mean, last.variance) if c is not None]
        ends = [
            c[0] if first is None else c.gather(1, first.unsqueeze(1)).squeeze(1) for c in columns
        ]
        parts.append((last.scale + (ends[0].log() if linear else ends[0]), *ends[1:]))
    log_weights, *moments = (torch.cat(column) for column in zip(*parts, strict=True))
    mean, variance = moments if energies else (torch.empty(0), torch.empty(0))
    return log_weights + beta * own, (mean + own if energies else mean), variance


@torch.no_grad()
def transfer_sample(model: PairModel, n: int, seed: int) -> Tensor:
    """Independent exact samples: the first layer from its law, then site after site given the
    messages; int8.

    Args:
        model: one without :func:`transfer_obstacle` for samples.
        n: samples; the first ones do not depend on how many are asked for.
        seed: in [0, 2³²).

    Returns:
        int8 ``(n, *shape)``.
    """
    layers, beta = _cut(model), model.beta
    linear = _is_linear(layers, beta)
    length, width, q = layers.field.shape
    words = philox(
        seed, Stream.EXACT, torch.arange(length * width).unsqueeze(1), 0, 0, torch.arange(n)
    )
    uniform = uniform64(words[0], words[1])
    law = torch.softmax(_first_layer(layers, beta, linear)[0], dim=0).cumsum(0)
    first = torch.searchsorted(law / law[-1], uniform[0]).clamp(max=layers.states - 1)
    flat = torch.empty(n, length, width, dtype=torch.int8)
    for site in range(width):
        flat[:, 0, site] = first // q ** (width - 1 - site) % q
    # Samples that share a first layer share the messages that it closes a ring with.
    starts, message_of = (
        torch.unique(first, return_inverse=True)
        if layers.ring
        else (first[:1], torch.zeros_like(first))
    )
    for group in torch.arange(len(starts)).split(
        max(1, _KEPT // 8 // (length * width * layers.states))
    ):
        members = ((message_of >= group[0]) & (message_of <= group[-1])).nonzero().squeeze(1)
        frontier, row = first[members], message_of[members] - group[0]
        *messages, _ = _backwards(layers, beta, starts[group] if layers.ring else None, linear)
        for layer, site, message, *_ in reversed(messages):
            behind, rest = frontier // q ** (width - 1), frontier % q ** (width - 1)
            entries = rest.unsqueeze(1) * q + torch.arange(q)
            ahead = message[row.unsqueeze(1), entries]
            bond = layers.along[layer - 1, site] * layers.bond_table[behind]
            weight = beta * (_site_terms(layers, layer, site, site + 1)[entries] + bond)
            thresholds = torch.softmax(weight + (ahead.log() if linear else ahead), dim=1).cumsum(
                1
            )[:, :-1]
            state = (thresholds <= uniform[layer * width + site, members].unsqueeze(1)).sum(1)
            frontier = rest * q + state
            flat[members, layer, site] = state.to(torch.int8)
    shape = list(model.lattice.shape)
    shape.insert(0, shape.pop(layers.axis))
    return flat.view(n, *shape).movedim(1, layers.axis + 1).contiguous()
