"""Loops of ``quartic_trajectories`` on a CPU: groups of walkers side by side.

Sums are made in another order than the twin's, so that fields agree to rounding; whether a walker
is moved may then differ where ``ΔH`` is within rounding of the edge.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..native.compiling import compiled, inlined
from ..native.threads import over_walkers
from . import reference
from .cpu_lanes import (
    LANES,
    WIDE,
    accept,
    action,
    draw,
    kick,
    kinetic,
    push,
    take,
    transform,
    widen,
)  # fmt: skip
from .modes import LONGEST, matrix_along
from .reference import FieldSweeps, Trajectories

__all__ = ["quartic_trajectories"]


class Rule(NamedTuple):
    """The lattice, and how walkers are moved."""

    shape: NDArray[np.int64]
    tables: Any
    """Modes of every axis, ``(ndim, longest, longest)``, in the type of the fields"""
    scales: Any
    """Of every mode, repeated for the lanes, in the type of the fields"""
    halves: Any
    """Half of them"""
    by_mode: bool
    leapfrogs: int
    first_sweep: int
    sweeps: int
    seed: int


class Walkers(NamedTuple):
    """Fields and couplings of all walkers."""

    fields: Any
    """``(walkers, sites)``, written over"""
    indices: NDArray[np.int64]
    mass_squared: NDArray[np.float64]
    quartic: NDArray[np.float64]
    results: NDArray[np.float64]
    """Accepted, acceptance and energy error, ``(3, walkers)``"""


class Lanes(NamedTuple):
    """Numbers of a group, each repeated: ``(WIDE,)``."""

    walkers: NDArray[np.int64]
    diagonal: NDArray[np.float64]
    quartic: NDArray[np.float64]
    linear: Any
    """In the type of the fields, as the cubic one"""
    cubic: Any
    agreed: NDArray[np.float64]
    sums: NDArray[np.float64]


class Memory(NamedTuple):
    """Memory of a thread."""

    kept: Any
    """Fields of a group, ``(sites · LANES,)``, as the next six"""
    kept_force: Any
    field: Any
    force: Any
    momenta: Any
    spare: Any
    row: Any
    words: NDArray[np.uint64]
    draws: NDArray[np.float64]
    totals: NDArray[np.float64]
    """Action, its end, kinetic energy, its end, error, agreed, chance and two sums, by lane"""


@compiled
def gather(walkers, first, ndim, field, lanes):
    """Read a group of walkers; lanes beyond the last one hold it again."""
    count = len(walkers.indices)
    for place in range(WIDE):
        w = min(first + place % LANES, count - 1)
        lanes.walkers[place] = walkers.indices[w]
        mass = walkers.mass_squared[w % len(walkers.mass_squared)]
        quartic = walkers.quartic[w % len(walkers.quartic)]
        lanes.diagonal[place] = mass + 2.0 * ndim
        lanes.quartic[place] = quartic
        # Couplings are rounded once, to the type in which the force is computed.
        lanes.linear[place] = 2.0 * (mass + 2.0 * ndim)
        lanes.cubic[place] = 4.0 * quartic
    for lane in range(LANES):
        own = walkers.fields[min(first + lane, count - 1)]
        for site in range(len(own)):
            field[site * LANES + lane] = own[site]


@compiled
def scatter(walkers, first, sweeps, field, totals):
    """Write a group of walkers, and how its sweeps went."""
    for lane in range(min(LANES, len(walkers.indices) - first)):
        w = first + lane
        walkers.results[0, w] = totals[7, lane] / sweeps
        walkers.results[1, w] = totals[8, lane] / sweeps
        walkers.results[2, w] = totals[4, lane]
        own = walkers.fields[w]
        for site in range(len(own)):
            own[site] = field[site * LANES + lane]


@compiled
def follow(rule, lanes, memory, begins):
    """Make the leapfrogs of a sweep; or, where a group begins, its first force alone.

    A leapfrog has two stages, change and force. Each large loop is called at one place, since the
    compiler makes it anew at every one.
    """
    field = memory.field
    force = memory.force
    momenta = memory.momenta
    for place in range(len(field)):
        field[place] = memory.kept[place]
    first = 0
    last = 2 * rule.leapfrogs
    if begins:
        first = 1
        last = 2
    else:
        kick(momenta, memory.kept_force, rule.halves)
    for stage in range(first, last):
        changes = stage % 2 == 0
        if changes:
            # The force is of no use until it is made anew: its memory holds the change.
            for place in range(len(force)):
                force[place] = rule.scales[place] * momenta[place]
        else:
            push(field, rule.shape, lanes.linear, lanes.cubic, force)
        if rule.by_mode:
            transform(force, memory.spare, memory.row, rule.tables, rule.shape)
        if changes:
            for place in range(len(field)):
                field[place] += force[place]
        elif stage < last - 1:
            kick(momenta, force, rule.scales)
    # The last kick is a half, as the first was.
    if not begins:
        kick(momenta, force, rule.halves)


@inlined
def decide(sweep, rule, lanes, totals, begins):
    """Decide which walkers go where the leapfrogs led, and count them; where a group begins, all.

    Rows of ``totals`` are those of :class:`Memory`.
    """
    start, end, before, after, error, agreed, chance, accepted, chances = totals
    if begins:
        agreed[:] = 1.0
    else:
        for lane in range(LANES):
            error[lane] = end[lane] + after[lane] - (start[lane] + before[lane])
        accept(error, sweep, lanes.walkers, rule.seed, agreed, chance)
        for lane in range(LANES):
            accepted[lane] += agreed[lane]
            chances[lane] += chance[lane]
    for lane in range(LANES):
        if agreed[lane] == 1.0:
            start[lane] = end[lane]
    widen(lanes.agreed, agreed)


@compiled
def run(first, end, walkers, rule, lanes, memory):
    """Make all sweeps of groups ``first … end - 1``, each after a round for its first force."""
    for group in range(first, end):
        gather(walkers, group * LANES, len(rule.shape), memory.kept, lanes)
        memory.totals[4:] = 0.0
        for sweep in range(rule.first_sweep - 1, rule.first_sweep + rule.sweeps):
            begins = sweep < rule.first_sweep
            if not begins:
                draw(memory.momenta, memory.words, memory.draws, sweep, lanes.walkers, rule.seed)
                kinetic(memory.momenta, lanes.sums, memory.totals[2])
            follow(rule, lanes, memory, begins)
            kinetic(memory.momenta, lanes.sums, memory.totals[3])
            action(
                memory.field, rule.shape, lanes.diagonal, lanes.quartic, lanes.sums,
                memory.totals[1],
            )  # fmt: skip
            decide(sweep, rule, lanes, memory.totals, begins)
            take(memory.kept, memory.field, lanes.agreed)
            take(memory.kept_force, memory.force, lanes.agreed)
        scatter(walkers, group * LANES, max(rule.sweeps, 1), memory.kept, memory.totals)


def _rule(given: Trajectories, shape: tuple[int, ...]) -> Rule:
    """Return the lattice and the sweeps as arrays."""
    dtype = given.configurations.dtype
    longest = max(shape)
    tables = torch.zeros(len(shape), longest, longest, dtype=dtype)
    for axis, length in enumerate(shape):
        tables[axis, :length, :length] = matrix_along(length, dtype, torch.device("cpu"))
    scales = given.scales.to(dtype).flatten()
    sites = int(np.prod(shape))
    wide = scales.expand(sites).repeat_interleave(LANES)
    return Rule(
        shape=np.array(shape, dtype=np.int64),
        tables=tables.numpy(),
        scales=wide.numpy(),
        # The same half as the twin's: that of the rounded scale.
        halves=(0.5 * wide).numpy(),
        by_mode=len(scales) > 1,
        leapfrogs=given.leapfrogs,
        first_sweep=given.first_sweep,
        sweeps=given.sweeps,
        seed=given.seed,
    )


def _lanes(dtype: Any) -> Lanes:
    """Return memory for the numbers of a group."""
    return Lanes(
        walkers=np.empty(WIDE, np.int64),
        diagonal=np.empty(WIDE),
        quartic=np.empty(WIDE),
        linear=np.empty(WIDE, dtype),
        cubic=np.empty(WIDE, dtype),
        agreed=np.empty(WIDE),
        sums=np.empty(WIDE),
    )


def _memory(sites: int, dtype: Any) -> Memory:
    """Return memory for a thread."""
    fields: Any = [np.zeros(sites * LANES, dtype) for _ in range(7)]
    words = np.empty((4, WIDE), np.uint64)
    numbers: Any = (words, np.empty((4, WIDE)), np.empty((9, LANES)))
    return Memory(*fields, *numbers)


def quartic_trajectories(given: Trajectories) -> FieldSweeps:
    """Make sweeps of hybrid Monte Carlo of every walker."""
    shape = tuple(given.configurations.shape[1:])
    if max(shape) > LONGEST:
        # Fast transforms are torch's.
        return reference.quartic_trajectories(given)
    fields: Tensor = given.configurations.clone(memory_format=torch.contiguous_format)
    flat = fields.flatten(1).numpy()
    count, sites = flat.shape
    columns = (given.walkers, given.mass_squared, given.quartic)
    arrays: Any = [column.detach().contiguous().numpy() for column in columns]
    results = torch.empty(3, count, dtype=torch.float64)
    walkers = Walkers(flat, arrays[0], arrays[1], arrays[2], results.numpy())
    rule = _rule(given, shape)

    def work(first: int, end: int) -> None:
        run(first, end, walkers, rule, _lanes(flat.dtype), _memory(sites, flat.dtype))

    cost = sites * LANES * given.sweeps * (given.leapfrogs + 2)
    over_walkers(work, -(-count // LANES), cost)
    return FieldSweeps(fields, *results)
