"""What the loops of a CPU need to know of a graph: the order of its sites, and limits of words.

A site is redrawn or moved by whether its 23-bit number lies below a limit, which follows from its
couplings and field, its *kind*, and the states of its neighbours, a *pattern*. Where kinds and
patterns are few, limits are found once, from the float32 numbers of the twin, and looked up.
"""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..functions.cpu import exponential
from ..gathered.checks import colour_type
from ..native.compiling import compiled, inlined
from ..site_sweeps.cpu_sites import by_colour
from ..site_sweeps.cpu_tables import NONE, plan_from
from ..site_sweeps.cpu_tables import Plan as Bytes
from .reference import GraphSweeps

__all__ = ["Order", "Plan", "Terms", "limits_of", "plan_of", "ranked_of"]

ZERO = np.float32(0.0)
ALL = 2**23
"""Numbers below this are drawn."""
MOST_PATTERNS = 2**12
"""Patterns of one kind, at most."""
MOST_LIMITS = 2**20
"""Limits of one model, at most."""
MOST_DEGREE = 7
"""Neighbours whose states are one byte, at most."""
MOST_VALUES = 32
"""Sums that are looked up by choices, at most."""
MOST_CUTS = 12
"""Different limits of one kind that words are compared with, at most."""
NEVER = 255
SHIFT = 9
"""The lower bits of a word that are not used."""
COST = 8
"""Visits of sites that take as long as one limit."""
KEPT = 8
"""How many plans are kept."""
KEPT_SITES = 2**20
"""The largest graph whose plan is kept."""
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
HIGH = np.uint64(29)


class Order(NamedTuple):
    """Holds the sites colour by colour, and what lies around each, in that order."""

    sites: Any
    """Flat indices, uint32 ``(places,)``; those of no colour are left out."""
    ends: Any
    """Colour ``c`` is ``sites[ends[c] : ends[c + 1]]``, int64 ``(num_colours + 1,)``."""
    near: Any
    """Neighbours, uint32 ``(degree, places)``."""
    behind: Any
    """Whether the site is the second end, uint8 ``(degree, places)``."""


class Terms(NamedTuple):
    """Holds the tables of a model, in the order of the sites and the type of its fields."""

    bonds: Any
    """``J`` of each neighbour, 0 for none, ``(1 | walkers, degree, places)``."""
    tables: Any
    """``φ`` with the site's own state first, as first end and as second, ``(q, 2 q)``."""
    site_table: Any
    """``h``, ``(1 | walkers, q, 1 | places)``."""


class Plan:
    """Holds the order and the tables of a model, and what they were made from.

    Args:
        given: the record of the op.
        dtype: of the fields.
    """

    def __init__(self, given: GraphSweeps, dtype: torch.dtype) -> None:
        self._sources = [source.clone() for source in _sources(given)]
        self._dtype = dtype
        self._colours = given.num_colours
        self._kinds: tuple[Any, Any] | None = None
        self._limits: dict[tuple[float, float], tuple[Any, ...]] = {}
        self._visits: dict[tuple[float, float], int] = {}
        sites = np.empty(given.sites, np.uint32)
        ends = np.empty(given.num_colours + 1, np.int64)
        colours = given.colours.clamp(-1, given.num_colours).to(colour_type(given.num_colours))
        by_colour(colours.contiguous().numpy(), sites, ends)
        sites = sites[: ends[-1]]
        places = torch.from_numpy(sites.astype(np.int64))
        near = given.neighbours.index_select(1, places).numpy().astype(np.uint32)
        behind = given.behind.index_select(1, places).to(torch.uint8).numpy()
        self.order = Order(sites, ends, near, behind)
        bond = given.bond.index_select(1, places)
        coupling = torch.atleast_2d(given.coupling).to(dtype)
        bonds = coupling.index_select(1, bond.flatten()).view(len(coupling), *bond.shape)
        site_table = given.site_table.to(dtype)
        if site_table.shape[2] > 1:
            site_table = site_table.index_select(2, places)
        ahead = given.bond_table.to(dtype)
        self.terms = Terms(
            bonds.contiguous().numpy(),
            torch.cat([ahead, ahead.T], 1).contiguous().numpy(),
            site_table.contiguous().numpy(),
        )

    def fits(self, given: GraphSweeps, dtype: torch.dtype) -> bool:
        """Return whether it was made from the same."""
        if dtype != self._dtype or given.num_colours != self._colours:
            return False
        pairs = zip(self._sources, _sources(given), strict=True)
        return all(torch.equal(kept, now) for kept, now in pairs)

    @property
    def own(self) -> bool:
        """Whether walkers have couplings or fields of their own."""
        return len(self.terms.bonds) > 1 or len(self.terms.site_table) > 1

    @cached_property
    def in_bytes(self) -> Bytes | None:
        """What loops over bytes need; None for a model that these do not serve."""
        coupling, bond_table, site_table, neighbours, bond, _, colours = self._sources
        alike = not self.own and site_table.shape[2] == 1
        if not alike or self._colours != 2 or len(bond_table) != 2:
            return None
        if len(colours) % 2 or not len(neighbours):
            return None
        bonds = coupling.flatten()[bond.long()].numpy()
        # Padding leads nowhere.
        near = neighbours.masked_fill(bond == coupling.shape[-1] - 1, NONE)
        own = colours.clamp(NONE, 2).to(torch.int8)
        return plan_from(near.numpy(), bonds, bond_table, own.numpy())

    def patterns(self, q: int) -> int:
        """Return how many patterns of neighbours a site may have."""
        return int(q ** len(self.order.near))

    def kinds(self) -> tuple[Any, Any]:
        """Return the kind of each place, and a place of each kind; int64."""
        if self._kinds is None:
            bonds = self.terms.bonds[0].T
            table = np.broadcast_to(
                self.terms.site_table[0].T, (len(bonds), len(self.terms.tables))
            )
            behind = self.order.behind.T.astype(np.float32)
            rows = np.ascontiguousarray(np.concatenate([bonds, table, behind], 1), np.float32)
            kinds = np.empty(len(rows), np.int64)
            number = number_kinds(rows.view(np.uint32), kinds)
            first = np.empty(number, np.int64)
            # Any place of a kind tells what it is.
            first[kinds] = np.arange(len(rows))
            self._kinds = (kinds, first)
        return self._kinds

    def visits(self, beta: float, keep: float, more: int) -> int:
        """Return how many sites were visited in a row at these numbers, so many more counted in."""
        chosen = (beta, keep)
        # Of the last ones alone, as limits are kept.
        self._visits = {chosen: self._visits.get(chosen, 0) + more}
        return self._visits[chosen]

    def limits(self, beta: float, keep: float) -> tuple[Any, ...]:
        """Return the kind of each place, all limits and their ranks, kept for the next call.

        Args:
            beta: inverse temperature.
            keep: probability that a site does not rest; 0 for the heat bath.
        """
        chosen = (beta, keep)
        if chosen not in self._limits:
            bonds, tables, site_table = self.terms
            kinds, first = self.kinds()
            q = len(tables)
            own = q - 1
            if keep > 0.0:
                own = q * q
            limits = np.empty((len(first), self.patterns(q), own), np.uint32)
            numbers = (np.float32(beta), np.float32(keep))
            limits_of(limits, first, bonds[0], self.order.behind, tables, site_table[0], *numbers)
            # The last ones alone: a path asks for a new β each time.
            self._limits = {chosen: (kinds, limits, ranked_of(limits, len(bonds[0]), q))}
        return self._limits[chosen]


def _sources(given: GraphSweeps) -> tuple[Tensor, ...]:
    return (
        given.coupling, given.bond_table, given.site_table, given.neighbours, given.bond,
        given.behind, given.colours,
    )  # fmt: skip


_plans: list[Plan] = []


def plan_of(given: GraphSweeps, dtype: torch.dtype) -> Plan:
    """Return the plan of a model, made anew if none that is kept fits."""
    for plan in list(_plans):
        if plan.fits(given, dtype):
            return plan
    made = Plan(given, dtype)
    if given.sites <= KEPT_SITES:
        _plans.insert(0, made)
        del _plans[KEPT:]
    return made


@compiled
def number_kinds(rows, kinds):
    """Write the kind of each row, uint32 ``(rows, columns)``; return how many there are."""
    size = 2
    while size < 2 * len(rows):
        size *= 2
    # Open addressing: a row whose place is taken by another kind goes to the next place.
    slots = np.full(size, -1, np.int64)
    number = 0
    for i in range(len(rows)):
        mixed = np.uint64(0)
        for j in range(rows.shape[1]):
            mixed = (mixed ^ np.uint64(rows[i, j])) * MULTIPLIER
            mixed ^= mixed >> HIGH
        slot = np.int64(mixed & np.uint64(size - 1))
        while True:
            other = slots[slot]
            if other < 0:
                slots[slot] = i
                kinds[i] = number
                number += 1
                break
            same = True
            for j in range(rows.shape[1]):
                same &= rows[i, j] == rows[other, j]
            if same:
                kinds[i] = kinds[other]
                break
            slot = (slot + 1) & (size - 1)
    return number


@inlined
def below(probability):
    """Return how many 23-bit numbers lie below a probability; all if it is none."""
    if probability != probability:
        return ALL
    # Number m stands for (m + 1/2) 2⁻²³; all of this is exact in float64.
    return min(int(np.ceil(np.float64(probability) * ALL - 0.5)), ALL)


@inlined
def write_redraws(limits, fields, weights, beta):
    """Write the limits of the heat bath of one site, ``(q - 1,)``."""
    q = len(fields)
    top = fields[0] * beta
    for a in range(q):
        weights[a] = fields[a] * beta
        top = max(top, weights[a])
    total = ZERO
    for a in range(q):
        weights[a] = exponential(weights[a] - top)
        total += weights[a]
    threshold = ZERO
    for a in range(q - 1):
        threshold += weights[a] / total
        limits[a] = max(0, below(threshold))


@inlined
def write_moves(limits, fields, beta, keep):
    """Write the limits of Metropolis of one site, from any state to any, ``(q · q,)``."""
    q = len(fields)
    for here in range(q):
        for there in range(q):
            change = beta * (fields[there] - fields[here])
            probability = keep * exponential(min(change, ZERO))
            # What is no number is never accepted.
            if probability != probability:
                probability = ZERO
            limits[q * here + there] = max(0, below(probability))


@compiled
def limits_of(limits, first, bonds, behind, tables, site_table, beta, keep):
    """Write the limits of all kinds and patterns: of the heat bath if ``keep`` is 0.

    ``limits`` uint32 ``(kinds, patterns, q - 1 or q²)``; ``first`` a place of each kind.
    """
    q = len(tables)
    degree = len(bonds)
    fields = np.empty(q, np.float32)
    weights = np.empty(q, np.float32)
    for kind in range(len(first)):
        place = first[kind]
        for pattern in range(limits.shape[1]):
            for a in range(q):
                fields[a] = site_table[a, min(place, site_table.shape[1] - 1)]
            # The first neighbour is the highest digit of a pattern.
            power = limits.shape[1]
            for slot in range(degree):
                power //= q
                state = pattern // power % q
                column = state + q * np.int64(behind[slot, place])
                for a in range(q):
                    fields[a] += bonds[slot, place] * tables[a, column]
            if keep == ZERO:
                write_redraws(limits[kind, pattern], fields, weights, beta)
            else:
                write_moves(limits[kind, pattern], fields, beta, keep)


def ranked_of(limits: Any, degree: int, q: int) -> tuple[Any, Any, Any, Any]:
    """Return weights, cuts, their numbers and tables of needs of two states with few limits.

    The weighted sum of the neighbours in state 1 is looked up in tables, and tells how many cuts
    must lie at or below a word. No weights where limits are to be looked up themselves.

    Args:
        limits: what :func:`limits_of` has written.
        degree: neighbours of a site.
        q: states of a site.
    """
    weights = np.zeros(min(degree, MOST_DEGREE), np.uint8)
    cuts = np.empty((len(limits), MOST_CUTS), np.uint32)
    counts = np.empty(len(limits), np.int64)
    tables = np.zeros((len(limits), 2, 2 ** len(weights)), np.uint8)
    values = 0
    if q == 2 and degree == len(weights):
        values = write_needs(limits, weights, cuts, counts, tables)
    if values == 0:
        weights = weights[:0]
    return weights, cuts, counts, tables[:, :, :values]


@inlined
def by_count(limits, degree):
    """Return whether limits depend on the number of neighbours in state 1 alone."""
    for kind in range(limits.shape[0]):
        for pattern in range(limits.shape[1]):
            ones = 0
            for slot in range(degree):
                ones += pattern >> slot & 1
            for j in range(limits.shape[2]):
                if limits[kind, pattern, j] != limits[kind, (1 << ones) - 1, j]:
                    return False
    return True


@compiled
def write_needs(limits, weights, cuts, counts, tables):
    """Write what :func:`ranked_of` returns; return how many sums there are, 0 for too many."""
    degree = len(weights)
    counted = by_count(limits, degree)
    values = degree + 1 if counted else limits.shape[1]
    if values > MOST_VALUES:
        return 0
    for slot in range(degree):
        weights[slot] = 1 if counted else 1 << (degree - 1 - slot)
    # The heat bath has one limit, Metropolis one from either state.
    sides = min(limits.shape[2], 2)
    offset = limits.shape[2] > 1
    for kind in range(len(limits)):
        own = np.empty(values * sides, np.int64)
        for value in range(values):
            pattern = (1 << value) - 1 if counted else value
            for side in range(sides):
                own[value * sides + side] = limits[kind, pattern, side + offset]
        number = 0
        for limit in np.unique(own):
            # All numbers reach 0, and none reaches all.
            if 0 < limit < ALL:
                if number == cuts.shape[1]:
                    return 0
                cuts[kind, number] = limit << SHIFT
                number += 1
        counts[kind] = number
        for value in range(values):
            for side in range(sides):
                limit = own[value * sides + side]
                need = 0
                for k in range(number):
                    need += cuts[kind, k] <= limit << SHIFT
                tables[kind, side, value] = NEVER if limit >= ALL else need
    return values
