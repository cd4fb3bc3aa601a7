"""Kernel of the op ``quartic_trajectories``, for lattices that fit a program."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import Config, configs
from ..device import kernel, philox, uniform64
from ..functions.triton import exponential64, logarithm
from ..lattice_fields.op import action_and_force
from ..normal_numbers.triton import pair
from ..philox import Stream
from ..variants import Variant, block_size, launch
from . import reference
from .modes import matrix_of, squared_momenta
from .reference import Trajectories

__all__ = ["MOST_SITES", "VARIANTS", "quartic_trajectories"]

CONFIGS: dict[int, Config] = {made.constants["SITES"]: made for made in configs("trajectories")}
"""Configurations by the sites of a program."""
MOST_SITES = max(CONFIGS)
"""Sites up to which a program has whole fields, and the product with all modes as one matrix."""


@triton.jit
def normal_rows(
    seed, STREAM: tl.constexpr, sweep, o_walker, p_scratch,
    SITES: tl.constexpr, WALKERS: tl.constexpr,
):  # fmt: skip
    """Return normal numbers ``[WALKERS, SITES]``, float32, those of the op ``normals``.

    They are made piece by piece, since all at once would take more registers than there are.
    """
    PIECE: tl.constexpr = 64 if SITES > 64 else SITES
    o_row = tl.arange(0, WALKERS)
    nought = tl.full((), 0, tl.uint32)
    tl.debug_barrier()
    for first in range(0, SITES, PIECE):
        o_group = first // 4 + tl.arange(0, PIECE // 4)
        words = philox(seed, STREAM, o_group[None, :], sweep, nought, o_walker[:, None])
        one, two = pair(words[0], words[1])
        three, four = pair(words[2], words[3])
        # Interleaved twice, they stand as 1, 2, 3, 4 of each group.
        b_rows = tl.interleave(tl.interleave(one, three), tl.interleave(two, four))
        o_site = first + tl.arange(0, PIECE)
        tl.store(p_scratch + o_row[:, None] * SITES + o_site[None, :], b_rows.to(tl.float32))
    tl.debug_barrier()
    o_site = tl.arange(0, SITES)
    return tl.load(p_scratch + o_row[:, None] * SITES + o_site[None, :])


@triton.jit
def total(b_numbers):
    """Return the sums of rows in float64."""
    return tl.sum(b_numbers.to(tl.float64), 1)


@triton.jit
def product(b_rows, p_scratch, p_table, SITES: tl.constexpr, WALKERS: tl.constexpr):
    """Return the product of rows with the matrix of modes.

    Blocks cannot be cut in registers: rows are laid down in memory of the program's own, and come
    back column by column, through the cache alone. A product by ``tl.dot`` would hold as many rows
    of the matrix in registers as it takes at once, which are too many for the whole fields beside.
    """
    o_row = tl.arange(0, WALKERS)
    o_site = tl.arange(0, SITES)
    # Columns of the product before are read before they are written over.
    tl.debug_barrier()
    tl.store(p_scratch + o_row[:, None] * SITES + o_site[None, :], b_rows)
    tl.debug_barrier()
    b_product = tl.zeros([WALKERS, SITES], tl.float32)
    for first in range(0, SITES, 4):
        for place in tl.static_range(4):
            b_left = tl.load(p_scratch + o_row * SITES + first + place)
            b_right = tl.load(p_table + (first + place) * SITES + o_site)
            b_product += b_left[:, None] * b_right[None, :]
    return b_product


@triton.jit
def push(
    b_field, b_modes, b_linear, cubic, p_scratch, p_table,
    SITES: tl.constexpr, WALKERS: tl.constexpr,
):  # fmt: skip
    """Return forces in modes: ``-linear · modes - 4 λ T(φ³)``."""
    b_third = product(b_field * b_field * b_field, p_scratch, p_table, SITES, WALKERS)
    return -b_linear * b_modes - cubic[:, None] * b_third


@triton.jit
def action_of(b_field, b_modes, b_momenta_squared, quartic, mass):
    """Return ``Σ_k (k̂² + m²) φ_k² + λ Σ_x φ_x⁴``, float64, of each row."""
    b_modes = b_modes.to(tl.float64)
    b_square = b_field.to(tl.float64) * b_field.to(tl.float64)
    b_weights = b_momenta_squared.to(tl.float64)[None, :] + mass[:, None]
    return tl.sum(b_weights * b_modes * b_modes, 1) + quartic * tl.sum(b_square * b_square, 1)


@kernel
def trajectories_kernel(
    p_x, p_mass, p_quartic, p_scales, p_momenta_squared, p_table, p_walkers,
    p_scratch, p_x_after, p_accepted, p_acceptance, p_error,
    count: tl.int32, sites: tl.int32, s_mass: tl.int32, s_quartic: tl.int32,
    leapfrogs: tl.int32, first_sweep: tl.int64, sweeps: tl.int32, by_mode: tl.int32,
    seed: tl.int64,
    MOMENTA: tl.constexpr, ACCEPT: tl.constexpr, SITES: tl.constexpr, WALKERS: tl.constexpr,
):  # fmt: skip
    """Follow the equations of motion in modes, ``φ_k += σ q``, ``q += σ F̂`` and halves at the ends.

    In modes the part of the force that is linear in the field is diagonal, ``-2 (k̂² + m²) φ_k``,
    and only ``φ³`` needs sites: two products with the matrix of modes a leapfrog. One program for
    WALKERS walkers and all sweeps; fields beyond the lattice are 0 and stay so. It is one function
    beyond 50 lines, since all that a sweep keeps is in registers.

    ``x`` float32 ``(walkers, sites)``; ``scales`` and ``momenta_squared`` float64 ``(sites,)``,
    ``table`` float32 ``(SITES, SITES)``, 0 beyond the lattice; ``scratch`` float32 ``(programs, 3,
    WALKERS, SITES)``; ``walkers`` int64; all others float64.
    """
    o_row = tl.program_id(0) * WALKERS + tl.arange(0, WALKERS)
    m_row = o_row < count
    # 64 bits, since all walkers together may have more than 2³¹ sites.
    o_row = o_row.to(tl.int64)
    o_site = tl.arange(0, SITES)
    m_site = o_site < sites
    o_x = o_row[:, None] * sites + o_site[None, :]
    m_x = m_row[:, None] & m_site[None, :]
    # Three blocks of the program's own: one for products, two for what is kept.
    p_scratch += tl.program_id(0).to(tl.int64) * (3 * WALKERS * SITES)
    o_kept = tl.arange(0, WALKERS)[:, None] * SITES + o_site[None, :]
    p_modes = p_scratch + WALKERS * SITES + o_kept
    p_force = p_scratch + 2 * WALKERS * SITES + o_kept
    b_field = tl.load(p_x + o_x, mask=m_x, other=0.0)
    o_walker = tl.load(p_walkers + o_row, mask=m_row, other=0)
    mass = tl.load(p_mass + o_row * s_mass, mask=m_row, other=1.0)
    quartic = tl.load(p_quartic + o_row * s_quartic, mask=m_row, other=0.0)
    b_squares = tl.load(p_momenta_squared + o_site, mask=m_site, other=0.0)
    b_scales = tl.load(p_scales + o_site, mask=m_site, other=0.0).to(tl.float32)
    b_linear = (2.0 * (b_squares[None, :] + mass[:, None])).to(tl.float32)
    cubic = (4.0 * quartic).to(tl.float32)

    # What is kept lies in memory, since it would take registers while the leapfrogs are made.
    tl.store(p_x_after + o_x, b_field, mask=m_x)
    b_modes = product(b_field, p_scratch, p_table, SITES, WALKERS)
    b_force = push(b_field, b_modes, b_linear, cubic, p_scratch, p_table, SITES, WALKERS)
    tl.store(p_modes, b_modes)
    tl.store(p_force, b_force)
    start = action_of(b_field, b_modes, b_squares, quartic, mass)
    accepted = tl.zeros([WALKERS], tl.float64)
    acceptance = tl.zeros([WALKERS], tl.float64)
    error = tl.zeros([WALKERS], tl.float64)
    nought = tl.full((), 0, tl.uint32)
    for number in range(sweeps):
        sweep = first_sweep + number
        b_momenta = normal_rows(seed, MOMENTA, sweep, o_walker, p_scratch, SITES, WALKERS)
        b_momenta = tl.where(m_site[None, :], b_momenta, 0.0)
        before = start + 0.5 * total(b_momenta.to(tl.float64) * b_momenta.to(tl.float64))
        if by_mode == 0:
            # Momenta of sites: their modes are as independent.
            b_momenta = product(b_momenta, p_scratch, p_table, SITES, WALKERS)
        b_modes = tl.load(p_modes)
        b_force = tl.load(p_force)
        b_momenta += 0.5 * b_scales[None, :] * b_force
        for leap in range(leapfrogs):
            b_modes += b_scales[None, :] * b_momenta
            b_field = product(b_modes, p_scratch, p_table, SITES, WALKERS)
            b_force = push(b_field, b_modes, b_linear, cubic, p_scratch, p_table, SITES, WALKERS)
            share = tl.where(leap == leapfrogs - 1, 0.5, 1.0)
            b_momenta += share * b_scales[None, :] * b_force
        end = action_of(b_field, b_modes, b_squares, quartic, mass)
        after = end + 0.5 * total(b_momenta.to(tl.float64) * b_momenta.to(tl.float64))
        error = after - before
        words = philox(seed, ACCEPT, nought, sweep, nought, o_walker)
        # Comparisons with NaN are false: such a walker stays.
        agreed = logarithm(uniform64(words[0], words[1])) < -error
        chance = exponential64(tl.where(error > 0.0, -error, 0.0))
        acceptance += tl.where(error == error, chance, 0.0)
        accepted += agreed.to(tl.float64)
        tl.store(p_x_after + o_x, b_field, mask=m_x & agreed[:, None])
        tl.store(p_modes, b_modes, mask=agreed[:, None])
        tl.store(p_force, b_force, mask=agreed[:, None])
        start = tl.where(agreed, end, start)
    tl.store(p_accepted + o_row, accepted, mask=m_row)
    tl.store(p_acceptance + o_row, acceptance, mask=m_row)
    tl.store(p_error + o_row, error, mask=m_row)


def _variant(chosen: Config) -> Variant:
    double = torch.float64
    single = torch.float32
    inputs = (single, double, double, double, double, single, torch.int64)
    streams = {"MOMENTA": int(Stream.FIELD_MOMENTA), "ACCEPT": int(Stream.FIELD_ACCEPT)}
    return Variant(
        trajectories_kernel,
        (*inputs, single, single, double, double, double),
        {**streams, **chosen.constants},
        warps=chosen.warps,
        stages=chosen.stages,
        registers=chosen.registers,
    )


VARIANTS: dict[tuple[object, ...], Variant] = {
    (size,): _variant(chosen) for size, chosen in CONFIGS.items()
}


def quartic_trajectories(
    configurations: Tensor,
    mass_squared: Tensor,
    quartic: Tensor,
    scales: Tensor,
    leapfrogs: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Launch the kernel of :func:`leaps_triton.kernels.quartic_trajectories`.

    Larger lattices, and float64, take torch's products between the fused kicks of
    ``action_and_force``.
    """
    given = Trajectories(
        configurations, mass_squared, quartic, scales, leapfrogs, walkers, first_sweep, sweeps, seed
    )
    sites = configurations[0].numel()
    if sites > MOST_SITES or configurations.dtype != torch.float32:
        made = reference.follow(given, lambda x: action_and_force(x, mass_squared, quartic))
        return made.configurations, made.accepted, made.acceptance, made.energy_error
    return _launch(given, sites)


def _launch(given: Trajectories, sites: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Launch one program for each group of walkers."""
    x = given.configurations.contiguous()
    device = x.device
    shape = tuple(x.shape[1:])
    count = len(x)
    size = block_size(sites, tuple(CONFIGS))
    made = torch.empty_like(x)
    numbers = [torch.empty(count, dtype=torch.float64, device=device) for _ in range(3)]
    scales = given.scales.flatten().expand(sites).contiguous()
    couplings = [given.mass_squared.contiguous(), given.quartic.contiguous()]
    strides = [int(len(coupling) > 1) for coupling in couplings]
    programs = -(-count // CONFIGS[size].constants["WALKERS"])
    by_mode = int(given.scales.numel() > 1)
    table = torch.zeros(size, size, device=device)
    table[:sites, :sites] = matrix_of(shape, torch.float32, device)
    scratch = torch.empty(programs, 3, CONFIGS[size].constants["WALKERS"], size, device=device)
    launch(
        VARIANTS[size,],
        programs,
        x,
        *couplings,
        scales,
        squared_momenta(shape, device).flatten(),
        table,
        given.walkers.contiguous(),
        scratch,
        made,
        *numbers,
        count,
        sites,
        *strides,
        given.leapfrogs,
        given.first_sweep,
        given.sweeps,
        by_mode,
        given.seed,
    )
    rounds = max(given.sweeps, 1)
    return made, numbers[0] / rounds, numbers[1] / rounds, numbers[2]
