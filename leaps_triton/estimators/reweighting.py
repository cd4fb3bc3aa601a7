"""From the inverse temperatures that were simulated to another one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..kernels.checks import as_integer, as_number, expect, is_real
from .autocorrelation import chain_estimate
from .jackknife import Estimate, weighted_estimate
from .weights import effective_sample_size

__all__ = ["Reweighted", "mbar", "mbar_error", "multi_reweight", "reweight"]


_ITERATIONS = 200
"""Steps after which the equations count as without a solution."""

_SHARED = 0.5
"""Draws that neighbouring runs must have in common, at least."""

_FINITE = ("a finite number", math.isfinite)


@dataclass(frozen=True)
class Reweighted:
    """A value at another inverse temperature.

    Attributes:
        value: the mean, or function of means.
        error: its one-sigma error.
        ess: effective sample size of the weights alone as a fraction of the draws, in (0, 1]. Where
            it is small, it and the error flatter.
    """

    value: float
    error: float
    ess: float

    def pull(self, exact: float) -> float:
        """Return the distance from ``exact`` in units of the error."""
        return Estimate(self.value, self.error).pull(exact)

    def __str__(self) -> str:
        return str(Estimate(self.value, self.error))


def reweight(
    energies: Tensor,
    values: Tensor,
    beta_from: float,
    beta_to: float,
    function: Callable[[Tensor], Tensor] | None = None,
    together: int = 1,
) -> Reweighted:
    """Return ``⟨f⟩ = ⟨f e^{-Δβ H}⟩ / ⟨e^{-Δβ H}⟩`` at ``beta_to`` from draws at ``beta_from``.

    Args:
        energies: ``H`` without β and not per site; ``(draws,)`` for independent draws, errors by
            the jackknife, or ``(walkers, draws)`` for chains, errors by the Γ-method.
        values: ``f``, of the shape of the energies, or with a last axis ``k`` more. An observable
            that has β in its definition must be evaluated with the model at ``beta_to``.
        beta_from: inverse temperature of the draws.
        beta_to: inverse temperature of the result.
        function: of means ``(..., k)`` to ``(...)``.
        together: how many consecutive walkers are correlated with one another, or draws where there
            are no walkers.

    Raises:
        ValueError: shapes that do not fit; the same as in :func:`weighted_estimate` and
            :func:`chain_estimate`.

    Warns:
        ShortChainWarning: the same as in :func:`chain_estimate`.

    References:
        Ferrenberg, Swendsen, *New Monte Carlo technique for studying phase transitions*, Phys. Rev.
        Lett. 61, 2635 (1988).

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((4, 4), beta=0.3)
        >>> x = lt.exact.sample(model, n=4000, seed=1)
        >>> values = lt.observables.energy(x, model)
        >>> result = reweight(model.energy(x), values, beta_from=0.3, beta_to=0.32)
        >>> abs(result.pull(lt.exact.ising_energy((4, 4), beta=0.32))) < 3
        True
    """
    _check_draws(energies, values, function)
    beta_from = as_number("beta_from", beta_from, *_FINITE)
    beta_to = as_number("beta_to", beta_to, *_FINITE)
    log_weights = -(beta_to - beta_from) * energies.double()
    ess = float(effective_sample_size(log_weights.flatten()))
    if energies.ndim == 1:
        found = weighted_estimate(values, log_weights, function, together)
        return Reweighted(found.value, found.error, ess)
    # One column of weights beside the weighted values: their ratio is a function of means.
    weights = torch.exp(log_weights - log_weights.max()).unsqueeze(2)
    weighted = values.double().view(*energies.shape, -1) * weights
    columns = torch.cat([weighted, weights], dim=2)
    plain = values.ndim == 2
    if function is None and not plain:
        raise ValueError(
            f"values of shape {tuple(values.shape)} need function= to make one number of their "
            f"means"
        )

    def ratio(means: Tensor) -> Tensor:
        inner = means[..., :-1] / means[..., -1:]
        if plain:
            inner = inner.squeeze(-1)
        if function is None:
            return inner
        return function(inner)

    estimate = chain_estimate(columns, ratio, together=together)
    return Reweighted(estimate.value, estimate.error, ess)


def _check_draws(
    energies: Tensor, values: Tensor, function: Callable[[Tensor], Tensor] | None
) -> None:
    for name, tensor in (("energies", energies), ("values", values)):
        expect(is_real(tensor), name, "a tensor of real numbers", tensor)
    expect(bool(energies.isfinite().all()), "energies", "finite", energies)
    _check_function(function)
    if energies.ndim not in (1, 2) or values.shape[: energies.ndim] != energies.shape:
        raise ValueError(
            f"energies must be (draws,) or (walkers, draws), and values of the same shape or with "
            f"one axis more, got {tuple(energies.shape)} and {tuple(values.shape)}"
        )


def _check_function(function: object) -> None:
    known = function is None or callable(function)
    expect(known, "function", "None or a function of means", function)


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
    return _solve(*_pooled(energies, betas))


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
    pool, counts, grid = _pooled(energies, betas, together)
    block = _blocks(counts, blocks)
    log_z = _solve(pool, counts, grid)
    left_out = []
    for b in range(int(block.max()) + 1):
        kept = block != b
        left_out.append(_solve(pool[kept], _counted(kept, counts), grid, log_z))
    return torch.sqrt((len(left_out) - 1) * torch.stack(left_out).var(0, correction=0))


def multi_reweight(
    energies: Sequence[Tensor],
    values: Sequence[Tensor],
    betas: Sequence[float],
    beta_to: float,
    function: Callable[[Tensor], Tensor] | None = None,
    blocks: int = 20,
    together: int = 1,
) -> Reweighted:
    """Return ``⟨f⟩`` at ``beta_to`` from runs at several β, with weights from :func:`mbar`.

    The error is a jackknife that leaves out one block of every run at a time and solves the
    equations anew. It is right if a block is longer than the autocorrelation.

    Args:
        energies: the same as in :func:`mbar`; ``(draws,)`` or ``(walkers, draws)`` each.
        values: ``f`` of every run, of the shape of its energies, or with a last axis ``k`` more.
        betas: the same as in :func:`mbar`.
        beta_to: inverse temperature of the result.
        function: of means ``(..., k)`` to ``(...)``.
        blocks: consecutive parts into which each run is cut, walker after walker; at least 2.
        together: how many consecutive walkers are correlated with one another; they are cut at the
            same draws.

    Raises:
        ValueError: shapes that do not fit; the same as in :func:`mbar`.
        RuntimeError: the same as in :func:`mbar`.

    Example:
        >>> import leaps_triton as lt
        >>> models = [lt.Ising((4, 4), beta) for beta in (0.2, 0.3)]
        >>> draws = [lt.exact.sample(model, n=2000, seed=1) for model in models]
        >>> energies = [model.energy(x) for model, x in zip(models, draws)]
        >>> result = multi_reweight(energies, [e / 16 for e in energies], [0.2, 0.3], beta_to=0.25)
        >>> abs(result.pull(lt.exact.ising_energy((4, 4), beta=0.25))) < 3, result.ess > 0.5
        (True, True)
    """
    pool, counts, grid = _pooled(energies, betas, together)
    beta_to = as_number("beta_to", beta_to, *_FINITE)
    _check_function(function)
    f = _values_in_line(energies, values, together)
    if f.ndim == 2 and function is None:
        raise ValueError(
            f"values of {f.shape[1]} columns need function= to make one number of their means"
        )
    block = _blocks(counts, blocks)

    def evaluate(kept: Tensor, guess: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        left = _counted(kept, counts)
        log_z = _solve(pool[kept], left, grid, guess)
        log_weights = -beta_to * pool[kept] - _log_mixture(pool[kept], left, grid, log_z)
        means = torch.tensordot(torch.softmax(log_weights, dim=0), f[kept], dims=1)
        result = means
        if function is not None:
            result = function(means)
        one = isinstance(result, Tensor) and result.ndim == 0
        expect(one, "function", "one of means (..., k) to (...)", result)
        return result, log_weights, log_z

    everything = torch.ones(len(pool), dtype=torch.bool)
    value, log_weights, log_z = evaluate(everything, None)
    count = int(block.max()) + 1
    left_out = torch.stack([evaluate(block != b, log_z)[0] for b in range(count)])
    error = math.sqrt(float((count - 1) * left_out.var(correction=0)))
    return Reweighted(float(value), error, float(effective_sample_size(log_weights)))


def _values_in_line(energies: Sequence[Tensor], values: Sequence[Tensor], together: int) -> Tensor:
    """Return the values of all runs one after another, checked; ``(draws,)`` or ``(draws, k)``."""
    expect(_are_real(values), "values", "a tensor of real numbers a run", values)
    fits = len(values) == len(energies)
    for e, v in zip(energies, values, strict=False):
        fits = fits and v.shape[: e.ndim] == e.shape and v.ndim <= e.ndim + 1
    if not fits:
        raise ValueError(
            f"values must have the shapes of the energies, or one axis more, got "
            f"{[tuple(v.shape) for v in values]} for {[tuple(e.shape) for e in energies]}"
        )
    pairs = zip(energies, values, strict=True)
    return torch.cat([_in_line(v.double(), e.ndim, together) for e, v in pairs])


def _counted(kept: Tensor, counts: Tensor) -> Tensor:
    """Return how many draws of every run are kept."""
    return torch.stack([part.sum() for part in kept.split(counts.tolist())])


def _are_real(tensors: object) -> bool:
    listed = isinstance(tensors, Sequence) or (isinstance(tensors, Tensor) and tensors.ndim > 0)
    return listed and all(is_real(tensor) for tensor in tensors)


def _in_line(values: Tensor, axes: int, together: int) -> Tensor:
    """Return draws one after another, with walkers that belong together side by side."""
    if axes == 2 and together > 1:
        values = values.unflatten(0, (-1, together)).transpose(1, 2).flatten(1, 2)
    return values.flatten(0, max(axes, 1) - 1)


def _blocks(counts: Tensor, blocks: int) -> Tensor:
    """Return which block each draw of every run is in."""
    name = "blocks, at most the draws of the shortest run,"
    blocks = as_integer(name, blocks, 2, min(counts.tolist()))
    return torch.cat([torch.arange(int(c)) * blocks // int(c) for c in counts])


def _pooled(
    energies: Sequence[Tensor], betas: Sequence[float], together: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Return all energies one after another, the number of each run, and β."""
    expect(_are_real(energies), "energies", "a tensor of real numbers a run", energies)
    expect(isinstance(betas, Sequence | Tensor | np.ndarray), "betas", "one number a run", betas)
    listed: list[float] = []
    if getattr(betas, "ndim", 1) == 1:
        listed = [as_number("betas", beta, *_FINITE) for beta in betas]
    grid = torch.tensor(listed, dtype=torch.float64)
    if len(energies) != len(grid) or len(grid) < 1 or len(grid.unique()) < len(grid):
        raise ValueError(
            f"betas must be one number a run, no two alike, got {betas!r} for {len(energies)} runs"
        )
    together = as_integer("together", together, 1)
    fits = together == 1 or all(e.ndim == 2 and len(e) % together == 0 for e in energies)
    expect(fits, "together", "1, or divide the walkers of energies (walkers, draws)", together)
    pool = torch.cat([_in_line(e.detach().double().cpu(), e.ndim, together) for e in energies])
    counts = torch.tensor([e.numel() for e in energies])
    if not bool(pool.isfinite().all() and grid.isfinite().all() and (counts > 0).all()):
        raise ValueError("every run needs draws, and energies and betas must be finite")
    return pool, counts, grid


def _log_mixture(pool: Tensor, counts: Tensor, betas: Tensor, log_z: Tensor) -> Tensor:
    """Return ``log Σ_k N_k e^{-β_k H_n} / Z_k``, ``(draws,)``."""
    return torch.logsumexp(counts.double().log() - log_z - pool.unsqueeze(1) * betas, dim=1)


def _guess(pool: Tensor, counts: Tensor, betas: Tensor) -> Tensor:
    """Return ``log Z_k - log Z_0`` from ``d log Z/dβ = -⟨H⟩``, by the trapezoidal rule."""
    order = betas.argsort()
    means = torch.stack([e.mean() for e in pool.split(counts.tolist())])[order]
    log_z = torch.zeros_like(betas)
    steps = 0.5 * (means[1:] + means[:-1]) * betas[order].diff()
    log_z[order[1:]] = -torch.cumsum(steps, dim=0)
    return log_z - log_z[0]


def _solve(pool: Tensor, counts: Tensor, betas: Tensor, guess: Tensor | None = None) -> Tensor:
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
        mixture = _log_mixture(pool, counts, betas, log_z).unsqueeze(1)
        shares = torch.exp(counts.double().log() - log_z + powers - mixture)
        total = shares.sum(0)
        slope = counts - total
        curvature = (torch.diag(total) - shares.T @ shares)[1:, 1:]
        # Of two runs, the curvature is the number of draws that could be of either.
        if len(betas) > 1 and float(torch.linalg.eigvalsh(curvature)[0]) < _SHARED:
            break
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
