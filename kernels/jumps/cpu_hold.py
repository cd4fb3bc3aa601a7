"""What a running density adds to a hold, for CPU kernels: the twin's results, to the last bit."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..functions.cpu import exponential64, mean_exponential64
from ..native.bits import bits_of
from ..native.compiling import inlined

__all__ = ["SLOTS", "Density", "growth", "hold_correction"]

SLOTS = 64
"""Slopes whose integrals are kept: a model on a lattice has few that differ."""

# Multiplicative hashing: the uppermost bits of a product with 2^64 over the golden ratio.
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
FOLD = np.uint64(32)
SHIFT = np.uint64(64 - 6)


class Density(NamedTuple):
    """A running density of many walkers; of none where the density is frozen."""

    in_rates: NDArray[np.floating]
    """``(walkers, moves)``."""
    slopes: NDArray[np.floating]
    """``(walkers, moves)``."""
    speed: NDArray[np.float64]
    offset: NDArray[np.float64]


@inlined
def growth(exponent, change, elapsed):
    """Return ``∫_0^s exp(E + c u / s) du`` of ``E``, ``c`` and ``s``."""
    greatest = exponent
    if change > 0.0:
        greatest = exponent + change
    return elapsed * exponential64(greatest) * mean_exponential64(-abs(change))


@inlined
def slot_of(slope):
    """Return where the integral of this slope is kept."""
    bits = np.uint64(bits_of(slope))
    # Small integers differ in their uppermost bits alone.
    return np.int64(((bits ^ (bits >> FOLD)) * MULTIPLIER) >> SHIFT)


@inlined
def hold_correction(density, w, remaining, elapsed, kept, excesses):
    """Return ``Σ_m w_m (I_m - s)`` of a hold of walker ``w``.

    ``kept`` and ``excesses`` are memory for the slopes that were met, and for ``I - s`` of these.
    """
    in_rates, slopes, speed, offset = density
    # β - β* at the beginning of the hold, and its change until the end.
    begin = offset[w] - speed[w] * remaining
    change = speed[w] * elapsed
    # NaN is equal to no slope: what was kept of another hold is forgotten.
    kept[:] = np.nan
    total = 0.0
    for move in range(in_rates.shape[1]):
        weight = float(in_rates[w, move])
        if weight != 0.0:
            slope = float(slopes[w, move])
            slot = slot_of(slope)
            if kept[slot] != slope:
                kept[slot] = slope
                excesses[slot] = growth(begin * slope, change * slope, elapsed) - elapsed
            total += weight * excesses[slot]
    return total
