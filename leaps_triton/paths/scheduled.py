"""How far along a path is at each time: schedules, inverse temperatures, and back to times."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..kernels.checks import as_number, check_arguments, expect, is_real, shown
from ..registry import name_of, register

__all__ = ["Scheduled", "as_times", "times_on"]


_ROUNDING = 1e-9
"""By how much, relative to the model's β, a β may miss the ends of the path."""


@register("schedule", name="linear")
def _linear(t: Tensor) -> Tensor:
    return t


class Scheduled:
    """What leads from a start to a model as a schedule rises to 1.

    Args:
        model: the target, completed.
        schedule: ``f``, a function of float64 tensors; None for ``f(t) = t``.

    Attributes:
        model: the target.
        schedule: ``f``.
    """

    def __init__(self, model: Any, schedule: Callable[[Tensor], Tensor] | None) -> None:
        self.model: Any = model
        self.schedule: Callable[[Tensor], Tensor] = _linear
        if schedule is not None:
            wanted = "None or a function of times"
            expect(callable(schedule), "schedule", wanted, schedule)
            check_arguments("a schedule", schedule, "t")
            self.schedule = schedule

    def _check_ends(self, uniform: bool, leaves_start: bool) -> None:
        """Raise a ValueError unless the schedule leads from the start to the target.

        Args:
            uniform: whether the start is the one of a path that is given none.
            leaves_start: whether the start has an energy of its own.
        """
        # Both ends in one call: a schedule takes tensors of times.
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
        first, last = self._fraction(ends).tolist()
        # schedule(1) may miss 1 by rounding.
        if not math.isfinite(first) or not math.isclose(last, 1.0, abs_tol=1e-12):
            raise ValueError(
                f"schedule must be finite with schedule(1) = 1, got {first} at 0 and {last} at 1"
            )
        # No rounding here: ρ_0 is uniform, and log Z_0 = N log q, at β_0 = 0 alone.
        if uniform and not leaves_start and first != 0.0:
            raise ValueError(
                f"the uniform start needs schedule(0) = 0, got {first}; change it, or give start="
            )
        if leaves_start and first != 0.0:
            raise ValueError(
                f"a start with an energy of its own needs schedule(0) = 0, got {first}; change it"
            )
        # autograd gives 0 where it cannot follow; somewhere on the way the schedule must rise.
        inside = torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
        if first != last and not bool(self._slope(inside).any()):
            raise ValueError(
                "schedule must be a function that autograd can differentiate, got a derivative of 0"
            )

    @property
    def schedule_name(self) -> str | None:
        """Name under which a file keeps the schedule; None for one that is not registered."""
        return name_of("schedule", self.schedule)

    def _fraction(self, t: Tensor) -> Tensor:
        """Return ``f(t)``, float64, shaped like ``t``."""
        fraction = self.schedule(t)
        if not isinstance(fraction, Tensor) or fraction.shape != t.shape:
            raise ValueError(
                f"schedule must map a tensor to a tensor of its shape, got {shown(fraction)}"
            )
        # Whatever the schedule computes in, densities are float64.
        return fraction.to(torch.float64)

    def _slope(self, t: Tensor) -> Tensor:
        """Return ``df/dt``."""
        # The default needs no autograd.
        if self.schedule is _linear:
            return torch.ones_like(t)

        def total(times: Tensor) -> Tensor:
            return self._fraction(times).sum()

        # Each f(t) depends on its own t alone, so the gradient of the sum holds every slope.
        slope: Tensor = torch.func.grad(total)(t.detach())
        return slope

    def beta(self, t: Tensor | float) -> Tensor:
        """Return ``β_t``, float64 ``(1 | walkers,)``."""
        return self._fraction(as_times(t)) * self.model.beta

    def beta_rate(self, t: Tensor | float) -> Tensor:
        """Return ``dβ_t/dt``, float64 ``(1 | walkers,)``."""
        return self._slope(as_times(t)) * self.model.beta

    def time_of(self, beta: Sequence[float] | Tensor | float) -> Tensor:
        """Return times at which the path is at inverse temperatures, ``β_t = beta``.

        Args:
            beta: a number or several, from ``β_0`` to the model's own.

        Returns:
            float64 ``(n,)``, on the CPU.

        Raises:
            ValueError: a β that is not on the path, or a path that stays at β = 0.

        Example:
            >>> import leaps_triton as lt
            >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4), schedule=lambda t: t**2)
            >>> path.time_of([0.1, 0.4])
            tensor([0.5000, 1.0000], dtype=torch.float64)
        """
        wanted = torch.as_tensor(beta, dtype=torch.float64).reshape(-1).cpu()
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
        first = float(self._fraction(ends)[0])
        # At a model of β = 0 all times are at the same temperature, and 0 / 0 is none of them.
        share = wanted / self.model.beta
        low = min(first, 1.0) - _ROUNDING
        high = max(first, 1.0) + _ROUNDING
        if not bool(((share >= low) & (share <= high)).all()):
            raise ValueError(
                f"the path leads from beta = {first * self.model.beta:g} to {self.model.beta:g}, "
                f"and passes no other; got {wanted.tolist()}"
            )
        # The default is its own inverse.
        if self.schedule is _linear:
            return share.clamp(0.0, 1.0)
        return self._invert(share, rises=first < 1.0)

    def _invert(self, share: Tensor, rises: bool) -> Tensor:
        """Return times at which the schedule has these values, by bisection."""
        before = torch.zeros_like(share)
        after = torch.ones_like(share)
        # Each halving gains a digit of the 53 that a float64 has.
        for _ in range(60):
            middle = (before + after) / 2
            early = (self._fraction(middle) < share) == rises
            before = torch.where(early, middle, before)
            after = torch.where(early, after, middle)
        return after


def as_times(t: Tensor | float) -> Tensor:
    """Return times as float64 ``(1 | walkers,)``.

    Args:
        t: a number, or ``(1 | walkers,)``.

    Raises:
        ValueError: it is neither.
    """
    wanted = "a finite number, or a tensor of times"
    if not isinstance(t, Tensor):
        number = as_number("t", t, wanted, math.isfinite)
        return torch.tensor([number], dtype=torch.float64)
    expect(is_real(t), "t", wanted, t)
    # Weights are sums of differences of β at near times, which float32 would round away.
    times = t.to(torch.float64)
    if times.ndim == 0:
        return times.view(1)
    return times


def times_on(configurations: Tensor, t: Tensor | float) -> Tensor:
    """Return times on the device of the configurations, float64 ``(1 | walkers,)``."""
    return as_times(t).to(configurations.device)
