"""What the loops of both cluster updates share: the model, exchanges of states, limits of bonds.

Of a random word the 23 upper bits ``m`` count, as the number ``u = (m + 1/2) 2⁻²³``. A bond joins
if ``u`` exceeds ``p = e^{-gain}``, which is to say if ``m`` is at least its *limit*, an integer; no
``m`` is as large as :data:`NEVER`.
"""

from typing import NamedTuple

import numpy as np

from ..functions.cpu import exponential
from ..native.compiling import inlined
from ..philox import Stream

__all__ = [
    "BY_BOND", "BY_EQUALITY", "BY_STATES", "CHUNK", "CLUSTER", "NEVER", "NINE", "STEP", "Plan",
    "Space", "Tables", "by_states", "difference", "exchange", "gain_at", "integer", "limit_of",
]  # fmt: skip

CLUSTER = int(Stream.CLUSTER)
NEVER = np.int32(2**23)
NINE = np.uint32(9)
STEP = 2.0**-23
SCALE = np.float32(2.0**23)
MIDDLE = np.float32(0.5)
ONE = np.float32(1.0)
HALF = np.uint64(32)

BY_EQUALITY = 0
"""Limits, one per bond, know whether two states are equal, and no more."""
BY_STATES = 1
"""Limits stand in a table of two states for each axis, whose bonds are all alike."""
BY_BOND = 2
"""Gains follow from two states and the coupling of the bond; there are no limits."""

CHUNK = 256
"""Bonds whose words are drawn at once."""


class Tables(NamedTuple):
    """The model, as the loops take it."""

    lengths: np.ndarray
    """Int64 ``(axes,)``; Wolff's loop takes four, the first of length 1 where there are fewer."""
    periodic: np.ndarray
    """Bool ``(axes,)``."""
    beta: np.ndarray
    """Float64 ``(walkers,)``."""
    coupling: np.ndarray
    """Float32 ``(1 | walkers, axes, 1 | sites)``."""
    bond_table: np.ndarray
    """Float32 ``(q, q)``."""
    site_table: np.ndarray
    """Float64 ``(1 | walkers, q, 1 | sites)``; no walkers where there is no field."""


class Plan(NamedTuple):
    """What is done to the walkers, and with which random numbers."""

    kind: int
    """How limits are found."""
    reflection: bool
    """Whether ``R`` is a reflection."""
    recolour: bool
    """Whether clusters take any state."""
    rest: float
    """The probability that Wolff's update leaves the cluster as it is."""
    first_sweep: int
    sweeps: int
    seed: int


class Space(NamedTuple):
    """Memory of a thread."""

    words: np.ndarray
    """Uint64: two words of 32 bits each, one for each bond, in whole chunks."""
    limits: np.ndarray
    """Int32, one for each bond, or for each axis and pair of states."""
    energies: np.ndarray
    """Float32 ``(q * q,)``: ``φ(a, b) - φ(R a, b)``."""
    other: np.ndarray
    """Uint8 ``(q,)``: ``R``."""
    bonds: np.ndarray
    """Uint8 ``(axes * sites,)``: whether a bond joins; Wolff's loop needs their number alone."""
    shifted: np.ndarray
    """Uint8 ``(sites,)``: states of neighbours along one axis, or marks of members."""
    links: np.ndarray
    """Uint32 ``(sites,)``: links of trees."""
    counts: np.ndarray
    """Uint32 ``(2 * sites,)``: sites of each cluster."""
    gains: np.ndarray
    """Float64 ``(sites,)``: sums of fields; none where there is no field."""
    members: np.ndarray
    """Uint32 ``(sites + 1,)``: sites of one cluster, and room for one more."""
    drawn: np.ndarray
    """Int64 ``(chunks,)``: number of the update for which a chunk was drawn."""
    progress: np.ndarray
    """Int64 ``(2,)``: members whose neighbours are known, members."""


@inlined
def integer(word, number):
    """Return an integer uniform in ``0 … number - 1``, the upper half of a product."""
    return np.int64((np.uint64(word) * np.uint64(number)) >> HALF)


@inlined
def exchange(bond_table, reflection, recolour, first, second, other, energies):
    """Write which state ``R`` makes of each, and ``φ(a, b) - φ(R a, b)``.

    Where clusters take any state, ``φ(0, 1)`` stands for ``φ(R a, b)``.
    """
    q = other.shape[0]
    for a in range(q):
        made = a
        if reflection:
            made = (first + second + q - a) % q
        elif a == first:
            made = second
        elif a == second:
            made = first
        other[a] = made
        for b in range(q):
            without = bond_table[0, 1]
            if not recolour:
                without = bond_table[made, b]
            energies[a * q + b] = bond_table[a, b] - without


@inlined
def limit_of(gain):
    """Return the limit of a bond."""
    p = exponential(-gain)
    limit = NEVER
    # NaN joins nothing.
    if p < ONE:
        # Exact: the product changes the exponent alone, and p is below 1.
        limit = np.int32(np.floor(p * SCALE - MIDDLE)) + np.int32(1)
    return limit


@inlined
def by_states(scale, coupling, energies, limits):
    """Write the limits of an axis whose bonds are all alike, by two states."""
    strength = scale * coupling[0]
    for pair in range(energies.shape[0]):
        limits[pair] = limit_of(strength * energies[pair])


@inlined
def gain_at(site, state, beta, table, other):
    """Return ``β h_i(R x_i) - β h_i(x_i)``."""
    if table.shape[1] == 1:
        site = 0
    return beta * table[other[state], site] - beta * table[state, site]


@inlined
def difference(before, after):
    """Return the fraction of sites whose value differs."""
    number = 0
    for site in range(before.shape[0]):
        number += before[site] != after[site]
    return np.float32(number) / np.float32(before.shape[0])
