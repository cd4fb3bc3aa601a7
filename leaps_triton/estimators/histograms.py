"""The multi-histogram equations: log Z at several inverse temperatures from the draws of all."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, expect, is_real

__all__ = ["mbar", "mbar_error"]


_ITERATIONS = 200
"""Steps after which the equations count as without a solution."""

_SHARED = 0.5
"""Draws that neighbouring runs must have in common, at least."""

FINITE = ("a finite number", math.isfinite)
"""What an inverse temperature must be."""


def mbar(energies: Sequence[Tensor], betas: Sequence[float]) -> Tensor:
    """Return ``log Z(β_k) - log Z(β_0)`` of several runs, each from the draws of all.

    The multi-histogram equations are ``Z_k = Σ_n e^{-β_k H_n} / Σ_l N_l e^{-β_l H_n} / Z_l``. Their
    solution is the minimum of a convex function, found by Newton's method; its error is that of
    :func:`mbar_error`.

    Args:
        energies: ``H`` of every run, without β and not per site, of any shape.
        betas: inverse temperature of every run, no two alike.

    Returns:
        float64 ``(runs,)``.

    Raises:
        ValueError: not one non-empty run of finite energies for each of at least one β.
        RuntimeError: no solution was found, since the energies of neighbouring runs do not overlap.

    References:
        Ferrenberg, Swendsen, *Optimized Monte Carlo data analysis*, Phys. Rev. Lett. 63, 1195
        (1989); Shirts, Chodera, *Statistically optimal analysis of samples from multiple
        equilibrium states*, arXiv:0801.1426.

    Example:
        >>> import leaps_triton as lt
        >>> models = [lt.Ising((4, 4), beta) for beta in (0.2, 0.3)]
        >>> energies = [model.energy(lt.exact.sample(model, n=2000, seed=1)) for model in models]
        >>> exact = lt.exact.log_z(models[1]) - lt.exact.log_z(models[0])
        >>> abs(float(mbar(energies, [0.2, 0.3])[1]) - exact) < 0.05
        True
    """
    return solve(*pooled(energies, betas))


def mbar_error(
    energies: Sequence[Tensor], betas: Sequence[float], blocks: int = 20, together: int = 1
) -> Tensor:
    """Return the errors of :func:`mbar`, by a jackknife over blocks of draws.

    It leaves out one block of every run at a time and solves anew, which is right if a block is
    longer than the autocorrelation. Replicas of parallel tempering, which exchange, are in the same
    block if all runs have one shape, such as ``chain.values["replica_energies"].unbind(2)``.

    Args:
        energies: the same as in :func:`mbar`; ``(draws,)`` or ``(walkers, draws)`` each.
        betas: the same as in :func:`mbar`.
        blocks: consecutive parts into which each run is cut, walker after walker; at least 2.
        together: how many consecutive walkers are correlated with one another; they are cut at the
            same draws.

    Returns:
        float64 ``(runs,)``, 0 for the first.

    Raises:
        ValueError: the same as in :func:`mbar`; blocks or walkers that do not fit.
        RuntimeError: the same as in :func:`mbar`.
    """
    pool, counts, grid = pooled(energies, betas, together)
    block = blocks_of(counts, blocks)
    log_z = solve(pool, counts, grid)
    left_out = []
    for b in range(int(block.max()) + 1):
        kept = block != b
        left_out.append(solve(pool[kept], counted(kept, counts), grid, log_z))
    # Leaving out one of B blocks moves a solution by 1/(B - 1) of that block's own deviation.
    return torch.sqrt((len(left_out) - 1) * torch.stack(left_out).var(0, correction=0))


def counted(kept: Tensor, counts: Tensor) -> Tensor:
    """Return how many draws of every run are kept."""
    return torch.stack([part.sum() for part in kept.split(counts.tolist())])


def are_real(tensors: object) -> bool:
    if isinstance(tensors, Tensor) and tensors.ndim == 0:
        return False
    return isinstance(tensors, Sequence | Tensor) and all(is_real(tensor) for tensor in tensors)


def in_line(values: Tensor, axes: int, together: int) -> Tensor:
    """Return draws one after another, with walkers that belong together side by side."""
    if axes == 2 and together > 1:
        values = values.unflatten(0, (-1, together)).transpose(1, 2).flatten(1, 2)
    return values.flatten(0, max(axes, 1) - 1)


def blocks_of(counts: Tensor, blocks: int) -> Tensor:
    """Return which block each draw of every run is in."""
    name = "blocks, at most the draws of the shortest run,"
    blocks = as_integer(name, blocks, 2, min(counts.tolist()))
    # The quotient makes blocks that differ in length by one draw at most.
    return torch.cat([torch.arange(int(c)) * blocks // int(c) for c in counts])


def pooled(
    energies: Sequence[Tensor], betas: Sequence[float], together: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Return all energies one after another, the number of each run, and β."""
    expect(are_real(energies), "energies", "a tensor of real numbers a run", energies)
    expect(isinstance(betas, Sequence | Tensor | np.ndarray), "betas", "one number a run", betas)
    listed: list[float] = []
    if getattr(betas, "ndim", 1) == 1:
        listed = [as_number("betas", beta, *FINITE) for beta in betas]
    grid = torch.tensor(listed, dtype=torch.float64)
    if len(energies) != len(grid) or len(grid) < 1 or len(grid.unique()) < len(grid):
        raise ValueError(
            f"betas must be one number a run, no two alike, got {betas!r} for {len(energies)} runs"
        )
    together = as_integer("together", together, 1)
    fits = together == 1 or all(e.ndim == 2 and len(e) % together == 0 for e in energies)
    expect(fits, "together", "1, or divide the walkers of energies (walkers, draws)", together)
    # All draws, whichever run they are of: the equations ask for their energies alone.
    pool = torch.cat([in_line(e.detach().double().cpu(), e.ndim, together) for e in energies])
    counts = torch.tensor([e.numel() for e in energies])
    if not bool(pool.isfinite().all() and grid.isfinite().all() and (counts > 0).all()):
        raise ValueError("every run needs draws, and energies and betas must be finite")
    return pool, counts, grid


def log_mixture(pool: Tensor, counts: Tensor, betas: Tensor, log_z: Tensor) -> Tensor:
    """Return ``log Σ_k N_k e^{-β_k H_n} / Z_k``, ``(draws,)``."""
    # By logarithms, since e^{-β H} of a large lattice overflows float64.
    return torch.logsumexp(counts.double().log() - log_z - pool.unsqueeze(1) * betas, dim=1)


def _guess(pool: Tensor, counts: Tensor, betas: Tensor) -> Tensor:
    """Return ``log Z_k - log Z_0`` from ``d log Z/dβ = -⟨H⟩``, by the trapezoidal rule."""
    # The rule goes from each β to the next larger one, and runs may come in any order.
    order = betas.argsort()
    means = torch.stack([e.mean() for e in pool.split(counts.tolist())])[order]
    log_z = torch.zeros_like(betas)
    steps = 0.5 * (means[1:] + means[:-1]) * betas[order].diff()
    log_z[order[1:]] = -torch.cumsum(steps, dim=0)
    return log_z - log_z[0]


def solve(pool: Tensor, counts: Tensor, betas: Tensor, guess: Tensor | None = None) -> Tensor:
    """Return the ``log Z_k``, ``log Z_0 = 0``, that solve the multi-histogram equations.

    There ``Σ_n log mixture_n + Σ_k N_k log Z_k`` is least.

    Args:
        pool: all energies, ``(draws,)``.
        counts: number of draws of every run.
        betas: inverse temperature of every run.
        guess: where to begin; None for an integral over the mean energies.

    Raises:
        RuntimeError: the energies of neighbouring runs do not overlap.
    """
    n = len(pool)
    # Energies from their mean: the rest of log Z is put back at the end.
    centre = pool.mean()
    pool = pool - centre
    shift = (betas - betas[0]) * centre
    log_z = _guess(pool, counts, betas)
    if guess is not None:
        log_z = guess + shift
    powers = -pool.unsqueeze(1) * betas
    for _ in range(_ITERATIONS):
        mixture = log_mixture(pool, counts, betas, log_z).unsqueeze(1)
        shares = torch.exp(counts.double().log() - log_z + powers - mixture)
        total = shares.sum(0)
        # First and second derivatives of the convex function by log Z.
        slope = counts - total
        # Moving all log Z together changes nothing; with log Z_0 fixed the matrix can be inverted.
        curvature = (torch.diag(total) - shares.T @ shares)[1:, 1:]
        # Of two runs, the curvature is the number of draws that could be of either.
        if len(betas) > 1 and float(torch.linalg.eigvalsh(curvature)[0]) < _SHARED:
            break
        # The shares of every run add up to its number of draws.
        if float(slope.abs().max()) < 1e-10 * n:
            return log_z - shift
        step = torch.linalg.solve(curvature, slope[1:])
        log_z = log_z.clone()
        # Far from the solution Newton's step may be too long; the fixed point of the equations
        # never is.
        if float(step.abs().max()) < 1.0:
            log_z[1:] -= step
        else:
            log_z = torch.logsumexp(powers - mixture, dim=0)
            log_z = log_z - log_z[0]
    raise RuntimeError(
        f"the multi-histogram equations have no solution to be trusted: energies of neighbouring "
        f"runs at beta = {betas.tolist()} do not overlap; add runs between them"
    )
