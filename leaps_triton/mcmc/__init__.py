"""Moves of Markov chains that leave the density of a path invariant, and chains made of them."""

from .base import Kernel, SweepInfo, SweepState, begin, changed, expect_kernel, pair_model
from .chain import OBSERVABLES, Chain, March, run_chain
from .clusters import ClusterInfo, SwendsenWang, Wolff
from .compose import Compose, ComposeInfo
from .houdayer import Houdayer
from .kinetic import KineticInfo, KineticMonteCarlo
from .sweeps import HeatBath, Metropolis, Overrelaxation
from .tempering import ParallelTempering, TemperingInfo, TemperingState

__all__ = [
    "OBSERVABLES",
    "Chain",
    "ClusterInfo",
    "Compose",
    "ComposeInfo",
    "HeatBath",
    "Houdayer",
    "Kernel",
    "KineticInfo",
    "KineticMonteCarlo",
    "March",
    "Metropolis",
    "Overrelaxation",
    "ParallelTempering",
    "SweepInfo",
    "SweepState",
    "SwendsenWang",
    "TemperingInfo",
    "TemperingState",
    "Wolff",
    "begin",
    "changed",
    "expect_kernel",
    "pair_model",
    "run_chain",
]
