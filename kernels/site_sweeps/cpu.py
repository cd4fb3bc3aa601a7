"""Sweeps on a CPU, bit for bit those of :mod:`.reference`."""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..native.threads import over_walkers
from .cpu_sites import Draws, Order, Terms, by_colour, in_order, reflect, sweep
from .reference import Sweeps, waves

__all__ = ["heat_bath_sweeps", "metropolis_sweeps", "overrelaxation_sweeps"]

NONE = -1
"""Number of a neighbour that is not there, and of the colour of sites that have none."""


@functools.lru_cache(maxsize=16)
def _neighbours(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> Any:
    """Return the neighbours of all sites, int32 ``(2 ndim, sites)``."""
    index = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    rows = []
    for axis, wraps in enumerate(periodic):
        ahead = np.roll(index, -1, axis)
        behind = np.roll(index, 1, axis)
        if not wraps:
            # What comes round the edge is no neighbour.
            np.moveaxis(ahead, axis, 0)[-1] = NONE
            np.moveaxis(behind, axis, 0)[0] = NONE
        rows += [ahead.reshape(-1), behind.reshape(-1)]
    return np.stack(rows)


def _flat(table: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a table with one axis for all sites, of length 1 where they are alike."""
    leading = table.shape[:2]
    if table.shape[2:].numel() > 1:
        table = table.expand(*leading, *shape)
    return table.reshape(*leading, -1)


def _ordered(given: Sweeps, dtype: torch.dtype) -> tuple[Order, Terms]:
    """Return the sites by their colours, and the model's tables in their order."""
    shape = tuple(given.configurations.shape[1:])
    # Colours of no class stay so in int8.
    colours = given.colours.clamp(NONE, given.num_colours).to(torch.int8).reshape(-1)
    sites = np.empty(given.sites, np.int32)
    ends = np.empty(given.num_colours + 1, np.int64)
    by_colour(colours.contiguous().numpy(), sites, ends)
    sites = sites[: ends[-1]]
    coupling = _flat(given.coupling, shape).to(dtype).contiguous().numpy()
    near = np.empty((2 * len(shape), len(sites)), np.int32)
    bonds = np.empty((len(coupling), *near.shape), coupling.dtype)
    in_order(sites, _neighbours(shape, tuple(given.periodic)), coupling, near, bonds)
    site_table = _flat(given.site_table, shape).to(dtype)
    if site_table.shape[2] > 1:
        site_table = site_table[:, :, torch.from_numpy(sites)]
    bond_table = given.bond_table.to(dtype)
    terms = Terms(
        bonds,
        bond_table.contiguous().numpy(),
        bond_table.T.contiguous().numpy(),
        site_table.contiguous().numpy(),
        given.beta.to(dtype).contiguous().numpy(),
    )
    return Order(sites, ends, near), terms


def _draws(given: Sweeps) -> Draws:
    walkers = given.walkers.contiguous().numpy()
    return Draws(walkers, given.first_sweep, given.sweeps, given.seed)


def _sweep(given: Sweeps, keep: float) -> Tensor:
    """Make heat-bath sweeps if ``keep`` is 0, else Metropolis sweeps."""
    after = given.configurations
    x = after.view(len(after), -1).numpy()
    order, terms = _ordered(given, torch.float32)
    draws = _draws(given)
    kept = np.float32(keep)

    def work(begin: int, end: int) -> None:
        sweep(x, begin, end, order, terms, draws, kept)

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
    order, terms = _ordered(given, torch.float64)
    draws = _draws(given)
    axes = waves(given.q, after.device).numpy()

    def work(begin: int, end: int) -> None:
        reflect(x, begin, end, order, terms, draws, axes)

    over_walkers(work, len(x), given.sites * given.sweeps)
    return after
