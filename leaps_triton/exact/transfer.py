"""The transfer matrix of any pair model: partition function, energy, independent exact samples.

It adds site after site; :mod:`.messages` says how.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels import Stream, philox, uniform64
from ..lattices.hypercubic import require_hypercubic
from ..models.pair import PairModel, is_pair_model
from .messages import Layers, Message, backwards, best_direction, cut, site_terms, work

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


# Entries of one message at most.
_MESSAGE = 2**24

# Entries of all messages that are kept at the same time at most: 1 GiB.
_KEPT = 2**27

# Entries of a batch of messages that fit a cache.
_BATCH = 2**17


class Moments(NamedTuple):
    """What the transfer matrix says of a model."""

    log_z: float
    """``log Z``"""
    energy: float
    """``⟨H⟩``, not per site; NaN unless asked for"""
    variance: float
    """``⟨H²⟩ - ⟨H⟩²``; NaN unless asked for"""


def transfer_obstacle(model: object, keep: bool = False, updates: int = UPDATES) -> str:
    """Return why the transfer matrix cannot serve this model; empty if it can.

    Args:
        model: any.
        keep: whether all messages must be kept, as for samples.
        updates: the most entries of messages to be updated.
    """
    if not is_pair_model(model):
        return NOT_A_PAIR_MODEL
    lattice = model.lattice
    if not lattice.hypercubic:
        return f"it needs a hypercubic lattice, and this model stands on {lattice!r}"
    axis = best_direction(model)
    width = lattice.sites // lattice.shape[axis]
    states = model.q**width
    if states > _MESSAGE:
        return f"a layer has {model.q}**{width} states, more than 2**24"
    if work(model, axis) > updates:
        power = width
        if lattice.periodic[axis]:
            power = 2 * width
        return (
            f"it needs {lattice.sites} * {model.q}**{power} updates of messages, more than "
            f"{_as_power(updates)}"
        )
    if keep and lattice.sites * states > _KEPT:
        return (
            f"its {lattice.sites} messages of {model.q}**{width} float64 numbers take more than "
            f"1 GiB"
        )
    return ""


@torch.no_grad()
def transfer_moments(model: PairModel, energies: bool = False) -> Moments:
    """Return ``log Z``, and the mean and variance of ``H``.

    Args:
        model: one without :func:`transfer_obstacle`.
        energies: whether mean and variance are wanted; they take about five times as long.
    """
    require_hypercubic(model.lattice, "The transfer matrix")
    first = _first_layer(cut(model), energies)
    log_z = float(torch.logsumexp(first.log_weights, dim=0))
    if not energies:
        return Moments(log_z, math.nan, math.nan)
    law = torch.softmax(first.log_weights, dim=0)
    total = law @ first.mean
    # The law of total variance over the states of the first layer.
    spread = first.variance + (first.mean - total) ** 2
    return Moments(log_z, -float(total), float(law @ spread))


@torch.no_grad()
def transfer_sample(model: PairModel, n: int, seed: int) -> Tensor:
    """Return independent exact samples, int8 ``(n, *shape)``.

    The first layer is drawn from its law, then site after site given the messages.

    Args:
        model: one without :func:`transfer_obstacle` for samples.
        n: number of samples; the first ones do not depend on how many are asked for.
        seed: in [0, 2³²).
    """
    require_hypercubic(model.lattice, "The transfer matrix")
    layers = cut(model)
    length, width, q = layers.field.shape
    site = torch.arange(length * width).unsqueeze(1)
    words = philox(seed, Stream.EXACT, site, 0, 0, torch.arange(n))
    uniform = uniform64(words[0], words[1])
    first = _draw_first_layer(layers, uniform[0])
    flat = torch.empty(n, length, width, dtype=torch.int8)
    for place in range(width):
        flat[:, 0, place] = first // q ** (width - 1 - place) % q
    # Samples that share a first layer share the messages that it closes a ring with.
    starts, message_of = torch.unique(first, return_inverse=True)
    if not layers.ring:
        starts = starts[:1]
        message_of = torch.zeros_like(message_of)
    entries = length * width * layers.states
    for group in torch.arange(len(starts)).split(max(1, _KEPT // 8 // entries)):
        among = (message_of >= group[0]) & (message_of <= group[-1])
        members = among.nonzero().squeeze(1)
        row = message_of[members] - group[0]
        *messages, _ = backwards(layers, starts[group])
        frontier = first[members]
        for message in reversed(messages):
            draws = uniform[message.layer * width + message.site, members]
            state, frontier = _next_site(layers, message, frontier, row, draws)
            flat[members, message.layer, message.site] = state.to(torch.int8)
    # Layers came first: back to the order of the lattice.
    lengths = list(model.shape)
    lengths.insert(0, lengths.pop(layers.axis))
    return flat.view(n, *lengths).movedim(1, layers.axis + 1).contiguous()


class _FirstLayer(NamedTuple):
    """All states of the first layer, all other sites summed out; float64 ``(q**M,)`` each."""

    log_weights: Tensor
    """Logarithm of the sum of ``exp(-β H)``"""
    mean: Tensor
    """Mean of ``-H``; empty unless asked for"""
    variance: Tensor
    """Variance of ``-H``; empty unless asked for"""


def _first_layer(layers: Layers, energies: bool = False) -> _FirstLayer:
    _, width, _ = layers.field.shape
    states = layers.states
    terms = [site_terms(layers, 0, site, 0) for site in range(width)]
    own = torch.stack(terms).sum(0)
    batches = [torch.zeros(1, dtype=torch.int64)]
    if layers.ring:
        batches = list(torch.arange(states).split(max(1, _BATCH // states)))
    weights = []
    means = []
    variances = []
    for first in batches:
        for message in backwards(layers, first, energies):
            last = message
        ends = last.scale + layers.logs(_ends(layers, last.weight, first))
        weights.append(ends)
        if last.mean is not None and last.variance is not None:
            means.append(_ends(layers, last.mean, first))
            variances.append(_ends(layers, last.variance, first))
    log_weights = torch.cat(weights) + layers.beta * own
    if not energies:
        return _FirstLayer(log_weights, torch.empty(0), torch.empty(0))
    return _FirstLayer(log_weights, torch.cat(means) + own, torch.cat(variances))


def _ends(layers: Layers, values: Tensor, first: Tensor) -> Tensor:
    """Return the entries of the last message that belong to states of the first layer."""
    if not layers.ring:
        return values[0]
    # On a ring, the layer at the end is the one that the row began with.
    return values.gather(1, first.unsqueeze(1)).squeeze(1)


def _draw_first_layer(layers: Layers, uniform: Tensor) -> Tensor:
    """Return states of the first layer, one for each uniform number."""
    log_weights = _first_layer(layers).log_weights
    law = torch.softmax(log_weights, dim=0).cumsum(0)
    # The last entry of the law is 1 but for rounding.
    drawn = torch.searchsorted(law / law[-1], uniform)
    return drawn.clamp(max=layers.states - 1)


def _next_site(
    layers: Layers,
    message: Message,
    frontier: Tensor,
    row: Tensor,
    uniform: Tensor,
) -> tuple[Tensor, Tensor]:
    """Draw the state of the site that ``message`` is for.

    Args:
        layers: the model.
        message: what lies beyond the site.
        frontier: state of the ``M`` sites before it, ``(samples,)``.
        row: row of the message, ``(samples,)``.
        uniform: numbers in (0, 1), ``(samples,)``.

    Returns:
        The state, and the frontier with the site in the place of the one behind it.
    """
    _, width, q = layers.field.shape
    # Base-q digits: the first is the site behind, the others stay.
    behind = frontier // q ** (width - 1)
    rest = frontier % q ** (width - 1)
    entries = rest.unsqueeze(1) * q + torch.arange(q)
    ahead = layers.logs(message.weight[row.unsqueeze(1), entries])
    along = layers.along[message.layer - 1, message.site]
    bond = along * layers.bond_table[behind]
    own = site_terms(layers, message.layer, message.site, message.site + 1)
    weight = layers.beta * (own[entries] + bond)
    law = torch.softmax(weight + ahead, dim=1)
    thresholds = law.cumsum(1)[:, :-1]
    state = (thresholds <= uniform.unsqueeze(1)).sum(1)
    return state, rest * q + state


def _as_power(number: int) -> str:
    """Return a number in words, as a power of 2 where it is one."""
    power = number.bit_length() - 1
    if number == 2**power:
        return f"2**{power}"
    return str(number)
