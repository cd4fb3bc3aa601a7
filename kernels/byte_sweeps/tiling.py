"""How a lattice is cut into tiles, in groups of eight sites of a row."""

from typing import NamedTuple

import torch

from ..variants import padded

__all__ = ["GROUP", "Tiling", "tiling"]

GROUP = 8
"""Sites of one word of four bits each."""


class Tiling(NamedTuple):
    """Holds how a lattice is cut into tiles, in groups of eight sites."""

    shape: tuple[int, int, int, int]
    """Lengths of a tile, the first of them 1."""
    halo: tuple[int, int]
    """Rows and columns at each side of a tile that belong to others."""
    across: int
    """Tiles side by side."""
    tiles: int
    """Tiles in all."""


def tiling(shape: tuple[int, ...], block: int, sweeps: int) -> Tiling:
    """Return the tiling with the fewest tiles of at most ``block`` groups for so many sweeps."""
    lengths = (*shape[:-1], shape[-1] // GROUP)
    if torch.Size(lengths).numel() <= block:
        return Tiling(padded(lengths), (0, 0), 1, 1)
    rows, columns = lengths
    found = []
    width = 1
    while width <= block:
        length = min(columns, width)
        height = min(rows, block // length)
        # Where a tile has whole rows or columns, nothing goes wrong at their ends. Sites go wrong
        # one by one with every colour; a column has eight.
        halo_rows = 0
        if height < rows:
            halo_rows = 2 * sweeps
        halo_columns = 0
        if length < columns:
            halo_columns = -(-2 * sweeps // GROUP)
        inner_rows = height - 2 * halo_rows
        inner_columns = length - 2 * halo_columns
        if inner_rows > 0 and inner_columns > 0:
            across = -(-columns // inner_columns)
            tiles = across * -(-rows // inner_rows)
            halo = (halo_rows, halo_columns)
            found.append(Tiling((1, 1, height, length), halo, across, tiles))
        width *= 2
    return min(found, key=lambda made: made.tiles)
