"""What samplers ask of every integrator: a grid of times, and walkers that go through its
intervals.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import torch
from torch import Tensor

from ..kernels.checks import as_integer, expect
from ..paths.annealing import AnnealingPath
from .rates import Transport

__all__ = ["Integrator", "as_times"]


def as_times(intervals: int | Sequence[float] | Tensor, name: str) -> Tensor:
    """The grid, float64 ``(intervals + 1,)``, from a number of intervals or its times."""
    if isinstance(intervals, Integral) or (isinstance(intervals, Tensor) and intervals.ndim == 0):
        return torch.linspace(0.0, 1.0, as_integer(name, intervals, 1) + 1, dtype=torch.float64)
    try:
        given = torch.as_tensor(intervals)
        times = (
            torch.as_tensor([0.0] if given.is_complex() else intervals, dtype=torch.float64)
            .detach()
            .cpu()
        )
    except (TypeError, ValueError, RuntimeError):
        times = torch.zeros(1)
    ends = times.ndim == 1 and len(times) > 1 and times[0] == 0.0 and times[-1] == 1.0
    rising = bool(ends) and bool((times.diff() > 0).all())
    expect(rising, name, "a number, or increasing times from 0 to 1", intervals)
    return times


class Integrator(ABC):
    """What a sampler asks of an integrator: a grid of times, and walkers that go through its
    intervals.

    Interval ``n`` has a frozen time ``τ_n``. On entering it ``A`` grows by ``log ρ̃_{τ_n}(x) - log
    ρ̃_{τ_{n-1}}(x)``, ``τ_{-1} = 0`` and ``τ_N = 1``; within it :meth:`step` keeps the weighted law
    ``ρ_{τ_n}``. So kernels that leave ``ρ_{τ_n}`` invariant, and resampling, may act between the
    two.

    Attributes:
        times: ``0 = t_0 < … < t_N = 1``, float64 ``(N + 1,)``.
        reversible: name of the reversible rates, which move walkers without a transport too; None
            for none.
        exact: whether the weights are, so that they hold for reversed paths too.
        patience: steps between two looks at the walkers on a GPU, which each look makes wait.
    """

    times: Tensor
    reversible: str | None
    exact: bool = True
    patience: int = 16

    def with_times(self, times: Sequence[float] | Tensor) -> Self:
        """The same integrator on other times."""
        other = copy.copy(self)
        other.times = as_times(times, "times")
        return other

    @property
    def intervals(self) -> int:
        """Number of intervals ``N``."""
        return len(self.times) - 1

    @property
    @abstractmethod
    def frozen(self) -> Tensor:
        """Frozen times ``τ_0 … τ_{N-1}``, float64 ``(N,)``."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Arguments that, after the times, make this integrator again; plain JSON."""

    @property
    def densities(self) -> Tensor:
        """Times whose density the weights aim at in turn: ``0, τ_0, …, τ_{N-1}, 1``, float64 ``(N +
        2,)``.
        """
        return torch.cat([self.times[:1], self.frozen, self.times[-1:]])

    @abstractmethod
    def init(self, configurations: Tensor, walkers: Tensor, backward: bool = False) -> Any:
        """Walkers at ``t = 0`` with ``A = 0``, before the first interval; backward at ``t = 1``,
        after the last.
        """

    def enter(self, state: Any, path: AnnealingPath, backward: bool = False) -> tuple[Any, Tensor]:
        """Every walker at the end of its interval enters the next, or finishes; also which did,
        bool ``(walkers,)``.
        """
        device = state.walkers.device
        densities = self.densities.to(device)
        # One entry more, for the walkers that finish at either end: no time left.
        lengths = torch.cat([self.times.diff(), torch.zeros(1, dtype=torch.float64)]).to(device)
        unfinished = state.interval >= 0 if backward else state.interval < self.intervals
        entering = (state.remaining == 0) & unfinished
        interval = state.interval + (-entering.long() if backward else entering.long())
        # Where no walker moves on, both times are the same and the increment is 0.
        earlier, later = (interval, state.interval) if backward else (state.interval, interval)
        increment = path.log_increment(
            state.configurations, densities[earlier + 1], densities[later + 1]
        )
        return state._replace(
            log_weights=state.log_weights + increment,
            interval=interval,
            remaining=torch.where(entering, lengths[interval], state.remaining),
        ), entering

    @abstractmethod
    def step(
        self,
        state: Any,
        path: AnnealingPath,
        transport: Transport | None,
        seed: int,
        backward: bool = False,
    ) -> tuple[Any, Any]:
        """Walkers with time remaining advance, by less than it or all of it; others are left
        alone.
        """

    @abstractmethod
    def check(self, state: Any, info: Any) -> None:
        """Raise a RuntimeError naming walker, t and rate if the step led to what is not finite."""
