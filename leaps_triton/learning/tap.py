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

from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels import Stream, philox, uniform64
from ..kernels.checks import as_integer, as_number, as_seed, expect, is_positive
from ..models.machines import RBM

__all__ = ["Equations", "TapGradient", "TapResult", "tap"]


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


class TapResult(NamedTuple):
    """A mean-field solution: the converged one of largest ``log Z``, or the largest if none is."""

    log_z: float
    """The approximate ``log Z`` of the solution; no bound on the exact one, and no estimate with an
    error"""
    visible: Tensor
    """Means of the visible units, float64 ``(visible,)``"""
    hidden: Tensor
    """Means of the hidden units, float64 ``(hidden,)``"""
    converged: bool
    """Whether the means are a stationary point, to the tolerance; where they are not, ``log_z`` and
    ``gradient`` mean little"""
    residual: float
    """By how much the equations miss, at most over all units"""
    order: int
    """1, 2 or 3"""
    gradient: TapGradient
    """Derivatives of ``log_z``; those of a stationary point where ``converged``"""
    log_z_of_starts: Tensor
    """``log Z`` of every start, float64 ``(starts,)``"""
    residual_of_starts: Tensor
    """Residual of every start, float64 ``(starts,)``"""
    means_of_starts: Tensor
    """Means of all units from every start, float64 ``(starts, visible + hidden)``, from which
    another call goes on"""
    iterations: int
    """Iterations made"""


@torch.no_grad()
def tap(
    model: RBM,
    order: int = 2,
    starts: int | Tensor = 1,
    iterations: int = 2000,
    tolerance: float = 1e-10,
    damping: float = 0.5,
    seed: int = 0,
) -> TapResult:
    """Return the mean-field approximation of ``log Z``, with the means where it is stationary.

    It is good while weights are small: the error is of the fourth power of the weights at third
    order. On learned weights it is often off by more than 1, and its equations may not converge:
    see ``converged``. A log-likelihood is to be told by :func:`leaps_triton.exact.log_z` or by
    annealed importance sampling.

    Args:
        model: the machine.
        order: 1 (naive mean field), 2 (Thouless–Anderson–Palmer) or 3.
        starts: number of starts, the first with all means 1/2 and the others random; or the means
            to start from, of visible units alone, ``(starts, visible)``, such as rows of data, or
            of all units, ``(starts, visible + hidden)``.
        iterations: iterations at most, of the hidden and then of the visible units.
        tolerance: residual below which a start has converged.
        damping: share of the old means in the new ones, from 0 to below 1.
        seed: of random starts, in [0, 2³²).

    Raises:
        ValueError: the model is no RBM, or an argument is not as above.

    Example:
        >>> import leaps_triton as lt
        >>> rbm = lt.RBM(torch.full((3, 2), 0.2))
        >>> found = tap(rbm, order=3)
        >>> found.converged, abs(found.log_z - lt.exact.log_z(rbm)) < 1e-4
        (True, True)
    """
    expect(isinstance(model, RBM), "model", "an RBM", model)
    order = as_integer("order", order, 1, 3)
    iterations = as_integer("iterations", iterations, 1)
    tolerance = as_number("tolerance", tolerance, "a positive number", is_positive)
    damping = as_number("damping", damping, "a number from 0 to below 1", _is_share)
    equations = Equations(model, order)
    visible, hidden = _begin(model, starts, as_seed(seed))
    residual = equations.residual(visible, hidden)
    made = 0
    # A start that has converged stays where it is to rounding while others go on.
    while made < iterations and bool((residual > tolerance).any()):
        hidden = torch.lerp(equations.hidden(visible, hidden), hidden, damping)
        visible = torch.lerp(equations.visible(visible, hidden), visible, damping)
        residual = equations.residual(visible, hidden)
        made += 1
    log_z = equations.log_z(visible, hidden)
    converged = residual <= tolerance
    # Solutions come first, whatever the others promise.
    ranked = log_z
    if bool(converged.any()):
        ranked = log_z.masked_fill(~converged, -torch.inf)
    best = int(ranked.argmax())
    return TapResult(
        log_z=float(log_z[best]),
        visible=visible[best],
        hidden=hidden[best],
        converged=bool(converged[best]),
        residual=float(residual[best]),
        order=order,
        gradient=equations.gradient(visible[best : best + 1], hidden[best : best + 1]),
        log_z_of_starts=log_z,
        residual_of_starts=residual,
        means_of_starts=torch.cat([visible, hidden], dim=1),
        iterations=made,
    )


class Equations:
    """The mean-field equations of a machine; means are float64 ``(starts, units)``.

    Args:
        model: the machine.
        order: 1, 2 or 3.
    """

    def __init__(self, model: RBM, order: int) -> None:
        self._order = order
        self._visible_bias = model.beta * model.visible_bias
        self._hidden_bias = model.beta * model.hidden_bias
        self._weights = model.beta * model.weights
        self._squares = self._weights**2
        self._cubes = self._weights**3

    def hidden(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return the right side of the equations of ``n``."""
        weights = (self._weights, self._squares, self._cubes)
        return self._means(self._hidden_bias, weights, visible, hidden)

    def visible(self, visible: Tensor, hidden: Tensor) -> Tensor:
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

    def residual(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return by how much the equations miss at most, ``(starts,)``."""
        first = (self.visible(visible, hidden) - visible).abs().amax(1)
        second = (self.hidden(visible, hidden) - hidden).abs().amax(1)
        return torch.maximum(first, second)

    def log_z(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return the approximate ``log Z`` at these means, ``(starts,)``."""
        total = visible @ self._visible_bias + hidden @ self._hidden_bias
        total = total + _entropy(visible) + _entropy(hidden)
        total = total + _joined(visible, self._weights, hidden)
        if self._order >= 2:
            squares = _joined(_variance(visible), self._squares, _variance(hidden))
            total = total + squares / 2.0
        if self._order >= 3:
            cubes = _joined(_third(visible), self._cubes, _third(hidden))
            total = total + cubes * (2.0 / 3.0)
        return total

    def gradient(self, visible: Tensor, hidden: Tensor) -> TapGradient:
        """Return the derivatives of ``log Z`` at fixed means, averaged over the starts.

        At a stationary point these are the whole derivatives.
        """
        starts = len(visible)
        by_weights = visible.T @ hidden
        if self._order >= 2:
            by_weights = by_weights + self._weights * (_variance(visible).T @ _variance(hidden))
        if self._order >= 3:
            by_weights = by_weights + 2.0 * self._squares * (_third(visible).T @ _third(hidden))
        return TapGradient(by_weights / starts, visible.mean(0), hidden.mean(0))


def _variance(means: Tensor) -> Tensor:
    """Return the variance of units of 0 and 1."""
    return means - means**2


def _third(means: Tensor) -> Tensor:
    """Return half the third central moment of units of 0 and 1."""
    return _variance(means) * (0.5 - means)


def _entropy(means: Tensor) -> Tensor:
    """Return the entropy of independent units, ``(starts,)``."""
    # xlogy(0, 0) is 0, as the entropy of a unit that is certain must be.
    terms = torch.xlogy(means, means) + torch.xlogy(1.0 - means, 1.0 - means)
    return -terms.sum(1)


def _joined(visible: Tensor, table: Tensor, hidden: Tensor) -> Tensor:
    """Return ``Σ_ij f_i T_ij g_j`` of every start."""
    return ((visible @ table) * hidden).sum(1)


def _is_share(value: float) -> bool:
    return 0.0 <= value < 1.0


def _begin(model: RBM, starts: int | Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return the means that iterations begin with.

    Raises:
        ValueError: the starts are neither a number nor means of the model's units.
    """
    if isinstance(starts, Tensor):
        return _given(model, starts.double())
    count = as_integer("starts", starts, 1)
    sites = model.lattice.sites
    start = torch.arange(count).unsqueeze(1)
    words = philox(seed, Stream.START, torch.arange(sites), 0, 0, start)
    means = uniform64(words[0], words[1])
    # The first is the same for every seed.
    means[0] = 0.5
    return model.split(means)


def _given(model: RBM, means: Tensor) -> tuple[Tensor, Tensor]:
    """Return given means, with those of the hidden units from the visible ones where they lack."""
    widths = (model.visible, model.lattice.sites)
    known = means.ndim == 2 and len(means) > 0 and means.shape[1] in widths
    known = known and bool(((means >= 0.0) & (means <= 1.0)).all())
    shapes = f"(starts, {widths[0]}) or (starts, {widths[1]})"
    wanted = f"a number, or means from 0 to 1 of shape {shapes}"
    expect(known, "starts", wanted, means)
    if means.shape[1] == model.visible:
        return means, model.hidden_means(means)
    return model.split(means)
