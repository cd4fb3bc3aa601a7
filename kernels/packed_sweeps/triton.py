"""Launchers of the ops ``packed_heat_bath_sweeps`` and ``packed_metropolis_sweeps``.

A call finds the rows of words, writes bits of thresholds and signs of bonds, packs, sweeps and
unpacks, all on the device: nothing is copied to it and nothing waits for it.
"""

import itertools
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from ..configs import Config, config, configs
from ..packing.triton_sweeps import sweep_kernel
from ..packing.triton_tables import (
    reciprocal,
    rows_kernel,
    signs_kernel,
    thresholds_kernel,
)
from ..packing.triton_words import (
    pack_columns_kernel,
    pack_walkers_kernel,
    unpack_columns_kernel,
    unpack_walkers_kernel,
)
from ..variants import Variant, launch
from .layouts import BITS
from .reference import SHARED, PackedSweeps

__all__ = ["VARIANTS", "packed_heat_bath_sweeps", "packed_metropolis_sweeps"]

FAMILY = "packed_sweeps"
MOVES = {"heat_bath": 0, "metropolis": 1}
"""Values of the constant MOVE."""
KINDS = {
    "plain": {"FIELD": 0, "SIGNS": 0},
    "signs": {"FIELD": 0, "SIGNS": 1},
    "field": {"FIELD": 1, "SIGNS": 1},
}
"""Kinds of model: bonds of one sign without field, bonds of either, and both with a field."""
CHAINS = {("heat_bath", 0): 2, ("heat_bath", 1): 5, ("metropolis", 0): 2, ("metropolis", 1): 10}
"""How many thresholds a move has, by whether there is a field."""
RESTS = (2.0**-4, 0.5)
"""Least and largest rest of Metropolis that the four highest bits of a number decide."""


def _variant(op: str, kind: str, block: int) -> Variant:
    (made,) = (found for found in configs(FAMILY, op, kind) if found.constants["BLOCK"] == block)
    chosen = KINDS[kind]
    constants = {
        "MOVE": MOVES[op],
        **chosen,
        "CHAINS": CHAINS[op, chosen["FIELD"]],
        "SHARED": SHARED,
        **made.constants,
    }
    pointers = (torch.int32,) * 4
    return Variant(sweep_kernel, pointers, constants, made.warps, registers=made.registers)


def _thresholds(op: str, field: int) -> Variant:
    constants = {"MOVE": MOVES[op], "FIELD": field, "CHAINS": CHAINS[op, field]}
    pointers = (torch.float64, torch.int32, torch.int8, torch.int32, torch.int64)
    made = config(FAMILY, "thresholds")
    return Variant(thresholds_kernel, pointers, constants, made.warps, registers=made.registers)


def _around(
    function: Any, pointers: tuple[torch.dtype, ...], *key: str, **constants: int
) -> Variant:
    """Return a variant of one of the kernels that come before or after a sweep."""
    made = config(FAMILY, *key)
    constants = {**constants, **made.constants}
    return Variant(function, pointers, constants, made.warps, registers=made.registers)


WITH_WALKERS = (torch.int32, torch.int32, torch.int32, torch.int64)
"""Dtypes of words, or of configurations four sites at a time, of both, of rows and of walkers."""
SIGNS = (torch.int8, torch.int32)
VARIANTS: dict[tuple[str | int, ...], Variant] = {
    ("rows",): _around(rows_kernel, (torch.int64, torch.int32), "rows"),
    ("signs", "walkers"): _around(signs_kernel, SIGNS, "signs", "walkers", BITS=1),
    ("signs", "columns"): _around(signs_kernel, SIGNS, "signs", "columns", BITS=BITS),
    ("pack", "walkers"): _around(pack_walkers_kernel, WITH_WALKERS, "pack", "walkers"),
    ("pack", "columns"): _around(pack_columns_kernel, WITH_WALKERS[:2], "pack", "columns"),
    ("unpack", "walkers"): _around(unpack_walkers_kernel, WITH_WALKERS, "pack", "walkers"),
    ("unpack", "columns"): _around(unpack_columns_kernel, WITH_WALKERS[:2], "pack", "columns"),
}
VARIANTS |= {
    ("thresholds", op, field): _thresholds(op, field)
    for op, field in itertools.product(MOVES, (0, 1))
}
VARIANTS |= {
    (op, kind, made.constants["BLOCK"]): _variant(op, kind, made.constants["BLOCK"])
    for op, kind in itertools.product(MOVES, KINDS)
    for made in configs(FAMILY, op, kind)
}


class Words(NamedTuple):
    """Where the spins of a call lie in words, with what kernels need to find them."""

    given: PackedSweeps
    layout: str
    """Whether a word holds ``walkers`` or ``columns``."""
    walkers: Tensor
    """Global indices, contiguous."""
    table: Tensor
    """Rows of words: how many, their first walkers and the number of walkers, int32."""
    programs: int
    """Rows of consecutive walkers, at most; a program goes on to what is more."""

    @property
    def lanes(self) -> int:
        """The logarithm of the walkers of a group."""
        if self.given.rows:
            return 0
        return 5

    @property
    def columns(self) -> int:
        """Words of a line, of one colour."""
        width = self.given.configurations.shape[2] // 2
        if self.given.rows:
            return width // BITS
        return width

    @property
    def half(self) -> int:
        """Words of one colour."""
        return self.given.configurations.shape[1] * self.columns

    def empty(self, *shape: int) -> Tensor:
        """Return int32 numbers, one block of them for every row that there may be."""
        device = self.given.configurations.device
        # Rows are counted on the device; in the worst case each walker has its own.
        return torch.empty(len(self.walkers), *shape, dtype=torch.int32, device=device)


def _words(given: PackedSweeps) -> Words:
    """Find the rows of words."""
    number = len(given.walkers)
    walkers = given.walkers.contiguous()
    table = torch.empty(number + 2, dtype=torch.int32, device=walkers.device)
    words = Words(given, "columns", walkers, table, number)
    if not given.rows:
        words = words._replace(layout="walkers", programs=min(number, number // BITS + 2))
    launch(VARIANTS["rows",], 1, walkers, table, number, words.lanes)
    return words


def _masks(op: str, field: int, words: Words) -> Tensor:
    """Return the bits of all thresholds, ``(rows, thresholds + 1, 32)``."""
    given = words.given
    masks = words.empty(CHAINS[op, field] + 1, BITS)
    negative = given.negative.contiguous().view(torch.int8)
    launch(
        VARIANTS["thresholds", op, field], words.programs,
        given.beta.contiguous(), masks, negative, words.table, words.walkers,
        int(len(given.beta) > 1), words.lanes, int(negative.numel() == 1),
        given.strength, given.tilt, given.rest,
    )  # fmt: skip
    return masks


def _signs(kind: str, words: Words) -> Tensor:
    """Return the signs of bonds, ``(2, 4, half)``, or what nothing reads."""
    given = words.given
    if kind == "plain":
        return words.table
    device = given.configurations.device
    if given.negative.numel() == 1:
        # The one sign of all bonds is among the thresholds.
        return torch.zeros(2, 4, words.half, dtype=torch.int32, device=device)
    signs = torch.empty(2, 4, words.half, dtype=torch.int32, device=device)
    variant = VARIANTS["signs", words.layout]
    lengths = given.configurations.shape[1:]
    programs = triton.cdiv(words.half, variant.constants["BLOCK"])
    negative = given.negative.contiguous().view(torch.int8)
    launch(variant, programs, negative, signs, words.half, *lengths, *reciprocal(words.columns))
    return signs


def _convert(step: str, source: Tensor, target: Tensor, words: Words) -> None:
    """Pack configurations into words, or unpack them; either is int32."""
    variant = VARIANTS[step, words.layout]
    tables: tuple[Tensor, ...] = ()
    number = words.half
    if words.layout == "walkers":
        tables = (words.table, words.walkers)
        # Four sites are two of each colour.
        number = words.half // 2
    tiles = triton.cdiv(number, variant.constants["BLOCK"])
    launch(
        variant, words.programs * tiles,
        source, target, *tables, number, *reciprocal(words.columns), tiles,
    )  # fmt: skip


def _by_four(x: Tensor) -> Tensor:
    """Return contiguous configurations as int32, four sites each, ``(walkers, sites / 4)``."""
    # Such a view must begin at a multiple of four, within its storage and in memory.
    if x.storage_offset() % 4 or x.data_ptr() % 4:
        x = x.clone()
    return x.view(len(x), -1).view(torch.int32)


def _chosen(op: str, kind: str, words: Words) -> tuple[Config, int]:
    """Return how a lattice is swept: a configuration, and by how many programs per row."""
    small, middle, large = configs(FAMILY, op, kind)
    fits = [
        made
        for made in (small, middle, large)
        if words.half >= made.constants["BLOCK"] and words.columns % made.constants["QUAD"] == 0
    ]
    found = (small, *fits)[-1]
    # Many rows fill the device with small programs; few rows of large lattices are cut in tiles.
    tiled = words.half > small.launch["WHOLE"] and words.programs < small.launch["ROWS"]
    if found is large and (tiled or words.programs >= large.launch["ROWS"]):
        found = middle
    tiles = 1
    if tiled:
        blocks = triton.cdiv(words.half, found.constants["BLOCK"])
        tiles = min(blocks, triton.cdiv(small.launch["PROGRAMS"], words.programs))
    return found, tiles


def _kind(op: str, given: PackedSweeps) -> str:
    """Return which of KINDS serves a call."""
    rests = op == "heat_bath" or RESTS[0] <= given.rest <= RESTS[1]
    # Thresholds by state serve any rest, at twice the cost.
    if given.tilt != 0.0 or not rests:
        return "field"
    if given.negative.numel() > 1:
        return "signs"
    return "plain"


def _swept(op: str, given: PackedSweeps) -> Tensor:
    """Pack, sweep and unpack: whole lattices in one launch, tiles with one launch per colour."""
    x = given.configurations.contiguous()
    if not given.sweeps or not x.numel():
        return x.clone()
    kind = _kind(op, given)
    words = _words(given)
    masks = _masks(op, KINDS[kind]["FIELD"], words)
    signs = _signs(kind, words)
    spins = words.empty(2, words.half)
    _convert("pack", _by_four(x), spins, words)
    made, tiles = _chosen(op, kind, words)
    variant = VARIANTS[op, kind, made.constants["BLOCK"]]
    quad = made.constants["QUAD"]
    width = words.columns // quad
    model = (
        spins, masks, signs, words.table, words.half // quad, width,
        *reciprocal(width), words.lanes, tiles,
    )  # fmt: skip
    random = (given.seed, int(given.stream))
    programs = words.programs * tiles
    if tiles == 1:
        sweeps = (given.first_sweep, given.sweeps)
        launch(variant, programs, *model, 0, 2, int(given.backward), *sweeps, *random)
    else:
        # Tiles read one another, so a colour ends before the next begins.
        for sweep, step in itertools.product(given.numbers(), (0, 1)):
            colour = (step, step + 1, int(given.backward))
            launch(variant, programs, *model, *colour, sweep, 1, *random)
    after = torch.empty_like(x)
    _convert("unpack", spins, _by_four(after), words)
    return after


def packed_heat_bath_sweeps(given: PackedSweeps) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.packed_heat_bath_sweeps`."""
    return _swept("heat_bath", given)


def packed_metropolis_sweeps(given: PackedSweeps) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.packed_metropolis_sweeps`."""
    return _swept("metropolis", given)
