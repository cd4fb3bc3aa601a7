"""Walkers shared out among threads; each is computed by one of them, whatever their number."""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["over_walkers"]

LEAST = 2**16
"""Sites of a part, at least: less work than that is done before another thread has begun."""


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="leaps_triton")


if hasattr(os, "register_at_fork"):
    # A child has none of its parent's threads, and would wait for them for ever.
    os.register_at_fork(after_in_child=_pool.cache_clear)


def over_walkers(work: Callable[[int, int], object], walkers: int, cost: int) -> None:
    """Call ``work(first, end)`` for parts of the walkers, in as many threads as torch uses.

    Args:
        work: Computes walkers ``first … end - 1``; it must release the interpreter's lock, and
            write into memory of these walkers alone.
        walkers: Their number.
        cost: About how many sites of one walker are visited in all.
    """
    parts = min(torch.get_num_threads(), walkers, walkers * cost // LEAST)
    if parts <= 1:
        if walkers:
            work(0, walkers)
        return
    # Parts of nearly the same length, none empty.
    ends = [walkers * part // parts for part in range(parts + 1)]
    pool = _pool(parts)
    # The first part is that of the thread that asks.
    others = [pool.submit(work, ends[i], ends[i + 1]) for i in range(1, parts)]
    work(0, ends[1])
    for other in others:
        other.result()
