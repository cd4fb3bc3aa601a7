"""Laws of reweighting.

Exact means where the draws are all configurations, exact samples, coverage of error bars.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from leaps_triton import exact, observables
from leaps_triton.estimators import (
    Estimate,
    Reweighted,
    chain_estimate,
    mbar,
    multi_reweight,
    reweight,
    weighted_estimate,
)
from leaps_triton.estimators.weights import effective_sample_size
from leaps_triton.models import Ising

MODEL = Ising((3, 3), 0.3, field=0.1)


def variance(means: Tensor) -> Tensor:
    return means[..., 1] - means[..., 0] ** 2


def moments(x: Tensor) -> Tensor:
    return torch.stack([x, x**2], dim=-1)


def draws(beta: float, n: int, seed: int) -> Tensor:
    model = Ising((3, 3), beta, field=0.1)
    return model.energy(exact.sample(model, n, seed))


def true_moments(beta: float) -> tuple[float, float]:
    enumeration = exact.enumerate_model(MODEL, beta)
    mean = enumeration.mean(lambda x, m: m.energy(x), MODEL).item()
    return mean, enumeration.mean(lambda x, m: (m.energy(x) - mean) ** 2, MODEL).item()


# Every configuration once is no sample: few of them have nearly all the weight when cold.
@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
@pytest.mark.parametrize("beta_to", [-0.2, 0.0, 0.25, 0.9])
def test_all_configurations_reweighted_give_exact_means(beta_to: float) -> None:
    """Each once is a draw at β = 0; the jackknife error is that of the weights."""
    configurations = exact.enumerate_configurations((3, 3), 2)
    energies = MODEL.energy(configurations)
    mean, spread = true_moments(beta_to)
    result = reweight(energies, moments(energies), 0.0, beta_to, variance)
    assert result.value == pytest.approx(spread, rel=1e-11)
    assert reweight(energies, energies, 0.0, beta_to).value == pytest.approx(mean, rel=1e-12)
    assert result.ess == pytest.approx(float(effective_sample_size(-beta_to * energies)), rel=1e-12)
    assert result.error == weighted_estimate(moments(energies), -beta_to * energies, variance).error


def test_chains_take_the_gamma_method_of_the_ratio() -> None:
    energies = draws(0.3, 4000, seed=1).view(8, 500)
    result = reweight(energies, energies, 0.3, 0.35)
    weights = torch.exp(-0.05 * energies)
    direct = chain_estimate(
        torch.stack([energies * weights, weights], dim=2), lambda m: m[..., 0] / m[..., 1]
    )
    assert result.value == pytest.approx(direct.value, rel=1e-12) and result.error == pytest.approx(
        direct.error, rel=1e-9
    )
    flat = reweight(energies.flatten(), energies.flatten(), 0.3, 0.35)
    assert result.value == pytest.approx(flat.value, rel=1e-12) and result.error == pytest.approx(
        flat.error, rel=0.15
    )
    many = reweight(energies, moments(energies), 0.3, 0.35, variance)
    assert many.value == pytest.approx(
        reweight(energies.flatten(), moments(energies.flatten()), 0.3, 0.35, variance).value
    )


def test_nothing_changes_at_the_same_beta() -> None:
    energies = draws(0.3, 500, seed=2)
    result, plain = (
        reweight(energies, energies, 0.3, 0.3),
        weighted_estimate(energies, torch.zeros(500)),
    )
    assert (result.value, result.error) == (
        plain.value,
        plain.error,
    ) and result.ess == pytest.approx(1.0)
    multi = multi_reweight([energies], [energies], [0.3], 0.3, blocks=500)
    assert multi.value == pytest.approx(plain.value, rel=1e-12) and multi.error == pytest.approx(
        plain.error, rel=1e-9
    )


def test_mbar_solves_its_equations_and_finds_log_z() -> None:
    betas = [0.1, 0.5, 0.3]
    energies = [
        draws(beta, n, seed=seed)
        for seed, (beta, n) in enumerate(zip(betas, (3000, 2000, 4000), strict=True))
    ]
    log_z = mbar(energies, betas)
    assert log_z.dtype == torch.float64 and log_z[0] == 0.0
    pool, grid = torch.cat(energies), torch.tensor(betas, dtype=torch.float64)
    exponents = -pool.unsqueeze(1) * grid
    mixture = (torch.tensor([3000.0, 2000.0, 4000.0]).double() * torch.exp(exponents - log_z)).sum(
        1
    )
    assert (torch.exp(exponents - log_z) / mixture.unsqueeze(1)).sum(0).tolist() == pytest.approx(
        [1.0] * 3, abs=1e-8
    )
    for k, error in ((1, 0.021), (2, 0.012)):  # over 40 seeds; 4σ are missed by 1.3 in 10 000
        truth = (
            exact.enumerate_model(MODEL, betas[k]).log_z
            - exact.enumerate_model(MODEL, betas[0]).log_z
        )
        assert float(log_z[k]) == pytest.approx(truth, abs=4 * error)
    order = mbar([energies[i] for i in (1, 2, 0)], [betas[i] for i in (1, 2, 0)])
    torch.testing.assert_close(order - order[2], log_z[[1, 2, 0]], rtol=0, atol=1e-8)


def test_mbar_does_not_see_the_zero_of_energy() -> None:
    betas = [0.1, 0.4]
    energies = [draws(beta, 1000, seed=4) for beta in betas]
    moved = mbar([e + 1e5 for e in energies], betas)
    torch.testing.assert_close(moved[1], mbar(energies, betas)[1] - 0.3 * 1e5, rtol=1e-12, atol=0)


def test_two_runs_are_bennetts_ratio() -> None:
    """``Σ_1 f(β̃ ΔU - C) = Σ_0 f(C - …)``.

    The equation of the acceptance ratio at the solution, Fermi functions f.
    """
    betas, counts = [0.2, 0.5], [1500, 900]
    energies = [draws(beta, n, seed=5) for beta, n in zip(betas, counts, strict=True)]
    shift = math.log(counts[1] / counts[0]) - float(mbar(energies, betas)[1])
    forward = torch.sigmoid(shift - 0.3 * energies[0]).sum()
    backward = torch.sigmoid(0.3 * energies[1] - shift).sum()
    assert float(forward) == pytest.approx(float(backward), rel=1e-7)


def test_multi_reweight_equals_its_definition() -> None:
    betas, beta_to = [0.1, 0.4], 0.25
    energies = [draws(beta, 400, seed=6) for beta in betas]

    def estimate(parts: list[Tensor]) -> float:
        log_z, pool = mbar(parts, betas), torch.cat(parts)
        mixture = torch.stack(
            [math.log(len(e)) - z - b * pool for e, z, b in zip(parts, log_z, betas, strict=True)]
        )
        weights = torch.softmax(-beta_to * pool - torch.logsumexp(mixture, dim=0), dim=0)
        return float(variance(weights @ moments(pool)))

    result = multi_reweight(
        energies, [moments(e) for e in energies], betas, beta_to, variance, blocks=4
    )
    assert result.value == pytest.approx(estimate(energies), rel=1e-9)
    left_out = [
        estimate([torch.cat([e[: 100 * b], e[100 * b + 100 :]]) for e in energies])
        for b in range(4)
    ]
    centre = sum(left_out) / 4
    assert result.error == pytest.approx(
        math.sqrt(3 / 4 * sum((v - centre) ** 2 for v in left_out)), rel=1e-6
    )
    shaped = [e.view(4, 100) for e in energies]
    again = multi_reweight(shaped, [moments(e) for e in shaped], betas, beta_to, variance, blocks=4)
    assert again.value == pytest.approx(result.value, rel=1e-12) and again.error == pytest.approx(
        result.error, rel=1e-9
    )


def test_error_bars_cover_what_they_should() -> None:
    """400 runs, from one β, as chains, and from two.

    7 % is three sigma of the count, of fixed seeds.
    """
    runs, n, (mean, spread) = 400, 160, true_moments(0.3)
    low, high = (
        draws(0.25, runs * n, seed=7).view(runs, n),
        draws(0.38, runs * n, seed=8).view(runs, n),
    )
    covered = torch.zeros(4)
    for a, b in zip(low, high, strict=True):
        both = [a, b]
        pulls = [
            reweight(a, a, 0.25, 0.3).pull(mean),
            reweight(a.view(2, -1), a.view(2, -1), 0.25, 0.3).pull(mean),
            multi_reweight(both, both, [0.25, 0.38], 0.3, blocks=10).pull(mean),
            multi_reweight(both, [moments(e) for e in both], [0.25, 0.38], 0.3, variance, 10).pull(
                spread
            ),
        ]
        covered += torch.tensor(pulls).abs() < 1
    assert ((covered / runs - 0.683).abs() < 0.07).all(), covered / runs


def test_two_runs_do_better_than_one() -> None:
    low, high = draws(0.1, 2000, seed=9), draws(0.6, 2000, seed=10)
    one = reweight(low, low, 0.1, 0.5)
    two = multi_reweight([low, high], [low, high], [0.1, 0.6], 0.5)
    assert two.error < one.error and two.ess > one.ess
    assert abs(two.pull(true_moments(0.5)[0])) < 4


# Every configuration once is no sample: few of them have nearly all the weight when cold.
@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
def test_an_observable_at_the_other_beta() -> None:
    """A susceptibility has β in its definition.

    Evaluated with the model at the new one it is exact.
    """
    to = Ising((3, 3), 0.5, field=0.1)
    configurations = exact.enumerate_configurations((3, 3), 2)
    values = observables.susceptibility(configurations, to)
    function: Callable[[Tensor], Tensor] = observables.susceptibility.function  # type: ignore[attr-defined]
    result = reweight(MODEL.energy(configurations), values, 0.0, 0.5, function)
    assert result.value == pytest.approx(
        exact.expectation(to, observables.susceptibility).item(), rel=1e-11
    )


def test_it_is_printed_and_pulled_like_an_estimate() -> None:
    result = Reweighted(-1.49167, 0.0021, 0.5)
    assert str(result) == str(Estimate(-1.49167, 0.0021)) and result.pull(
        -1.49377
    ) == pytest.approx(1.0)


def test_runs_without_overlap_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="do not overlap"):
        mbar([torch.linspace(0, 1, 50), torch.linspace(5000, 5001, 50)], [1.0, -1.0])


E = torch.zeros(8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reweight(E, torch.zeros(7), 0.1, 0.2), r"got \(8,\) and \(7,\)"),
        (
            lambda: reweight(torch.zeros(2, 2, 2), torch.zeros(2, 2, 2), 0.1, 0.2),
            "energies must be",
        ),
        (lambda: reweight(E, torch.zeros(8, 2), 0.1, 0.2), "need function="),
        (lambda: reweight(E.view(2, 4), torch.zeros(2, 4, 2), 0.1, 0.2), "need function="),
        (lambda: mbar([E], [0.1, 0.2]), "betas must be"),
        (lambda: mbar([E, E], [0.1, 0.1]), "no two alike"),
        (lambda: mbar([E, E[:0]], [0.1, 0.2]), "needs draws"),
        (lambda: mbar([E, E * math.nan], [0.1, 0.2]), "finite"),
        (lambda: multi_reweight([E, E], [E], [0.1, 0.2], 0.1), "values must have the shapes"),
        (lambda: multi_reweight([E], [torch.zeros(7)], [0.1], 0.1), "values must have the shapes"),
        (lambda: multi_reweight([E], [torch.zeros(8, 2)], [0.1], 0.1, blocks=2), "need function="),
        (lambda: multi_reweight([E], [E], [0.1], 0.1, blocks=9), "blocks, at most the draws"),
        (lambda: multi_reweight([E], [E], [0.1], 0.1, blocks=1), "blocks, at most the draws"),
    ],
)
def test_input_that_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
