"""Disorder of spin glasses: thresholds are 5 sigma, false alarms 6e-7 each, of a fixed seed."""

import math

import torch
from model_cases import normal

from leaps_triton.models import EdwardsAnderson


def test_disorder_is_a_function_of_the_seed() -> None:
    for disorder in ("pm1", "gaussian"):
        first = EdwardsAnderson((6, 5), 0.4, disorder=disorder, seed=11)
        again = EdwardsAnderson((6, 5), 1.4, disorder=disorder, seed=11, periodic=False)
        other = EdwardsAnderson((6, 5), 0.4, disorder=disorder, seed=12)
        assert torch.equal(first.coupling, again.coupling)
        assert not torch.equal(first.coupling, other.coupling)
        assert not torch.equal(first.coupling[0], first.coupling[1])


def test_pm1_disorder_is_balanced_and_uncorrelated() -> None:
    coupling = EdwardsAnderson((240, 250), 0.4, seed=1).coupling
    n = coupling.numel()
    assert coupling.abs().eq(1.0).all()
    assert abs(coupling.mean().item()) < 5 / math.sqrt(n)
    assert abs((coupling[0] * coupling[1]).mean().item()) < 5 / math.sqrt(n / 2)
    for axis in (1, 2):
        assert abs((coupling * coupling.roll(1, axis)).mean().item()) < 5 / math.sqrt(n)


def test_gaussian_disorder_is_normal() -> None:
    coupling = EdwardsAnderson((240, 250), 0.4, disorder="gaussian", seed=2).coupling
    n = coupling.numel()
    # E g = 0, E g² = 1, E g³ = 0, E g⁴ = 3 with variances 1, 2, 15, 96.
    for power, (mean, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert abs(coupling.pow(power).mean().item() - mean) < 5 * math.sqrt(variance / n)
    for axis in (1, 2):
        assert abs((coupling * coupling.roll(1, axis)).mean().item()) < 5 / math.sqrt(n)
    # Kolmogorov–Smirnov: P(D √n > 2.7) < 2 exp(-2 · 2.7²) = 1e-6.
    cumulative = torch.special.ndtr(coupling.flatten().sort().values)
    distance = (cumulative - (torch.arange(n) + 0.5) / n).abs().max().item() + 0.5 / n
    assert distance * math.sqrt(n) < 2.7


def test_a_given_coupling_is_used_as_it_is() -> None:
    coupling = normal(2, 3, 4, seed=9)
    model = EdwardsAnderson((3, 4), 0.4, coupling=coupling)
    assert torch.equal(model.coupling, coupling)
