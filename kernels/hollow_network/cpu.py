"""CPU loops of ``hollow_values``, and the network around them, without gradients.

What is read of configurations comes from loops over sites, and matrix products and convolutions are
those of :mod:`.reference`, without the copies that autograd needs. Sums of couplings are in the
order of the twin, and all other sums of the loops are of integers, so that the results are the
twin's bit for bit. Values of configurations are compared, and are never places in memory.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..native.compiling import compiled
from . import narrow, reference, tables
from .reference import Values, convolve, site_field

__all__ = ["hollow_values", "narrow_values"]

LANES = 16
"""Matrix products of whole numbers of these are the same for some rows as for all."""
PIECE = 2**17
"""Activations of the walkers computed together: they stay in a core's cache."""
NOUGHT = np.float32(0.0)
PLUS = np.int16(0x3F80)
"""Bits of 1 in bfloat16."""
MINUS = np.int16(0x3F80 - 2**15)
"""Bits of -1 in bfloat16."""
ABSENT = np.int16(0)


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
    """Write ``Σ_j J_ij [x_j = a]``: in each direction the neighbour ahead, then the one behind.

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


@compiled
def write_taps(states, source, cuts, starts, runs, q, out):
    """Write what each tap of a hollow kernel sees, as bits of bfloat16.

    Args:
        states: int8 ``(walkers, sites)``.
        source: site that a padded site repeats, -1 for none, int32 ``(padded sites,)``.
        cuts: room for the padded lattice as each place of the kernel along the last axis sees it,
            int16 ``(K, rows, length)``.
        starts: where each tap but the centre begins in these, int32 ``(taps,)``.
        runs: where the runs of neighbouring sites begin after that, int32 ``(runs,)``.
        q: states of a site.
        out: int16 ``(embedded · taps, walkers, sites)``.
    """
    kernel, rows, length = cuts.shape
    row_length = length + kernel - 1
    count = len(starts)
    long = states.shape[1] // len(runs)
    flat = cuts.ravel()
    padded = np.zeros(len(source), dtype=np.int16)
    other = MINUS if q == 2 else ABSENT
    for walker in range(len(states)):
        for channel in range(len(out) // max(count, 1)):
            wanted = 1 if q == 2 else channel
            # Products in place of branches, which no processor could foresee.
            for place in range(len(source)):
                found = np.int16(states[walker, max(source[place], 0)] == wanted)
                value = other + found * (PLUS - other)
                padded[place] = value * np.int16(source[place] >= 0)
            for tap in range(kernel):
                for row in range(rows):
                    begin = row * row_length + tap
                    line = padded[begin : begin + length]
                    for place in range(length):
                        cuts[tap, row, place] = line[place]
            for tap in range(count):
                seen = out[channel * count + tap, walker]
                for run in range(len(runs)):
                    begin = starts[tap] + runs[run]
                    # Of slices the compiler knows that no index is negative.
                    line = flat[begin : begin + long]
                    part = seen[run * long : (run + 1) * long]
                    for place in range(long):
                        part[place] = line[place]


@compiled
def write_features(features, time, out):
    """Write features and time, rounded to bfloat16, as bits.

    Args:
        features: the bits of float32, uint32 ``(walkers, features, sites)``.
        time: the bits of bfloat16, int16 ``(walkers, times)``.
        out: int16 ``(features + times, walkers, sites)``.
    """
    walkers, count, sites = features.shape
    for row in range(count):
        for walker in range(walkers):
            for site in range(sites):
                bits = features[walker, row, site]
                # To the nearest, and of two as near to the even one.
                odd = (bits >> np.uint32(16)) & np.uint32(1)
                rounded = (bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)
                out[row, walker, site] = np.int16(rounded)
    for row in range(time.shape[1]):
        for walker in range(walkers):
            value = time[walker, row]
            for site in range(sites):
                out[count + row, walker, site] = value


class _Seen(NamedTuple):
    """What the loops find in configurations."""

    lattice: tables.Sources
    states: Any
    """Int8 ``(walkers, sites)``"""
    counts: Tensor
    """``(walkers, q, sites)``"""
    features: Tensor
    """All but convolution and time, ``(walkers, features, sites)``"""


def hollow_values(given: Values) -> Tensor:
    """Return what :func:`leaps_triton.kernels.hollow_values` defines; no gradient follows it."""
    if given.conv.dtype != torch.float32:
        return reference.hollow_values(given)
    with torch.no_grad():
        seen = _see(given)
        return _made(given, seen, _read(given, seen))


def narrow_values(given: Values) -> Tensor:
    """Return what :func:`.narrow.narrow_values` does."""
    with torch.no_grad():
        seen = _see(given)
        return _made(given, seen, _read_narrow(given, seen))


def _see(given: Values) -> _Seen:
    """Run the loops over configurations."""
    walkers, *shape = given.configurations.shape
    sites = math.prod(shape)
    lattice = tables.sources(tuple(shape), tuple(given.periodic), given.conv.shape[2])
    states = given.configurations.reshape(walkers, sites).contiguous().numpy()
    coupling = given.coupling.flatten(2).contiguous()
    counts = given.conv.new_empty(walkers, given.q, sites)
    add_counts(states, lattice.ahead, lattice.behind, coupling.numpy(), counts.numpy())
    sums = tables.integer_waves(tuple(shape), given.modes)
    field = site_field(given.field).flatten(2).contiguous()
    count = given.first.shape[1] - len(given.conv) - given.time.shape[1]
    features = counts.new_empty(walkers, count, sites)
    add_features(
        states, counts.numpy(), sums.waves, sums.square, sums.norm, given.magnetization,
        field.numpy(), features.numpy(),
    )  # fmt: skip
    return _Seen(lattice, states, counts, features)


def _made(given: Values, seen: _Seen, read: Tensor) -> Tensor:
    """Return the values from the readout, ``(walkers · sites, q)``."""
    values = torch.empty_like(seen.counts)
    walkers, q, sites = values.shape
    by_walker = read.view(walkers, sites, q)
    add_values(
        by_walker.numpy(), seen.counts.numpy(), np.float32(given.skip.item()), values.numpy()
    )
    return values.view(walkers, q, *given.configurations.shape[1:])


def _apart(width: int, sites: int) -> bool:
    """Return whether products of some walkers are those of all, bit for bit.

    Intel's library sums all rows in the same order, but for those left over of odd numbers.
    """
    whole = width % LANES == 0 and sites % LANES == 0
    return whole and torch.backends.mkl.is_available()


def _step(walkers: int, sites: int, width: int) -> int:
    """Return how many walkers to compute together, so that pieces are of nearly the same size."""
    if not _apart(width, sites):
        return max(1, walkers)
    pieces = max(1, walkers * sites * width // PIECE)
    return max(1, -(-walkers // pieces))


def _read(given: Values, seen: _Seen) -> Tensor:
    """Return the readout, ``(walkers · sites, q)``."""
    walkers, count, sites = seen.features.shape
    width = len(given.first)
    parts = (len(given.conv), count, given.time.shape[1])
    of_conv, of_features, of_time = given.first.T.split(parts)
    time = (given.time @ of_time).unsqueeze(1).expand(walkers, -1, -1)
    features = seen.features.transpose(1, 2)
    around = _convolved(given, seen)
    # Each walker's channels as they lie, so that none is copied; where that would change the order
    # of sums, or where they lie in order, one product for all walkers.
    each = _apart(width, sites) and not around.is_contiguous()
    step = _step(walkers, sites, width)
    first = given.conv.new_empty(step, sites, width)
    second = given.conv.new_empty(step * sites, width)
    read = given.conv.new_empty(walkers * sites, given.q)
    for begin in range(0, walkers, step):
        rows = slice(begin, min(begin + step, walkers))
        own = rows.stop - begin
        layer = first[:own]
        flat = layer.flatten(0, 1)
        torch.baddbmm(time[rows], features[rows], of_features.expand(own, -1, -1), out=layer)
        if each:
            layer.baddbmm_(around[rows], of_conv.expand(own, -1, -1))
        else:
            flat.addmm_(around[rows].flatten(0, 1), of_conv)
        F.silu(flat, inplace=True)
        hidden = second[: len(flat)]
        torch.addmm(given.hidden_bias, flat, given.hidden_weight.T, out=hidden)
        F.silu(hidden, inplace=True)
        out = read[begin * sites : rows.stop * sites]
        torch.addmm(given.readout_bias, hidden, given.readout_weight.T, out=out)
    return read


def _convolved(given: Values, seen: _Seen) -> Tensor:
    """Return the hollow convolution, ``(walkers, sites, channels)``."""
    lattice = seen.lattice
    walkers = len(seen.states)
    embedded = given.conv.shape[1]
    padded = given.conv.new_empty(walkers, len(lattice.source), embedded)
    embed(seen.states, lattice.source, given.q, padded.numpy())
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


def _read_narrow(given: Values, seen: _Seen) -> Tensor:
    """Return the readout with products of bfloat16, ``(walkers · sites, q)``."""
    walkers, _, sites = seen.features.shape
    lattice = seen.lattice
    weights = narrow.narrow(given)
    inputs, width = weights.first.shape
    taps = given.conv.shape[1] * len(lattice.starts)
    bits = seen.features.numpy().view(np.uint32)
    time = weights.time.view(torch.int16).expand(walkers, -1).contiguous().numpy()
    cuts = np.empty(lattice.cuts, dtype=np.int16)
    read = given.conv.new_empty(walkers * sites, given.q)
    # Half the bytes of float32.
    step = _step(walkers, sites, width // 2)
    for begin in range(0, walkers, step):
        rows = slice(begin, min(begin + step, walkers))
        found = torch.empty(inputs, rows.stop - begin, sites, dtype=torch.int16)
        write_taps(
            seen.states[rows], lattice.source, cuts, lattice.starts, lattice.runs, given.q,
            found[:taps].numpy(),
        )  # fmt: skip
        write_features(bits[rows], time[rows], found[taps:].numpy())
        by_input = found.view(torch.bfloat16).flatten(1)
        out = read[begin * sites : rows.stop * sites]
        out.copy_(narrow.read_out(given, weights, by_input))
    return read
