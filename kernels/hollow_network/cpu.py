"""CPU loops of ``hollow_values``, and the network around them, without gradients.

What is read of configurations comes from loops over sites, and matrix products and convolutions are
those of :mod:`.reference`, without the copies that autograd needs. Sums of couplings are in the
order of the twin, and all other sums of the loops are of integers, so that the results are the
twin's bit for bit. Values of configurations are compared, and are never places in memory.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from ..native.compiling import compiled
from . import reference, tables
from .reference import convolve, site_field

__all__ = ["hollow_values"]

LANES = 16
"""Matrix products of whole numbers of these are the same walker by walker as for all at once."""
NOUGHT = np.float32(0.0)


@compiled
def embed(states, source, q, out):
    """Write the embedded configurations, with the sites beyond the edges.

    Args:
        states: int8 ``(walkers, sites)``.
        source: site that a padded site repeats, -1 for none, int32 ``(padded sites,)``.
        q: states of a site.
        out: float32 ``(walkers, padded sites, embedded)``.
    """
    for walker in range(len(states)):
        for place in range(len(source)):
            site = source[place]
            # Some site stands in for none, and what is read there is dropped.
            inside = site >= 0
            state = states[walker, max(site, 0)]
            if q == 2:
                spin = np.float32(2 * state - 1)
                out[walker, place, 0] = spin if inside else NOUGHT
            else:
                for channel in range(q):
                    out[walker, place, channel] = np.float32(inside and state == channel)


@compiled
def add_counts(states, ahead, behind, coupling, out):
    """Write ``Σ_j J_ij [x_j = a]``, direction by direction the neighbour ahead, then the one behind.

    Args:
        states: int8 ``(walkers, sites)``.
        ahead: neighbour in positive direction of each axis, -1 off an edge, int32 ``(ndim,
            sites)``.
        behind: the same in negative direction.
        coupling: ``J`` of the bond ahead, float32 ``(1 | walkers, 1 | ndim, 1 | sites)``.
        out: float32 ``(walkers, q, sites)``.
    """
    rows, axes, places = coupling.shape
    # What all walkers, directions or sites share is found at 0.
    by_walker = int(rows > 1)
    by_axis = int(axes > 1)
    by_site = int(places > 1)
    for walker in range(len(states)):
        state = states[walker]
        for value in range(out.shape[1]):
            total = out[walker, value]
            total[:] = NOUGHT
            for axis in range(len(ahead)):
                bond = coupling[walker * by_walker, axis * by_axis]
                for site in range(len(total)):
                    to = ahead[axis, site]
                    here = to >= 0 and state[max(to, 0)] == value
                    total[site] += bond[site * by_site] * np.float32(here)
                for site in range(len(total)):
                    # A bond is that of the site at its lower end.
                    origin = max(behind[axis, site], 0)
                    here = behind[axis, site] >= 0 and state[origin] == value
                    total[site] += bond[origin * by_site] * np.float32(here)


@compiled
def add_features(states, counts, waves, square, norm, means, field, out):
    """Write local field, sums over the lattice without the site itself, and external field.

    Args:
        states: int8 ``(walkers, sites)``.
        counts: what :func:`add_counts` writes.
        waves: cosines, then sines, as integers, int64 ``(2, modes, sites)``.
        square: the sum of their squares, float64 ``(modes, sites)``.
        norm: what sums of waves are divided by.
        means: whether the mean of each channel is a feature.
        field: external field, float32 ``(1 | walkers, embedded, 1 | sites)``.
        out: float32 ``(walkers, features, sites)``.
    """
    q = counts.shape[1]
    rows, embedded, places = field.shape
    by_walker = int(rows > 1)
    by_site = int(places > 1)
    modes = waves.shape[1]
    sites = states.shape[1]
    channel = np.zeros(sites, dtype=np.int64)
    for walker in range(len(states)):
        state = states[walker]
        for index in range(embedded):
            # One channel of ±1 for two states, else one of 0 and 1 for each state.
            if q == 2:
                for site in range(sites):
                    out[walker, 0, site] = counts[walker, 1, site] - counts[walker, 0, site]
                    channel[site] = 2 * state[site] - 1
            else:
                for site in range(sites):
                    out[walker, index, site] = counts[walker, index, site]
                    channel[site] = np.int64(state[site] == index)
            begin = embedded
            if means:
                total = np.float32(channel.sum())
                mean = out[walker, begin + index]
                for site in range(sites):
                    mean[site] = (total - np.float32(channel[site])) / np.float32(sites)
                begin += embedded
            for mode in range(modes):
                cos = waves[0, mode]
                sin = waves[1, mode]
                cos_sum = 0
                sin_sum = 0
                for site in range(sites):
                    cos_sum += channel[site] * cos[site]
                    sin_sum += channel[site] * sin[site]
                # Integers below 2**52: float64 holds each product of them and each sum.
                of_cos = np.float64(cos_sum)
                of_sin = np.float64(sin_sum)
                even = out[walker, begin + index * modes + mode]
                odd = out[walker, begin + (embedded + index) * modes + mode]
                for site in range(sites):
                    c = np.float64(cos[site])
                    s = np.float64(sin[site])
                    own = np.float64(channel[site]) * square[mode, site]
                    even[site] = np.float32((of_cos * c + of_sin * s - own) / norm)
                    odd[site] = np.float32((of_sin * c - of_cos * s) / norm)
            begin += 2 * embedded * modes
            for site in range(sites):
                out[walker, begin + index, site] = field[walker * by_walker, index, site * by_site]


@compiled
def add_values(read, counts, skip, out):
    """Write ``f_a(i)``, the readout and a multiple of the local field.

    Args:
        read: float32 ``(walkers, sites, q)``.
        counts: what :func:`add_counts` writes.
        skip: of the local field, float32.
        out: float32 ``(walkers, q, sites)``.
    """
    for walker in range(len(read)):
        for value in range(out.shape[1]):
            for site in range(out.shape[2]):
                local = skip * counts[walker, value, site]
                out[walker, value, site] = read[walker, site, value] + local


def hollow_values(given):
    """Return what :func:`leaps_triton.kernels.hollow_values` defines; no gradient follows it."""
    if given.conv.dtype != torch.float32:
        return reference.hollow_values(given)
    with torch.no_grad():
        return _hollow_values(given)


def _hollow_values(given):
    walkers, *shape = given.configurations.shape
    sites = math.prod(shape)
    states = given.configurations.reshape(walkers, sites).contiguous().numpy()
    counts = given.conv.new_empty(walkers, given.q, sites)
    lattice = tables.sources(tuple(shape), tuple(given.periodic), given.conv.shape[2])
    coupling = given.coupling.flatten(2).contiguous().numpy()
    add_counts(states, lattice.ahead, lattice.behind, coupling, counts.numpy())
    layer = _first_layer(given, states, counts, lattice)
    hidden = F.linear(F.silu(layer, inplace=True), given.hidden_weight, given.hidden_bias)
    read = F.linear(F.silu(hidden, inplace=True), given.readout_weight, given.readout_bias)
    values = torch.empty_like(counts)
    by_walker = read.view(walkers, sites, given.q).numpy()
    add_values(by_walker, counts.numpy(), np.float32(given.skip.item()), values.numpy())
    return values.view(walkers, given.q, *shape)


def _first_layer(given, states, counts, lattice):
    """Return the first layer before its nonlinearity, ``(walkers · sites, width)``."""
    walkers, sites = states.shape
    channels = len(given.conv)
    times = given.time.shape[1]
    count = given.first.shape[1] - channels - times
    of_conv, of_features, of_time = given.first.T.split((channels, count, times))
    time = (given.time @ of_time).unsqueeze(1)
    features = _features(given, states, counts, count)
    layer = torch.baddbmm(time, features.transpose(1, 2), of_features.expand(walkers, -1, -1))
    flat = layer.flatten(0, 1)
    around = _convolved(given, states, lattice)
    if around.is_contiguous() or not _apart(len(given.first), sites):
        return flat.addmm_(around.flatten(0, 1), of_conv)
    # Each walker's channels as they lie, so that none is copied.
    layer.baddbmm_(around, of_conv.expand(walkers, -1, -1))
    return flat


def _features(given, states, counts, count):
    """Return all features but the convolution and the time, ``(walkers, count, sites)``."""
    walkers, sites = states.shape
    shape = tuple(given.configurations.shape[1:])
    sums = tables.integer_waves(shape, given.modes)
    field = site_field(given.field).flatten(2).contiguous()
    features = counts.new_empty(walkers, count, sites)
    add_features(
        states, counts.numpy(), sums.waves, sums.square, sums.norm, given.magnetization,
        field.numpy(), features.numpy(),
    )  # fmt: skip
    return features


def _convolved(given, states, lattice):
    """Return the hollow convolution, ``(walkers, sites, channels)``."""
    embedded = given.conv.shape[1]
    walkers = len(states)
    padded = given.conv.new_empty(walkers, len(lattice.source), embedded)
    embed(states, lattice.source, given.q, padded.numpy())
    # The strides are those of the twin's: with others torch sums in another order.
    if embedded == 1:
        images = padded.view(walkers, 1, *lattice.lengths)
    else:
        images = padded.view(walkers, *lattice.lengths, embedded).movedim(-1, 1)
        # In two dimensions the twin has channels last as well.
        if len(lattice.lengths) != 2:
            images = images.contiguous()
    mask = tables.hollow(tuple(given.conv.shape[2:]))
    return convolve(images, given.conv * mask).flatten(2).transpose(1, 2)


def _apart(width, sites):
    """Return whether products of each walker apart are those of all at once, bit for bit.

    Intel's library sums all rows in the same order, but where rows are few or of an odd width.
    """
    return width % LANES == 0 and sites >= LANES and torch.backends.mkl.is_available()
