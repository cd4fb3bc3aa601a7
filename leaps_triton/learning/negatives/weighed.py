"""Walkers that are weighed while the parameters of their model change.

Walkers start exactly at ``θ_0`` with ``A = 0``. Each update ``θ_k → θ_{k+1}`` is followed by, in
this order,

1. ``A += u_{θ_k}(x) - u_{θ_{k+1}}(x)`` where the walkers are;
2. a resampling of the blocks whose effective sample size has fallen too low;
3. a move that leaves ``ρ_{θ_{k+1}} ∝ exp(-u_{θ_{k+1}})`` invariant.

If no ``θ_k`` depends on these walkers, ``E[e^A] = Z_k / Z_0`` and weighted means are means under
``ρ_{θ_k}``, however fast the parameters change. A move at the new parameters before the increment
has no such law.

References:
    Carbone, Hua, Coste, Vanden-Eijnden, *Efficient training of energy-based models using Jarzynski
    equality*, arXiv:2305.19414 (2023).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ...estimators.weights import (
    ancestors,
    effective_sample_size,
    log_mean_exp,
    normalised,
)
from ...kernels import Stream, philox, uniform64
from ...mcmc.base import BaseMove
from ...paths.annealing import AnnealingPath
from .base import Family
from .seeds import Purpose, derived_seed

__all__ = [
    "Handling",
    "WeighedWalkers",
    "carried",
    "is_fraction",
    "jarzynski_increment",
    "moved",
    "shares",
]


class WeighedWalkers(NamedTuple):
    """Weighted walkers on their way through parameters."""

    configurations: Tensor
    """``(walkers, *shape)``"""
    log_weights: Tensor
    """``A``, float64 ``(walkers,)``; after a resampling, from the block's ``log mean e^A`` on"""
    walkers: Tensor
    """Global indices, int64 ``(walkers,)``"""
    sweep: int
    """Sweeps so far, the event counter of their random numbers"""
    ess_trace: Tensor
    """ESS of all walkers after each update, before any resampling there, float64 ``(updates,)``"""
    resampled: Tensor
    """Blocks resampled after each update, int64 ``(updates,)``"""

    @classmethod
    def begin(cls, configurations: Tensor, log_weights: Tensor, first: int = 0) -> "WeighedWalkers":
        """Return walkers before any update.

        Args:
            configurations: ``(walkers, *shape)``.
            log_weights: ``A``, float64 ``(walkers,)``.
            first: global index of the first of them.
        """
        walkers = torch.arange(first, first + len(log_weights), device=log_weights.device)
        trace = torch.empty(0, dtype=torch.float64)
        resampled = torch.empty(0, dtype=torch.int64)
        return cls(configurations, log_weights, walkers, 0, trace, resampled)

    @property
    def updates(self) -> int:
        """Return how often the parameters have changed so far."""
        return len(self.ess_trace)


class Handling(NamedTuple):
    """How walkers are carried from parameters to parameters."""

    move: BaseMove
    """What leaves the law at the new parameters invariant"""
    seed: int
    """In [0, 2³²)"""
    resample_below: float = 0.0
    """ESS of a block, as a fraction of its walkers, below which it is resampled; 0 for never"""
    block: int = 1
    """Walkers resampled among themselves"""


def jarzynski_increment(
    family: Family, configurations: Tensor, before: Tensor, after: Tensor
) -> Tensor:
    """Return ``u_θ(x) - u_θ'(x)``, what ``A`` gains when the parameters change from θ to θ'.

    Args:
        family: whose parameters they are.
        configurations: where the walkers are, not moved yet, ``(walkers, *shape)``.
        before: ``θ``, float64 ``(parameters,)``.
        after: ``θ'``, likewise.

    Returns:
        float64 ``(walkers,)``.
    """
    return family.u(configurations, before) - family.u(configurations, after)


def is_fraction(number: float) -> bool:
    """Return whether a number is in [0, 1]."""
    return 0.0 <= number <= 1.0


def shares(walkers: WeighedWalkers) -> Tensor:
    """Return the weights of walkers, of sum 1, float64 ``(walkers,)``."""
    return normalised(walkers.log_weights)


def carried(
    family: Family,
    walkers: WeighedWalkers,
    before: Tensor,
    after: Tensor,
    handling: Handling,
) -> WeighedWalkers:
    """Return walkers after an update of the parameters: weighed, resampled if need be, and moved.

    Args:
        family: whose parameters they are.
        walkers: weighted for ``ρ`` at ``before``.
        before: ``θ``, float64 ``(parameters,)``.
        after: ``θ'``, likewise.
        handling: move, random numbers and resampling.

    Raises:
        RuntimeError: a log-weight is not finite.
    """
    gained = jarzynski_increment(family, walkers.configurations, before, after)
    log_weights = walkers.log_weights + gained
    _check_finite(log_weights, walkers)
    ess = effective_sample_size(log_weights).cpu().reshape(1)
    trace = torch.cat([walkers.ess_trace, ess])
    # Before the move, which parts the copies of one walker.
    weighed = resampled(walkers._replace(log_weights=log_weights), handling)
    weighed = weighed._replace(ess_trace=trace)
    return moved(family, weighed, after, handling)


def moved(
    family: Family, walkers: WeighedWalkers, theta: Tensor, handling: Handling
) -> WeighedWalkers:
    """Return walkers after one step of the move at parameters ``theta``; weights stay.

    Args:
        family: whose parameters they are.
        walkers: weighted for ``ρ`` at ``theta``.
        theta: float64 ``(parameters,)``.
        handling: move and random numbers.
    """
    path = AnnealingPath(family.at(theta))
    hidden = derived_seed(handling.seed, Purpose.HIDDEN)
    whole = family.refreshed(walkers.configurations, theta, walkers.walkers, walkers.sweep, hidden)
    chain = handling.move.init(whole, walkers.walkers)
    # Counted on: the sweep is the event word, and no step may repeat one.
    chain = chain._replace(sweep=walkers.sweep)
    chain, _ = handling.move.advance(chain, path, 1.0, handling.seed)
    return walkers._replace(configurations=chain.configurations, sweep=chain.sweep)


def resampled(walkers: WeighedWalkers, handling: Handling) -> WeighedWalkers:
    """Return walkers of which the blocks of low effective sample size were drawn anew.

    Blocks stay independent of one another: each keeps its own ``log mean e^A``.

    Args:
        walkers: weighted walkers; those of a block follow one another.
        handling: the threshold, the block and the random numbers.
    """
    log_weights = walkers.log_weights.clone()
    source = torch.arange(len(log_weights), device=log_weights.device)
    blocks = source.clone().split(handling.block)
    low = _low_blocks(log_weights, handling)
    for index in low:
        own = blocks[index]
        drawn = _descent(log_weights[own], walkers, int(own[0]), handling.seed)
        source[own] = own[drawn]
        # An equal share of the block's weight, so that the mean of e^A stays the same.
        log_weights[own] = log_mean_exp(log_weights[own])
    resampled_blocks = torch.cat([walkers.resampled, torch.tensor([len(low)])])
    configurations = walkers.configurations
    if low:
        configurations = configurations[source]
    return walkers._replace(
        configurations=configurations, log_weights=log_weights, resampled=resampled_blocks
    )


def _low_blocks(log_weights: Tensor, handling: Handling) -> list[int]:
    """Return which blocks have an effective sample size below the threshold."""
    if handling.resample_below == 0.0:
        return []
    size = handling.block
    whole = len(log_weights) // size
    sizes = effective_sample_size(log_weights[: whole * size].view(whole, size))
    low: list[int] = (sizes < handling.resample_below).nonzero().flatten().tolist()
    # The last block may be short.
    rest = log_weights[whole * size :]
    if len(rest) > 0 and float(effective_sample_size(rest)) < handling.resample_below:
        low.append(whole)
    return low


def _descent(log_weights: Tensor, walkers: WeighedWalkers, first: int, seed: int) -> Tensor:
    """Return the ancestors of the slots of one block, in random order."""
    slots = torch.arange(len(log_weights), device=log_weights.device)
    # The first walker of the block names it, and the update is the event.
    named = walkers.walkers[first]
    words = philox(seed, Stream.RESAMPLE, slots, walkers.updates, 0, named, log_weights.device)
    drawn = ancestors(log_weights, uniform64(words[0], words[1]))
    order = uniform64(words[2], words[3]).argsort(stable=True)
    return drawn[order]


def _check_finite(log_weights: Tensor, walkers: WeighedWalkers) -> None:
    """Raise a RuntimeError naming the first walker whose log-weight is not finite."""
    bad = ~log_weights.isfinite()
    if not bool(bad.any()):
        return
    row = int(bad.nonzero()[0])
    raise RuntimeError(
        f"walker {int(walkers.walkers[row])} has log-weight {float(log_weights[row])} after "
        f"update {walkers.updates + 1} of the parameters; take a smaller learning_rate, or check "
        f"the model's energy"
    )
