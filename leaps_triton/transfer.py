"""The site-by-site transfer matrix of any pair model: partition function, energy, and independent exact samples.

Layers of ``M`` sites follow one another along one direction. The message ``B(f)`` is the sum of ``exp(-β H)`` over all
sites beyond a frontier of ``M`` sites, given their states ``f``. Going back by the site ``c`` of layer ``t``, its state
``b`` is summed out and that of the site behind it in layer ``t - 1``, ``a``, enters:

``B'(… a …) = Σ_b exp(β J φ(a, b)) D(b, …) B(… b …)``,

with ``D`` its field and its bonds within the layer to sites with smaller ``c``. A message has ``q**M`` entries. Where
the layers close to a ring there is one for every state of the first layer, ``q**(2M)`` entries in all, in batches that
fit a cache.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .kernels import Stream, philox, uniform64
from .lattice import Lattice
from .models import PairModel

__all__ = ["NOT_A_PAIR_MODEL", "transfer_derivative", "transfer_obstacle", "transfer_sample"]

NOT_A_PAIR_MODEL = "the model is not a PairModel"

_MESSAGE = 2**24
_UPDATES = 2**34
_KEPT = 2**27
_BATCH = 2**17
# Within this many powers of e, messages are kept as numbers; beyond, as logarithms, several times slower.
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


def _direction(model: PairModel) -> int:
    return min(range(model.lattice.ndim), key=lambda axis: _work(model, axis))


def transfer_obstacle(model: object, keep: bool = False) -> str:
    """Why the transfer matrix cannot serve this model; empty if it can.

    Arguments
        model: any.
        keep: whether all messages must be kept, as for samples.
    """
    # A subclass with an energy of its own is another model, whatever its tables say.
    if not isinstance(model, PairModel) or type(model).energy is not PairModel.energy:
        return NOT_A_PAIR_MODEL
    axis = _direction(model)
    sites = model.lattice.sites
    width = sites // model.lattice.shape[axis]
    if model.q**width > _MESSAGE:
        return f"a layer has {model.q}**{width} states, more than 2**24"
    if _work(model, axis) > _UPDATES:
        return f"a torus needs {sites} * {model.q}**{2 * width} updates of messages, more than 2**34"
    if keep and sites * model.q**width > _KEPT:
        return f"its {sites} messages of {model.q}**{width} float64 numbers take more than 1 GiB"
    return ""


def transfer_derivative(model: PairModel, order: int = 0) -> float:
    """``log Z``, or its derivative of that order by β, by forward differentiation: ``-⟨H⟩``, ``var H``.

    Arguments
        model: one without :func:`transfer_obstacle`.
        order: 0, 1 or 2.
    """
    layers = _cut(model)
    linear = _is_linear(layers, model.beta)

    def value(beta: Tensor) -> Tensor:
        return torch.logsumexp(_first_layer(layers, beta, linear), dim=0)

    derivative: Callable[[Tensor], Tensor] = value
    for _ in range(order):
        derivative = _differentiated(derivative)
    with torch.no_grad():
        return float(derivative(torch.tensor(model.beta, dtype=torch.float64)))


def _differentiated(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def derivative(x: Tensor) -> Tensor:
        tangent: Tensor = torch.func.jvp(function, (x,), (torch.ones_like(x),))[1]
        return tangent

    return derivative


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

    Two entries of a message differ by the bonds of the frontier only: one along and those within the layer a site.
    """
    table = layers.bond_table
    reach = abs(beta) * float(table.max() - table.min())
    bonds = layers.along.abs().sum(1).max() + sum(float(j.abs().max()) for _, _, j in layers.within)
    return reach * float(bonds) < _SPREAD


def _site_weight(layers: _Layers, beta: Tensor, layer: int, site: int, start: int) -> Tensor:
    """``log D`` of one site over the states of its layer, ``(q**M,)``, sites in the order ``start, start + 1, …``."""
    width, q = layers.field.shape[1:]

    def on(axes: tuple[int, ...], table: Tensor) -> Tensor:
        places = [(a - start) % width for a in axes]
        if places != sorted(places):
            table, places = table.T, sorted(places)
        sizes = [q if place in places else 1 for place in range(width)]
        return table.reshape(sizes)

    total = on((site,), layers.field[layer, site])
    for i, j, coupling in layers.within:
        if max(i, j) == site:
            total = total + on((i, j), coupling[layer] * layers.bond_table)
    return (beta * total).expand([q] * width).reshape(-1)


def _backwards(
    layers: _Layers, beta: Tensor, first: Tensor | None, linear: bool
) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """Messages from the last site to the second layer, each with its layer, its site and the logarithm of its scale.

    ``(batch, q**M)``, a row for each state ``first (batch,)`` of the first layer of a ring, else one row. With a site
    comes the message before it is summed out, sites in the order ``c + 1, …, M - 1, 0, …, c``; last, as of layer 0, the
    one for the first layer.
    """
    length, width, q = layers.field.shape
    message = torch.zeros(1, 1, dtype=torch.float64)
    if layers.ring and first is not None:
        message = message.expand(len(first), 1)
        for site in range(width):
            digit = first // q ** (width - 1 - site) % q
            bond = beta * layers.along[-1, site] * layers.bond_table[:, digit].T
            message = (message.unsqueeze(2) + bond.unsqueeze(1)).flatten(1)
    else:
        message = message.expand(1, layers.states)
    scale = torch.zeros(len(message), dtype=torch.float64)
    if linear:
        scale = message.amax(1)
        message = torch.exp(message - scale.unsqueeze(1))
    for layer, site in itertools.product(range(length - 1, 0, -1), range(width - 1, -1, -1)):
        yield layer, site, message, scale
        weight = _site_weight(layers, beta, layer, site, site + 1)
        bond = beta * layers.along[layer - 1, site] * layers.bond_table
        if linear:
            top = weight.max() + bond.max()
            message = (message * torch.exp(weight - weight.max())).view(len(message), -1, q)
            message = torch.stack([message @ row for row in torch.exp(bond - bond.max())], dim=1).flatten(1)
            peak = message.amax(1)
            message, scale = message / peak.unsqueeze(1), scale + top + torch.log(peak)
        else:
            message = (message + weight).view(len(message), -1, q)
            message = torch.stack([torch.logsumexp(message + row, dim=2) for row in bond], dim=1).flatten(1)
    yield 0, 0, message, scale


def _first_layer(layers: _Layers, beta: Tensor, linear: bool) -> Tensor:
    """Log-weight of every state of the first layer, all other sites summed out, float64 ``(q**M,)``."""
    width, states = layers.field.shape[1], layers.states
    own = torch.stack([_site_weight(layers, beta, 0, site, 0) for site in range(width)]).sum(0)
    parts = []
    for first in torch.arange(states).split(max(1, _BATCH // states)) if layers.ring else (torch.zeros(1),):
        for _, _, message, scale in _backwards(layers, beta, first, linear):
            last, log_scale = message, scale
        ends = last.gather(1, first.unsqueeze(1)).squeeze(1) if layers.ring else last[0]
        parts.append((torch.log(ends) if linear else ends) + log_scale)
    return own + torch.cat(parts)


@torch.no_grad()
def transfer_sample(model: PairModel, n: int, seed: int) -> Tensor:
    """Independent exact samples: the first layer from its law, then site after site given the messages; int8.

    Arguments
        model: one without :func:`transfer_obstacle` for samples.
        n: samples; the first ones do not depend on how many are asked for.
        seed: in [0, 2³²).

    Returns
        int8 ``(n, *shape)``.
    """
    layers, beta = _cut(model), torch.tensor(model.beta, dtype=torch.float64)
    linear = _is_linear(layers, model.beta)
    length, width, q = layers.field.shape
    words = philox(seed, Stream.EXACT, torch.arange(length * width).unsqueeze(1), 0, 0, torch.arange(n))
    uniform = uniform64(words[0], words[1])
    law = torch.softmax(_first_layer(layers, beta, linear), dim=0).cumsum(0)
    first = torch.searchsorted(law / law[-1], uniform[0]).clamp(max=layers.states - 1)
    flat = torch.empty(n, length, width, dtype=torch.int8)
    for site in range(width):
        flat[:, 0, site] = first // q ** (width - 1 - site) % q
    # Samples that share a first layer share the messages that it closes a ring with.
    starts, message_of = (
        torch.unique(first, return_inverse=True) if layers.ring else (first[:1], torch.zeros_like(first))
    )
    for group in torch.arange(len(starts)).split(max(1, _KEPT // 8 // (length * width * layers.states))):
        members = ((message_of >= group[0]) & (message_of <= group[-1])).nonzero().squeeze(1)
        frontier, row = first[members], message_of[members] - group[0]
        messages = [(t, c, m) for t, c, m, _ in _backwards(layers, beta, starts[group], linear) if t > 0]
        for layer, site, message in reversed(messages):
            behind, rest = frontier // q ** (width - 1), frontier % q ** (width - 1)
            entries = rest.unsqueeze(1) * q + torch.arange(q)
            ahead = message[row.unsqueeze(1), entries]
            bond = beta * layers.along[layer - 1, site] * layers.bond_table[behind]
            weight = _site_weight(layers, beta, layer, site, site + 1)[entries] + bond
            thresholds = torch.softmax(weight + (torch.log(ahead) if linear else ahead), dim=1).cumsum(1)[:, :-1]
            state = (thresholds <= uniform[layer * width + site, members].unsqueeze(1)).sum(1)
            frontier = rest * q + state
            flat[members, layer, site] = state.to(torch.int8)
    shape = list(model.lattice.shape)
    shape.insert(0, shape.pop(layers.axis))
    return flat.view(n, *shape).movedim(1, layers.axis + 1).contiguous()
