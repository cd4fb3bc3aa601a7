"""Loops of ``jump_step`` on a CPU: the twin's results, to the last bit."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..functions.cpu import logarithm, uniform64
from ..native.compiling import compiled, inlined
from ..native.threads import over_walkers
from ..native.words import of_events
from ..philox import Stream
from .cpu_hold import SLOTS, Density, hold_correction
from .reference import Event, JumpStep

__all__ = ["draw", "jump_step"]

STREAM = np.uint64(Stream.JUMP)
GROUP = 64
"""Walkers whose random numbers are drawn at once."""
ROWS = 4
"""Walkers whose rates are added at once: a sum has to wait for the one before it."""
SEGMENT = 32
"""Moves after which a sum is kept."""


class Given(NamedTuple):
    """Walkers before the event."""

    log_weights: NDArray[np.float64]
    remaining: NDArray[np.float64]
    corrector: NDArray[np.float64]
    walkers: NDArray[np.int64]
    events: NDArray[np.int64]
    seed: int


class After(NamedTuple):
    """Walkers after it."""

    x: NDArray[np.int8]
    """``(walkers, sites)``, before the event when the loop begins."""
    log_weights: NDArray[np.float64]
    remaining: NDArray[np.float64]
    move: NDArray[np.int64]


class Scratch(NamedTuple):
    """Memory of a thread."""

    random: NDArray[np.uint64]
    """Random words, ``(4, GROUP)``."""
    drawn: NDArray[np.float64]
    """``-log u`` of the holding time, and a uniform number that chooses a move, ``(2, GROUP)``."""
    ends: NDArray[np.float64]
    """Sums of rates at the end of each segment, ``(ROWS, segments)``."""
    kept: NDArray[np.float64]
    """Slopes of a running density that were met, ``(2, SLOTS)``, and their integrals."""


@inlined
def draw(random, clock, choice, seed, events, walkers):
    """Draw what decides on events: ``-log u`` of the holding time, and which move it is."""
    of_events(random, seed, STREAM, events, walkers)
    for number in range(len(events)):
        # -log u is a unit exponential; over R it becomes the holding time.
        clock[number] = -logarithm(uniform64(random[0, number], random[1, number]))
        choice[number] = uniform64(random[2, number], random[3, number])


@inlined
def add_up(rates, first, end, ends):
    """Write the sums of the rates of up to four walkers, move after move, as the twin adds them."""
    second = min(first + 1, end - 1)
    third = min(first + 2, end - 1)
    fourth = min(first + 3, end - 1)
    a = 0.0
    b = 0.0
    c = 0.0
    d = 0.0
    moves = rates.shape[1]
    for segment in range(ends.shape[1]):
        for move in range(segment * SEGMENT, min((segment + 1) * SEGMENT, moves)):
            a += rates[first, move]
            b += rates[second, move]
            c += rates[third, move]
            d += rates[fourth, move]
        ends[0, segment] = a
        ends[1, segment] = b
        ends[2, segment] = c
        ends[3, segment] = d


@inlined
def choose(rates, w, ends, row, threshold):
    """Return the first move at which the sum is above the threshold.

    Rounding may leave none: then it is the last move with a rate, where the sum becomes that of
    all. A move of rate 0 is never made.
    """
    total = ends[row, -1]
    segment = 0
    while ends[row, segment] <= threshold and ends[row, segment] < total:
        segment += 1
    passed = 0.0
    if segment > 0:
        passed = ends[row, segment - 1]
    move = segment * SEGMENT
    passed += rates[w, move]
    while passed <= threshold and passed < total:
        move += 1
        passed += rates[w, move]
    return move


@compiled
def run(first, end, rates, density, given, after, scratch):
    """Make an event of walkers ``first … end - 1``."""
    log_weights, remaining, corrector, walkers, events, seed = given
    random, drawn, ends, kept = scratch
    runs = len(density.speed) > 0
    sites = after.x.shape[1]
    states = rates.shape[1] // sites + 1
    for w in range(first, end):
        here = (w - first) % GROUP
        row = (w - first) % ROWS
        if here == 0:
            last = min(w + GROUP, end)
            draw(random, drawn[0], drawn[1], seed, events[w:last], walkers[w:last])
        if row == 0:
            add_up(rates, w, end, ends)
        total = ends[row, -1]
        kappa = corrector[w]
        left = remaining[w]
        # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
        holding = drawn[0, here] / total
        finite = np.isfinite(total) and np.isfinite(kappa)
        jumps = finite and holding < left
        elapsed = left
        if jumps:
            elapsed = holding
        gain = elapsed * kappa
        if runs and finite and left != 0.0:
            correction = hold_correction(density, w, left, elapsed, kept[0], kept[1])
            gain = gain - correction
            finite = np.isfinite(correction)
        after.move[w] = -1
        if jumps and finite:
            move = choose(rates, w, ends, row, drawn[1, here] * total)
            after.move[w] = move
            # Moves are numbered shift by shift, from a shift of 1.
            site = move % sites
            after.x[w, site] = (after.x[w, site] + move // sites + 1) % states
        # A walker without time left is left alone, whatever its rates.
        if left == 0.0:
            gain = 0.0
        elif not finite:
            gain = np.nan
        after.log_weights[w] = log_weights[w] + gain
        after.remaining[w] = left - elapsed if finite else left


def _flat(numbers: Tensor) -> Any:
    """Return numbers of all moves as an array ``(walkers, moves)``."""
    return numbers.detach().flatten(1).contiguous().numpy()


def jump_step(given: Event) -> JumpStep:
    """Make one event of every walker."""
    x = given.configurations.clone(memory_format=torch.contiguous_format)
    after = JumpStep(
        configurations=x,
        log_weights=torch.empty_like(given.log_weights, memory_format=torch.contiguous_format),
        remaining=torch.empty_like(given.remaining, memory_format=torch.contiguous_format),
        move=torch.empty_like(given.walkers, memory_format=torch.contiguous_format),
    )
    made = After(x.flatten(1).numpy(), *(column.numpy() for column in after[1:]))
    columns = (given.log_weights, given.remaining, given.corrector, given.walkers, given.events)
    # Of a transport whose parameters require gradients, which there are none of here.
    arrays = [column.detach().contiguous().numpy() for column in columns]
    before = Given._make((*arrays, given.seed))
    rates = _flat(given.rates)
    density = Density(rates[:0], rates[:0], arrays[0][:0], arrays[0][:0])
    if given.running is not None:
        in_rates, slopes, speed, offset = given.running
        numbers = [column.detach().contiguous().numpy() for column in (speed, offset)]
        density = Density(_flat(in_rates), _flat(slopes), *numbers)
    moves = rates.shape[1]

    def work(first: int, end: int) -> None:
        scratch = Scratch(
            random=np.empty((4, GROUP), np.uint64),
            drawn=np.empty((2, GROUP)),
            ends=np.empty((ROWS, -(-moves // SEGMENT))),
            kept=np.empty((2, SLOTS)),
        )
        run(first, end, rates, density, before, made, scratch)

    over_walkers(work, len(x), moves)
    return after
