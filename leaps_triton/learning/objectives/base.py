"""What an objective offers a learner: a state, and steps of it."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

from torch import Tensor

from ...samplers.ensemble import WeightedEnsemble
from ..families.base import Family
from ..updates import Momentum, Penalty, Update

__all__ = ["Objective", "Problem", "Step", "Stepping", "stepped"]


class Problem(NamedTuple):
    """What is learned, and from what."""

    family: Family
    """The models"""
    data: Tensor
    """Configurations, ``(samples, *shape)``"""
    update: Update
    """How parameters step along a noisy gradient"""
    seed: int
    """Of all random numbers"""
    prepared: Any = None
    """What the objective found of them once"""


class Step(NamedTuple):
    """What one step did."""

    state: Any
    """After it; a NamedTuple of tensors and numbers with ``theta``"""
    values: dict[str, float]
    """What the history records of it, by name"""
    converged: bool = False
    """Whether further steps change nothing"""


class Stepping(NamedTuple):
    """Where a descent along gradients stands."""

    theta: Tensor
    """float64 ``(parameters,)``"""
    momentum: Momentum
    """Of the optimiser"""


def stepped(
    problem: Problem, state: Stepping, value: float, slope: Tensor, penalty: Penalty
) -> Step:
    """Return what one step of the learner's optimiser does.

    Args:
        problem: what is learned.
        state: before the step.
        value: what the history records as ``"loss"``.
        slope: gradient of what is minimised, without the penalty, float64 ``(parameters,)``.
        penalty: added to what is minimised.
    """
    family = problem.family
    moved, momentum = problem.update.step(
        state.theta, slope, state.momentum, penalty, family.counts
    )
    values = {"loss": value, "gradient_norm": float((slope / family.counts).norm())}
    return Step(Stepping(family.inside(moved), momentum), values)


class Objective(ABC):
    """What is minimised, and how.

    A learner calls ``settled`` once, then ``begin``, then ``step`` again and again. States are
    NamedTuples of tensors, numbers and such tuples, so that a file holds them.
    """

    steps = 400
    """Steps of a learning, unless told otherwise"""

    def settled(self, problem: Problem, theta: Tensor) -> Self:
        """Return the same with all that its user did not name.

        Args:
            problem: what is learned.
            theta: the first parameters, float64 ``(parameters,)``.

        Raises:
            ValueError: it does not serve these models.
        """
        return self

    def prepare(self, problem: Problem) -> Any:
        """Return what all steps need and what depends on no parameters; no part of the state."""
        return None

    @abstractmethod
    def begin(self, problem: Problem, theta: Tensor) -> Any:
        """Return the state at the first parameters.

        Args:
            problem: what is learned.
            theta: the first parameters, float64 ``(parameters,)``.
        """

    @abstractmethod
    def step(self, problem: Problem, state: Any) -> Step:
        """Return the state after one step, and what is to be recorded.

        Args:
            problem: what is learned.
            state: of the step before.
        """

    def score(self, problem: Problem, theta: Tensor, held_out: Tensor) -> float | None:
        """Return what is minimised, on other data and without any penalty; None if not known.

        Args:
            problem: what is learned.
            theta: float64 ``(parameters,)``.
            held_out: configurations, ``(samples, *shape)``.
        """
        return None

    def witnessed(self, problem: Problem, state: Any) -> WeightedEnsemble | None:
        """Return weighted walkers of the last model that entered no gradient; None without any."""
        return None
