"""Loops of ``local_jump_steps`` on a CPU: the twin's results, to the last bit."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..jumps.cpu import draw
from ..native.bits import trailing_zeros
from ..native.compiling import compiled, inlined
from ..native.threads import over_walkers
from .cpu_classes import EACH, EIGHTS, GROUP, NONE, count_sites, make_classes, mark
from .cpu_hold import density_of, hold_correction
from .reference import BATCH, FIRST_BATCH, MOST_CLASSES, Events, LocalJumpSteps

__all__ = ["local_jump_steps"]

WHOLE = 4096
"""Sites of a lattice, at most, that is one segment: it is searched sooner than it is counted."""
SEGMENT = 512
"""Sites of a segment of larger ones, at least."""

ONE = np.uint64(1)
SEVEN = np.uint64(7)
UPPERMOST = np.uint64(56)
LOWER = np.uint64(0x7F7F7F7F7F7F7F7F)
"""All bits but the highest in every byte."""


class Walkers(NamedTuple):
    """Walkers of a call; all but their numbers are changed in place."""

    x: NDArray[np.int8]
    """Configurations, ``(walkers, sites)``."""
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
    length: int
    """Sites of a segment."""


class Members(NamedTuple):
    """How many sites of a walker every class has, and where."""

    classes: NDArray[np.uint8]
    """That of every site, for each walker of a group, ``(walkers, sites)``, a multiple of 8."""
    words: NDArray[np.uint64]
    """The same memory, 8 sites a word."""
    counts: NDArray[np.int32]
    """Sites of every class, and noughts up to a multiple of 64."""
    parts: NDArray[np.int32]
    """Those of each segment, ``(classes, segments)``, where there are several."""
    occupied: NDArray[np.uint64]
    """A bit for every class, set if it has a site."""


class Draws(NamedTuple):
    """Random numbers of a batch of events."""

    events: NDArray[np.int64]
    walkers: NDArray[np.int64]
    words: NDArray[np.uint64]
    """``(4, BATCH)``."""
    clock: NDArray[np.float64]
    """``-log u`` of the holding times."""
    choice: NDArray[np.float64]
    """Uniform numbers that choose class and site."""


class Scratch(NamedTuple):
    """Memory of a thread."""

    masks: NDArray[np.uint8]
    """All bits of a byte for a site in state 1, ``(sites, GROUP)``."""
    spins: NDArray[np.uint64]
    """The same memory, 8 walkers a word."""
    tile: NDArray[np.uint64]
    """Classes of 8 sites, ``(8, EIGHTS)``."""
    kinds: NDArray[np.int64]
    """Classes that have a site, in increasing order."""
    ends: NDArray[np.float64]
    """Cumulative rates of these."""
    excesses: NDArray[np.float64]
    """What a running density adds for each of its levels."""


@inlined
def draw_batch(draws, seed, event, walker, count):
    """Draw the random numbers of events ``event, event + 1, …`` of a walker."""
    events, walkers, words, clock, choice = draws
    for number in range(count):
        events[number] = event + number
        walkers[number] = walker
    draw(words, clock, choice, seed, events[:count], walkers)


@inlined
def find(words, w, parts, length, kind, rank):
    """Return the site that is number ``rank``, from 0, of class ``kind``."""
    place = 0
    if parts.shape[1] > 1:
        segment = 0
        while parts[kind, segment] <= rank:
            rank -= parts[kind, segment]
            segment += 1
        place = segment * (length // 8)
    pattern = EACH * np.uint64(kind)
    while True:
        # Bytes of 0 are those of this class; in them the highest bit is set in what follows.
        apart = words[w, place] ^ pattern
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
def flip(classes, w, counts, parts, occupied, length, neighbours, strides, site, sign):
    """Move a site that is flipped, and its neighbours, to their new classes."""
    several = parts.shape[1] > 1
    for lane in range(len(strides)):
        other = neighbours[site, lane]
        before = np.int64(classes[w, other])
        after = before + sign * strides[lane]
        classes[w, other] = np.uint8(after)
        counts[before] -= 1
        counts[after] += 1
        if several:
            parts[before, other // length] -= 1
            parts[after, other // length] += 1
        if counts[before] == 0:
            occupied[before >> 6] &= ~(ONE << np.uint64(before & 63))
        occupied[after >> 6] |= ONE << np.uint64(after & 63)


@inlined
def add_up(counts, occupied, rates, corrector, row, kinds, ends):
    """Return ``R``, ``κ`` and the number of classes that have a site.

    Classes without one add nothing, even where an entry overflows. Sums run through the classes in
    order, as the twin's do.
    """
    total = 0.0
    kappa = 0.0
    number = 0
    for word in range(len(occupied)):
        left = occupied[word]
        while left != NONE:
            kind = (word << 6) + trailing_zeros(left)
            left &= left - ONE
            count = float(counts[kind])
            total += count * rates[row, kind]
            kappa += count * corrector[row, kind]
            kinds[number] = kind
            ends[number] = total
            number += 1
    return total, kappa, number


@inlined
def choose(counts, rates, row, kinds, ends, number, threshold):
    """Return the class in which a part of ``R`` falls, and which of its sites."""
    total = ends[number - 1]
    found = 0
    # The first sum above the threshold; rounding may leave none: then the last class with a rate.
    while ends[found] <= threshold and ends[found] < total:
        found += 1
    kind = kinds[found]
    count = float(counts[kind])
    rate = rates[row, kind]
    # What is left of the threshold within the class.
    passed = threshold - ends[found] + count * rate
    # Rounding may put the quotient a hair outside of the class.
    rank = min(max(passed / rate, 0.0), count - 1.0)
    return kind, np.int64(rank)


@inlined
def walk(w, own, walkers, tables, density, members, draws, scratch):
    """Make the events of walker ``w``, number ``own`` of its group, at most ``steps``."""
    x, log_weights, left, events, exit_rate, corrector, index = walkers
    rates, correctors, neighbours, strides, first_row, seed, steps, length = tables
    classes, words, counts, parts, occupied = members
    kinds = scratch.kinds
    ends = scratch.ends
    remaining = left[w]
    row = -first_row
    for site in range(x.shape[1]):
        row += x[w, site]
    total = 0.0
    kappa = 0.0
    # Many walkers have few events: a short batch of random numbers comes first.
    batch = FIRST_BATCH
    here = batch
    for step in range(steps):
        if here == batch:
            if step > 0:
                batch = BATCH
            draw_batch(draws, seed, events[w], index[w], batch)
            here = 0
        total, kappa, number = add_up(counts, occupied, rates, correctors, row, kinds, ends)
        events[w] += 1
        # A rate that is not finite stops its walker, whose weight turns NaN.
        if not (np.isfinite(total) and np.isfinite(kappa)):
            log_weights[w] = np.nan
            break
        # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
        holding = draws.clock[here] / total
        elapsed = holding
        if not holding < remaining:
            elapsed = remaining
        gain = elapsed * kappa
        if len(density.levels) > 0:
            correction = hold_correction(
                density, counts, row, kinds, number, remaining, elapsed, scratch.excesses
            )
            gain -= correction
            if not np.isfinite(correction):
                log_weights[w] = np.nan
                break
        log_weights[w] += gain
        if not holding < remaining:
            remaining = 0.0
            break
        remaining -= holding
        threshold = draws.choice[here] * total
        kind, rank = choose(counts, rates, row, kinds, ends, number, threshold)
        site = find(words, own, parts, length, kind, rank)
        sign = 1 - 2 * np.int64(x[w, site])
        x[w, site] += sign
        row += sign
        flip(classes, own, counts, parts, occupied, length, neighbours, strides, site, sign)
        here += 1
    left[w] = remaining
    exit_rate[w] = total
    corrector[w] = kappa


@compiled
def run(first, end, walkers, tables, density, members, draws, scratch):
    """Make the events of walkers ``first … end - 1``, group by group."""
    x, log_weights, remaining = walkers[:3]
    sites = x.shape[1]
    for start in range(first, end, GROUP):
        stop = min(end, start + GROUP)
        for w in range(start, stop):
            for site in range(sites):
                scratch.masks[site, w - start] = np.uint8(-x[w, site])
        make_classes(scratch.spins, scratch.tile, members.words, tables.neighbours, tables.strides)
        for w in range(start, stop):
            if remaining[w] != 0.0 and not np.isnan(log_weights[w]):
                own = w - start
                count_sites(
                    members.classes, own, sites, tables.length, members.counts, members.parts
                )
                mark(members.counts, members.occupied)
                walk(w, own, walkers, tables, density, members, draws, scratch)


def _scratch(sites: int, levels: int) -> Scratch:
    masks = np.empty((sites, GROUP), np.uint8)
    return Scratch(
        masks=masks,
        spins=masks.view(np.uint64),
        tile=np.empty((8, EIGHTS), np.uint64),
        kinds=np.empty(MOST_CLASSES, np.int64),
        ends=np.empty(MOST_CLASSES),
        excesses=np.empty(levels),
    )


def _draws() -> Draws:
    return Draws(
        events=np.empty(BATCH, np.int64),
        walkers=np.empty(BATCH, np.int64),
        words=np.empty((4, BATCH), np.uint64),
        clock=np.empty(BATCH),
        choice=np.empty(BATCH),
    )


def _members(sites: int, tables: Tables) -> Members:
    num_classes = tables.rates.shape[1]
    # Rounded up: 8 sites a word, 64 classes a word, and a last segment that may be short.
    classes = np.empty((GROUP, -(-sites // 8) * 8), np.uint8)
    occupied = np.empty(-(-num_classes // 64), np.uint64)
    return Members(
        classes=classes,
        words=classes.view(np.uint64),
        counts=np.empty(64 * len(occupied), np.int32),
        parts=np.empty((num_classes, -(-sites // tables.length)), np.int32),
        occupied=occupied,
    )


def _tables(given: Events, sites: int) -> Tables:
    length = WHOLE
    if sites > WHOLE:
        # About √N sites a segment, so that a search takes as many steps.
        length = max(SEGMENT, 1 << (sites.bit_length() // 2))
    columns = (given.rates, given.corrector, given.neighbours, given.strides)
    # Of a transport whose parameters require gradients, which there are none of here.
    arrays = [column.detach().contiguous().numpy() for column in columns]
    return Tables._make((*arrays, given.first_row, given.seed, given.steps, length))


def local_jump_steps(given: Events) -> LocalJumpSteps:
    """Make events of every walker, at most ``steps``."""
    x = given.configurations.flatten(1).clone(memory_format=torch.contiguous_format)
    after = LocalJumpSteps(
        configurations=x.view_as(given.configurations),
        log_weights=given.log_weights.detach().clone(),
        remaining=given.remaining.detach().clone(),
        events=given.events.clone(),
        exit_rate=torch.zeros_like(given.log_weights),
        corrector=torch.zeros_like(given.log_weights),
    )
    index = given.walkers.contiguous().numpy()
    walkers = Walkers._make((x.numpy(), *(column.numpy() for column in after[1:]), index))
    sites = x.shape[1]
    tables = _tables(given, sites)
    density = density_of(given.running, tables.rates, tables.strides)
    levels = len(density.levels)

    def work(first: int, end: int) -> None:
        members = _members(sites, tables)
        scratch = _scratch(sites, levels)
        run(first, end, walkers, tables, density, members, _draws(), scratch)

    # Each site is visited to make its class, to count it, and in searches.
    over_walkers(work, len(x), 4 * sites)
    return after
