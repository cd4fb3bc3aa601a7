"""Laws of the Γ-method: pyerrors, plain sums, autoregressive chains, coverage of errors."""

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from leaps_triton.estimators import ChainEstimate, Estimate, ShortChainWarning, chain_estimate

with warnings.catch_warnings():
    # pyerrors imports scipy.odr for fits, which nothing here does.
    warnings.filterwarnings(
        "ignore", message="`scipy.odr` is deprecated", category=DeprecationWarning
    )
    pyerrors = pytest.importorskip("pyerrors")

Function = Callable[[Tensor], Tensor] | None


def chains(
    walkers: int, draws: int, memory: float, seed: int = 0, columns: int | None = None
) -> Tensor:
    """Autoregressive chains ``x' = a x + √(1 - a²) noise`` with ``ρ(t) = a^t``.

    They are stationary, of unit variance.
    """
    shape = (draws, walkers) if columns is None else (draws, walkers, columns)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = [noise[0]]
    for step in noise[1:]:
        x.append(memory * x[-1] + math.sqrt(1 - memory**2) * step)
    return torch.stack(x, dim=1)


def variance(means: Tensor) -> Tensor:
    return means[..., 1] - means[..., 0] ** 2


def moments(x: Tensor) -> Tensor:
    return torch.stack([x, x**2], dim=2)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(("walkers", "draws"), [(1, 2000), (4, 1501), (25, 1000)])
@pytest.mark.parametrize("name", ["mean", "variance", "ratio"])
def test_pyerrors_says_the_same(name: str, walkers: int, draws: int, memory: float) -> None:
    x = chains(walkers, draws, memory, seed=walkers) + 3.0
    functions: dict[str, tuple[Function, Callable]] = {
        "mean": (None, lambda o: o[0]),
        "variance": (variance, lambda o: o[1] - o[0] ** 2),
        "ratio": (
            lambda m: torch.log(m[..., 1]) / m[..., 0],
            lambda o: pyerrors.derived_observable(_log_ratio, o),
        ),
    }
    function, theirs = functions[name]
    ours = chain_estimate(x if name == "mean" else moments(x), function)
    names = [f"ensemble|r{i:02d}" for i in range(walkers)]
    # Left to itself, pyerrors takes the mean of every replica apart, which hides how far walkers
    # are from one another.
    primary = []
    for power in (x, x**2):
        mean = float(power.mean())
        primary.append(
            pyerrors.Obs([(row - mean).numpy() for row in power], names, means=[mean] * walkers)
        )
        primary[-1]._value = mean
    observed = theirs(primary)
    observed.gamma_method(S=1.5)
    assert ours.value == pytest.approx(observed.value, rel=1e-12)
    assert ours.window == observed.e_windowsize["ensemble"]
    assert ours.error == pytest.approx(observed.dvalue, rel=1e-9)
    assert ours.error_error == pytest.approx(observed.ddvalue, rel=1e-9)
    # pyerrors divides τ by 1 + 1/N, and multiplies the variance by it.
    assert ours.tau / (1 + 1 / ours.draws) == pytest.approx(observed.e_tauint["ensemble"], rel=1e-9)
    assert ours.tau_error == pytest.approx(observed.e_dtauint["ensemble"], rel=1e-9)


def _log_ratio(means, **_: object):
    return pyerrors.obs.anp.log(means[1]) / means[0]


def test_autocovariance_is_the_sum_over_pairs() -> None:
    x = chains(3, 200, 0.7, seed=1)
    estimate = chain_estimate(x)
    centred = x - x.mean()
    gamma = [
        math.fsum(float(row[: 200 - t] @ row[t:]) for row in centred) / (3 * (200 - t))
        for t in range(estimate.window + 1)
    ]
    assert estimate.autocorrelation.tolist() == pytest.approx(
        [g / gamma[0] for g in gamma], abs=1e-12
    )
    bias = 1 + (2 * estimate.window + 1) / 600
    assert estimate.tau == pytest.approx(bias * (sum(gamma) / gamma[0] - 0.5), rel=1e-12)
    assert estimate.error == pytest.approx(
        math.sqrt(bias * (2 * sum(gamma) - gamma[0]) / 600), rel=1e-12
    )


@pytest.mark.parametrize("memory", [0.0, 0.6, 0.95])
def test_autoregressive_chains(memory: float) -> None:
    """``τ = ½ (1 + a) / (1 - a)``, and the mean of all draws has variance ``2τ/N``.

    Thresholds are 4 sigma.
    """
    tau = 0.5 * (1 + memory) / (1 - memory)
    estimate = chain_estimate(chains(40, 5000, memory, seed=2))
    assert estimate.draws == 200000
    assert abs(estimate.tau - tau) < 4 * estimate.tau_error + 0.01 * tau
    assert abs(estimate.pull(0.0)) < 4
    assert estimate.error == pytest.approx(math.sqrt(2 * tau / 200000), rel=0.1)
    assert estimate.effective_draws == pytest.approx(100000 / tau, rel=0.2)


def test_errors_of_anticorrelated_chains_are_those_of_independent_ones() -> None:
    """``τ = 1/6`` in truth: too large, never too small."""
    x = chains(40, 2000, -0.5, seed=2)
    estimate = chain_estimate(x)
    assert estimate.tau == pytest.approx(0.5, rel=1e-3) and estimate.window == 1
    assert estimate.error == pytest.approx(float(x.std()) / math.sqrt(80000), rel=1e-3)


# Of 1600 estimates some are such by chance.
@pytest.mark.filterwarnings("ignore:the means of 2 chains", "ignore:the last half of the draws")
@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_error_bars_cover_what_they_should(memory: float) -> None:
    """400 runs, of a mean and of a function of means.

    7 % is three sigma of the count, of fixed seeds.
    """
    runs, covered = 400, torch.zeros(2)
    for x in chains(runs * 2, 600, memory, seed=3).split(2):
        pulls = [chain_estimate(x).pull(0.0), chain_estimate(moments(x), variance).pull(1.0)]
        covered += torch.tensor(pulls).abs() < 1
    assert ((covered / runs - 0.683).abs() < 0.07).all(), covered / runs


def test_the_error_of_the_error_is_its_scatter() -> None:
    estimates = [chain_estimate(x) for x in chains(300, 1000, 0.5, seed=4).split(1)]
    errors = torch.tensor([e.error for e in estimates])
    claimed = torch.tensor([e.error_error for e in estimates])
    assert float(errors.std()) == pytest.approx(float(claimed.mean()), rel=0.25)


def test_walkers_apart_from_one_another_raise_the_error() -> None:
    """Chains that stay where they began.

    The common mean sees it, means of single walkers would not.
    """
    x = chains(8, 500, 0.3, seed=5)
    shifted = x + torch.linspace(-3, 3, 8, dtype=torch.float64).unsqueeze(1)
    with pytest.warns(ShortChainWarning):
        estimate = chain_estimate(shifted)
    assert estimate.error > 10 * chain_estimate(x).error


def test_a_window_that_is_asked_for_shows_a_slow_part() -> None:
    """A tenth of the variance has ``ρ(t) = 0.97^t``, the rest none.

    Of short chains the window closes before it.
    """
    x, slow = chains(4, 3000, 0.0, seed=10), chains(4, 3000, 0.97, seed=11)
    mixed, window = math.sqrt(0.9) * x + math.sqrt(0.1) * slow, chain_estimate(slow).window
    tau = 0.9 * 0.5 + 0.1 * 0.5 * 1.97 / 0.03
    with pytest.warns(ShortChainWarning, match="the means of 4 chains differ"):
        assert chain_estimate(mixed).tau < 0.5 * tau
    found = chain_estimate(mixed, least_window=window)
    assert (
        found.replica_q > 1e-3
        and found.window == window
        and abs(found.tau - tau) < 3 * found.tau_error + 0.1 * tau
    )
    assert chain_estimate(slow, least_window=1).window == window
    with pytest.warns(ShortChainWarning, match="20 draws a walker"):
        assert chain_estimate(x[:, :20], least_window=100).window == 9


@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
@pytest.mark.parametrize(("walkers", "memory"), [(2, 0.0), (2, 0.6), (10, 0.0), (10, 0.6)])
def test_replica_q_is_even(walkers: int, memory: float) -> None:
    """Of 500 runs Kolmogorov's statistic passes 2.23 with probability 1e-4.

    It is a little off at finite length.
    """
    found = [
        chain_estimate(x).replica_q
        for x in chains(500 * walkers, 600, memory, seed=8).split(walkers)
    ]
    law, steps = torch.tensor(found).sort().values, torch.arange(500) / 500
    distance = float(torch.maximum(law - steps, steps + 1 / 500 - law).max())
    assert distance * math.sqrt(500) < 2.23


def test_chains_that_stay_apart_are_noticed_where_the_window_sees_nothing() -> None:
    x = chains(8, 4000, 0.3, seed=9)
    apart = x + 0.15 * torch.tensor([-1.0, 1.0] * 4).unsqueeze(1)
    with pytest.warns(
        ShortChainWarning, match=r"the means of 8 chains differ by more than their error allows"
    ) as said:
        estimate = chain_estimate(apart)
    assert len(said) == 1 and estimate.replica_q < 1e-6 and estimate.tau < 20
    assert chain_estimate(x).replica_q > 1e-3
    # Of pairs that are apart, the means are not.
    assert chain_estimate(apart, together=2).replica_q > 1e-3
    assert math.isnan(chain_estimate(apart[:1]).replica_q)


def test_scale_and_shift() -> None:
    x = chains(4, 800, 0.5, seed=6)
    plain, moved = chain_estimate(x), chain_estimate(1e6 - 3.0 * x)
    assert moved.value == pytest.approx(1e6 - 3 * plain.value, rel=1e-14)
    assert moved.error == pytest.approx(3 * plain.error, rel=1e-6) and moved.window == plain.window
    doubled = chain_estimate(x, lambda mean: 2 * mean)
    assert doubled.error == pytest.approx(
        2 * plain.error, rel=1e-12
    ) and doubled.tau == pytest.approx(plain.tau)


def test_where_nothing_varies() -> None:
    estimate = chain_estimate(torch.full((3, 50), 0.1))
    assert (
        estimate.value == pytest.approx(0.1) and estimate.error == 0.0 and math.isnan(estimate.tau)
    )
    nan = chain_estimate(moments(chains(2, 100, 0.0)), lambda means: torch.sqrt(-1 - means[..., 1]))
    assert math.isnan(nan.value) and math.isnan(nan.error)


@pytest.mark.parametrize("draws", [40, 400])
def test_short_chains_warn(draws: int) -> None:
    with pytest.warns(
        ShortChainWarning, match=f"{draws} draws a walker are fewer than 50 autocorrelation times"
    ):
        chain_estimate(chains(10, draws, 0.95, seed=7))


def test_it_is_printed_and_pulled_like_an_estimate() -> None:
    estimate = ChainEstimate(-1.49167, 0.0021, 0.0001, 2.0, 0.1, 7, 1000, torch.ones(8))
    assert str(estimate) == str(Estimate(-1.49167, 0.0021)) == "-1.4917 ± 0.0021"
    assert estimate.pull(-1.49377) == pytest.approx(1.0) and estimate.effective_draws == 250.0


@pytest.mark.parametrize(
    ("values", "function", "message"),
    [
        (torch.zeros(5), None, r"values must have shape \(walkers, draws\).*got \(5,\)"),
        (torch.zeros(5, 3), None, "at least 4 draws"),
        (torch.zeros(0, 9), None, "values must have shape"),
        (torch.zeros(2, 9, 2, 2), variance, "values must have shape"),
        (torch.zeros(2, 9, 3), None, "need function=.*their 3 means"),
        (torch.ones(2, 9, 3), lambda means: means, "function must map means"),
        (torch.ones(2, 9, 3), lambda means: means.detach().sum(), "autograd can differentiate"),
    ],
)
def test_input_that_is_refused(values: Tensor, function: Function, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chain_estimate(values, function)
