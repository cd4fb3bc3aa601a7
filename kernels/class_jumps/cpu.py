"""Loops of ``local_jump_steps`` on a CPU: the twin's results, to the last bit."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..functions.cpu import logarithm, uniform64
from ..native.bits import trailing_zeros
from ..native.compiling import compiled, inlined
from ..native.threads import over_walkers
from ..native.words import FIRST, FIRST_STEP, HALF, ROUNDS, SECOND, SECOND_STEP, WORD
from ..philox import Stream
from .reference import BATCH, FIRST_BATCH, MOST_CLASSES, Events, LocalJumpSteps

__all__ = ["local_jump_steps"]

STREAM = np.uint64(Stream.JUMP)
GROUP = 64
"""Walkers whose classes are made at once, a byte each."""
EIGHTS = GROUP // 8
"""Words of 8 bytes for them."""
SEGMENT = 256
"""Sites of a segment, at least."""

NONE = np.uint64(0)
ONE = np.uint64(1)
SIX = np.uint64(6)
SEVEN = np.uint64(7)
EIGHT = np.uint64(8)
SIXTEEN = np.uint64(16)
THIRTY_TWO = np.uint64(32)
LAST = np.uint64(63)
UPPERMOST = np.uint64(56)
EACH = np.uint64(0x0101010101010101)
"""A one in every byte."""
LOWER = np.uint64(0x7F7F7F7F7F7F7F7F)
"""All bits but the highest in every byte."""
# Every second byte, pair of bytes, and half.
BYTES = np.uint64(0x00FF00FF00FF00FF)
PAIRS = np.uint64(0x0000FFFF0000FFFF)
HALVES = np.uint64(0x00000000FFFFFFFF)


class Walkers(NamedTuple):
    """Walkers of a call, of which all but the last are changed in place."""

    configurations: NDArray[np.int8]
    """``(walkers, sites)``."""
    log_weights: NDArray[np.float64]
    remaining: NDArray[np.float64]
    events: NDArray[np.int64]
    exit_rate: NDArray[np.float64]
    corrector: NDArray[np.float64]
    walkers: NDArray[np.int64]


class Tables(NamedTuple):
    """What they share."""

    rates: NDArray[np.float64]
    """``(rows, classes)``."""
    corrector: NDArray[np.float64]
    neighbours: NDArray[np.int64]
    """``(sites, lanes)``."""
    strides: NDArray[np.int64]
    first_row: int
    seed: int
    steps: int


class Members(NamedTuple):
    """How many sites of a walker every class has, and where."""

    classes: NDArray[np.uint8]
    """That of every site, of each walker of a group, ``(walkers, sites)``, a multiple of 8."""
    counts: NDArray[np.int32]
    """Sites of every class."""
    parts: NDArray[np.int32]
    """Those of each segment, ``(classes, segments)``, where there are several."""
    occupied: NDArray[np.uint64]
    """A bit for every class that has a site."""


class Scratch(NamedTuple):
    """Memory of a thread."""

    masks: NDArray[np.uint8]
    """All bits of a byte for a site in state 1, ``(sites, GROUP)``."""
    tile: NDArray[np.uint64]
    """Classes of 8 sites, ``(8, EIGHTS)``."""
    words: NDArray[np.uint64]
    """Random words, ``(4, BATCH)``."""
    clock: NDArray[np.float64]
    """``-log u`` of the holding times of a batch of events."""
    choice: NDArray[np.float64]
    """Uniform numbers that choose class and site."""
    chosen: NDArray[np.int64]
    """Classes that have a site, in increasing order."""
    ends: NDArray[np.float64]
    """Cumulative rates of these."""


@inlined
def draw(scratch, seed, event, walker, count):
    """Draw the random numbers of events ``event, event + 1, …`` of a walker.

    As in :func:`..native.words.fill` the rounds stand inside the loop, whose lanes are events.
    """
    words = scratch.words
    d0 = np.uint64(walker) & WORD
    key = np.uint64(seed) & WORD
    start = np.uint64(event)
    for number in range(count):
        a = NONE
        b = (start + np.uint64(number)) & WORD
        c = NONE
        d = d0
        low = key
        high = STREAM
        for _ in range(ROUNDS):
            first = (a & WORD) * FIRST
            second = (c & WORD) * SECOND
            a = (second >> HALF) ^ b ^ low
            b = second
            c = (first >> HALF) ^ d ^ high
            d = first
            low += FIRST_STEP
            high += SECOND_STEP
        words[0, number] = a & WORD
        words[1, number] = b & WORD
        words[2, number] = c & WORD
        words[3, number] = d & WORD
    for number in range(count):
        # -log u is a unit exponential; over R it becomes the holding time.
        scratch.clock[number] = -logarithm(uniform64(words[0, number], words[1, number]))
        scratch.choice[number] = uniform64(words[2, number], words[3, number])


@inlined
def swap(one, other, shift, mask):
    """Exchange the upper parts of the one with the lower parts of the other."""
    moved = ((one >> shift) ^ other) & mask
    return one ^ (moved << shift), other ^ moved


@inlined
def transpose(tile, words, place):
    """Write a tile of 8 sites by 64 walkers into the walkers' rows."""
    for eight in range(EIGHTS):
        a, b = swap(tile[0, eight], tile[1, eight], EIGHT, BYTES)
        c, d = swap(tile[2, eight], tile[3, eight], EIGHT, BYTES)
        e, f = swap(tile[4, eight], tile[5, eight], EIGHT, BYTES)
        g, h = swap(tile[6, eight], tile[7, eight], EIGHT, BYTES)
        a, c = swap(a, c, SIXTEEN, PAIRS)
        b, d = swap(b, d, SIXTEEN, PAIRS)
        e, g = swap(e, g, SIXTEEN, PAIRS)
        f, h = swap(f, h, SIXTEEN, PAIRS)
        a, e = swap(a, e, THIRTY_TWO, HALVES)
        b, f = swap(b, f, THIRTY_TWO, HALVES)
        c, g = swap(c, g, THIRTY_TWO, HALVES)
        d, h = swap(d, h, THIRTY_TWO, HALVES)
        row = 8 * eight
        words[row, place] = a
        words[row + 1, place] = b
        words[row + 2, place] = c
        words[row + 3, place] = d
        words[row + 4, place] = e
        words[row + 5, place] = f
        words[row + 6, place] = g
        words[row + 7, place] = h


@inlined
def make_classes(x, tables, classes, scratch):
    """Write the class of every site of at most ``GROUP`` walkers, ``Σ_l strides_l x_l``.

    Bytes of all walkers are added at once, 8 a word: classes are numbers below 256, so that no sum
    carries into the next byte.
    """
    masks = scratch.masks
    tile = scratch.tile
    sites = x.shape[1]
    for walker in range(x.shape[0]):
        for site in range(sites):
            masks[site, walker] = np.uint8(-x[walker, site])
    spins = masks.view(np.uint64)
    words = classes.view(np.uint64)
    for place in range(words.shape[1]):
        for number in range(8):
            # Beyond the last site stands the last one again, which nobody asks for.
            site = min(8 * place + number, sites - 1)
            tile[number] = NONE
            for lane in range(len(tables.strides)):
                stride = EACH * np.uint64(tables.strides[lane])
                other = tables.neighbours[site, lane]
                for eight in range(EIGHTS):
                    tile[number, eight] += spins[other, eight] & stride
        transpose(tile, words, place)


@inlined
def count_sites(classes, sites, length, members):
    """Count the sites of every class, in all and by segment."""
    counts = members.counts
    parts = members.parts
    counts[:] = 0
    several = parts.shape[1] > 1
    if several:
        parts[:] = 0
        for site in range(sites):
            parts[classes[site], site // length] += 1
        for kind in range(len(counts)):
            for segment in range(parts.shape[1]):
                counts[kind] += parts[kind, segment]
    else:
        for site in range(sites):
            counts[classes[site]] += 1
    members.occupied[:] = NONE
    for kind in range(len(counts)):
        if counts[kind] > 0:
            members.occupied[kind >> 6] |= ONE << np.uint64(kind & 63)


@inlined
def find(words, members, length, chosen, rank):
    """Return the site that is number ``rank``, from 0, of class ``chosen``."""
    place = 0
    parts = members.parts
    if parts.shape[1] > 1:
        segment = 0
        while parts[chosen, segment] <= rank:
            rank -= parts[chosen, segment]
            segment += 1
        place = segment * (length // 8)
    pattern = EACH * np.uint64(chosen)
    while True:
        # The highest bit of each byte that is 0 in the difference, so that the class is this one.
        apart = words[place] ^ pattern
        same = ~(((apart & LOWER) + LOWER) | apart | LOWER)
        number = np.int64(((same >> SEVEN) * EACH) >> UPPERMOST)
        if number > rank:
            break
        rank -= number
        place += 1
    for _ in range(rank):
        # Without its lowest set bit.
        same &= same - ONE
    return 8 * place + (trailing_zeros(same) >> 3)


@inlined
def flip(classes, members, length, tables, site, sign):
    """Move a site that is flipped, and its neighbours, to their new classes."""
    counts = members.counts
    parts = members.parts
    several = parts.shape[1] > 1
    for lane in range(len(tables.strides)):
        other = tables.neighbours[site, lane]
        before = np.int64(classes[other])
        after = before + sign * tables.strides[lane]
        classes[other] = np.uint8(after)
        counts[before] -= 1
        counts[after] += 1
        if several:
            segment = other // length
            parts[before, segment] -= 1
            parts[after, segment] += 1
        if counts[before] == 0:
            members.occupied[before >> 6] &= ~(ONE << np.uint64(before & 63))
        members.occupied[after >> 6] |= ONE << np.uint64(after & 63)


@inlined
def add_up(members, rates, corrector, scratch):
    """Return ``R``, ``κ`` and the number of classes that have a site.

    Classes without one add nothing, even where an entry overflows. Sums run through the classes in
    order, those of the twin.
    """
    total = 0.0
    kappa = 0.0
    number = 0
    for word in range(len(members.occupied)):
        left = members.occupied[word]
        while left != NONE:
            kind = (word << 6) + trailing_zeros(left)
            left &= left - ONE
            count = float(members.counts[kind])
            total += count * rates[kind]
            kappa += count * corrector[kind]
            scratch.chosen[number] = kind
            scratch.ends[number] = total
            number += 1
    return total, kappa, number


@inlined
def choose(members, rates, scratch, number, threshold):
    """Return the class, and which of its sites, in which a number below ``R`` falls."""
    total = scratch.ends[number - 1]
    found = 0
    # The first sum above the threshold; rounding may leave none: the last class with a rate.
    while scratch.ends[found] <= threshold and scratch.ends[found] < total:
        found += 1
    kind = scratch.chosen[found]
    count = float(members.counts[kind])
    rate = rates[kind]
    # What is left of the threshold within the class.
    passed = threshold - scratch.ends[found] + count * rate
    rank = passed / rate
    # Rounding may put the quotient a hair outside of the class.
    if rank < 0.0:
        rank = 0.0
    if rank > count - 1.0:
        rank = count - 1.0
    return kind, np.int64(rank)


@inlined
def walk(w, classes, walkers, tables, members, length, scratch):
    """Make the events of one walker, at most ``steps``."""
    x = walkers.configurations
    words = classes.view(np.uint64)
    remaining = walkers.remaining[w]
    log_weight = walkers.log_weights[w]
    event = walkers.events[w]
    row = -tables.first_row
    for site in range(x.shape[1]):
        row += x[w, site]
    exit_rate = 0.0
    kappa = 0.0
    taken = 0
    drawn = 0
    here = 0
    goes = True
    while goes and taken < tables.steps:
        if here == drawn:
            # Many walkers have few events: a short batch comes first.
            drawn = FIRST_BATCH if taken == 0 else BATCH
            draw(scratch, tables.seed, event, walkers.walkers[w], drawn)
            here = 0
        rates = tables.rates[row]
        exit_rate, kappa, number = add_up(members, rates, tables.corrector[row], scratch)
        event += 1
        taken += 1
        # A rate that is not finite stops its walker, whose weight turns NaN.
        if not (np.isfinite(exit_rate) and np.isfinite(kappa)):
            log_weight = np.nan
            break
        # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
        holding = scratch.clock[here] / exit_rate
        goes = holding < remaining
        elapsed = holding if goes else remaining
        log_weight += elapsed * kappa
        remaining -= elapsed
        if goes:
            threshold = scratch.choice[here] * exit_rate
            kind, rank = choose(members, rates, scratch, number, threshold)
            site = find(words, members, length, kind, rank)
            sign = 1 - 2 * np.int64(x[w, site])
            x[w, site] += sign
            row += sign
            flip(classes, members, length, tables, site, sign)
        here += 1
    walkers.remaining[w] = remaining
    walkers.log_weights[w] = log_weight
    walkers.events[w] = event
    walkers.exit_rate[w] = exit_rate
    walkers.corrector[w] = kappa


@compiled
def run(first, end, walkers, tables, members, length, scratch):
    """Make the events of walkers ``first … end - 1``, group by group."""
    sites = walkers.configurations.shape[1]
    for start in range(first, end, GROUP):
        stop = min(end, start + GROUP)
        x = walkers.configurations[start:stop]
        make_classes(x, tables, members.classes, scratch)
        for w in range(start, stop):
            if walkers.remaining[w] != 0.0 and not np.isnan(walkers.log_weights[w]):
                classes = members.classes[w - start]
                count_sites(classes, sites, length, members)
                walk(w, classes, walkers, tables, members, length, scratch)


def _scratch(sites: int) -> Scratch:
    return Scratch(
        masks=np.empty((sites, GROUP), np.uint8),
        tile=np.empty((8, EIGHTS), np.uint64),
        words=np.empty((4, BATCH), np.uint64),
        clock=np.empty(BATCH),
        choice=np.empty(BATCH),
        chosen=np.empty(MOST_CLASSES, np.int64),
        ends=np.empty(MOST_CLASSES),
    )


def _members(sites: int, classes: int, length: int) -> Members:
    return Members(
        classes=np.empty((GROUP, 8 * -(-sites // 8)), np.uint8),
        counts=np.empty(classes, np.int32),
        parts=np.empty((classes, -(-sites // length)), np.int32),
        occupied=np.empty(-(-classes // 64), np.uint64),
    )


def local_jump_steps(given: Events) -> LocalJumpSteps:
    """Make events of every walker, at most ``steps``."""
    x = given.configurations.flatten(1).clone(memory_format=torch.contiguous_format)
    after = LocalJumpSteps(
        configurations=x.view_as(given.configurations),
        log_weights=given.log_weights.clone(),
        remaining=given.remaining.clone(),
        events=given.events.clone(),
        exit_rate=torch.zeros_like(given.log_weights),
        corrector=torch.zeros_like(given.log_weights),
    )
    walkers = Walkers(x.numpy(), *(column.numpy() for column in after[1:]), numpy_of(given.walkers))
    tables = Tables(
        numpy_of(given.rates),
        numpy_of(given.corrector),
        numpy_of(given.neighbours),
        numpy_of(given.strides),
        given.first_row,
        given.seed,
        given.steps,
    )
    sites = x.shape[1]
    classes = tables.rates.shape[1]
    # About √N sites a segment, so that a search takes as many steps.
    length = max(SEGMENT, 8 << (sites.bit_length() // 2 - 3)) if sites > 64 else SEGMENT

    def work(first: int, end: int) -> None:
        run(first, end, walkers, tables, _members(sites, classes, length), length, _scratch(sites))

    over_walkers(work, len(x), 4 * sites)
    return after


def numpy_of(tensor: Tensor) -> NDArray[Any]:
    return tensor.contiguous().numpy()
