"""Observables by place: sublattices, wave vectors, distances, on lattices and graphs alike."""

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_tensor, expect
from ..lattices.graph import Graph
from ..lattices.hypercubic import Lattice
from ..models.base import LatticeModel, Observable
from .base import observable
from .spins import spin_field

__all__ = [
    "correlation_at",
    "correlation_by_distance",
    "distances",
    "staggered_magnetization",
    "staggered_squared",
    "structure_factor_at",
    "three_sublattice_order",
    "wave_vectors",
]

_ALIKE = 1e-6
"""Distances that differ by less are one."""

_ENTRIES = 2**22
"""Products of spins that are held at once."""


class _Places(NamedTuple):
    """Where sites stand."""

    positions: Tensor
    """Float64 ``(sites, d)``"""
    periods: Tensor
    """Float64 ``(n, d)``: vectors that lead back to the same site"""


@observable
def staggered_magnetization(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return ``(1/N) Σ_i ε_i s_i``, ``ε = 1`` on the first of two sublattices and -1 on the other.

    Args:
        configurations: ``(walkers, *shape)``.
        model: on a graph of two sublattices, or a lattice of two colours.

    Returns:
        float64 ``(walkers,)`` for spins of one component, else ``(walkers, n)``.

    Raises:
        ValueError: there are no two sublattices.

    Example:
        >>> from leaps_triton import Ising
        >>> x = torch.tensor([[0, 1, 0, 1]], dtype=torch.int8)
        >>> staggered_magnetization(x, Ising((4,), beta=0.3, coupling=-1.0))
        tensor([-1.], dtype=torch.float64)
    """
    vector = _staggered(configurations, model)
    if vector.shape[1] == 1:
        return vector.squeeze(1)
    return vector


@observable
def staggered_squared(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return the square of :func:`staggered_magnetization`, float64 ``(walkers,)``."""
    return _staggered(configurations, model).square().sum(1)


@observable
def three_sublattice_order(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return ``|ψ|²`` of ``ψ = (1/N) Σ_i s_i e^{2πi c_i/3}``, ``c_i = 0, 1, 2`` the sublattice.

    It is the structure factor per site at the corner of the zone of a triangular lattice, and of
    order 1/N where the three sublattices are alike.

    Args:
        configurations: ``(walkers, sites)``.
        model: on a graph of three sublattices.

    Returns:
        float64 ``(walkers,)``.

    Raises:
        ValueError: there are no three sublattices.

    Example:
        >>> import leaps_triton as lt
        >>> graph = lt.Graph.triangular((3, 3))
        >>> model = lt.Ising(graph, beta=1.0, coupling=-1.0)
        >>> three_sublattice_order((graph.sublattice == 0).view(1, -1).to(torch.int8), model)
        tensor([0.4444], dtype=torch.float64)
    """
    spins = spin_field(configurations, model).flatten(1, -2)
    angle = 2.0 * math.pi * _sublattices(model, 3).to(spins) / 3.0
    waves = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    order = torch.einsum("wsn,sk->wnk", spins, waves) / model.lattice.sites
    return order.square().flatten(1).sum(1)


def wave_vectors(lattice: Lattice | Graph, numbers: Any) -> Tensor:
    """Return the wave vectors that fit the periods of a torus, ``k = Σ_a n_a b_a``.

    Args:
        lattice: one that is periodic in all its dimensions.
        numbers: integers ``(waves, dimensions)``, how many waves fit along every period.

    Returns:
        float64 ``(waves, dimensions)``, with ``b_a · R_b = 2π δ_ab`` for the periods ``R_b``.

    Raises:
        ValueError: the lattice is open, has no positions, or numbers do not fit its dimensions.

    Example:
        >>> import leaps_triton as lt
        >>> wave_vectors(lt.Lattice((4, 8)), [[1, 0], [0, 2]])
        tensor([[1.5708, 0.0000],
                [0.0000, 1.5708]], dtype=torch.float64)
    """
    places = _places(lattice)
    dimensions = places.positions.shape[1]
    wanted = f"a lattice that is periodic in all {dimensions} dimensions"
    expect(len(places.periods) == dimensions, "lattice", wanted, lattice)
    table = as_tensor(numbers, torch.float64)
    fits = table.ndim == 2 and table.shape[1] == dimensions
    expect(fits, "numbers", f"integers of shape (waves, {dimensions})", numbers)
    return 2.0 * math.pi * table @ torch.linalg.inv(places.periods).T


def structure_factor_at(vectors: Any) -> Observable:
    """Return the observable ``S(k) = |Σ_j s(j) e^{-i k·r_j}|² / N`` at chosen wave vectors.

    Positions ``r_j`` are those of the graph, or the indices of a site of a lattice.

    Args:
        vectors: ``k``, ``(waves, dimensions)``; :func:`wave_vectors` makes those of a torus.

    Returns:
        ``f(configurations, model)`` → float64 ``(walkers, waves)``.

    Raises:
        ValueError: these are no vectors; of a measurement, a graph without positions, or one of
            another dimension.

    Example:
        >>> from leaps_triton import Ising
        >>> model = Ising((4,), beta=0.3)
        >>> waves = wave_vectors(model.lattice, [[0], [2]])
        >>> structure_factor_at(waves)(torch.tensor([[0, 1, 0, 1]], dtype=torch.int8), model)
        tensor([[0., 4.]], dtype=torch.float64)
    """
    chosen = as_tensor(vectors, torch.float64)
    expect(chosen.ndim == 2, "vectors", "wave vectors (waves, dimensions)", vectors)

    def structure_factor_at(configurations: Tensor, model: LatticeModel) -> Tensor:
        spins = spin_field(configurations, model).flatten(1, -2)
        positions = _places(model.lattice).positions
        wanted = f"wave vectors of {positions.shape[1]} dimensions"
        expect(chosen.shape[1] == positions.shape[1], "vectors", wanted, chosen)
        phase = (positions @ chosen.T).to(spins)
        power = torch.zeros(len(spins), len(chosen), dtype=torch.float64, device=spins.device)
        for wave in (torch.cos(phase), torch.sin(phase)):
            power += torch.einsum("wsn,sk->wnk", spins, wave).square().sum(1)
        return power / model.lattice.sites

    return structure_factor_at


def distances(lattice: Lattice | Graph) -> Tensor:
    """Return the distances between sites that differ, from 0 on, float64 ``(n,)``.

    Around a torus the shortest counts.

    Args:
        lattice: one with positions.

    Raises:
        ValueError: a graph without positions.

    Example:
        >>> import leaps_triton as lt
        >>> distances(lt.Graph.triangular((3, 3)))
        tensor([0.0000, 1.0000, 1.7321], dtype=torch.float64)
    """
    return _pairs(lattice).distances.clone()


@observable
def correlation_by_distance(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return ``C(r)``, the mean of ``s(i) · s(j)`` over all pairs at each of :func:`distances`.

    It is not connected, and takes of order N² operations per walker.

    Args:
        configurations: ``(walkers, *shape)``.
        model: on a lattice, or a graph with positions.

    Returns:
        float64 ``(walkers, n)``.

    Raises:
        ValueError: a graph without positions.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising(lt.Graph.triangular((3, 3)), beta=0.3)
        >>> correlation_by_distance(torch.ones(1, 9, dtype=torch.int8), model)
        tensor([[1., 1., 1.]], dtype=torch.float64)
    """
    pairs = _pairs(model.lattice)
    counts = torch.bincount(pairs.kind, minlength=len(pairs.distances))
    spins = spin_field(configurations, model).flatten(1, -2)
    sums = _sums(spins, pairs.first, pairs.second, pairs.kind)
    return sums / counts.to(sums)


def correlation_at(number: int) -> Observable:
    """Return the observable ``C(r)`` at one of :func:`distances`, for less work than at all.

    Args:
        number: of the distance, from 0 on.

    Returns:
        ``f(configurations, model)`` → float64 ``(walkers,)``.

    Raises:
        ValueError: a negative number; of a measurement, there are fewer distances, or the graph
            has no positions.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising(lt.Graph.triangular((3, 3)), beta=0.3)
        >>> correlation_at(1)(torch.ones(1, 9, dtype=torch.int8), model)
        tensor([1.], dtype=torch.float64)
    """
    number = as_integer("number", number, 0)

    def correlation_at(configurations: Tensor, model: LatticeModel) -> Tensor:
        pairs = _pairs(model.lattice)
        as_integer("number", number, 0, len(pairs.distances) - 1)
        chosen = pairs.kind == number
        first = pairs.first[chosen]
        spins = spin_field(configurations, model).flatten(1, -2)
        sums = _sums(spins, first, pairs.second[chosen], torch.zeros_like(first))
        return sums.squeeze(1) / len(first)

    return correlation_at


def _sums(spins: Tensor, first: Tensor, second: Tensor, kind: Tensor) -> Tensor:
    """Return the sums of ``s(i) · s(j)`` over pairs of every kind, float64 ``(walkers, kinds)``."""
    first = first.to(spins.device)
    second = second.to(spins.device)
    kind = kind.to(spins.device)
    kinds = int(kind.max()) + 1
    sums = torch.zeros(len(spins), kinds, dtype=torch.float64, device=spins.device)
    # As many pairs at a time as their products fit the memory.
    step = max(1, _ENTRIES // max(1, len(spins) * spins.shape[2]))
    for start in range(0, len(first), step):
        some = slice(start, start + step)
        products = (spins[:, first[some]] * spins[:, second[some]]).sum(2)
        sums.index_add_(1, kind[some], products)
    return sums


class _Pairs(NamedTuple):
    """All pairs of sites, a site with itself included, once each."""

    first: Tensor
    """Int64 ``(pairs,)``"""
    second: Tensor
    """Int64 ``(pairs,)``"""
    kind: Tensor
    """Which of the distances, int64 ``(pairs,)``"""
    distances: Tensor
    """Float64 ``(n,)``, rising"""


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _pairs(lattice: Lattice | Graph) -> _Pairs:
    """Return all pairs of sites by distance."""
    places = _places(lattice)
    first, second = torch.triu_indices(lattice.sites, lattice.sites)
    apart = places.positions[second] - places.positions[first]
    apart = _within(apart, places.periods)
    shortest = torch.full((len(apart),), torch.inf, dtype=torch.float64)
    # Of a reduced box the nearest image is at most one period away in every direction.
    for steps in itertools.product((-1.0, 0.0, 1.0), repeat=len(places.periods)):
        shift = torch.tensor(steps, dtype=torch.float64) @ places.periods
        shortest = torch.minimum(shortest, (apart + shift).square().sum(1))
    length = shortest.sqrt()
    rising, order = length.sort()
    fresh = rising.diff(prepend=rising[:1]) > _ALIKE
    kind = torch.empty_like(order)
    kind[order] = fresh.long().cumsum(0)
    number = int(fresh.sum()) + 1
    total = torch.zeros(number, dtype=torch.float64).index_add_(0, kind, length)
    return _Pairs(first, second, kind, total / torch.bincount(kind, minlength=number))


def _within(apart: Tensor, periods: Tensor) -> Tensor:
    """Return differences of positions less whole periods, so that half a period is the most."""
    if not len(periods):
        return apart
    # As many of each period as the difference holds, by least squares where there are few periods.
    shares = apart @ torch.linalg.pinv(periods)
    return apart - torch.round(shares) @ periods


def _staggered(configurations: Tensor, model: LatticeModel) -> Tensor:
    """Return ``(1/N) Σ_i ε_i s_i``, float64 ``(walkers, n)``."""
    spins = spin_field(configurations, model).flatten(1, -2)
    signs = 1.0 - 2.0 * _sublattices(model, 2).to(spins)
    return torch.einsum("wsn,s->wn", spins, signs) / model.lattice.sites


def _sublattices(model: LatticeModel, number: int) -> Tensor:
    """Return the sublattice of every site, int64 ``(sites,)``.

    Raises:
        ValueError: there are not so many.
    """
    lattice: Any = model.lattice
    found: Tensor | None = None
    if isinstance(lattice, Graph):
        found = lattice.sublattice
        # A graph of two colours has two sublattices, whether or not they were named.
        if found is None and number == 2 and lattice.num_colours == 2:
            found = lattice.colours().long()
    elif lattice.num_colours == number:
        found = lattice.colours().flatten().long()
    count = 0
    if found is not None:
        count = int(found.max()) + 1
    if found is None or count != number:
        raise ValueError(
            f"the observable needs {number} sublattices, and {lattice!r} has {count or 'none'}; "
            f"give Graph(sublattice=...), or leave it out"
        )
    return found


def _places(lattice: Lattice | Graph) -> _Places:
    """Return where the sites of a lattice stand.

    Raises:
        ValueError: a graph without positions.
    """
    if isinstance(lattice, Graph):
        positions = lattice.positions
        if positions is None:
            raise ValueError(
                f"the observable needs positions of the sites, and {lattice!r} has none; give "
                f"Graph(positions=...)"
            )
        box = lattice.box
        if box is None:
            box = positions.new_empty(0, positions.shape[1])
        return _Places(positions, box)
    ranges = [torch.arange(length, dtype=torch.float64) for length in lattice.shape]
    grid = torch.stack(torch.meshgrid(*ranges, indexing="ij"), -1).flatten(0, -2)
    periods = _periods(lattice.shape, lattice.periodic)
    return _Places(grid, periods)


def _periods(shape: Sequence[int], periodic: Sequence[bool]) -> Tensor:
    """Return the periods of a lattice, float64 ``(n, ndim)``."""
    lengths = torch.diag(torch.tensor(shape, dtype=torch.float64))
    return lengths[torch.tensor(periodic, dtype=torch.bool)]
