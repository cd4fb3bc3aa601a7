"""Graphs on the command line: by name and lengths, or from a file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import leaps_triton as lt

from ...kernels.checks import nearest

__all__ = ["GRAPHS", "NamedOrFile", "as_graph"]

_TILED: dict[str, Callable[..., lt.Graph]] = {
    "triangular": lt.Graph.triangular,
    "honeycomb": lt.Graph.honeycomb,
    "kagome": lt.Graph.kagome,
    "king": lt.Graph.king,
}
"""Graphs of two lengths, with boundaries."""

GRAPHS = "triangular:12x12, honeycomb:8x8, kagome:6x6, king:8x8, complete:20, bipartite:10x5"
"""What the option takes, but for a file."""

_NAMED = re.compile(r"([a-z-]+):(\d+(?:[xX×,]\d+)*)")
"""A name and lengths."""


class NamedOrFile(NamedTuple):
    """A graph, and the couplings that a file gives it."""

    graph: lt.Graph
    coupling: Any
    """``(bonds,)``, or None of a graph by name"""


def as_graph(
    word: str, open_boundaries: bool, first_site: int | None, scale: float | None
) -> NamedOrFile:
    """Return the graph of a word such as ``triangular:12x12``, or that of a file.

    Args:
        word: name and lengths, or the name of a file.
        open_boundaries: whether boundaries are open.
        first_site: number of the first site in a file, None for the usual one.
        scale: factor of the couplings of a file, None for 1.

    Raises:
        ValueError: there is no such graph, or an option does not go with it.

    Example:
        >>> as_graph("kagome:3x3", False, None, None).graph
        Graph.kagome((3, 3))
    """
    named = _NAMED.fullmatch(word)
    if named is None:
        return _of_file(word, open_boundaries, first_site, scale)
    name = named[1]
    lengths = [int(length) for length in re.split("[xX×,]", named[2])]
    known = (*_TILED, "complete", "bipartite")
    if name not in known:
        raise ValueError(
            f"there is no graph {name!r}{nearest(name, list(known))}; give --graph {GRAPHS}, or "
            f"the name of a file"
        )
    for option, value in (("--first-site", first_site), ("--coupling-scale", scale)):
        if value is not None:
            raise ValueError(f"{option} is of a file, and --graph {word} is none; leave it out")
    wanted = 2
    if name == "complete":
        wanted = 1
    if len(lengths) != wanted:
        raise ValueError(f"--graph {name} has another number of lengths: give --graph {GRAPHS}")
    if name in _TILED:
        return NamedOrFile(_TILED[name](lengths, periodic=not open_boundaries), None)
    _refuse_open(word, open_boundaries)
    if name == "complete":
        return NamedOrFile(lt.Graph.complete(lengths[0]), None)
    return NamedOrFile(lt.Graph.bipartite(lengths[0], lengths[1]), None)


def _of_file(
    word: str, open_boundaries: bool, first_site: int | None, scale: float | None
) -> NamedOrFile:
    if not Path(word).is_file():
        raise ValueError(f"there is no graph and no file {word!r}; give --graph {GRAPHS}, or FILE")
    _refuse_open(word, open_boundaries)
    factor = 1.0
    if scale is not None:
        factor = scale
    found = lt.read_graph(word, first_site, factor)
    return NamedOrFile(found.graph, found.coupling)


def _refuse_open(word: str, open_boundaries: bool) -> None:
    if open_boundaries:
        raise ValueError(f"--open-boundaries says nothing of --graph {word}; leave it out")
