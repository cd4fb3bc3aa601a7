"""Sweeps on a CPU, bit for bit those of :mod:`.reference`."""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..native.threads import over_walkers
from .cpu_sites import Draws, Order, Terms, by_colour, reflect_sites, sweep_sites
from .reference import Sweeps, waves

__all__ = ["heat_bath_sweeps", "metropolis_sweeps", "overrelaxation_sweeps"]

NONE = -1
"""Number of a neighbour that is not there, and of the colour of sites that have none."""


@functools.lru_cache(maxsize=16)
def _neighbours(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> Any:
    """Return the neighbours of all sites, int32 ``(sites, 2 ndim)``."""
    index = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    columns = []
    for axis, wraps in enumerate(periodic):
        ahead = np.roll(index, -1, axis)
        behind = np.roll(index, 1, axis)
        if not wraps:
            # What comes round the edge is no neighbour.
            np.moveaxis(ahead, axis, 0)[-1] = NONE
            np.moveaxis(behind, axis, 0)[0] = NONE
        columns += [ahead.reshape(-1), behind.reshape(-1)]
    return np.stack(columns, axis=1)


def _flat(table: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a table with one axis for all sites, of length 1 where they are alike."""
    leading = table.shape[:2]
    if table.shape[2:].numel() > 1:
        table = table.expand(*leading, *shape)
    return table.reshape(*leading, -1)


def _terms(given: Sweeps, dtype: torch.dtype) -> Terms:
    shape = tuple(given.configurations.shape[1:])
    coupling = _flat(given.coupling, shape).to(dtype)
    site_table = _flat(given.site_table, shape).to(dtype).transpose(1, 2)
    bond_table = given.bond_table.to(dtype)
    return Terms(
        _neighbours(shape, tuple(given.periodic)),
        coupling.contiguous().numpy(),
        bond_table.T.contiguous().numpy(),
        bond_table.contiguous().numpy(),
        site_table.contiguous().numpy(),
        given.beta.to(dtype).contiguous().numpy(),
    )


def _order(given: Sweeps) -> Order:
    # Colours of no class stay so in int8.
    colours = given.colours.clamp(NONE, given.num_colours).to(torch.int8).reshape(-1)
    sites = np.empty(given.sites, np.int32)
    order = Order(sites, np.empty(given.num_colours + 1, np.int64))
    by_colour(colours.contiguous().numpy(), order)
    return order


def _draws(given: Sweeps) -> Draws:
    walkers = given.walkers.contiguous().numpy()
    return Draws(walkers, given.first_sweep, given.sweeps, given.seed)


def _sweep(given: Sweeps, keep: float) -> Tensor:
    """Make heat-bath sweeps if ``keep`` is 0, else Metropolis sweeps."""
    after = given.configurations
    x = after.view(len(after), -1).numpy()
    order = _order(given)
    terms = _terms(given, torch.float32)
    draws = _draws(given)
    kept = np.float32(keep)

    def work(begin: int, end: int) -> None:
        sweep_sites(x, begin, end, order, terms, draws, kept)

    over_walkers(work, len(x), given.sites * given.sweeps)
    return after


def heat_bath_sweeps(given: Sweeps) -> Tensor:
    """Make heat-bath sweeps of the configurations, in place."""
    return _sweep(given, 0.0)


def metropolis_sweeps(given: Sweeps) -> Tensor:
    """Make Metropolis sweeps of the configurations, in place."""
    return _sweep(given, 1.0 - given.rest)


def overrelaxation_sweeps(given: Sweeps) -> Tensor:
    """Make over-relaxation sweeps of the configurations, in place."""
    after = given.configurations
    x = after.view(len(after), -1).numpy()
    order = _order(given)
    terms = _terms(given, torch.float64)
    draws = _draws(given)
    axes = waves(given.q, after.device).numpy()

    def work(begin: int, end: int) -> None:
        reflect_sites(x, begin, end, order, terms, draws, axes)

    over_walkers(work, len(x), given.sites * given.sweeps)
    return after
