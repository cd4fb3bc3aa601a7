"""How spins lie in words: 32 walkers to a word, or 32 neighbours in a row of one lattice.

Sites ``(r, x)`` have the colour ``(r + x) & 1``, and within it the column ``x // 2``: the half of
one colour is an array of its own, of ``C = W / 2`` columns. Words hold 32 bits, here in int64.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = [
    "BITS",
    "Layout",
    "Rows",
    "Walkers",
    "in_rows",
    "join",
    "of_walkers",
    "pair_partners",
    "split",
]

BITS = 32
"""Spins of a word."""
WORD = 0xFFFFFFFF


def split(x: Tensor) -> Tensor:
    """Return the two colours of ``(…, L, W)``, ``(…, 2, L, W / 2)``."""
    even = x[..., 0::2]
    odd = x[..., 1::2]
    rows = torch.arange(x.shape[-2], device=x.device).unsqueeze(1)
    # In odd rows the even columns have colour 1.
    swapped = (rows & 1).bool()
    first = torch.where(swapped, odd, even)
    second = torch.where(swapped, even, odd)
    return torch.stack([first, second], dim=-3)


def join(halves: Tensor) -> Tensor:
    """Return ``(…, L, W)`` from its two colours; the inverse of :func:`split`."""
    first, second = halves.unbind(-3)
    rows = torch.arange(halves.shape[-2], device=halves.device).unsqueeze(1)
    swapped = (rows & 1).bool()
    even = torch.where(swapped, second, first)
    odd = torch.where(swapped, first, second)
    return torch.stack([even, odd], dim=-1).flatten(-2)


class Layout(Protocol):
    """Says where the spins of walkers lie; words come in rows, one for each counter ``walker``."""

    @property
    def walker(self) -> Tensor:
        """The fourth word of the counter of every row, int64 ``(rows,)``."""
        ...

    def pack(self, x: Tensor) -> Tensor:
        """Return bits ``(walkers, L, W)`` as words ``(rows, 2, L, columns)``."""
        ...

    def unpack(self, words: Tensor) -> Tensor:
        """Return what :meth:`pack` had, int8."""
        ...

    def of_walkers(self, bits: Tensor) -> Tensor:
        """Return bits of walkers, ``(walkers, …)``, for all their sites: words ``(rows, …)``."""
        ...

    def of_sites(self, bits: Tensor) -> Tensor:
        """Return bits of sites, ``(…, L, C)``, for all walkers: words ``(…, L, columns)``."""
        ...

    def ahead(self, words: Tensor) -> Tensor:
        """Return for each site of a half what is one column further on, ``(rows, L, columns)``."""
        ...

    def behind(self, words: Tensor) -> Tensor:
        """Return for each site of a half what is one column before."""
        ...


class Walkers(NamedTuple):
    """Walker ``w`` is lane ``w % 32`` of group ``w // 32``, whoever else is there.

    A word holds one site of the walkers of a group; the bits of lanes without a walker are 0 to
    begin with, and what becomes of them is of no account.
    """

    groups: Tensor
    """Numbers of the groups, increasing, int64 ``(rows,)``."""
    row: Tensor
    """Row of the group of each walker, int64 ``(walkers,)``."""
    lane: Tensor
    """Its lane, int64 ``(walkers,)``."""

    @property
    def walker(self) -> Tensor:
        """The group."""
        return self.groups

    def pack(self, x: Tensor) -> Tensor:
        """Return bits ``(walkers, L, W)`` as words ``(groups, 2, L, C)``."""
        return self.of_walkers(split(x))

    def unpack(self, words: Tensor) -> Tensor:
        """Return what :meth:`pack` had, int8."""
        lane = self.lane.view(-1, *[1] * (words.ndim - 1))
        bits = words[self.row] >> lane & 1
        return join(bits.to(torch.int8))

    def of_walkers(self, bits: Tensor) -> Tensor:
        """Return bits ``(walkers, …)`` as words ``(groups, …)``."""
        lane = self.lane.view(-1, *[1] * (bits.ndim - 1))
        words = bits.new_zeros((len(self.groups), *bits.shape[1:]), dtype=torch.int64)
        # Each walker has a lane of its own, so that a sum carries nothing.
        return words.index_add_(0, self.row, bits.long() << lane)

    def of_sites(self, bits: Tensor) -> Tensor:
        """Return bits ``(…, L, C)`` in all lanes."""
        return bits.long() * WORD

    def ahead(self, words: Tensor) -> Tensor:
        """Return what is one column further on."""
        return words.roll(-1, -1)

    def behind(self, words: Tensor) -> Tensor:
        """Return what is one column before."""
        return words.roll(1, -1)


def of_walkers(walkers: Tensor) -> Walkers:
    """Return where walkers with these global indices lie.

    Args:
        walkers: Int64 ``(walkers,)``, in any order, no two alike.

    Raises:
        ValueError: If two are alike, on a CPU.
    """
    groups, row = torch.unique(walkers // BITS, return_inverse=True)
    found = Walkers(groups, row, walkers % BITS)
    # Other devices do not wait for an answer.
    if walkers.device.type != "cpu":
        return found
    different = len(walkers.unique())
    if different < len(walkers):
        raise ValueError(
            f"walkers must be different numbers, got {different} different ones among "
            f"{len(walkers)}; take heat_bath_sweeps or metropolis_sweeps, or rows=True"
        )
    return found


class Rows(NamedTuple):
    """Bit ``b`` of word ``j`` of a row is its column ``32 j + b``, of one walker.

    Words have ``C / 32`` columns, and so ``W`` must be a multiple of 64.
    """

    walkers: Tensor
    """Global index of each walker, int64 ``(walkers,)``."""

    @property
    def walker(self) -> Tensor:
        """The walker itself."""
        return self.walkers

    def pack(self, x: Tensor) -> Tensor:
        """Return bits ``(walkers, L, W)`` as words ``(walkers, 2, L, C / 32)``."""
        return in_rows(split(x))

    def unpack(self, words: Tensor) -> Tensor:
        """Return what :meth:`pack` had, int8."""
        place = torch.arange(BITS, device=words.device)
        bits = words.unsqueeze(-1) >> place & 1
        return join(bits.to(torch.int8).flatten(-2))

    def of_walkers(self, bits: Tensor) -> Tensor:
        """Return bits ``(walkers, …)`` in all places of a word."""
        return bits.long() * WORD

    def of_sites(self, bits: Tensor) -> Tensor:
        """Return bits ``(…, L, C)`` as words ``(…, L, C / 32)``."""
        return in_rows(bits)

    def ahead(self, words: Tensor) -> Tensor:
        """Return what is one column further on: the next bit, the last one from the next word."""
        return words >> 1 | (words.roll(-1, -1) & 1) << BITS - 1

    def behind(self, words: Tensor) -> Tensor:
        """Return what is one column before: the bit below, the first one from the word before."""
        return words << 1 & WORD | words.roll(1, -1) >> BITS - 1


def in_rows(bits: Tensor) -> Tensor:
    """Return bits ``(…, C)`` as words ``(…, C / 32)``."""
    place = torch.arange(BITS, device=bits.device)
    return (bits.unflatten(-1, (-1, BITS)).long() << place).sum(-1)


def pair_partners(four: Tensor, rows: bool) -> Tensor:
    """Return bits of sites behind and ahead as those in the pair of a site and beside it, in words.

    Args:
        four: Bits above, below, behind and ahead, ``(4, 2, L, C)``.
        rows: Whether words hold columns.

    Returns:
        Words above, below, in the pair and beside it, ``(4, 2, L, columns)``.
    """
    above, below, behind, ahead = four
    colour = torch.arange(2).view(2, 1, 1)
    row = torch.arange(four.shape[-2]).view(1, -1, 1)
    # The second site of a pair has the first one behind.
    second = (row + colour & 1).bool()
    within = torch.where(second, behind, ahead)
    beside = torch.where(second, ahead, behind)
    ordered = torch.stack([above, below, within, beside])
    if rows:
        return in_rows(ordered)
    return ordered.long() * WORD
