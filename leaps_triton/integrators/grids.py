"""Times of integrators: those that a user gives, and all that follows from them on a device."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_tensor, expect, is_single

__all__ = ["Grid", "as_times"]


def as_times(intervals: int | Sequence[float] | Tensor, name: str) -> Tensor:
    """Return the grid, float64 ``(intervals + 1,)``, from a number of intervals or its times."""
    # A float is no number of intervals, and no list of times either.
    if is_single(intervals):
        count = as_integer(name, intervals, 1)
        return torch.linspace(0.0, 1.0, count + 1, dtype=torch.float64)
    times = torch.zeros(1)
    try:
        times = as_tensor(intervals, torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        times = torch.zeros(1)
    accepted = times.ndim == 1 and len(times) > 1
    if accepted:
        ends = times[0] == 0.0 and times[-1] == 1.0
        accepted = bool(ends) and bool((times.diff() > 0).all())
    expect(accepted, name, "a number, or increasing times from 0 to 1", intervals)
    return times


class Grid(NamedTuple):
    """The times of an integrator on one device, float64."""

    times: Tensor
    """``0 = t_0 < … < t_N = 1``, ``(N + 1,)``"""
    frozen: Tensor
    """``τ_0 … τ_{N-1}``, ``(N,)``"""
    densities: Tensor
    """``0, τ_0, …, τ_{N-1}, 1``, or ``0, t_0, …, t_{N-1}, 1``, ``(N + 2,)``"""
    lengths: Tensor
    """Of the intervals, and 0 for the walkers that finish at either end, ``(N + 1,)``"""
