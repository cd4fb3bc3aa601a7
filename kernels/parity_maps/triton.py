"""The kernel of ``parity_map``: one program makes all passes of a walker."""

import itertools
from functools import partial
from typing import NamedTuple

import torch
import triton.language as tl
from torch import Tensor

from ..configs import config
from ..device import kernel
from ..functions.triton import hyperbolic_tangent
from ..graphs.packing import packed
from ..variants import Variant, block_size, launch
from . import reference
from .reference import Moved, Passing

__all__ = ["VARIANTS", "WIDTHS", "parity_map"]

WIDTHS = (16, 32, 64)
"""Hidden widths with kernels; one between is filled up with zeros, a larger one left to torch."""
TILE = 16
"""Taps of one matrix product."""


@kernel
def parity_map_kernel(
    p_fields, p_places, p_windows, p_own, p_taps, p_mean, p_hidden, p_readout, p_parities, p_steps,
    p_determinants,
    sites: tl.int32, half: tl.int32, taps: tl.int32, passes: tl.int32,
    WIDTH: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Make the passes ``φ_i ← φ_i + η f_i`` of one walker, in place, and sum ``log(1 + η f'_i)``.

    ``fields`` float32 or float64 ``(walkers, sites)``; ``places`` int32 ``(2, half)``, ``windows``
    int32 ``(2, taps, half)``; ``own``, ``mean``, ``readout`` float32 ``(WIDTH,)``, ``taps``
    ``(taps, WIDTH)`` and ``hidden`` ``(WIDTH, WIDTH)`` transposed, the number of taps a multiple of
    TILE; ``parities`` int32 and ``steps`` float64 ``(passes,)``; ``determinants`` float64
    ``(walkers,)``.
    """
    i_walker = tl.program_id(0).to(tl.int64)
    p_fields += i_walker * sites
    o_width = tl.arange(0, WIDTH)
    o_tile = tl.arange(0, TILE)
    total = tl.zeros([ROWS], tl.float64)
    for i_pass in range(passes):
        parity = tl.load(p_parities + i_pass)
        step = tl.load(p_steps + i_pass)
        # The mean of the other sublattice, which no site of this pass changes.
        b_sum = tl.zeros([ROWS], tl.float64)
        for o_start in range(0, half, ROWS):
            o_site = o_start + tl.arange(0, ROWS)
            m_site = o_site < half
            place = tl.load(p_places + (1 - parity) * half + o_site, mask=m_site, other=0)
            value = tl.load(p_fields + place, mask=m_site, other=0.0)
            b_sum += tl.where(m_site, value.to(tl.float32).to(tl.float64), 0.0)
        mean = (tl.sum(b_sum) / half).to(tl.float32)
        for o_start in range(0, half, ROWS):
            o_site = o_start + tl.arange(0, ROWS)
            m_site = o_site < half
            place = tl.load(p_places + parity * half + o_site, mask=m_site, other=0)
            field = tl.load(p_fields + place, mask=m_site, other=0.0)
            narrow = field.to(tl.float32)
            own = tl.load(p_own + o_width)
            first = narrow[:, None] * own[None, :] + mean * tl.load(p_mean + o_width)[None, :]
            p_window = p_windows + parity * taps * half
            for o_tap in range(0, taps, TILE):
                o_read = (o_tap + o_tile)[None, :] * half + o_site[:, None]
                read = tl.load(p_window + o_read, mask=m_site[:, None], other=0)
                seen = tl.load(p_fields + read, mask=m_site[:, None], other=0.0).to(tl.float32)
                o_weight = (o_tap + o_tile)[:, None] * WIDTH + o_width[None, :]
                weight = tl.load(p_taps + o_weight)
                first = tl.dot(seen, weight, first, input_precision="ieee")
            first = hyperbolic_tangent(first)
            first_slope = (1.0 - first * first) * own[None, :]
            second = tl.zeros([ROWS, WIDTH], tl.float32)
            second_slope = tl.zeros([ROWS, WIDTH], tl.float32)
            hidden = tl.load(p_hidden + o_width[:, None] * WIDTH + o_width[None, :])
            second = tl.dot(first, hidden, second, input_precision="ieee")
            second_slope = tl.dot(first_slope, hidden, second_slope, input_precision="ieee")
            second = hyperbolic_tangent(second)
            second_slope = (1.0 - second * second) * second_slope
            readout = tl.load(p_readout + o_width)[None, :]
            f = tl.sum(second * readout, 1)
            slope = tl.sum(second_slope * readout, 1)
            moved = field + (step * f.to(tl.float64)).to(field.dtype)
            tl.store(p_fields + place, moved, mask=m_site)
            # A map that falls somewhere has no logarithm.
            factor = tl.where(m_site, 1.0 + step * slope.to(tl.float64), 1.0)
            total += tl.log(tl.where(factor > 0.0, factor, float("nan")))
        # The next pass reads, in other threads, what this one has written.
        tl.debug_barrier()
    tl.store(p_determinants + i_walker, tl.sum(total))


POINTERS = (torch.int32, torch.int32, *(torch.float32,) * 5, torch.int32, torch.float64)
"""Dtypes of ``p_places`` … ``p_steps``."""


def _variant(dtype: torch.dtype, width: int) -> Variant:
    made = config("parity_maps", width)
    constants = {"WIDTH": width, "TILE": TILE, **made.constants}
    pointers = (dtype, *POINTERS, torch.float64)
    return Variant(
        parity_map_kernel,
        pointers,
        constants,
        warps=made.warps,
        stages=made.stages,
        registers=made.registers,
    )


VARIANTS = {
    key: _variant(*key) for key in itertools.product((torch.float32, torch.float64), WIDTHS)
}


class _Packed(NamedTuple):
    """Weights and places as the kernel reads them."""

    places: Tensor
    windows: Tensor
    own: Tensor
    taps: Tensor
    mean: Tensor
    hidden: Tensor
    readout: Tensor


def _pack(given: Passing) -> _Packed:
    """Fill up widths and taps with zeros, which add nothing: tanh 0 = 0."""
    width, count = given.taps.shape
    wider = block_size(width, WIDTHS) - width
    more = -count % TILE
    pad = torch.nn.functional.pad
    return _Packed(
        given.sublattices.int().contiguous(),
        # Taps that are filled up read site 0, with a weight of 0.
        pad(given.windows.transpose(1, 2), (0, 0, 0, more)).int().contiguous(),
        pad(given.own, (0, wider)).contiguous(),
        pad(given.taps.T, (0, wider, 0, more)).contiguous(),
        pad(given.mean, (0, wider)).contiguous(),
        pad(given.hidden.T, (0, wider, 0, wider)).contiguous(),
        pad(given.readout, (0, wider)).contiguous(),
    )


def parity_map(given: Passing) -> Moved:
    """Launch the kernel of :func:`leaps_triton.kernels.parity_map`.

    What no kernel is compiled for goes to the twin.
    """
    width, count = given.taps.shape
    if given.own.dtype != torch.float32 or width > WIDTHS[-1]:
        return reference.parity_map(given)
    flat = given.configurations.flatten(1).clone(memory_format=torch.contiguous_format)
    walkers, sites = flat.shape
    device = flat.device
    weights = packed(partial(_pack, given), given[1:8], "parity_map")
    parities = torch.tensor(given.parities, dtype=torch.int32, device=device)
    steps = torch.tensor(given.steps, dtype=torch.float64, device=device)
    determinants = torch.zeros(walkers, dtype=torch.float64, device=device)
    variant = VARIANTS[flat.dtype, block_size(width, WIDTHS)]
    launch(
        variant, walkers, flat, *weights, parities, steps, determinants,
        sites, sites // 2, count + -count % TILE, len(given.steps),
    )  # fmt: skip
    return Moved(flat.view_as(given.configurations), determinants)
