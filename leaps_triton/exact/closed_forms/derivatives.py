"""Derivatives of closed forms with respect to ``K = βJ``."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import as_number

__all__ = ["Derivative", "as_strength", "derivative_at"]


class Derivative(NamedTuple):
    """A derivative of ``ln Z``, and what it was taken at."""

    value: float
    """With respect to ``K``"""
    strength: float
    """``K = βJ``"""
    sites: int = 1
    """Sites that ``ln Z`` is of"""


def as_strength(beta: float, coupling: float) -> float:
    """Return ``K = βJ``, a finite number.

    Args:
        beta: inverse temperature, in units of 1/energy.
        coupling: J of every bond, in units of energy.

    Raises:
        ValueError: one of them or their product is not a finite number.
    """
    beta = as_number("beta", beta, "a finite number", math.isfinite)
    wanted = "a finite number (for one a bond use exact.log_z)"
    number = as_number("coupling", coupling, wanted, math.isfinite)
    strength = beta * number
    if not math.isfinite(strength):
        raise ValueError(f"beta and coupling must have a finite product, got {beta} and {coupling}")
    return strength


def derivative_at(log_z_of: Callable[[Tensor], Tensor], strength: float, order: int) -> float:
    """Return the derivative of this order of a function of ``K`` at one ``K``.

    Args:
        log_z_of: takes and returns float64 ``()``.
        strength: ``K``.
        order: 0 for the function itself.
    """
    derivative = log_z_of
    for _ in range(order):
        derivative = torch.func.grad(derivative)
    k = torch.tensor(strength, dtype=torch.float64)
    return float(derivative(k))
