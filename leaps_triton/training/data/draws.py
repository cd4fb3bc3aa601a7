"""Random numbers of training: of the configuration's seed, the step and what they are for."""

from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels import Stream, philox

__all__ = ["Draws", "Use"]


class Use(IntEnum):
    """Names what random numbers are for: the "draw" word of the Philox counter."""

    # Numbers are part of the counter: to change one would change every training.
    TIMES = 0
    ROWS = 1
    ROLLOUT_SEED = 2
    EVALUATION_SEED = 3
    REPORT_SEED = 4
    EQUILIBRIUM_SEED = 5
    HELD_OUT_SEED = 6
    EXCHANGES = 7
    MEMBERS = 8
    NODES = 9
    TEST_NODES = 10
    NODE_TIMES = 11
    TEST_TIMES = 12
    REACH_SEED = 13


class Draws(NamedTuple):
    """The random numbers of one training step."""

    seed: int
    """Seed of the training, in [0, 2³²)"""
    step: int
    """Steps before this one"""

    def words(self, use: Use, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return four 32-bit words for each of ``count`` entries, int64 ``(count,)`` each."""
        # On the host: they are few, and times and seeds are needed there.
        entries = torch.arange(count)
        return philox(self.seed, Stream.TRAIN, entries, self.step, int(use), 0)

    def own_seed(self, use: Use, number: int = 0) -> int:
        """Return a seed for ``use`` at this step, in [0, 2³²).

        Args:
            use: what it is for.
            number: of several, such as one per model of a family.
        """
        return int(self.words(use, number + 1)[0][number])
