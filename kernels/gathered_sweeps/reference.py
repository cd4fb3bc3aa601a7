"""The twins of the sweeps on graphs: heat bath, Metropolis and over-relaxation."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..gathered.reference import Around, local_fields
from ..gathered.rule import sweeps_by_product
from ..philox import Stream, site_words
from ..site_sweeps import reference as site_sweeps
from . import products

__all__ = [
    "GraphSweeps", "graph_heat_bath_sweeps", "graph_metropolis_sweeps",
    "graph_overrelaxation_sweeps",
]  # fmt: skip


class GraphSweeps(NamedTuple):
    """Arguments of the three ops; Metropolis alone rests."""

    configurations: Tensor
    coupling: Tensor
    bond_table: Tensor
    site_table: Tensor
    beta: Tensor
    neighbours: Tensor
    bond: Tensor
    behind: Tensor
    colours: Tensor
    num_colours: int
    walkers: Tensor
    first_sweep: int
    sweeps: int
    seed: int
    rest: float = 0.0

    @property
    def around(self) -> Around:
        """The model's tables, and what lies around each site."""
        tables = (self.coupling, self.bond_table, self.site_table)
        return Around(*tables, self.neighbours, self.bond, self.behind)

    @property
    def q(self) -> int:
        """States of a site."""
        return self.bond_table.shape[0]

    @property
    def sites(self) -> int:
        """Sites of the graph."""
        return self.configurations.shape[1]

    @property
    def by_product(self) -> bool:
        """Whether the fields of a colour are one matrix product."""
        return sweeps_by_product(len(self.neighbours), self.sites, self.num_colours)

    def numbers(self) -> Iterator[int]:
        """Return the numbers of the sweeps."""
        return iter(range(self.first_sweep, self.first_sweep + self.sweeps))

    def words(self, sweep: int, draw: int = 0) -> Tensor:
        """Return the random word of every site in a sweep, ``(walkers, sites)``."""
        return site_words(self.seed, Stream.SWEEP, sweep, self.walkers, self.sites, draw)

    def fields(self, configurations: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the local fields ``W_a(i)``, ``(walkers, q, sites)``."""
        return local_fields(configurations, self.around, dtype)


def graph_heat_bath_sweeps(given: GraphSweeps) -> Tensor:
    """Make each colour in turn, all its sites at once, ``x_i ~ exp(β W_a(i))``."""
    if given.by_product:
        return products.sweep(given, products.redraw)
    return site_sweeps.heat_bath_sweeps(given)


def graph_metropolis_sweeps(given: GraphSweeps) -> Tensor:
    """Move each colour in turn: ``x_i → x_i + k`` if ``u < (1 - ε) min(1, e^{Δ_k(i)})``."""
    if given.by_product:
        return products.sweep(given, products.move)
    return site_sweeps.metropolis_sweeps(given)


def graph_overrelaxation_sweeps(given: GraphSweeps) -> Tensor:
    """Move each colour in turn, ``x_i → r_i - x_i`` if ``u < min(1, e^Δ)``.

    ``r_i`` is the axis nearest to the local field, as in
    :func:`..site_sweeps.reference.overrelaxation_sweeps`.
    """
    if given.by_product:
        return products.sweep(given, products.reflect, torch.float64)
    return site_sweeps.overrelaxation_sweeps(given)
