"""What the loops of a CPU need to know of a model: neighbours, bonds and whole numbers."""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .cpu_bytes import MOST, VECTOR, Diagonals, diagonals
from .cpu_sites import Draws, Order, Terms, by_colour, in_order
from .cpu_thresholds import SPARE, Levels, Patterns
from .reference import Sweeps

__all__ = ["NONE", "Plan", "colours_of", "draws_of", "ordered", "plan_from", "plan_of"]

NONE = -1
"""Number of a neighbour that is not there, and of the colour of sites that have none."""
LARGEST = 127
"""The largest number of local fields less one."""
TOLERANCE = 1e-9
"""Couplings are whole multiples of the least of them to this."""
PLACES = 1024
"""Places of the walkers of a small lattice that are swept at once."""
KEPT = 8
"""How many plans are kept."""
KEPT_SITES = 2**20
"""The largest lattice whose plan is kept."""


@functools.lru_cache(maxsize=16)
def neighbours_of(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> Any:
    """Return the neighbours of all sites, -1 for none, int32 ``(2 ndim, sites)``."""
    index = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    rows = []
    for axis, wraps in enumerate(periodic):
        ahead = np.roll(index, -1, axis)
        behind = np.roll(index, 1, axis)
        if not wraps:
            # What comes round the edge is no neighbour.
            np.moveaxis(ahead, axis, 0)[-1] = NONE
            np.moveaxis(behind, axis, 0)[0] = NONE
        rows += [ahead.reshape(-1), behind.reshape(-1)]
    return np.stack(rows)


def flat(table: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a table with one axis for all sites, of length 1 where they are alike."""
    leading = table.shape[:2]
    if table.shape[2:].numel() > 1:
        table = table.expand(*leading, *shape)
    return table.reshape(*leading, -1)


def draws_of(given: Sweeps) -> Draws:
    """Return what chooses the random words."""
    walkers = given.walkers.contiguous().numpy()
    return Draws(walkers, given.first_sweep, given.sweeps, given.seed)


def colours_of(given: Any) -> Any:
    """Return the colours of a record, at most 127, as int8 ``(sites,)``."""
    # Colours of no class stay so in int8.
    colours = given.colours.clamp(NONE, given.num_colours).to(torch.int8)
    return colours.reshape(-1).contiguous().numpy()


def ordered(given: Sweeps, dtype: torch.dtype) -> tuple[Order, Terms]:
    """Return the sites by their colours, and the model's tables in their order."""
    shape = tuple(given.configurations.shape[1:])
    sites = np.empty(given.sites, np.uint32)
    ends = np.empty(given.num_colours + 1, np.int64)
    by_colour(colours_of(given), sites, ends)
    sites = sites[: ends[-1]]
    coupling = flat(given.coupling, shape).to(dtype).contiguous().numpy()
    near = np.empty((2 * len(shape), len(sites)), np.uint32)
    bonds = np.empty((len(coupling), *near.shape), coupling.dtype)
    in_order(sites, neighbours_of(shape, tuple(given.periodic)), coupling, near, bonds)
    site_table = flat(given.site_table, shape).to(dtype)
    if site_table.shape[2] > 1:
        site_table = site_table[:, :, torch.from_numpy(sites.astype(np.int64))]
    bond_table = given.bond_table.to(dtype)
    terms = Terms(
        bonds,
        bond_table.contiguous().numpy(),
        bond_table.T.contiguous().numpy(),
        site_table.contiguous().numpy(),
        given.beta.to(dtype).contiguous().numpy(),
    )
    return Order(sites, ends, near), terms


class Plan(NamedTuple):
    """Holds what the loops over bytes need of a model."""

    diagonals: Diagonals
    copies: int
    """Walkers that lie side by side."""
    patterns: Patterns
    model: tuple[Any, Any, Any]
    """Neighbours, their couplings and the bond table, in float32."""
    cost: int
    """Patterns of neighbours of one site."""

    @property
    def top(self) -> np.uint8:
        """The largest ``n``, counted from 0."""
        return np.uint8(2 * self.patterns.largest // self.patterns.step)

    def levels(self, tables: int) -> Levels:
        """Return room for the thresholds of so many tables."""
        rows = 4 * tables
        size = (rows, int(self.top) + 1 + SPARE)
        return Levels(
            np.empty(size, np.uint32),
            np.empty(size, np.uint32),
            np.empty(rows, np.int64),
            np.empty(rows, np.int64),
            np.empty((tables, 3), np.int64),
        )


class _Kept(NamedTuple):
    """Holds the plan of a lattice, and what it was made from."""

    plan: Plan
    shape: tuple[int, ...]
    periodic: tuple[bool, ...]
    sources: tuple[Tensor, Tensor, Tensor]
    """Copies of coupling, bond table and colours."""

    def fits(self, given: Sweeps) -> bool:
        """Return whether it was made from the same."""
        if self.shape != given.configurations.shape[1:] or self.periodic != tuple(given.periodic):
            return False
        present = (given.coupling, given.bond_table, given.colours)
        pairs = zip(self.sources, present, strict=True)
        return all(torch.equal(kept, now) for kept, now in pairs)


_plans: list[_Kept] = []


def plan_of(given: Sweeps) -> Plan | None:
    """Return the plan of a model of two states with few local fields; None for any other."""
    if given.q != 2 or given.num_colours != 2 or given.sites % 2:
        return None
    if len(given.coupling) > 1 or given.site_table.shape[2:].numel() > 1:
        return None
    for kept in list(_plans):
        if kept.fits(given):
            return kept.plan
    shape = tuple(given.configurations.shape[1:])
    periodic = tuple(given.periodic)
    neighbours = neighbours_of(shape, periodic)
    bonds = _bonds(flat(given.coupling, shape)[0].numpy(), neighbours)
    made = plan_from(neighbours, bonds, given.bond_table, colours_of(given))
    if made is not None and given.sites <= KEPT_SITES:
        sources = (given.coupling.clone(), given.bond_table.clone(), given.colours.clone())
        _plans.insert(0, _Kept(made, shape, periodic, sources))
        del _plans[KEPT:]
    return made


def plan_from(neighbours: Any, bonds: Any, bond_table: Tensor, colours: Any) -> Plan | None:
    """Return a plan; None where sites have many fields, or neighbours at many distances.

    Args:
        neighbours: -1 for none, int32 ``(slots, sites)``, in the order in which they are summed.
        bonds: their couplings, float64 ``(1 | slots, 1 | sites)``.
        bond_table: ``φ``, float64 ``(2, 2)``.
        colours: int8 ``(sites,)``, an even number.
    """
    (down_down, down_up), (up_down, up_up) = bond_table.tolist()
    if down_down != up_up or down_up != up_down or down_down == down_up:
        return None
    # Either colour has one site of each pair.
    if colours.min() < 0 or colours.max() > 1 or (colours[::2] == colours[1::2]).any():
        return None
    integers = _integers(bonds)
    if integers is None:
        return None
    largest, step = _range(integers, neighbours)
    if 2 * largest // step > LARGEST:
        return None
    places = len(colours) // 2
    found = _diagonals(places)
    if not diagonals(found, colours, neighbours, integers, largest, step):
        return None
    copies = max(1, PLACES // places)
    found = _repeated(found, places, copies)
    model = (neighbours, bonds.astype(np.float32), bond_table.float().contiguous().numpy())
    patterns = _patterns(model, integers, largest, step)
    return Plan(found, copies, patterns, model, math.prod(patterns.counts.tolist()))


def _bonds(coupling: Any, neighbours: Any) -> Any:
    """Return couplings ``(1 | axes, 1 | sites)`` by neighbour, ``(1 | slots, 1 | sites)``."""
    if coupling.size == 1:
        return coupling
    # Every direction has a neighbour ahead and one behind.
    wide = np.repeat(coupling, len(neighbours) // len(coupling), axis=0)
    if coupling.shape[1] == 1:
        return wide
    # A bond belongs to its lower end.
    behind = neighbours[1::2].astype(np.int64)
    wide[1::2] = np.take_along_axis(wide[1::2], behind, 1)
    return np.where(neighbours >= 0, wide, 0.0)


def _integers(bonds: Any) -> Any:
    """Return couplings as whole multiples of the least one; None where they are none."""
    sizes = np.abs(bonds)
    if not np.isfinite(sizes).all():
        return None
    if not sizes.any():
        return bonds.astype(np.int64)
    multiples = bonds / sizes[sizes > 0].min()
    integers = np.rint(multiples)
    if np.abs(integers).max() > LARGEST or np.abs(multiples - integers).max() > TOLERANCE:
        return None
    return integers.astype(np.int64)


def _diagonals(places: int) -> Diagonals:
    padded = _padded(places)
    return Diagonals(
        np.zeros(padded, np.uint8),
        np.zeros((2, padded), np.uint8),
        np.zeros((2, MOST), np.int64),
        np.zeros((2, MOST), np.int64),
        np.zeros((2, MOST), np.int64),
        np.zeros((2, MOST, padded), np.uint8),
        np.zeros(2, np.int64),
        VECTOR,
    )


def _padded(places: int) -> int:
    return -(-places // VECTOR) * VECTOR


def _repeated(found: Diagonals, places: int, copies: int) -> Diagonals:
    """Return the diagonals of several lattices side by side, and no more than there are."""
    number = int(found.counts.max())
    found = found._replace(weights=np.ascontiguousarray(found.weights[:, :number]))
    if copies == 1:
        return found
    padded = _padded(places * copies)

    def tiled(rows: Any) -> Any:
        wide = np.zeros((*rows.shape[:-1], padded), np.uint8)
        wide[..., : places * copies] = np.tile(rows[..., :places], copies)
        return wide

    return found._replace(
        swapped=tiled(found.swapped),
        base=tiled(found.base),
        firsts=np.zeros_like(found.firsts),
        ends=np.full_like(found.ends, padded),
        weights=tiled(found.weights),
        # All diagonals go from end to end, so that they reach out by their whole length.
        margin=_padded(places),
    )


def _range(integers: Any, neighbours: Any) -> tuple[int, int]:
    """Return the largest ``|n|``, and 2 if all ``n`` are even or all are odd, else 1."""
    totals = np.where(neighbours >= 0, np.abs(integers), 0).sum(0)
    largest = int(totals.max())
    if ((totals - largest) % 2).any():
        return largest, 1
    return largest, 2


def _patterns(model: tuple[Any, Any, Any], integers: Any, largest: int, step: int) -> Patterns:
    neighbours, bonds, table = model
    slots = []
    for slot, there in enumerate(neighbours):
        row = min(slot, len(integers) - 1)
        options = []
        none = bool((there < 0).any())
        for number, index in zip(*np.unique(integers[row], return_index=True), strict=True):
            if number == 0:
                none = True
                continue
            options += [(number, bonds[row, index], state) for state in range(2)]
        if none:
            options.append((0, np.float32(0.0), 0))
        slots.append(options)
    most = max(len(options) for options in slots)
    terms = np.zeros((len(slots), most, 2), np.float32)
    codes = np.zeros((len(slots), most), np.int64)
    for slot, options in enumerate(slots):
        for place, (number, bond, state) in enumerate(options):
            terms[slot, place] = bond * table[:, state]
            codes[slot, place] = number * (2 * state - 1)
    counts = np.array([len(options) for options in slots], np.int64)
    return Patterns(terms, codes, counts, largest, step)
