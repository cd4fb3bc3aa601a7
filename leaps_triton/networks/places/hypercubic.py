"""What networks read of the sites of lattices: bonds by direction, waves, displacements."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ...kernels.hollow_network.reference import site_field, state_counts
from ...lattices.hypercubic import Lattice, require_hypercubic
from ...models.base import Conditions

__all__ = ["HypercubicPlace", "field_input", "local_field", "positions", "site_inputs"]

_HARMONICS = 3


class HypercubicPlace:
    """Sites of lattices of one dimension and one kind of boundaries.

    Args:
        lattice: one of them.

    Attributes:
        periodic: one bool per direction.
        indexed: sites that have an embedding of their own; none, for a network serves any size.
        bonds: columns of :meth:`bond_inputs`.
        waves: columns of :meth:`positions`.
        displacements: columns of the first of :meth:`pairs`.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.periodic = lattice.periodic
        self.indexed = 0
        self.bonds = 2 * lattice.ndim
        self.waves = 2 * _HARMONICS * lattice.ndim
        self.displacements = 3 * lattice.ndim + 1

    def check(self, lattice: object, who: str) -> None:
        """Refuse the lattice of a model that these sites are not those of."""
        require_hypercubic(lattice, f"This {who}, made for a lattice,")

    def coupling_sizes(self, shape: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the sizes that the axes of couplings may have, after that of the walkers."""
        return [(1, len(self.periodic)), *((1, length) for length in shape)]

    def local_field(
        self, configurations: Tensor, conditions: Conditions, q: int, dtype: torch.dtype
    ) -> Tensor:
        """Return ``Σ_j J_ij [x_j = a]``, ``(walkers, q, *shape)``; it does not read ``x_i``."""
        return local_field(configurations, conditions, q, self.periodic, dtype)

    def bond_inputs(
        self, conditions: Conditions, shape: Sequence[int], dtype: torch.dtype
    ) -> Tensor:
        """Return the couplings of the ``2 ndim`` bonds of every site, ``(1, 2 ndim, *shape)``."""
        return _bond_inputs(conditions, shape, self.periodic, dtype)

    def positions(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return the waves of each direction at every site, ``(sites, 2 · 3 · ndim)``."""
        return positions(tuple(shape), self.periodic, dtype, device)

    def pairs(self, shape: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the features of every displacement, and the row of each pair of sites.

        Returns:
            ``(rows, 3 · ndim + 1)``; and for ``(i, j)`` int64 ``(sites, sites)``.
        """
        return _displacements(tuple(shape), self.periodic, device)


def local_field(
    configurations: Tensor,
    conditions: Conditions,
    q: int,
    periodic: Sequence[bool],
    dtype: torch.dtype,
) -> Tensor:
    """Return ``Σ_j J_ij [x_j = a]``, ``(walkers, q, *shape)``; it does not read ``x_i``."""
    return state_counts(configurations, conditions.coupling, q, periodic, dtype)


def field_input(conditions: Conditions, dtype: torch.dtype) -> Tensor:
    """Return the external field without what all states share.

    Returns:
        ``(1, as_channels(q), *shape or 1s)``.
    """
    return site_field(conditions.field.to(dtype))


def site_inputs(
    conditions: Conditions,
    shape: Sequence[int],
    q: int,
    periodic: Sequence[bool],
    dtype: torch.dtype,
) -> Tensor:
    """Return the couplings of the ``2 ndim`` bonds of every site, and its field.

    Returns:
        ``(1, 2 ndim + as_channels(q), *shape)``.
    """
    bonds = _bond_inputs(conditions, shape, periodic, dtype)
    field = field_input(conditions, dtype)
    return torch.cat([bonds, field.expand(-1, -1, *shape)], 1)


def _bond_inputs(
    conditions: Conditions, shape: Sequence[int], periodic: Sequence[bool], dtype: torch.dtype
) -> Tensor:
    """Return the couplings of the ``2 ndim`` bonds of every site, ``(1, 2 ndim, *shape)``."""
    ndim = len(shape)
    coupling = conditions.coupling.to(dtype).expand(-1, ndim, *shape)
    inputs: list[Tensor] = []
    for axis, wraps in enumerate(periodic):
        forward = coupling[:, axis : axis + 1]
        if not wraps:
            # No bond leaves the last site of an open direction.
            forward = forward.clone()
            forward.select(axis + 2, -1).fill_(0.0)
        backward = forward.roll(1, axis + 2)
        inputs += [forward, backward]
    return torch.cat(inputs, 1)


def _waves(length: int, wraps: bool) -> Tensor:
    """Return the waves along one direction, float64 ``(length, 2 · harmonics)``."""
    # Half a wave tells the two ends of an open direction apart.
    turn = math.pi
    if wraps:
        turn = 2.0 * math.pi
    angle = turn * torch.arange(length, dtype=torch.float64) / length
    lines: list[Tensor] = []
    for harmonic in range(1, _HARMONICS + 1):
        lines.append(torch.cos(harmonic * angle))
        lines.append(torch.sin(harmonic * angle))
    return torch.stack(lines, 1)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def positions(
    shape: tuple[int, ...], periodic: tuple[bool, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return the waves of each direction at every site: whole where periodic, half where open.

    Returns:
        ``(sites, 2 · 3 · ndim)``.
    """
    grid = torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")
    columns: list[Tensor] = []
    for length, wraps, index in zip(shape, periodic, grid, strict=True):
        waves = _waves(length, wraps)
        columns.append(waves[index.flatten()])
    return torch.cat(columns, 1).to(dtype).to(device)


def _circles(shape: Sequence[int], periodic: Sequence[bool]) -> list[int]:
    """Return the length of each direction's circle: an open direction is half of one."""
    circles: list[int] = []
    for length, wraps in zip(shape, periodic, strict=True):
        if wraps:
            circles.append(length)
        else:
            circles.append(2 * length)
    return circles


def _features_of_displacements(circles: Sequence[int]) -> Tensor:
    """Return the features of every displacement, float64 ``(rows, 3 · ndim + 1)``.

    Sine and cosine of each direction's angle, the chord towards ``j`` over ``1 + r²``, and ``log(1
    + r²)`` with ``r`` the chord: smooth on the torus, and sharp among neighbours.
    """
    places = [torch.arange(n, dtype=torch.float64) for n in circles]
    steps = torch.meshgrid(*places, indexing="ij")
    turns: list[Tensor] = []
    chords: list[Tensor] = []
    squared = torch.zeros((), dtype=torch.float64)
    for step, n in zip(steps, circles, strict=True):
        angle = 2.0 * math.pi * step.flatten() / n
        turns.append(torch.sin(angle))
        turns.append(torch.cos(angle))
        chords.append(n / (2.0 * math.pi) * torch.sin(angle))
        # The straight line between two sites on a circle of n sites a unit apart.
        squared = squared + (n / math.pi * torch.sin(angle / 2)) ** 2
    bounded = [chord / (1.0 + squared) for chord in chords]
    return torch.stack([*turns, *bounded, torch.log1p(squared)], 1)


# Few, since the rows of all pairs are large.
@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _displacements(
    shape: tuple[int, ...], periodic: tuple[bool, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the features of every displacement, and that of each pair of sites.

    Returns:
        ``(rows, features)``; and the row of each pair ``(i, j)``, int64 ``(sites, sites)``.
    """
    circles = _circles(shape, periodic)
    features = _features_of_displacements(circles)
    sites = math.prod(shape)
    row = torch.zeros(sites, sites, dtype=torch.int64)
    grid = torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")
    for index, n in zip(grid, circles, strict=True):
        place = index.flatten()
        # From site i to site j, on the circle of this direction.
        step = (place.unsqueeze(0) - place.unsqueeze(1)) % n
        row = row * n + step
    return features.to(device), row.to(device)
