"""Steps of Levenberg and Marquardt in the space of the parameters, on weighted nodes."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...networks import exact_convolutions
from ..config import TrainingConfig
from ..data.buffer import Batch
from ..data.nodes import spread
from ..terms import Physics, Terms
from ..trained import Trained
from .steps import AdamStep, Proposal, Request

__all__ = ["GaussNewtonStep", "NormalEquations"]

_MOST = 3000
"""Parameters above which a matrix of all pairs of them is too large to be solved at every step."""

_ROWS = 1024
"""Nodes of a block: its Jacobian is to stay in a processor's cache."""

_TRIES = 8
"""Raised dampings after which a step is left out."""

_LOWER = 3.0
"""What the damping is divided by after a step that went down."""

_RAISE = 4.0
"""What it is multiplied by before another try."""

_LEAST = 1e-13
"""The lowest damping: below it the equations are singular to rounding."""

_FLOOR = 1e-6
"""Least entry of the diagonal that damps, in units of the mean one: some may vanish."""


class NormalEquations(NamedTuple):
    """What a step is solved from."""

    matrix: Tensor
    """``Jᵀ W J`` of centred rows, float64 ``(parameters, parameters)``"""
    right: Tensor
    """``Jᵀ W r``, float64 ``(parameters,)``"""
    loss: float
    """``rᵀ W r``: the mean over times of the weighted variance"""

    def solved(self, damping: float) -> Tensor | None:
        """Return ``δ`` with ``(JᵀWJ + μ D) δ = JᵀWr``; None where rounding leaves no solution.

        Args:
            damping: ``μ``, in units of ``D``, the diagonal of ``JᵀWJ``.
        """
        diagonal = self.matrix.diagonal()
        # A parameter that no residual sees must not make the equations singular.
        scale = diagonal + _FLOOR * diagonal.mean()
        damped = self.matrix + torch.diag(damping * scale)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if int(failed):
            return None
        return torch.cholesky_solve(self.right.unsqueeze(1), factor).squeeze(1)


class _Residuals(nn.Module):
    """The residuals as a function of all parameters, for torch's function transforms."""

    def __init__(self, module: nn.Module, terms: Terms) -> None:
        super().__init__()
        self.module = module
        # No module: the parameters are those of the other.
        self._terms = terms

    def forward(self, configurations: Tensor, t: Tensor, physics: Physics | None) -> Tensor:
        """Return ``(kinds, walkers)``."""
        return self._terms(configurations, t, physics)


class _Block(NamedTuple):
    """Some times of the nodes."""

    configurations: Tensor
    """``(times · nodes, *shape)``"""
    t: Tensor
    """Of each, float64"""
    weights: Tensor
    """``(times, nodes)``"""
    physics: Physics | None


class GaussNewtonStep:
    """Makes steps of Gauss-Newton on all nodes, damped as Levenberg and Marquardt did.

    With the residuals ``r`` of all nodes, less their weighted mean at each time, and their
    derivatives ``J`` by all parameters, in float64, a step is ``-δ`` with ``(JᵀWJ + μD) δ = JᵀWr``
    and ``D`` the diagonal of ``JᵀWJ``. If the sum of squares falls, the step is made and ``μ``
    divided by 3; else ``μ`` is multiplied by 4 and solved again, at most 8 times. There is no
    learning rate. Where the path is learned its weights are those before the step.

    The first ``config.adam_steps`` steps are Adam's, on batches of nodes.

    A step takes about ``nodes · parameters²`` multiplications besides the derivatives. It fits its
    nodes as no other optimiser does, be they enough or not: :attr:`TrainingHistory.test_residual`
    tells.

    Args:
        trained: what is trained.
        adam: makes the first steps.
        config: the settings, whose ``damping`` is the first ``μ``.

    Attributes:
        damping: ``μ``.

    Raises:
        ValueError: too many parameters.

    References:
        Levenberg, Quart. Appl. Math. 2, 164 (1944); Marquardt, J. SIAM 11, 431 (1963).
    """

    def __init__(self, trained: Trained, adam: AdamStep, config: TrainingConfig) -> None:
        self._parameters = list(trained.module.parameters())
        count = sum(parameter.numel() for parameter in self._parameters)
        if count > _MOST:
            raise ValueError(
                f"optimizer 'gauss_newton' solves for all parameters at once, at most {_MOST} of "
                f"them, got {count}; take optimizer='spring', or a smaller network"
            )
        self._adam = adam
        self._first = config.adam_steps
        self._terms = Terms(trained.path, trained.transport, config, trained.curved)
        self._residuals = _Residuals(trained.module, self._terms)
        self._physics: list[Physics | None] = []
        self._known: Tensor | None = None
        self._found: Tensor | None = None
        self._by_adam = False
        self.damping = config.damping

    def propose(self, request: Request) -> Proposal:
        """Find a step that goes down; within the first steps one of Adam."""
        self._by_adam = request.draws.step < self._first
        if self._by_adam:
            return self._adam.propose(request)
        with exact_convolutions():
            blocks = list(self._blocks(request.batch))
            equations = self._equations(blocks)
            if not math.isfinite(equations.loss):
                # Nothing can be solved for; the guard refuses the step.
                return Proposal(equations.loss, math.nan)
            return Proposal(equations.loss, self._search(equations, blocks))

    def take(self, rate: float) -> None:
        """Move the parameters; the rate is Adam's alone."""
        if self._by_adam:
            self._adam.take(rate)
        elif self._found is not None:
            self._put(self._found)

    def _search(self, equations: NormalEquations, blocks: list[_Block]) -> float:
        """Find parameters at which the loss is lower; returns the length of the step to them."""
        before = self._values()
        self._found = None
        for _ in range(_TRIES):
            direction = equations.solved(self.damping)
            if direction is not None:
                after = before - direction
                self._put(after)
                loss = self._loss(blocks)
                if loss < equations.loss:
                    self._found = after
                    break
            self.damping *= _RAISE
        # The guard may refuse the step yet.
        self._put(before)
        if self._found is None:
            return 0.0
        self.damping = max(self.damping / _LOWER, _LEAST)
        return float(torch.linalg.vector_norm(self._found - before))

    def _values(self) -> Tensor:
        """Return all parameters in one row, float64."""
        return torch.cat([each.detach().double().flatten() for each in self._parameters])

    @torch.no_grad()
    def _put(self, values: Tensor) -> None:
        """Give the parameters other values."""
        first = 0
        for parameter in self._parameters:
            last = first + parameter.numel()
            parameter.copy_(values[first:last].view_as(parameter))
            first = last

    def _blocks(self, batch: Batch) -> Iterator[_Block]:
        """Give the nodes in parts of whole times."""
        weights = batch.weights
        # Batches of nodes always have weights.
        assert weights is not None
        x = batch.configurations
        times, count = x.shape[:2]
        # What does not depend on parameters is computed once for all steps.
        if self._known is not x:
            self._physics = []
            self._known = x
        size = max(1, _ROWS // count)
        for number, first in enumerate(range(0, times, size)):
            chosen = slice(first, first + size)
            here = x[chosen].flatten(0, 1)
            t = batch.t[chosen].repeat_interleave(count)
            if number == len(self._physics):
                self._physics.append(self._terms.physics(here, t))
            # The mean is over all times, and each block has some of them.
            yield _Block(here, t, weights[chosen] * (len(weights[chosen]) / times), self._physics[number])

    def _equations(self, blocks: list[_Block]) -> NormalEquations:
        """Return the normal equations of all blocks."""
        count = sum(parameter.numel() for parameter in self._parameters)
        device = self._parameters[0].device
        matrix = torch.zeros(count, count, dtype=torch.float64, device=device)
        right = torch.zeros(count, dtype=torch.float64, device=device)
        loss = 0.0
        return NormalEquations(matrix, right, loss)
