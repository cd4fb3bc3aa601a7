"""The twins: every op of :mod:`leaps_triton.kernels` in plain torch.

A twin is the definition of its op, the path a CPU takes, and the oracle a kernel is tested against. Shapes,
units and errors are documented once, at the public op in ``kernels/__init__.py``; here stand the formulas.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from .philox import Stream

__all__ = [
    "MOST_CLASSES",
    "MOST_LANES",
    "JumpStep",
    "LocalEnergy",
    "LocalJumpSteps",
    "ProposalRates",
    "Sums",
    "TauLeapStep",
    "bonds_along",
    "cluster_labels",
    "energy",
    "heat_bath_probabilities",
    "heat_bath_sweeps",
    "hollow_conv",
    "hollow_conv_gradient",
    "jump_step",
    "local_energy",
    "local_fields",
    "local_jump_steps",
    "metropolis_acceptance",
    "metropolis_sweeps",
    "overrelaxation_sweeps",
    "philox",
    "proposal_rates",
    "proposal_rates_gradient",
    "rounded",
    "site_classes",
    "site_words",
    "state_counts",
    "tap_index",
    "tau_leap_log_probability",
    "tau_leap_log_probability_gradient",
    "tau_leap_step",
    "uniform32",
    "uniform64",
]

MOST_CLASSES, MOST_LANES = 256, 32
"""Limits of :func:`local_jump_steps`: classes, all of which a program of its kernel treats at once, and neighbours of a
site, itself included."""

Words: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


class Sums(NamedTuple):
    """What :func:`energy` returns."""

    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""
    counts: Tensor
    """Sites in each state, int64 ``(walkers, q)``."""


class LocalEnergy(NamedTuple):
    """What :func:`local_energy` returns."""

    energy: Tensor
    """``H(x)``, float64 ``(walkers,)``."""
    log_ratios: Tensor
    """``Δ``, ``(walkers, q-1, *shape)``."""


class ProposalRates(NamedTuple):
    """What :func:`proposal_rates` returns."""

    rates: Tensor
    """Out-rates of all moves, ``(walkers, q-1, *shape)``."""
    exit_rate: Tensor
    """``R``, the sum of the out-rates, float64 ``(walkers,)``."""
    corrector: Tensor
    """``κ``, float64 ``(walkers,)``."""


class JumpStep(NamedTuple):
    """What :func:`jump_step` returns."""

    configurations: Tensor
    """After the event, ``(walkers, *shape)``."""
    log_weights: Tensor
    """``A`` after the event, float64 ``(walkers,)``."""
    remaining: Tensor
    """Time left in each walker's interval, float64 ``(walkers,)``; 0 at the boundary."""
    move: Tensor
    """The move made, int64 ``(walkers,)``: ``(k-1) N + i`` for shift ``k`` of the flattened site ``i``; -1 for none."""


class LocalJumpSteps(NamedTuple):
    """What :func:`local_jump_steps` returns."""

    configurations: Tensor
    """After the events, ``(walkers, *shape)``."""
    log_weights: Tensor
    """``A`` after the events, float64 ``(walkers,)``."""
    remaining: Tensor
    """Time left in each walker's interval, float64 ``(walkers,)``; 0 at the boundary."""
    events: Tensor
    """Evaluations so far, int64 ``(walkers,)``."""
    exit_rate: Tensor
    """``R`` at the last evaluation, float64 ``(walkers,)``; 0 where there was none."""
    corrector: Tensor
    """``κ`` there, float64 ``(walkers,)``."""


class TauLeapStep(NamedTuple):
    """What :func:`tau_leap_step` returns."""

    configurations: Tensor
    """After the step, ``(walkers, *shape)``."""
    log_probability: Tensor
    """``log F(y|x)`` of the step made, float64 ``(walkers,)``."""


def philox(
    seed: int,
    stream: int,
    site: Tensor | int,
    event: Tensor | int,
    draw: Tensor | int,
    walker: Tensor | int,
    device: torch.device | None = None,
) -> Words:
    """Philox4x32-10 of key ``(seed, stream)`` and counter ``(site, event, draw, walker)``, broadcast together.

    Four words in [0, 2³²) as int64; of each argument the lower 32 bits count.
    """
    counter = [torch.as_tensor(c, dtype=torch.int64, device=device) & _WORD for c in (site, event, draw, walker)]
    key = [int(seed) & _WORD, int(stream) & _WORD]
    for _ in range(10):
        # Products wrap modulo 2**64, so the masked arithmetic shift is the exact upper half.
        first, second = counter[0] * _MULTIPLIERS[0], counter[2] * _MULTIPLIERS[1]
        counter = [
            (second >> 32 & _WORD) ^ counter[1] ^ key[0],
            second & _WORD,
            (first >> 32 & _WORD) ^ counter[3] ^ key[1],
            first & _WORD,
        ]
        key = [(k + w) & _WORD for k, w in zip(key, _WEYL, strict=True)]
    c0, c1, c2, c3 = torch.broadcast_tensors(*counter)
    return c0, c1, c2, c3


def uniform32(word: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """One word to a uniform number in (0, 1): an odd multiple of 2⁻²⁴, exact in float32, never 0 or 1."""
    return ((word >> 9).to(dtype) + 0.5) * 2.0**-23


def uniform64(high: Tensor, low: Tensor) -> Tensor:
    """Two words to a uniform float64 in (0, 1): an odd multiple of 2⁻⁵³, never 0 or 1."""
    return ((high << 20 | low >> 12).to(torch.float64) + 0.5) * 2.0**-52


def site_words(seed: int, stream: int, event: int, walkers: Tensor, sites: int, draw: int = 0) -> Tensor:
    """One word a site, ``(walkers, sites)``: word ``i % 4`` of counter ``(i // 4, event, draw, walker)``."""
    group = torch.arange((sites + 3) // 4, device=walkers.device)
    words = philox(seed, stream, group, event, draw, walkers.unsqueeze(1), walkers.device)
    return torch.stack(words, dim=-1).flatten(1)[:, :sites]


def bonds_along(coupling: Tensor, axis: int, configurations: Tensor, periodic: Sequence[bool]) -> Tensor:
    """``J`` of the bonds in positive direction ``axis``, broadcastable to ``(walkers, *shape)``; 0 off an open edge."""
    bonds = coupling.select(1, axis if coupling.shape[1] > 1 else 0)
    if periodic[axis]:
        return bonds
    length = configurations.shape[axis + 1]
    inside = torch.arange(length, device=configurations.device) < length - 1
    return bonds * inside.view(-1, *[1] * (len(periodic) - axis - 1)).to(bonds.dtype)


def local_fields(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """``W_a(i) = Σ_j J_ij φ(a, x_j) + h_i(a)``: minus the energy of site ``i`` if it were in state ``a``.

    ``(walkers, q, *shape)``. It does not read ``x_i``, so one evaluation serves every move of the site.
    """
    q = bond_table.shape[0]
    states = torch.arange(q, dtype=configurations.dtype, device=configurations.device)
    one_hot = (configurations.unsqueeze(1) == states.view(q, *[1] * len(periodic))).to(dtype)
    coupling, bond_table = coupling.to(dtype), bond_table.to(dtype)
    forward = torch.zeros_like(one_hot)
    backward = torch.zeros_like(one_hot)
    for axis in range(len(periodic)):
        bonds = bonds_along(coupling, axis, configurations, periodic).unsqueeze(1)
        forward += bonds * one_hot.roll(-1, axis + 2)
        backward += (bonds * one_hot).roll(1, axis + 2)
    table = torch.cat([bond_table, bond_table.T], dim=1)
    fields = torch.einsum("ab,wb...->wa...", table, torch.cat([forward, backward], dim=1))
    return fields + site_table.to(dtype)


def state_counts(configurations: Tensor, q: int) -> Tensor:
    """Sites in each of ``q`` states, int64 ``(walkers, q)``."""
    # Comparisons into bytes, and sums of them, are five times as fast as those of bool, into int64.
    flat = configurations.flatten(1)
    here = torch.empty_like(flat)
    counts = [torch.eq(flat, state, out=here).sum(1, dtype=torch.int32) for state in range(q)]
    return torch.stack(counts, dim=1).long()


def energy(
    configurations: Tensor, coupling: Tensor, bond_table: Tensor, site_table: Tensor, periodic: Sequence[bool]
) -> Sums:
    """``H(x) = -Σ_<ij> J_ij φ(x_i, x_j) - Σ_i h_i(x_i)``, each bond once, and the sites in each state."""
    q = bond_table.shape[0]
    counts = state_counts(configurations, q)
    if site_table.shape[2:].numel() == 1:
        total = (counts * site_table.flatten(1)).sum(1)
    else:
        table = site_table.expand(len(counts), q, *configurations.shape[1:])
        total = table.gather(1, configurations.long().unsqueeze(1)).flatten(1).sum(1)
    state = configurations.to(torch.int32)
    for axis in range(len(periodic)):
        pairs = torch.add(configurations.roll(-1, axis + 1), state, alpha=q)
        values = bond_table.flatten().index_select(0, pairs.flatten()).view(pairs.shape)
        total = total + values.mul_(bonds_along(coupling, axis, configurations, periodic)).flatten(1).sum(1)
    return Sums(-total, counts)


def local_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype = torch.float32,
) -> LocalEnergy:
    """``H(x)`` and ``Δ_k(i) = β [W_{x_i+k}(i) - W_{x_i}(i)]`` of every local move."""
    q, ndim = bond_table.shape[0], len(periodic)
    fields = local_fields(configurations, coupling, bond_table, site_table, periodic, dtype)
    state = configurations.long().unsqueeze(1)
    shifts = torch.arange(1, q, device=state.device).view(1, q - 1, *[1] * ndim)
    differences = fields.gather(1, (state + shifts) % q) - fields.gather(1, state)
    log_ratios = beta.to(dtype).view(-1, *[1] * (ndim + 1)) * differences
    return LocalEnergy(energy(configurations, coupling, bond_table, site_table, periodic).energy, log_ratios)


_REVERSIBLE = {
    # g(e^Δ) with g(u) = u g(1/u), written so that no exponential overflows
    "barker": torch.sigmoid,
    "square_root": lambda log_ratios: torch.exp(0.5 * log_ratios),
    "metropolis": lambda log_ratios: torch.exp(log_ratios.clamp(max=0.0)),
}


def proposal_rates(
    network_output: Tensor | None, log_ratios: Tensor, reversible: str | None = None, scale: float = 1.0
) -> ProposalRates:
    """``[G]_+ + scale g(e^Δ)``, its sum ``R``, and ``κ = Σ_m [G_m]_+ - [-G_m]_+ e^{Δ_m}``.

    The reversible part ``g(u) = u g(1/u)`` adds nothing to ``κ`` (detailed balance).
    """
    rates = torch.zeros_like(log_ratios)
    corrector = torch.zeros(len(log_ratios), dtype=torch.float64, device=log_ratios.device)
    if network_output is not None:
        rates = torch.relu(network_output)
        # Where G >= 0 the in-rate is 0 even if e^Δ overflows.
        in_rates = torch.relu(-network_output) * torch.exp(torch.where(network_output < 0, log_ratios, 0.0))
        corrector = (rates - in_rates).flatten(1).sum(1, dtype=torch.float64)
    if reversible is not None:
        rates = rates + scale * _REVERSIBLE[reversible](log_ratios)
    return ProposalRates(rates, rates.flatten(1).sum(1, dtype=torch.float64), corrector)


def proposal_rates_gradient(
    network_output: Tensor, log_ratios: Tensor, to_rates: Tensor | None, to_exit_rate: Tensor, to_corrector: Tensor
) -> Tensor:
    """``∂/∂G = [G > 0] (r + R' + κ') + [G < 0] e^Δ κ'``; ``r``, ``R'``, ``κ'``: the gradients of the three results."""
    per_move = (-1, *[1] * (network_output.ndim - 1))
    out = (to_exit_rate + to_corrector).to(network_output.dtype).view(per_move)
    if to_rates is not None:
        out = out + to_rates
    power = torch.exp(torch.where(network_output < 0, log_ratios, 0.0))
    inward = torch.where(network_output < 0, power * to_corrector.to(power.dtype).view(per_move), 0.0)
    return torch.where(network_output <= 0, 0.0, out) + inward


def jump_step(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    rates: Tensor,
    corrector: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> JumpStep:
    """``T ~ Exp(R)``, ``s = min(T, remaining)``, ``A += s κ``; if ``T`` ended first, a move from ``rates / R``."""
    words = philox(seed, Stream.JUMP, 0, events, 0, walkers, configurations.device)
    cumulative = rates.flatten(1).to(torch.float64).cumsum(1)
    exit_rate = cumulative[:, -1]
    finite = exit_rate.isfinite() & corrector.isfinite()
    # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
    holding = -torch.log(uniform64(words[0], words[1])) / exit_rate
    jumps = (holding < remaining) & finite
    elapsed = torch.where(jumps, holding, remaining)
    threshold = uniform64(words[2], words[3]) * exit_rate
    move = torch.searchsorted(cumulative, threshold.unsqueeze(1), right=True).squeeze(1)
    # Rounding may leave no sum above the threshold: then it is the last move with a rate.
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous()).squeeze(1)
    move = torch.where(jumps, torch.minimum(move, last), -1)

    flat = configurations.flatten(1)
    site, shift = (move % flat.shape[1]).unsqueeze(1), (move // flat.shape[1] + 1).unsqueeze(1)
    state = flat.gather(1, site)
    moved = torch.where(jumps.unsqueeze(1), (state + shift) % (rates.shape[1] + 1), state)
    return JumpStep(
        flat.scatter(1, site, moved.to(flat.dtype)).view_as(configurations),
        log_weights + torch.where(finite, elapsed * corrector, torch.nan).where(remaining != 0, 0.0),
        torch.where(finite, remaining - elapsed, remaining),
        move,
    )


def site_classes(configurations: Tensor, neighbours: Tensor, strides: Tensor) -> Tensor:
    """``Σ_l strides_l x_{neighbours[i, l]}`` of every site, int64 ``(walkers, sites)``; ``configurations`` alike."""
    # Walkers last, so that a site's neighbours are whole rows.
    rows = configurations.T.contiguous()
    total = torch.zeros(rows.shape, dtype=torch.int16, device=rows.device)
    for lane, stride in enumerate(strides.tolist()):
        total.add_(rows.index_select(0, neighbours[:, lane]), alpha=stride)
    return total.T.to(torch.int64, memory_format=torch.contiguous_format)


def _leap(configurations: Tensor, after: Tensor, rates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shift of every site as a one-hot mask, rates in float64, both ``(walkers, q-1, sites)``, and ``Λ``."""
    rates = rates.flatten(2).double()
    shift = (after.flatten(1).long() - configurations.flatten(1)) % (rates.shape[1] + 1)
    made = shift.unsqueeze(1) == torch.arange(1, rates.shape[1] + 1, device=rates.device).unsqueeze(1)
    return made, rates, rates.cumsum(1)[:, -1]


def tau_leap_log_probability(configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor) -> Tensor:
    """``Σ_i log {e^{-hΛ_i} if y_i = x_i; (1 - e^{-hΛ_i}) λ_k/Λ_i if y_i = x_i + k}``, ``Λ_i = Σ_k λ_k(i)``."""
    made, rates, total = _leap(configurations, after, rates)
    rate = torch.where(made, rates, 0.0).sum(1)
    hazard = duration.unsqueeze(1) * total
    log_move = torch.log(-torch.expm1(-hazard)) + torch.log(rate / total)
    # Without any rate it would be NaN.
    log_move = torch.where(rate == 0.0, -torch.inf, log_move)
    return torch.where(made.any(1), log_move, -hazard).sum(1)


def tau_leap_log_probability_gradient(
    configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor, to_log_probability: Tensor
) -> Tensor:
    """``∂/∂λ_k(i)``: ``-h`` if the site stays, ``h/(e^{hΛ} - 1) - 1/Λ + [k made]/λ_k`` if it moves; times the given."""
    made, double, total = _leap(configurations, after, rates)
    h = duration.unsqueeze(1)
    moved = made.any(1)
    common = torch.where(moved, h / torch.expm1(h * total) - 1.0 / total, -h).unsqueeze(1)
    gradient = to_log_probability.view(-1, 1, 1) * (common + torch.where(made, 1.0 / double, 0.0))
    return gradient.to(rates.dtype).view_as(rates)


def tau_leap_step(
    configurations: Tensor, rates: Tensor, duration: Tensor, walkers: Tensor, events: Tensor, seed: int
) -> TauLeapStep:
    """Every site at once: ``x_i → x_i + k`` with probability ``(1 - e^{-hΛ_i}) λ_k/Λ_i``; and the log of all that."""
    flat = configurations.flatten(1)
    site = torch.arange(flat.shape[1], device=flat.device)
    words = philox(seed, Stream.LEAP, site, events.unsqueeze(1), 0, walkers.unsqueeze(1))
    cumulative = rates.flatten(2).double().cumsum(1)
    total = cumulative[:, -1]
    finite = total.isfinite()
    moves = finite & (uniform64(words[0], words[1]) < -torch.expm1(-duration.unsqueeze(1) * total))
    threshold = uniform64(words[2], words[3]) * total
    shift = (cumulative <= threshold.unsqueeze(1)).sum(1) + 1
    moved = ((flat + shift) % (rates.shape[1] + 1)).to(flat.dtype)
    after = torch.where(moves, moved, flat).view_as(configurations)
    log_probability = tau_leap_log_probability(configurations, after, rates, duration)
    return TauLeapStep(after, torch.where(finite.all(1), log_probability, torch.nan))


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
        shift, uniform = shift.view(configurations.shape), uniform32(words).view(configurations.shape)
        for colour in range(num_colours):
            fields = local_fields(configurations, coupling, bond_table, site_table, periodic)
            proposed = (configurations.long() + shift) % q
            moves = (colours == colour) & _accepted(fields, configurations, proposed, beta, uniform)
            configurations = torch.where(moves, proposed.to(configurations.dtype), configurations)
    return configurations


def _accepted(fields: Tensor, configurations: Tensor, proposed: Tensor, beta: Tensor, uniform: Tensor) -> Tensor:
    """Whether each site, alone, moves to its proposed state: ``u < min(1, e^Δ)``."""
    difference = fields.gather(1, proposed.unsqueeze(1)) - fields.gather(1, configurations.long().unsqueeze(1))
    log_ratios = beta.to(fields.dtype).view(-1, *[1] * (configurations.ndim - 1)) * difference.squeeze(1)
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
        uniform = uniform32(site_words(seed, Stream.SWEEP, sweep, walkers, sites, draw=1)).view(configurations.shape)
        for colour in range(num_colours):
            fields = local_fields(configurations, coupling, bond_table, site_table, periodic, torch.float64)
            lengths = torch.einsum("nr,na,wa...->wr...", axes, states, fields).abs()
            near = lengths >= lengths.amax(1, keepdim=True) - 1e-9
            proposed = (torch.where(near, number, q).amin(1) - configurations.long()) % q
            moves = (colours == colour) & _accepted(fields, configurations, proposed, beta, uniform)
            configurations = torch.where(moves, proposed.to(configurations.dtype), configurations)
    return configurations


def cluster_labels(bonds: Tensor) -> Tensor:
    """The least site of every site's cluster: labels fall across bonds and along labels until none falls any more."""
    walkers, ndim, *shape = bonds.shape
    sites = bonds.shape[2:].numel()
    # Half the memory traffic of int64; a label beyond a wall is below twice the sites.
    word = torch.int32 if sites < 2**30 else torch.int64
    labels = torch.arange(sites, dtype=word, device=bonds.device).view(1, *shape).expand(walkers, *shape)
    # Added to a label from beyond a wall, it makes that label larger than any.
    walls = []
    for axis in range(ndim):
        wall = bonds.select(1, axis).logical_not().to(word) * sites
        walls += [(wall, axis + 1, -1), (wall.roll(1, axis + 1), axis + 1, 1)]
    while True:
        least = labels
        for wall, axis, side in walls:
            least = torch.minimum(least, labels.roll(side, axis) + wall)
        if torch.equal(least, labels):
            return labels.long().contiguous()
        # The site that a label names falls with it, or large clusters would need as many rounds as they are long.
        old, flat = labels.flatten(1).long(), least.flatten(1)
        flat = torch.minimum(flat, flat.scatter_reduce(1, old, flat, "amin"))
        for _ in range(2):
            flat = flat.gather(1, flat.long())
        labels = flat.view(walkers, *shape)


def tap_index(
    shape: Sequence[int], kernel_size: int, periodic: Sequence[bool], device: torch.device | None = None
) -> Tensor:
    """Flat index of site ``p + δ_j``, ``N`` beyond an open edge: int64 ``(kernel_size ** ndim, N)``, taps in rows."""
    ndim, radius = len(shape), kernel_size // 2
    steps = torch.arange(-radius, radius + 1, device=device)
    index = torch.zeros([1] * (2 * ndim), dtype=torch.int64, device=device)
    inside = torch.ones_like(index, dtype=torch.bool)
    for axis, (length, wraps) in enumerate(zip(shape, periodic, strict=True)):
        tap = steps.view([-1 if a == axis else 1 for a in range(2 * ndim)])
        place = tap + torch.arange(length, device=device).view([-1 if a == ndim + axis else 1 for a in range(2 * ndim)])
        index = index * length + place % length
        inside = inside & (wraps | ((place >= 0) & (place < length)))
    sites = torch.Size(shape).numel()
    return torch.where(inside, index, sites).reshape(kernel_size**ndim, sites)


def rounded(factor: Tensor, precision: str) -> Tensor:
    """A factor of a matrix product in its precision, of gradient 1; TF32, which only a GPU has, rounds nothing."""
    return factor + (factor.bfloat16().to(factor) - factor).detach() if precision == "bfloat16" else factor


def hollow_conv(
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    precision: str = "float32",
) -> Tensor:
    """See :func:`leaps_triton.kernels.hollow_conv`; holds all weights of all sites at once."""
    shape = source.shape[2:]
    activations, weight = rounded(activations, precision), rounded(weight, precision)
    index = tap_index(shape, kernel_size, periodic, source.device)
    hollow = torch.arange(len(index), device=source.device) != len(index) // 2
    pre = torch.einsum("cji,bip->bcjp", weight[:, hollow], activations.flatten(2))
    weights = torch.nn.functional.silu(pre + bias[:, hollow].unsqueeze(2)) + offset[:, hollow].unsqueeze(2)
    weights = weights + time_offset[:, None, hollow, None]
    # Site N, beyond an open edge, is 0.
    seen = torch.nn.functional.pad(source.flatten(2), (0, 1))[:, :, index[hollow]]
    return (weights * seen).sum(2).unflatten(2, shape)


@torch.enable_grad()
def hollow_conv_gradient(
    to_output: Tensor,
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    to_source: bool,
    precision: str = "float32",
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`hollow_conv` with respect to its six tensors; that of ``source`` empty unless wanted."""
    tensors = (activations, weight, bias, offset, time_offset, source)
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    output = hollow_conv(
        leaves[0], leaves[1], leaves[2], leaves[3], leaves[4], leaves[5], kernel_size, periodic, precision
    )
    a, b, c, d, e, x = torch.autograd.grad(output, leaves, to_output, allow_unused=True, materialize_grads=True)
    return a, b, c, d, e, x if to_source else x[:0]


class _Members:
    """The sites of every class, of every walker: how many, and in site order where, to be found in O(√N).

    A lattice is cut into segments; ``parts`` counts a class's sites in each, ``counts`` in all of them.
    """

    def __init__(self, configurations: Tensor, neighbours: Tensor, strides: Tensor, classes: int) -> None:
        walkers, sites = configurations.shape
        self.x, self.neighbours, self.strides, self.num_classes = configurations, neighbours, strides, classes
        self.ones = configurations.sum(1, dtype=torch.int64)
        self.length = 1 << (sites.bit_length() // 2)
        self.segments = -(-sites // self.length)
        made = site_classes(configurations, neighbours, strides)
        segment = torch.arange(sites, device=made.device) // self.length
        cells = (made + torch.arange(walkers, device=made.device).unsqueeze(1) * classes) * self.segments + segment
        self.parts = torch.zeros(walkers * classes * self.segments, dtype=torch.int16, device=made.device)
        self._add(self.parts, cells, 1)
        self.counts = self.parts.view(walkers, classes, self.segments).sum(2, dtype=torch.float64)
        beyond = self.segments * self.length - sites
        self.classes = torch.nn.functional.pad(made.to(torch.int16), (0, beyond), value=-1)

    @staticmethod
    def _add(where: Tensor, cells: Tensor, change: int) -> None:
        where.scatter_add_(
            0, cells.flatten(), torch.full((cells.numel(),), change, dtype=where.dtype, device=where.device)
        )

    def find(self, rows: Tensor, chosen: Tensor, rank: Tensor) -> Tensor:
        """The site of each of these walkers that is number ``rank``, from 0, in class ``chosen``."""
        rank = rank.unsqueeze(1)
        parts = self.parts.view(-1, self.segments).index_select(0, rows * self.num_classes + chosen)
        ends = parts.cumsum(1)
        segment = (ends <= rank).sum(1, keepdim=True)
        rank = rank - (ends - parts).gather(1, segment)
        classes = self.classes.view(-1, self.length).index_select(0, rows * self.segments + segment.squeeze(1))
        place = ((classes == chosen.unsqueeze(1)).cumsum(1) <= rank).sum(1)
        return segment.squeeze(1) * self.length + place

    def flip(self, rows: Tensor, site: Tensor) -> None:
        """Flip one site of each of these walkers."""
        x, classes = self.x.view(-1), self.classes.view(-1)
        own = rows * self.x.shape[1] + site
        sign = 1 - 2 * x.index_select(0, own)
        x.scatter_add_(0, own, sign)
        sign = sign.long()
        self.ones.scatter_add_(0, rows, sign)
        affected = self.neighbours.index_select(0, site)
        places = (rows.unsqueeze(1) * self.classes.shape[1] + affected).flatten()
        before = classes.index_select(0, places).long().view(affected.shape)
        after = before + sign.unsqueeze(1) * self.strides
        classes.scatter_(0, places, after.to(classes.dtype).flatten())
        segment = affected // self.length
        for kind, change in ((before, -1), (after, 1)):
            cells = rows.unsqueeze(1) * self.num_classes + kind
            self._add(self.counts.view(-1), cells, change)
            self._add(self.parts, cells * self.segments + segment, change)


def local_jump_steps(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    walkers: Tensor,
    events: Tensor,
    rates: Tensor,
    corrector: Tensor,
    neighbours: Tensor,
    strides: Tensor,
    first_row: int,
    seed: int,
    steps: int,
) -> LocalJumpSteps:
    """``R = Σ_c n_c P_c(K)``, ``κ = Σ_c n_c κ_c(K)``; a class drawn by ``n_c P_c / R``, and any of its sites."""
    x = configurations.flatten(1).clone(memory_format=torch.contiguous_format)
    members = _Members(x, neighbours, strides, rates.shape[1])
    log_weights, remaining, events = log_weights.clone(), remaining.clone(), events.clone()
    exit_rate, correction = torch.zeros_like(log_weights), torch.zeros_like(log_weights)
    rows = ((remaining != 0) & ~log_weights.isnan()).nonzero().squeeze(1)
    taken, batch = 0, 4
    while taken < steps and len(rows):
        batch = min(batch, steps - taken)
        event = events[rows].unsqueeze(1) + torch.arange(batch, device=rows.device)
        words = philox(seed, Stream.JUMP, 0, event, 0, walkers[rows].unsqueeze(1), rows.device)
        clock, choice = -torch.log(uniform64(words[0], words[1])), uniform64(words[2], words[3])
        for step in range(batch):
            row = members.ones.index_select(0, rows) - first_row
            counts = members.counts
            if len(rows) < len(counts):
                counts = counts.index_select(0, rows)
            kappa = torch.linalg.vecdot(counts, corrector.index_select(0, row))
            weights = rates.index_select(0, row).mul_(counts)
            cumulative = weights.cumsum(1)
            total = cumulative[:, -1]
            exit_rate[rows], correction[rows] = total, kappa
            finite = total.isfinite() & kappa.isfinite()
            left = remaining[rows]
            # R = 0 gives T = inf: the walker holds to the boundary, and its κ counts.
            holding = clock[:, step] / total
            jumps = (holding < left) & finite
            elapsed = torch.where(jumps, holding, left)
            log_weights[rows] = torch.where(finite, log_weights[rows] + elapsed * kappa, torch.nan)
            remaining[rows] = torch.where(finite, left - elapsed, left)
            events[rows] += 1

            threshold = (choice[:, step] * total).unsqueeze(1)
            chosen = torch.searchsorted(cumulative, threshold, right=True).clamp(max=rates.shape[1] - 1)
            passed = threshold - cumulative.gather(1, chosen) + weights.gather(1, chosen)
            go = jumps.nonzero().squeeze(1)
            rows, clock, choice, row = rows[go], clock[go], choice[go], row[go]
            chosen, passed = chosen.squeeze(1)[go], passed.squeeze(1)[go]
            # Rounding may put the quotient a hair outside of the class.
            rank = (passed / rates[row, chosen]).long().clamp(min=0)
            rank = rank.minimum(members.counts[rows, chosen].long() - 1)
            members.flip(rows, members.find(rows, chosen, rank))
        taken, batch = taken + batch, 16
    return LocalJumpSteps(x.view_as(configurations), log_weights, remaining, events, exit_rate, correction)
