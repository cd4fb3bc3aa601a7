"""Runs in HDF5: log-weights and observables of weighted walkers, and Markov chains.

A file is laid out in full at the start and then filled part by part in place, so that whatever
moment a process stops at, the file can be read and goes on with the next whole part. One of
weighted walkers holds ``log_weights (walkers,)``, ``observables/<name>`` of ``(walkers,)`` or
``(walkers, k)``, ``configurations (walkers, *shape)`` if asked for, ``evaluations (blocks,)``, the
sampler as the bytes of a checkpoint with all settings, and a SHA-256 of each finished block; of
chains see :mod:`.chains`, of scans of several temperatures :mod:`.scans`. The attribute
``manifest`` repeats the settings for readers without this library. Readers and the one writer of a
file do not hinder one another; a second writer is refused by a :class:`BusyError`, which names the
first.
"""

from ..files import BusyError
from .chains import run_chain
from .results import ChainRun, Run
from .scans import read_scan, scan
from .weighted import OBSERVABLES, merge, read, sample

__all__ = [
    "OBSERVABLES",
    "BusyError",
    "ChainRun",
    "Run",
    "merge",
    "read",
    "read_scan",
    "run_chain",
    "sample",
    "scan",
]
