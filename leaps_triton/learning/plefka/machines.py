"""Mean-field theories of restricted Boltzmann machines: naive, TAP and third order.

The free energy is expanded in powers of the weights at fixed means ``m`` of the visible and ``n``
of the hidden units (β is absorbed in biases and weights)::

    log Z ≈ a·m + b·n + S(m) + S(n) + Σ_ij W_ij m_i n_j                              (order 1)
          + 1/2 Σ_ij W_ij² (m_i - m_i²) (n_j - n_j²)                                 (order 2)
          + 2/3 Σ_ij W_ij³ (m_i - m_i²) (1/2 - m_i) (n_j - n_j²) (1/2 - n_j)         (order 3)

with ``S`` the entropy of independent units. Means are those at which it is stationary::

    n_j = σ(b_j + Σ_i W_ij m_i + Σ_i W_ij² (m_i - m_i²) (1/2 - n_j)
              + Σ_i W_ij³ (m_i - m_i²) (1/2 - m_i) (1/3 - 2 (n_j - n_j²)))

and likewise ``m``. The factor ``(m_i - m_i²) (1/2 - m_i)`` is the derivative's; a map with
``m_i² (1 - m_i)`` in its place, which is in use, is not stationary.

References:
    Gabrié, Tramel, Krzakala, *Training restricted Boltzmann machines via the
    Thouless-Anderson-Palmer free energy*, NIPS (2015), arXiv:1506.02914.
    Plefka, *Convergence condition of the TAP equation for the infinite-ranged Ising spin glass
    model*, J. Phys. A 15, 1971 (1982).
"""

from typing import Any

import torch
from torch import Tensor

from ...models.machines import RBM
from .base import Equations, entropy
from .results import MachineTapResult, TapGradient

__all__ = ["MachineEquations"]


class MachineEquations(Equations):
    """The mean-field equations of a machine; means are of units 0 and 1, visible ones first.

    Args:
        model: the machine.
        order: 1, 2 or 3.
    """

    lowest = 0.0
    result = MachineTapResult

    def __init__(self, model: RBM, order: int) -> None:
        self.shapes = ((model.visible,), (model.lattice.sites,))
        self.sites = model.lattice.sites
        self._model = model
        self._order = order
        self._visible_bias = model.beta * model.visible_bias
        self._hidden_bias = model.beta * model.hidden_bias
        self._weights = model.beta * model.weights
        self._squares = self._weights**2
        self._cubes = self._weights**3

    def _hidden(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return the right side of the equations of ``n``."""
        weights = (self._weights, self._squares, self._cubes)
        return self._means(self._hidden_bias, weights, visible, hidden)

    def _visible(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return the right side of the equations of ``m``."""
        weights = (self._weights.T, self._squares.T, self._cubes.T)
        return self._means(self._visible_bias, weights, hidden, visible)

    def _means(
        self,
        bias: Tensor,
        weights: tuple[Tensor, Tensor, Tensor],
        others: Tensor,
        own: Tensor,
    ) -> Tensor:
        """Return the means of a layer, given those of the other and its own."""
        fields = bias + others @ weights[0]
        if self._order >= 2:
            # The reaction of the others to this unit (Onsager's term).
            fields = fields + (_variance(others) @ weights[1]) * (0.5 - own)
        if self._order >= 3:
            third = _third(others) @ weights[2]
            fields = fields + third * (1.0 / 3.0 - 2.0 * _variance(own))
        return torch.sigmoid(fields)

    def iterated(self, means: Tensor, damping: float) -> Tensor:
        """Return the means after an iteration, of the hidden and then of the visible units."""
        visible, hidden = self._model.split(means)
        hidden = torch.lerp(self._hidden(visible, hidden), hidden, damping)
        visible = torch.lerp(self._visible(visible, hidden), visible, damping)
        return torch.cat([visible, hidden], dim=1)

    def residual(self, means: Tensor) -> Tensor:
        """Return by how much the equations miss at most, ``(starts,)``."""
        visible, hidden = self._model.split(means)
        first = (self._visible(visible, hidden) - visible).abs().amax(1)
        second = (self._hidden(visible, hidden) - hidden).abs().amax(1)
        return torch.maximum(first, second)

    def log_z(self, means: Tensor) -> Tensor:
        """Return the approximate ``log Z`` at these means, ``(starts,)``."""
        visible, hidden = self._model.split(means)
        total = visible @ self._visible_bias + hidden @ self._hidden_bias
        total = total + entropy(visible) + entropy(hidden)
        total = total + _joined(visible, self._weights, hidden)
        if self._order >= 2:
            squares = _joined(_variance(visible), self._squares, _variance(hidden))
            total = total + squares / 2.0
        if self._order >= 3:
            cubes = _joined(_third(visible), self._cubes, _third(hidden))
            total = total + cubes * (2.0 / 3.0)
        return total

    def gradient(self, means: Tensor) -> TapGradient:
        """Return the derivatives of ``log Z`` at fixed means, averaged over the starts.

        At a stationary point these are the whole derivatives.
        """
        visible, hidden = self._model.split(means)
        by_weights = visible.T @ hidden
        if self._order >= 2:
            by_weights = by_weights + self._weights * (_variance(visible).T @ _variance(hidden))
        if self._order >= 3:
            by_weights = by_weights + 2.0 * self._squares * (_third(visible).T @ _third(hidden))
        return TapGradient(by_weights / len(means), visible.mean(0), hidden.mean(0))

    def completed(self, means: Tensor) -> Tensor:
        """Return means of all units, those of the hidden ones from the visible where they lack."""
        if means.shape[1] == self._model.visible:
            return torch.cat([means, self._model.hidden_means(means)], dim=1)
        return means

    def beside(self, means: Tensor) -> dict[str, Any]:
        """Return the means of both layers, and the gradient."""
        visible, hidden = self._model.split(means)
        return {"visible": visible[0], "hidden": hidden[0], "gradient": self.gradient(means)}


def _variance(means: Tensor) -> Tensor:
    """Return the variance of units of 0 and 1."""
    return means - means**2


def _third(means: Tensor) -> Tensor:
    """Return half the third central moment of units of 0 and 1."""
    return _variance(means) * (0.5 - means)


def _joined(visible: Tensor, table: Tensor, hidden: Tensor) -> Tensor:
    """Return ``Σ_ij f_i T_ij g_j`` of every start."""
    return ((visible @ table) * hidden).sum(1)
