"""Kernel of heat-bath and Metropolis sweeps of two states on even periodic lattices.

Bytes are read and written, and between them eight sites of a row lie in one word, four bits each.
So a thread has eight sites, shifted words bring all their neighbours to the same places, and the
states of a site's neighbours side by side are the number of its threshold. Two counters of random
words serve the sites of both colours.
"""

import itertools
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config, configs
from ..device import kernel, philox
from ..philox import Stream
from ..site_sweeps.reference import Sweeps
from ..variants import Variant, block_size, kind_of, launch, site_stride
from .thresholds import threshold_kernel
from .tiling import GROUP, tiling

__all__ = ["VARIANTS", "fits", "sweep"]

OPS = {"heat_bath": 0, "metropolis": 1}
"""Values of the constant OP."""
CONFIGS = {made.constants["BLOCK"]: made for made in configs("site_sweeps", "bytes")}
"""Configurations by the groups of eight sites of one program."""
BLOCKS = tuple(CONFIGS)


@triton.jit
def gathered(b_bytes):
    """Return words of eight states, four bits each, from numbers of eight bytes, uint32."""
    b_low = b_bytes.to(tl.uint32)
    b_high = (b_bytes >> 32).to(tl.uint32)
    # Each byte of an odd place joins the one before, then each pair the pair before.
    b_low = (b_low | (b_low >> 4)) & 0x00110011
    b_high = (b_high | (b_high >> 4)) & 0x00110011
    b_low = (b_low | (b_low >> 8)) & 0x1111
    b_high = (b_high | (b_high >> 8)) & 0x1111
    return b_low | (b_high << 16)


@triton.jit
def scattered(b_states):
    """Return numbers of eight bytes from words of eight states: the inverse of ``gathered``."""
    b_low = b_states & 0xFFFF
    b_high = b_states >> 16
    b_low = (b_low | (b_low << 8)) & 0x00110011
    b_high = (b_high | (b_high << 8)) & 0x00110011
    b_low = (b_low | (b_low << 4)) & 0x01010101
    b_high = (b_high | (b_high << 4)) & 0x01010101
    return b_low.to(tl.int64) | (b_high.to(tl.int64) << 32)


@triton.jit
def ways_of(o_group, n1, n2, n3, NDIM: tl.constexpr):
    """Return the groups ahead and behind, and the places, in each direction, int32 ``[groups]``.

    As in :func:`..device.neighbours`, all directions wrap; coordinates are made once.
    """
    ways = ()
    places = ()
    o_rest = o_group
    stride = tl.full((), 1, tl.int32)
    # From the last direction to the first.
    for axis in tl.static_range(NDIM):
        length = n3
        if axis == 1:
            length = n2
        if axis == 2:
            length = n1
        o_place = o_rest
        if axis < NDIM - 1:
            # Divisions of unsigned numbers are the shorter ones.
            o_above = (o_rest.to(tl.uint32) // length.to(tl.uint32)).to(tl.int32)
            o_place = o_rest - o_above * length
            o_rest = o_above
        jump = stride - stride * length
        ahead = o_group + tl.where(o_place == length - 1, jump, stride)
        behind = o_group - tl.where(o_place == 0, jump, stride)
        # Triton adds tuples and does not unpack them.
        ways = (ahead, behind) + ways  # type: ignore[assignment]  # noqa: RUF005
        places = (o_place,) + places  # type: ignore[assignment]  # noqa: RUF005
        stride = stride * length
    return ways, places


@triton.jit
def surroundings(p_states, b_states, ways, m_group, NDIM: tl.constexpr):
    """Return the states of all neighbours as bits in the places of sites, uint32 ``[groups]``.

    A place has four bits: those of two directions in the first word, ahead and behind of each, and
    of a third one in the second word.
    """
    b_near = tl.zeros_like(b_states)
    b_more = tl.zeros_like(b_states)
    for axis in tl.static_range(NDIM):
        b_ahead = tl.load(p_states + ways[2 * axis], mask=m_group, other=0)
        b_behind = tl.load(p_states + ways[2 * axis + 1], mask=m_group, other=0)
        b_ahead = b_ahead.to(tl.uint32, bitcast=True)
        b_behind = b_behind.to(tl.uint32, bitcast=True)
        if axis == NDIM - 1:
            # Along the row sites move by one place, and one comes from the next word.
            b_ahead = (b_states >> 4) | (b_ahead << 28)
            b_behind = (b_states << 4) | (b_behind >> 28)
        if axis < 2:
            b_near += (b_ahead << (2 * axis)) + (b_behind << (2 * axis + 1))
        else:
            b_more += b_ahead + (b_behind << 1)
    return b_near, b_more


@triton.jit
def wrapped(o_place, length):
    """Return places of a ring, for places less than once around it away."""
    o_place = tl.where(o_place < 0, o_place + length, o_place)
    return tl.where(o_place >= length, o_place - length, o_place)


@kernel
def byte_sweep_kernel(
    p_before, p_after, p_states, p_thresholds, p_colours, p_walkers,
    lattice1: tl.int32, lattice2: tl.int32, lattice3: tl.int32,
    n1: tl.int32, n2: tl.int32, n3: tl.int32,
    halo1: tl.int32, halo2: tl.int32, halo3: tl.int32,
    tiles1: tl.int32, tiles2: tl.int32, tiles3: tl.int32, s_thresholds: tl.int32,
    first_sweep: tl.int64, sweeps: tl.int32, seed: tl.int64,
    STREAM: tl.constexpr, OP: tl.constexpr, NDIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Update all sites of a colour at once, colour after colour and sweep after sweep.

    OP 0 is the heat bath, 1 Metropolis; :func:`.thresholds.threshold_kernel` has the formulas. A
    number of 23 bits is compared with a threshold as whole as itself, so that all sites are the
    twin's to the last bit. It is one function beyond 50 lines since a word stays in its thread from
    the first sweep to the last.

    One program per walker and tile. A lattice of one tile is swept as often as asked for. Tiles of
    a larger one have a halo: what lies beyond a tile is not there, so that with every colour sites
    at its edges go wrong, one place further in; so many places, and groups of eight, are written by
    other tiles. Programs read and write different arrays, and none waits for another.

    ``before`` and ``after`` int64 ``(walkers, groups)``, eight bytes each; ``states`` int32
    ``(programs, n1 n2 n3)``, room to work in; ``thresholds`` int32 ``(1 | walkers,
    2^(2 NDIM + OP))``; ``colours`` int8 ``(sites,)``, 0 and 1 in turns along all directions;
    ``walkers`` int64 ``(walkers,)``. A lattice has ``(lattice1, lattice2, lattice3)`` groups of
    eight sites and ``(tiles1, tiles2, tiles3)`` tiles of ``(n1, n2, n3)`` groups; the first of each
    is 1 if there are two directions.
    """
    i_program = tl.program_id(0).to(tl.uint32)
    i_rest = i_program
    o_group = tl.arange(0, BLOCK)
    m_group = o_group < n1 * n2 * n3
    ways, places = ways_of(o_group, n1, n2, n3, NDIM)
    lattice = (lattice1, lattice2, lattice3)
    lengths = (n1, n2, n3)
    halo = (halo1, halo2, halo3)
    tiles = (tiles1, tiles2, tiles3)
    # The place in the lattice: that in the tile, if there is one.
    o_place = o_group
    groups = tl.full((), 1, tl.int32)
    m_inner = m_group
    for axis in tl.static_range(3 - NDIM, 3):
        groups = groups * lattice[axis]
    if tiles1 * tiles2 * tiles3 > 1:
        o_place = tl.zeros([BLOCK], tl.int32)
        stride = tl.full((), 1, tl.int32)
        for axis in tl.static_range(2, 2 - NDIM, -1):
            # Tiles are counted as sites are, the last direction first; walkers come after all.
            i_above = i_rest // tiles[axis].to(tl.uint32)
            i_tile = (i_rest - i_above * tiles[axis].to(tl.uint32)).to(tl.int32)
            i_rest = i_above
            inner = lengths[axis] - 2 * halo[axis]
            o_own = places[axis - (3 - NDIM)]
            # A tile at an edge of the lattice goes on at the other side.
            o_there = i_tile * inner + o_own - halo[axis]
            o_place += wrapped(o_there, lattice[axis]) * stride
            stride = stride * lattice[axis]
            # The halo belongs to other tiles, and the last ones reach beyond the lattice.
            m_inner &= (o_own >= halo[axis]) & (o_own < lengths[axis] - halo[axis])
            m_inner &= o_there < lattice[axis]
    i_walker = i_rest.to(tl.int64)
    p_states += i_program.to(tl.int64) * (n1 * n2 * n3)
    p_thresholds += i_walker * s_thresholds
    p_before += i_walker * groups
    p_after += i_walker * groups
    walker = tl.load(p_walkers + i_walker)
    b_states = gathered(tl.load(p_before + o_place, mask=m_group, other=0))
    tl.store(p_states + o_group, b_states.to(tl.int32, bitcast=True), mask=m_group)
    # The colour of the first site of each group, and of every second one.
    b_first = tl.load(p_colours + 8 * o_place.to(tl.int64), mask=m_group, other=0).to(tl.uint32)
    # States are read in other threads.
    tl.debug_barrier()

    # Metropolis accepts by the second draw; the first would choose among several states.
    draw = tl.full((), OP, tl.uint32)
    for i_sweep in range(sweeps):
        event = first_sweep + i_sweep
        words = philox(seed, STREAM, 2 * o_place, event, draw, walker)
        words_beyond = philox(seed, STREAM, 2 * o_place + 1, event, draw, walker)
        for colour in tl.static_range(2):
            # Sites of this colour are those of even places or those of odd ones.
            b_odd = b_first ^ colour
            b_shift = 4 * b_odd
            b_near, b_more = surroundings(p_states, b_states, ways, m_group, NDIM)
            if OP == 1:
                # The site's own state comes after those of its neighbours.
                b_more += b_states << (2 * NDIM - 4)
            # Every second place has eight bits now.
            b_near = (b_near >> b_shift) & 0x0F0F0F0F
            if 2 * NDIM + OP > 4:
                b_near |= ((b_more >> b_shift) & 0x0F0F0F0F) << 4
            b_turns = tl.zeros_like(b_states)
            for i in tl.static_range(4):
                b_number = ((b_near >> (8 * i)) & 0xFF).to(tl.int32)
                b_threshold = tl.load(p_thresholds + b_number)
                if i < 2:
                    b_word = tl.where(b_odd != 0, words[2 * i + 1], words[2 * i])
                else:
                    b_word = tl.where(b_odd != 0, words_beyond[2 * i - 3], words_beyond[2 * i - 4])
                # The sign is set where the upper 23 bits are below the threshold.
                b_sign = ((b_word >> 9) + b_threshold.to(tl.uint32, bitcast=True)) >> 31
                b_turns |= b_sign << (8 * i)
            if OP == 0:
                # State 0 below the threshold; the other places stay.
                b_drawn = (b_turns ^ 0x01010101) << b_shift
                b_states = (b_states & (tl.full((), 0x10101010, tl.uint32) >> b_shift)) | b_drawn
            else:
                b_states ^= b_turns << b_shift
            tl.store(p_states + o_group, b_states.to(tl.int32, bitcast=True), mask=m_group)
            # The next colour reads, in other threads, what this one has written. What another
            # thread reads in the midst of this one are sites of the other colour: they stay.
            tl.debug_barrier()

    tl.store(p_after + o_place, scattered(b_states), mask=m_inner)


def _variant(op: str, ndim: int, block: int) -> Variant:
    made = CONFIGS[block]
    constants = {
        "STREAM": int(Stream.SWEEP),
        "OP": OPS[op],
        "NDIM": ndim,
        **made.constants,
    }
    arrays = (torch.int64, torch.int64, torch.int32, torch.int32, torch.int8, torch.int64)
    return Variant(byte_sweep_kernel, arrays, constants, warps=made.warps)


def _thresholds(op: str, ndim: int) -> Variant:
    made = config("site_sweeps", "thresholds")
    constants = {"OP": OPS[op], "NDIM": ndim, **made.constants}
    arrays = (torch.int32, *(torch.float64,) * 4)
    return Variant(threshold_kernel, arrays, constants, warps=made.warps)


KEYS = tuple(itertools.product(OPS, (2, 3)))
"""Ops and numbers of directions."""
THRESHOLDS: dict[tuple[str | int, ...], Variant] = {
    (op, ndim, "thresholds"): _thresholds(op, ndim) for op, ndim in KEYS
}
SWEEPS: dict[tuple[str | int, ...], Variant] = {
    (op, ndim, "bytes", block): _variant(op, ndim, block) for op, ndim in KEYS for block in BLOCKS
}
VARIANTS = {**THRESHOLDS, **SWEEPS}


def fits(op: str, given: Sweeps) -> bool:
    """Return whether these sweeps are made eight sites a word.

    Two states, two colours, even periodic lengths, the last a multiple of eight, and one coupling
    and field for all sites; no values are read, as they lie on the device. A proper colouring of
    such a lattice has its two colours in turns along all directions.
    """
    shape = given.configurations.shape[1:]
    if op not in OPS or given.num_colours != 2 or len(shape) not in (2, 3):
        return False
    if kind_of(given.q, given.coupling, given.site_table) != "binary uniform":
        return False
    even = not any(length % 2 for length in shape)
    return all(given.periodic) and even and shape[-1] % GROUP == 0


def _words(configurations: Tensor) -> Tensor:
    """Return the configurations as int64, eight sites each."""
    given = configurations.contiguous()
    # Numbers of eight bytes begin at multiples of eight.
    if given.storage_offset() % GROUP or given.data_ptr() % GROUP:
        given = given.clone()
    return given.view(torch.int64)


def thresholds(op: str, given: Sweeps) -> Tensor:
    """Return minus the thresholds, int32 ``(1 | walkers, numbers)``."""
    shape = given.configurations.shape[1:]
    coupling, coupling_strides = site_stride(given.coupling, shape)
    site_table, site_strides = site_stride(given.site_table, shape)
    tables = max(len(coupling), len(site_table), len(given.beta))
    numbers = 1 << (2 * len(shape) + OPS[op])
    found = torch.empty(tables, numbers, dtype=torch.int32, device=coupling.device)
    variant = THRESHOLDS[op, len(shape), "thresholds"]
    programs = triton.cdiv(found.numel(), variant.constants["BLOCK"])
    launch(
        variant, programs, found, coupling, given.bond_table.contiguous(), site_table,
        given.beta.contiguous(), found.numel(), *coupling_strides[:2], *site_strides[:2],
        int(len(given.beta) > 1), given.rest,
    )  # fmt: skip
    return found


def sweep(op: str, given: Sweeps) -> Tensor:
    """Make the sweeps: on a lattice of one tile at once, else some at a time."""
    if not given.sweeps or not given.configurations.numel():
        return given.configurations.clone(memory_format=torch.contiguous_format)
    shape = tuple(given.configurations.shape[1:])
    block = block_size(given.sites // GROUP, BLOCKS)
    tiles = tiling(shape, block, given.sweeps, CONFIGS[BLOCKS[-1]].launch["SWEEPS"])
    variant = SWEEPS[op, len(shape), "bytes", block]
    tables = thresholds(op, given)
    s_tables = 0
    if len(tables) > 1:
        s_tables = tables.shape[1]
    before = _words(given.configurations)
    programs = len(before) * math.prod(tiles.tiles)
    room = math.prod(tiles.shape)
    states = torch.empty(programs, room, dtype=torch.int32, device=before.device)
    numbers = []
    for lengths, absent in zip(tiles[:4], (1, 1, 0, 1), strict=True):
        # Two directions are three, the first without a length or halo.
        numbers += [absent] * (3 - len(shape)) + list(lengths)
    fixed = (
        states, tables, given.colours.to(torch.int8).contiguous(), given.walkers.contiguous(),
        *numbers, s_tables,
    )  # fmt: skip
    # Tiles read what their neighbours write: two arrays take turns, and what is given stays.
    after = torch.empty_like(before)
    room_for_next = after
    if tiles.sweeps < given.sweeps:
        room_for_next = torch.empty_like(before)
    for done in range(0, given.sweeps, tiles.sweeps):
        count = min(tiles.sweeps, given.sweeps - done)
        first = given.first_sweep + done
        launch(variant, programs, before, after, *fixed, first, count, given.seed)
        before = after
        after = room_for_next
        room_for_next = before
    return before.view(torch.int8)
