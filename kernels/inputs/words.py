"""The case of the random words themselves, which are no op of torch's."""

import torch

from ..philox import Stream
from .case import PHILOX_OPERATIONS, Case, Size

__all__ = ["OPS", "measured"]

OPS = ("philox",)


def measured(op: str, size: Size) -> Case:
    """Return the case of one word per site."""
    # A counter gives four words.
    counters = (size.sites + 3) // 4
    arguments = {
        "seed": size.seed,
        "stream": int(Stream.SWEEP),
        "site": torch.arange(counters, device=size.device),
        "event": 0,
        "draw": 0,
        "walker": size.indices.unsqueeze(1),
        "device": size.device,
    }
    count = size.walkers * counters
    work = PHILOX_OPERATIONS * count
    return Case(op, "", size, arguments, frozenset({"walker"}), work, words=4 * count)
