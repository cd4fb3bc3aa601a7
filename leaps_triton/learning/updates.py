"""Steps of parameters along a noisy gradient, with a penalty that sets couplings to zero."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_number, expect, is_positive

__all__ = ["OPTIMIZERS", "Momentum", "Penalty", "Update", "soft_threshold"]


OPTIMIZERS = ("gradient", "adam")
"""Ways to step along a gradient."""

_FIRST = 0.9
"""Decay of Adam's mean gradient."""

_SECOND = 0.999
"""Decay of Adam's mean square."""

_SMALL = 1e-8
"""Added to Adam's root mean square."""


class Momentum(NamedTuple):
    """What an optimiser remembers of earlier gradients; zeros for plain gradients."""

    first: Tensor
    """Mean gradient, float64 ``(parameters,)``"""
    second: Tensor
    """Mean of squared gradients, float64 ``(parameters,)``"""
    updates: int
    """Steps so far"""

    @classmethod
    def begin(cls, parameters: int) -> "Momentum":
        """Return what is remembered before any step."""
        none = torch.zeros(parameters, dtype=torch.float64)
        return cls(none, none, 0)


class Penalty(NamedTuple):
    """Terms added to what is minimised, ``l1 Σ |θ| + l2/2 Σ θ²`` over penalised parameters."""

    l1: float
    """At least 0"""
    l2: float
    """At least 0"""
    held: Tensor
    """The parameters that it holds, bool ``(parameters,)``"""

    def value(self, theta: Tensor) -> float:
        """Return the penalty."""
        own = theta[self.held]
        return float(self.l1 * own.abs().sum() + 0.5 * self.l2 * own.square().sum())

    def slope(self, theta: Tensor) -> Tensor:
        """Return the gradient of its smooth part, float64 ``(parameters,)``."""
        return self.l2 * theta * self.held


class Update(NamedTuple):
    """How parameters step along a gradient.

    Gradients are per term of the energy: that of a coupling which many bonds share is divided by
    their number, so that one learning rate serves all.
    """

    optimizer: str
    """``"gradient"`` or ``"adam"``"""
    learning_rate: float
    """Above 0"""

    @classmethod
    def of(cls, optimizer: str, learning_rate: float) -> "Update":
        """Return what a user's settings say.

        Raises:
            ValueError: no such optimiser, or a learning rate that is not positive.
        """
        wanted = "one of " + ", ".join(OPTIMIZERS)
        expect(optimizer in OPTIMIZERS, "optimizer", wanted, optimizer)
        rate = as_number("learning_rate", learning_rate, "a positive number", is_positive)
        return cls(optimizer, rate)

    def step(
        self,
        theta: Tensor,
        slope: Tensor,
        momentum: Momentum,
        penalty: Penalty,
        counts: Tensor,
    ) -> tuple[Tensor, Momentum]:
        """Return parameters after a step down a gradient, and what is remembered of it.

        Args:
            theta: float64 ``(parameters,)``.
            slope: gradient of what is minimised, without the penalty, float64 ``(parameters,)``.
            momentum: of the steps before.
            penalty: added to what is minimised.
            counts: terms of the energy that each parameter stands for, float64 ``(parameters,)``.
        """
        each = (slope + penalty.slope(theta)) / counts
        rate = torch.full_like(theta, self.learning_rate)
        updates = momentum.updates + 1
        if self.optimizer == "adam":
            first = _FIRST * momentum.first + (1.0 - _FIRST) * each
            second = _SECOND * momentum.second + (1.0 - _SECOND) * each.square()
            momentum = Momentum(first, second, updates)
            # Means over few steps are too small: they began at zero.
            each = first / (1.0 - _FIRST**updates)
            size = (second / (1.0 - _SECOND**updates)).sqrt()
            rate = rate / (size + _SMALL)
        else:
            momentum = momentum._replace(updates=updates)
        moved = theta - rate * each
        thresholds = rate * penalty.l1 * penalty.held / counts
        return soft_threshold(moved, thresholds), momentum


def soft_threshold(values: Tensor, thresholds: Tensor) -> Tensor:
    """Return values that are nearer to 0 by a threshold each, and 0 where they would cross it.

    Args:
        values: float64 ``(parameters,)``.
        thresholds: at least 0, float64 ``(parameters,)``.
    """
    if not bool(thresholds.any()):
        return values
    return values.sign() * (values.abs() - thresholds).clamp(min=0.0)
