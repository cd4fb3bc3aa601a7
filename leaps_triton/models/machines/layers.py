"""Energies and block moves of two layers, by products with their matrix of weights."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels import LocalEnergy, Stream, Sums, uniform32
from ...kernels.philox import site_words
from ...kernels.site_sweeps.reference import drawn, heat_bath_probabilities
from ...lattices.graph import Graph
from ..base import SweepPlan
from ..interactions import GraphInteractions, Tables

__all__ = ["LayerInteractions"]


class _Fields(NamedTuple):
    """Local fields of all units in state 0 and in state 1, ``(1 | walkers, sites)``."""

    zero: Tensor
    one: Tensor


class LayerInteractions(GraphInteractions):
    """Those of all pairs of a visible and a hidden unit, with ``φ(x, y) = x y``.

    A heat bath draws a layer from one product of the other with the weights, by the random words
    and decisions of the op on graphs. All other moves are those of graphs.

    Args:
        graph: the bipartite graph, edges row by row of the weights.
        coupling: ``W``, float64 ``(1, 1 | bonds)``.
    """

    def __init__(self, graph: Graph, coupling: Tensor) -> None:
        super().__init__(graph, coupling)
        # The second end of every edge is hidden, and hidden units follow the visible ones.
        visible = int(graph.edges[0, 1])
        self._layers = (slice(0, visible), slice(visible, graph.sites))
        self._weights = self.coupling[:-1].view(visible, graph.sites - visible)

    @property
    def rowwise(self) -> bool:
        """Return False: a product may round otherwise in another batch."""
        return False

    @property
    def rule(self) -> str:
        """How sums over neighbours are found, in words."""
        others = "other sweeps gathered"
        if self.graph.products.sweeps:
            others = "other sweeps by matrix product per colour"
        return f"energies, log-ratios and heat bath layer by layer, {others}"

    def energy(self, configurations: Tensor, tables: Tables) -> Sums:
        """Return energies without β, and the units in each state."""
        fields = self._fields(configurations, tables)
        ones = configurations.sum(1)
        counts = torch.stack([configurations.shape[1] - ones, ones], dim=1)
        return Sums(self._energy(configurations, tables, fields), counts)

    def local_energy(
        self, configurations: Tensor, tables: Tables, beta: Tensor, dtype: torch.dtype
    ) -> LocalEnergy:
        """Return energies without β, and the log-ratios of all moves at ``beta``."""
        fields = self._fields(configurations, tables)
        energy = self._energy(configurations, tables, fields)
        # A unit in state 1 loses what one in state 0 would gain.
        signs = 1.0 - 2.0 * configurations.double()
        ratios = beta.view(-1, 1) * (signs * (fields.one - fields.zero))
        return LocalEnergy(energy, ratios.unsqueeze(1).to(dtype))

    def sweep(
        self, kind: str, configurations: Tensor, tables: Tables, beta: Tensor, plan: SweepPlan
    ) -> Tensor:
        """Return configurations after sweeps: heat_bath, metropolis or overrelaxation."""
        if kind != "heat_bath":
            return super().sweep(kind, configurations, tables, beta, plan)
        # As the op on graphs has it, fields are float32 and probabilities too.
        weights = self._weights.to(configurations.device, torch.float32)
        zero, one = _rows(tables, torch.float32, self.graph.sites)
        visible, hidden = self._layers
        passes = [(visible, hidden, weights.T), (hidden, visible, weights)]
        if plan.backward:
            passes.reverse()
        x = configurations.clone()
        sites = self.graph.sites
        for sweep in range(plan.first, plan.first + plan.count):
            words = site_words(plan.seed, Stream.SWEEP, sweep, plan.walker_index, sites)
            uniform = uniform32(words)
            for layer, other, matrix in passes:
                raised = one[layer] + x[:, other].float() @ matrix
                fields = torch.stack([zero[layer].expand_as(raised), raised], dim=1)
                probabilities = heat_bath_probabilities(fields, beta)
                x[:, layer] = drawn(probabilities, uniform[:, layer]).to(x.dtype)
        return x

    def _fields(self, configurations: Tensor, tables: Tables) -> _Fields:
        """Return the local fields of all units, float64."""
        weights = self._weights.to(configurations.device)
        zero, one = _rows(tables, torch.float64, self.graph.sites)
        visible, hidden = (configurations[:, layer].double() for layer in self._layers)
        products = torch.cat([hidden @ weights.T, visible @ weights], dim=1)
        return _Fields(zero.unsqueeze(0), one + products)

    def _energy(self, configurations: Tensor, tables: Tables, fields: _Fields) -> Tensor:
        """Return energies: hidden units in their fields, visible ones in their biases."""
        zero, one = _rows(tables, torch.float64, self.graph.sites)
        visible, hidden = self._layers
        x = configurations.double()
        # A bond is counted once, in the field of its hidden unit.
        raised = torch.cat([one[visible].expand(len(x), -1), fields.one[:, hidden]], dim=1)
        return -torch.lerp(zero.expand_as(raised), raised, x).sum(1)


def _rows(tables: Tables, dtype: torch.dtype, sites: int) -> tuple[Tensor, Tensor]:
    """Return the biases of both states, ``(sites,)`` each."""
    zero, one = tables.site_table[0].to(dtype).expand(2, sites)
    return zero, one
