"""What mean-field theories tell."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

__all__ = ["MachineTapResult", "TapGradient", "TapResult"]


@dataclass(frozen=True)
class TapResult:
    """A mean-field solution: the converged one of largest ``log Z``, or the largest if none is."""

    log_z: float
    """The approximate ``log Z`` of the solution; no bound on the exact one, and no estimate with an
    error"""
    means: Tensor
    """Means of the spins -1 and 1, or of a machine's units 0 and 1, float64 ``(*shape)``"""
    converged: bool
    """Whether the means are a stationary point, to the tolerance; where they are not, ``log_z`` and
    all that is told of means say little"""
    residual: float
    """By how much the equations miss, at most over all sites"""
    order: int
    """1, 2 or 3"""
    log_z_of_starts: Tensor
    """``log Z`` of every start, float64 ``(starts,)``"""
    residual_of_starts: Tensor
    """Residual of every start, float64 ``(starts,)``"""
    means_of_starts: Tensor
    """Means from every start, float64 ``(starts, *shape)``, from which another call goes on"""
    iterations: int
    """Iterations made"""


class TapGradient(NamedTuple):
    """Derivatives of the approximate ``log Z`` by β times weights and biases.

    They take the place of the means ``⟨v_i h_j⟩``, ``⟨v_i⟩`` and ``⟨h_j⟩`` of the model.
    """

    weights: Tensor
    """float64 ``(visible, hidden)``"""
    visible_bias: Tensor
    """float64 ``(visible,)``"""
    hidden_bias: Tensor
    """float64 ``(hidden,)``"""


@dataclass(frozen=True)
class MachineTapResult(TapResult):
    """A mean-field solution of a restricted Boltzmann machine."""

    visible: Tensor
    """Means of the visible units, float64 ``(visible,)``"""
    hidden: Tensor
    """Means of the hidden units, float64 ``(hidden,)``"""
    gradient: TapGradient
    """Derivatives of ``log_z``; those of a stationary point where ``converged``"""
