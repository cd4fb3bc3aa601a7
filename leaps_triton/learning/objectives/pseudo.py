"""Pseudo-likelihood: the product of the conditional probabilities of single sites.

It is concave in the couplings and fields of pair models, needs no walkers, and is consistent. The
minimum with a penalty ``l1 Σ |θ|`` is found by accelerated proximal gradients with restarts, which
are deterministic and set couplings to 0 exactly. A network's energies, of which it is not concave,
follow the learner's optimiser instead.

References:
    Besag, *Statistical analysis of non-lattice data*, The Statistician 24, 179 (1975).
    Ravikumar, Wainwright, Lafferty, *High-dimensional Ising model selection using l1-regularized
    logistic regression*, Annals of Statistics 38, 1287 (2010).
    Beck, Teboulle, *A fast iterative shrinkage-thresholding algorithm for linear inverse problems*,
    SIAM J. Imaging Sciences 2, 183 (2009).
    O'Donoghue, Candès, *Adaptive restart for accelerated gradient schemes*, Foundations of
    Computational Mathematics 15, 715 (2015).
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import as_bool, as_number, is_positive
from ..families.base import PseudoLikelihoodTerms
from ..updates import Momentum, Penalty, soft_threshold
from .base import Objective, Problem, Step, Stepping, stepped
from .likelihood import as_penalty

__all__ = ["Descent", "PseudoLikelihood"]


_SHORTER = 0.5
"""Factor of a step that was too long."""

_SLACK = 1e-12
"""Rounding of the loss that the test of a step's length forgives, relative."""


class Descent(NamedTuple):
    """Where a descent stands."""

    theta: Tensor
    """float64 ``(parameters,)``"""
    before: Tensor
    """Parameters of the step before"""
    inertia: float
    """Nesterov's ``t``, from 1 on"""
    length: float
    """Of a step, in units of the inverse counts of parameters"""
    support: Tensor
    """Parameters that may differ from 0, bool ``(parameters,)``"""
    refitting: bool
    """Whether the penalty is off and the support fixed"""


class Here(NamedTuple):
    """The smooth part of what is minimised, at some parameters."""

    value: float
    """Its value"""
    slope: Tensor
    """Its gradient, float64 ``(parameters,)``"""


class Smooth(NamedTuple):
    """What is minimised: a smooth part, and a kink at 0 of every penalised coupling."""

    terms: PseudoLikelihoodTerms
    """Of the data"""
    penalty: Penalty
    """Of couplings"""

    def at(self, theta: Tensor) -> Here:
        """Return the smooth part and its gradient."""
        value, slope = self.terms.loss(theta)
        return Here(value + self._quadratic(theta), slope + self.penalty.slope(theta))

    def _quadratic(self, theta: Tensor) -> float:
        return self.penalty._replace(l1=0.0).value(theta)

    def kink(self, theta: Tensor) -> float:
        """Return the other part, ``l1 Σ |θ|``."""
        return self.penalty._replace(l2=0.0).value(theta)

    def moved(
        self, ahead: Tensor, here: Here, length: float, counts: Tensor, support: Tensor
    ) -> tuple[Tensor, float]:
        """Return parameters after a proximal step, and the smooth part there."""
        steps = length / counts
        thresholds = steps * self.penalty.l1 * self.penalty.held
        moved = soft_threshold(ahead - steps * here.slope, thresholds) * support
        return moved, self.terms.value(moved) + self._quadratic(moved)

    def bound(
        self, ahead: Tensor, here: Here, moved: Tensor, length: float, counts: Tensor
    ) -> float:
        """Return the most that the smooth part may be after a step that is short enough."""
        change = moved - ahead
        square = float((counts * change.square()).sum()) / (2.0 * length)
        rounding = _SLACK * abs(here.value)
        return here.value + float(here.slope @ change) + square + rounding


@dataclass(frozen=True)
class PseudoLikelihood(Objective):
    """Minimises ``-Σ_i log p(x_i | rest)``, the mean over data, plus ``l1 Σ |θ| + l2/2 Σ θ²``.

    The penalties hold β times the couplings, each bond or class counted once; fields are free. For
    a :class:`NetworkEnergy` they hold all parameters; its ``q - 1`` other energies of every site of
    every sample make a step, along the gradient as the learner's ``optimizer`` and
    ``learning_rate`` say (take ``"adam"``), and all its ``steps`` are made.

    Args:
        l1: strength of the penalty that sets couplings to 0; :func:`choose_l1` finds one by
            held-out data.
        l2: strength of a quadratic one.
        refit: whether to go on without ``l1`` among the couplings that it has left, which removes
            the shrinkage; of pair models alone.
        tolerance: ends the descent: largest step, per term of the energy, in units of a length-one
            step of the gradient; of pair models alone.

    Raises:
        ValueError: an argument is not as above; at the first step, a model that it does not serve.

    Example:
        >>> PseudoLikelihood(l1=0.05)
        PseudoLikelihood(l1=0.05, l2=0.0, refit=False, tolerance=1e-07)
    """

    l1: float = 0.0
    l2: float = 0.0
    refit: bool = False
    tolerance: float = 1e-7

    steps = 5000

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1", as_penalty("l1", self.l1))
        object.__setattr__(self, "l2", as_penalty("l2", self.l2))
        object.__setattr__(self, "refit", as_bool("refit", self.refit))
        number = as_number("tolerance", self.tolerance, "a positive number", is_positive)
        object.__setattr__(self, "tolerance", number)

    def prepare(self, problem: Problem) -> PseudoLikelihoodTerms:
        """Return the conditional probabilities of sites in the data."""
        if self.refit and not problem.family.convex:
            raise ValueError(
                f"refit=True is of pair models alone, got {problem.family.model!r}; leave it out"
            )
        return problem.family.conditionals(problem.data)

    def begin(self, problem: Problem, theta: Tensor) -> Descent | Stepping:
        """Return the state at the first parameters."""
        if not problem.family.convex:
            return Stepping(theta, Momentum.begin(len(theta)))
        everything = torch.ones(len(theta), dtype=torch.bool)
        return Descent(theta, theta, 1.0, 1.0, everything, False)

    def step(self, problem: Problem, state: Any) -> Step:
        """Return the state after one step, an accelerated proximal one where there is one minimum.

        Args:
            problem: what is learned.
            state: of the step before, as :meth:`begin` returns it.
        """
        if problem.family.convex:
            return self._accelerated(problem, state)
        value, slope = problem.prepared.loss(state.theta)
        penalty = Penalty(self.l1, self.l2, problem.family.penalised)
        return stepped(problem, state, value + penalty.value(state.theta), slope, penalty)

    def _accelerated(self, problem: Problem, state: Descent) -> Step:
        counts = problem.family.counts
        smooth = Smooth(
            problem.prepared, Penalty(self._l1(state), self.l2, problem.family.penalised)
        )
        after = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * state.inertia**2))
        speed = (state.inertia - 1.0) / after
        ahead = state.theta + speed * (state.theta - state.before)
        here = smooth.at(ahead)
        length = state.length
        moved, value = smooth.moved(ahead, here, length, counts, state.support)
        while value > smooth.bound(ahead, here, moved, length, counts):
            length *= _SHORTER
            moved, value = smooth.moved(ahead, here, length, counts, state.support)
        size = float(((moved - ahead) / length).abs().max())
        values = {"loss": value + smooth.kink(moved), "gradient_norm": size}
        if float(((ahead - moved) * (moved - state.theta) * counts).sum()) > 0.0:
            # Momentum that points uphill is given up.
            after = 1.0
        new = Descent(moved, state.theta, after, length, state.support, state.refitting)
        converged = size < self.tolerance
        if converged and self.refit and not state.refitting:
            support = (moved != 0.0) | ~problem.family.penalised
            # The same minimum, where nothing was penalised.
            converged = self.l1 == 0.0
            new = Descent(moved, moved, 1.0, 1.0, support, True)
        return Step(new, values, converged)

    def _l1(self, state: Descent) -> float:
        if state.refitting:
            return 0.0
        return self.l1

    def score(self, problem: Problem, theta: Tensor, held_out: Tensor) -> float:
        """Return ``-Σ_i log p(x_i | rest)`` of other data."""
        return problem.family.conditionals(held_out).value(theta)
