"""Kernels of the ops ``lattice_action``, ``action_and_force`` and ``site_potential``."""

import itertools
import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config
from ..device import kernel, neighbours
from ..variants import Variant, launch, padded

__all__ = ["VARIANTS", "action_and_force", "lattice_action", "site_potential"]

CONFIG = config("lattice_fields")
CHUNK = CONFIG.launch["CHUNK"]
"""Sites of one program; of larger lattices the sums of several are added afterwards."""


@kernel
def action_kernel(
    p_x, p_mass, p_quartic, p_action, p_force,
    sites: tl.int32, chunk: tl.int32, chunks: tl.int32,
    n0: tl.int32, n1: tl.int32, n2: tl.int32, n3: tl.int32, s_mass: tl.int32, s_quartic: tl.int32,
    NDIM: tl.constexpr, FORCE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute ``S = Σ_x [(2d + m²) φ² + λ φ⁴ - φ Σ_y φ_y]``, ``y`` all neighbours of ``x``.

    With FORCE also ``2 Σ_y φ_y - 2 (2d + m²) φ - 4 λ φ³``. One program per walker and chunk of
    sites; neighbours come from the cache.

    ``x`` float32 or float64 ``(walkers, sites)``; ``mass`` and ``quartic`` float64 ``(1 |
    walkers,)``; ``action`` float64 ``(walkers, chunks)``; ``force`` like ``x``, not touched without
    FORCE.
    """
    # 64 bits, since all walkers together may have more than 2³¹ sites.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    p_x += i_walker * sites
    p_force += i_walker * sites
    diagonal = tl.load(p_mass + i_walker * s_mass) + 2.0 * NDIM
    quartic = tl.load(p_quartic + i_walker * s_quartic)
    # All four directions wrap.
    wraps = tl.full((), 15, tl.int32)
    # One float64 sum per thread's site, added up at the end: what is lost to rounding is small.
    total = tl.zeros([BLOCK], tl.float64)
    first = i_chunk * chunk
    last = tl.minimum(sites, first + chunk)
    for o_start in range(first, last, BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        m_site = o_site < sites
        b_x = tl.load(p_x + o_site, mask=m_site, other=0.0).to(tl.float64)
        b_near = tl.zeros([BLOCK], tl.float64)
        for axis in tl.static_range(4 - NDIM, 4):
            o_forward, o_backward, _, _ = neighbours(o_site, axis, NDIM, n0, n1, n2, n3, wraps)
            b_forward = tl.load(p_x + o_forward, mask=m_site, other=0.0).to(tl.float64)
            b_backward = tl.load(p_x + o_backward, mask=m_site, other=0.0).to(tl.float64)
            b_near += b_forward + b_backward
        b_square = b_x * b_x
        # Sites beyond the lattice are 0, and so are their terms.
        total += b_square * (diagonal + quartic * b_square) - b_x * b_near
        if FORCE:
            b_force = 2.0 * b_near - b_x * (2.0 * diagonal + 4.0 * quartic * b_square)
            tl.store(p_force + o_site, b_force.to(p_force.dtype.element_ty), mask=m_site)
    tl.store(p_action + tl.program_id(0), tl.sum(total))


@kernel
def potential_kernel(
    p_x, p_quadratic, p_quartic, p_potential,
    sites: tl.int32, chunk: tl.int32, chunks: tl.int32, s_quadratic: tl.int32, s_quartic: tl.int32,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute ``Σ_x (a φ_x² + λ φ_x⁴)``. One program per walker and chunk of sites.

    ``x`` float32 or float64 ``(walkers, sites)``; ``quadratic`` and ``quartic`` float64 ``(1 |
    walkers,)``; ``potential`` float64 ``(walkers, chunks)``.
    """
    # 64 bits, since all walkers together may have more than 2³¹ sites.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    p_x += i_walker * sites
    quadratic = tl.load(p_quadratic + i_walker * s_quadratic)
    quartic = tl.load(p_quartic + i_walker * s_quartic)
    total = tl.zeros([BLOCK], tl.float64)
    first = i_chunk * chunk
    last = tl.minimum(sites, first + chunk)
    for o_start in range(first, last, BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        b_x = tl.load(p_x + o_site, mask=o_site < sites, other=0.0).to(tl.float64)
        b_square = b_x * b_x
        total += b_square * (quadratic + quartic * b_square)
    tl.store(p_potential + tl.program_id(0), tl.sum(total))


def _action(ndim: int, dtype: torch.dtype, force: bool) -> Variant:
    constants = {"NDIM": ndim, "FORCE": force, **CONFIG.constants}
    pointers = (dtype, *(torch.float64,) * 3, dtype)
    return Variant(action_kernel, pointers, constants, warps=CONFIG.warps)


def _potential(dtype: torch.dtype) -> Variant:
    pointers = (dtype, *(torch.float64,) * 3)
    return Variant(potential_kernel, pointers, dict(CONFIG.constants), warps=CONFIG.warps)


TYPES = (torch.float32, torch.float64)
ACTIONS = {
    (ndim, dtype, force): _action(ndim, dtype, force)
    for ndim, dtype, force in itertools.product((1, 2, 3, 4), TYPES, (False, True))
}
POTENTIALS = {("potential", dtype): _potential(dtype) for dtype in TYPES}
VARIANTS: dict[tuple[Any, ...], Variant] = {**ACTIONS, **POTENTIALS}


def _launch(
    configurations: Tensor, mass_squared: Tensor, quartic: Tensor, force: bool
) -> tuple[Tensor, Tensor]:
    """Return the action, and the force or the field itself."""
    walkers, *shape = configurations.shape
    sites = math.prod(shape)
    variant = ACTIONS[len(shape), configurations.dtype, force]
    field = configurations.contiguous()
    chunks = triton.cdiv(sites, CHUNK)
    actions = field.new_empty(walkers, chunks, dtype=torch.float64)
    # A pointer that a variant does not write to must point somewhere.
    forces = field
    if force:
        forces = torch.empty_like(field)
    launch(
        variant, walkers * chunks, field, mass_squared.contiguous(), quartic.contiguous(), actions,
        forces, sites, CHUNK, chunks, *padded(shape), _stride(mass_squared), _stride(quartic),
    )  # fmt: skip
    return _added(actions), forces


def lattice_action(configurations: Tensor, mass_squared: Tensor, quartic: Tensor) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.lattice_action`."""
    return _launch(configurations, mass_squared, quartic, False)[0]


def action_and_force(
    configurations: Tensor, mass_squared: Tensor, quartic: Tensor
) -> tuple[Tensor, Tensor]:
    """Launch the kernel of :func:`leaps_triton.kernels.action_and_force`."""
    return _launch(configurations, mass_squared, quartic, True)


def site_potential(configurations: Tensor, quadratic: Tensor, quartic: Tensor) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.site_potential`."""
    walkers, *shape = configurations.shape
    sites = math.prod(shape)
    field = configurations.contiguous()
    chunks = triton.cdiv(sites, CHUNK)
    potentials = field.new_empty(walkers, chunks, dtype=torch.float64)
    launch(
        POTENTIALS["potential", field.dtype], walkers * chunks, field, quadratic.contiguous(),
        quartic.contiguous(), potentials, sites, CHUNK, chunks, _stride(quadratic),
        _stride(quartic),
    )  # fmt: skip
    return _added(potentials)


def _stride(coupling: Tensor) -> int:
    """Return how far the couplings of two walkers lie apart, 0 where they share one."""
    return int(len(coupling) > 1)


def _added(parts: Tensor) -> Tensor:
    """Return the sums over chunks, ``(walkers,)``."""
    if parts.shape[1] == 1:
        return parts.squeeze(1)
    return parts.sum(1)
