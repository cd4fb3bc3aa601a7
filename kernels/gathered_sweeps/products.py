"""Sweeps of graphs whose sites have many neighbours: a matrix product per colour.

The fields of the sites of a colour come from one product of the couplings of this colour with the
states of all others. Random words and decisions are those of the gathered sweeps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..gathered.products import KEPT_SITES, both_ends, fields_of, matrix_of
from ..philox import uniform32
from ..site_sweeps.reference import accepted, drawn, heat_bath_probabilities, nearest, waves

__all__ = ["Block", "move", "redraw", "reflect", "sweep"]

KEPT = 4
"""How many models' matrices are kept."""


class Block(NamedTuple):
    """Holds the sites of a colour and their couplings with all others."""

    rows: Tensor
    """Sites of the colour, int64 ``(rows,)``; all sites on a device that is not asked."""
    columns: Tensor
    """Sites of the other colours, or all, int64 ``(columns,)``."""
    both: Tensor
    """``J_ij`` whichever end ``i`` is, ``(1 | walkers, rows, columns)``."""
    turned: Tensor
    """``J_ij`` where ``i`` is the first end, ``-J_ij`` where it is the second."""
    site_table: Tensor
    """``h`` of the rows, ``(1 | walkers, q, 1 | rows)``."""
    chosen: Tensor
    """Whether a row has the colour, bool ``(rows,)``."""


def _squares(given: Any, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return ``J_ij``, and with its sign by the end, ``(1 | walkers, sites, sites)``."""
    coupling = torch.atleast_2d(given.coupling)
    first = torch.arange(given.sites, device=coupling.device).expand_as(given.neighbours)
    # Each edge is told from both of its ends, and counted from the first.
    again = given.behind.flatten().bool()
    bonds = coupling.index_select(1, given.bond.flatten()).masked_fill(again, 0.0)
    # Where there is no neighbour, 0 is added to the diagonal.
    matrix = matrix_of(first.flatten(), given.neighbours.flatten(), bonds, given.sites)
    return both_ends(matrix, dtype)


def _blocks(given: Any, dtype: torch.dtype) -> list[Block]:
    both, turned = _squares(given, dtype)
    site_table = given.site_table.to(dtype)
    everywhere = torch.arange(given.sites, device=both.device)
    found = []
    for colour in range(given.num_colours):
        rows = everywhere
        columns = everywhere
        chosen = given.colours == colour
        if both.device.type == "cpu":
            # Which sites have a colour is a number that a CUDA device would make the host wait for.
            rows = everywhere[chosen]
            columns = everywhere[~chosen]
        table = site_table
        if table.shape[2] > 1:
            table = table.index_select(2, rows)
        own = both.index_select(1, rows).index_select(2, columns)
        own_turned = turned.index_select(1, rows).index_select(2, columns)
        members = chosen.index_select(0, rows)
        found.append(Block(rows, columns, own, own_turned, table, members))
    return found


class Kept(NamedTuple):
    """Holds the matrices of a model, and what they were made from."""

    sources: tuple[Tensor, ...]
    num_colours: int
    blocks: list[Block]
    """Of the colours, in the type of their fields."""


_kept: list[Kept] = []


def _blocks_of(given: Any, dtype: torch.dtype) -> list[Block]:
    """Return the matrices of a model, made anew if none that is kept fits."""
    sources = (
        given.coupling, given.site_table, given.neighbours, given.bond, given.behind,
        given.colours,
    )  # fmt: skip
    # To compare tables would make the host wait for a CUDA device, and a recorded graph of calls
    # may not hold what is freed here.
    kept = given.coupling.device.type == "cpu" and given.sites <= KEPT_SITES
    if not kept:
        return _blocks(given, dtype)
    for entry in list(_kept):
        if entry.num_colours != given.num_colours or entry.blocks[0].both.dtype != dtype:
            continue
        # By content: what a table's owner wrote into it since is seen.
        pairs = zip(entry.sources, sources, strict=True)
        if all(own.dtype == now.dtype and torch.equal(own, now) for own, now in pairs):
            return entry.blocks
    copies = tuple(source.clone() for source in sources)
    made = Kept(copies, given.num_colours, _blocks(given, dtype))
    _kept.insert(0, made)
    del _kept[KEPT:]
    return made.blocks


def sweep(
    given: Any,
    decide: Callable[[Any, Tensor, Tensor, Tensor, Tensor], Tensor],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Make sweeps of the configurations, each colour in turn.

    Args:
        given: the record of the op.
        decide: returns the new states of some sites from the record, their states, their fields,
            and the first and second word of each.
        dtype: of the fields.
    """
    x = given.configurations
    blocks = _blocks_of(given, dtype)
    bond_table = given.bond_table.to(dtype)
    for number in given.numbers():
        words = given.words(number)
        others = given.words(number, draw=1)
        for block in blocks:
            around = x.index_select(1, block.columns)
            fields = fields_of(around, block.both, block.turned, bond_table, block.site_table)
            here = x.index_select(1, block.rows)
            own = [w.index_select(1, block.rows) for w in (words, others)]
            states = decide(given, here, fields, *own).to(x.dtype)
            x = x.index_copy(1, block.rows, torch.where(block.chosen, states, here))
    return x


def redraw(given: Any, x: Tensor, fields: Tensor, words: Tensor, others: Tensor) -> Tensor:
    """Return new states of the heat bath."""
    return drawn(heat_bath_probabilities(fields, given.beta), uniform32(words))


def move(given: Any, x: Tensor, fields: Tensor, words: Tensor, others: Tensor) -> Tensor:
    """Return new states of Metropolis' proposals, or the old ones."""
    # The upper half of a product is uniform in 0 … q-2.
    shift = (words * (given.q - 1) >> 32) + 1
    proposed = (x.long() + shift) % given.q
    moves = accepted(given, x, fields, proposed, uniform32(others))
    return torch.where(moves, proposed.to(x.dtype), x)


def reflect(given: Any, x: Tensor, fields: Tensor, words: Tensor, others: Tensor) -> Tensor:
    """Return reflected states, or the old ones."""
    proposed = (nearest(fields, waves(given.q, torch.device("cpu"))) - x.long()) % given.q
    moves = accepted(given, x, fields, proposed, uniform32(others))
    return torch.where(moves, proposed.to(x.dtype), x)
