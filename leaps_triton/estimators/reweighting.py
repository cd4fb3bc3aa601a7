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

_SHARED = 0.5

_FINITE = ("a finite number", math.isfinite)


@dataclass(frozen=True)
class Reweighted:
    """A value at another inverse temperature.

    Attributes:
        value, error: as of :class:`~leaps_triton.Estimate`.
        ess: effective sample size of the weights alone as a fraction of the draws, in (0, 1]. Where
            it is small, it and the error flatter.
    """

    value: float
    error: float
    ess: float

    def pull(self, exact: float) -> float:
        """Distance from ``exact`` in units of the error."""
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
    """``⟨f⟩`` at ``beta_to`` from draws at ``beta_from``: ``⟨f e^{-Δβ H}⟩ / ⟨e^{-Δβ H}⟩``.

    Args:
        energies: ``H`` without β and not per site; ``(draws,)`` for independent draws, errors by
            the jackknife, or ``(walkers, draws)`` for chains, errors by the Γ-method.
        values: ``f``, of the shape of the energies, or with a last axis ``k`` more. An observable
            that has β in its definition must be evaluated with the model at ``beta_to``.
        beta_from: inverse temperature of the draws.
        beta_to: that of the result.
        function: of means ``(..., k)`` to ``(...)``.
        together: how many consecutive walkers are correlated with one another, or draws where there
            are no walkers.

    Raises:
        ValueError: shapes that do not fit; as :func:`weighted_estimate` and :func:`chain_estimate`.

    Warns:
        ShortChainWarning: as :func:`chain_estimate`.

    References:
        Ferrenberg, Swendsen, *New Monte Carlo technique for studying phase transitions*, Phys. Rev.
        Lett. 61, 2635 (1988).

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((4, 4), beta=0.3)
        >>> x = lt.exact.sample(model, n=4000, seed=1)
        >>> result = reweight(
        ...     model.energy(x), lt.observables.energy(x, model), beta_from=0.3, beta_to=0.32
        ... )
        >>> abs(result.pull(lt.exact.ising_energy((4, 4), beta=0.32))) < 3
        True
    """
    for name, tensor in (("energies", energies), ("values", values)):
        expect(is_real(tensor), name, "a tensor of real numbers", tensor)
    expect(bool(energies.isfinite().all()), "energies", "finite", energies)
    expect(
        function is None or callable(function), "function", "None or a function of means", function
    )
    beta_from, beta_to = (
        as_number("beta_from", beta_from, *_FINITE),
        as_number("beta_to", beta_to, *_FINITE),
    )
    if energies.ndim not in (1, 2) or values.shape[: energies.ndim] != energies.shape:
        raise ValueError(
            f"energies must be (draws,) or (walkers, draws), and values of the same shape or with one axis more, got "
            f"{tuple(energies.shape)} and {tuple(values.shape)}"
        )
    log_weights = -(beta_to - beta_from) * energies.double()
    ess = float(effective_sample_size(log_weights.flatten()))
    if energies.ndim == 1:
        return Reweighted(*weighted_estimate(values, log_weights, function, together), ess)
    weights = torch.exp(log_weights - log_weights.max())
    plain = values.ndim == 2
    columns = torch.cat(
        [values.double().view(*energies.shape, -1) * weights.unsqueeze(2), weights.unsqueeze(2)],
        dim=2,
    )
    if function is None and not plain:
        raise ValueError(
            f"values of shape {tuple(values.shape)} need function= to make one number of their means"
        )

    def ratio(means: Tensor) -> Tensor:
        inner = means[..., :-1] / means[..., -1:]
        inner = inner.squeeze(-1) if plain else inner
        return inner if function is None else function(inner)

    estimate = chain_estimate(columns, ratio, together=together)
    return Reweighted(estimate.value, estimate.error, ess)


def mbar(energies: Sequence[Tensor], betas: Sequence[float]) -> Tensor:
    """``log Z(β_k) - log Z(β_0)`` of several runs, each from the draws of all: the multi-histogram
    equations.

    ``Z_k = Σ_n e^{-β_k H_n} / Σ_l N_l e^{-β_l H_n} / Z_l``, of which the solution is the minimum of
    a convex function, found by Newton's method. Its error is that of :func:`mbar_error`.

    Args:
        energies: of every run, ``H`` without β and not per site, of any shape.
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
    """Errors of :func:`mbar`, by a jackknife that leaves out one block of every run at a time and
    solves anew.

    Right if a block is longer than the autocorrelation. Replicas of parallel tempering, which
    exchange, are in the same block if all runs have one shape, as those of
    ``chain.values["replica_energies"].unbind(2)``.

    Args:
        energies, betas: as of :func:`mbar`; ``(draws,)`` or ``(walkers, draws)`` each.
        blocks: consecutive parts into which each run is cut, walker after walker; at least 2.
        together: how many consecutive walkers are correlated with one another; they are cut at the
            same draws.

    Returns:
        float64 ``(runs,)``, 0 for the first.

    Raises:
        ValueError, RuntimeError: as :func:`mbar`; blocks or walkers that do not fit.
    """
    pool, counts, grid = _pooled(energies, betas, together)
    block = _blocks(counts, blocks)
    log_z = _solve(pool, counts, grid)
    left_out = []
    for b in range(int(block.max()) + 1):
        kept = block != b
        left = torch.stack([part.sum() for part in kept.split(counts.tolist())])
        left_out.append(_solve(pool[kept], left, grid, log_z))
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
    """``⟨f⟩`` at ``beta_to`` from runs at several inverse temperatures, with weights from
    :func:`mbar`.

    The error is a jackknife that leaves out one block of every run at a time and solves the
    equations anew. It is right if a block is longer than the autocorrelation.

    Args:
        energies, betas: as of :func:`mbar`; ``(draws,)`` or ``(walkers, draws)`` each.
        values: of every run, of the shape of its energies, or with a last axis ``k`` more.
        beta_to: inverse temperature of the result.
        function: of means ``(..., k)`` to ``(...)``.
        blocks: consecutive parts into which each run is cut, walker after walker; at least 2.
        together: how many consecutive walkers are correlated with one another; they are cut at the
            same draws.

    Raises:
        ValueError, RuntimeError: shapes that do not fit; as :func:`mbar`.

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
    expect(
        function is None or callable(function), "function", "None or a function of means", function
    )
    expect(_are_real(values), "values", "a tensor of real numbers a run", values)
    if len(values) != len(energies) or any(
        f.shape[: e.ndim] != e.shape or f.ndim > e.ndim + 1
        for e, f in zip(energies, values, strict=False)
    ):
        raise ValueError(
            f"values must have the shapes of the energies, or one axis more, got {[tuple(f.shape) for f in values]} "
            f"for {[tuple(e.shape) for e in energies]}"
        )
    block = _blocks(counts, blocks)
    f = torch.cat(
        [_in_line(v.double(), e.ndim, together) for e, v in zip(energies, values, strict=True)]
    )
    if f.ndim == 2 and function is None:
        raise ValueError(
            f"values of {f.shape[1]} columns need function= to make one number of their means"
        )

    def evaluate(kept: Tensor, guess: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        left = torch.stack([part.sum() for part in kept.split(counts.tolist())])
        log_z = _solve(pool[kept], left, grid, guess)
        log_weights = -beta_to * pool[kept] - _log_mixture(pool[kept], left, grid, log_z)
        means = torch.tensordot(torch.softmax(log_weights, dim=0), f[kept], dims=1)
        result = means if function is None else function(means)
        one = isinstance(result, Tensor) and result.ndim == 0
        expect(one, "function", "one of means (..., k) to (...)", result)
        return result, log_weights, log_z

    value, log_weights, log_z = evaluate(torch.ones(len(pool), dtype=torch.bool), None)
    left_out = torch.stack([evaluate(block != b, log_z)[0] for b in range(int(block.max()) + 1)])
    error = math.sqrt(float((len(left_out) - 1) * left_out.var(correction=0)))
    return Reweighted(float(value), error, float(effective_sample_size(log_weights)))


def _are_real(tensors: object) -> bool:
    if isinstance(tensors, Tensor) and tensors.ndim == 0:
        return False
    return isinstance(tensors, Sequence | Tensor) and all(is_real(tensor) for tensor in tensors)


def _in_line(values: Tensor, axes: int, together: int) -> Tensor:
    """Draws one after another, those of walkers that belong together side by side."""
    if axes == 2 and together > 1:
        values = values.unflatten(0, (-1, together)).transpose(1, 2).flatten(1, 2)
    return values.flatten(0, max(axes, 1) - 1)


def _blocks(counts: Tensor, blocks: int) -> Tensor:
    """Which block each draw of every run is in."""
    blocks = as_integer(
        "blocks, at most the draws of the shortest run,", blocks, 2, min(counts.tolist())
    )
    return torch.cat([torch.arange(int(c)) * blocks // int(c) for c in counts])


def _pooled(
    energies: Sequence[Tensor], betas: Sequence[float], together: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """All energies one after another, the number of each run, and β."""
    expect(_are_real(energies), "energies", "a tensor of real numbers a run", energies)
    expect(isinstance(betas, Sequence | Tensor | np.ndarray), "betas", "one number a run", betas)
    listed = (
        []
        if getattr(betas, "ndim", 1) != 1
        else [as_number("betas", beta, *_FINITE) for beta in betas]
    )
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
    """``log Σ_k N_k e^{-β_k H_n} / Z_k``, ``(draws,)``."""
    return torch.logsumexp(counts.double().log() - log_z - pool.unsqueeze(1) * betas, dim=1)


def _solve(pool: Tensor, counts: Tensor, betas: Tensor, guess: Tensor | None = None) -> Tensor:
    """The ``log Z_k`` with ``log Z_0 = 0`` at which ``Σ_n log mixture_n + Σ_k N_k log Z_k`` is
    least.
    """
    n = len(pool)
    # Energies from their mean: the rest of log Z is put back at the end.
    centre = pool.mean()
    pool = pool - centre
    shift = (betas - betas[0]) * centre
    log_z = torch.zeros_like(betas) if guess is None else guess + shift
    if guess is None:
        order = betas.argsort()
        means = torch.stack([e.mean() for e in pool.split(counts.tolist())])[order]
        log_z[order[1:]] = -torch.cumsum(
            0.5 * (means[1:] + means[:-1]) * betas[order].diff(), dim=0
        )
        log_z = log_z - log_z[0]
    for _ in range(_ITERATIONS):
        mixture = _log_mixture(pool, counts, betas, log_z)
        shares = torch.exp(
            counts.double().log() - log_z - pool.unsqueeze(1) * betas - mixture.unsqueeze(1)
        )
        total = shares.sum(0)
        slope = counts - total
        curvature = (torch.diag(total) - shares.T @ shares)[1:, 1:]
        # Of two runs, the curvature is the number of draws that could be of either.
        if len(betas) > 1 and float(torch.linalg.eigvalsh(curvature)[0]) < _SHARED:
            break
        if float(slope.abs().max()) < 1e-10 * n:
            return log_z - shift
        step = torch.linalg.solve(curvature, slope[1:])
        # Far from the solution Newton's step may be too long; the fixed point of the equations
        # never is.
        log_z = log_z.clone()
        if float(step.abs().max()) < 1.0:
            log_z[1:] -= step
        else:
            log_z = torch.logsumexp(-pool.unsqueeze(1) * betas - mixture.unsqueeze(1), dim=0)
            log_z = log_z - log_z[0]
    raise RuntimeError(
        f"the multi-histogram equations have no solution to be trusted: energies of neighbouring runs at "
        f"beta = {betas.tolist()} do not overlap; add runs between them"
    )
