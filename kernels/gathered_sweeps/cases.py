"""Inputs of the sweeps on graphs for tests, benchmarks and memory checks."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..gathered.cases import KINDS, around, edges_of, of_lattice
from ..gathered.checks import colour_type
from ..inputs.case import PHILOX_OPERATIONS, Call, Case, Model, Size
from ..inputs.random import states
from ..site_sweeps.cases import SWEEPS
from .op import (
    graph_heat_bath_sweeps_op,
    graph_metropolis_sweeps_op,
    graph_overrelaxation_sweeps_op,
)

__all__ = ["OPS", "greedy", "measured", "small", "sweep", "watched"]

OPS = ("graph_heat_bath_sweeps", "graph_metropolis_sweeps", "graph_overrelaxation_sweeps")


def greedy(neighbours: Tensor) -> tuple[Tensor, int]:
    """Return a proper colouring of sites in their order, ``(sites,)``, and its colours."""
    colours: list[int] = []
    for site, near in enumerate(neighbours.T.tolist()):
        taken = {colours[there] for there in near if there < site}
        colours.append(min(set(range(len(taken) + 1)) - taken))
    number = max(colours) + 1
    return torch.tensor(colours, dtype=colour_type(number)), number


def sweep(given: dict[str, Any], sweeps: int, seed: int = 2**32 - 9) -> dict[str, Any]:
    """Return arguments of the sweeps that go with those of ``graph_local_energy``."""
    count = len(given["configurations"])
    colours, num_colours = greedy(given["neighbours"])
    kept = {name: value for name, value in given.items() if name != "edges"}
    return kept | {
        "colours": colours,
        "num_colours": num_colours,
        "walkers": torch.arange(count) * 7 + 2**31 - 8,
        "first_sweep": 2**31 - 2,
        "sweeps": sweeps,
        "seed": seed,
    }


def measured(op: str, size: Size, model: Model) -> Case:
    """Return the case of so many sweeps as on lattices, on the graph that a lattice is."""
    x = states(size, model.q)
    tables = of_lattice(model, size)
    del tables["edges"]
    arguments = {
        "configurations": x.flatten(1),
        **tables,
        "colours": model.colours.flatten(),
        "num_colours": model.num_colours,
        "walkers": size.indices,
        "first_sweep": 0,
        "sweeps": SWEEPS,
        "seed": size.seed,
    }
    flips = SWEEPS * x.numel()
    words = flips
    # Metropolis draws an acceptance, and where there is a choice a proposal.
    if op == "graph_metropolis_sweeps" and model.q > 2:
        words = 2 * flips
    per_state = 4
    # A reflection is about the nearest of q axes.
    if op == "graph_overrelaxation_sweeps":
        per_state = 12
    fields = model.q * (4 * model.ndim + 1)
    operations = flips * (fields + per_state * model.q) + words * (PHILOX_OPERATIONS // 4)
    # As users have it.
    if op == "graph_metropolis_sweeps":
        arguments["rest"] = 2.0**-3
    by_walker = frozenset({"configurations", "walkers"})
    return Case(op, model.name, size, arguments, by_walker, operations, words=words, flips=flips)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = around(edges_of((3, 5), (True, False)), 15, 3, 4)
    two = sweep(given, 2, seed=5)
    return {
        "graph_heat_bath_sweeps": (graph_heat_bath_sweeps_op, two),
        "graph_metropolis_sweeps": (graph_metropolis_sweeps_op, two),
        "graph_overrelaxation_sweeps": (graph_overrelaxation_sweeps_op, two),
        "no sweep on a graph": (graph_heat_bath_sweeps_op, sweep(given, 0, seed=5)),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    edges = edges_of(shape, periodic)
    sites = torch.Size(shape).numel()
    for q, fields in KINDS:
        given = sweep(around(edges, sites, q, walkers, fields == "site"), 2)
        yield graph_heat_bath_sweeps_op, given
        yield graph_metropolis_sweeps_op, given
        # Two states have no reflections.
        if q > 2:
            yield graph_overrelaxation_sweeps_op, given
