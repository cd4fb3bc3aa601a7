"""Sums over the lattice that leave a site out, exact to the last bit however they are computed.

What is summed are integers, and so are the kernels: an FFT in float64 is rounded to the integer
that it stands for, and then reads no site to which the kernel gives the weight 0.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...lattices.hypercubic import Lattice
from .geometry import Annuli, Orbits, band, box_of

__all__ = ["annulus_sums", "orbit_sums", "spectrum", "walks_of", "window_sum"]

_BITS = 36
"""Bits of an orbit sum: few enough that the FFT of float64 is off by less than half of the last."""


def spectrum(marks: Tensor, periodic: Sequence[bool]) -> Tensor:
    """Return the Fourier transform of integers ``(walkers, channels, *shape)`` in float64."""
    shape = marks.shape[2:]
    axes = tuple(range(2, marks.ndim))
    return torch.fft.rfftn(marks.double(), s=box_of(shape, periodic), dim=axes)


def _back(transform: Tensor, shape: Sequence[int], periodic: Sequence[bool]) -> Tensor:
    """Return the integers of a Fourier transform on the lattice, float64 ``(…, *shape)``."""
    first = transform.ndim - len(shape)
    axes = tuple(range(first, transform.ndim))
    made = torch.fft.irfftn(transform, s=box_of(shape, periodic), dim=axes)
    for axis, length in enumerate(shape):
        # Beyond the lattice stands the padding of an open direction.
        made = made.narrow(first + axis, 0, length)
    return made.round()


def annulus_sums(
    transform: Tensor, kernels: Annuli, shape: Sequence[int], periodic: Sequence[bool]
) -> Tensor:
    """Return the sum over each annulus, float64 ``(walkers, channels, annuli, *shape)``.

    Args:
        transform: that of :func:`spectrum`.
        kernels: the annuli.
        shape: lengths of the lattice.
        periodic: boundary of each direction.
    """
    return _back(transform.unsqueeze(2) * kernels.spectra, shape, periodic)


def window_sum(values: Tensor, periodic: Sequence[bool], window: int | None) -> Tensor:
    """Return the sums of integers over the window about each site, itself with them.

    Args:
        values: integers, float64 ``(walkers, channels, *shape)``.
        periodic: boundary of each direction.
        window: sites a side; None for the whole lattice.

    Returns:
        The same shape, lattice axes of size 1 for the whole lattice.
    """
    axes = tuple(range(2, values.ndim))
    if window is None:
        return values.sum(axes, keepdim=True)
    for axis, wraps in zip(axes, periodic, strict=True):
        length = values.shape[axis]
        near = band(length, wraps, window, values.device)
        values = (values.movedim(axis, -1) @ near).movedim(-1, axis)
    return values


class _OrbitSums(torch.autograd.Function):
    """``Σ_j w(orbit(i, j)) m_j`` with the weights rounded to a grid fine enough for float32."""

    @staticmethod
    def forward(
        ctx: Any,
        weights: Tensor,
        transform: Tensor,
        table: Orbits,
        shape: tuple[int, ...],
        periodic: tuple[bool, ...],
    ) -> Tensor:
        wide = weights.double()
        # The sum over all orbits bounds every result, and so how fine the grid can be.
        bound = (wide.abs() * table.sizes).sum(1, keepdim=True)
        exponent = torch.frexp(bound).exponent
        scale = torch.ldexp(torch.ones_like(bound), _BITS - exponent)
        whole = (wide * scale).round()
        kernel = _on_box(whole, table)
        axes = tuple(range(1, kernel.ndim))
        # Even in its displacement: the transform is real.
        own = torch.fft.rfftn(kernel, dim=axes).real.unsqueeze(1)
        sums = _back(transform * own, shape, periodic)
        ctx.save_for_backward(transform, weights)
        ctx.table = table
        ctx.periodic = periodic
        made = sums / scale.view(-1, 1, *[1] * len(shape))
        return made.to(weights.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        transform, weights = ctx.saved_tensors
        table: Orbits = ctx.table
        own = spectrum(gradients[0], ctx.periodic)
        # Correlations of gradients and marks at each displacement, all channels together.
        product = (own * transform.conj()).sum(1)
        box = table.numbers.shape
        axes = tuple(range(1, product.ndim))
        by_displacement = torch.fft.irfftn(product, s=box, dim=axes).flatten(1)
        orbit_count = len(table.sizes)
        by_orbit = by_displacement.new_zeros(len(product), 1 + orbit_count)
        by_orbit.index_add_(1, table.numbers.flatten(), by_displacement)
        to_weights = by_orbit[:, 1:]
        if len(weights) == 1:
            to_weights = to_weights.sum(0, keepdim=True)
        return to_weights.to(weights.dtype), None, None, None, None


def _on_box(weights: Tensor, table: Orbits) -> Tensor:
    """Return the weight of each displacement, 0 at the centre, ``(rows, *box)``."""
    centre = weights.new_zeros(len(weights), 1)
    padded = torch.cat([centre, weights], dim=1)
    kernel = padded.index_select(1, table.numbers.flatten())
    return kernel.view(-1, *table.numbers.shape)


def orbit_sums(
    weights: Tensor,
    transform: Tensor,
    table: Orbits,
    shape: Sequence[int],
    periodic: Sequence[bool],
) -> Tensor:
    """Return ``Σ_{j≠i} w(orbit(i, j)) m_j``, which does not read ``m_i`` in any bit.

    Args:
        weights: ``w``, one per orbit, ``(1 | walkers, orbits)``; they are rounded to a grid of
            2⁻³⁶ of their sum over the lattice. Gradients are those of the sum without rounding.
        transform: that of :func:`spectrum` of the integers ``m``.
        table: the orbits.
        shape: lengths of the lattice.
        periodic: boundary of each direction.

    Returns:
        ``(walkers, channels, *shape)`` in the type of the weights.
    """
    made: Tensor = _OrbitSums.apply(weights, transform, table, tuple(shape), tuple(periodic))
    return made


def walks_of(
    coupling: Tensor, shape: tuple[int, ...], periodic: tuple[bool, ...], steps: int
) -> tuple[Tensor, Tensor]:
    """Return products of couplings along walks that do not turn back, by their ends.

    ``W_{n+1} = W_n K - W_{n-1}`` with ``K = J / √(z - 1)``, ``W_0 = z / (z - 1)``, ``W_1 = K``:
    with couplings ±1 on a lattice of ``z`` neighbours these are walks without immediate return, and
    near to these else. Walks that end where they began are taken out.

    Args:
        coupling: ``J``, ``(rows, 1 | ndim, *shape or 1s)``.
        shape: lengths of the lattice.
        periodic: boundary of each direction.
        steps: those of the longest walks, at least 2.

    Returns:
        Walks of 2 … steps, ``(rows, sites, steps - 1, sites)``, from the first site to the last;
        and closed walks of 4 steps by site, ``(rows, sites)``.
    """
    neighbours = 2 * len(shape)
    sites = math.prod(shape)
    hop = _hops(coupling, shape, periodic) / math.sqrt(max(1, neighbours - 1))
    identity = torch.eye(sites, dtype=coupling.dtype, device=coupling.device)
    before = identity.expand_as(hop) * (neighbours / max(1, neighbours - 1))
    walk = hop
    found: list[Tensor] = []
    loops = hop.new_zeros(len(hop), sites)
    others = 1.0 - identity
    for step in range(2, max(4, steps) + 1):
        after = walk @ hop - before
        before = walk
        walk = after
        if step <= steps:
            found.append(walk * others)
        if step == 4:
            loops = walk.diagonal(dim1=1, dim2=2)
    return torch.stack(found, 2), loops


def _hops(coupling: Tensor, shape: tuple[int, ...], periodic: tuple[bool, ...]) -> Tensor:
    """Return the couplings between all sites, ``(rows, sites, sites)``."""
    rows = len(coupling)
    sites = math.prod(shape)
    bonds = coupling.expand(rows, len(shape), *shape).flatten(2)
    matrix = coupling.new_zeros(rows, sites * sites)
    for axis, bond in enumerate(_bonds(shape, periodic, coupling.device)):
        strength = bonds[:, axis] * bond.inside.to(coupling.dtype)
        matrix.index_add_(1, bond.there, strength)
        matrix.index_add_(1, bond.back, strength)
    return matrix.view(rows, sites, sites)


class _Bonds(NamedTuple):
    """Where the bonds of one direction stand in a matrix of all pairs of sites; ``(sites,)``."""

    there: Tensor
    back: Tensor
    inside: Tensor
    """Whether the bond does not lead off an open edge"""


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _bonds(
    shape: tuple[int, ...], periodic: tuple[bool, ...], device: torch.device
) -> tuple[_Bonds, ...]:
    """Return the bonds of each direction; made once, since sending them waits for a GPU."""
    sites = math.prod(shape)
    here = torch.arange(sites)
    found: list[_Bonds] = []
    for ahead in Lattice(shape, periodic).neighbours()[::2]:
        # What leads off an open edge adds a coupling of 0 to the site itself.
        inside = ahead >= 0
        to = torch.where(inside, ahead, here)
        there = here * sites + to
        back = to * sites + here
        found.append(_Bonds(there.to(device), back.to(device), inside.to(device)))
    return tuple(found)
