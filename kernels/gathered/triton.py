"""Kernels of ``graph_energy`` and ``graph_local_energy``, and the fields that sweeps use."""

import itertools
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config
from ..device import kernel
from ..variants import Variant, launch
from . import reference
from .rule import energies_by_product, ratios_by_product

__all__ = ["VARIANTS", "flip_field", "graph_energy", "graph_local_energy", "rows_of", "state_field"]

CONFIG = config("gathered")
CHUNK = CONFIG.launch["CHUNK"]
"""Sites and edges of one program; of larger graphs the sums of several are added afterwards."""
BINS = 128
"""Of the histogram of states: a power of two, and more than there may be states."""


@triton.jit
def state_field(
    state, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field, o_site,
    m_site, sites, degree, q, DTYPE: tl.constexpr,
):  # fmt: skip
    """Return ``W_a(i) = Σ_j J_ij φ(a, x_j) + h_i(a)`` of a block of states ``a``, ``[sites]``.

    Neighbours are read from a table, row by row; sums are of type DTYPE.
    """
    field = tl.load(p_site + state * s_state + o_field, mask=m_site, other=0.0).to(DTYPE)
    for slot in range(degree):
        o_near = slot * sites + o_site
        b_near = tl.load(p_near + o_near, mask=m_site, other=0)
        b_edge = tl.load(p_edge + o_near, mask=m_site, other=0)
        m_behind = tl.load(p_behind + o_near, mask=m_site, other=0) != 0
        b_other = tl.load(p_x + b_near, mask=m_site, other=0).to(tl.int32)
        b_coupling = tl.load(p_coupling + b_edge, mask=m_site, other=0.0).to(DTYPE)
        # The first end of an edge comes first in the table, which need not be symmetric.
        o_bond = tl.where(m_behind, b_other * q + state, state * q + b_other)
        field += b_coupling * tl.load(p_bond + o_bond).to(DTYPE)
    return field


@triton.jit
def flip_field(
    p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field, o_site, m_site,
    sites, degree, DTYPE: tl.constexpr,
):  # fmt: skip
    """Return ``W_1(i) - W_0(i)`` of a model with two states, ``[sites]``.

    Four differences of the table serve all sites, and nothing is looked up per site.
    """
    b00 = tl.load(p_bond)
    b01 = tl.load(p_bond + 1)
    b10 = tl.load(p_bond + 2)
    b11 = tl.load(p_bond + 3)
    # Differences of float64 numbers, rounded once.
    ahead_up = (b11 - b01).to(DTYPE)
    ahead_down = (b10 - b00).to(DTYPE)
    behind_up = (b11 - b10).to(DTYPE)
    behind_down = (b01 - b00).to(DTYPE)
    field = tl.load(p_site + s_state + o_field, mask=m_site, other=0.0)
    field = (field - tl.load(p_site + o_field, mask=m_site, other=0.0)).to(DTYPE)
    for slot in range(degree):
        o_near = slot * sites + o_site
        b_near = tl.load(p_near + o_near, mask=m_site, other=0)
        b_edge = tl.load(p_edge + o_near, mask=m_site, other=0)
        m_behind = tl.load(p_behind + o_near, mask=m_site, other=0) != 0
        m_up = tl.load(p_x + b_near, mask=m_site, other=0) != 0
        b_coupling = tl.load(p_coupling + b_edge, mask=m_site, other=0.0).to(DTYPE)
        b_ahead = tl.where(m_up, ahead_up, ahead_down)
        field += b_coupling * tl.where(m_behind, tl.where(m_up, behind_up, behind_down), b_ahead)
    return field


@kernel
def graph_energy_kernel(
    p_x, p_coupling, p_bond, p_site, p_edges, p_energy, p_counts,
    sites: tl.int32, bonds: tl.int32, q: tl.int32, chunk: tl.int32, chunks: tl.int32,
    s_coupling: tl.int32, s_walker: tl.int32, s_state: tl.int32, s_site: tl.int32,
    BINARY: tl.constexpr,
    BLOCK: tl.constexpr,
    BINS: tl.constexpr,
):  # fmt: skip
    """Compute ``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)`` and the sites in each state.

    One program per walker and chunk of sites and edges.

    ``x`` int8 ``(walkers, sites)``; ``coupling`` float64 ``(1 | walkers, bonds + 1)``; ``bond``
    float64 ``(q, q)``; ``site`` float64 ``(1 | walkers, q, 1 | sites)``; ``edges`` int32 ``(bonds,
    2)``; ``energy`` float64 ``(walkers, chunks)``; ``counts`` int64 ``(walkers, chunks, q)``.
    """
    # 64 bits, since all walkers together may have more than 2³¹ sites.
    i_walker = (tl.program_id(0) // chunks).to(tl.int64)
    i_chunk = tl.program_id(0) % chunks
    p_x += i_walker * sites
    p_coupling += i_walker * s_coupling
    p_site += i_walker * s_walker
    # One float64 sum per thread's place, added up at the end: what is lost to rounding is small.
    total = tl.zeros([BLOCK], tl.float64)
    if BINARY:
        ups = tl.zeros([BLOCK], tl.int32)
    else:
        counts = tl.zeros([BINS], tl.int32)
    first = i_chunk * chunk
    last = tl.minimum(tl.maximum(sites, bonds), first + chunk)
    for o_start in range(first, last, BLOCK):
        o_place = o_start + tl.arange(0, BLOCK)
        m_site = o_place < sites
        m_edge = o_place < bonds
        b_x = tl.load(p_x + o_place, mask=m_site, other=0).to(tl.int32)
        total += tl.load(p_site + b_x * s_state + o_place * s_site, mask=m_site, other=0.0)
        o_first = tl.load(p_edges + 2 * o_place, mask=m_edge, other=0)
        o_second = tl.load(p_edges + 2 * o_place + 1, mask=m_edge, other=0)
        b_first = tl.load(p_x + o_first, mask=m_edge, other=0).to(tl.int32)
        b_second = tl.load(p_x + o_second, mask=m_edge, other=0).to(tl.int32)
        b_coupling = tl.load(p_coupling + o_place, mask=m_edge, other=0.0)
        total += b_coupling * tl.load(p_bond + b_first * q + b_second, mask=m_edge, other=0.0)
        if BINARY:
            # Two states need no histogram: their sum counts those in state 1. Masked sites are 0.
            ups += b_x
        else:
            counts += tl.histogram(b_x, BINS, mask=m_site)
    tl.store(p_energy + tl.program_id(0), -tl.sum(total))
    p_counts += tl.program_id(0).to(tl.int64) * q
    if BINARY:
        up = tl.sum(ups)
        # What is not in state 1 is in state 0; a chunk may lie beyond the last site.
        own = tl.maximum(tl.minimum(sites, first + chunk) - first, 0)
        tl.store(p_counts, (own - up).to(tl.int64))
        tl.store(p_counts + 1, up.to(tl.int64))
    else:
        o_state = tl.arange(0, BINS)
        tl.store(p_counts + o_state, counts.to(tl.int64), mask=o_state < q)


@kernel
def graph_ratios_kernel(
    p_x, p_coupling, p_bond, p_site, p_beta, p_near, p_edge, p_behind, p_log_ratios,
    sites: tl.int32, degree: tl.int32, q: tl.int32, tiles: tl.int32,
    s_coupling: tl.int32, s_walker: tl.int32, s_state: tl.int32, s_site: tl.int32,
    s_beta: tl.int32,
    BINARY: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute ``Δ_k(i) = β [W_{x_i+k}(i) - W_{x_i}(i)]``, one program per walker and tile of sites.

    ``x`` int8 ``(walkers, sites)``; ``coupling`` float64 ``(1 | walkers, bonds + 1)``; ``bond``
    float64 ``(q, q)``; ``site`` float64 ``(1 | walkers, q, 1 | sites)``; ``beta`` float64 ``(1 |
    walkers,)``; ``near`` and ``edge`` int32, ``behind`` int8 ``(degree, sites)``; ``log_ratios``
    ``(walkers, q-1, sites)``.
    """
    DTYPE: tl.constexpr = p_log_ratios.dtype.element_ty
    i_walker = (tl.program_id(0) // tiles).to(tl.int64)
    o_site = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    m_site = o_site < sites
    p_x += i_walker * sites
    p_coupling += i_walker * s_coupling
    p_site += i_walker * s_walker
    p_log_ratios += i_walker * (q - 1) * sites
    beta = tl.load(p_beta + i_walker * s_beta).to(DTYPE)
    o_field = o_site * s_site
    b_x = tl.load(p_x + o_site, mask=m_site, other=0).to(tl.int32)
    if BINARY:
        b_flip = beta * flip_field(
            p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field, o_site,
            m_site, sites, degree, DTYPE,
        )  # fmt: skip
        tl.store(p_log_ratios + o_site, tl.where(b_x != 0, -b_flip, b_flip), mask=m_site)
    else:
        b_here = state_field(
            b_x, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site, s_state, o_field,
            o_site, m_site, sites, degree, q, DTYPE,
        )  # fmt: skip
        # One row of moves after the other, so that stores are side by side.
        for shift in range(1, q):
            b_there = state_field(
                (b_x + shift) % q, p_x, p_near, p_edge, p_behind, p_coupling, p_bond, p_site,
                s_state, o_field, o_site, m_site, sites, degree, q, DTYPE,
            )  # fmt: skip
            tl.store(p_log_ratios + o_site, beta * (b_there - b_here), mask=m_site)
            p_log_ratios += sites


def _energy_variant(binary: bool) -> Variant:
    constants = {"BINARY": binary, **CONFIG.constants, "BINS": BINS}
    pointers = (torch.int8, *(torch.float64,) * 3, torch.int32, torch.float64, torch.int64)
    return Variant(graph_energy_kernel, pointers, constants, warps=CONFIG.warps)


def _ratios_variant(binary: bool, dtype: torch.dtype) -> Variant:
    constants = {"BINARY": binary, **CONFIG.constants}
    tables = (torch.int32, torch.int32, torch.int8)
    pointers = (torch.int8, *(torch.float64,) * 4, *tables, dtype)
    return Variant(graph_ratios_kernel, pointers, constants, warps=CONFIG.warps)


ENERGY: dict[tuple[str, str], Variant] = {
    ("energy", kind): _energy_variant(kind == "binary") for kind in ("binary", "general")
}
RATIOS: dict[tuple[str, str, torch.dtype], Variant] = {
    ("log_ratios", kind, dtype): _ratios_variant(kind == "binary", dtype)
    for kind, dtype in itertools.product(("binary", "general"), (torch.float32, torch.float64))
}
VARIANTS: dict[tuple[Any, ...], Variant] = {**ENERGY, **RATIOS}


def rows_of(coupling: Tensor, site_table: Tensor) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Return both tables, contiguous, and their strides: 0 where all share one."""
    coupling = torch.atleast_2d(coupling).contiguous()
    site_table = site_table.contiguous()
    s_coupling = 0
    if len(coupling) > 1:
        s_coupling = coupling.shape[1]
    s_walker = 0
    if len(site_table) > 1:
        s_walker = site_table[0].numel()
    places = site_table.shape[2]
    return coupling, site_table, (s_coupling, s_walker, places, int(places > 1))


def graph_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    edges: Tensor,
) -> tuple[Tensor, Tensor]:
    """Launch the kernel of :func:`leaps_triton.kernels.graph_energy`."""
    walkers, sites = configurations.shape
    q = len(bond_table)
    if energies_by_product(len(edges), sites):
        return reference.graph_energy(configurations, coupling, bond_table, site_table, edges)
    variant = ENERGY["energy", "binary" if q == 2 else "general"]
    coupling, site_table, strides = rows_of(coupling, site_table)
    bonds = len(edges)
    chunks = triton.cdiv(max(sites, bonds), CHUNK)
    energies = torch.empty(walkers, chunks, dtype=torch.float64, device=configurations.device)
    counts = energies.new_empty(walkers, chunks, q, dtype=torch.int64)
    tables = (coupling, bond_table.contiguous(), site_table, edges.contiguous())
    launch(
        variant, walkers * chunks, configurations.contiguous(), *tables, energies, counts,
        sites, bonds, q, CHUNK, chunks, *strides,
    )  # fmt: skip
    return energies.sum(1), counts.sum(1)


def graph_local_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    neighbours: Tensor,
    bond: Tensor,
    behind: Tensor,
    edges: Tensor,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Launch the kernels of :func:`leaps_triton.kernels.graph_local_energy`."""
    walkers, sites = configurations.shape
    q = len(bond_table)
    degree = len(neighbours)
    if ratios_by_product(degree, sites):
        tables = (coupling, bond_table, site_table, beta, neighbours, bond, behind, edges)
        return reference.graph_local_energy(configurations, *tables, dtype)
    energies, _ = graph_energy(configurations, coupling, bond_table, site_table, edges)
    variant = RATIOS["log_ratios", "binary" if q == 2 else "general", dtype]
    rows, site_rows, strides = rows_of(coupling, site_table)
    tiles = triton.cdiv(sites, CONFIG.constants["BLOCK"])
    log_ratios = energies.new_empty(walkers, q - 1, sites, dtype=dtype)
    around = (neighbours.contiguous(), bond.contiguous(), behind.to(torch.int8).contiguous())
    launch(
        variant, walkers * tiles, configurations.contiguous(), rows, bond_table.contiguous(),
        site_rows, beta.contiguous(), *around, log_ratios, sites, degree, q, tiles, *strides,
        int(len(beta) > 1),
    )  # fmt: skip
    return energies, log_ratios
