"""Inputs of the cluster ops of graphs."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..clusters import cases as clusters
from ..inputs.case import Call, Case, Model, Size
from ..inputs.random import normal, states
from .op import graph_cluster_labels_op, graph_swendsen_wang_sweeps_op, graph_wolff_sweeps_op

__all__ = ["OPS", "edges_of", "measured", "on_edges", "small", "watched"]

OPS = ("graph_cluster_labels", "graph_swendsen_wang_sweeps", "graph_wolff_sweeps")


def edges_of(shape: tuple[int, ...], device: torch.device | None = None) -> Tensor:
    """Return the bonds of a periodic lattice as edges, direction after direction, int32."""
    index = torch.arange(torch.Size(shape).numel(), device=device).view(shape)
    pairs = []
    for axis in range(len(shape)):
        ahead = index.roll(-1, axis)
        pairs.append(torch.stack([index.flatten(), ahead.flatten()], dim=1))
    return torch.cat(pairs).int()


def on_edges(given: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of an update of a periodic lattice as those of its graph."""
    found = dict(given)
    x = found["configurations"]
    shape = tuple(x.shape[1:])
    del found["periodic"]
    couplings = found["coupling"][:1].expand(1, len(shape), *shape).flatten()
    found["configurations"] = x.flatten(1)
    found["coupling"] = torch.cat([couplings, torch.zeros_like(couplings[:1])])
    found["site_table"] = found["site_table"].flatten(2)
    found["edges"] = edges_of(shape, x.device)
    return found


def measured(op: str, size: Size, model: Model) -> Case:
    """Return the case of the edges of a lattice, in the order of its bonds."""
    if op == "graph_cluster_labels":
        edges = edges_of(size.shape, size.device)
        x = states(size, model.q).flatten(1)
        joined = x[:, edges[:, 0]] == x[:, edges[:, 1]]
        arguments = {"joined": joined, "edges": edges, "sites": size.sites}
        operations = joined.numel() * 2 + x.numel()
        return Case(op, model.name, size, arguments, frozenset({"joined"}), operations)
    alike = clusters.measured(op.removeprefix("graph_"), size, model)
    return Case(
        op, model.name, size, on_edges(alike.arguments), alike.by_walker, alike.operations,
        words=alike.words, flips=alike.flips,
    )  # fmt: skip


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = on_edges(clusters.symmetric((3, 5), (True, True), 4))
    edges = given["edges"]
    joined = normal(4, len(edges), seed=9) > 0.0
    labelled = {"joined": joined, "edges": edges, "sites": 15}
    return {
        "graph_cluster_labels": (graph_cluster_labels_op, labelled),
        "graph_swendsen_wang_sweeps": (graph_swendsen_wang_sweeps_op, given),
        "graph_wolff_sweeps": (graph_wolff_sweeps_op, given),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach all that a device runs of the family."""
    given = on_edges(clusters.symmetric(shape, periodic, walkers))
    edges = given["edges"]
    joined = normal(walkers, len(edges), seed=9) > 0.0
    labelled = {"joined": joined, "edges": edges, "sites": torch.Size(shape).numel()}
    yield graph_cluster_labels_op, labelled
    yield graph_swendsen_wang_sweeps_op, given
    yield graph_wolff_sweeps_op, given
