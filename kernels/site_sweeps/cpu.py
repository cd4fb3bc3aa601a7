"""Sweeps on a CPU, bit for bit those of :mod:`.reference`."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..native.threads import over_walkers
from .cpu_bytes import sweep as sweep_bytes
from .cpu_sites import reflect
from .cpu_sites import sweep as sweep_sites
from .cpu_tables import Plan, draws_of, ordered, plan_of
from .cpu_thresholds import levels_of
from .reference import Sweeps, waves

__all__ = ["heat_bath_sweeps", "metropolis_sweeps", "overrelaxation_sweeps", "sweep_by_bytes"]


def heat_bath_sweeps(given: Sweeps) -> Tensor:
    """Make heat-bath sweeps of the configurations, in place."""
    return _sweep(given, 0.0)


def metropolis_sweeps(given: Sweeps) -> Tensor:
    """Make Metropolis sweeps of the configurations, in place."""
    return _sweep(given, 1.0 - given.rest)


def _sweep(given: Sweeps, keep: float) -> Tensor:
    """Make heat-bath sweeps if ``keep`` is 0, else Metropolis sweeps."""
    if not given.sweeps or not given.configurations.numel():
        return given.configurations
    plan = plan_of(given)
    if plan is not None and sweep_by_bytes(given, plan, np.float32(keep)):
        return given.configurations
    return _sweep_sites(given, np.float32(keep))


def sweep_by_bytes(given: Any, plan: Plan, keep: np.float32) -> bool:
    """Make sweeps by bytes, in place; do nothing and return False where they would not pay.

    Args:
        given: the record of an op on a lattice or a graph.
        plan: that of its model.
        keep: probability that a site does not rest; 0 for the heat bath.
    """
    after = given.configurations
    # Two sites are read as one number.
    x = after.view(-1).numpy().view(np.uint16)
    site_table = given.site_table.flatten(1).float().contiguous().numpy()
    beta = given.beta.float().contiguous().numpy()
    tables = max(len(beta), len(site_table))
    # Thresholds must not cost more than the sweeps themselves.
    if plan.cost * tables > after.numel() * given.sweeps:
        return False
    levels = plan.levels(tables)
    levels_of(levels, plan.patterns, site_table, beta, keep)
    copies = plan.copies
    draws = draws_of(given)
    # Walkers with thresholds of their own are swept one by one.
    if tables > 1:
        copies = 1
    model = (copies, plan.diagonals, levels, plan.top, plan.model, site_table, beta)

    def work(begin: int, end: int) -> None:
        sweep_bytes(x, begin, end, given.sites // 2, *model, draws, keep)

    over_walkers(work, len(after), given.sites * given.sweeps)
    return True


def _sweep_sites(given: Sweeps, keep: np.float32) -> Tensor:
    after = given.configurations
    x = after.view(len(after), -1).numpy()
    order, terms = ordered(given, torch.float32)
    draws = draws_of(given)

    def work(begin: int, end: int) -> None:
        sweep_sites(x, begin, end, order, terms, draws, keep)

    over_walkers(work, len(x), given.sites * given.sweeps)
    return after


def overrelaxation_sweeps(given: Sweeps) -> Tensor:
    """Make over-relaxation sweeps of the configurations, in place."""
    after = given.configurations
    if not given.sweeps or not after.numel():
        return after
    x = after.view(len(after), -1).numpy()
    order, terms = ordered(given, torch.float64)
    draws = draws_of(given)
    axes = waves(given.q, after.device).numpy()

    def work(begin: int, end: int) -> None:
        reflect(x, begin, end, order, terms, draws, axes)

    over_walkers(work, len(x), given.sites * given.sweeps)
    return after
