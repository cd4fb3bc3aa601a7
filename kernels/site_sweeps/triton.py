"""Kernel of the ops ``heat_bath_sweeps``, ``metropolis_sweeps`` and ``overrelaxation_sweeps``."""

import itertools

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..byte_sweeps import triton as byte_sweeps
from ..configs import configs
from ..device import bond, kernel, neighbours, pair_field, philox, state_field, uniform32
from ..philox import Stream
from ..variants import (
    KINDS,
    Variant,
    block_size,
    kind_of,
    launch,
    padded,
    periodic_bits,
    site_stride,
)
from .reference import Sweeps, waves

__all__ = ["VARIANTS", "heat_bath_sweeps", "metropolis_sweeps", "overrelaxation_sweeps"]

KINDS_OF = {"heat_bath": tuple(KINDS), "metropolis": tuple(KINDS), "overrelaxation": ("general",)}
"""Kinds of model, by value of the constant OP."""
CONFIGS = {
    (op, kind): {made.constants["BLOCK"]: made for made in configs("site_sweeps", op, kind)}
    for op, kinds in KINDS_OF.items()
    for kind in kinds
}
"""Configurations by the sites of one program.

A lattice that fits the largest is swept in one launch, a larger one tile by tile, with one launch
per colour. Both give the same configurations. What :func:`..byte_sweeps.triton.fits` is for goes
there.
"""


@triton.jit
def site_words(seed, STREAM: tl.constexpr, o_group, event, draw, walker, BLOCK: tl.constexpr):
    """Draw one word per site: word ``i % 4`` of counter ``(i // 4, event, draw, walker)``."""
    draw = tl.full((), draw, tl.uint32)
    word0, word1, word2, word3 = philox(seed, STREAM, o_group, event, draw, walker)
    # Joined in pairs so that, row by row, words 0, 1, 2, 3 of a counter follow one another.
    return tl.reshape(tl.join(tl.join(word0, word2), tl.join(word1, word3)), [BLOCK])


@triton.jit
def around(
    p_coupling, s_axis, s_site, o_site, m_site, n0, n1, n2, n3, periodic,
    NDIM: tl.constexpr, UNIFORM: tl.constexpr,
):  # fmt: skip
    """Return what stays in all sweeps: for every direction both neighbours and both bonds.

    A tuple of four blocks ``[sites]`` per direction: the site ahead and behind, int32, ``J`` ahead
    and behind, float32. Where there is no neighbour, it is site 0 and the bond is 0.
    """
    found = ()
    for axis in tl.static_range(4 - NDIM, 4):
        o_ahead, o_behind, m_ahead, m_behind = neighbours(
            o_site, axis, NDIM, n0, n1, n2, n3, periodic
        )
        m_ahead &= m_site
        m_behind &= m_site
        ahead = bond(p_coupling, s_axis, s_site, o_site, m_ahead, axis, NDIM, UNIFORM)
        behind = bond(p_coupling, s_axis, s_site, o_behind, m_behind, axis, NDIM, UNIFORM)
        # Triton adds tuples and does not unpack them.
        found = found + (  # type: ignore[assignment]  # noqa: RUF005
            tl.where(m_ahead, o_ahead, 0),
            tl.where(m_behind, o_behind, 0),
            tl.where(m_ahead, ahead.to(tl.float32), 0.0),
            tl.where(m_behind, behind.to(tl.float32), 0.0),
        )
    return found


@triton.jit
def differences(p_bond):
    """Return what a neighbour in state 1 and in state 0 adds to ``W_1 - W_0``, ahead and behind."""
    b00 = tl.load(p_bond)
    b01 = tl.load(p_bond + 1)
    b10 = tl.load(p_bond + 2)
    b11 = tl.load(p_bond + 3)
    # Differences of float64 numbers, rounded once.
    ahead = ((b11 - b01).to(tl.float32), (b10 - b00).to(tl.float32))
    behind = ((b11 - b10).to(tl.float32), (b01 - b00).to(tl.float32))
    return ahead + behind


@triton.jit
def flip_field(p_x, b_field, near, change, NDIM: tl.constexpr):
    """Return ``W_1(i) - W_0(i)``, float32 ``[sites]``.

    ``field`` is that of the site alone, ``near`` from :func:`around`, ``change`` from
    :func:`differences`.
    """
    for axis in tl.static_range(NDIM):
        # Every site has a state to read: masks would cost a register each.
        m_ahead = tl.load(p_x + near[4 * axis]) != 0
        m_behind = tl.load(p_x + near[4 * axis + 1]) != 0
        # The neighbour's state chooses between two differences.
        b_field += near[4 * axis + 2] * tl.where(m_ahead, change[0], change[1])
        b_field += near[4 * axis + 3] * tl.where(m_behind, change[2], change[3])
    return b_field


@triton.jit
def redraw_of_two(b_flip, b_uniform):
    """Draw the heat bath's new state, 0 or 1, from ``β (W_1 - W_0)``, int32 ``[sites]``."""
    # The larger of the two weights is 1, so that no exponential overflows.
    b_weight = tl.exp(-tl.abs(b_flip))
    # p_0 <= u, times 1 + e^{-|β (W_1 - W_0)|}
    return (tl.where(b_flip > 0, b_weight, 1.0) <= b_uniform * (1.0 + b_weight)).to(tl.int32)


@triton.jit
def redraw(
    found, b_uniform, beta, p_bond, p_site, s_site_state, o_field, m_colour, q,
    NDIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Draw the heat bath's new state of each site, int32 ``[sites]``.

    It is the number of thresholds ``Σ_{b ≤ a} p_b``, ``a < q-1``, at or below the site's uniform
    number; ``p_a ∝ exp(β W_a)`` in float32.
    """
    # The largest exponent is taken off first, so that no exponential overflows. Fields are made
    # three times over: q is no constant, and a block has no room for q fields.
    b_top = tl.full([BLOCK], float("-inf"), tl.float32)
    for a in range(q):
        b_state = tl.zeros([BLOCK], tl.int32) + a
        b_field = state_field(
            b_state, found, p_bond, p_site, s_site_state, o_field, m_colour, q, NDIM, tl.float32
        )
        b_top = tl.maximum(b_top, beta * b_field)
    b_total = tl.zeros([BLOCK], tl.float32)
    for a in range(q):
        b_state = tl.zeros([BLOCK], tl.int32) + a
        b_field = state_field(
            b_state, found, p_bond, p_site, s_site_state, o_field, m_colour, q, NDIM, tl.float32
        )
        b_total += tl.exp(beta * b_field - b_top)
    b_new = tl.zeros([BLOCK], tl.int32)
    b_below = tl.zeros([BLOCK], tl.float32)
    # The last state needs no threshold, so that rounding cannot lead out of range.
    for a in range(q - 1):
        b_state = tl.zeros([BLOCK], tl.int32) + a
        b_field = state_field(
            b_state, found, p_bond, p_site, s_site_state, o_field, m_colour, q, NDIM, tl.float32
        )
        b_below += tl.exp(beta * b_field - b_top)
        # Weights are not normalised: the threshold takes their sum instead.
        b_new += (b_below <= b_uniform * b_total).to(tl.int32)
    return b_new


@triton.jit
def accepted(b_ratio, b_uniform, keep):
    """Return where ``u < keep · min(1, e^Δ)``, ``keep`` the complement of the rest."""
    # A ratio above 1 needs no exponential, which might overflow.
    return b_uniform < keep * tl.where(b_ratio >= 0, 1.0, tl.exp(b_ratio))


@triton.jit
def propose(
    found, b_old, b_shift, beta, p_bond, p_site, s_site_state, o_field, m_colour, q,
    NDIM: tl.constexpr,
):  # fmt: skip
    """Return Metropolis' proposal, the old state plus a shift, and ``Δ``."""
    b_proposed = (b_old + b_shift) % q
    after = state_field(
        b_proposed, found, p_bond, p_site, s_site_state, o_field, m_colour, q, NDIM, tl.float32
    )
    before = state_field(
        b_old, found, p_bond, p_site, s_site_state, o_field, m_colour, q, NDIM, tl.float32
    )
    return b_proposed, beta * (after - before)


@triton.jit
def reflect(
    found, b_old, b_uniform, beta, p_bond, p_site, s_site_state, o_field, m_colour, q,
    NDIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Return the reflection ``r - x_i`` of each site, and whether ``u < min(1, e^Δ)``.

    ``r`` is the axis nearest to the local field, the least of equally near ones; in float64.
    """
    # Below the bond table lie four rows: cosines and sines of states, then of axes.
    p_waves = p_bond + q * q
    b_along = tl.zeros([BLOCK], tl.float64)
    b_across = tl.zeros([BLOCK], tl.float64)
    for a in range(q):
        b_state = tl.zeros([BLOCK], tl.int32) + a
        b_field = state_field(
            b_state, found, p_bond, p_site, s_site_state, o_field, m_colour, q, NDIM, tl.float64
        )
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
    # The q in front keeps the remainder from being negative.
    b_proposed = (b_least + q - b_old) % q
    after = state_field(
        b_proposed, found, p_bond, p_site, s_site_state, o_field, m_colour, q, NDIM, tl.float64
    )
    before = state_field(
        b_old, found, p_bond, p_site, s_site_state, o_field, m_colour, q, NDIM, tl.float64
    )
    b_ratio = beta * (after - before)
    return b_proposed, (b_ratio >= 0) | (b_uniform.to(tl.float64) < tl.exp(b_ratio))


@kernel
def sweep_kernel(
    p_x, p_coupling, p_bond, p_site, p_beta, p_colours, p_walkers,
    sites: tl.int32, tiles: tl.int32, q: tl.int32,
    n0: tl.int32, n1: tl.int32, n2: tl.int32, n3: tl.int32, periodic: tl.int32,
    s_coupling_walker: tl.int32, s_coupling_axis: tl.int32, s_coupling_site: tl.int32,
    s_site_walker: tl.int32, s_site_state: tl.int32, s_site_site: tl.int32, s_beta: tl.int32,
    first_colour: tl.int32, last_colour: tl.int32, first_sweep: tl.int64, sweeps: tl.int32,
    seed: tl.int64, rest: tl.float64,
    STREAM: tl.constexpr, OP: tl.constexpr, NDIM: tl.constexpr, BINARY: tl.constexpr,
    UNIFORM: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Update all sites of a colour at once, colour after colour and sweep after sweep, in place.

    Heat bath ``x_i ~ exp(β W_a(i))`` (Creutz, Phys. Rev. D 21, 2308, 1980); Metropolis ``x_i → x_i
    + k``, ``k`` uniform in ``1 … q-1``, with probability ``(1 - rest) min(1, e^Δ)`` (Metropolis et
    al., J. Chem. Phys. 21, 1087, 1953); over-relaxation ``x_i → r_i - x_i`` with probability
    ``min(1, e^Δ)`` (Creutz, Phys. Rev. D 36, 515, 1987). One program per walker and tile of sites.

    ``x`` int8 ``(walkers, sites)``; ``coupling`` float64 ``(1 | walkers, 1 | axes, 1 | sites)``;
    ``bond`` float64 ``(q, q)``; ``site`` float64 ``(1 | walkers, q, 1 | sites)``; ``beta`` float64
    ``(1 | walkers,)``; ``colours`` int8 ``(sites,)``; ``walkers`` int64 ``(walkers,)``.
    Probabilities are float32. Over-relaxation computes in float64, so that all devices find the
    same axes, and has four more rows of ``bond``: the cosines and sines of states, ``2π a/q``, and
    of axes, ``π r/q``.
    """
    i_walker = (tl.program_id(0) // tiles).to(tl.int64)
    i_tile = tl.program_id(0) % tiles
    p_x += i_walker * sites
    p_coupling += i_walker * s_coupling_walker
    p_site += i_walker * s_site_walker
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
    o_field = o_site * s_site_site
    # Sites beyond the last have a colour that is never drawn.
    b_colours = tl.load(p_colours + o_site, mask=m_site, other=-1).to(tl.int32)
    b_shift = tl.full([BLOCK], 1, tl.int32)
    if BINARY:
        # Neighbours, bonds and fields are read once, before all sweeps.
        near = around(
            p_coupling, s_coupling_axis, s_coupling_site, o_site, m_site, n0, n1, n2, n3, periodic,
            NDIM, UNIFORM,
        )  # fmt: skip
        change = differences(p_bond)
        b_alone = tl.load(p_site + s_site_state + o_field, mask=m_site, other=0.0)
        b_alone = (b_alone - tl.load(p_site + o_field, mask=m_site, other=0.0)).to(tl.float32)
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
                b_flip = beta * flip_field(p_x, b_alone, near, change, NDIM)
            else:
                found = pair_field(
                    p_x, o_site, m_colour, p_coupling, s_coupling_axis, s_coupling_site, n0, n1,
                    n2, n3, periodic,
                    NDIM, UNIFORM, FLOAT,
                )  # fmt: skip
            if OP == "heat_bath":
                if BINARY:
                    b_new = redraw_of_two(b_flip, b_uniform)
                else:
                    b_new = redraw(
                        found, b_uniform, beta, p_bond, p_site, s_site_state, o_field, m_colour,
                        q, NDIM, BLOCK,
                    )  # fmt: skip
            else:
                b_old = tl.load(p_x + o_site, mask=m_site, other=0).to(tl.int32)
                if OP == "metropolis":
                    if BINARY:
                        b_new = 1 - b_old
                        b_ratio = tl.where(b_old == 0, b_flip, -b_flip)
                    else:
                        b_new, b_ratio = propose(
                            found, b_old, b_shift, beta, p_bond, p_site, s_site_state, o_field,
                            m_colour, q, NDIM,
                        )  # fmt: skip
                    m_moves = accepted(b_ratio, b_uniform, keep)
                else:
                    b_new, m_moves = reflect(
                        found, b_old, b_uniform, beta, p_bond, p_site, s_site_state, o_field,
                        m_colour, q, NDIM, BLOCK,
                    )  # fmt: skip
                m_colour &= m_moves
            tl.store(p_x + o_site, b_new.to(tl.int8), mask=m_colour)
            # The next colour reads, in other threads, what this one has written.
            tl.debug_barrier()


def _variant(op: str, ndim: int, kind: str, block: int) -> Variant:
    made = CONFIGS[op, kind][block]
    constants = {
        "STREAM": int(Stream.SWEEP),
        "OP": op,
        "NDIM": ndim,
        **KINDS[kind],
        **made.constants,
    }
    pointers = (torch.int8, *(torch.float64,) * 4, torch.int8, torch.int64)
    return Variant(sweep_kernel, pointers, constants, warps=made.warps, registers=made.registers)


SITES: dict[tuple[str | int, ...], Variant] = {
    (op, ndim, kind, block): _variant(op, ndim, kind, block)
    for op, kinds in KINDS_OF.items()
    for ndim, kind in itertools.product((1, 2, 3, 4), kinds)
    for block in CONFIGS[op, kind]
}
"""Variants of the kernel of this module."""
VARIANTS = {**SITES, **byte_sweeps.VARIANTS}


def _sweep(op: str, given: Sweeps) -> Tensor:
    """Run the kernel, on a lattice of one tile once, else for every colour of every sweep."""
    if byte_sweeps.fits(op, given):
        return byte_sweeps.sweep(op, given)
    shape = given.configurations.shape[1:]
    kind = kind_of(given.q, given.coupling, given.site_table)
    table = given.bond_table.contiguous()
    if op == "overrelaxation":
        kind = "general"
        table = torch.cat([given.bond_table, waves(given.q, given.bond_table.device)])
    block = block_size(given.sites, tuple(CONFIGS[op, kind]))
    variant = SITES[op, len(shape), kind, block]
    coupling, coupling_strides = site_stride(given.coupling, shape)
    site_table, site_strides = site_stride(given.site_table, shape)
    after = given.configurations.clone(memory_format=torch.contiguous_format)
    tiles = triton.cdiv(given.sites, block)
    programs = len(after) * tiles
    model = (
        after, coupling, table, site_table, given.beta.contiguous(),
        given.colours.to(torch.int8).contiguous(), given.walkers.contiguous(),
        given.sites, tiles, given.q, *padded(shape), periodic_bits(given.periodic),
        *coupling_strides, *site_strides, int(len(given.beta) > 1),
    )  # fmt: skip
    if tiles == 1:
        sweeps = (given.first_sweep, given.sweeps)
        launch(variant, programs, *model, 0, given.num_colours, *sweeps, given.seed, given.rest)
        return after
    # Tiles read one another, so a colour ends before the next begins.
    for sweep, colour in itertools.product(given.numbers(), range(given.num_colours)):
        launch(variant, programs, *model, colour, colour + 1, sweep, 1, given.seed, given.rest)
    return after


def heat_bath_sweeps(given: Sweeps) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.heat_bath_sweeps`."""
    return _sweep("heat_bath", given)


def metropolis_sweeps(given: Sweeps) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.metropolis_sweeps`."""
    return _sweep("metropolis", given)


def overrelaxation_sweeps(given: Sweeps) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.overrelaxation_sweeps`."""
    return _sweep("overrelaxation", given)
