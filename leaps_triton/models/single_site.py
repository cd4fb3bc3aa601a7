"""Single-site moves of a model of which nothing is known but its energy.

Every move costs the energies of whole configurations: right for any energy, and slow.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ..kernels import LocalEnergy, Stream, reference, uniform32
from ..kernels.checks import shown
from ..kernels.philox import site_words
from .base import SweepPlan

__all__ = ["energies", "heat_bath_sweeps", "log_ratios", "metropolis_sweeps"]


Energy: TypeAlias = Callable[[Tensor], Tensor]
"""``(walkers, *shape)`` → float64 ``(walkers,)``."""


def energies(model: Any, configurations: Tensor) -> Tensor:
    """Return the energies of a user's model as float64 ``(walkers,)``.

    Args:
        model: anything with ``energy(configurations)``.
        configurations: ``(walkers, *shape)``.

    Raises:
        ValueError: the model's energy has another shape than one number per walker, or is NaN or
            minus infinity. Plus infinity forbids a configuration.
    """
    energy = model.energy(configurations)
    expected = (len(configurations),)
    if not isinstance(energy, Tensor) or energy.shape != expected:
        got = shown(energy)
        if isinstance(energy, Tensor):
            got = str(tuple(energy.shape))
        raise ValueError(
            f"energy(configurations) of {type(model).__name__} must have shape "
            f"{expected}, got {got}"
        )
    # Moves would take NaN for a forbidden configuration, and say nothing.
    bad = energy.isnan() | energy.isneginf()
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise ValueError(
            f"energy(configurations) of {type(model).__name__} is {float(energy[row])} for "
            f"{int(bad.sum())} of {len(configurations)} configurations, the first of them number "
            f"{row}; give finite numbers, or infinity for a forbidden configuration"
        )
    # Weights add up small differences of energies, which need float64.
    return energy.to(torch.float64)


def log_ratios(
    energy: Energy,
    configurations: Tensor,
    q: int,
    beta: Tensor,
    dtype: torch.dtype,
) -> LocalEnergy:
    """Return ``H(x)`` and ``β (H(x) - H(x^{(i,k)}))`` of all moves.

    Args:
        energy: ``H``.
        configurations: ``(walkers, *shape)``.
        q: states per site.
        beta: inverse temperature, float64 ``(1 | walkers,)``.
        dtype: type of the log-ratios, ``(walkers, q-1, *shape)``.
    """
    before = energy(configurations)
    flat = configurations.flatten(1)
    walkers, sites = flat.shape
    # A difference of large energies loses digits: float64, whatever the log-ratios are.
    differences = torch.empty(
        walkers,
        q - 1,
        sites,
        dtype=torch.float64,
        device=flat.device,
    )
    for site in range(sites):
        for shift in range(1, q):
            moved = _shifted(flat, site, shift, q)
            after = energy(moved.view_as(configurations))
            differences[:, shift - 1, site] = before - after
    # Rounded once, after the factor β.
    ratios = (beta.view(-1, 1, 1) * differences).to(dtype)
    lengths = configurations.shape[1:]
    return LocalEnergy(before, ratios.view(walkers, q - 1, *lengths))


def heat_bath_sweeps(
    energy: Energy,
    configurations: Tensor,
    q: int,
    beta: Tensor,
    plan: SweepPlan,
) -> Tensor:
    """Return configurations after heat-bath sweeps, site after site.

    Args:
        energy: ``H``.
        configurations: ``(walkers, *shape)``.
        q: states per site.
        beta: inverse temperature, float64 ``(1 | walkers,)``.
        plan: the sweeps.
    """
    flat = configurations.flatten(1).clone()
    sites = flat.shape[1]
    for sweep in range(plan.first, plan.first + plan.count):
        # A site's number belongs to its counter, whichever way the sites are passed.
        uniform = uniform32(_words(plan, sweep, sites))
        for site in _in_order(sites, plan.backward):
            minus_energies = []
            for state in range(q):
                # Overwritten in place: the last state drawn replaces what was tried.
                flat[:, site] = state
                minus_energies.append(-energy(flat.view_as(configurations)))
            fields = torch.stack(minus_energies, dim=1)
            probabilities = reference.heat_bath_probabilities(fields, beta)
            # The last threshold is 1 but for rounding, and above every uniform number.
            thresholds = probabilities.cumsum(1)[:, :-1]
            # The state is the number of thresholds at or below u.
            passed = thresholds <= uniform[:, site : site + 1]
            flat[:, site] = passed.sum(1, dtype=flat.dtype)
    return flat.view_as(configurations)


def metropolis_sweeps(
    energy: Energy,
    configurations: Tensor,
    q: int,
    beta: Tensor,
    plan: SweepPlan,
) -> Tensor:
    """Return configurations after Metropolis sweeps, site after site.

    Args:
        energy: ``H``.
        configurations: ``(walkers, *shape)``.
        q: states per site.
        beta: inverse temperature, float64 ``(1 | walkers,)``.
        plan: the sweeps.
    """
    flat = configurations.flatten(1).clone()
    sites = flat.shape[1]
    for sweep in range(plan.first, plan.first + plan.count):
        # A 32-bit word w gives the state floor((q - 1) w / 2³²) of the q - 1 others.
        shift = 1 + (_words(plan, sweep, sites) * (q - 1) >> 32)
        # A second draw, since the acceptance must be independent of the state proposed.
        uniform = uniform32(_words(plan, sweep, sites, draw=1))
        for site in _in_order(sites, plan.backward):
            moved = _shifted(flat, site, shift[:, site], q)
            # At every site anew, since a move accepted at the one before has changed it.
            before = energy(flat.view_as(configurations))
            after = energy(moved.view_as(configurations))
            log_ratio = beta * (before - after)
            acceptance = (1.0 - plan.rest) * reference.metropolis_acceptance(log_ratio)
            accepted = uniform[:, site] < acceptance
            flat = torch.where(accepted.unsqueeze(1), moved, flat)
    return flat.view_as(configurations)


def _words(plan: SweepPlan, sweep: int, sites: int, draw: int = 0) -> Tensor:
    """Return one random 32-bit word per walker and site."""
    return site_words(plan.seed, Stream.SWEEP, sweep, plan.walker_index, sites, draw)


def _in_order(sites: int, backward: bool) -> Iterable[int]:
    if backward:
        return reversed(range(sites))
    return range(sites)


def _shifted(flat: Tensor, site: int, shift: int | Tensor, q: int) -> Tensor:
    """Return configurations with ``x_i + shift mod q`` at one site."""
    moved = flat.clone()
    # State plus shift may exceed the range of int8.
    state = (flat[:, site].long() + shift) % q
    moved[:, site] = state.to(flat.dtype)
    return moved
