"""What a path offers, and what it starts from."""

from typing import Protocol

from torch import Tensor

__all__ = ["Start"]


class Start(Protocol):
    """A distribution ``ρ_0`` on the path that can be sampled exactly."""

    log_z: float

    def sample(self, walkers: Tensor, seed: int) -> Tensor:
        """Independent configurations ``(walkers, *shape)`` for the global walker indices
        ``walkers``.
        """
        ...
