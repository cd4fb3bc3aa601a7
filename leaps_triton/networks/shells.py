"""The neighbours of a site by distance, and the classes that a site has by their states."""

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Shells", "counted"]


class Shells(NamedTuple):
    """The neighbours of a site by distance, nearest first: 1, √2 and 2 in two dimensions."""

    offsets: tuple[tuple[tuple[int, ...], ...], ...]
    """Vectors to the sites of each shell"""

    @classmethod
    def nearest(cls, ndim: int, count: int) -> "Shells":
        """Return the first ``count`` shells of the infinite lattice."""
        by_distance: dict[int, list[tuple[int, ...]]] = {}
        for offset in itertools.product(range(-count, count + 1), repeat=ndim):
            squared = sum(n * n for n in offset)
            by_distance.setdefault(squared, []).append(offset)
        # The shell of distance 0 is the site itself.
        distances = sorted(by_distance)[1 : count + 1]
        return cls(tuple(tuple(by_distance[distance]) for distance in distances))

    @property
    def sizes(self) -> list[int]:
        """``z_1, …, z_S``, the number of sites of each shell."""
        return [len(shell) for shell in self.offsets]

    @property
    def surroundings(self) -> int:
        """The number of classes of one state, ``(z_1 + 1) … (z_S + 1)``."""
        return math.prod(size + 1 for size in self.sizes)

    def counts(self) -> Tensor:
        """Return how many sites of each shell are in state 1, for every class of one state.

        Returns:
            int64 ``(surroundings, S)``.
        """
        choices = [torch.arange(size + 1) for size in self.sizes]
        return torch.cartesian_prod(*choices).view(self.surroundings, -1)

    def strides(self) -> list[int]:
        """Return what one site of each shell adds to the class.

        The site itself adds ``surroundings``.
        """
        strides: list[int] = []
        for shell in range(len(self.sizes)):
            later = self.sizes[shell + 1 :]
            strides.append(math.prod(size + 1 for size in later))
        return strides

    def distinct(self, shape: Sequence[int]) -> bool:
        """Return whether all these sites and their centre differ on a torus of this shape."""
        places: set[tuple[int, ...]] = set()
        for shell in self.offsets:
            for offset in shell:
                place = tuple(n % length for n, length in zip(offset, shape, strict=True))
                places.add(place)
        centre = (0,) * len(shape)
        return len(places) == sum(self.sizes) and centre not in places

    def neighbours(self, shape: Sequence[int]) -> Tensor:
        """Return the flat index of every site of a torus, and those of its shells.

        Returns:
            int64 ``(sites, 1 + z_1 + … + z_S)``.
        """
        index = torch.arange(math.prod(shape)).view(*shape)
        axes = tuple(range(len(shape)))
        columns = [index]
        for shell in self.offsets:
            for offset in shell:
                back = tuple(-n for n in offset)
                columns.append(index.roll(back, axes))
        return torch.stack([column.flatten() for column in columns], dim=1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def counted(shells: Shells, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the sites in state 1 of each shell, for every class of one state, and all of them.

    Returns:
        ``(surroundings, S)``; and ``(S,)``.
    """
    sizes = torch.tensor(shells.sizes)
    return shells.counts().to(device, dtype), sizes.to(device, dtype)
