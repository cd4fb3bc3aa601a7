"""Sweeps on graphs on a CPU, bit for bit those of :mod:`.reference` where fields are gathered."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..native.threads import over_walkers
from ..site_sweeps.cpu import sweep_by_bytes
from ..site_sweeps.cpu_sites import Draws
from ..site_sweeps.reference import waves
from . import reference
from .cpu_fields import HEAT_BATH, METROPOLIS, REFLECT, sweep_by_fields
from .cpu_lanes import sweep_by_limits
from .cpu_tables import COST, MOST_LIMITS, MOST_PATTERNS, Plan, plan_of
from .reference import GraphSweeps

__all__ = ["graph_heat_bath_sweeps", "graph_metropolis_sweeps", "graph_overrelaxation_sweeps"]

EIGHT = 8
WIDEST = 256
"""Walkers that lie side by side, at most."""
NARROWEST = 16
"""Walkers that lie side by side on a large graph."""
NEAR = 2**19
"""Words of walkers side by side that stay near the processor."""


def graph_heat_bath_sweeps(given: GraphSweeps) -> Tensor:
    """Make heat-bath sweeps of the configurations, in place."""
    if given.by_product:
        return reference.graph_heat_bath_sweeps(given)
    return _sweep(given, HEAT_BATH)


def graph_metropolis_sweeps(given: GraphSweeps) -> Tensor:
    """Make Metropolis sweeps of the configurations, in place."""
    if given.by_product:
        return reference.graph_metropolis_sweeps(given)
    return _sweep(given, METROPOLIS)


def graph_overrelaxation_sweeps(given: GraphSweeps) -> Tensor:
    """Make over-relaxation sweeps of the configurations, in place."""
    if given.by_product:
        return reference.graph_overrelaxation_sweeps(given)
    return _sweep(given, REFLECT)


def _width(walkers: int, sites: int) -> int:
    """Return how many walkers lie side by side: 1, or a multiple of eight."""
    if 2 * walkers < EIGHT:
        return 1
    most = max(NARROWEST, min(WIDEST, NEAR // sites // EIGHT * EIGHT))
    return min(most, -(-walkers // EIGHT) * EIGHT)


def _limits(given: GraphSweeps, plan: Plan, op: int, keep: np.float32) -> tuple[Any, ...]:
    """Return what :meth:`.cpu_tables.Plan.limits` does; nothing where that is not worth it."""
    if op == REFLECT or plan.own or len(given.beta) > 1:
        return ()
    patterns = plan.patterns(given.q)
    own = given.q - 1 if op == HEAT_BATH else given.q**2
    numbers = (given.beta.item(), float(keep))
    # A chain asks again and again, and limits are made once it has asked for long enough.
    visits = plan.visits(*numbers, given.configurations.numel() * given.sweeps)
    most = min(MOST_LIMITS, visits // COST)
    if patterns > MOST_PATTERNS or patterns * own > most:
        return ()
    if len(plan.kinds()[1]) * patterns * own > most:
        return ()
    return plan.limits(*numbers)


def _sweep(given: GraphSweeps, op: int) -> Tensor:
    after = given.configurations
    if not given.sweeps or not after.numel():
        return after
    dtype = torch.float32
    if op == REFLECT:
        dtype = torch.float64
    plan = plan_of(given, dtype)
    x = after.numpy()
    draws = Draws(given.walkers.contiguous().numpy(), given.first_sweep, given.sweeps, given.seed)
    keep = np.float32(0.0)
    if op != HEAT_BATH:
        keep = np.float32(1.0 - given.rest)
    if op != REFLECT and plan.in_bytes is not None and sweep_by_bytes(given, plan.in_bytes, keep):
        return after
    q = given.q
    beta = given.beta.to(dtype).contiguous().numpy()
    axes = waves(q, after.device).numpy()
    found = _limits(given, plan, op, keep)

    def work(begin: int, end: int) -> None:
        width = _width(end - begin, given.sites)
        if plan.own:
            width = 1
        if found:
            draw = int(op != HEAT_BATH)
            sweep_by_limits(x, begin, end, width, plan.order, *found, q, draws, draw)
        else:
            terms = (plan.order, plan.terms, beta, draws)
            sweep_by_fields(x, begin, end, width, *terms, keep, axes, op)

    over_walkers(work, len(x), given.sites * given.sweeps)
    return after
