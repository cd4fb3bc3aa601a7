"""Walkers with replicas along a ladder, and what a step of parallel tempering did."""

from typing import Any, NamedTuple

from torch import Tensor

from ...renamed import warn_renamed

__all__ = ["TemperingInfo", "TemperingState"]


class TemperingState(NamedTuple):
    """Walkers with replicas at K times of the path."""

    configurations: Tensor
    """At the target, ``(walkers, *shape)``"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    sweep: int
    """Sweeps of the move so far"""
    replicas: Tensor
    """At all times, ``(walkers, K, *shape)``; the last is replaced by ``configurations`` before a
    step"""
    exchanges: int
    """Rounds of exchanges so far"""
    rising: Tensor
    """Whether each replica has been at the first time since it was last at the target, bool
    ``(walkers, K)``"""
    arrivals: Tensor
    """Replicas that have come from the first time to the target so far, int64 ``(walkers,)``"""


class TemperingInfo(NamedTuple):
    """What one step did."""

    tried: Tensor
    """Whether the exchange of times ``k`` and ``k + 1`` was tried, bool ``(K - 1,)``: every second
    one in turn"""
    accepted: Tensor
    """Whether it was made, bool ``(walkers, K - 1)``"""
    move: Any
    """Info of the move, of ``K walkers`` replicas: time after time, walker after walker"""
    energies: Tensor
    """``H`` of the replicas after the exchanges, float64 ``(walkers, K)``"""

    @property
    def kernel(self) -> Any:
        """Return the info of the move, by its former name."""
        warn_renamed("TemperingInfo.kernel", "TemperingInfo.move")
        return self.move
