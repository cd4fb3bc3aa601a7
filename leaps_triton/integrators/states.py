"""Walkers on their way along a path, as integrators hand them on from step to step."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from .rates import Rates

__all__ = [
    "JumpInfo", "JumpState", "Leap", "LeapInfo", "LeapState", "State", "returned", "some",
    "write_trace",
]  # fmt: skip


class State(Protocol):
    """Walkers of any integrator: a ``NamedTuple`` of tensors with one row per walker.

    Finished walkers have ``interval == intervals`` (backward: -1) and ``remaining == 0``.
    """

    @property
    def configurations(self) -> Tensor:
        """``(walkers, *shape)``."""

    @property
    def log_weights(self) -> Tensor:
        """``A``, float64 ``(walkers,)``."""

    @property
    def interval(self) -> Tensor:
        """Index of the interval each is in, int64; -1 at ``t = 0``, ``intervals`` at ``t = 1``."""

    @property
    def remaining(self) -> Tensor:
        """Time left in that interval, float64 ``(walkers,)``; 0 at its end."""

    @property
    def walkers(self) -> Tensor:
        """Global indices, int64 ``(walkers,)``."""

    @property
    def events(self) -> Tensor:
        """Evaluations so far, int64 ``(walkers,)``: the Philox event counter."""

    def descend(self, ancestors: Tensor) -> Any:
        """Return what the slots have from ``ancestors``, int64 ``(walkers,)``.

        Indices and counters stay with the slots.
        """


class JumpState(NamedTuple):
    """Walkers on their way.

    Finished walkers have ``interval == intervals`` (backward: -1) and ``remaining == 0``.
    """

    configurations: Tensor
    """``(walkers, *shape)``"""
    log_weights: Tensor
    """``A``, float64 ``(walkers,)``"""
    interval: Tensor
    """Index of the interval each walker is in, int64 ``(walkers,)``; -1 at ``t = 0``, ``intervals``
    at ``t = 1``"""
    remaining: Tensor
    """Time left in that interval, float64 ``(walkers,)``; 0 at its end. All of it until all
    domains are through"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    events: Tensor
    """Evaluations so far, int64 ``(walkers,)``: the Philox event counter"""
    clocks: Tensor
    """Time left to each domain in that interval, float64 ``(walkers, domains)``; 0 before the first
    step in it"""

    def descend(self, ancestors: Tensor) -> "JumpState":
        """Return what the slots have from ``ancestors``, int64 ``(walkers,)``.

        Indices and counters stay with the slots.
        """
        # No weights, which resampling makes even; no clocks, which are all 0 between two intervals.
        return self._replace(configurations=self.configurations[ancestors])


class JumpInfo(NamedTuple):
    """What one step did."""

    move: Tensor
    """Move made, int64 ``(walkers,)``, as in :class:`~leaps_triton.kernels.JumpStep`; -1 for none.
    With domains one for each that could move, ``(walkers, domains of a class)``"""
    rates: Rates
    """Of the walkers that were evaluated; with domains, of the sites that could move"""


class LeapState(NamedTuple):
    """Walkers on their way, with the last evaluation of each.

    The next step uses that evaluation if nothing has moved the walkers in between.
    """

    configurations: Tensor
    """``(walkers, *shape)``"""
    log_weights: Tensor
    """``A``, float64 ``(walkers,)``"""
    interval: Tensor
    """Index of the interval each walker is in, int64 ``(walkers,)``; -1 at ``t = 0``, ``intervals``
    at ``t = 1``"""
    remaining: Tensor
    """Time left in that interval, float64 ``(walkers,)``: all of it, or 0"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    events: Tensor
    """Evaluations so far, int64 ``(walkers,)``: the Philox event counter"""
    evaluated: Tensor
    """Configurations of the last evaluation, ``(walkers, *shape)``"""
    evaluated_at: Tensor
    """Its time, float64 ``(walkers,)``; NaN before the first"""
    rates: Tensor
    """Its rates in the direction of travel, ``(walkers, q-1, *shape)``; ``(walkers, 0)`` before the
    first"""
    corrector: Tensor
    """Its ``κ``, float64 ``(walkers,)``"""
    energy: Tensor
    """Its ``H``, float64 ``(walkers,)``"""

    def descend(self, ancestors: Tensor) -> "LeapState":
        """Return what the slots have from ``ancestors``, int64 ``(walkers,)``.

        Indices and counters stay with the slots.
        """
        # The evaluation goes with its configuration, so that the next step need not repeat it.
        return self._replace(
            configurations=self.configurations[ancestors],
            evaluated=self.evaluated[ancestors],
            evaluated_at=self.evaluated_at[ancestors],
            rates=self.rates[ancestors],
            corrector=self.corrector[ancestors],
            energy=self.energy[ancestors],
        )

    def carrying(self, rates: Rates, t: Tensor) -> "LeapState":
        """Return the state with an evaluation of its configurations at ``t``."""
        return self._replace(
            evaluated=self.configurations,
            evaluated_at=t,
            rates=rates.rates,
            corrector=rates.corrector,
            energy=rates.energy,
        )


class LeapInfo(NamedTuple):
    """What one step did."""

    moved: Tensor
    """Sites that moved, int64 ``(walkers,)``"""
    exit_rate: Tensor
    """``Σ_i Λ_i`` before the step, float64 ``(walkers,)``"""
    reversed_rate: Tensor
    """``Σ_i M_i`` after the step (Euler: before), float64 ``(walkers,)``"""


class Leap(NamedTuple):
    """One step of all walkers, before it is made."""

    active: Tensor
    """Which walkers make it, bool ``(walkers,)``"""
    tau: Tensor
    """Frozen time of their interval, float64 ``(walkers,)``"""
    here: Tensor
    """Time at which the step begins, in the direction of travel"""
    there: Tensor
    """Time at which it ends; ``here`` for walkers that make none"""
    duration: Tensor
    """``h``; 0 for walkers that make none"""


def some(state: Any, rows: Tensor | slice) -> Any:
    """Return the walkers at ``rows`` of a block, by their place in it."""
    return type(state)(*(column[rows] for column in state))


def returned(state: Any, rows: Tensor, part: Any) -> Any:
    """Return the block with what has become of the walkers at ``rows``."""
    columns = zip(state, part, strict=True)
    return type(state)(*(old.index_copy(0, rows, new) for old, new in columns))


def write_trace(trace: Tensor, state: Any, entered: Tensor) -> None:
    """Write ``A`` of walkers that have just entered an interval into its column, in place.

    Args:
        trace: float64 ``(walkers, intervals + 1)``; without columns for no trace.
        state: the walkers.
        entered: which of them did, bool ``(walkers,)``.
    """
    if not trace.shape[1]:
        return
    # Walkers that have not moved on keep what stands in their column.
    column = state.interval.clamp(min=0).unsqueeze(1)
    before = trace.gather(1, column).squeeze(1)
    value = torch.where(entered, state.log_weights, before)
    trace.scatter_(1, column, value.unsqueeze(1))
