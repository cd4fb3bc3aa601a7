"""Packed sweeps on a CPU, bit for bit those of :mod:`.reference`."""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..native.threads import over_walkers
from .cpu_packing import pack_rows, unpack_rows
from .cpu_sweeps import BLOCK, Bonds, Draws
from .cpu_walkers import Model, Numbers, sweep_rows, thresholds_of_walker, update_blocks
from .layouts import BITS, of_walkers, pair_partners
from .reference import PackedSweeps, negative_bonds

__all__ = ["packed_heat_bath_sweeps", "packed_metropolis_sweeps"]

KEPT = 2**20
"""Signs of bonds, at most, whose words are kept for the next call."""
FEW = 2**14
"""Walkers whose lanes are kept for the next call."""
PARTS = 2**20
"""Sites from which on threads may share a walker."""
EACH = 8
"""Walkers of a group that cost about as much as one that is swept in bytes."""


def packed_heat_bath_sweeps(given: PackedSweeps) -> Tensor:
    """Make heat-bath sweeps."""
    return _swept(given, False)


def packed_metropolis_sweeps(given: PackedSweeps) -> Tensor:
    """Make Metropolis sweeps."""
    return _swept(given, True)


def _swept(given: PackedSweeps, metropolis: bool) -> Tensor:
    before = given.configurations.contiguous()
    after = torch.empty_like(before)
    model = Model(
        fields=np.array(given.fields(1)),
        opposed=np.array(given.fields(-1)),
        tilted=given.tilt != 0.0,
        beta=given.beta.contiguous().numpy(),
        metropolis=metropolis,
        keep=1.0 - given.rest,
    )
    order = (1, 0) if given.backward else (0, 1)
    numbers = Numbers(given.first_sweep, given.sweeps, given.seed, int(given.stream), *order)
    bonds = _bonds(given)
    lengths = (before.shape[1], before.shape[2])
    x = before.flatten(1).numpy().view(np.uint8)
    y = after.flatten(1).numpy().view(np.uint8)
    cost = before[0].numel() * given.sweeps // EACH
    if given.rows and _are_parts_faster(given):
        for walker in range(len(x)):
            _sweep_in_parts(y, x, walker, given, bonds, model, numbers)
        return after
    if given.rows:
        owners = given.walkers.contiguous().numpy()
        lanes = np.arange(len(owners)).reshape(-1, 1)
    else:
        owners, lanes = _lanes(given.walkers)
        cost *= BITS

    def work(begin: int, end: int) -> None:
        sweep_rows(y, x, begin, end, owners, lanes, lengths, bonds, model, numbers)

    over_walkers(work, len(owners), cost)
    return after


def _are_parts_faster(given: PackedSweeps) -> bool:
    """Return whether walkers are so few and large that threads share each of them."""
    threads = torch.get_num_threads()
    return len(given.walkers) < threads and given.configurations[0].numel() >= PARTS


def _sweep_in_parts(
    y: Any, x: Any, walker: int, given: PackedSweeps, bonds: Bonds, model: Model, numbers: Numbers
) -> None:
    """Sweep one walker in parts of its lattice; threads wait for one another after a colour."""
    length, width = given.configurations.shape[1:]
    columns = bonds.columns
    words = length * columns
    halves = np.zeros((2, words + 2 * columns), np.uint32)
    old = x[walker].view(np.uint64)
    new = y[walker].view(np.uint64)
    over_walkers(lambda first, end: pack_rows(halves, old, first, end, width), length, width)
    beta = model.beta[min(walker, len(model.beta) - 1)]
    masks, inverted = thresholds_of_walker(model, beta)
    draws = Draws(numbers.seed, numbers.stream, int(given.walkers[walker]))
    blocks = -(-words // BLOCK)
    for half in halves:
        _surround(half, columns)
    # All bits in odd rows.
    second = np.zeros((length, columns), np.uint32)
    second[1::2] = 0xFFFFFFFF
    how = (bonds, second.reshape(-1), masks, model.metropolis, inverted, draws)

    def update(c: int, sweep: int, first: int, end: int) -> None:
        update_blocks(halves, c, first, end, *how, sweep)

    for sweep in given.numbers():
        for c in (numbers.colour, numbers.other):
            part = functools.partial(update, c, sweep)
            over_walkers(part, blocks, BLOCK * BITS // EACH)
            _surround(halves[c], columns)
    over_walkers(lambda first, end: unpack_rows(new, halves, first, end, width), length, width)


def _surround(half: Any, columns: int) -> None:
    """Repeat the last row before the first one, and the first one after the last."""
    half[:columns] = half[-2 * columns : -columns]
    half[-columns:] = half[columns : 2 * columns]


def _lanes(walkers: Tensor) -> tuple[Any, Any]:
    """Return the groups, and the walkers in the lanes of each, -1 for none."""
    if walkers.numel() > FEW:
        return _lanes_of(walkers)
    # To find them anew would take as long as a sweep of a small lattice.
    return _lanes_kept(walkers.contiguous().numpy().tobytes())


def _lanes_of(walkers: Tensor) -> tuple[Any, Any]:
    found = of_walkers(walkers)
    lanes = np.full((len(found.groups), BITS), -1)
    lanes[found.row.numpy(), found.lane.numpy()] = np.arange(len(walkers))
    return found.groups.numpy(), lanes


@functools.lru_cache(maxsize=16)
def _lanes_kept(walkers: bytes) -> tuple[Any, Any]:
    return _lanes_of(torch.frombuffer(bytearray(walkers), dtype=torch.int64))


def _bonds(given: PackedSweeps) -> Bonds:
    """Return how words hang together."""
    length, width = given.configurations.shape[1:]
    columns = width // 2
    if given.rows:
        columns //= BITS
    flipped = np.uint32(0)
    if given.negative.numel() == 1:
        # One sign of all bonds is that of four neighbours.
        negative = np.empty((2, 4, 0), np.uint32)
        if bool(given.negative):
            flipped = np.uint32(0xFFFFFFFF)
    else:
        signs = given.negative.contiguous()
        if signs.numel() <= KEPT:
            negative = _signs(signs.numpy().tobytes(), length, width, given.rows)
        else:
            negative = _words_of(signs, given.rows)
    return Bonds(columns, given.rows, negative, flipped)


@functools.lru_cache(maxsize=16)
def _signs(signs: bytes, length: int, width: int, rows: bool) -> Any:
    """Return the words of signs, kept from call to call."""
    found = torch.frombuffer(bytearray(signs), dtype=torch.bool)
    return _words_of(found.view(2, length, width), rows)


def _words_of(signs: Tensor, rows: bool) -> Any:
    """Return signs above, below, in the pair, and beside it, uint32 ``(2, 4, words)``."""
    words = pair_partners(negative_bonds(signs), rows)
    return np.ascontiguousarray(words.transpose(0, 1).flatten(2).numpy(), np.uint32)
