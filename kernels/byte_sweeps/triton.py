"""Kernel of heat-bath and Metropolis sweeps of two states on even periodic lattices.

Bytes are read and written; in between words hold eight sites each, see :mod:`.words`. A lattice, or
a tile of it, is swept by one program; large ones of three directions go colour by colour, see
:mod:`.triton_colours`.
"""

import itertools
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config, configs
from ..device import kernel
from ..philox import Stream
from ..site_sweeps.reference import Sweeps
from ..variants import Variant, block_size, kind_of, launch, site_stride
from .thresholds import threshold_kernel
from .tiling import GROUP, tiling
from .triton_colours import bytes_kernel, colour_kernel, words_kernel
from .words import gathered, scattered, updated, ways_of, words_of

__all__ = ["VARIANTS", "fits", "sweep"]

OPS = {"heat_bath": 0, "metropolis": 1}
"""Values of the constant OP."""
CONFIGS = {made.constants["BLOCK"]: made for made in configs("site_sweeps", "bytes")}
"""Configurations by the groups of eight sites of one program."""
BLOCKS = tuple(CONFIGS)


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

    for i_sweep in range(sweeps):
        words = words_of(seed, STREAM, OP, o_place, first_sweep + i_sweep, walker)
        for colour in tl.static_range(2):
            b_odd = b_first ^ colour
            b_states = updated(
                p_states, p_thresholds, b_states, b_odd, words, ways, m_group, OP, NDIM
            )
            tl.store(p_states + o_group, b_states.to(tl.int32, bitcast=True), mask=m_group)
            # The next colour reads, in other threads, what this one has written.
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


def _colour(op: str) -> Variant:
    made = config("site_sweeps", "colours")
    constants = {"STREAM": int(Stream.SWEEP), "OP": OPS[op], "NDIM": 3, **made.constants}
    arrays = (torch.int32, torch.int32, torch.int8, torch.int64)
    return Variant(colour_kernel, arrays, constants, warps=made.warps)


KEYS = tuple(itertools.product(OPS, (2, 3)))
"""Ops and numbers of directions."""
THRESHOLDS: dict[tuple[str | int, ...], Variant] = {
    (op, ndim, "thresholds"): _thresholds(op, ndim) for op, ndim in KEYS
}
SWEEPS: dict[tuple[str | int, ...], Variant] = {
    (op, ndim, "bytes", block): _variant(op, ndim, block) for op, ndim in KEYS for block in BLOCKS
}
COLOURS: dict[tuple[str | int, ...], Variant] = {(op, 3, "colours"): _colour(op) for op in OPS}
WORDS = config("site_sweeps", "words")
CHANGES: dict[tuple[str | int, ...], Variant] = {
    ("words",): Variant(
        words_kernel, (torch.int64, torch.int32), WORDS.constants, warps=WORDS.warps
    ),
    ("bytes",): Variant(
        bytes_kernel, (torch.int32, torch.int64), WORDS.constants, warps=WORDS.warps
    ),
}
VARIANTS = {**THRESHOLDS, **SWEEPS, **COLOURS, **CHANGES}


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
    """Make the sweeps: those of a lattice of one tile at once, of a larger one some at a time."""
    if not given.sweeps or not given.configurations.numel():
        return given.configurations.clone(memory_format=torch.contiguous_format)
    tables = thresholds(op, given)
    s_tables = 0
    if len(tables) > 1:
        s_tables = tables.shape[1]
    colours = given.colours.to(torch.int8).contiguous()
    fixed = (tables, colours, given.walkers.contiguous())
    before = _words(given.configurations)
    # Tiles of three directions are halo for the most part.
    if before[0].numel() > BLOCKS[-1] and before.ndim == 4:
        return _by_colours(op, given, before, fixed, s_tables)
    return _by_tiles(op, given, before, fixed, s_tables)


def _by_tiles(
    op: str, given: Sweeps, before: Tensor, fixed: tuple[Tensor, ...], s_tables: int
) -> Tensor:
    shape = tuple(given.configurations.shape[1:])
    block = block_size(given.sites // GROUP, BLOCKS)
    tiles = tiling(shape, block, given.sweeps, CONFIGS[BLOCKS[-1]].launch["SWEEPS"])
    variant = SWEEPS[op, len(shape), "bytes", block]
    programs = len(before) * math.prod(tiles.tiles)
    room = math.prod(tiles.shape)
    states = torch.empty(programs, room, dtype=torch.int32, device=before.device)
    numbers = []
    for lengths, absent in zip(tiles[:4], (1, 1, 0, 1), strict=True):
        # Two directions are three, the first without a length or halo.
        numbers += [absent] * (3 - len(shape)) + list(lengths)
    # Tiles read what their neighbours write: two arrays take turns, and what is given stays.
    after = torch.empty_like(before)
    room_for_next = after
    if tiles.sweeps < given.sweeps:
        room_for_next = torch.empty_like(before)
    for done in range(0, given.sweeps, tiles.sweeps):
        count = min(tiles.sweeps, given.sweeps - done)
        first = given.first_sweep + done
        arrays = (before, after, states, *fixed)
        launch(variant, programs, *arrays, *numbers, s_tables, first, count, given.seed)
        before = after
        after = room_for_next
        room_for_next = before
    return before.view(torch.int8)


def _by_colours(
    op: str, given: Sweeps, before: Tensor, fixed: tuple[Tensor, ...], s_tables: int
) -> Tensor:
    walkers, *lengths = before.shape
    groups = math.prod(lengths)
    states = torch.empty_like(before, dtype=torch.int32)
    after = torch.empty_like(before)
    all_blocks = triton.cdiv(before.numel(), WORDS.constants["BLOCK"])
    launch(CHANGES["words",], all_blocks, before, states, before.numel())
    variant = COLOURS[op, 3, "colours"]
    blocks = triton.cdiv(groups, variant.constants["BLOCK"])
    sizes = (groups, blocks, *lengths, s_tables)
    # Programs read one another's sites, so a colour ends before the next begins.
    for event, colour in itertools.product(given.numbers(), range(2)):
        launch(variant, walkers * blocks, states, *fixed, *sizes, colour, event, given.seed)
    launch(CHANGES["bytes",], all_blocks, states, after, before.numel())
    return after.view(torch.int8)
