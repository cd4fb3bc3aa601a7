"""A process among those that share one work; by itself it is the first of one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["ALONE", "LostRankError", "Ranks"]

Made = TypeVar("Made")


class LostRankError(RuntimeError):
    """Raised where another process of the same work has ended; it names that one."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """What a process knows of those that share its work.

    Every method is called by all of them, in the same order.

    Attributes:
        rank: number of this process, from 0 on.
        world: how many there are.
        device: where it computes; None for what its user says.
    """

    rank: int = 0
    world: int = 1
    device: torch.device | None = None

    @property
    def first(self) -> bool:
        """Return whether this is the process that writes files and speaks to the user."""
        return self.rank == 0

    @property
    def name(self) -> str:
        """Return which process this is, such as ``rank 1 of 2``."""
        return f"rank {self.rank} of {self.world}"

    def share(self, count: int) -> range:
        """Return this process' part of so many things: consecutive ones, dealt out evenly.

        Example:
            >>> Ranks(rank=1, world=3).share(7)
            range(2, 4)
        """
        begin = self.rank * count // self.world
        end = (self.rank + 1) * count // self.world
        return range(begin, end)

    def placed(self, device: torch.device) -> torch.device:
        """Return the device of this process, of the kind that its user chose."""
        if self.device is not None and device.type == self.device.type:
            return self.device
        return device

    def meet(self) -> None:
        """Wait for all.

        Raises:
            LostRankError: If one of them has ended; the error names it.
        """

    def from_first(self, make: Callable[[], Made]) -> Made:
        """Return what the first process makes; the others make nothing.

        Raises:
            LostRankError: the same as in :meth:`meet`.
        """
        return make()

    def to_first(self, mine: Any) -> list[Any]:
        """Return what all processes give, by rank, on the first; nothing on the others.

        Args:
            mine: plain data or arrays, on the host.

        Raises:
            LostRankError: the same as in :meth:`meet`.
        """
        return [mine]

    def everywhere(self, mine: Tensor) -> Tensor:
        """Return the tensors of all processes by rank, ``(world, *shape)``, on all of them.

        Args:
            mine: of the same shape and type on all.

        Raises:
            LostRankError: the same as in :meth:`meet`.
        """
        return mine.unsqueeze(0)

    def largest(self, *mine: int) -> int:
        """Return the largest number that any process has; 0 where none has any.

        Args:
            mine: numbers of this process, above 0; none for none.

        Raises:
            LostRankError: the same as in :meth:`meet`.
        """
        return int(self.everywhere(torch.tensor([max(mine, default=0)])).max())

    def fail(self, why: str) -> bool:
        """Tell the others why this process ends; return whether its user is to be told by it.

        Args:
            why: in words.
        """
        return True


ALONE = Ranks()
"""A process by itself."""
