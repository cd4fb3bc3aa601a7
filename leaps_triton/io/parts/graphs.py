"""Graphs as plain data, and back."""

from typing import Any

from torch import Tensor

from ...lattices.graph import Graph
from ...lattices.shapes import Origin
from ..packing import Contents

__all__ = ["describe_graph", "rebuild_graph"]

_TABLES = ("edges", "classes", "positions", "sublattice", "box")
"""What, with the number of sites, tells all of a graph; some may be None."""


def describe_graph(graph: Graph, rule: str) -> Contents:
    """Return a graph as data: what the manifest says of it, and its tables.

    Args:
        graph: the graph.
        rule: how the model sums over neighbours, in words, which nothing reads back.
    """
    manifest: dict[str, Any] = {
        "sites": graph.sites,
        "bonds": graph.bonds,
        "degree": graph.degree,
        "neighbours": rule,
        "origin": None,
    }
    if graph.origin is not None:
        kind, lengths, periodic = graph.origin
        manifest["origin"] = {"kind": kind, "lengths": list(lengths), "periodic": periodic}
    # Sweeps follow the colours: a file keeps those that were used, given or found.
    tables = {"model.graph.colours": graph.colours()}
    for name in _TABLES:
        table = getattr(graph, name)
        if table is not None:
            tables[f"model.graph.{name}"] = table
    return Contents(manifest, tables)


def rebuild_graph(data: dict[str, Any], tensors: dict[str, Tensor]) -> Graph:
    """Return the graph of :func:`describe_graph`'s data."""
    origin = None
    if data["origin"] is not None:
        told = data["origin"]
        origin = Origin(told["kind"], tuple(told["lengths"]), told["periodic"])
    found = {name: tensors.get(f"model.graph.{name}") for name in (*_TABLES, "colours")}
    return Graph(sites=data["sites"], origin=origin, **found)
