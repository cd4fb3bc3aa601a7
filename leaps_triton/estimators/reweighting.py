"""From the inverse temperatures that were simulated to another one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..kernels.checks import as_number, expect, is_real
from .autocorrelation import ChainEstimate, chain_estimate
from .histograms import FINITE, are_real, blocks_of, counted, in_line, log_mixture, pooled, solve
from .jackknife import Estimate, weighted_estimate
from .trust.cautions import caution
from .trust.tails import draw_doubts
from .weights import effective_sample_size

__all__ = ["Reweighted", "multi_reweight", "reweight"]


_NEARER = "simulate nearer to that inverse temperature"
"""What mends a step too far."""


@dataclass(frozen=True)
class Reweighted:
    """A value at another inverse temperature.

    Attributes:
        value: the mean, or function of means.
        error: its one-sigma error.
        ess: effective sample size of the weights alone as a fraction of the draws, in (0, 1]. Where
            it is small, it and the error flatter.
        reason: why value or error is NaN; empty where none is.
    """

    value: float
    error: float
    ess: float
    reason: str = ""

    def pull(self, exact: float) -> float:
        """Return the distance from ``exact`` in units of the error."""
        return Estimate(self.value, self.error).pull(exact)

    def __str__(self) -> str:
        return str(Estimate(self.value, self.error, self.reason))


def reweight(
    energies: Tensor,
    values: Tensor,
    beta_from: float,
    beta_to: float,
    function: Callable[[Tensor], Tensor] | None = None,
    together: int = 1,
    parameter: str = "",
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
        parameter: name of what has these two values, where it is not β; the energies are then what
            it multiplies.

    Raises:
        ValueError: shapes that do not fit; the same as in :func:`weighted_estimate` and
            :func:`chain_estimate`.

    Warns:
        ShortChainWarning, DriftWarning: the same as in :func:`chain_estimate`.
        LowEssWarning: few draws are as likely at ``beta_to`` as they would have to be.

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
    beta_from = as_number("beta_from", beta_from, *FINITE)
    beta_to = as_number("beta_to", beta_to, *FINITE)
    log_weights = -(beta_to - beta_from) * energies.double()
    ess = float(effective_sample_size(log_weights.flatten()))
    nearer = _NEARER
    if parameter:
        nearer = f"simulate nearer to that value of {parameter}"
    if energies.ndim == 1:
        found = weighted_estimate(values, log_weights, function, together)
        caution(draw_doubts(log_weights, 0.5 * together, nearer))
        return Reweighted(found.value, found.error, ess, found.reason)
    estimate = _of_chains(values, log_weights, function, together)
    caution(draw_doubts(log_weights, estimate.tau * together, nearer))
    return Reweighted(estimate.value, estimate.error, ess, estimate.reason)


def _of_chains(
    values: Tensor,
    log_weights: Tensor,
    function: Callable[[Tensor], Tensor] | None,
    together: int,
) -> ChainEstimate:
    """Return the mean of weighted draws of chains, or a function of such means."""
    # One column of weights beside the weighted values: their ratio is a function of means. Weights
    # are in units of the largest, so that none overflows.
    weights = torch.exp(log_weights - log_weights.max()).unsqueeze(2)
    weighted = values.double().view(*log_weights.shape, -1) * weights
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

    return chain_estimate(columns, ratio, together=together)


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

    Warns:
        LowEssWarning: few draws are as likely at ``beta_to`` as they would have to be.

    Example:
        >>> import leaps_triton as lt
        >>> models = [lt.Ising((4, 4), beta) for beta in (0.2, 0.3)]
        >>> draws = [lt.exact.sample(model, n=2000, seed=1) for model in models]
        >>> energies = [model.energy(x) for model, x in zip(models, draws)]
        >>> result = multi_reweight(energies, [e / 16 for e in energies], [0.2, 0.3], beta_to=0.25)
        >>> abs(result.pull(lt.exact.ising_energy((4, 4), beta=0.25))) < 3, result.ess > 0.5
        (True, True)
    """
    pool, counts, grid = pooled(energies, betas, together)
    beta_to = as_number("beta_to", beta_to, *FINITE)
    _check_function(function)
    f = _values_in_line(energies, values, together)
    if f.ndim == 2 and function is None:
        raise ValueError(
            f"values of {f.shape[1]} columns need function= to make one number of their means"
        )
    block = blocks_of(counts, blocks)

    def evaluate(kept: Tensor, guess: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        left = counted(kept, counts)
        log_z = solve(pool[kept], left, grid, guess)
        log_weights = -beta_to * pool[kept] - log_mixture(pool[kept], left, grid, log_z)
        # Only ratios of weights count, so that log Z at beta_to need not be known.
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
    caution(draw_doubts(log_weights, 0.5 * together, _NEARER))
    reason = ""
    if not math.isfinite(float(value)) or not math.isfinite(error):
        reason = f"the function of means is not finite for all of the {count} blocks left out"
    return Reweighted(float(value), error, float(effective_sample_size(log_weights)), reason)


def _values_in_line(energies: Sequence[Tensor], values: Sequence[Tensor], together: int) -> Tensor:
    """Return the values of all runs one after another, checked; ``(draws,)`` or ``(draws, k)``."""
    expect(are_real(values), "values", "a tensor of real numbers a run", values)
    fits = len(values) == len(energies)
    for e, v in zip(energies, values, strict=False):
        fits = fits and v.shape[: e.ndim] == e.shape and v.ndim <= e.ndim + 1
    if not fits:
        raise ValueError(
            f"values must have the shapes of the energies, or one axis more, got "
            f"{[tuple(v.shape) for v in values]} for {[tuple(e.shape) for e in energies]}"
        )
    pairs = zip(energies, values, strict=True)
    return torch.cat([in_line(v.double(), e.ndim, together) for e, v in pairs])
