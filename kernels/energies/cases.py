"""Inputs of ``energy`` and ``local_energy`` for tests, benchmarks and memory checks."""

from collections.abc import Iterator
from typing import Any

import torch

from ..inputs.case import Call, Case, Model, Size
from ..inputs.random import integers, normal, states
from .entering import enter_intervals_op
from .op import energy_op, local_energy_op

__all__ = ["KINDS", "OPS", "entering", "measured", "model", "small", "watched", "without_beta"]

OPS = ("energy", "local_energy")
KINDS = ((2, "uniform"), (2, "own"), (3, "own"))
"""States and tables of the models that a tool watches."""


def model(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    q: int,
    walkers: int,
    tables: str = "own",
    seed: int = 0,
) -> dict[str, Any]:
    """Return random arguments of ``local_energy``.

    Args:
        shape: Shape of the lattice.
        periodic: One bool per direction.
        q: States of a site.
        walkers: Number of walkers.
        tables: "own" (a full table per walker), "shared" (one for all walkers), "uniform" (one
            value for all sites), "directions" (one coupling for all sites of each direction),
            "partial" (the same along the first direction).
        seed: Of all of them.
    """
    leading = 1
    axes = len(shape)
    lengths = shape
    if tables == "own":
        leading = walkers
    if tables == "uniform":
        axes = 1
        lengths = (1,) * len(shape)
    if tables == "directions":
        lengths = (1,) * len(shape)
    if tables == "partial":
        lengths = (1, *shape[1:])
    return {
        "configurations": integers(q, walkers, *shape, seed=seed),
        "coupling": normal(leading, axes, *lengths, seed=seed + 1),
        "bond_table": normal(q, q, seed=seed + 2),
        "site_table": normal(leading, q, *lengths, seed=seed + 3),
        "beta": normal(leading, seed=seed + 4),
        "periodic": periodic,
    }


def without_beta(given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``energy`` among those of ``local_energy``."""
    return {name: value for name, value in given.items() if name != "beta"}


def entering(given: dict[str, Any], backward: bool = False, intervals: int = 4) -> dict[str, Any]:
    """Return arguments of ``enter_intervals`` for the model and walkers of ``local_energy``.

    Walkers are in all intervals and before and after them; some have time left.
    """
    walkers = len(given["configurations"])
    tables = {name: given[name] for name in ("coupling", "bond_table", "site_table", "periodic")}
    place = torch.arange(walkers)
    return {
        "configurations": given["configurations"],
        "log_weights": normal(walkers, seed=7),
        "interval": place % (intervals + 2) - 1,
        "remaining": torch.where(place % 3 == 2, 0.25, 0.0).double(),
        "betas": normal(intervals + 2, seed=8),
        "lengths": torch.cat([torch.arange(1, intervals + 1) / 8.0, torch.zeros(1)]).double(),
        **tables,
        "backward": backward,
    }


def measured(op: str, size: Size, model: Model) -> Case:
    """Return the case of an op on random configurations."""
    x = states(size, model.q)
    arguments = {"configurations": x, **model.tables()}
    # A product, a sum and a look-up per bond, and the field of the site.
    operations = 3 * model.ndim + 1
    if op == "energy":
        operations += 1
    else:
        arguments["beta"] = model.beta
        # Two bonds per direction of every state, then the differences.
        operations += model.q * (4 * model.ndim + 1) + 2 * (model.q - 1)
    by_walker = frozenset({"configurations"})
    return Case(op, model.name, size, arguments, by_walker, x.numel() * operations)


def small() -> dict[str, Call]:
    """Return small calls, for torch's own checks."""
    given = model((3, 5), (True, False), 3, 4)
    return {
        "energy": (energy_op, without_beta(given)),
        "local_energy": (local_energy_op, given | {"dtype": torch.float32}),
        "enter_intervals": (enter_intervals_op, entering(given)),
    }


def watched(shape: tuple[int, ...], periodic: tuple[bool, ...], walkers: int) -> Iterator[Call]:
    """Yield calls that reach every kernel of the family."""
    for q, tables in KINDS:
        given = model(shape, periodic, q, walkers, tables)
        yield energy_op, without_beta(given)
        yield enter_intervals_op, entering(given)
        for dtype in (torch.float32, torch.float64):
            yield local_energy_op, given | {"dtype": dtype}
