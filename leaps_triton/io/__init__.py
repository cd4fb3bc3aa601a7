"""Runs in HDF5: log-weights and observables of weighted walkers, and configurations on request;
Markov chains.

Of chains see :mod:`.chain_io`. A file of weighted walkers is laid out in full at the start and then
filled block by block in place, so that whatever moment a process stops at, the file can be read and
goes on with the next whole block. It holds ``log_weights (walkers,)``, ``observables/<name>`` of
``(walkers,)`` or ``(walkers, k)``, ``configurations (walkers, *shape)`` if asked for, ``evaluations
(blocks,)``, the sampler as the bytes of a checkpoint with all settings, and a SHA-256 of each
finished block. The attribute ``manifest`` repeats the settings for readers without this library.
"""

from .chains import ChainRun, run_chain
from .weighted import OBSERVABLES, Run, read, sample

__all__ = [
    "OBSERVABLES",
    "ChainRun",
    "Run",
    "read",
    "run_chain",
    "sample",
]
