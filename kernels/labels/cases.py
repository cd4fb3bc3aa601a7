"""Inputs of ``cluster_labels``."""

from collections.abc import Iterator

import torch

from ..inputs.case import Call, Case, Model, Size
from ..inputs.random import normal, states
from .op import cluster_labels_op

__all__ = ["OPS", "measured", "small", "watched"]

OPS = ("cluster_labels",)


def measured(op: str, size: Size, model: Model) -> Case:
    """Return the case of bonds between neighbours in equal states: clusters of many sizes."""
    x = states(size, model.q)
    bonds = [x == x.roll(-1, axis + 1) for axis in range(model.ndim)]
    arguments = {"bonds": torch.stack(bonds, dim=1)}
    operations = x.numel() * (2 * model.ndim + 1)
    return Case(op, model.name, size, arguments, frozenset(arguments), operations)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    return {
        "cluster_labels": (cluster_labels_op, {"bonds": normal(4, 2, 3, 5, seed=9) > 0.0}),
        "no bonds": (cluster_labels_op, {"bonds": torch.zeros(4, 2, 3, 5, dtype=torch.bool)}),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    numbers = normal(walkers, len(shape), *shape, seed=9)
    for threshold in (-1.0, 0.0):
        yield cluster_labels_op, {"bonds": numbers > threshold}
