"""Loops over the sites of a lattice: what a hollow convolution reads of configurations on a CPU.

Sums of couplings are in the order of the twin, and all others are sums of integers, so that the
results are the twin's bit for bit. Values of configurations are compared, and are never places in
memory.
"""

from typing import Any

import numpy as np

__all__ = ["add_counts", "add_features", "add_values", "embed"]


def embed(states: Any, source: Any, q: int, out: Any) -> None:
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
                out[walker, place, 0] = spin if inside else np.float32(0.0)
            else:
                for channel in range(q):
                    out[walker, place, channel] = np.float32(inside and state == channel)


def add_counts(states: Any, ahead: Any, behind: Any, coupling: Any, own: bool, out: Any) -> None:
    """Write ``Σ_j J_ij [x_j = a]``.

    Args:
        states: int8 ``(walkers, sites)``.
        ahead: neighbour in positive direction of each axis, -1 off an edge, int32 ``(ndim,
            sites)``.
        behind: likewise in negative direction.
        coupling: ``J``, float32 ``(1 | walkers, ndim, sites)``, that of the bond ahead.
        own: whether each walker has couplings of its own.
        out: float32 ``(walkers, q, sites)``.
    """
    sites = states.shape[1]
    back = np.zeros(sites, dtype=np.float32)
    for walker in range(len(states)):
        row = walker if own else 0
        state = states[walker]
        for value in range(out.shape[1]):
            total = out[walker, value]
            total[:] = np.float32(0.0)
            back[:] = np.float32(0.0)
            for axis in range(len(ahead)):
                bond = coupling[row, axis]
                to = ahead[axis]
                origin = behind[axis]
                for site in range(sites):
                    there = max(to[site], 0)
                    here = to[site] >= 0 and state[there] == value
                    total[site] += bond[site] * np.float32(here)
                for site in range(sites):
                    # A bond is that of the site at its lower end.
                    there = max(origin[site], 0)
                    here = origin[site] >= 0 and state[there] == value
                    back[site] += bond[there] * np.float32(here)
            # The two directions are summed apart, as in the twin.
            for site in range(sites):
                total[site] = total[site] + back[site]


def add_features(
    states: Any, counts: Any, waves: Any, square: Any, norm: float, means: bool, field: Any,
    own: bool, out: Any,
) -> None:
    """Write local field, sums over the lattice without the site itself, and external field.

    Args:
        states: int8 ``(walkers, sites)``.
        counts: what :func:`add_counts` writes.
        waves: cosines, then sines, as integers, int64 ``(2, modes, sites)``.
        square: the sum of their squares, float64 ``(modes, sites)``.
        norm: what sums of waves are divided by.
        means: whether the mean of each channel is a feature.
        field: external field, float32 ``(1 | walkers, embedded, sites)``.
        own: whether each walker has a field of its own.
        out: float32 ``(walkers, features, sites)``.
    """
    q = counts.shape[1]
    embedded = field.shape[1]
    modes = waves.shape[1]
    sites = states.shape[1]
    channel = np.zeros(sites, dtype=np.int64)
    for walker in range(len(states)):
        row = walker if own else 0
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
                # Integers below 2**52, so that float64 holds each product and sum of them.
                of_cos = np.float64(cos_sum)
                of_sin = np.float64(sin_sum)
                even = out[walker, begin + index * modes + mode]
                odd = out[walker, begin + (embedded + index) * modes + mode]
                for site in range(sites):
                    c = np.float64(cos[site])
                    s = np.float64(sin[site])
                    left = np.float64(channel[site]) * square[mode, site]
                    even[site] = np.float32((of_cos * c + of_sin * s - left) / norm)
                    odd[site] = np.float32((of_sin * c - of_cos * s) / norm)
            begin += 2 * embedded * modes
            for site in range(sites):
                out[walker, begin + index, site] = field[row, index, site]


def add_values(read: Any, counts: Any, skip: Any, out: Any) -> None:
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
