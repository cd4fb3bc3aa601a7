"""Restricted Boltzmann machines: pair models of visible and hidden units."""

from typing import Any

import torch
from torch import Tensor

from ...kernels.checks import shown
from ...lattices.graph import Graph
from ...registry import register
from ..inputs import as_table, shape_of
from ..pair import PairModel
from .layers import LayerInteractions

__all__ = ["RBM"]


_LEAST = 1e-3
"""Probability of each state of a hidden unit at the start of a path, at least."""


@register("model")
class RBM(PairModel):
    """Restricted Boltzmann machine ``H(v, h) = -Σ_i a_i v_i - Σ_j b_j h_j - Σ_ij v_i W_ij h_j``.

    Units have the values 0 and 1, the first sites are visible and those after them hidden. It is a
    pair model on a complete bipartite graph with ``φ(x, y) = x y``, so that all units of a layer
    are drawn at once given the other: a sweep of :class:`~leaps_triton.HeatBath` is a step of block
    Gibbs sampling. Data are visible units alone, ``p(v) = e^{log_marginal(v)} / Z``.

    Args:
        weights: ``W``, ``(visible, hidden)``.
        visible_bias: ``a``, ``(visible,)``; None for 0.
        hidden_bias: ``b``, ``(hidden,)``; None for 0.
        beta: inverse temperature, in units of 1/energy.

    Attributes:
        lattice: the bipartite graph, of ``visible + hidden`` sites.

    Raises:
        ValueError: an argument is not as above; what was expected and what came.

    References:
        Smolensky, *Information processing in dynamical systems: foundations of harmony theory*, in
        Parallel Distributed Processing 1, MIT Press (1986).
        Hinton, *Training products of experts by minimizing contrastive divergence*, Neural
        Computation 14, 1771 (2002).

    Example:
        >>> rbm = RBM(torch.ones(3, 2), visible_bias=[0.0, 0.0, 1.0])
        >>> rbm.energy(torch.tensor([[1, 0, 1, 1, 0]], dtype=torch.int8)).item()
        -3.0
    """

    def __init__(
        self,
        weights: Tensor | Any,
        visible_bias: Tensor | Any = None,
        hidden_bias: Tensor | Any = None,
        beta: float = 1.0,
    ) -> None:
        shape = shape_of(weights)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(
                f"weights must have shape (visible, hidden), one row per visible unit, got "
                f"{shown(weights)}"
            )
        visible, hidden = shape
        meaning = "visible by hidden units"
        table = as_table("weights", weights, (visible, hidden), meaning)
        first = _bias("visible_bias", visible_bias, visible)
        second = _bias("hidden_bias", hidden_bias, hidden)
        up = torch.cat([first, second])
        # State 0 has no energy of its own.
        site_table = torch.stack([torch.zeros_like(up), up])
        # φ(x, y) = x y.
        bond_table = [[0.0, 0.0], [0.0, 1.0]]
        graph = Graph.bipartite(visible, hidden)
        super().__init__(graph, beta, bond_table, site_table, table.flatten())

    def _interactions(self) -> LayerInteractions:
        """Return energies and block moves by products with the weights."""
        return LayerInteractions(self.lattice, self.coupling)

    @property
    def visible(self) -> int:
        """Number of visible units."""
        # The first edge leads to the first hidden unit, which follows the visible ones.
        return int(self.lattice.edges[0, 1])

    @property
    def hidden(self) -> int:
        """Number of hidden units."""
        return self.lattice.sites - self.visible

    @property
    def weights(self) -> Tensor:
        """``W``, float64 ``(visible, hidden)``."""
        # Weights that are all alike are held as one.
        flat = self.coupling.flatten().expand(self.lattice.bonds)
        return flat.view(self.visible, self.hidden)

    @property
    def visible_bias(self) -> Tensor:
        """``a``, float64 ``(visible,)``."""
        return self._biases()[: self.visible]

    @property
    def hidden_bias(self) -> Tensor:
        """``b``, float64 ``(hidden,)``."""
        return self._biases()[self.visible :]

    def _biases(self) -> Tensor:
        """Return the biases of all units, float64 ``(sites,)``."""
        # A path from independent units has a field in state 0 too.
        return (self.site_table[1] - self.site_table[0]).expand(self.lattice.sites)

    def __repr__(self) -> str:
        return f"RBM(visible={self.visible}, hidden={self.hidden}, beta={self.beta})"

    def split(self, configurations: Tensor) -> tuple[Tensor, Tensor]:
        """Return visible and hidden units, ``(walkers, visible)`` and ``(walkers, hidden)``.

        Args:
            configurations: ``(walkers, visible + hidden)``.
        """
        visible = configurations[:, : self.visible]
        return visible, configurations[:, self.visible :]

    def join(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return configurations int8 ``(walkers, visible + hidden)`` of the units of both layers.

        Args:
            visible: 0 and 1, ``(walkers, visible)``.
            hidden: 0 and 1, ``(walkers, hidden)``.
        """
        return torch.cat([visible, hidden], dim=1).to(self.dtype)

    def hidden_means(self, visible: Tensor) -> Tensor:
        """Return ``P(h_j = 1 | v)``, float64 ``(walkers, hidden)``.

        Args:
            visible: numbers from 0 to 1, ``(walkers, visible)``.
        """
        return torch.sigmoid(self._hidden_fields(visible))

    def visible_means(self, hidden: Tensor) -> Tensor:
        """Return ``P(v_i = 1 | h)``, float64 ``(walkers, visible)``.

        Args:
            hidden: numbers from 0 to 1, ``(walkers, hidden)``.
        """
        device = hidden.device
        fields = self.visible_bias.to(device) + hidden.double() @ self.weights.T.to(device)
        return torch.sigmoid(self.beta * fields)

    def log_marginal(self, visible: Tensor) -> Tensor:
        """Return ``log Σ_h exp(-βH(v, h)) = β a·v + Σ_j log(1 + e^{β(b_j + (vW)_j)})``.

        Args:
            visible: 0 and 1, ``(walkers, visible)``.

        Returns:
            float64 ``(walkers,)``, without ``-log Z``.
        """
        bias = self.visible_bias.to(visible.device)
        unmoved = self.site_table[0].expand(self.lattice.sites).sum().to(visible.device)
        own = self.beta * (visible.double() @ bias + unmoved)
        fields = self._hidden_fields(visible)
        # log(1 + e^f) to all digits: softplus rounds above a threshold.
        return own + torch.logaddexp(fields, torch.zeros_like(fields)).sum(1)

    def log_likelihood(self, visible: Tensor, log_z: float) -> Tensor:
        """Return ``log p(v)`` of data, float64 ``(walkers,)``.

        Args:
            visible: 0 and 1, ``(walkers, visible)``.
            log_z: ``log Z``, from :func:`leaps_triton.exact.log_z`, or an estimate of it.
        """
        return self.log_marginal(visible) - log_z

    def data_means(self, visible: Tensor) -> Tensor:
        """Return the means of all units in data, for a start of :class:`~leaps_triton.Independent`.

        Args:
            visible: rows of data, 0 and 1, ``(rows, visible)``.

        Returns:
            float64 ``(visible + hidden,)``, of hidden units the mean of ``P(h_j = 1 | v)``.
            Half a row more of each state is counted, so that no visible unit is certain.
        """
        rows = visible.double()
        first = (rows.sum(0) + 0.5) / (len(rows) + 1.0)
        second = self.hidden_means(rows).mean(0)
        # A unit that data leave no choice would have the probability 1 in float64.
        return torch.cat([first, second.clamp(_LEAST, 1.0 - _LEAST)])

    def _hidden_fields(self, visible: Tensor) -> Tensor:
        """Return ``β (b_j + (vW)_j)``, float64 ``(walkers, hidden)``."""
        device = visible.device
        fields = self.hidden_bias.to(device) + visible.double() @ self.weights.to(device)
        return self.beta * fields


def _bias(name: str, bias: Any, units: int) -> Tensor:
    """Return the biases of a layer, float64 ``(units,)``."""
    if bias is None:
        return torch.zeros(units, dtype=torch.float64)
    return as_table(name, bias, (units,), "one per unit")
