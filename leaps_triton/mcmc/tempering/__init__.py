"""Parallel tempering: replicas of every walker along the path, exchanged with their neighbours."""

from .move import ParallelTempering
from .states import TemperingInfo, TemperingState

__all__ = ["ParallelTempering", "TemperingInfo", "TemperingState"]
