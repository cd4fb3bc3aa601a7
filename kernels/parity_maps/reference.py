"""The twin of ``parity_map``: passes over the sublattices of a lattice by a pointwise network."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Moved", "Passing", "parity_map"]


class Moved(NamedTuple):
    """Fields after a map."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    log_determinant: Tensor
    """Float64 ``(walkers,)``"""


class Passing(NamedTuple):
    """Arguments of the op."""

    configurations: Tensor
    """``φ``, float32 or float64 ``(walkers, *shape)``"""
    sublattices: Tensor
    """Flat indices of the sites of each sublattice, int64 ``(2, sites / 2)``"""
    windows: Tensor
    """Flat indices that each of these sites reads, int64 ``(2, sites / 2, taps)``"""
    own: Tensor
    """``o``, ``(width,)``"""
    taps: Tensor
    """``A``, ``(width, taps)``"""
    mean: Tensor
    """``m``, ``(width,)``"""
    hidden: Tensor
    """``W``, ``(width, width)``"""
    readout: Tensor
    """``r``, ``(width,)``"""
    parities: tuple[int, ...]
    """Of each pass"""
    steps: tuple[float, ...]
    """``η`` of each pass"""


def parity_map(given: Passing) -> Moved:
    """Return fields after all passes, and the log-determinant of what they did."""
    flat = given.configurations.flatten(1)
    total = torch.zeros(len(flat), dtype=torch.float64, device=flat.device)
    for parity, step in zip(given.parities, given.steps, strict=True):
        sites = given.sublattices[parity]
        f, slope = _at_sites(given, flat, parity)
        flat = flat.index_copy(1, sites, flat[:, sites] + step * f.to(flat.dtype))
        total = total + torch.log1p(step * slope.double()).sum(1)
    return Moved(flat.view_as(given.configurations), total)


def _at_sites(given: Passing, flat: Tensor, parity: int) -> tuple[Tensor, Tensor]:
    """Return ``f`` and its slope on one sublattice, ``(walkers, sites / 2)`` each."""
    # The network computes in its own precision.
    seen = flat.to(given.own.dtype)
    others = given.sublattices[1 - parity]
    mean = seen[:, others].mean(1).view(-1, 1, 1)
    around = seen[:, given.windows[parity]] @ given.taps.T
    site = seen[:, given.sublattices[parity]].unsqueeze(2)
    first = torch.tanh(around + site * given.own + mean * given.mean)
    first_slope = (1.0 - first * first) * given.own
    second = torch.tanh(first @ given.hidden.T)
    second_slope = (1.0 - second * second) * (first_slope @ given.hidden.T)
    return second @ given.readout, second_slope @ given.readout
