"""Messages of the site-by-site transfer matrix.

Layers of ``M`` sites follow one another along one direction. The message ``B(f)`` is the sum of
``exp(-β H)`` over all sites beyond a frontier of ``M`` sites, given their states ``f``. Going back
by the site ``c`` of layer ``t``, its state ``b`` is summed out and that of the site behind it in
layer ``t - 1``, ``a``, enters:

``B'(… a …) = Σ_b exp(β J φ(a, b)) D(b, …) B(… b …)``,

with ``D`` its field and its bonds within the layer to sites with smaller ``c``. A message has
``q**M`` entries. Where the layers close to a ring there is one for every state of the first layer,
``q**(2M)`` entries in all, in batches that fit a cache.

With every message go the mean and the variance of the energy beyond the frontier, if wanted. A
factor adds to the mean, and summing out a site follows the laws of total mean and total variance:
nothing cancels.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..lattices.hypercubic import Lattice
from ..models.pair import PairModel

__all__ = ["Layers", "Message", "backwards", "best_direction", "cut", "site_terms", "work"]


# Within this many powers of e, messages are kept as numbers; beyond, as logarithms, several times
# slower.
_SPREAD = 300.0


class Layers(NamedTuple):
    """A model cut into layers along a direction; float64, ``L`` layers of ``M`` sites."""

    axis: int
    """The direction"""
    ring: bool
    """Whether the last layer is next to the first"""
    along: Tensor
    """``J`` of the bond from a site to the next layer, ``(L, M)``"""
    within: list[tuple[int, int, Tensor]]
    """Bonds of a layer: from site, to site, ``J (L,)``"""
    field: Tensor
    """``h``, ``(L, M, q)``"""
    bond_table: Tensor
    """``φ``, ``(q, q)``"""
    beta: float
    """Inverse temperature"""
    linear: bool = True
    """Whether messages are kept as numbers, not as logarithms"""

    @property
    def states(self) -> int:
        """Number of states of a layer, ``q**M``."""
        _, width, q = self.field.shape
        return int(q**width)

    def logs(self, weight: Tensor) -> Tensor:
        """Return logarithms of the entries of a message."""
        if self.linear:
            return weight.log()
        return weight


class Message(NamedTuple):
    """What the sites beyond a frontier contribute, for all states of the frontier."""

    layer: int
    """Layer of the site to be summed out next"""
    site: int
    """That site within its layer"""
    weight: Tensor
    """``B / e^scale``, or its logarithm, ``(batch, q**M)``"""
    scale: Tensor
    """``(batch,)``"""
    mean: Tensor | None = None
    """Mean of ``-H`` of those sites, ``(batch, q**M)``"""
    variance: Tensor | None = None
    """Variance of ``-H`` of those sites, ``(batch, q**M)``"""


def work(model: PairModel, axis: int) -> int:
    """Return the entries of messages to be updated with the layers along ``axis``."""
    lattice = model.lattice
    width = lattice.sites // lattice.shape[axis]
    if lattice.periodic[axis]:
        # A message for every state of the first layer.
        width = 2 * width
    return int(lattice.sites * model.q**width)


def best_direction(model: PairModel) -> int:
    """Return the direction with the least work."""
    axes = range(model.lattice.ndim)
    return min(axes, key=lambda axis: work(model, axis))


def cut(model: PairModel) -> Layers:
    """Return a model cut into layers along its best direction."""
    lattice = model.lattice
    axis = best_direction(model)
    length = lattice.shape[axis]
    width = lattice.sites // length

    def by_layer(table: Tensor) -> Tensor:
        whole = table.expand(lattice.shape)
        return whole.movedim(axis, 0).reshape(length, width)

    bonds = model.coupling.expand(lattice.ndim, *[-1] * lattice.ndim)
    coupling = [by_layer(along) for along in bonds]
    others = [d for d in range(lattice.ndim) if d != axis]
    within = []
    if others:
        lengths = [lattice.shape[d] for d in others]
        section = Lattice(lengths, [lattice.periodic[d] for d in others])
        # Rows of neighbours in positive direction only: each bond once.
        forward = section.neighbours()[::2].tolist()
        for d, row in zip(others, forward, strict=True):
            for i, j in enumerate(row):
                if j >= 0:
                    within.append((i, j, coupling[d][:, i]))
    field = torch.stack([by_layer(h) for h in model.site_table], dim=-1)
    ring = lattice.periodic[axis]
    layers = Layers(axis, ring, coupling[axis], within, field, model.bond_table, model.beta)
    return layers._replace(linear=_is_linear(layers))


def _is_linear(layers: Layers) -> bool:
    """Return whether no message spans more powers of e than a float64 does.

    Two entries of a message differ by the bonds of the frontier only: one along and those within
    the layer for each site.
    """
    table = layers.bond_table
    reach = abs(layers.beta) * float(table.max() - table.min())
    along = layers.along.abs().sum(1).max()
    within = sum(float(j.abs().max()) for _, _, j in layers.within)
    return reach * float(along + within) < _SPREAD


def site_terms(layers: Layers, layer: int, site: int, start: int) -> Tensor:
    """Return ``log D / β`` of a site over the states of its layer, ``(q**M,)``.

    Args:
        layers: the model.
        layer: layer of the site.
        site: the site within it.
        start: the sites of a layer come in the order ``start, start + 1, …``.
    """
    _, width, q = layers.field.shape

    def on(sites: tuple[int, ...], table: Tensor) -> Tensor:
        """Return a table over the states of one or two sites as one over those of the layer."""
        places = [(a - start) % width for a in sites]
        if places != sorted(places):
            table = table.T
        sizes = [1] * width
        for place in places:
            sizes[place] = q
        return table.reshape(sizes)

    total = on((site,), layers.field[layer, site])
    for i, j, coupling in layers.within:
        # A bond belongs to the site that is summed out first, going back.
        if max(i, j) == site:
            total = total + on((i, j), coupling[layer] * layers.bond_table)
    return total.expand([q] * width).reshape(-1)


def backwards(
    layers: Layers,
    first: Tensor,
    energies: bool = False,
) -> Iterator[Message]:
    """Yield messages from the last site to the second layer, and last the one for the first layer.

    With a site comes the message before it is summed out, the sites of the frontier in the order
    ``c + 1, …, M - 1, 0, …, c``. The last message bears the layer 0.

    Args:
        layers: the model.
        first: for a ring, states of the first layer ``(batch,)``, a row of messages for each; else
            there is one row for all.
        energies: whether mean and variance are wanted.
    """
    length, width, _ = layers.field.shape
    message = _closing(layers, first, energies)
    order = itertools.product(range(length - 1, 0, -1), range(width - 1, -1, -1))
    for layer, site in order:
        message = message._replace(layer=layer, site=site)
        yield message
        own = site_terms(layers, layer, site, site + 1)
        bond = layers.along[layer - 1, site] * layers.bond_table
        message = _summed_out(layers, message, own, bond)
    yield message._replace(layer=0)


def _closing(layers: Layers, first: Tensor, energies: bool) -> Message:
    """Return the message beyond the last layer: the bonds that close a ring, or nothing."""
    length, width, q = layers.field.shape
    beta = layers.beta
    if not layers.ring:
        terms = torch.zeros(1, layers.states, dtype=torch.float64)
    else:
        terms = torch.zeros(len(first), 1, dtype=torch.float64)
        for site in range(width):
            state = first // q ** (width - 1 - site) % q
            bonds = layers.along[-1, site] * layers.bond_table[:, state].T
            terms = (terms.unsqueeze(2) + bonds.unsqueeze(1)).flatten(1)
    # The largest entry is scaled to 1, so that none overflows.
    weight = beta * terms
    scale = weight.amax(1)
    weight = weight - scale.unsqueeze(1)
    if layers.linear:
        weight = weight.exp()
    message = Message(length, 0, weight, scale)
    if energies:
        message = message._replace(mean=terms, variance=torch.zeros_like(terms))
    return message


def _summed_out(layers: Layers, message: Message, own: Tensor, bond: Tensor) -> Message:
    """Return ``B'``, with the site behind in the place of the first axis.

    Args:
        layers: the model.
        message: ``B``.
        own: ``-H`` of the site's field and bonds within the layer, ``(q**M,)``.
        bond: ``-H`` of its bond to the site behind, ``(q, q)``.
    """
    q = len(bond)
    shape = (len(message.weight), -1, q)
    own_factor = layers.beta * own
    own_top = own_factor.max()
    own_factor = own_factor - own_top
    bond_factor = layers.beta * bond
    bond_top = bond_factor.max()
    bond_factor = bond_factor - bond_top
    if layers.linear:
        bond_factor = bond_factor.exp()
        joint = (message.weight * own_factor.exp()).view(shape)
        rows = [joint @ row for row in bond_factor]
        weight = torch.stack(rows, dim=1).flatten(1)
        peak = weight.amax(1, keepdim=True)
        weight = weight / peak
    else:
        joint = (message.weight + own_factor).view(shape)
        rows = [torch.logsumexp(joint + row, dim=2) for row in bond_factor]
        weight = torch.stack(rows, dim=1).flatten(1)
        peak = weight.amax(1, keepdim=True)
        weight = weight - peak
    scale = message.scale + own_top + bond_top + layers.logs(peak).squeeze(1)
    after = message._replace(weight=weight, scale=scale)
    if message.mean is None or message.variance is None:
        return after
    # The law of the state b that is summed out, given the state a behind: [a][b].
    states = range(q)
    joints = joint.unbind(2)
    if layers.linear:
        laws = [[joints[b] * (bond_factor[a, b] / rows[a]) for b in states] for a in states]
    else:
        laws = [
            [torch.exp(joints[b] + bond_factor[a, b] - rows[a]) for b in states] for a in states
        ]
    before = (message.mean + own).view(shape).unbind(2)
    spread = message.variance.view(shape).unbind(2)
    mean, variance = _moments(laws, before, spread, bond)
    return after._replace(mean=mean, variance=variance)


def _moments(
    laws: list[list[Tensor]],
    before: tuple[Tensor, ...],
    spread: tuple[Tensor, ...],
    bond: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of ``-H`` by the laws of total mean and total variance.

    Args:
        laws: probability of the state ``b`` given ``a``, ``[a][b]``.
        before: mean given ``b``, without the bond.
        spread: variance given ``b``.
        bond: ``-H`` of the bond, ``(q, q)``.
    """
    means = []
    variances = []
    # State by state: sums over a last axis of length q are slow.
    for a, law in enumerate(laws):
        values = [value + bond[a, b] for b, value in enumerate(before)]
        terms = [p * value for p, value in zip(law, values, strict=True)]
        mean = torch.stack(terms).sum(0)
        parts = [
            p * (v + (value - mean) ** 2) for p, v, value in zip(law, spread, values, strict=True)
        ]
        means.append(mean)
        variances.append(torch.stack(parts).sum(0))
    return torch.stack(means, dim=1).flatten(1), torch.stack(variances, dim=1).flatten(1)
