"""CPU loops of ``parity_map``: one walker after the other, whose sites stay in a core's cache.

Sites are the inner axis of all loops, a block of them at a time, so that the compiler computes many
at once. Rows of weights are taken four at a time, which saves reads and writes of sums.
"""

import numpy as np
import torch
from torch import Tensor

from ..functions.cpu import hyperbolic_tangent, logarithm
from ..native.compiling import compiled, inlined
from ..native.threads import over_walkers
from . import reference
from .reference import Moved, Passing

__all__ = ["parity_map"]

LANES = 8
"""Sites that are computed together, at least: whole vectors."""
BLOCK = 96
"""Sites of a block, at most: their activations stay in the smallest cache."""
FACTORS = 8
"""Factors of a determinant in one logarithm: each is below 2, and far above 1e-30."""
HUGE = 1e30
"""So many of these have a product that is finite."""
ONE = np.float32(1.0)
NOUGHT = np.float32(0.0)


@inlined
def add_products(weights, inputs, out, count):
    """Add ``Σ_c weights[r, c] inputs[c]`` to each row ``r`` of ``out``, ``count`` sites."""
    rows, columns = weights.shape
    whole = columns - columns % 4
    for r in range(rows):
        row = out[r]
        for c in range(0, whole, 4):
            w0 = weights[r, c]
            w1 = weights[r, c + 1]
            w2 = weights[r, c + 2]
            w3 = weights[r, c + 3]
            first = inputs[c]
            second = inputs[c + 1]
            third = inputs[c + 2]
            fourth = inputs[c + 3]
            for i in range(count):
                row[i] += (w0 * first[i] + w1 * second[i]) + (w2 * third[i] + w3 * fourth[i])
        for c in range(whole, columns):
            w0 = weights[r, c]
            first = inputs[c]
            for i in range(count):
                row[i] += w0 * first[i]


@inlined
def evaluate(site, seen, mean, weights, work, count):
    """Write ``f`` and its slope at a block of sites into the last two rows of ``work[4]``.

    Args:
        site: ``φ_i``, float32 ``(count,)``.
        seen: what each reads, ``(taps, count)``.
        mean: that of the other sublattice.
        weights: ``o``, ``A``, ``m``, ``W``, ``r``.
        work: room for the first layer, its slope, the second, its slope, float32 ``(4, width,
            count)``, and for the two results.
        count: sites, whole vectors of them.
    """
    own, taps, means, hidden, readout = weights
    first, first_slope, second, second_slope, f, slope = work
    width = len(own)
    for h in range(width):
        row = first[h]
        from_own = own[h]
        constant = means[h] * mean
        for i in range(count):
            row[i] = from_own * site[i] + constant
    add_products(taps, seen, first, count)
    for h in range(width):
        row = first[h]
        slopes = first_slope[h]
        from_own = own[h]
        for i in range(count):
            value = hyperbolic_tangent(row[i])
            row[i] = value
            slopes[i] = (ONE - value * value) * from_own
    second[:, :count] = NOUGHT
    second_slope[:, :count] = NOUGHT
    add_products(hidden, first, second, count)
    add_products(hidden, first_slope, second_slope, count)
    f[:count] = NOUGHT
    slope[:count] = NOUGHT
    for g in range(width):
        row = second[g]
        slopes = second_slope[g]
        weight = readout[g]
        for i in range(count):
            value = hyperbolic_tangent(row[i])
            f[i] += weight * value
            slope[i] += weight * ((ONE - value * value) * slopes[i])


@compiled
def pass_over(fields, begin, end, places, windows, weights, parities, steps, determinants):
    """Make all passes of walkers ``begin … end - 1``, in place.

    Args:
        fields: float64 ``(walkers, sites)``.
        begin: first walker.
        end: the one after the last.
        places: flat indices of the sites of each sublattice, int64 ``(2, sites / 2)``.
        windows: flat indices that they read, int64 ``(2, taps, sites / 2)``.
        weights: ``o``, ``A``, ``m``, ``W``, ``r``, float32.
        parities: of each pass, int64.
        steps: ``η`` of each pass, float64.
        determinants: logarithms, float64 ``(walkers,)``, written.
    """
    half = places.shape[1]
    taps = windows.shape[1]
    width = len(weights[0])
    # Blocks of nearly the same length, each of whole vectors.
    blocks = max(1, (half + BLOCK - 1) // BLOCK)
    length = (half + blocks - 1) // blocks
    length = (length + LANES - 1) // LANES * LANES
    site = np.zeros(length, dtype=np.float32)
    seen = np.zeros((taps, length), dtype=np.float32)
    f = np.zeros(length, dtype=np.float32)
    slope = np.zeros(length, dtype=np.float32)
    first = np.zeros((width, length), dtype=np.float32)
    first_slope = np.zeros((width, length), dtype=np.float32)
    second = np.zeros((width, length), dtype=np.float32)
    second_slope = np.zeros((width, length), dtype=np.float32)
    work = (first, first_slope, second, second_slope, f, slope)
    narrow = np.zeros(fields.shape[1], dtype=np.float32)
    for walker in range(begin, end):
        field = fields[walker]
        total = 0.0
        rises = True
        for i in range(len(narrow)):
            narrow[i] = np.float32(field[i])
        for number in range(len(parities)):
            parity = parities[number]
            step = steps[number]
            here = places[parity]
            others = places[1 - parity]
            around = windows[parity]
            summed = 0.0
            for i in range(half):
                summed += narrow[others[i]]
            mean = np.float32(summed / max(half, 1))
            for start in range(0, half, length):
                stop = min(half, start + length)
                for i in range(start, stop):
                    site[i - start] = narrow[here[i]]
                for tap in range(taps):
                    row = seen[tap]
                    reads = around[tap]
                    for i in range(start, stop):
                        row[i - start] = narrow[reads[i]]
                evaluate(site, seen, mean, weights, work, length)
                product = 1.0
                for i in range(start, stop):
                    place = here[i]
                    moved = field[place] + step * f[i - start]
                    field[place] = moved
                    # Other sites of this sublattice do not read it.
                    narrow[place] = np.float32(field[place])
                    factor = 1.0 + step * slope[i - start]
                    # A map that falls somewhere has no logarithm, and two of them no sign.
                    rises = rises and 0.0 < factor < HUGE
                    product *= factor
                    if (i - start) % FACTORS == FACTORS - 1:
                        total += logarithm(product)
                        product = 1.0
                total += logarithm(product)
        determinants[walker] = total if rises else np.nan


def parity_map(given: Passing) -> Moved:
    """Return what :func:`leaps_triton.kernels.parity_map` defines, by loops for float32 weights."""
    if given.own.dtype != torch.float32:
        return reference.parity_map(given)
    walkers = len(given.configurations)
    # In float64 whatever the type, so that there is one loop, and fields are rounded once.
    after = given.configurations.flatten(1).to(torch.float64, copy=True).contiguous()
    determinants = torch.zeros(walkers, dtype=torch.float64)
    arrays = [_array(each) for each in given[3:8]]
    places = given.sublattices.contiguous().numpy()
    windows = given.windows.transpose(1, 2).contiguous().numpy()
    parities = np.array(given.parities, dtype=np.int64)
    steps = np.array(given.steps, dtype=np.float64)
    fields = after.numpy()
    logs = determinants.numpy()

    def work(begin: int, end: int) -> None:
        pass_over(fields, begin, end, places, windows, tuple(arrays), parities, steps, logs)

    # A site of a pass costs some hundred times what one of a sweep of spins does.
    over_walkers(work, walkers, 100 * fields.shape[1] * len(steps))
    moved = after.to(given.configurations.dtype).view_as(given.configurations)
    return Moved(moved, determinants)


def _array(weights: Tensor) -> np.ndarray:
    """Return weights for loops, without their history."""
    array: np.ndarray = weights.detach().contiguous().numpy()
    return array
