"""Energy discrepancy: learning without walkers of the model, from noise on the data.

Data ``x`` are perturbed to ``y ~ q_t(· | x)``, and ``M`` negatives ``z_j ~ q_t(· | y)`` are drawn.
The loss is ``log (1/M + 1/M Σ_j e^{u(x) - u(z_j)})``. The first term, which the literature calls a
regulariser of weight ``w = 1``, makes it that of picking ``x`` out of ``x, z_1 … z_M``, the truth a
minimum at every ``M``; with another ``w`` it is not. With ``M = ∞`` and the noise that draws one
site anew, the loss is that of pseudo-likelihood per site, which is summed, not sampled.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import as_integer, as_number, expect, is_positive
from ..families.base import Family
from ..negatives.chains import rows_of
from ..negatives.seeds import Purpose, derived_seed
from ..updates import Momentum, Penalty
from .base import Objective, Problem, Step, Stepping, stepped
from .likelihood import as_penalty
from .noise import KERNELS, heat_kernel, perturbed

__all__ = ["EnergyDiscrepancy", "Ranking", "ranking"]


class Ranking(NamedTuple):
    """The loss of some rows, and its gradient."""

    value: float
    """``mean log (1/M + 1/M Σ_j e^{u(x) - u(z_j)})``"""
    slope: Tensor
    """Its gradient, float64 ``(parameters,)``"""


def ranking(family: Family, theta: Tensor, data: Tensor, negatives: Tensor) -> Ranking:
    """Return the loss of rows beside negatives of each.

    Args:
        family: the models.
        theta: float64 ``(parameters,)``.
        data: ``x``, ``(rows, *shape)``.
        negatives: ``z``, ``(negatives rows, *shape)``, those of a row ``rows`` apart.
    """
    rows = len(data)
    count = len(negatives) // rows
    own = family.u(data, theta)
    others = family.u(negatives, theta).view(count, rows)
    scores = torch.cat([torch.zeros(1, rows, dtype=torch.float64), own - others])
    value = torch.logsumexp(scores, dim=0) - torch.log(torch.tensor(float(count)))
    # Share of each negative in the sum, by which its energy is to rise.
    shares = torch.softmax(scores, dim=0)[1:] / rows
    slope = family.moments(negatives, theta, shares.flatten())
    slope = slope - family.moments(data, theta, shares.sum(0))
    return Ranking(float(value.mean()), slope)


@dataclass(frozen=True)
class EnergyDiscrepancy(Objective):
    """Picks data out of negatives that noise has made of them.

    For energies whose conditional probabilities are expensive: on pair models pseudo-likelihood is
    better. Small ``time`` means negatives near the data.

    Args:
        kernel: noise of a site: ``"uniform"`` over states, ``"cyclic"`` hops on a ring of states,
            ``"ordinal"`` hops on a chain of states; ``"grid"`` draws one site anew, and sums over
            it: the loss of pseudo-likelihood per site, without noise.
        time: ``t``, for how long; for cyclic and ordinal noise in units of ``q²`` hops. Two states
            are exchanged with probability ``(1 - e^{-t}) / 2``.
        negatives: ``M`` per row of data.
        l1: strength of a penalty ``l1 Σ |θ|`` on couplings.
        batch: rows of data of each step; None for all.

    Raises:
        ValueError: an argument is not as above; at the first step, a model without states.

    References:
        Schröder and others, *Energy-based modelling for discrete and mixed data via heat equations
        on structured spaces*, arXiv:2412.01019 (2024).

    Example:
        >>> EnergyDiscrepancy(kernel="ordinal", time=0.05).negatives
        16
    """

    kernel: str = "uniform"
    time: float = 0.05
    negatives: int = 16
    l1: float = 0.0
    batch: int | None = None

    def __post_init__(self) -> None:
        known = (*KERNELS, "grid")
        expect(self.kernel in known, "kernel", "one of " + ", ".join(known), self.kernel)
        number = as_number("time", self.time, "a positive number", is_positive)
        object.__setattr__(self, "time", number)
        object.__setattr__(self, "negatives", as_integer("negatives", self.negatives, 1, 2**20))
        object.__setattr__(self, "l1", as_penalty("l1", self.l1))
        if self.batch is not None:
            object.__setattr__(self, "batch", as_integer("batch", self.batch, 1))

    def prepare(self, problem: Problem) -> Tensor | None:
        """Return the noise of a site, ``q_t(b | a)``; None where a site is drawn anew."""
        model = problem.family.model
        if model.dtype.is_floating_point:
            raise ValueError(
                f"energy discrepancy needs sites of q states, and configurations of {model!r} are "
                f"{model.dtype}; take MaximumLikelihood"
            )
        if self.kernel == "grid":
            return None
        time = self.time
        if self.kernel != "uniform":
            # Hops reach as far, as a part of all states, for any q.
            time = time * model.q**2
        return heat_kernel(self.kernel, model.q, time)

    def begin(self, problem: Problem, theta: Tensor) -> Stepping:
        """Return the state at the first parameters."""
        return Stepping(theta, Momentum.begin(len(theta)))

    def step(self, problem: Problem, state: Stepping) -> Step:
        """Return the state after one step down the loss."""
        rows = problem.data
        updates = state.momentum.updates
        if self.batch is not None:
            seed = derived_seed(problem.seed, Purpose.ROWS)
            rows = rows_of(rows, self.batch, seed, updates)
        found = self._loss(problem, state.theta, rows, updates)
        penalty = Penalty(self.l1, 0.0, problem.family.penalised)
        return stepped(problem, state, found.value, found.slope, penalty)

    def _loss(self, problem: Problem, theta: Tensor, rows: Tensor, event: int) -> Ranking:
        """Return the loss of some rows and its gradient."""
        family = problem.family
        if problem.prepared is None:
            value, slope = family.conditionals(rows).loss(theta)
            sites = rows[0].numel()
            return Ranking(value / sites, slope / sites)
        seed = derived_seed(problem.seed, Purpose.STEP)
        # Events of y and z alternate, so that no random number is used twice.
        noisy = perturbed(rows, problem.prepared, 2 * event, seed)
        copies = noisy.repeat(self.negatives, *[1] * (rows.ndim - 1))
        negatives = perturbed(copies, problem.prepared, 2 * event + 1, seed)
        return ranking(family, theta, rows, negatives)

    def score(self, problem: Problem, theta: Tensor, held_out: Tensor) -> float:
        """Return the loss of other data, with noise that is the same at every look."""
        event = 2**30
        return self._loss(problem, theta, held_out, event).value
