"""The cases of all families, each written beside its ops."""

from collections.abc import Iterator
from types import ModuleType

from ..class_jumps import cases as class_jumps
from ..clusters import cases as clusters
from ..convolutions import cases as convolutions
from ..energies import cases as energies
from ..gathered import cases as gathered
from ..gathered_sweeps import cases as gathered_sweeps
from ..graph_clusters import cases as graph_clusters
from ..hollow_network import cases as hollow_network
from ..jumps import cases as jumps
from ..labels import cases as labels
from ..lattice_fields import cases as lattice_fields
from ..leaps import cases as leaps
from ..normal_numbers import cases as normal_numbers
from ..packed_sweeps import cases as packed_sweeps
from ..parity_maps import cases as parity_maps
from ..proposals import cases as proposals
from ..site_sweeps import cases as site_sweeps
from ..trajectories import cases as trajectories
from . import words
from .case import Call

__all__ = ["OF_FIELDS", "OF_MODELS", "WITHOUT_MODEL", "small", "watched"]

OF_MODELS: tuple[ModuleType, ...] = (
    energies, proposals, jumps, leaps, site_sweeps, labels, clusters, gathered, gathered_sweeps,
    graph_clusters,
)  # fmt: skip
"""Families whose cases are measured on a model."""
OF_FIELDS: tuple[ModuleType, ...] = (
    lattice_fields, normal_numbers, trajectories, parity_maps,
)  # fmt: skip
"""Families of real fields."""
WITHOUT_MODEL: tuple[ModuleType, ...] = (
    words, class_jumps, convolutions, packed_sweeps, *OF_FIELDS,
)  # fmt: skip
"""Families whose cases are measured on none."""
FAMILIES = (
    *OF_MODELS, class_jumps, convolutions, packed_sweeps, hollow_network, *OF_FIELDS,
)  # fmt: skip

LATTICES = (((5, 6), (True, False)), ((16, 25), (True, True)), ((33, 35), (True, True)))
"""Lattices of less than a block of sites, of one of several warps, and of several blocks.

The last has odd lengths, and so three colours.
"""
WALKERS = 3


def small() -> dict[str, Call]:
    """Return small calls of every op, for torch's own checks."""
    calls: dict[str, Call] = {}
    for family in FAMILIES:
        calls |= family.small()
    return calls


def watched() -> Iterator[Call]:
    """Yield calls of every op on every lattice, with all kinds of models, dtypes and terms."""
    for shape, periodic in LATTICES:
        for family in FAMILIES:
            yield from family.watched(shape, periodic, WALKERS)
