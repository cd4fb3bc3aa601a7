"""Which blocks of a run a file holds: all of them, or those from one to another."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...kernels.checks import as_integer, shown

__all__ = ["Portion", "as_blocks", "portion_of"]


class Portion(NamedTuple):
    """Consecutive blocks of a run."""

    first: int
    """The first of them"""
    end: int
    """The first that is none of them any more"""
    of: int
    """Blocks of the whole run"""
    walkers: int
    """Walkers in these blocks"""

    @property
    def blocks(self) -> int:
        """Return the number of blocks."""
        return self.end - self.first

    @property
    def is_all(self) -> bool:
        """Return whether these are all blocks of the run."""
        return self.blocks == self.of

    @property
    def name(self) -> str:
        """Return the blocks as options and messages spell them, such as ``0:4``."""
        return f"{self.first}:{self.end}"


def as_blocks(blocks: object, walkers: int, block: int) -> list[int] | None:
    """Return first and end of the blocks asked for, checked; None for all.

    Args:
        blocks: ``(first, end)`` as in a slice; an end beyond the last block means the last.
        walkers: of the whole run.
        block: walkers per block.

    Raises:
        ValueError: If these are no blocks of the run.
    """
    if blocks is None:
        return None
    total = -(-walkers // block)
    pair = isinstance(blocks, Sequence) and not isinstance(blocks, str) and len(blocks) == 2
    if not pair:
        raise ValueError(f"blocks must be a pair (first, end) such as (0, 4), got {shown(blocks)}")
    first = as_integer("blocks", blocks[0], 0)  # type: ignore[index]
    end = as_integer("blocks", blocks[1], 0)  # type: ignore[index]
    if first >= min(end, total):
        raise ValueError(
            f"blocks must be first:end with 0 <= first < end and first < {total}, since "
            f"{walkers} walkers are {total} blocks of {block}, got {first}:{end}"
        )
    end = min(end, total)
    if (first, end) == (0, total):
        return None
    return [first, end]


def portion_of(settings: dict[str, Any], block: int) -> Portion:
    """Return the blocks that a file holds.

    Args:
        settings: of the run, as the file tells them.
        block: walkers per block.

    Example:
        >>> portion_of({"walkers": 150, "blocks": [1, 3]}, 64)
        Portion(first=1, end=3, of=3, walkers=86)
    """
    walkers = settings["walkers"]
    total = -(-walkers // block)
    # Files of whole runs have no such entry.
    first, end = settings.get("blocks", (0, total))
    # The last block of all may be a short one.
    inside = min(walkers, end * block) - first * block
    return Portion(first, end, total, inside)
