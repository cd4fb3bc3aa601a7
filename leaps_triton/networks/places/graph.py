"""What networks read of the sites of one graph: edges, steps between sites, an index."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...lattices.graph import Graph
from ...models.base import Conditions

__all__ = ["GraphPlace"]


class GraphPlace:
    """Sites of one graph, which networks tell apart by their index.

    Args:
        graph: the graph of the model.

    Attributes:
        graph: it.
        periodic: none.
        indexed: sites that have an embedding of their own: all.
        bonds: columns of :meth:`bond_inputs`.
        waves: columns of :meth:`positions`: none, since the index tells places.
        displacements: columns of the first of :meth:`pairs`.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.periodic: tuple[bool, ...] = ()
        self.indexed = graph.sites
        self.bonds = 2
        self.waves = 0
        self.displacements = 3
        neighbours, bond, _ = graph.incidence()
        self._neighbours = neighbours.long()
        self._bond = bond.long()
        self._on_device: dict[torch.device, tuple[Tensor, Tensor]] = {}
        self._pairs: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def check(self, lattice: object, who: str) -> None:
        """Refuse a lattice, and another graph.

        Raises:
            ValueError: it is not the graph that the network was made for.
        """
        if lattice != self.graph:
            raise ValueError(
                f"this {who} was made for {self.graph!r}, and the model stands on {lattice!r}; "
                f"make one for it by {who}(model)"
            )

    def coupling_sizes(self, shape: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the sizes that the axes of couplings may have, after that of the walkers."""
        return [(1,), (1, self.graph.bonds)]

    def local_field(
        self, configurations: Tensor, conditions: Conditions, q: int, dtype: torch.dtype
    ) -> Tensor:
        """Return ``Σ_j J_ij [x_j = a]``, ``(walkers, q, sites)``; it does not read ``x_i``."""
        neighbours, _ = self._around(configurations.device)
        coupling = self._couplings(conditions, dtype)
        states = torch.arange(q, device=configurations.device).view(1, -1, 1)
        total = torch.zeros(
            len(configurations), q, self.graph.sites, dtype=dtype, device=configurations.device
        )
        # Edge after edge: a table of all would hold degree · q numbers per site.
        for row, near in enumerate(neighbours):
            there = configurations[:, near].unsqueeze(1) == states
            total = total + coupling[:, row].unsqueeze(1) * there.to(dtype)
        return total

    def bond_inputs(
        self, conditions: Conditions, shape: Sequence[int], dtype: torch.dtype
    ) -> Tensor:
        """Return ``Σ_j J_ij`` and ``√Σ_j J_ij²`` of every site, ``(1 | walkers, 2, sites)``."""
        coupling = self._couplings(conditions, dtype)
        strength = coupling.square().sum(1).sqrt()
        return torch.stack([coupling.sum(1), strength], 1)

    def positions(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return nothing of every site, ``(sites, 0)``: embeddings by index tell places."""
        return torch.empty(self.graph.sites, 0, dtype=dtype, device=device)

    @torch.inference_mode(False)
    def pairs(self, shape: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return features of the number of steps ``r`` between two sites, and that of each pair.

        The features are whether an edge joins the two, ``1/(1 + r)`` and ``log(1 + r)``.

        Returns:
            ``(sites + 1, 3)``; and for ``(i, j)`` int64 ``(sites, sites)``, ``sites`` where no path
            joins the two.
        """
        if device not in self._pairs:
            steps = torch.arange(self.graph.sites + 1, dtype=torch.float64)
            features = [(steps == 1).double(), 1.0 / (1.0 + steps), torch.log1p(steps)]
            tables = (torch.stack(features, 1), _steps(self.graph))
            self._pairs[device] = (tables[0].to(device), tables[1].to(device))
        return self._pairs[device]

    @torch.inference_mode(False)
    def _around(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return neighbours and bonds of every site on a device, int64 ``(degree, sites)``."""
        if device not in self._on_device:
            self._on_device[device] = (self._neighbours.to(device), self._bond.to(device))
        return self._on_device[device]

    def _couplings(self, conditions: Conditions, dtype: torch.dtype) -> Tensor:
        """Return ``J`` of the edges of every site, 0 where it has fewer."""
        _, bond = self._around(conditions.coupling.device)
        every = conditions.coupling.to(dtype).flatten(1).expand(-1, self.graph.bonds)
        return F.pad(every, (0, 1))[:, bond]


def _steps(graph: Graph) -> Tensor:
    """Return the least number of edges between each two sites, int64 ``(sites, sites)``."""
    sites = graph.sites
    adjacent = torch.zeros(sites, sites)
    first, second = graph.edges.T
    adjacent[first, second] = 1.0
    adjacent[second, first] = 1.0
    found = torch.full((sites, sites), sites)
    front = torch.eye(sites, dtype=torch.bool)
    step = 0
    while bool(front.any()):
        found[front] = step
        step += 1
        # All that is one edge further, and was not found before.
        front = (front.float() @ adjacent > 0) & (found == sites)
    return found
