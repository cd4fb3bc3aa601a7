"""Integrators that follow a drift, and their walkers as they are handed on from step to step."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...paths.base import Path
from ..base import Integrator
from ..transport import Transport

__all__ = [
    "DriftIntegrator",
    "FlowInfo",
    "FlowIntegrator",
    "FlowState",
    "PathInfo",
    "PathState",
    "rows_of_steps",
]


class DriftIntegrator(Integrator):
    """The base of integrators that follow a drift, in one step for each interval."""

    patience = 1
    follows = "drift"
    reversible = None

    @property
    def frozen(self) -> Tensor:
        """Frozen times ``τ_0 … τ_{N-1}``, where the intervals begin, float64 ``(N,)``."""
        return self.times[:-1]

    def begun(self, walkers: Tensor, backward: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return what walkers have outside the path, see ``Integrator.outside``.

        Args:
            walkers: their global indices, int64 ``(walkers,)``.
            backward: whether they begin at ``t = 1``.

        Raises:
            ValueError: backward, with weights that are not exact.
        """
        if backward and not self.exact:
            raise ValueError(self.one_way)
        return self.outside(walkers, backward)


class FlowState(NamedTuple):
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
    """Time left in that interval, float64 ``(walkers,)``: all of it, or 0"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    events: Tensor
    """Steps so far, int64 ``(walkers,)``"""

    def descend(self, ancestors: Tensor) -> "FlowState":
        """Return what the slots have from ``ancestors``, int64 ``(walkers,)``.

        Indices and counters stay with the slots.
        """
        return self._replace(configurations=self.configurations[ancestors])


class FlowInfo(NamedTuple):
    """What one step of a map did."""

    log_determinant: Tensor
    """``log |det ∂Φ/∂x|``, backward too that of the way forth, float64 ``(walkers,)``"""
    substeps: Tensor
    """Maps of which the step was made, int64 ``(walkers,)``; 0 for walkers that made none"""


class FlowIntegrator(DriftIntegrator):
    """The base of those whose steps are decided by where walkers are: no noise, no memory."""

    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> FlowState:
        """Return walkers at ``t = 0`` with ``A = 0``, before the first step.

        Args:
            configurations: ``(walkers, *shape)``.
            walkers: their global indices, int64 ``(walkers,)``.
            backward: whether they begin at ``t = 1``, after the last step.

        Raises:
            ValueError: backward, with weights that are not exact.
        """
        zeros, counts, interval = self.begun(walkers, backward)
        return FlowState(
            configurations,
            log_weights=zeros,
            interval=interval,
            remaining=zeros,
            walkers=walkers,
            events=counts,
        )

    def waits(self, path: Path, transport: Transport | None) -> bool:
        """Return that walkers go together: each step is one of all walkers."""
        return transport is not None


class PathState(NamedTuple):
    """Walkers on their way, with what the last step found where it ended.

    The next step uses that if nothing has moved the walkers in between.
    """

    configurations: Tensor
    """``(walkers, *shape)``"""
    log_weights: Tensor
    """``A``, float64 ``(walkers,)``; with momenta that of their energy too"""
    interval: Tensor
    """Index of the interval each walker is in, int64 ``(walkers,)``; -1 at ``t = 0``, ``intervals``
    at ``t = 1``"""
    remaining: Tensor
    """Time left in that interval, float64 ``(walkers,)``: all of it, or 0"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    events: Tensor
    """Steps so far, int64 ``(walkers,)``: the Philox event counter"""
    momenta: Tensor
    """``p``, of unit variance, float64 ``(walkers, *shape)``; ``(walkers, 0)`` without"""
    evaluated: Tensor
    """Configurations of the last evaluation, ``(walkers, *shape)``"""
    evaluated_at: Tensor
    """Its time, float64 ``(walkers,)``; -1 before the first"""
    drift: Tensor
    """Its ``b``, ``(walkers, *shape)``; ``(walkers, 0)`` before the first"""
    score: Tensor
    """Its ``∇ log ρ̃``, ``(walkers, *shape)``; ``(walkers, 0)`` before the first"""

    def descend(self, ancestors: Tensor) -> "PathState":
        """Return what the slots have from ``ancestors``, int64 ``(walkers,)``.

        Indices and counters stay with the slots.
        """
        # The evaluation goes with its configuration, so that the next step need not repeat it.
        return self._replace(
            configurations=self.configurations[ancestors],
            momenta=self.momenta[ancestors],
            evaluated=self.evaluated[ancestors],
            evaluated_at=self.evaluated_at[ancestors],
            drift=self.drift[ancestors],
            score=self.score[ancestors],
        )


class PathInfo(NamedTuple):
    """What one step of a path ratio did."""

    there: Tensor
    """``log F`` of the way forth, but for what the way back shares, float64 ``(walkers,)``"""
    back: Tensor
    """``log B`` of the way back, the same; 0 for walkers that made none"""


def rows_of_steps(
    interval: Tensor, events: Tensor, active: Tensor
) -> list[tuple[int, int, Tensor]]:
    """Return the walkers that make the same step: of one interval, with one counter.

    Walkers of a block go together, so that there is one group in all runs of a sampler.

    Args:
        interval: of each, int64 ``(walkers,)``.
        events: of each, int64 ``(walkers,)``.
        active: which of them make a step, bool ``(walkers,)``.

    Returns:
        Interval, counter and rows of every group.
    """
    rows = active.nonzero().squeeze(1)
    pairs = torch.stack([interval[rows], events[rows]], dim=1)
    found: list[tuple[int, int, Tensor]] = []
    steps, group = pairs.unique(dim=0, return_inverse=True)
    for number, (place, event) in enumerate(steps.tolist()):
        found.append((place, event, rows[group == number]))
    return found
