"""What a running density adds to holds of ``local_jump_steps``, for CPU kernels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..jumps.cpu_hold import growth
from ..native.compiling import inlined
from .reference import RunningClasses

__all__ = ["Density", "density_of", "hold_correction"]


class Density(NamedTuple):
    """A running density; one without levels where the density is frozen."""

    in_rates: NDArray[np.float64]
    """``(rows, classes)``."""
    levels: NDArray[np.float64]
    level: NDArray[np.int64]
    speed: float
    offset: float


def density_of(
    running: RunningClasses | None, rates: NDArray[np.float64], strides: NDArray[np.int64]
) -> Density:
    """Return a density as arrays; without one, others of its types that are not read."""
    if running is None:
        return Density(rates, np.empty(0), strides, 0.0, 0.0)
    tensors = (running.in_rates, running.levels, running.level)
    arrays = [tensor.detach().contiguous().numpy() for tensor in tensors]
    return Density._make((*arrays, running.speed, running.offset))


@inlined
def hold_correction(density, counts, row, kinds, number, remaining, elapsed, excesses):
    """Return ``Σ_c n_c w_c (I_{level(c)} - s)`` of a hold, class after class, as the twin does."""
    in_rates, levels, level, speed, offset = density
    # β - β* at the beginning of the hold, and its change until the end.
    begin = offset - speed * remaining
    change = speed * elapsed
    greatest = 0.0
    for place in range(len(levels)):
        slope = levels[place]
        excess = growth(begin * slope, change * slope, elapsed) - elapsed
        excesses[place] = excess
        greatest += abs(excess)
    total = 0.0
    if np.isfinite(greatest):
        # A weight of 0 adds 0, so that none need be told apart, which would take longer.
        for found in range(number):
            kind = kinds[found]
            total += float(counts[kind]) * in_rates[row, kind] * excesses[level[kind]]
        return total
    for found in range(number):
        kind = kinds[found]
        weight = float(counts[kind]) * in_rates[row, kind]
        if weight != 0.0:
            total += weight * excesses[level[kind]]
    return total
