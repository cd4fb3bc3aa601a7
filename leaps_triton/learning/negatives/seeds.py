"""Seeds of what a learning draws, each derived from the seed of the whole."""

from enum import IntEnum

from ...kernels import Stream, philox

__all__ = ["Purpose", "derived_seed"]


_LEARNING = 200
"""Draw word of the seeds of learning, beyond those of training."""


class Purpose(IntEnum):
    """Names what a seed is derived for: walkers of two purposes share no random number."""

    # Numbers are part of the counter: to change one would change every learning.
    START = 0
    WALKERS = 1
    REPLAY = 2
    ROWS = 3
    STEP = 4
    HIDDEN = 5


def derived_seed(seed: int, purpose: Purpose, step: int = 0) -> int:
    """Return a seed in [0, 2³²) for one purpose.

    Args:
        seed: of the learning.
        purpose: what it is for.
        step: updates before this one, where each has a seed of its own.
    """
    return int(philox(seed, Stream.TRAIN, int(purpose), step, _LEARNING, 0)[0])
