"""Moves of Markov chains that leave the density of a path invariant, and chains made of them."""

from ..observables.base import OBSERVABLES
from .base import (
    BaseMove,
    Kernel,
    Lowest,
    Move,
    NotErgodicWarning,
    SweepInfo,
    SweepState,
    as_move,
    begin,
    changed,
    pair_model,
    since,
    warn_confined,
)
from .chain import Chain
from .clusters import ClusterInfo, SwendsenWang, Wolff
from .compose import Compose, ComposeInfo, default_move, settled
from .fields import HMC, Langevin, SignCluster, TrajectoryInfo
from .houdayer import Houdayer
from .kinetic import KineticInfo, KineticMonteCarlo
from .march import ChainSettings, March, run_chain
from .sweeps import HeatBath, Metropolis, Overrelaxation
from .tempering import ParallelTempering, TemperingInfo, TemperingState

__all__ = [
    "HMC",
    "OBSERVABLES",
    "BaseMove",
    "Chain",
    "ChainSettings",
    "ClusterInfo",
    "Compose",
    "ComposeInfo",
    "HeatBath",
    "Houdayer",
    "Kernel",
    "KineticInfo",
    "KineticMonteCarlo",
    "Langevin",
    "Lowest",
    "March",
    "Metropolis",
    "Move",
    "NotErgodicWarning",
    "Overrelaxation",
    "ParallelTempering",
    "SignCluster",
    "SweepInfo",
    "SweepState",
    "SwendsenWang",
    "TemperingInfo",
    "TemperingState",
    "TrajectoryInfo",
    "Wolff",
    "as_move",
    "begin",
    "changed",
    "default_move",
    "pair_model",
    "run_chain",
    "settled",
    "since",
    "warn_confined",
]
