"""Observables of pairs of walkers, and of replicas."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_integer, expect, is_real, shown
from ..lattices.graph import Graph
from ..models.base import LatticeModel
from .base import observable, of_pairs, of_replicas
from .spins import spin_field

__all__ = ["OverlapHistogram", "link_overlap", "overlap", "overlap_histogram", "replica_energies"]


@observable
@of_pairs
def overlap(first: Tensor, second: Tensor, model: LatticeModel) -> Tensor:
    """Return the overlap of two replicas ``q = (1/N) Σ_i s(i) · s'(i)``, float64 ``(walkers,)``.

    Args:
        first: configurations of independent walkers, ``(walkers, *shape)``.
        second: configurations of as many others.
        model: their model.

    Raises:
        ValueError: two shapes.

    Example:
        >>> from leaps_triton import EdwardsAnderson
        >>> x = torch.tensor([[0, 1, 1, 0]], dtype=torch.int8)
        >>> overlap(x, 1 - x, EdwardsAnderson((4,), beta=1.0)).item()
        -1.0
    """
    _check_pair(first, second)
    products = spin_field(first, model) * spin_field(second, model)
    # The sum over components of the spins too, which makes the products scalar ones.
    return products.flatten(1).sum(1) / model.lattice.sites


@observable
@of_pairs
def link_overlap(first: Tensor, second: Tensor, model: LatticeModel) -> Tensor:
    """Return the link overlap ``(1/N_b) Σ_<ij> (s(i) · s(j)) (s'(i) · s'(j))`` over all bonds.

    A domain flipped as a whole lowers it by the share of its surface only; ``N_b`` is the number of
    bonds.

    Args:
        first: the same as in :func:`overlap`.
        second: the same as in :func:`overlap`.
        model: their model.

    Returns:
        float64 ``(walkers,)``.

    Raises:
        ValueError: two shapes.
    """
    _check_pair(first, second)
    a = spin_field(first, model)
    b = spin_field(second, model)
    lattice = model.lattice
    if isinstance(lattice, Graph):
        first_end, second_end = lattice.edges.T.to(a.device)
        ahead = (a[:, first_end] * a[:, second_end]).sum(-1)
        product = ahead * (b[:, first_end] * b[:, second_end]).sum(-1)
        return product.sum(1) / lattice.bonds
    total = torch.zeros(len(a), dtype=torch.float64, device=a.device)
    bonds = 0
    for axis, length in enumerate(model.lattice.shape):
        product = _along_bonds(a, axis) * _along_bonds(b, axis)
        # The last site of an open direction has no bond.
        if not model.lattice.periodic[axis]:
            product = product.narrow(axis + 1, 0, length - 1)
        total = total + product.flatten(1).sum(1)
        # Counted after the cut, so that N_b is right for open directions too.
        bonds += product[0].numel()
    return total / bonds


def _along_bonds(spins: Tensor, axis: int) -> Tensor:
    """Return ``s(i) · s(j)`` of every site and its next along an axis, ``(walkers, *shape)``."""
    # The next site in positive direction only, so that no bond counts from both of its ends.
    return (spins * spins.roll(-1, axis + 1)).sum(-1)


def _check_pair(first: Tensor, second: Tensor) -> None:
    tensors = isinstance(first, Tensor) and isinstance(second, Tensor)
    if not tensors or first.shape != second.shape:
        raise ValueError(
            f"two replicas must have the same shape, got {shown(first)} and "
            f"{shown(second)}; pair as many walkers with as many others"
        )


@observable
@of_replicas
def replica_energies(replicas: Tensor, model: LatticeModel) -> Tensor:
    """Return ``H`` of all replicas of parallel tempering, without β and not per site.

    From these :func:`~leaps_triton.estimators.stepping_stones` and
    :func:`~leaps_triton.estimators.mbar` find log Z, and
    :func:`~leaps_triton.estimators.exchange_rates` how often neighbours are exchanged.

    Args:
        replicas: ``(walkers, K, *shape)``.
        model: their model.

    Returns:
        float64 ``(walkers, K)``.
    """
    # Differences of these are exponentiated later, where an absolute error of H is a relative one.
    energies = model.energy(replicas.flatten(0, 1)).double()
    return energies.unflatten(0, replicas.shape[:2])


class OverlapHistogram(NamedTuple):
    """The law ``P(q)`` of overlaps."""

    centres: Tensor
    """Middle of every bin, float64 ``(bins,)``"""
    density: Tensor
    """``P(q)``, whose sum over the bins times their width is 1, float64 ``(bins,)``"""


def overlap_histogram(
    overlaps: Tensor, log_weights: Tensor | None = None, bins: int = 41
) -> OverlapHistogram:
    """Return ``P(q)`` on ``[-1, 1]`` from overlaps of pairs.

    Args:
        overlaps: of any shape, values in [-1, 1].
        log_weights: of the pairs, of the same shape: the sum of both walkers' ``A``; None where all
            weigh alike.
        bins: of equal width. An odd number keeps the middle one symmetric.

    Raises:
        ValueError: a shape that does not fit, an overlap outside [-1, 1], fewer than one bin.

    Example:
        >>> overlap_histogram(torch.tensor([-1.0, 0.9, 1.0, 0.1]), bins=2).density
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    bins = as_integer("bins", bins, 1)
    expect(is_real(overlaps), "overlaps", "a tensor of real numbers", overlaps)
    weighty = log_weights is None or is_real(log_weights)
    expect(weighty, "log_weights", "None or a tensor of real numbers", log_weights)
    q = overlaps.double().flatten().cpu()
    a = torch.zeros_like(q)
    if log_weights is not None:
        a = log_weights.double().flatten().cpu()
    if a.shape != q.shape or len(q) == 0:
        raise ValueError(
            f"overlaps and log_weights must be of one length above 0, got {len(q)} and {len(a)}"
        )
    # NaN is not below infinity either, and weights that are all 0 would give 0/0.
    some = bool((a < torch.inf).all()) and bool((a > -torch.inf).any())
    expect(some, "log_weights", "numbers below infinity, not all minus infinity", a.tolist())
    # Sums of products may pass 1 by rounding.
    if not bool((q.abs() <= 1.0 + 1e-9).all()):
        raise ValueError(
            f"overlaps must be in [-1, 1], got {float(q.min()):g} to {float(q.max()):g}"
        )
    # The last bin holds its upper edge q = 1 too, and what rounding has put beyond it.
    index = ((q + 1.0) * (bins / 2.0)).long().clamp(0, bins - 1)
    # softmax takes the largest off first, so that no weight overflows.
    weights = torch.softmax(a, dim=0)
    share = torch.zeros(bins, dtype=torch.float64).index_add_(0, index, weights)
    width = 2.0 / bins
    centres = (torch.arange(bins, dtype=torch.float64) + 0.5) * width - 1.0
    return OverlapHistogram(centres, share * (bins / 2.0))
