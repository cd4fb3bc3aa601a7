"""The ops of tau-leaping: their definition, the law of the steps, and their gradient.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers import sigma_threshold
from leaps_triton import exact, kernels
from leaps_triton.kernels import Stream
from leaps_triton.kernels.leaps import reference as leaps

FLOAT64 = torch.float64
# Two shifts of three sites; moves of rate zero, and a site without any.
RATES = torch.tensor([[[0.3, 0.0, 0.0], [1.1, 2.0, 0.0]]], dtype=FLOAT64)
DURATION = 0.7


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=FLOAT64)


def inputs(
    walkers: int, shape: tuple[int, ...] = (2, 3), q: int = 3, seed: int = 0
) -> dict[str, Any]:
    """Random input of the step: about a third of the sites move; a third of the rates are zero."""
    return {
        "configurations": (q * uniform(walkers, *shape, seed=seed + 1)).to(torch.int8),
        "rates": (3.0 * uniform(walkers, q - 1, *shape, seed=seed) - 1.0).clamp(min=0.0),
        "duration": uniform(walkers, seed=seed + 2) / (q - 1),
        "walkers": torch.arange(100, 100 + walkers),
        "events": torch.arange(walkers) % 7,
        "seed": 11,
    }


def loop_step(given: dict[str, Any], row: int) -> tuple[list[int], float]:
    """One walker's step, by the formulas and the table of random numbers."""
    x = given["configurations"][row].flatten().tolist()
    h = float(given["duration"][row])
    walker = int(given["walkers"][row])
    event = int(given["events"][row])
    table = given["rates"][row].double().flatten(1).T.tolist()
    log_probability = 0.0
    for site, site_rates in enumerate(table):
        words = [
            int(word) for word in kernels.philox(given["seed"], Stream.LEAP, site, event, 0, walker)
        ]
        u, v = (((words[i] << 20 | words[i + 1] >> 12) + 0.5) / 2.0**52 for i in (0, 2))
        total = sum(site_rates)
        if u >= 1.0 - math.exp(-h * total):
            log_probability -= h * total
            continue
        shift = next(k for k in range(1, len(site_rates) + 1) if sum(site_rates[:k]) > v * total)
        x[site] = (x[site] + shift) % (len(site_rates) + 1)
        log_probability += math.log((1.0 - math.exp(-h * total)) * site_rates[shift - 1] / total)
    return x, log_probability


@pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
@pytest.mark.parametrize(
    ("shape", "q"), [((2, 3), 3), ((5,), 2), ((1,), 4), ((3, 2, 2), 5), ((2, 1, 2, 3), 3)]
)
def test_equals_a_plain_loop(shape: tuple[int, ...], q: int, dtype: torch.dtype) -> None:
    given = inputs(40, shape, q)
    given["rates"] = given["rates"].to(dtype)
    given["rates"][::9] = 0.0
    given["duration"][4::9] = 0.0
    before = {name: v.clone() for name, v in given.items() if isinstance(v, Tensor)}
    after, log_probability = kernels.tau_leap_step(**given)
    assert (
        after.dtype == torch.int8
        and after.shape == (40, *shape)
        and log_probability.dtype == FLOAT64
    )
    for row in range(40):
        x, logarithm = loop_step(given, row)
        assert after[row].flatten().tolist() == x
        assert log_probability[row].item() == pytest.approx(logarithm, rel=1e-12, abs=1e-14)
    assert all(torch.equal(given[name], value) for name, value in before.items())
    moved = (after != given["configurations"]).flatten(1).any(1)
    assert not moved[::9].any() and not moved[4::9].any() and moved.double().mean() > 0.1


@pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
def test_the_log_probability_is_that_of_the_step_made(dtype: torch.dtype) -> None:
    given = inputs(300, (4, 5), 4)
    given["rates"] = given["rates"].to(dtype)
    after, log_probability = kernels.tau_leap_step(**given)
    again = kernels.tau_leap_log_probability(
        given["configurations"], after, given["rates"], given["duration"]
    )
    assert torch.equal(log_probability, again)


@pytest.mark.parametrize("q", [2, 3, 5])
def test_probabilities_sum_to_one(q: int) -> None:
    sites = {2: 6, 3: 4, 5: 3}[q]
    y = exact.enumerate_configurations((sites,), q)
    for row in range(3):
        given = inputs(3, (sites,), q, seed=row)
        x, rates, duration = (
            given[name][row : row + 1] for name in ("configurations", "rates", "duration")
        )
        if row:
            rates[0, 0, 0] = 0.0
        else:
            rates[0, 0, 0] = rates[0, 0, 0]
        many = (v.expand(len(y), *v.shape[1:]) for v in (x, rates, duration))
        start, out, h = (v.contiguous() for v in many)
        total = kernels.tau_leap_log_probability(start, y, out, h).exp().sum()
        assert float(total) == pytest.approx(1.0, abs=1e-13)


def steps(count: int, along: str, seed: int = 5) -> tuple[Tensor, Tensor]:
    """Numbers and log-probabilities of the states after ``count`` steps from one with ``RATES``."""
    index = torch.arange(count)
    zeros = torch.zeros(count, dtype=torch.int64)
    after, log_probability = kernels.tau_leap_step(
        torch.zeros(count, 3, dtype=torch.int8),
        RATES.expand(count, -1, -1),
        torch.full((count,), DURATION, dtype=FLOAT64),
        index if along == "walkers" else zeros + 3,
        index if along == "events" else zeros + 2,
        seed,
    )
    return (after.long() * torch.tensor([9, 3, 1])).sum(1), log_probability


@pytest.mark.parametrize("along", ["walkers", "events"])
def test_steps_have_their_probabilities(along: str) -> None:
    """Sites move independently of one another, and impossible moves are never made."""
    n = 40000
    y = exact.enumerate_configurations((3,), 3)
    x = torch.zeros_like(y)
    h = torch.full((27,), DURATION, dtype=FLOAT64)
    p = kernels.tau_leap_log_probability(x, y, RATES.expand(27, -1, -1), h).exp()
    a = 1.0 - math.exp(-1.4 * DURATION)
    b = 1.0 - math.exp(-2.0 * DURATION)
    first = torch.tensor([1 - a, a * 0.3 / 1.4, a * 1.1 / 1.4])
    second = torch.tensor([1 - b, 0.0, b])
    expected = torch.einsum("a,b,c->abc", first, second, torch.tensor([1.0, 0.0, 0.0])).flatten()
    torch.testing.assert_close(p, expected.double(), rtol=0, atol=1e-7)
    where, log_probability = steps(n, along)
    counts = torch.bincount(where, minlength=27).double()
    assert (counts[p == 0] == 0).all() and (p > 0).sum() == 6
    pulls = (counts - n * p) / (n * p * (1 - p)).sqrt()
    assert pulls[p > 0].abs().max() < sigma_threshold(6)
    torch.testing.assert_close(log_probability, p.log()[where])


def test_neighbouring_counters_are_uncorrelated() -> None:
    """Of one walker's successive events, of neighbouring walkers and of neighbouring seeds."""
    n = 40000
    walkers, events, other = (
        (found - found.mean()) / found.std()
        for found in (
            steps(n, *which)[0].double() for which in (("walkers",), ("events",), ("walkers", 6))
        )
    )
    for first, second in ((walkers[1:], walkers[:-1]), (events[1:], events[:-1]), (walkers, other)):
        assert abs(float((first * second).mean())) < sigma_threshold(3) / math.sqrt(n)


@pytest.mark.parametrize("word", [0, 2**32 - 1])
@pytest.mark.parametrize("scale", [1e-300, 1.0, 2.0, math.pi, 1e300])
def test_extreme_random_numbers_choose_moves_that_have_a_rate(
    word: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first word decides whether a site moves: 0 says yes wherever there is a rate."""

    def words(*counter: Any) -> tuple[Tensor, ...]:
        return (torch.zeros(1, 1, dtype=torch.int64),) * 2 + (torch.full((1, 1), word),) * 2

    monkeypatch.setattr(leaps, "philox", words)
    rates = torch.tensor([0.0, 0.0, 0.1, 0.0, 0.7, 0.2, 0.0], dtype=FLOAT64).view(1, 7, 1) * scale
    rates = torch.cat([rates, torch.zeros_like(rates)], dim=2)
    index = torch.zeros(1, dtype=torch.int64)
    h = torch.ones(1, dtype=FLOAT64) / scale
    after, log_probability = kernels.tau_leap_step(
        torch.zeros(1, 2, dtype=torch.int8), rates, h, index, index, 0
    )
    assert after.tolist() == [[6 if word else 3, 0]]
    assert log_probability.item() == pytest.approx(
        math.log((0.2 if word else 0.1) * (1 - math.exp(-1.0))), rel=1e-12
    )


def test_short_steps_keep_their_digits() -> None:
    """``log(1 - e^{-hΛ}) ≈ log hΛ`` where ``1 - e^{-hΛ}`` alone has no digit left."""
    x = torch.zeros(1, 1, dtype=torch.int8)
    y = torch.ones(1, 1, dtype=torch.int8)
    rates = torch.tensor([[[0.3]]], dtype=FLOAT64)
    for h in (1e-4, 1e-13, 1e-20, 1e-300):
        found = kernels.tau_leap_log_probability(
            x, y, rates, torch.tensor([h], dtype=FLOAT64)
        ).item()
        assert found == pytest.approx(math.log(0.3 * h) + math.log1p(-0.15 * h), rel=1e-9, abs=0)


def test_without_rates_or_time_the_walker_stays_for_certain() -> None:
    given = inputs(20, seed=40)
    for change in (
        {"rates": torch.zeros(20, 2, 2, 3)},
        {"duration": torch.zeros(20, dtype=FLOAT64)},
    ):
        after, log_probability = kernels.tau_leap_step(**given | change)
        assert torch.equal(after, given["configurations"]) and not log_probability.any()
        both = given | change
        moved = ((given["configurations"] + 1) % 3).to(torch.int8)
        away = kernels.tau_leap_log_probability(
            given["configurations"], moved, both["rates"], both["duration"]
        )
        assert (away == -torch.inf).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_rates_that_are_not_finite_are_told(value: float) -> None:
    given = inputs(6, seed=50)
    given["rates"][2, 1, 0, 1] = value
    after, log_probability = kernels.tau_leap_step(**given)
    assert log_probability.isnan().tolist() == [False, False, True, False, False, False]
    assert after[2, 0, 1] == given["configurations"][2, 0, 1]


def test_the_gradient_is_that_of_the_logarithm() -> None:
    """By difference quotients, and by hand for one site that stays and one that moves."""
    given = inputs(5, (2, 3), 3, seed=60)
    x = given["configurations"]
    h = given["duration"] + 0.1
    rates = given["rates"] + 0.2
    after = kernels.tau_leap_step(**given | {"rates": rates, "duration": 3.0 * h}).configurations
    assert 0.2 < (after != x).double().mean() < 0.9
    leaf = rates.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda r: kernels.tau_leap_log_probability(x, after, r, h), (leaf,)
    )
    one = torch.zeros(1, 2, dtype=torch.int8)
    two = torch.tensor([[0, 1]], dtype=torch.int8)
    leaf = torch.tensor([[[0.4, 0.9]]], dtype=FLOAT64, requires_grad=True)
    kernels.tau_leap_log_probability(one, two, leaf, torch.tensor([0.5], dtype=FLOAT64)).backward()
    expected = torch.tensor([-0.5, 0.5 / math.expm1(0.45)], dtype=FLOAT64)
    torch.testing.assert_close(leaf.grad.flatten(), expected)  # type: ignore[union-attr]


def test_the_gradient_has_the_precision_of_the_rates() -> None:
    """And it is finite, without any rate too."""
    given = inputs(7, (3, 5), 4, seed=70)
    given["rates"] = given["rates"].float()
    given["rates"][3] = 0.0
    after = kernels.tau_leap_step(**given).configurations
    gradients = []
    for dtype in (torch.float32, FLOAT64):
        leaf = given["rates"].to(dtype, copy=True).requires_grad_()
        sums = kernels.tau_leap_log_probability(
            given["configurations"], after, leaf, given["duration"]
        )
        (sums * torch.arange(1, 8)).sum().backward()
        assert leaf.grad is not None and leaf.grad.dtype == dtype and leaf.grad.isfinite().all()
        gradients.append(leaf.grad)
    assert torch.equal(gradients[0], gradients[1].float())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"configurations": torch.zeros(4, 2, 3)}, "configurations must be int8"),
        ({"rates": torch.zeros(4, 2, 3)}, r"rates must be \(4, q-1, 2, 3\), got \(4, 2, 3\)"),
        (
            {"rates": torch.zeros(4, 2, 2, 3, dtype=torch.float16)},
            "rates must be float32 or float64",
        ),
        ({"duration": torch.zeros(4)}, "duration must be torch.float64, got torch.float32"),
        ({"duration": torch.zeros(1, dtype=FLOAT64)}, r"duration must have shape \(4,\)"),
        ({"walkers": torch.zeros(4)}, "walkers must be torch.int64"),
    ],
)
def test_inputs_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.tau_leap_step(**inputs(4) | changes)


def test_ends_that_do_not_fit_are_refused() -> None:
    given = inputs(4)
    x = given["configurations"]
    rates = given["rates"]
    h = given["duration"]
    with pytest.raises(
        ValueError, match=r"after must have shape \(4, 2, 3\) on cpu, got \(4, 3, 2\) on cpu"
    ):
        kernels.tau_leap_log_probability(x, x.mT, rates, h)
    with pytest.raises(ValueError, match="configurations must be int8"):
        kernels.tau_leap_log_probability(x, x.long(), rates, h)
