"""Maximum likelihood, ``∂L/∂θ = ⟨-∂u⟩_data - ⟨-∂u⟩_θ``."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from ...kernels.checks import as_integer, as_number, expect
from ...samplers.ensemble import WeightedEnsemble
from ..negatives import Negative
from ..negatives.chains import rows_of
from ..negatives.seeds import Purpose, derived_seed
from ..updates import Momentum, Penalty
from .base import Objective, Problem, Step

__all__ = ["Ascent", "MaximumLikelihood", "as_penalty", "is_penalty"]


class Ascent(NamedTuple):
    """Where an ascent of the likelihood stands."""

    theta: Tensor
    """float64 ``(parameters,)``"""
    momentum: Momentum
    """Of the optimiser"""
    data_moments: Tensor
    """``⟨-∂u⟩_data``, float64 ``(parameters,)``; of the last step where it depends on θ"""
    negative: Any
    """State of the negative phase"""


def is_penalty(number: float) -> bool:
    """Return whether a number is 0 or above, and finite."""
    return 0.0 <= number < float("inf")


def as_penalty(name: str, value: float) -> float:
    """Return a strength of a penalty, else raise a ValueError."""
    return as_number(name, value, "0 or above", is_penalty)


@dataclass(frozen=True)
class MaximumLikelihood(Objective):
    """Climbs the likelihood of the data, with the means under the model from a negative phase.

    Args:
        negative: where the means under the model come from: :class:`Exact`, :class:`FromData`
            (CD-k), :class:`Persistent` (PCD), :class:`Jarzynski`, :class:`MeanField` (TAP) or
            :class:`Annealed`.
        l1: strength of a penalty ``l1 Σ |θ|`` on couplings, in units of the mean log-likelihood of
            a sample; many of them become 0.
        l2: strength of a penalty ``l2/2 Σ θ²`` on couplings.
        batch: rows of data of each step; None for all. Where the means of data do not depend on the
            parameters, as for all but hidden units and networks, fewer rows bring noise alone.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> from leaps_triton.learning import Persistent
        >>> MaximumLikelihood(Persistent(walkers=500), l1=0.03).l1
        0.03
    """

    negative: Negative
    l1: float = 0.0
    l2: float = 0.0
    batch: int | None = None

    def __post_init__(self) -> None:
        wanted = "a negative phase such as Persistent(walkers=1000)"
        expect(isinstance(self.negative, Negative), "negative", wanted, self.negative)
        object.__setattr__(self, "l1", as_penalty("l1", self.l1))
        object.__setattr__(self, "l2", as_penalty("l2", self.l2))
        if self.batch is not None:
            object.__setattr__(self, "batch", as_integer("batch", self.batch, 1))

    def settled(self, problem: Problem, theta: Tensor) -> "MaximumLikelihood":
        """Return the same with a negative phase all of whose settings are known."""
        return replace(self, negative=self.negative.settled(problem.family, theta))

    def begin(self, problem: Problem, theta: Tensor) -> Ascent:
        """Return the state at the first parameters."""
        family = problem.family
        negative = self.negative.begin(family, theta, problem.data, problem.seed)
        moments = family.moments(problem.data, theta)
        return Ascent(theta, Momentum.begin(len(theta)), moments, negative)

    def step(self, problem: Problem, state: Ascent) -> Step:
        """Return the state after one step up the likelihood."""
        family = problem.family
        theta = state.theta
        wanted = self._data_moments(problem, state)
        found = self.negative.moments(family, theta, state.negative)
        slope = found - wanted
        penalty = Penalty(self.l1, self.l2, family.penalised)
        moved, momentum = problem.update.step(theta, slope, state.momentum, penalty, family.counts)
        after = family.inside(moved)
        negative = self.negative.step(family, theta, after, state.negative)
        values = {"gradient_norm": float((slope / family.counts).norm())}
        return Step(Ascent(after, momentum, wanted, negative), values)

    def _data_moments(self, problem: Problem, state: Ascent) -> Tensor:
        """Return the means of the data, or of the rows of this step."""
        family = problem.family
        if self.batch is not None:
            seed = derived_seed(problem.seed, Purpose.ROWS)
            rows = rows_of(problem.data, self.batch, seed, state.momentum.updates)
            return family.moments(rows, state.theta)
        if family.fixed_moments:
            return state.data_moments
        return family.moments(problem.data, state.theta)

    def witnessed(self, problem: Problem, state: Ascent) -> WeightedEnsemble | None:
        """Return what walkers that entered no gradient say of the last model."""
        return self.negative.witnessed(problem.family, state.theta, state.negative)
