"""Draw weighted walkers for so many seconds, and say what they are worth."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.timing import Clock
from leaps_triton.estimators import weighted_estimate
from leaps_triton.estimators.weights import effective_sample_size, log_mean_exp, log_mean_exp_error

LEAST_BLOCKS = 4
"""From which errors are found after a resampling."""

COMPARED = 2000
"""Walkers of a sliced Wasserstein distance."""

LARGEST = 600.0
"""A variance of log-weights whose exponential is still a number."""


@dataclass(frozen=True)
class Drawn:
    """Walkers with their weights, and the seconds that they took."""

    configurations: Tensor
    log_weights: Tensor
    correlated: int
    seconds: float

    @property
    def ess(self) -> float:
        """Return the effective share of the walkers."""
        return float(effective_sample_size(self.log_weights))

    def estimate(self, values: Tensor) -> lt.Estimate:
        """Return the weighted mean of one value per walker, with its error."""
        return weighted_estimate(values, self.log_weights, None, self.correlated)


def drawn(sampler: lt.Sampler, seed: int, seconds: float, least: int) -> Drawn:
    """Return whole blocks of walkers, as many as the seconds allow.

    Args:
        sampler: draws them.
        seed: of the walkers.
        seconds: of the processor.
        least: blocks that are drawn in any case.
    """
    clock = Clock(sampler.device)
    configurations: list[Tensor] = []
    weights: list[Tensor] = []
    correlated = 1
    while clock() < seconds or len(weights) < least:
        made = sampler.sample(sampler.block, seed, first_block=len(weights))
        configurations.append(made.configurations)
        weights.append(made.log_weights)
        correlated = max(correlated, made.correlated)
    spent = clock()
    return Drawn(torch.cat(configurations), torch.cat(weights), correlated, spent)


def pilot(sampler: lt.Sampler, seed: int, seconds: float) -> float:
    """Return effective walkers a second as the variance of their weights tells it.

    Args:
        sampler: is tried.
        seed: of its walkers.
        seconds: of the processor.
    """
    run = drawn(sampler, seed, seconds, 1)
    a = run.log_weights
    # Few walkers flatter the effective sample size, and not the variance.
    share = math.exp(-min(float(a.var()), LARGEST))
    if run.correlated > 1:
        # After a resampling the variance is of the weights since.
        share = run.ess
    if not math.isfinite(share):
        return 0.0
    return share * len(a) / run.seconds


def effective(run: Drawn) -> float:
    """Return how many independent walkers weighted ones are worth."""
    if run.correlated == 1:
        return run.ess * len(run.log_weights)
    # Relatives share an ancestor: the error of whole blocks tells what they are worth.
    values = run.configurations.double().flatten(1).square().mean(1)
    shares = torch.softmax(run.log_weights, 0)
    mean = (shares * values).sum()
    variance = float((shares * (values - mean).square()).sum())
    return variance / run.estimate(values).error ** 2


def finite(value: float) -> float | None:
    """Return a number in six digits; None for one that is not finite."""
    if not math.isfinite(value):
        return None
    return float(f"{value:.6g}")


def weights_told(run: Drawn, path: Any) -> dict[str, Any]:
    """Return what the weights say, with log Z beside the exact one."""
    a = run.log_weights
    error = float(log_mean_exp_error(a, run.correlated))
    log_z = float(log_mean_exp(a)) + path.start.log_z
    told: dict[str, Any] = {
        "walkers": len(a),
        "seconds": round(run.seconds, 2),
        "ess": finite(run.ess),
        "log_weight_variance": finite(float(a.var())),
        "log_z": finite(log_z),
        "log_z_error": finite(error),
        "effective_walkers_per_second": finite(effective(run) / run.seconds),
        "inverse_variance_of_log_z_per_second": finite(1.0 / (error**2 * run.seconds)),
    }
    exact = path.model.log_z
    if exact is not None:
        told["log_z_pull"] = finite((log_z - exact) / error)
    return told


def masses_told(run: Drawn, model: Any) -> dict[str, Any]:
    """Return how far masses of modes are from exact ones, weighted and not.

    Args:
        run: the walkers.
        model: a target whose modes are known.
    """
    exact = torch.as_tensor(model.mode_weights, dtype=torch.float64)
    index = model.modes(run.configurations)
    found: list[float] = []
    errors: list[float] = []
    plain: list[float] = []
    for mode in range(len(exact)):
        inside = (index == mode).double()
        mass = run.estimate(inside)
        found.append(float(mass.value))
        errors.append(float(mass.error))
        plain.append(float(inside.mean()))
    weighted = torch.tensor(found, dtype=torch.float64)
    unweighted = torch.tensor(plain, dtype=torch.float64)
    spread = torch.tensor(errors, dtype=torch.float64).clamp(min=1e-300)
    pulls = (weighted - exact) / spread
    return {
        "masses": [finite(each) for each in found],
        "mass_errors": [finite(each) for each in errors],
        "unweighted_masses": [finite(each) for each in plain],
        "total_variation": finite(distance(weighted, exact)),
        "unweighted_total_variation": finite(distance(unweighted, exact)),
        "worst_relative_mass": finite(float(((weighted - exact) / exact).abs().max())),
        "worst_mass_pull": finite(float(pulls.abs().max())),
    }


def distance(one: Tensor, other: Tensor) -> float:
    """Return the total variation between two lists of masses."""
    return 0.5 * float((one - other).abs().sum())


def wasserstein_told(run: Drawn, model: Any, seed: int) -> dict[str, Any]:
    """Return the sliced Wasserstein distance to exact draws, beside that of exact draws alone.

    Args:
        run: the walkers, of which the first few are compared.
        model: can be drawn exactly.
        seed: of the exact draws.
    """
    count = min(COMPARED, len(run.log_weights))
    index = torch.arange(2 * count)
    exact = model.sample(index, seed)
    some = run.configurations[:count]
    a = run.log_weights[:count]
    one = lt.estimators.sliced_wasserstein(some, exact[:count], a)
    noise = lt.estimators.sliced_wasserstein(exact[count:], exact[:count])
    return {"sliced_wasserstein": finite(float(one)), "of_exact_draws": finite(float(noise))}
