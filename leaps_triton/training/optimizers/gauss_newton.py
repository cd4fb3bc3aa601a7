"""Steps of Levenberg and Marquardt in the space of the parameters, on weighted nodes."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...networks import exact_convolutions
from ..config import TrainingConfig
from ..data.buffer import Batch
from ..terms import Block, Terms, blocks_of, variance
from ..trained import Trained
from .proposals import Proposal, Request, Step
from .residual_jacobian import ResidualJacobian

__all__ = ["GaussNewtonStep", "NormalEquations"]

_MOST = 3000
"""Parameters above which a matrix of all pairs of them is too large to be solved at every step."""

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


class GaussNewtonStep:
    """Makes steps of Gauss-Newton on all nodes, damped as Levenberg and Marquardt did.

    With the residuals ``r`` of all nodes, less their weighted mean at each time, and their
    derivatives ``J`` by all parameters, in float64, a step is ``-δ`` with ``(JᵀWJ + μD) δ = JᵀWr``
    and ``D`` the diagonal of ``JᵀWJ``. If the sum of squares falls, the step is made and ``μ``
    divided by 3; else ``μ`` is multiplied by 4 and solved again, at most 8 times. There is no
    learning rate. Where the path is learned its weights are those before the step.

    The first ``config.adam_steps`` steps are Adam's, on batches of nodes.

    A step takes about ``nodes · parameters²`` multiplications besides the derivatives. It fits its
    nodes as no other optimiser does, be they enough or not: ``history.test_residual``
    tells.

    Args:
        trained: what is trained.
        adam: makes the first steps.
        config: the settings, whose ``damping`` is the first ``μ``.

    Attributes:
        damping: ``μ``.

    Raises:
        ValueError: rates instead of a drift, too many parameters.

    References:
        Levenberg, Quart. Appl. Math. 2, 164 (1944); Marquardt, J. SIAM 11, 431 (1963).
    """

    def __init__(self, trained: Trained, adam: Step, config: TrainingConfig) -> None:
        # It refuses rates, before their number of parameters is of any matter.
        self._terms = Terms(trained.path, trained.transport, config, trained.curved)
        self._parameters = list(trained.module.parameters())
        count = sum(parameter.numel() for parameter in self._parameters)
        if count > _MOST:
            raise ValueError(
                f"optimizer 'gauss_newton' solves for all parameters at once, at most {_MOST} of "
                f"them, got {count}; take optimizer='spring', or a smaller network"
            )
        self._adam = adam
        self._first = config.adam_steps
        self._jacobian = ResidualJacobian(trained.module, self._terms)
        self._blocks: list[Block] = []
        self._batch: Batch | None = None
        self._found: Tensor | None = None
        self._by_adam = False
        self.damping = config.damping

    def propose(self, request: Request) -> Proposal:
        """Find a step that goes down; within the first steps one of Adam."""
        self._by_adam = request.draws.step < self._first
        if self._by_adam:
            return self._adam.propose(request)
        with exact_convolutions():
            if request.batch is not self._batch:
                # What depends on no parameter is computed once for all steps.
                self._blocks = blocks_of(request.batch, self._terms)
                self._batch = request.batch
            equations = self._equations()
            if not math.isfinite(equations.loss):
                # Nothing can be solved for; the guard refuses the step.
                return Proposal(equations.loss, math.nan)
            return Proposal(equations.loss, self._search(equations))

    def take(self, rate: float) -> None:
        """Move the parameters; the rate is Adam's alone."""
        if self._by_adam:
            self._adam.take(rate)
        elif self._found is not None:
            self._put(self._found)

    def _search(self, equations: NormalEquations) -> float:
        """Find parameters at which the loss is lower; returns the length of the step to them."""
        before = self._values()
        self._found = None
        for _ in range(_TRIES):
            direction = equations.solved(self.damping)
            if direction is not None:
                after = before - direction
                self._put(after)
                loss = variance(self._terms, self._blocks)
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

    @torch.no_grad()
    def _equations(self) -> NormalEquations:
        """Return the normal equations of all nodes."""
        count = sum(each.numel() for each in self._parameters)
        device = self._parameters[0].device
        matrix = torch.zeros(count, count, dtype=torch.float64, device=device)
        right = torch.zeros(count, dtype=torch.float64, device=device)
        loss = 0.0
        for block in self._blocks:
            for kind in range(self._terms.kinds):
                found = self._jacobian(block.configurations, block.t, block.physics, kind)
                # Centred like the residuals: what is constant at a time is no residual.
                rows = block.centred(found.jacobian.double().T).T
                r = block.centred(found.values.unsqueeze(0)).squeeze(0)
                matrix.addmm_(rows.T, rows)
                right.addmv_(rows.T, r)
                loss += float(r.square().sum())
        return NormalEquations(matrix, right, loss)

    def state(self) -> dict[str, Tensor]:
        """Return ``μ``, and Adam's moments."""
        found = {f"adam.{name}": value for name, value in self._adam.state().items()}
        found["damping"] = torch.tensor(self.damping, dtype=torch.float64)
        return found

    def damage(self, state: dict[str, Tensor]) -> str:
        """Return what does not fit; empty if all does."""
        damping = state.get("damping")
        if damping is None or damping.ndim or damping.dtype != torch.float64:
            return "optimizer.damping is missing or no number"
        return self._adam.damage(_of_adam(state))

    def load(self, state: dict[str, Tensor]) -> None:
        """Take up ``μ`` and Adam's moments of a file."""
        self._adam.load(_of_adam(state))
        self.damping = float(state["damping"])


def _of_adam(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the part of a state that is Adam's."""
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("adam."):
            found[name.removeprefix("adam.")] = value
    return found
