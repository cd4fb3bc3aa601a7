"""Kernel of the sweeps on graphs: heat bath, Metropolis and over-relaxation."""

import itertools

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import configs
from ..device import kernel, uniform32
from ..gathered.triton import flip_field, rows_of, state_field
from ..philox import Stream
from ..site_sweeps.reference import waves
from ..site_sweeps.triton import accepted, redraw_of_two, site_words
from ..variants import Variant, block_size, launch
from . import reference
from .reference import GraphSweeps

__all__ = [
    "VARIANTS", "graph_heat_bath_sweeps", "graph_metropolis_sweeps", "graph_overrelaxation_sweeps",
]  # fmt: skip

KINDS_OF = {
    "heat_bath": ("binary", "general"),
    "metropolis": ("binary", "general"),
    "overrelaxation": ("general",),
}
"""Kinds of model, by value of the constant OP."""
CONFIGS = {
    (op, kind): {made.constants["BLOCK"]: made for made in configs("gathered_sweeps", op, kind)}
    for op, kinds in KINDS_OF.items()
    for kind in kinds
}
"""Configurations by the sites of one program.

A graph that fits the largest is swept in one launch, a larger one tile by tile, with one launch per
colour. Both give the same configurations.
"""


@triton.jit
def redraw(
    b_uniform, beta, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field,
    o_site, m_colour, sites, degree, q,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Draw the heat bath's new state of each site, int32 ``[sites]``, as sweeps of lattices do."""
    # The largest exponent is taken off first, so that no exponential overflows. Fields are made
    # three times over: q is no constant, and a block has no room for q fields.
    b_top = tl.full([BLOCK], float("-inf"), tl.float32)
    for a in range(q):
        b_state = tl.zeros([BLOCK], tl.int32) + a
        b_field = state_field(
            b_state, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field,
            o_site, m_colour, sites, degree, q, tl.float32,
        )  # fmt: skip
        b_top = tl.maximum(b_top, beta * b_field)
    b_total = tl.zeros([BLOCK], tl.float32)
    for a in range(q):
        b_state = tl.zeros([BLOCK], tl.int32) + a
        b_field = state_field(
            b_state, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field,
            o_site, m_colour, sites, degree, q, tl.float32,
        )  # fmt: skip
        b_total += tl.exp(beta * b_field - b_top)
    b_new = tl.zeros([BLOCK], tl.int32)
    b_below = tl.zeros([BLOCK], tl.float32)
    # The last state needs no threshold, so that rounding cannot lead out of range.
    for a in range(q - 1):
        b_state = tl.zeros([BLOCK], tl.int32) + a
        b_field = state_field(
            b_state, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field,
            o_site, m_colour, sites, degree, q, tl.float32,
        )  # fmt: skip
        b_below += tl.exp(beta * b_field - b_top)
        # Weights are not normalised: the threshold takes their sum instead.
        b_new += (b_below <= b_uniform * b_total).to(tl.int32)
    return b_new


@triton.jit
def nearest_axis(
    p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field, o_site, m_colour,
    sites, degree, q,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Return the least of the axes nearest to the local field of each site, int32, by float64."""
    # Below the bond table lie four rows: cosines and sines of states, then of axes.
    p_waves = p_bond + q * q
    b_along = tl.zeros([BLOCK], tl.float64)
    b_across = tl.zeros([BLOCK], tl.float64)
    for a in range(q):
        b_state = tl.zeros([BLOCK], tl.int32) + a
        b_field = state_field(
            b_state, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field,
            o_site, m_colour, sites, degree, q, tl.float64,
        )  # fmt: skip
        b_along += b_field * tl.load(p_waves + a)
        b_across += b_field * tl.load(p_waves + q + a)
    b_largest = tl.zeros([BLOCK], tl.float64)
    for r in range(q):
        # The projection of the local field on an axis, whose ends are alike.
        b_axis = b_along * tl.load(p_waves + 2 * q + r) + b_across * tl.load(p_waves + 3 * q + r)
        b_largest = tl.maximum(b_largest, tl.abs(b_axis))
    b_least = tl.zeros([BLOCK], tl.int32)
    for i in range(q):
        # Downwards, so that the least of equally near axes is the last to be noted.
        r = q - 1 - i
        b_axis = b_along * tl.load(p_waves + 2 * q + r) + b_across * tl.load(p_waves + 3 * q + r)
        # Lengths that differ by less count as equal: rounding does not choose.
        b_least = tl.where(tl.abs(b_axis) >= b_largest - 1e-9, r, b_least)
    return b_least


@kernel
def graph_sweep_kernel(
    p_x, p_coupling, p_bond, p_site, p_beta, p_near, p_edge, p_behind, p_colours, p_walkers,
    sites: tl.int32, degree: tl.int32, tiles: tl.int32, q: tl.int32,
    s_coupling: tl.int32, s_walker: tl.int32, s_state: tl.int32, s_site: tl.int32,
    s_beta: tl.int32,
    first_colour: tl.int32, last_colour: tl.int32, first_sweep: tl.int64, sweeps: tl.int32,
    seed: tl.int64, rest: tl.float64,
    STREAM: tl.constexpr, OP: tl.constexpr, BINARY: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Update all sites of a colour at once, colour after colour and sweep after sweep, in place.

    What :func:`..site_sweeps.triton.sweep_kernel` does, with neighbours read from a table. One
    program per walker and tile of sites.

    ``x`` int8 ``(walkers, sites)``; ``coupling`` float64 ``(1 | walkers, bonds + 1)``; ``bond``
    float64 ``(q, q)``, for over-relaxation with four rows more; ``site`` float64 ``(1 | walkers, q,
    1 | sites)``; ``beta`` float64 ``(1 | walkers,)``; ``near`` and ``edge`` int32, ``behind`` int8
    ``(degree, sites)``; ``colours`` int32 ``(sites,)``; ``walkers`` int64 ``(walkers,)``.
    """
    i_walker = (tl.program_id(0) // tiles).to(tl.int64)
    i_tile = tl.program_id(0) % tiles
    p_x += i_walker * sites
    p_coupling += i_walker * s_coupling
    p_site += i_walker * s_walker
    # Reflections are found and accepted in float64; thresholds of the others are float32.
    FLOAT: tl.constexpr = tl.float64 if OP == "overrelaxation" else tl.float32
    beta = tl.load(p_beta + i_walker * s_beta).to(FLOAT)
    walker = tl.load(p_walkers + i_walker)
    # Exact: the probability to rest is a power of two of at most 23 places.
    keep = tl.full((), 1.0 - rest, tl.float32)
    # Four sites share a counter of random numbers.
    o_group = i_tile * (BLOCK // 4) + tl.arange(0, BLOCK // 4)
    o_site = i_tile * BLOCK + tl.arange(0, BLOCK)
    m_site = o_site < sites
    o_field = o_site * s_site
    # Sites beyond the last have a colour that is never drawn.
    b_colours = tl.load(p_colours + o_site, mask=m_site, other=-1).to(tl.int32)
    b_shift = tl.full([BLOCK], 1, tl.int32)
    for i_sweep in range(sweeps):
        event = first_sweep + i_sweep
        if OP == "metropolis" and not BINARY:
            b_word = site_words(seed, STREAM, o_group, event, 0, walker, BLOCK).to(tl.uint64)
            # The upper half of the product is uniform in 0 … q-2.
            b_shift = (b_word * (q - 1).to(tl.uint64) >> 32).to(tl.int32) + 1
        # The first draw is the heat bath's value or the proposal, the second the acceptance.
        DRAW: tl.constexpr = 0 if OP == "heat_bath" else 1
        b_uniform = uniform32(site_words(seed, STREAM, o_group, event, DRAW, walker, BLOCK))
        for colour in range(first_colour, last_colour):
            m_colour = m_site & (b_colours == colour)
            if BINARY:
                b_flip = beta * flip_field(
                    p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field,
                    o_site, m_colour, sites, degree, tl.float32,
                )  # fmt: skip
            b_old = tl.load(p_x + o_site, mask=m_site, other=0).to(tl.int32)
            if OP == "heat_bath":
                if BINARY:
                    b_new = redraw_of_two(b_flip, b_uniform)
                else:
                    b_new = redraw(
                        b_uniform, beta, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site,
                        s_state, o_field, o_site, m_colour, sites, degree, q, BLOCK,
                    )  # fmt: skip
            elif BINARY:
                b_new = 1 - b_old
                m_colour &= accepted(tl.where(b_old == 0, b_flip, -b_flip), b_uniform, keep)
            else:
                if OP == "metropolis":
                    b_new = (b_old + b_shift) % q
                else:
                    b_axis = nearest_axis(
                        p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state,
                        o_field, o_site, m_colour, sites, degree, q, BLOCK,
                    )  # fmt: skip
                    # The q in front keeps the remainder from being negative.
                    b_new = (b_axis + q - b_old) % q
                b_after = state_field(
                    b_new, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state,
                    o_field, o_site, m_colour, sites, degree, q, FLOAT,
                )  # fmt: skip
                b_before = state_field(
                    b_old, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state,
                    o_field, o_site, m_colour, sites, degree, q, FLOAT,
                )  # fmt: skip
                b_ratio = beta * (b_after - b_before)
                if OP == "metropolis":
                    m_colour &= accepted(b_ratio, b_uniform, keep)
                else:
                    m_colour &= (b_ratio >= 0) | (b_uniform.to(tl.float64) < tl.exp(b_ratio))
            tl.store(p_x + o_site, b_new.to(tl.int8), mask=m_colour)
            # The next colour reads, in other threads, what this one has written.
            tl.debug_barrier()


def _variant(op: str, kind: str, block: int) -> Variant:
    made = CONFIGS[op, kind][block]
    constants = {
        "STREAM": int(Stream.SWEEP),
        "OP": op,
        "BINARY": kind == "binary",
        **made.constants,
    }
    around = (torch.int32, torch.int32, torch.int8)
    pointers = (torch.int8, *(torch.float64,) * 4, *around, torch.int32, torch.int64)
    return Variant(
        graph_sweep_kernel, pointers, constants, warps=made.warps, registers=made.registers
    )


VARIANTS: dict[tuple[str, str, int], Variant] = {
    (op, kind, block): _variant(op, kind, block)
    for op, kinds in KINDS_OF.items()
    for kind in kinds
    for block in CONFIGS[op, kind]
}


def _sweep(op: str, given: GraphSweeps) -> Tensor:
    """Run the kernel, on a graph of one tile once, else for every colour of every sweep."""
    kind = "general"
    if given.q == 2 and op != "overrelaxation":
        kind = "binary"
    table = given.bond_table.contiguous()
    if op == "overrelaxation":
        table = torch.cat([given.bond_table, waves(given.q, given.bond_table.device)])
    block = block_size(given.sites, tuple(CONFIGS[op, kind]))
    variant = VARIANTS[op, kind, block]
    coupling, site_table, strides = rows_of(given.coupling, given.site_table)
    after = given.configurations.clone(memory_format=torch.contiguous_format)
    tiles = triton.cdiv(given.sites, block)
    programs = len(after) * tiles
    around = (given.neighbours.contiguous(), given.bond.contiguous())
    model = (
        after, coupling, table, site_table, given.beta.contiguous(), *around,
        given.behind.to(torch.int8).contiguous(), given.colours.to(torch.int32).contiguous(),
        given.walkers.contiguous(), given.sites, len(given.neighbours), tiles, given.q, *strides,
        int(len(given.beta) > 1),
    )  # fmt: skip
    if tiles == 1:
        sweeps = (given.first_sweep, given.sweeps)
        launch(variant, programs, *model, 0, given.num_colours, *sweeps, given.seed, given.rest)
        return after
    # Tiles read one another, so a colour ends before the next begins.
    for sweep, colour in itertools.product(given.numbers(), range(given.num_colours)):
        launch(variant, programs, *model, colour, colour + 1, sweep, 1, given.seed, given.rest)
    return after


def graph_heat_bath_sweeps(given: GraphSweeps) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.graph_heat_bath_sweeps`."""
    if given.by_product:
        return reference.graph_heat_bath_sweeps(given)
    return _sweep("heat_bath", given)


def graph_metropolis_sweeps(given: GraphSweeps) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.graph_metropolis_sweeps`."""
    if given.by_product:
        return reference.graph_metropolis_sweeps(given)
    return _sweep("metropolis", given)


def graph_overrelaxation_sweeps(given: GraphSweeps) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.graph_overrelaxation_sweeps`."""
    if given.by_product:
        return reference.graph_overrelaxation_sweeps(given)
    return _sweep("overrelaxation", given)
