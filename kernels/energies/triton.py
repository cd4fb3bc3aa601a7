"""Kernel of the ops ``energy`` and ``local_energy``."""

import itertools
import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config
from ..device import bond, flip_field, kernel, neighbours, pair_field, state_field
from ..variants import KINDS, Variant, kind_of, launch, padded, periodic_bits, site_stride

__all__ = ["VARIANTS", "energy", "local_energy"]

CONFIG = config("energies")
CHUNK = CONFIG.launch["CHUNK"]
"""Sites of one program; of larger lattices the sums of several are added afterwards."""
BINS = 128
"""Of the histogram of states: a power of two, and more than there may be states."""


@triton.jit
def add_terms(
    total, b_x, p_x, o_site, m_site, p_coupling, p_bond, p_site,
    s_coupling_axis, s_coupling_site, s_site_state, o_field, q, n0, n1, n2, n3, periodic,
    NDIM: tl.constexpr, UNIFORM: tl.constexpr,
):  # fmt: skip
    """Add the field and the bonds of each site to ``total``, float64 ``[sites]``.

    Each bond counts once, with the site from which it leads in positive direction.
    """
    total += tl.load(p_site + b_x * s_site_state + o_field, mask=m_site, other=0.0)
    for axis in tl.static_range(4 - NDIM, 4):
        o_forward, _, m_forward, _ = neighbours(o_site, axis, NDIM, n0, n1, n2, n3, periodic)
        m_forward &= m_site
        b_forward = tl.load(p_x + o_forward, mask=m_forward, other=0).to(tl.int32)
        b_bond = bond(
            p_coupling, s_coupling_axis, s_coupling_site, o_site, m_forward, axis, NDIM, UNIFORM
        )
        total += b_bond * tl.load(p_bond + b_x * q + b_forward, mask=m_forward, other=0.0)
    return total


@kernel
def local_energy_kernel(
    p_x, p_coupling, p_bond, p_site, p_beta, p_energy, p_counts, p_log_ratios,
    sites: tl.int32, q: tl.int32, chunk: tl.int32, chunks: tl.int32,
    n0: tl.int32, n1: tl.int32, n2: tl.int32, n3: tl.int32, periodic: tl.int32,
    s_coupling_walker: tl.int32, s_coupling_axis: tl.int32, s_coupling_site: tl.int32,
    s_site_walker: tl.int32, s_site_state: tl.int32, s_site_site: tl.int32, s_beta: tl.int32,
    NDIM: tl.constexpr, BINARY: tl.constexpr, UNIFORM: tl.constexpr, LOG_RATIOS: tl.constexpr,
    BLOCK: tl.constexpr,
    BINS: tl.constexpr,
):  # fmt: skip
    """Compute ``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, and state counts or log-ratios.

    With LOG_RATIOS ``Δ_k(i) = β [W_{x_i+k}(i) - W_{x_i}(i)]``, ``W`` as in
    :func:`.reference.local_fields`; without, the sites in each state. One program per walker and
    chunk of sites. It is one function beyond 50 lines since all results come from one pass: a
    site's byte is read once, and neighbours come from the cache.

    ``x`` int8 ``(walkers, sites)``; ``coupling`` float64 ``(1 | walkers, 1 | axes, 1 | sites)``;
    ``bond`` float64 ``(q, q)``; ``site`` float64 ``(1 | walkers, q, 1 | sites)``; ``beta`` float64
    ``(1 | walkers,)``; ``energy`` float64 ``(walkers, chunks)``; ``counts`` int64 ``(walkers,
    chunks, q)``; ``log_ratios`` ``(walkers, q-1, sites)``.
    """
    DTYPE: tl.constexpr = p_log_ratios.dtype.element_ty
    # 64 bits, since all walkers together may have more than 2³¹ sites.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    p_x += i_walker * sites
    p_coupling += i_walker * s_coupling_walker
    p_site += i_walker * s_site_walker
    p_log_ratios += i_walker * (q - 1) * sites
    if LOG_RATIOS:
        beta = tl.load(p_beta + i_walker * s_beta).to(DTYPE)
    elif BINARY:
        ups = tl.zeros([BLOCK], tl.int32)
    else:
        counts = tl.zeros([BINS], tl.int32)
    # One float64 sum per thread's site, added up at the end: what is lost to rounding is small.
    total = tl.zeros([BLOCK], tl.float64)
    first = i_chunk * chunk
    last = tl.minimum(sites, first + chunk)
    for o_start in range(first, last, BLOCK):
        o_site = o_start + tl.arange(0, BLOCK)
        m_site = o_site < sites
        b_x = tl.load(p_x + o_site, mask=m_site, other=0).to(tl.int32)
        o_field = o_site * s_site_site
        total = add_terms(
            total, b_x, p_x, o_site, m_site, p_coupling, p_bond, p_site,
            s_coupling_axis, s_coupling_site, s_site_state, o_field,
            q, n0, n1, n2, n3, periodic, NDIM, UNIFORM,
        )  # fmt: skip
        if LOG_RATIOS:
            found = pair_field(
                p_x, o_site, m_site, p_coupling, s_coupling_axis, s_coupling_site, n0, n1, n2, n3,
                periodic,
                NDIM, UNIFORM, DTYPE,
            )  # fmt: skip
            if BINARY:
                b_flip = beta * flip_field(
                    found, p_bond, p_site, s_site_state, o_field, m_site, NDIM, UNIFORM, DTYPE
                )
                tl.store(p_log_ratios + o_site, tl.where(b_x != 0, -b_flip, b_flip), mask=m_site)
            else:
                # One row of moves after the other, so that stores are side by side.
                p_row = p_log_ratios
                b_here = state_field(
                    b_x, found, p_bond, p_site, s_site_state, o_field, m_site, q, NDIM, DTYPE
                )
                for shift in range(1, q):
                    b_there = state_field(
                        (b_x + shift) % q,
                        found,
                        p_bond,
                        p_site,
                        s_site_state,
                        o_field,
                        m_site,
                        q,
                        NDIM,
                        DTYPE,
                    )
                    tl.store(p_row + o_site, beta * (b_there - b_here), mask=m_site)
                    p_row += sites
        elif BINARY:
            # Two states need no histogram: their sum counts those in state 1. Masked sites are 0.
            ups += b_x
        else:
            counts += tl.histogram(b_x, BINS, mask=m_site)
    # The energy is minus the sum of couplings and fields.
    tl.store(p_energy + tl.program_id(0), -tl.sum(total))
    if not LOG_RATIOS:
        p_counts += tl.program_id(0).to(tl.int64) * q
        if BINARY:
            up = tl.sum(ups)
            # What is not in state 1 is in state 0.
            tl.store(p_counts, last - first - up)
            tl.store(p_counts + 1, up)
        else:
            o_state = tl.arange(0, BINS)
            tl.store(p_counts + o_state, counts, mask=o_state < q)


def _variant(ndim: int, kind: str, dtype: torch.dtype | None) -> Variant:
    constants = {
        "NDIM": ndim,
        **KINDS[kind],
        "LOG_RATIOS": dtype is not None,
        **CONFIG.constants,
        "BINS": BINS,
    }
    pointers = (torch.int8, *(torch.float64,) * 5, torch.int64, dtype or torch.float64)
    return Variant(local_energy_kernel, pointers, constants, warps=CONFIG.warps)


VARIANTS = {
    key: _variant(*key)
    for key in itertools.product((1, 2, 3, 4), KINDS, (None, torch.float32, torch.float64))
}


def _launch(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor | None,
    periodic: Sequence[bool],
    dtype: torch.dtype | None,
) -> tuple[Tensor, Tensor, Tensor]:
    walkers, *shape = configurations.shape
    sites = math.prod(shape)
    q = len(bond_table)
    variant = VARIANTS[len(shape), kind_of(q, coupling, site_table), dtype]
    coupling, coupling_strides = site_stride(coupling, shape)
    site_table, site_strides = site_stride(site_table, shape)
    chunks = triton.cdiv(sites, CHUNK)
    energies = torch.empty(walkers, chunks, dtype=torch.float64, device=configurations.device)
    # Pointers that a variant does not read must point somewhere: any float64 tensor does.
    if dtype is None:
        counts = energies.new_empty(walkers, chunks, q, dtype=torch.int64)
        log_ratios = energies
    else:
        counts = energies.new_empty(0, chunks, q, dtype=torch.int64)
        log_ratios = energies.new_empty(walkers, q - 1, *shape, dtype=dtype)
    if beta is None:
        given_beta = energies
        s_beta = 0
    else:
        given_beta = beta.contiguous()
        s_beta = int(len(beta) > 1)
    launch(
        variant, walkers * chunks, configurations.contiguous(), coupling, bond_table.contiguous(),
        site_table, given_beta, energies, counts, log_ratios, sites, q, CHUNK, chunks,
        *padded(shape), periodic_bits(periodic), *coupling_strides, *site_strides, s_beta,
    )  # fmt: skip
    if chunks == 1:
        return energies.squeeze(1), counts.squeeze(1), log_ratios
    return energies.sum(1), counts.sum(1), log_ratios


def energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    periodic: Sequence[bool],
) -> tuple[Tensor, Tensor]:
    """Launch the kernel of :func:`leaps_triton.kernels.energy`."""
    energies, counts, _ = _launch(
        configurations, coupling, bond_table, site_table, None, periodic, None
    )
    return energies, counts


def local_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Launch the kernel of :func:`leaps_triton.kernels.local_energy`."""
    energies, _, log_ratios = _launch(
        configurations, coupling, bond_table, site_table, beta, periodic, dtype
    )
    return energies, log_ratios
