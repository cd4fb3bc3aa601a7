"""Laws of what says that numbers may be wrong: drift, beginnings, tails of weights, reasons.

Random numbers have fixed seeds; counts of false alarms are compared with what is claimed of them.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.estimators import (
    chain_estimate,
    find_beginning,
    pareto_k,
    pareto_threshold,
    weighted_estimate,
)
from leaps_triton.estimators.autocorrelation import examine
from leaps_triton.estimators.trust.cautions import Doubt, joined
from leaps_triton.estimators.trust.drift import MOST_SIGMA
from leaps_triton.estimators.trust.tails import weight_doubts, why_no_k

FLOAT64 = torch.float64


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stationary(runs: int, walkers: int, draws: int, tau: float, seed: int) -> Tensor:
    """Autoregressive chains with that autocorrelation time, float64 ``(runs, walkers, draws)``."""
    memory = (2 * tau - 1) / (2 * tau + 1)
    noise = torch.randn(draws, runs, walkers, generator=generator(seed), dtype=FLOAT64)
    found = [noise[0]]
    for step in noise[1:]:
        found.append(memory * found[-1] + math.sqrt(1 - memory**2) * step)
    return torch.stack(found, dim=2)


def relaxing(draws: int, time: float, size: float) -> Tensor:
    return size * torch.exp(-torch.arange(draws, dtype=FLOAT64) / time)


@pytest.mark.parametrize(
    ("walkers", "draws", "tau"), [(1, 250, 2.5), (2, 60, 0.5), (10, 100, 1.0), (40, 150, 3.0)]
)
def test_stationary_chains_seldom_drift(walkers: int, draws: int, tau: float) -> None:
    """At most one in a thousand is claimed; of 400 more than 3 have a probability below 1e-3."""
    runs = stationary(400, walkers, draws, tau, seed=1)
    drifts = torch.tensor([examine(run)[0].drift for run in runs])
    assert int((drifts.abs() > MOST_SIGMA).sum()) <= 3
    # The number of errors is one: its square has the mean 1, or less where errors are large.
    assert 0.6 < float(drifts.square().mean()) < 1.3


@pytest.mark.parametrize("walkers", [4, 64])
def test_chains_that_relax_are_seen(walkers: int) -> None:
    """A mean five errors off, from chains that are long enough and agree with one another."""
    draws = 400
    steady = stationary(1, walkers, draws, 1.0, seed=2)[0]
    # The mean of all draws is off by size · time / draws, its error is √(2 τ / N).
    error = math.sqrt(2.0 / (walkers * draws))
    size = 5.0 * error * draws / 10.0
    moved = steady + relaxing(draws, 10.0, size)
    with pytest.warns(lt.DriftWarning, match=r"lies -\d+.\d errors from their first") as said:
        estimate = chain_estimate(moved)
    assert len(said) == 1 and estimate.replica_q > 1e-3
    assert estimate.drift < -MOST_SIGMA and estimate.value > 3 * error
    assert abs(chain_estimate(steady).drift) < MOST_SIGMA


def test_slow_relaxation_of_many_chains_is_seen_by_their_scatter() -> None:
    """It makes the autocorrelation time long, and so the error of the Γ-method too large."""
    steady = stationary(1, 64, 100, 1.0, seed=3)[0]
    moved = steady + relaxing(100, 60.0, 1.5)
    estimate, doubts = examine(moved)
    kinds = {doubt.kind for doubt in doubts}
    assert kinds == {lt.ShortChainWarning, lt.DriftWarning} and estimate.drift < -8


def test_functions_of_means_drift_too_and_few_draws_do_not() -> None:
    x = stationary(1, 8, 500, 1.0, seed=4)[0]
    wide = x * (1.0 + relaxing(500, 30.0, 2.0))
    moments = torch.stack([wide, wide**2], dim=2)
    with pytest.warns(lt.DriftWarning):
        chain_estimate(moments, lambda means: means[..., 1] - means[..., 0] ** 2)
    assert math.isnan(examine(wide[:, :19])[0].drift)
    assert math.isnan(examine(torch.ones(2, 50))[0].drift)


@pytest.mark.parametrize("walkers", [1, 16])
def test_chains_begin_after_they_have_relaxed(walkers: int) -> None:
    draws = 1000
    steady = stationary(8, walkers, draws, 1.0, seed=5)
    begins = []
    for run in steady:
        found = find_beginning({"x": run + relaxing(draws, 20.0, 5.0)})
        assert found.observable == "x"
        begins.append(found.draw)
    middle = sorted(begins)[4]
    assert 20 <= middle <= 200 and max(begins) <= 750
    unmoved = sorted(find_beginning({"x": run}).draw for run in steady)
    assert unmoved[4] <= 20


def test_the_latest_beginning_of_all_observables_counts() -> None:
    x = stationary(2, 8, 500, 0.5, seed=6)
    early = x[0] + relaxing(500, 5.0, 4.0)
    late = x[1] + relaxing(500, 30.0, 4.0)
    alone = find_beginning({"late": late})
    both = find_beginning({"early": early, "late": late, "still": torch.ones(8, 500)})
    assert both == alone and both.draw > find_beginning({"early": early}).draw > 0
    columns = torch.stack([early, late], dim=2)
    assert find_beginning({"pair": columns}).draw == alone.draw
    # The difference of the moments relaxes as late does, whatever early does.
    functions: dict[str, Any] = {"pair": lambda means: means[..., 1]}
    assert find_beginning({"pair": columns}, functions).draw == alone.draw
    assert find_beginning({"bad": late * math.nan, "none": late[:, :0]}).draw == 0


@pytest.mark.parametrize("k", [-0.3, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("n", [2000, 100000])
def test_k_of_exact_pareto_tails(k: float, n: int) -> None:
    """``w = 1 + (u^-k - 1) / k``: the excess over any threshold has the same shape.

    Four errors ``(1 + k) / √M`` of the fit, after the prior's pull.
    """
    u = torch.rand(n, generator=generator(8), dtype=FLOAT64)
    weights = 4.0 + (u**-k - 1.0) / k
    tail = min(n / 5, 3 * math.sqrt(n))
    expected = (tail * k + 5.0) / (tail + 10.0)
    found = pareto_k(weights.log())
    assert abs(found - expected) < 4 * (1 + k) / math.sqrt(tail)
    assert pareto_k(weights.log() + 700.0) == pytest.approx(found, abs=1e-9)


def test_k_is_that_of_the_formulas_of_the_paper() -> None:
    """Written out once more in plain Python, from Zhang and Stephens and the prior of PSIS."""
    log_weights = 1.5 * torch.randn(500, generator=generator(9), dtype=FLOAT64)
    weights = sorted(log_weights.exp().tolist())
    size = math.ceil(min(100.0, 3.0 * math.sqrt(500)))
    x = [weight - weights[-size - 1] for weight in weights[-size:]]
    count = 30 + int(math.sqrt(size))
    quartile = x[int(size / 4 + 0.5) - 1]
    grid, shapes, likelihoods = [], [], []
    for j in range(1, count + 1):
        b = 1 / x[-1] + (1 - math.sqrt(count / (j - 0.5))) / (3 * quartile)
        k = sum(math.log1p(-b * value) for value in x) / size
        grid.append(b)
        shapes.append(k)
        likelihoods.append(size * (math.log(-b / k) - k - 1))
    best = max(likelihoods)
    share = [math.exp(value - best) for value in likelihoods]
    b = sum(s * g for s, g in zip(share, grid, strict=True)) / sum(share)
    k = sum(math.log1p(-b * value) for value in x) / size
    assert pareto_k(log_weights) == pytest.approx((size * k + 5) / (size + 10), rel=1e-10)


def test_what_has_no_tail_says_why() -> None:
    assert math.isnan(pareto_k(torch.zeros(1000)))
    assert why_no_k(torch.zeros(1000)) == "the largest weights are all alike"
    few = torch.linspace(0, 1, 20)
    assert math.isnan(pareto_k(few)) and "takes 25 independent walkers" in why_no_k(few)
    assert "25 independent blocks, and there are 10" in why_no_k(torch.linspace(0, 1, 100), 10)
    assert why_no_k(torch.linspace(0, 1, 100)) == ""
    assert [pareto_threshold(n) for n in (1, 10, 100, 10**4)] == [0.0, 0.0, 0.5, 0.7]


@pytest.mark.parametrize(
    ("weights", "block", "said"),
    [
        ([1.0] * 8, 1, ""),
        ([1.0] * 10 + [9.0], 1, "one walker carries 47% of the weight"),
        ([1.0] * 100 + [12.0], 1, "one walker carries 11% of the weight"),
        ([1.0] * 100 + [10.0], 1, ""),
        ([1.0] * 15 + [0.0] * 25, 1, "of 40 walkers 15 are effective"),
        ([1.0] * 25 + [0.0] * 60, 1, ""),
        ([1.0] + [0.0] * 63, 1, "of 64 walkers 1 are effective and one walker carries 100%"),
        # Within a block walkers are relatives: what one carries there says nothing.
        ([9.0, 0.0, 0.0] * 30, 3, ""),
        ([9.0, 0.0, 0.0] * 6 + [0.1] * 120, 3, "independent blocks"),
        ([9.0, 0.0, 0.0], 3, ""),
    ],
)
def test_few_walkers_that_carry_the_weight_are_named(
    weights: list[float], block: int, said: str
) -> None:
    doubts = weight_doubts(torch.tensor(weights, dtype=FLOAT64).log(), block)
    assert [doubt.kind for doubt in doubts] == [lt.LowEssWarning] * bool(said)
    assert said in " ".join(map(str, doubts))


def root(means: Tensor) -> Tensor:
    return means[..., 0].sqrt()


def negative(means: Tensor) -> Tensor:
    return (means[..., 0] - 10.0).sqrt()


@pytest.mark.parametrize(
    ("change", "block", "function", "said"),
    [
        ("none", 4, root, "the 4 walkers are one block of correlated ones"),
        ("value", 1, root, "the observable is NaN or infinite for 1 of 4 walkers"),
        ("weight", 1, root, "one walker, or one block of correlated ones, has all the weight"),
        ("none", 1, negative, r"no finite value at means \(2.5, 6.25\).*4 of 4"),
        ("none", 1, lambda means: (means[..., 0] - 2.4).sqrt(), r"without one walker.*2 of 4"),
    ],
)
def test_weighted_estimates_that_are_nan_say_why(
    change: str, block: int, function: Callable[[Tensor], Tensor], said: str
) -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=FLOAT64)
    a = torch.zeros(4, dtype=FLOAT64)
    if change == "value":
        x[1] = math.nan
    if change == "weight":
        a[1:] = -1e6
    estimate = weighted_estimate(torch.stack([x, 2.5 * x], dim=1), a, function, block)
    assert math.isnan(estimate.error) and len(estimate) == 2
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(estimate.reason)
    assert str(estimate).endswith(f"({estimate.reason})")
    assert estimate._replace(error=1.0).reason == ""
    assert weighted_estimate(x.nan_to_num(), torch.zeros(4)).reason == ""


def test_chain_estimates_that_are_nan_say_why() -> None:
    x = stationary(1, 2, 60, 0.5, seed=7)[0]
    still = chain_estimate(torch.ones(2, 60))
    assert still.error == 0.0 and "all draws are alike" in still.reason
    assert str(still) == "1 ± 0"
    broken = x.clone()
    broken[0, 3:5] = math.nan
    assert "2 of 120 draws are NaN" in chain_estimate(broken).reason
    columns = torch.stack([x, x], dim=2)
    nowhere = chain_estimate(columns, negative)
    assert math.isnan(nowhere.value) and "no finite value and slope at means (" in nowhere.reason
    assert nowhere.reason in str(nowhere)
    assert chain_estimate(x).reason == ""


def test_one_doubt_of_each_kind_speaks_for_a_table() -> None:
    short = Doubt(lt.ShortChainWarning, "few draws")
    drift = Doubt(lt.DriftWarning, "not relaxed")
    found = joined([("energy", short), ("energy", drift), ("binder", drift), ("m", drift)])
    assert [str(doubt) for doubt in found] == [
        "energy: few draws",
        "energy: not relaxed (binder, m too)",
    ]
    assert joined([]) == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pareto_k([1.0]), r"log_weights must be a tensor of real numbers \(walkers,\)"),  # type: ignore[arg-type]
        (lambda: pareto_k(torch.zeros(2, 3)), "log_weights must be a tensor of real numbers"),
        (lambda: pareto_k(torch.full((30,), math.nan)), "log_weights must be finite"),
        (lambda: pareto_threshold(2.5), "walkers must be an integer of at least 0"),  # type: ignore[arg-type]
        (lambda: find_beginning(torch.zeros(3, 4)), "values must be a mapping"),  # type: ignore[arg-type]
        (lambda: find_beginning({"m": torch.zeros(4)}), "m must be real numbers of shape"),
    ],
)
def test_input_that_is_refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
