"""Kernel of the op ``quartic_trajectories``, for lattices that fit a program."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import Config, configs
from ..device import kernel, philox, uniform64
from ..functions.triton import exponential64
from ..lattice_fields.op import action_and_force
from ..philox import Stream
from ..variants import Variant, block_size, launch
from . import reference
from .modes import matrix_of, squared_momenta
from .reference import Trajectories
from .triton_pairs import pair

__all__ = ["MOST_SITES", "VARIANTS", "quartic_trajectories"]

CONFIGS: dict[int, Config] = {made.constants["SITES"]: made for made in configs("trajectories")}
"""Configurations by the sites of a program."""
MOST_SITES = max(CONFIGS)
"""Sites up to which a program has whole fields, and the product with all modes as one matrix."""


@triton.jit
def normal_rows(seed, STREAM: tl.constexpr, sweep, o_walker, SITES: tl.constexpr):
    """Return normal numbers ``[walkers, SITES]``, float64, those of the op ``normals``."""
    o_group = tl.arange(0, SITES // 4)
    nought = tl.full((), 0, tl.uint32)
    words = philox(seed, STREAM, o_group[None, :], sweep, nought, o_walker[:, None])
    first, second = pair(words[0], words[1])
    third, fourth = pair(words[2], words[3])
    # Interleaved twice, they stand as 1, 2, 3, 4 of each group.
    return tl.interleave(tl.interleave(first, third), tl.interleave(second, fourth))


@triton.jit
def total(b_numbers):
    """Return the sums of rows in float64."""
    return tl.sum(b_numbers.to(tl.float64), 1)


@triton.jit
def push(b_modes, b_table, b_linear, cubic):
    """Return fields, and forces in modes: ``-linear · modes - 4 λ T(φ³)``."""
    b_field = tl.dot(b_modes, b_table, input_precision="ieee")
    b_cube = b_field * b_field * b_field
    b_third = tl.dot(b_cube, b_table, input_precision="ieee")
    return b_field, -b_linear * b_modes - cubic[:, None] * b_third


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
    p_x_after, p_accepted, p_acceptance, p_error,
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
    ``table`` float32 ``(sites, sites)``; ``walkers`` int64; all others float64.
    """
    o_row = tl.program_id(0) * WALKERS + tl.arange(0, WALKERS)
    m_row = o_row < count
    # 64 bits, since all walkers together may have more than 2³¹ sites.
    o_row = o_row.to(tl.int64)
    o_site = tl.arange(0, SITES)
    m_site = o_site < sites
    o_x = o_row[:, None] * sites + o_site[None, :]
    m_x = m_row[:, None] & m_site[None, :]
    o_table = o_site[:, None] * sites + o_site[None, :]
    m_table = m_site[:, None] & m_site[None, :]
    b_table = tl.load(p_table + o_table, mask=m_table, other=0.0)
    b_kept = tl.load(p_x + o_x, mask=m_x, other=0.0)
    o_walker = tl.load(p_walkers + o_row, mask=m_row, other=0)
    mass = tl.load(p_mass + o_row * s_mass, mask=m_row, other=1.0)
    quartic = tl.load(p_quartic + o_row * s_quartic, mask=m_row, other=0.0)
    b_squares = tl.load(p_momenta_squared + o_site, mask=m_site, other=0.0)
    b_scales = tl.load(p_scales + o_site, mask=m_site, other=0.0).to(tl.float32)
    b_linear = (2.0 * (b_squares[None, :] + mass[:, None])).to(tl.float32)
    cubic = (4.0 * quartic).to(tl.float32)

    b_kept_modes = tl.dot(b_kept, b_table, input_precision="ieee")
    b_cube = b_kept * b_kept * b_kept
    b_third = tl.dot(b_cube, b_table, input_precision="ieee")
    b_kept_force = -b_linear * b_kept_modes - cubic[:, None] * b_third
    start = action_of(b_kept, b_kept_modes, b_squares, quartic, mass)
    accepted = tl.zeros([WALKERS], tl.float64)
    acceptance = tl.zeros([WALKERS], tl.float64)
    error = tl.zeros([WALKERS], tl.float64)
    nought = tl.full((), 0, tl.uint32)
    for number in range(sweeps):
        sweep = first_sweep + number
        b_momenta = normal_rows(seed, MOMENTA, sweep, o_walker, SITES).to(tl.float32)
        b_momenta = tl.where(m_site[None, :], b_momenta, 0.0)
        before = start + 0.5 * total(b_momenta.to(tl.float64) * b_momenta.to(tl.float64))
        if by_mode == 0:
            # Momenta of sites: their modes are as independent.
            b_momenta = tl.dot(b_momenta, b_table, input_precision="ieee")
        b_modes = b_kept_modes
        b_force = b_kept_force
        b_field = b_kept
        b_momenta += 0.5 * b_scales[None, :] * b_force
        for leap in range(leapfrogs):
            b_modes += b_scales[None, :] * b_momenta
            b_field, b_force = push(b_modes, b_table, b_linear, cubic)
            share = tl.where(leap == leapfrogs - 1, 0.5, 1.0)
            b_momenta += share * b_scales[None, :] * b_force
        end = action_of(b_field, b_modes, b_squares, quartic, mass)
        after = end + 0.5 * total(b_momenta.to(tl.float64) * b_momenta.to(tl.float64))
        error = after - before
        words = philox(seed, ACCEPT, nought, sweep, nought, o_walker)
        # Comparisons with NaN are false: such a walker stays.
        agreed = tl.log(uniform64(words[0], words[1])) < -error
        chance = exponential64(tl.where(error > 0.0, -error, 0.0))
        acceptance += tl.where(error == error, chance, 0.0)
        accepted += agreed.to(tl.float64)
        b_kept = tl.where(agreed[:, None], b_field, b_kept)
        b_kept_modes = tl.where(agreed[:, None], b_modes, b_kept_modes)
        b_kept_force = tl.where(agreed[:, None], b_force, b_kept_force)
        start = tl.where(agreed, end, start)
    tl.store(p_x_after + o_x, b_kept, mask=m_x)
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
        (*inputs, single, double, double, double),
        {**streams, **chosen.constants},
        warps=chosen.warps,
        stages=chosen.stages,
        registers=chosen.registers,
    )


VARIANTS: dict[int, Variant] = {size: _variant(chosen) for size, chosen in CONFIGS.items()}


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
    size = block_size(sites, tuple(VARIANTS))
    made = torch.empty_like(x)
    numbers = [torch.empty(count, dtype=torch.float64, device=device) for _ in range(3)]
    scales = given.scales.flatten().expand(sites).contiguous()
    couplings = [given.mass_squared.contiguous(), given.quartic.contiguous()]
    strides = [int(len(coupling) > 1) for coupling in couplings]
    programs = -(-count // CONFIGS[size].constants["WALKERS"])
    by_mode = int(given.scales.numel() > 1)
    launch(
        VARIANTS[size],
        programs,
        x,
        *couplings,
        scales,
        squared_momenta(shape, device).flatten(),
        matrix_of(shape, torch.float32, device),
        given.walkers.contiguous(),
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
