"""CPU loops of ``parity_map``: one walker after the other, whose sites stay in a core's cache.

Sites are the inner axis of all loops, a block of them at a time, so that the compiler computes many
at once. Weights are taken in tiles, which saves reads and writes; what fills up the last tile is 0.
"""

from typing import Any

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
ROWS = 4
"""Rows of weights that are taken together: what they read is read once."""
COLUMNS = 2
"""Columns that are taken together: sums are read and written once for both."""
HUGE = 1e30
"""So many of these have a product that is finite."""
ONE = np.float32(1.0)
NOUGHT = np.float32(0.0)


@inlined
def add_products(weights, inputs, out, count):
    """Add ``Σ_c weights[r, c] inputs[c]`` to each row ``r`` of ``out``, ``count`` sites.

    Rows are a multiple of ROWS, columns of COLUMNS.
    """
    rows, columns = weights.shape
    for r in range(0, rows, ROWS):
        out0 = out[r]
        out1 = out[r + 1]
        out2 = out[r + 2]
        out3 = out[r + 3]
        for c in range(0, columns, COLUMNS):
            w00 = weights[r, c]
            w01 = weights[r, c + 1]
            w10 = weights[r + 1, c]
            w11 = weights[r + 1, c + 1]
            w20 = weights[r + 2, c]
            w21 = weights[r + 2, c + 1]
            w30 = weights[r + 3, c]
            w31 = weights[r + 3, c + 1]
            first = inputs[c]
            second = inputs[c + 1]
            for i in range(count):
                x0 = first[i]
                x1 = second[i]
                out0[i] += w00 * x0 + w01 * x1
                out1[i] += w10 * x0 + w11 * x1
                out2[i] += w20 * x0 + w21 * x1
                out3[i] += w30 * x0 + w31 * x1


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
    width, taps = given.taps.shape
    # Units and taps of weight 0 add nothing: tanh 0 = 0.
    more = -width % ROWS
    wider = -taps % COLUMNS
    arrays = (
        _filled(given.own, (0, more)),
        _filled(given.taps, (0, wider, 0, more)),
        _filled(given.mean, (0, more)),
        _filled(given.hidden, (0, more, 0, more)),
        _filled(given.readout, (0, more)),
    )
    places = given.sublattices.contiguous().numpy()
    windows = _filled(given.windows.transpose(1, 2), (0, 0, 0, wider))
    parities = np.array(given.parities, dtype=np.int64)
    steps = np.array(given.steps, dtype=np.float64)
    fields = after.numpy()
    logs = determinants.numpy()

    def work(begin: int, end: int) -> None:
        pass_over(fields, begin, end, places, windows, arrays, parities, steps, logs)

    # A site of a pass costs some hundred times what one of a sweep of spins does.
    over_walkers(work, walkers, 100 * fields.shape[1] * len(steps))
    moved = after.to(given.configurations.dtype).view_as(given.configurations)
    return Moved(moved, determinants)


def _filled(tensor: Tensor, more: tuple[int, ...]) -> Any:
    """Return a tensor with zeros after its ends, as loops read it."""
    filled = torch.nn.functional.pad(tensor.detach(), more)
    return filled.contiguous().numpy()
