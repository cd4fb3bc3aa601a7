"""The op jump_step: its definition, and the laws of holding times and moves.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each
(Kolmogorov–Smirnov likewise).
"""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers import sigma_threshold
from leaps_triton import kernels
from leaps_triton.kernels import JumpStep, Stream
from leaps_triton.kernels.jumps import reference

FLOAT64 = torch.float64
KS = math.sqrt(math.log(2.0 / 1e-4) / 2.0)
"""``P(√n sup |F_n - F| > KS) ≤ 1e-4``."""
# Two shifts of 2 × 3 sites; moves of rate zero at both ends and inside.
MOVE_RATES = torch.tensor(
    [[[[0.0, 0.3, 0.0], [2.0, 0.0, 0.7]], [[1.1, 0.0, 0.05], [0.4, 0.9, 0.0]]]], dtype=FLOAT64
)
RATE = float(MOVE_RATES.sum())


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=FLOAT64)


def inputs(
    walkers: int, shape: tuple[int, ...] = (2, 3), q: int = 3, seed: int = 0
) -> dict[str, Any]:
    """Random input: about half of the walkers have an event; a third of the rates are zero."""
    raw = 3.0 * uniform(walkers, q - 1, *shape, seed=seed) - 1.0
    move_rates = raw.clamp(min=0.0)
    return {
        "configurations": (q * uniform(walkers, *shape, seed=seed + 1)).to(torch.int8),
        "log_weights": 4.0 * uniform(walkers, seed=seed + 2) - 2.0,
        "remaining": 2.0
        * uniform(walkers, seed=seed + 3)
        / move_rates.flatten(1).sum(1).clamp(min=0.5),
        "rates": move_rates,
        "corrector": 10.0 * uniform(walkers, seed=seed + 4) - 5.0,
        "walkers": torch.arange(100, 100 + walkers),
        "events": torch.arange(walkers) % 7,
        "seed": 11,
    }


def pick(given: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    return {
        name: value[rows] if isinstance(value, Tensor) else value for name, value in given.items()
    }


def equal(first: JumpStep, second: JumpStep) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def loop_step(given: dict[str, Any], row: int) -> tuple[list[int], float, float, int]:
    """One walker's step, by the formulas and the table of random numbers."""
    walker = int(given["walkers"][row])
    event = int(given["events"][row])
    words = [int(word) for word in kernels.philox(given["seed"], Stream.JUMP, 0, event, 0, walker)]
    # Two words make one number of 52 bits and a half.
    u, v = (((words[i] << 20 | words[i + 1] >> 12) + 0.5) / 2.0**52 for i in (0, 2))
    x = given["configurations"][row].flatten().tolist()
    move_rates = given["rates"][row].double().flatten().tolist()
    a, remaining, corrector = (
        float(given[name][row]) for name in ("log_weights", "remaining", "corrector")
    )
    exit_rate = sum(move_rates)
    # Without any rate the walker never leaves.
    holding = math.inf
    if exit_rate > 0:
        holding = -math.log(u) / exit_rate
    if holding >= remaining:
        return x, a + remaining * corrector, 0.0, -1
    # The first sum above the threshold.
    passed = list(itertools.accumulate(move_rates))
    move = next(m for m, total in enumerate(passed) if total > v * exit_rate)
    shift, site = divmod(move, len(x))
    x[site] = (x[site] + shift + 1) % (len(move_rates) // len(x) + 1)
    return x, a + holding * corrector, remaining - holding, move


@pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
@pytest.mark.parametrize(
    ("shape", "q"), [((2, 3), 3), ((5,), 2), ((1,), 4), ((3, 2, 2), 5), ((2, 1, 2, 3), 3)]
)
def test_equals_a_plain_loop(shape: tuple[int, ...], q: int, dtype: torch.dtype) -> None:
    given = inputs(60, shape, q)
    given["rates"] = given["rates"].to(dtype)
    given["rates"][::9] = 0.0
    given["remaining"][::9] = 0.5
    given["remaining"][4::9] = 0.0
    after = kernels.jump_step(**given)
    assert after.configurations.dtype == torch.int8 and after.configurations.shape == (60, *shape)
    assert (
        after.log_weights.dtype == after.remaining.dtype == FLOAT64
        and after.move.dtype == torch.int64
    )
    for row in range(60):
        x, a, remaining, move = loop_step(given, row)
        assert after.configurations[row].flatten().tolist() == x
        assert after.move[row].item() == move
        assert after.log_weights[row].item() == pytest.approx(a, rel=1e-13, abs=1e-13)
        assert after.remaining[row].item() == pytest.approx(remaining, rel=1e-12, abs=1e-13)
        assert (after.remaining[row] == 0) == (move == -1)
    assert 10 < int((after.move >= 0).sum()) < 50


def fixed_state(
    count: int, remaining: float, along: str = "walkers", seed: int = 5
) -> tuple[Tensor, Tensor]:
    """Time passed and move of ``count`` steps from one state with ``MOVE_RATES``.

    The steps are those of many walkers, or of many events.
    """
    index = torch.arange(count)
    zeros = torch.zeros(count, dtype=torch.int64)
    after = kernels.jump_step(
        torch.zeros(count, 2, 3, dtype=torch.int8),
        torch.zeros(count, dtype=FLOAT64),
        torch.full((count,), remaining, dtype=FLOAT64),
        MOVE_RATES.expand(count, -1, -1, -1),
        torch.ones(count, dtype=FLOAT64),
        index if along == "walkers" else zeros + 3,
        index if along == "events" else zeros + 2,
        seed,
    )
    # A corrector of 1 makes A the time passed.
    return after.log_weights, after.move


def kolmogorov_smirnov(values: Tensor) -> float:
    """``√n sup |F_n - F|`` of values that should be uniform on (0, 1)."""
    n = len(values)
    ordered = values.sort().values
    steps = torch.arange(n + 1, dtype=FLOAT64) / n
    return math.sqrt(n) * float(torch.maximum(steps[1:] - ordered, ordered - steps[:-1]).max())


@pytest.mark.parametrize("along", ["walkers", "events"])
def test_holding_times_are_exponential(along: str) -> None:
    n = 40000
    time, _ = fixed_state(n, 60.0 / RATE, along)
    assert time.min() > 0 and time.max() < 60.0 / RATE
    threshold = sigma_threshold(2)
    assert abs(float(time.mean()) * RATE - 1.0) < threshold / math.sqrt(n)
    # The fourth central moment of an exponential is 9, so the variance has the variance 8 / n.
    assert abs(float(time.var()) * RATE**2 - 1.0) < threshold * math.sqrt(8.0 / n)
    assert kolmogorov_smirnov(-torch.expm1(-RATE * time)) < KS


@pytest.mark.parametrize("along", ["walkers", "events"])
def test_moves_have_their_probabilities(along: str) -> None:
    """Whatever the holding time was; and a move of rate zero is never made."""
    n = 40000
    time, move = fixed_state(n, 60.0 / RATE, along)
    p = MOVE_RATES.flatten() / RATE
    early = time < math.log(2.0) / RATE
    for chosen, probability in ((move, p), (move[early], p / 2)):
        counts = torch.bincount(chosen, minlength=12).double()
        assert len(counts) == 12 and (counts[p == 0] == 0).all()
        pulls = (counts - n * probability) / (n * probability * (1 - probability)).sqrt()
        assert pulls[p > 0].abs().max() < sigma_threshold(2 * int((p > 0).sum()))


def test_the_boundary_truncates_the_holding_time() -> None:
    """With less time the same numbers give ``min(T, remaining)``, and no event at the boundary."""
    n = 40000
    h = 0.8 / RATE
    time, move = fixed_state(n, 60.0 / RATE)
    truncated, moves = fixed_state(n, h)
    assert torch.equal(truncated, time.clamp(max=h))
    assert torch.equal(moves, torch.where(time < h, move, -1))
    p = math.exp(-0.8)
    assert abs(float((moves == -1).double().mean()) - p) < sigma_threshold(1) * math.sqrt(
        p * (1 - p) / n
    )


def test_holding_times_of_neighbouring_counters_are_uncorrelated() -> None:
    """Of one walker's successive events, of neighbouring walkers and of neighbouring seeds."""
    n = 40000
    walkers, events = (
        RATE * fixed_state(n, 60.0 / RATE, along)[0] - 1.0 for along in ("walkers", "events")
    )
    other = RATE * fixed_state(n, 60.0 / RATE, seed=6)[0] - 1.0
    for first, second in ((walkers[1:], walkers[:-1]), (events[1:], events[:-1]), (walkers, other)):
        assert abs(float((first * second).mean())) < sigma_threshold(3) / math.sqrt(n)


@pytest.mark.parametrize("word", [0, 2**32 - 1])
@pytest.mark.parametrize("scale", [1e-300, 1.0, 2.0, math.pi, 1e300])
def test_extreme_random_numbers_choose_moves_that_have_a_rate(
    word: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "philox", lambda *counter: (torch.tensor([word]),) * 4)
    move_rates = torch.tensor([[0.0, 0.0, 0.1, 0.0, 0.7, 0.2, 0.0]], dtype=FLOAT64) * scale
    one = torch.ones(1, dtype=FLOAT64)
    index = torch.zeros(1, dtype=torch.int64)
    x = torch.zeros(1, 7, dtype=torch.int8)
    rates = move_rates.view(1, 1, 7)
    given = reference.Event(x, one, 100 * one / scale, rates, 0 * one, index, index, 0)
    after = reference.jump_step(given)
    assert after.move.item() == (5 if word else 2)
    assert 0 < after.remaining.item() <= 100 / scale


def test_a_threshold_above_all_sums_means_the_last_move_with_a_rate() -> None:
    """The smallest numbers there are: ``u R`` rounds to ``R``, for every ``u`` above a half."""
    n = 200
    rates = torch.zeros(n, 1, 7, dtype=FLOAT64)
    rates[:, 0, 4] = 5e-324
    one = torch.ones(n, dtype=FLOAT64)
    index = torch.arange(n)
    given = (
        torch.zeros(n, 7, dtype=torch.int8),
        one,
        1.7e308 * one,
        rates,
        0 * one,
        index,
        index,
        3,
    )
    with pytest.MonkeyPatch.context() as patch:
        # Otherwise the holding time -log(u) / R overflows, and no walker jumps.
        patch.setattr(
            reference,
            "uniform64",
            lambda high, low: torch.linspace(1.0 - 2.0**-53, 1.0, n, dtype=FLOAT64),
        )
        after = reference.jump_step(reference.Event(*given))
    assert (after.move == 4).all() and (after.configurations.sum(1) == 1).all()


def test_walkers_without_time_are_left_alone_whatever_their_rates() -> None:
    given = inputs(6)
    given["remaining"][:3] = 0.0
    given["rates"][[0, 3], 1, 1, 2] = math.nan
    given["corrector"][[1, 4]] = math.inf
    after = kernels.jump_step(**given)
    for value, name in (
        (after.configurations, "configurations"),
        (after.log_weights, "log_weights"),
    ):
        assert torch.equal(value[:3], given[name][:3])
    assert after.remaining[:3].tolist() == [0.0] * 3 and after.move[:5].tolist() == [-1] * 5
    assert after.log_weights.isnan().tolist() == [False, False, False, True, True, False]
    assert torch.equal(after.remaining[3:5], given["remaining"][3:5])


@pytest.mark.parametrize("q", [2, 3, 5])
def test_every_move_shifts_its_site_alone(q: int) -> None:
    """Move ``(k-1) N + i`` takes ``x_i`` to ``(x_i + k) mod q``, from every state of the site."""
    sites = 6
    moves = torch.arange((q - 1) * sites).repeat(q)
    n = len(moves)
    given = inputs(n, (2, 3), q, seed=20)
    site = moves % sites
    shift = moves // sites + 1
    before = torch.arange(q).repeat_interleave((q - 1) * sites)
    flat = given["configurations"].flatten(1)
    flat[torch.arange(n), site] = before.to(torch.int8)
    given["rates"] = 5.0 * torch.eye(n // q, dtype=FLOAT64).repeat(q, 1).view(n, q - 1, 2, 3)
    given["remaining"] = torch.full((n,), 50.0, dtype=FLOAT64)
    after = kernels.jump_step(**given)
    expected = flat.clone()
    expected[torch.arange(n), site] = ((before + shift) % q).to(torch.int8)
    assert torch.equal(after.move, moves)
    assert torch.equal(after.configurations.flatten(1), expected)


def test_weights_grow_by_the_corrector_times_the_time_passed() -> None:
    given = inputs(500, seed=30)
    after = kernels.jump_step(**given)
    elapsed = given["remaining"] - after.remaining
    torch.testing.assert_close(
        after.log_weights, given["log_weights"] + elapsed * given["corrector"], rtol=0, atol=1e-14
    )
    event = after.move >= 0
    assert 150 < int(event.sum()) < 350
    assert (
        (elapsed > 0).all()
        and (after.remaining[event] > 0).all()
        and (after.remaining[~event] == 0).all()
    )
    changed = (after.configurations != given["configurations"]).flatten(1).sum(1)
    assert torch.equal(changed, event.long())


def test_without_rates_the_walker_holds_to_the_boundary_and_collects_its_corrector() -> None:
    given = inputs(50, seed=40)
    given["rates"] = torch.zeros(50, 2, 2, 3)
    given["remaining"] = uniform(50, seed=45)
    after = kernels.jump_step(**given)
    assert torch.equal(
        after.log_weights, given["log_weights"] + given["remaining"] * given["corrector"]
    )
    assert not after.remaining.any() and (after.move == -1).all()
    assert torch.equal(after.configurations, given["configurations"])


def test_without_time_nothing_happens() -> None:
    given = inputs(50, seed=50)
    given["remaining"] = torch.zeros(50, dtype=FLOAT64)
    given["rates"] *= 1e6
    after = kernels.jump_step(**given)
    assert torch.equal(after.log_weights, given["log_weights"])
    assert not after.remaining.any() and (after.move == -1).all()
    assert torch.equal(after.configurations, given["configurations"])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["rates", "corrector"])
def test_a_rate_that_is_not_finite_stops_its_walker_alone(where: str, value: float) -> None:
    given = inputs(20, seed=60)
    good = kernels.jump_step(**given)
    row = int((good.move >= 0).nonzero()[3])
    given[where] = given[where].clone()
    given[where].view(20, -1)[row, -1] = value
    after = kernels.jump_step(**given)
    assert after.log_weights[row].isnan() and after.move[row] == -1
    assert after.remaining[row] == given["remaining"][row]
    assert torch.equal(after.configurations[row], given["configurations"][row])
    others = torch.arange(20) != row
    assert all(torch.equal(a[others], g[others]) for a, g in zip(after, good, strict=True))


def test_results_do_not_depend_on_the_other_walkers() -> None:
    """Bit for bit, in any order and company."""
    given = inputs(64, (3, 5), 3, seed=70)
    together = kernels.jump_step(**given)
    order = uniform(64, seed=75).argsort()
    for rows in (order, order[:17], order[17:20], *torch.arange(64).split(1)):
        apart = kernels.jump_step(**pick(given, rows))
        assert equal(apart, JumpStep(*(value[rows] for value in together)))


@pytest.mark.parametrize("name", ["seed", "walkers", "events"])
def test_random_numbers_depend_on(name: str) -> None:
    given = inputs(64, seed=80)
    first = kernels.jump_step(**given)
    again = kernels.jump_step(**given)
    other = kernels.jump_step(**given | {name: given[name] + 1})
    event = (first.move >= 0) & (other.move >= 0)
    assert equal(first, again)
    assert event.sum() > 5 and (first.remaining != other.remaining)[event].all()


def test_layout_in_memory_does_not_matter() -> None:
    given = inputs(16, (3, 4), 3, seed=90)
    strided = given | {
        "configurations": given["configurations"].permute(1, 2, 0).contiguous().permute(2, 0, 1),
        "rates": given["rates"].permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1),
    }
    assert not strided["rates"].is_contiguous() and not strided["configurations"].is_contiguous()
    assert equal(kernels.jump_step(**given), kernels.jump_step(**strided))


def test_inputs_are_left_alone() -> None:
    given = inputs(30, seed=100)
    copies = {name: value.clone() for name, value in given.items() if isinstance(value, Tensor)}
    after = kernels.jump_step(**given)
    for value in after:
        value.fill_(1)
    assert all(torch.equal(given[name], value) for name, value in copies.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rates": torch.zeros(4, 2, 3)}, r"rates must be \(4, q-1, 2, 3\), got \(4, 2, 3\)"),
        ({"rates": torch.zeros(4, 2, 3, 2)}, r"rates must be \(4, q-1, 2, 3\), got \(4, 2, 3, 2\)"),
        ({"rates": torch.zeros(1, 2, 2, 3)}, r"rates must be \(4, q-1, 2, 3\), got \(1, 2, 2, 3\)"),
        (
            {"configurations": torch.zeros(5, 2, 3, dtype=torch.int8)},
            r"rates must be \(5, q-1, 2, 3\)",
        ),
        *(
            ({name: torch.zeros(shape)}, rf"{name} must have shape \(4,\) on cpu, got .* on cpu")
            for name in ("log_weights", "remaining", "corrector", "walkers", "events")
            for shape in ((3,), (1,), (4, 1))
        ),
        (
            {"walkers": torch.zeros(4, device="meta")},
            r"walkers must have shape \(4,\) on cpu, got \(4,\) on meta",
        ),
    ],
)
def test_inputs_that_are_refused(changes: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.jump_step(**inputs(4) | changes)
