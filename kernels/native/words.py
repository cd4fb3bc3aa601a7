"""Random words for CPU kernels, those of :func:`leaps_triton.kernels.philox`."""

import numpy as np
import torch
from torch import Tensor

from ..philox import MULTIPLIERS, ROUNDS, WEYL
from .compiling import compiled, inlined
from .threads import over_walkers

__all__ = ["fill", "four", "of_events", "of_sites", "site_words"]

FIRST = np.uint64(MULTIPLIERS[0])
SECOND = np.uint64(MULTIPLIERS[1])
FIRST_STEP = np.uint64(WEYL[0])
SECOND_STEP = np.uint64(WEYL[1])
WORD = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


@compiled
def fill(pairs, first_group, seed, stream, event, draw, walker):
    """Write the words of sites from ``4 first_group`` on, two to a uint64, the first one below.

    Word ``i % 4`` of counter ``(i // 4, event, draw, walker)`` belongs to site ``i``: ``pairs`` is
    uint64 ``(2 · groups,)``, and its view as uint32 has one word per site.

    The ten rounds stand inside the loop, which the compiler then makes one of vectors; as a
    function of its own they would be ten times slower. Words are kept in uint64, whose lanes
    multiply 32 bits by 32 in full.
    """
    b0 = np.uint64(event) & WORD
    c0 = np.uint64(draw) & WORD
    d0 = np.uint64(walker) & WORD
    key0 = np.uint64(seed) & WORD
    key1 = np.uint64(stream) & WORD
    for group in range(pairs.shape[0] // 2):
        a = np.uint64(first_group + group)
        b = b0
        c = c0
        d = d0
        low = key0
        high = key1
        for _ in range(ROUNDS):
            # Upper halves of keys and words carry over, and are cut off before each product.
            first = (a & WORD) * FIRST
            second = (c & WORD) * SECOND
            a = (second >> HALF) ^ b ^ low
            b = second
            c = (first >> HALF) ^ d ^ high
            d = first
            low += FIRST_STEP
            high += SECOND_STEP
        pairs[2 * group] = (a & WORD) | (b << HALF)
        pairs[2 * group + 1] = (c & WORD) | (d << HALF)


@inlined
def of_events(words, seed, stream, events, walkers):
    """Write the four words of many counters ``(0, event, 0, walker)``, uint64 ``(4, counters)``.

    The rounds stand inside the loop as in :func:`fill`. Lanes are events of walkers.
    """
    key0 = np.uint64(seed) & WORD
    key1 = np.uint64(stream) & WORD
    for lane in range(len(events)):
        a = np.uint64(0)
        b = np.uint64(events[lane]) & WORD
        c = np.uint64(0)
        d = np.uint64(walkers[lane]) & WORD
        low = key0
        high = key1
        for _ in range(ROUNDS):
            first = (a & WORD) * FIRST
            second = (c & WORD) * SECOND
            a = (second >> HALF) ^ b ^ low
            b = second
            c = (first >> HALF) ^ d ^ high
            d = first
            low += FIRST_STEP
            high += SECOND_STEP
        words[0, lane] = a & WORD
        words[1, lane] = b & WORD
        words[2, lane] = c & WORD
        words[3, lane] = d & WORD


@compiled
def of_sites(words, first, count, seed, stream, walker, event, draw):
    """Write the four words of sites ``first … first + count - 1``, uint32 ``(4, count)`` or more.

    They are those of counters ``(site, event, draw, walker)``; the rounds stand inside the loop as
    in :func:`fill`.
    """
    b0 = np.uint64(event) & WORD
    c0 = np.uint64(draw) & WORD
    d0 = np.uint64(walker) & WORD
    key0 = np.uint64(seed) & WORD
    key1 = np.uint64(stream) & WORD
    for k in range(count):
        a = np.uint64(first + k)
        b = b0
        c = c0
        d = d0
        low = key0
        high = key1
        for _ in range(ROUNDS):
            one = (a & WORD) * FIRST
            two = (c & WORD) * SECOND
            a = (two >> HALF) ^ b ^ low
            b = two
            c = (one >> HALF) ^ d ^ high
            d = one
            low += FIRST_STEP
            high += SECOND_STEP
        words[0, k] = np.uint32(a)
        words[1, k] = np.uint32(b)
        words[2, k] = np.uint32(c)
        words[3, k] = np.uint32(d)


@inlined
def four(seed, stream, site, event, draw, walker):
    """Return the four words of one counter, as uint64 below 2³²."""
    a = np.uint64(site) & WORD
    b = np.uint64(event) & WORD
    c = np.uint64(draw) & WORD
    d = np.uint64(walker) & WORD
    low = np.uint64(seed) & WORD
    high = np.uint64(stream) & WORD
    for _ in range(ROUNDS):
        first = a * FIRST
        second = c * SECOND
        a = ((second >> HALF) ^ b ^ low) & WORD
        b = second & WORD
        c = ((first >> HALF) ^ d ^ high) & WORD
        d = first & WORD
        low = (low + FIRST_STEP) & WORD
        high = (high + SECOND_STEP) & WORD
    return a, b, c, d


@compiled
def write_words(out, seed, stream, event, draw, walkers, first, end):
    """Write the words of all sites of walkers ``first … end - 1``, int64 ``(walkers, sites)``."""
    sites = out.shape[1]
    pairs = np.empty((sites + 3) // 4 * 2, np.uint64)
    words = pairs.view(np.uint32)
    for walker in range(first, end):
        fill(pairs, 0, seed, stream, event, draw, walkers[walker])
        row = out[walker]
        for site in range(sites):
            row[site] = np.int64(words[site])


def site_words(
    seed: int, stream: int, event: int, walkers: Tensor, sites: int, draw: int
) -> Tensor:
    """Return what :func:`leaps_triton.kernels.philox.site_words` does."""
    out = torch.empty(len(walkers), sites, dtype=torch.int64)
    numbers = (int(seed), int(stream), int(event), int(draw))
    index = walkers.contiguous().numpy()
    rows = out.numpy()

    def work(first: int, end: int) -> None:
        write_words(rows, *numbers, index, first, end)

    over_walkers(work, len(walkers), sites)
    return out
