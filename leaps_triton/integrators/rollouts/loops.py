"""Runs of a block whose events are recorded: one look at the walkers after each recording."""

from typing import Any, Protocol

import torch

from .boundaries import Boundary, Way, in_one_kernel
from .rollout import Rollout, Stepping

__all__ = ["Looking", "is_recorded", "run_apart", "run_to_the_end"]

TOGETHER = 4
"""Most events between two looks where walkers wait for one another at the end of an interval."""


class Looking(Stepping, Protocol):
    """What of an integrator the loops ask."""

    recordable: bool

    @property
    def intervals(self) -> int:
        """Number of intervals."""

    def picks(self, device: torch.device) -> bool:
        """Return whether a step is handed only the walkers with time remaining."""

    def looks(self, device: torch.device) -> int:
        """Return the number of steps between two looks at the walkers."""


def is_recorded(integrator: Looking, state: Any, way: Way) -> bool:
    """Return whether events run on fixed tensors, with one look for many of them.

    They do on GPUs, where path and transport are known not to look at numbers and no gradient is
    asked for.
    """
    if not integrator.recordable or integrator.picks(state.walkers.device):
        return False
    if torch.is_grad_enabled() or not in_one_kernel(way.path):
        return False
    return way.answers.steady


def _found(integrator: Looking, state: Any, way: Way, events: int, columns: int | None) -> Rollout:
    """Return the recording for such walkers on such a way, made where there is none yet."""
    shapes = tuple((column.shape, column.dtype) for column in state)
    device = state.walkers.device
    key = way.key(id(integrator), type(state), shapes, device, events, columns)
    if key not in way.recordings:
        # None holds itself, or its memory on the device would stay when it is no longer wanted.
        own = way._replace(recordings={})
        way.recordings[key] = Rollout(integrator, state, own, events, columns)
    return way.recordings[key]


def run_apart(integrator: Looking, state: Any, way: Way, boundary: Boundary) -> Any:
    """Take walkers through all intervals, each for itself, as nothing acts at the boundaries.

    Args:
        integrator: makes the events.
        state: the walkers before the first interval.
        way: the run.
        boundary: one that need not watch.
    """
    events = integrator.looks(state.walkers.device)
    state, entered = integrator.enter(state, way.path)
    rollout = _found(integrator, state, way, events, boundary.columns)
    rollout.load(state)
    rollout.begin_trace(entered)
    # All have entered the first interval.
    slowest = 0
    while True:
        boundary.advance(slowest)
        if slowest == integrator.intervals:
            break
        rollout.run()
        slowest = rollout.look(way)
    boundary.keep(rollout.trace.clone())
    return rollout.taken()


def run_to_the_end(integrator: Looking, state: Any, way: Way) -> Any:
    """Take walkers to the end of their interval, where they wait for one another.

    Args:
        integrator: makes the events.
        state: the walkers.
        way: the run.
    """
    events = min(TOGETHER, integrator.looks(state.walkers.device))
    rollout = _found(integrator, state, way, events, None)
    rollout.load(state)
    goes_on = True
    while goes_on:
        rollout.run()
        goes_on = bool(rollout.look(way))
    return rollout.taken()
