"""The twins of ``heat_bath_sweeps``, ``metropolis_sweeps`` and ``overrelaxation_sweeps``."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..energies.reference import local_fields
from ..philox import Stream, site_words, uniform32

__all__ = [
    "heat_bath_probabilities", "heat_bath_sweeps", "metropolis_acceptance", "metropolis_sweeps",
    "overrelaxation_sweeps",
]  # fmt: skip


def heat_bath_probabilities(fields: Tensor, beta: Tensor) -> Tensor:
    """``p_a ∝ exp(β W_a)``, ``(walkers, q, *shape)``: the law of one site given all others."""
    return torch.softmax(beta.to(fields.dtype).view(-1, *[1] * (fields.ndim - 1)) * fields, dim=1)


def heat_bath_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """``sweeps`` times: each colour in turn, all its sites at once, ``x_i ~ exp(β W_a(i))``."""
    for sweep in range(first_sweep, first_sweep + sweeps):
        words = site_words(seed, Stream.SWEEP, sweep, walkers, configurations[0].numel())
        uniform = uniform32(words).view(configurations.shape)
        for colour in range(num_colours):
            fields = local_fields(configurations, coupling, bond_table, site_table, periodic)
            # The last state needs no threshold, so rounding cannot lead out of range.
            thresholds = heat_bath_probabilities(fields, beta).cumsum(1)[:, :-1]
            drawn = (thresholds <= uniform.unsqueeze(1)).sum(1, dtype=configurations.dtype)
            configurations = torch.where(colours == colour, drawn, configurations)
    return configurations


def metropolis_acceptance(log_ratios: Tensor) -> Tensor:
    """``min(1, e^Δ)``."""
    return torch.exp(log_ratios.clamp(max=0.0))


def metropolis_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """``sweeps`` times: each colour in turn, all its sites at once, ``x_i → x_i + k`` if ``u < min(1, e^{Δ_k(i)})``."""
    q, sites = bond_table.shape[0], configurations[0].numel()
    for sweep in range(first_sweep, first_sweep + sweeps):
        shift = (site_words(seed, Stream.SWEEP, sweep, walkers, sites) * (q - 1) >> 32) + 1
        words = site_words(seed, Stream.SWEEP, sweep, walkers, sites, draw=1)
        shift, uniform = (
            shift.view(configurations.shape),
            uniform32(words).view(configurations.shape),
        )
        for colour in range(num_colours):
            fields = local_fields(configurations, coupling, bond_table, site_table, periodic)
            proposed = (configurations.long() + shift) % q
            moves = (colours == colour) & _accepted(fields, configurations, proposed, beta, uniform)
            configurations = torch.where(moves, proposed.to(configurations.dtype), configurations)
    return configurations


def _accepted(
    fields: Tensor, configurations: Tensor, proposed: Tensor, beta: Tensor, uniform: Tensor
) -> Tensor:
    """Whether each site, alone, moves to its proposed state: ``u < min(1, e^Δ)``."""
    difference = fields.gather(1, proposed.unsqueeze(1)) - fields.gather(
        1, configurations.long().unsqueeze(1)
    )
    log_ratios = beta.to(fields.dtype).view(
        -1, *[1] * (configurations.ndim - 1)
    ) * difference.squeeze(1)
    return uniform < metropolis_acceptance(log_ratios)


def overrelaxation_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """``sweeps`` times: each colour in turn, all its sites at once, ``x_i → r_i - x_i`` if ``u < min(1, e^Δ)``.

    With ``F = Σ_a W_a(i) e^{2πi a/q}``, ``r_i`` is the least ``r < q`` whose ``|Re F e^{-πi r/q}|`` is the largest, to
    1e-9: where ``F`` vanishes or lies between two axes, rounding does not choose.
    """
    q, sites = bond_table.shape[0], configurations[0].numel()
    number = torch.arange(q, device=configurations.device)
    angles = number.double() * (math.pi / q)
    states, axes = (torch.stack([angle.cos(), angle.sin()]) for angle in (2 * angles, angles))
    number = number.view(-1, *[1] * len(periodic))
    for sweep in range(first_sweep, first_sweep + sweeps):
        uniform = uniform32(site_words(seed, Stream.SWEEP, sweep, walkers, sites, draw=1)).view(
            configurations.shape
        )
        for colour in range(num_colours):
            fields = local_fields(
                configurations, coupling, bond_table, site_table, periodic, torch.float64
            )
            lengths = torch.einsum("nr,na,wa...->wr...", axes, states, fields).abs()
            near = lengths >= lengths.amax(1, keepdim=True) - 1e-9
            proposed = (torch.where(near, number, q).amin(1) - configurations.long()) % q
            moves = (colours == colour) & _accepted(fields, configurations, proposed, beta, uniform)
            configurations = torch.where(moves, proposed.to(configurations.dtype), configurations)
    return configurations
