"""How a lattice is cut into tiles, in groups of eight sites of a row."""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["GROUP", "Tiling", "tiling"]

GROUP = 8
"""Sites of one word of four bits each."""


class Tiling(NamedTuple):
    """Holds how a lattice is cut into tiles, by direction, in groups of eight sites."""

    lattice: tuple[int, ...]
    """Lengths of the lattice."""
    shape: tuple[int, ...]
    """Lengths of a tile."""
    halo: tuple[int, ...]
    """Groups at either end of a tile that belong to others."""
    tiles: tuple[int, ...]
    """Numbers of tiles."""
    sweeps: int
    """Sweeps of one launch."""


@functools.lru_cache(maxsize=64)
def tiling(shape: tuple[int, ...], block: int, sweeps: int, most: int) -> Tiling:
    """Return the tiling for which so many sweeps cost least.

    Args:
        shape: Shape of the lattice, the last length a multiple of :data:`GROUP`.
        block: Groups of a tile, at most.
        sweeps: Sweeps in all.
        most: Sweeps of one launch, at most, where there are several tiles.
    """
    lattice = (*shape[:-1], shape[-1] // GROUP)
    none = (0,) * len(lattice)
    if math.prod(lattice) <= block:
        return Tiling(lattice, lattice, none, (1,) * len(lattice), sweeps)
    found: list[Tiling] = []
    for at_once in range(1, min(sweeps, most) + 1):
        found += _tilings(lattice, block, at_once)
    return min(found, key=lambda made: _cost(made, sweeps))


def _cost(made: Tiling, sweeps: int) -> int:
    """Return what sweeps cost, in tiles that are swept once."""
    launches = -(-sweeps // made.sweeps)
    # To find its place and to read and write a tile takes about as long as one sweep of it.
    return math.prod(made.tiles) * (launches + sweeps)


def _tilings(lattice: tuple[int, ...], block: int, sweeps: int) -> Iterator[Tiling]:
    """Yield tilings of all forms."""
    powers = [2**k for k in range(block.bit_length())]
    for others in itertools.product(powers, repeat=len(lattice) - 1):
        if math.prod(others) > block:
            continue
        form = (block // math.prod(others), *others)
        shape = tuple(map(min, form, lattice))
        # Sites go wrong one by one with every colour, from where a tile ends within the lattice;
        # the last direction has eight in a group.
        wrong = [2 * sweeps] * len(lattice)
        wrong[-1] = -(-2 * sweeps // GROUP)
        halo = []
        tiles = []
        for length, whole, lost in zip(shape, lattice, wrong, strict=True):
            edge = lost
            if length == whole:
                edge = 0
            inner = max(length - 2 * edge, 0)
            halo.append(edge)
            tiles.append(-(-whole // max(inner, 1)) * min(inner, 1))
        # A halo may leave nothing of a tile.
        if all(tiles):
            yield Tiling(lattice, shape, tuple(halo), tuple(tiles), sweeps)
