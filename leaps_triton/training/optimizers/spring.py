"""Sample-space Gauss-Newton steps with momentum."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.checks import as_number, expect, is_positive

__all__ = ["Spring", "SpringInfo", "centred", "spring_direction"]

_COLUMNS = 4096
"""Columns of a Jacobian that are in float64 at once: all of them would take twice its memory."""


_ROWS = 64
"""Samples of a block of the Gram matrix: blocks above its diagonal are left out."""


class SpringInfo(NamedTuple):
    """What a step did."""

    norm: float
    """``‖δ‖``, before any factor"""
    factor: float
    """What ``δ`` was multiplied by: the learning rate, or less where the cap on the norm acts"""


def centred(values: Tensor, times: int) -> Tensor:
    """Return rows less the mean of all rows at their time.

    Args:
        values: ``(times · walkers,)`` or ``(times · walkers, parameters)``, time by time.
        times: their number.

    Example:
        >>> centred(torch.tensor([1.0, 3.0, 5.0, 9.0]), times=2)
        tensor([-1.,  1., -2.,  2.])
    """
    by_time = values.unflatten(0, (times, -1))
    return (by_time - by_time.mean(1, keepdim=True)).flatten(0, 1)


def spring_direction(
    jacobian: Tensor,
    residuals: Tensor,
    previous: Tensor,
    momentum: float,
    damping: float,
) -> Tensor:
    """Return ``δ = μδ' + Jᵀ (J Jᵀ + λ)⁻¹ (-r - μ J δ')``, float64 ``(parameters,)``.

    It is ``argmin_δ ‖J δ + r‖² + λ ‖δ - μ δ'‖²``, and at ``μ = 0`` the damped step of Gauss and
    Newton, ``-(Jᵀ J + λ)⁻¹ Jᵀ r``, with a matrix of the samples in place of one of the parameters.
    All sums are in float64: a float32 Cholesky failed at a λ of 1e-6 of the diagonal.

    Args:
        jacobian: ``J``, ``(samples, parameters)``, centred at each time as the residuals are.
        residuals: ``r``, ``(samples,)``.
        previous: ``δ'``, float64 ``(parameters,)``.
        momentum: ``μ``, in [0, 1).
        damping: ``λ``, in units of the mean diagonal of ``J Jᵀ``.

    References:
        Goldshlager, Abrahamsen, Lin, *A Kaczmarz-inspired approach to accelerate the optimization
        of neural network wavefunctions* (SPRING), arXiv:2401.10190 (2024). Published codes divide
        by the root of the samples, so that their λ is λ times the number of samples here.
    """
    samples = len(jacobian)
    gram = torch.zeros(samples, samples, dtype=torch.float64, device=jacobian.device)
    moved = torch.zeros(samples, dtype=torch.float64, device=jacobian.device)
    pieces = range(0, jacobian.shape[1], _COLUMNS)
    for first in pieces:
        part = jacobian[:, first : first + _COLUMNS].double()
        _add_lower(gram, part)
        moved.addmv_(part, previous[first : first + _COLUMNS])
    diagonal = gram.diagonal()
    # A Jacobian of zeros has no scale of its own, and its step is μδ' whatever λ is.
    scale = float(diagonal.mean())
    if scale == 0.0:
        scale = 1.0
    diagonal.add_(damping * scale)
    right = -residuals.double() - momentum * moved
    factor = torch.linalg.cholesky(gram)
    solved = torch.cholesky_solve(right.unsqueeze(1), factor).squeeze(1)
    direction = momentum * previous
    for first in pieces:
        part = jacobian[:, first : first + _COLUMNS].double()
        direction[first : first + _COLUMNS].addmv_(part.T, solved)
    return direction


def _add_lower(gram: Tensor, part: Tensor) -> None:
    """Add ``part partᵀ`` to a matrix of which the lower triangle alone is read."""
    for row in range(0, len(part), _ROWS):
        block = part[row : row + _ROWS]
        gram[row:, row : row + _ROWS].addmm_(part[row:], block.T)


class Spring:
    """Moves parameters by Gauss-Newton steps in sample space, with momentum and a cap on the norm.

    ``θ ← θ + min(η, √C / ‖δ‖) δ`` with ``δ`` of :func:`spring_direction`; the unscaled ``δ`` is
    kept for the next step. It is written against residuals and their per-sample gradients alone, so
    that it fits every residual that should vanish.

    A step of ``n`` samples and ``P`` parameters takes ``n² P`` multiplications in float64 besides
    the gradients, and ``8 P`` bytes for ``δ``.

    Args:
        parameters: what is moved, in the order of the Jacobian's columns.
        learning_rate: ``η``, which each step may override.
        momentum: ``μ``, in [0, 1); at 1 directions without gradient would never die.
        damping: ``λ`` in units of the mean diagonal of ``J Jᵀ``.
        norm_cap: ``C``; 0 for none.

    Raises:
        ValueError: a setting out of range.

    Example:
        >>> x = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
        >>> spring = Spring([x], learning_rate=1.0, momentum=0.0, damping=1e-9)
        >>> jacobian = torch.eye(2, dtype=torch.float64)
        >>> info = spring.step(jacobian, torch.tensor([-1.0, 2.0]))
        >>> x.detach().round(decimals=6)
        tensor([ 1., -2.], dtype=torch.float64)
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        damping: float = 1e-2,
        norm_cap: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        expect(bool(self.parameters), "parameters", "at least one tensor", self.parameters)
        positive = "a positive number"
        self.learning_rate = as_number("learning_rate", learning_rate, positive, is_positive)
        self.momentum = as_number("momentum", momentum, "a number in [0, 1)", _is_share)
        self.damping = as_number("damping", damping, positive, is_positive)
        self.norm_cap = as_number("norm_cap", norm_cap, "0 or a positive number", _is_cap)
        count = sum(parameter.numel() for parameter in self.parameters)
        device = self.parameters[0].device
        self.direction = torch.zeros(count, dtype=torch.float64, device=device)

    @torch.no_grad()
    def direct(self, jacobian: Tensor, residuals: Tensor, weights: Tensor | None = None) -> float:
        """Find the next ``δ``, without moving any parameter; returns its norm.

        Args:
            jacobian: ``J``, ``(samples, parameters)``, centred at each time.
            residuals: ``r``, ``(samples,)``, centred at each time.
            weights: what each row of both is multiplied by, ``(samples,)``; None for 1.

        Raises:
            ValueError: shapes that do not fit one another, or the parameters.
        """
        samples = len(residuals)
        wanted = (samples, len(self.direction))
        if residuals.ndim != 1 or tuple(jacobian.shape) != wanted:
            raise ValueError(
                f"jacobian must have shape (samples, parameters) = {wanted}, got "
                f"{tuple(jacobian.shape)}"
            )
        if weights is not None:
            jacobian = jacobian * weights.to(jacobian.dtype).unsqueeze(1)
            residuals = residuals * weights.to(residuals.dtype)
        before = self.direction
        self.direction = spring_direction(jacobian, residuals, before, self.momentum, self.damping)
        return float(torch.linalg.vector_norm(self.direction))

    @torch.no_grad()
    def move(self, learning_rate: float | None = None) -> float:
        """Move all parameters along ``δ``; returns the factor that it was multiplied by.

        Args:
            learning_rate: ``η`` of this step; None for that of the optimiser.
        """
        factor = self.learning_rate
        if learning_rate is not None:
            factor = learning_rate
        norm = float(torch.linalg.vector_norm(self.direction))
        if self.norm_cap > 0.0 and norm > 0.0:
            factor = min(factor, math.sqrt(self.norm_cap) / norm)
        first = 0
        for parameter in self.parameters:
            last = first + parameter.numel()
            part = self.direction[first:last].view_as(parameter)
            parameter.add_((factor * part).to(parameter.dtype))
            first = last
        return factor

    def step(
        self,
        jacobian: Tensor,
        residuals: Tensor,
        weights: Tensor | None = None,
        learning_rate: float | None = None,
    ) -> SpringInfo:
        """Find ``δ`` and move along it; arguments as in :meth:`direct` and :meth:`move`."""
        norm = self.direct(jacobian, residuals, weights)
        return SpringInfo(norm, self.move(learning_rate))

    def state_dict(self) -> dict[str, Tensor]:
        """Return what the next step depends on: the unscaled ``δ``, float64 ``(parameters,)``."""
        return {"direction": self.direction}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up where :meth:`state_dict` was read.

        Raises:
            ValueError: a state of other parameters.
        """
        found = state.get("direction")
        if found is None or found.shape != self.direction.shape:
            raise ValueError(
                f"the state of Spring must hold a direction of {len(self.direction)} numbers, got "
                f"{ {name: tuple(value.shape) for name, value in state.items()} }"
            )
        self.direction = found.to(self.direction).clone()


def _is_share(value: float) -> bool:
    return 0.0 <= value < 1.0


def _is_cap(value: float) -> bool:
    return 0.0 <= value < math.inf
