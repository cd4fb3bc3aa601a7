"""Inputs of ``graph_energy`` and ``graph_local_energy`` for tests, benchmarks and memory checks."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..inputs.case import Call, Case, Model, Size
from ..inputs.random import integers, normal, states
from .op import graph_energy_op, graph_local_energy_op

__all__ = [
    "KINDS", "OPS", "Incidence", "around", "edges_of", "energy_arguments", "incidence",
    "measured", "small", "watched",
]  # fmt: skip

OPS = ("graph_energy", "graph_local_energy")
KINDS = ((2, "site"), (3, "uniform"))
"""States, and whether fields are the same at all sites, of the models that a tool watches."""


class Incidence(NamedTuple):
    """Holds what lies around each site, as the ops take it."""

    neighbours: Tensor
    """The site itself for none, int32 ``(degree, sites)``."""
    bond: Tensor
    """The number of edges for none, int32 ``(degree, sites)``."""
    behind: Tensor
    """Whether the site is the second end, bool ``(degree, sites)``."""


def edges_of(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> Tensor:
    """Return the edges of a lattice, direction after direction, int32 ``(bonds, 2)``."""
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.int32).view(shape)
    found = []
    for axis, wraps in enumerate(periodic):
        length = shape[axis]
        count = length if wraps else length - 1
        first = index.narrow(axis, 0, count)
        second = index.roll(-1, axis).narrow(axis, 0, count)
        found.append(torch.stack([first.flatten(), second.flatten()], 1))
    return torch.cat(found)


def incidence(edges: Tensor, sites: int) -> Incidence:
    """Return what lies around each site: its edges in their order."""
    around: list[list[tuple[int, int, bool]]] = [[] for _ in range(sites)]
    for number, (first, second) in enumerate(edges.tolist()):
        around[first].append((second, number, False))
        around[second].append((first, number, True))
    degree = max((len(each) for each in around), default=0)
    bonds = len(edges)
    for site, each in enumerate(around):
        each += [(site, bonds, False)] * (degree - len(each))
    columns = [[entry[part] for entry in each] for part in range(3) for each in around]
    found = torch.tensor(columns, dtype=torch.int32).view(3, sites, degree)
    neighbours, bond, behind = found.transpose(1, 2).contiguous()
    return Incidence(neighbours, bond, behind.bool())


def around(
    edges: Tensor, sites: int, q: int, walkers: int, own: bool = True, seed: int = 0
) -> dict[str, Any]:
    """Return random arguments of ``graph_local_energy``.

    Args:
        edges: int32 ``(bonds, 2)``.
        sites: their number.
        q: states of a site.
        walkers: number of walkers.
        own: whether every site has a field of its own, and every walker its β.
        seed: of all of them.
    """
    found = incidence(edges, sites)
    leading = 1
    lengths = 1
    if own:
        leading = walkers
        lengths = sites
    coupling = normal(len(edges) + 1, seed=seed + 1)
    coupling[-1] = 0.0
    return {
        "configurations": integers(q, walkers, sites, seed=seed),
        "coupling": coupling,
        "bond_table": normal(q, q, seed=seed + 2),
        "site_table": normal(1, q, lengths, seed=seed + 3),
        "beta": normal(leading, seed=seed + 4),
        **found._asdict(),
        "edges": edges,
    }


def energy_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``graph_energy`` among those of ``graph_local_energy``."""
    names = ("configurations", "coupling", "bond_table", "site_table", "edges")
    return {name: given[name] for name in names}


def of_lattice(model: Model, size: Size) -> dict[str, Any]:
    """Return the arguments of ``graph_local_energy`` for a model of a lattice, but the states."""
    edges = edges_of(size.shape, model.periodic)
    coupling = model.coupling.cpu().expand(1, model.ndim, *size.shape)
    parts = []
    for axis, wraps in enumerate(model.periodic):
        count = size.shape[axis] if wraps else size.shape[axis] - 1
        parts.append(coupling[0, axis].narrow(axis, 0, count).flatten())
    bonds = torch.cat([*parts, torch.zeros(1, dtype=torch.float64)])
    found = incidence(edges, size.sites)
    tables = {"coupling": bonds, **found._asdict(), "edges": edges}
    moved = {name: table.to(size.device) for name, table in tables.items()}
    site_table = model.site_table.flatten(2)
    return {"bond_table": model.bond_table, "site_table": site_table, "beta": model.beta, **moved}


def measured(op: str, size: Size, model: Model) -> Case:
    """Return the case of an op on random configurations, on the graph that a lattice is."""
    x = states(size, model.q)
    arguments = {"configurations": x.flatten(1), **of_lattice(model, size)}
    # A product, a sum and a look-up per bond, and the field of the site.
    operations = 3 * model.ndim + 1
    if op == "graph_energy":
        operations += 1
        arguments = energy_arguments(arguments)
    else:
        # Two bonds per direction of every state, then the differences.
        operations += model.q * (4 * model.ndim + 1) + 2 * (model.q - 1)
    by_walker = frozenset({"configurations"})
    return Case(op, model.name, size, arguments, by_walker, x.numel() * operations)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = around(edges_of((3, 5), (True, False)), 15, 3, 4)
    return {
        "graph_energy": (graph_energy_op, energy_arguments(given)),
        "graph_local_energy": (graph_local_energy_op, given | {"dtype": torch.float32}),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    edges = edges_of(shape, periodic)
    sites = torch.Size(shape).numel()
    for (q, fields), dtype in itertools.product(KINDS, (torch.float32, torch.float64)):
        given = around(edges, sites, q, walkers, fields == "site")
        yield graph_energy_op, energy_arguments(given)
        yield graph_local_energy_op, given | {"dtype": dtype}
