"""All that becomes of walkers in a call: packed, swept, unpacked; loops that numba compiles."""

from typing import Any, NamedTuple

import numpy as np

from ..functions.cpu import exponential64
from ..native.compiling import compiled, inlined
from .cpu_packing import pack_rows, pack_walkers, unpack_rows, unpack_walkers
from .cpu_sweeps import BLOCK, Draws, Room, lower, surround, update
from .reference import STATES

__all__ = ["Model", "Numbers", "sweep_rows", "thresholds_of_walker", "update_blocks"]

BITS = 32
ALL = np.uint32(0xFFFFFFFF)
NONE = np.uint32(0)
TOP = 2.0**32
LARGEST = 2.0**32 - 1.0


class Model(NamedTuple):
    """Holds what thresholds follow from."""

    fields: Any
    """``a (2n - 4) + b``, float64 ``(5,)``."""
    opposed: Any
    """``a (2n - 4) - b``, float64 ``(5,)``."""
    tilted: bool
    """Whether ``b`` is not 0."""
    beta: Any
    """``β``, float64 ``(1 | walkers,)``."""
    metropolis: bool
    """Whether sites are moved, not redrawn."""
    keep: float
    """Probability not to rest."""


class Numbers(NamedTuple):
    """Holds which sweeps are made, and the order of the colours."""

    first_sweep: int
    sweeps: int
    seed: int
    stream: int
    colour: int
    """The colour that comes first."""
    other: int
    """The one that comes second."""


@inlined
def threshold(probability):
    """Return ``T(p)``."""
    return np.int64(min(np.rint(probability * TOP), LARGEST))


@inlined
def thresholds_of(found, model, beta):
    """Write the thresholds of a walker at β, int64 ``(10,)``; return whether it is inverted.

    Without tilt they are two or three, of which the others follow. Metropolis has those where 2, 3
    and 4 neighbours favour the state of a site, or 2, 1 and 0 where β is negative.
    """
    if model.metropolis:
        for n in range(STATES):
            down = min(beta * -model.opposed[n], 0.0)
            up = min(beta * -model.fields[n], 0.0)
            found[n] = threshold(model.keep * exponential64(down))
            found[STATES + n] = threshold(model.keep * exponential64(up))
        if not model.tilted:
            inverted = found[0] < found[STATES - 1]
            for k in range(3):
                found[k] = found[STATES + 2 - k] if inverted else found[STATES + 2 + k]
            return inverted
        return False
    for n in range(STATES):
        # 1 - p is p of the opposite field.
        exponent = beta * -model.fields[n] if n < 2 else beta * model.fields[n]
        found[n] = threshold(1.0 / (1.0 + exponential64(exponent)))
    return False


@inlined
def count_of(model):
    """Return how many thresholds there are."""
    if model.metropolis:
        return 2 * STATES if model.tilted else 3
    return STATES if model.tilted else 2


@inlined
def masks_of(masks, found, lanes):
    """Set the bits of a walker's thresholds in its lanes, uint32 ``(thresholds, 32)``."""
    for t in range(len(masks)):
        value = np.uint64(found[t])
        for i in range(BITS):
            # All bits of a word, or none.
            full = np.uint32(0) - np.uint32((value >> np.uint64(i)) & np.uint64(1))
            masks[t, i] |= np.uint32(full & lanes)


@inlined
def room_of(thresholds):
    """Return memory for one block."""
    drawn = np.empty((4, BLOCK), np.uint32)
    low = np.empty((thresholds, BLOCK), np.uint32)
    below = np.empty((thresholds, BLOCK), np.uint32)
    near = np.empty((4, BLOCK), np.uint32)
    return Room(drawn, low, below, near)


@inlined
def second_of(words, columns):
    """Return all bits where a site of colour 0 is the second one of its pair: in odd rows."""
    found = np.zeros(words, np.uint32)
    for start in range(columns, words, 2 * columns):
        for k in range(start, start + columns):
            found[k] = ALL
    return found


@inlined
def first_of(lanes):
    """Return the first lane that has a walker."""
    for lane in range(len(lanes)):
        if lanes[lane] >= 0:
            return lane
    return 0


@compiled
def sweep_rows(y, x, begin, end, owners, lanes, lengths, bonds, model, numbers):
    """Write the walkers of rows of words ``begin … end - 1`` after their sweeps.

    ``x`` and ``y`` uint8 ``(walkers, sites)``; ``owners`` int64 ``(rows,)``, the groups or walkers
    that random numbers are drawn by; ``lanes`` int64 ``(rows, 32 | 1)``, the walker of each lane,
    -1 for none. All stands in one function: each that calls another is compiled with it.
    """
    length, width = lengths
    columns = bonds.columns
    words = length * columns
    halves = np.zeros((2, words + 2 * columns), np.uint32)
    found = np.zeros(2 * STATES, np.int64)
    count = count_of(model)
    room = room_of(count)
    second = second_of(words, columns)
    one = len(model.beta) == 1
    for row in range(begin, end):
        masks = np.zeros((count, BITS), np.uint32)
        inverted = NONE
        for lane in range(lanes.shape[1]):
            walker = lanes[row, lane]
            # One β serves all lanes at once.
            if walker < 0 or (one and lane != first_of(lanes[row])):
                continue
            all_lanes = one or bonds.along
            own = ALL if all_lanes else np.uint32(np.uint32(1) << np.uint32(lane))
            if thresholds_of(found, model, model.beta[0 if one else walker]):
                inverted = np.uint32(inverted | own)
            masks_of(masks, found, own)
        if bonds.along:
            pack_rows(halves, x[lanes[row, 0]].view(np.uint64), 0, length, width)
        else:
            pack_walkers(halves, x, lanes[row], length, width)
        draws = Draws(numbers.seed, numbers.stream, owners[row])
        surround(halves[0], columns)
        surround(halves[1], columns)
        for sweep in range(numbers.first_sweep, numbers.first_sweep + numbers.sweeps):
            lower(room, min(words, BLOCK), masks, draws, sweep)
            for turn in range(2):
                c = numbers.other if turn else numbers.colour
                update(
                    halves, c, 0, words, bonds, second, masks, model.metropolis, inverted, draws,
                    sweep, room,
                )  # fmt: skip
                surround(halves[c], columns)
        if bonds.along:
            unpack_rows(y[lanes[row, 0]].view(np.uint64), halves, 0, length, width)
        else:
            unpack_walkers(y, halves, lanes[row], length, width)


@compiled
def thresholds_of_walker(model, beta):
    """Return the thresholds of a walker in all bits of words, and whether it is inverted."""
    found = np.zeros(2 * STATES, np.int64)
    masks = np.zeros((count_of(model), BITS), np.uint32)
    inverted = ALL if thresholds_of(found, model, beta) else NONE
    masks_of(masks, found, ALL)
    return masks, inverted


@compiled
def update_blocks(halves, c, begin, end, bonds, second, masks, metropolis, inverted, draws, sweep):
    """Update blocks ``begin … end - 1`` of colour ``c`` of one walker, one part of a lattice."""
    words = len(second)
    room = room_of(len(masks))
    lower(room, min(words, BLOCK), masks, draws, sweep)
    stop = min(end * BLOCK, words)
    first = begin * BLOCK
    update(
        halves, c, first, stop, bonds, second, masks, metropolis, inverted, draws, sweep, room
    )  # fmt: skip
