"""Blocks of walkers: how large, what few walkers cost, and what is kept of a block's run."""

import logging
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..paths.base import Path
from ..progress import Progress
from .along import Recorded
from .ensemble import WeightedEnsemble
from .passage import Advance

if TYPE_CHECKING:
    from .sampler import Sampler

__all__ = [
    "BlockRun",
    "Kept",
    "default_block",
    "enough",
    "heard_by",
    "joined",
    "tell_cost",
    "walkers_of",
]


_LOG = logging.getLogger("leaps_triton")

_ALIKE = 2**10
"""Sites of which whole multiples are computed: the ends of shorter arrays may round otherwise."""

_LEAST = 64
"""Walkers whose sites are whole enough on any lattice."""

_WASTE = 2
"""Walkers of a block for each one asked for, beyond which the cost is told."""

_TOLD: set[tuple[int, int]] = set()
"""Walkers and block whose cost was told already."""


class BlockRun(NamedTuple):
    """What :meth:`Sampler.run_block` returns."""

    state: Any
    """The walkers at ``t = 1``, a :class:`~leaps_triton.integrators.State`"""
    sweeps: int
    """Sweeps each has had"""
    trace: Tensor
    """``A`` of each walker on reaching ``τ_0, …, τ_{N-1}, 1``, before resampling; float64
    ``(walkers, N + 1)``"""
    resampled: Tensor
    """Whether the block was resampled there, bool ``(N + 1,)``"""
    recorded: Recorded | None = None
    """What was measured on the way; None for nothing"""


class Kept(NamedTuple):
    """What is kept of a block's run, of its first walkers; the rest is large."""

    configurations: Tensor
    log_weights: Tensor
    evaluations: Tensor
    log_sum: Tensor
    """``log Σ e^A`` at each time of the trace, float64 ``(N + 1,)``"""
    log_sum_of_squares: Tensor
    """``log Σ e^{2A}`` there"""
    mean: Tensor
    """Mean of ``A`` there"""
    deviations: Tensor
    """Sum of squared deviations from it"""
    resampled: Tensor
    recorded: Recorded | None

    @classmethod
    def of(cls, run: BlockRun, walkers: int) -> "Kept":
        """Return what is kept of the first walkers, at most all of them."""
        trace = run.trace[:walkers]
        recorded = run.recorded
        if recorded is not None:
            recorded = recorded.first(walkers)
        return cls(
            run.state.configurations[:walkers],
            run.state.log_weights[:walkers],
            run.state.events[:walkers].double() + run.sweeps,
            torch.logsumexp(trace, dim=0),
            torch.logsumexp(2.0 * trace, dim=0),
            trace.mean(0),
            (trace - trace.mean(0)).square().sum(0),
            run.resampled,
            recorded,
        )


def default_block(path: Path) -> int:
    """Return the block for a lattice: it follows from its size alone."""
    sites = math.prod(path.model.shape)
    # Memory for about 2¹⁸ sites, within bounds on the number of walkers.
    return min(1024, max(64, 2**18 // sites))


def walkers_of(sampler: "Sampler", first: int, wanted: int) -> list[Tensor]:
    """Return global indices of the walkers of blocks, one int64 tensor for each.

    Args:
        sampler: whose blocks they are.
        first: index of the first block.
        wanted: walkers that are asked for, of all these blocks.
    """
    blocks: list[Tensor] = []
    for begin in range(0, wanted, sampler.block):
        # The number kept must not change the walkers, so that some may only fill a block.
        computed = sampler.block
        if sampler.rowwise:
            computed = enough(min(sampler.block, wanted - begin), sampler.block, sampler.path)
        start = first * sampler.block + begin
        blocks.append(torch.arange(start, start + computed))
    return blocks


def enough(walkers: int, block: int, path: Path) -> int:
    """Return how many walkers of a block are computed where so many are asked for.

    Of a sampler that is :attr:`~leaps_triton.Sampler.rowwise`; others compute all.
    """
    sites = math.prod(path.model.shape)
    # Vector instructions leave a rest at the end of an array, which may round otherwise.
    step = min(_LEAST, _ALIKE // math.gcd(_ALIKE, sites))
    # A single row may be summed by several threads, in another order.
    fits = max(2, step * math.ceil(walkers / step))
    return min(block, fits)


def tell_cost(walkers: int, block: int) -> None:
    """Log once that few walkers cost as much as whole blocks of them."""
    computed = block * math.ceil(walkers / block)
    if (walkers, block) in _TOLD or computed <= _WASTE * walkers:
        return
    _TOLD.add((walkers, block))
    _LOG.warning(
        "%d walkers take the time of %d, since blocks of %d are computed whole; ask for "
        "%d, or take sampler.with_block(%d)",
        walkers,
        computed,
        block,
        computed,
        walkers,
    )


def joined(sampler: "Sampler", blocks: list[Kept], seed: int) -> WeightedEnsemble:
    """Return the walkers of all blocks as one result.

    Args:
        sampler: whose blocks they are.
        blocks: what is kept of each.
        seed: in [0, 2³²).
    """
    log_weights = torch.cat([block.log_weights for block in blocks])
    evaluations = torch.cat([block.evaluations for block in blocks])
    parts = [block.recorded for block in blocks if block.recorded is not None]
    return WeightedEnsemble(
        model=sampler.path.model,
        configurations=torch.cat([block.configurations for block in blocks]),
        log_weights=log_weights,
        log_z_start=sampler.path.start.log_z,
        times=sampler.integrator.densities[1:],
        ess_trace=_ess_trace(blocks, len(log_weights)),
        variance_trace=_variance_trace(blocks),
        resamplings=torch.stack([block.resampled for block in blocks]).sum(0),
        evaluations=float(evaluations.mean()),
        seed=seed,
        block=sampler.block,
        recorded=Recorded.join(parts) if parts else None,
        bias=sampler.integrator.bias,
    )


def _ess_trace(blocks: list[Kept], walkers: int) -> Tensor:
    """Return the ESS of all walkers at each time that a trace records, float64 ``(N + 1,)``."""
    sums = torch.stack([block.log_sum for block in blocks])
    squares = torch.stack([block.log_sum_of_squares for block in blocks])
    # (Σ e^A)² / Σ e^{2A}, in logarithms, since e^A would overflow.
    log_ess = 2.0 * torch.logsumexp(sums, dim=0) - torch.logsumexp(squares, dim=0)
    # Rounding may leave the bounds that the ESS has by Cauchy and Schwarz.
    return (torch.exp(log_ess) / walkers).clamp(1.0 / walkers, 1.0)


def _variance_trace(blocks: list[Kept]) -> Tensor:
    """Return ``Var[A]`` of all walkers at each time that a trace records, float64 ``(N + 1,)``.

    Walkers of one run alone have a variance of 0.
    """
    counts = torch.tensor([float(len(block.log_weights)) for block in blocks], dtype=torch.float64)
    walkers = float(counts.sum())
    means = torch.stack([block.mean for block in blocks])
    inside = torch.stack([block.deviations for block in blocks]).sum(0)
    counts = counts.to(means.device).unsqueeze(1)
    centre = (counts * means).sum(0) / walkers
    # What blocks differ by, besides what walkers of a block differ by.
    between = (counts * (means - centre).square()).sum(0)
    return (inside + between) / max(1.0, walkers - 1.0)


def heard_by(shown: Progress, base: int, also: Advance | None, blocks: int = 1) -> Advance:
    """Return what tells how far blocks have come that begin after ``base`` intervals of all."""

    def advance(interval: int) -> None:
        done = base + blocks * (interval + 1)
        shown.reach(done)
        if also is not None:
            also(done)

    return advance
