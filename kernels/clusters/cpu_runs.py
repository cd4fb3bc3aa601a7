"""How a CPU runs walkers through the loops of cluster updates, on lattices and on graphs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..native.threads import over_walkers
from .cpu_bonds import Plan
from .reference import Clusters, ClusterSweeps, changed, mean_size, recoloured

__all__ = ["Made", "knows_equality_alone", "plan_of", "run", "swendsen_wang"]


class Made(NamedTuple):
    """What a loop reads and writes, a row per walker."""

    before: np.ndarray
    """Uint8 ``(walkers, sites)``."""
    walkers: np.ndarray
    """Int64: global indices."""
    after: np.ndarray
    """Uint8 ``(walkers, sites)``."""
    changed: np.ndarray
    """Float32: fraction of sites whose value changed."""


def knows_equality_alone(table: np.ndarray) -> bool:
    """Return whether a table has two values, on its diagonal and off it; rounding left no third."""
    equal = np.eye(len(table), dtype=np.bool_)
    return bool((table == np.where(equal, table[0, 0], table[0, 1])).all())


def plan_of(given: Clusters, kind: int, recolour: bool) -> Plan:
    """Return what the loops are to do."""
    return Plan(
        kind=kind,
        reflection=bool(given.reflection),
        recolour=recolour,
        rest=float(given.rest),
        first_sweep=int(given.first_sweep),
        sweeps=int(given.sweeps),
        seed=int(given.seed),
    )


def _states(x: Tensor) -> np.ndarray:
    """Return configurations as the loops take them, uint8 ``(walkers, sites)``."""
    return x.view(len(x), x.shape[1:].numel()).numpy().view(np.uint8)


def run(
    loop: Callable[[Made, Any, slice], None],
    given: Clusters,
    space: Callable[[], Any],
    visits: int,
) -> tuple[Tensor, Tensor]:
    """Return what a loop makes of all walkers: configurations, and how much changed.

    Args:
        loop: updates a slice of the walkers, with memory of its thread.
        given: arguments of the op.
        space: makes the memory of a thread.
        visits: about how many sites and bonds of one walker are visited in all.
    """
    x = given.configurations.contiguous()
    after = torch.empty_like(x)
    moved = torch.empty(len(x), dtype=torch.float32)
    made = Made(
        before=_states(x),
        walkers=given.walkers.contiguous().numpy(),
        after=_states(after),
        changed=moved.numpy(),
    )

    def work(first: int, end: int) -> None:
        loop(made, space(), slice(first, end))

    over_walkers(work, len(x), visits)
    return after, moved


class _Updates(NamedTuple):
    """What Swendsen and Wang's updates of a model are made by."""

    update: Callable[..., None]
    given: Clusters
    tables: Any
    space: Callable[[], Any]
    visits: int

    def run(self, plan: Plan, squares: Tensor, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return what :func:`run` does; squares, and labels if there is room, are written."""
        sums = squares.numpy()

        def loop(made: Made, space: Any, rows: slice) -> None:
            self.update(
                made.before[rows], made.walkers[rows], tuple(self.tables), tuple(plan),
                tuple(space), rows.start, labels[rows], made.after[rows], sums[rows],
                made.changed[rows],
            )  # fmt: skip

        return run(loop, self.given, self.space, plan.sweeps * self.visits)


def swendsen_wang(
    update: Callable[..., None],
    given: Clusters,
    tables: Any,
    plan: Plan,
    space: Callable[[], Any],
    visits: int,
) -> ClusterSweeps:
    """Give all clusters of joined sites new states at once, sweep after sweep.

    Args:
        update: the loop, of lattices or of graphs.
        given: arguments of the op.
        tables: the model, as the loop takes it.
        plan: what it is to do.
        space: makes the memory of a thread.
        visits: about how many sites and bonds of one walker are visited in a sweep.
    """
    updates = _Updates(update, given, tables, space, visits)
    squares = torch.zeros(len(given.configurations), dtype=torch.float64)
    if plan.recolour and len(tables.site_table):
        return _recolour(updates, plan, squares)
    after, moved = updates.run(plan, squares, np.empty((0, 0), np.int64))
    return ClusterSweeps(after, mean_size(given, squares), moved)


def _recolour(updates: _Updates, plan: Plan, squares: Tensor) -> ClusterSweeps:
    """Return walkers whose clusters the twin gives states by their fields."""
    given = updates.given
    x = given.configurations
    one = torch.empty_like(squares)
    labels = torch.empty(len(x), given.sites, dtype=torch.int64)
    for sweep in given.numbers():
        alone = plan._replace(first_sweep=sweep, sweeps=1)
        now = updates._replace(given=given._replace(configurations=x))
        now.run(alone, one, labels.numpy())
        squares += one
        x = recoloured(given, x, labels, sweep, has_field=True)
    moved = changed(given.configurations, x)
    return ClusterSweeps(x, mean_size(given, squares), moved)
