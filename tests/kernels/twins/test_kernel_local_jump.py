"""The op local_jump_steps: its definition, laws of times and moves, many events against one.

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
from leaps_triton.kernels import LocalJumpSteps, Stream
from leaps_triton.kernels.class_jumps.cases import classes

FLOAT64 = torch.float64
KS = math.sqrt(math.log(2.0 / 1e-4) / 2.0)
"""``P(√n sup |F_n - F| > KS) ≤ 1e-4``."""


def equal(first: LocalJumpSteps, second: LocalJumpSteps, rows: Any = slice(None)) -> bool:
    return all(torch.equal(a, b[rows]) for a, b in zip(first, second, strict=True))


def loop(given: dict[str, Any], row: int) -> tuple[list[int], float, float, int]:
    """One walker by the formulas: classes counted anew at every event, by a loop over the sites."""
    x = given["configurations"][row].flatten().tolist()
    strides = given["strides"].tolist()
    neighbours = given["neighbours"].tolist()
    a = float(given["log_weights"][row])
    remaining = float(given["remaining"][row])
    walker = int(given["walkers"][row])
    event = int(given["events"][row])
    for _ in range(given["steps"]):
        if remaining == 0:
            break
        words = [
            int(word) for word in kernels.philox(given["seed"], Stream.JUMP, 0, event, 0, walker)
        ]
        u, v = (((words[i] << 20 | words[i + 1] >> 12) + 0.5) / 2.0**52 for i in (0, 2))
        event += 1
        of_site = [sum(s * x[j] for s, j in zip(strides, own, strict=True)) for own in neighbours]
        rates, corrector = (
            given[name][sum(x) - given["first_row"]].tolist() for name in ("rates", "corrector")
        )
        members = [[i for i, c in enumerate(of_site) if c == kind] for kind in range(len(rates))]
        passed = list(
            itertools.accumulate(len(m) * rate for m, rate in zip(members, rates, strict=True))
        )
        kappa = sum(len(m) * k for m, k in zip(members, corrector, strict=True))
        # Without any rate the walker never leaves.
        holding = math.inf
        if passed[-1] > 0:
            holding = -math.log(u) / passed[-1]
        a += min(holding, remaining) * kappa
        if holding >= remaining:
            remaining = 0.0
            break
        remaining -= holding
        chosen = next(c for c, total in enumerate(passed) if total > v * passed[-1])
        before = passed[chosen] - len(members[chosen]) * rates[chosen]
        site = members[chosen][int((v * passed[-1] - before) / rates[chosen])]
        x[site] = 1 - x[site]
    return x, a, remaining, event


@pytest.mark.parametrize("shape", [(7,), (5, 6), (3, 4, 3)])
def test_equals_a_plain_loop(shape: tuple[int, ...]) -> None:
    given = classes(shape, 24, steps=9)
    given["remaining"][::5] = 0.0
    after = kernels.local_jump_steps(**given)
    assert after.configurations.shape == (24, *shape) and after.configurations.dtype == torch.int8
    for row in range(24):
        x, a, remaining, event = loop(given, row)
        assert after.configurations[row].flatten().tolist() == x
        assert after.events[row].item() == event
        assert after.log_weights[row].item() == pytest.approx(a, rel=1e-12, abs=1e-12)
        assert after.remaining[row].item() == pytest.approx(remaining, rel=1e-11, abs=1e-12)
        assert (after.remaining[row] == 0) == (remaining == 0)
    made = after.events - given["events"]
    assert int(made.min()) == 0 and 3 < float(made.double().mean()) < 9 and int(made.max()) == 9


@pytest.mark.parametrize("shape", [(9,), (6, 7)])
def test_many_events_at_once_are_events_one_by_one(shape: tuple[int, ...]) -> None:
    """Bit for bit: classes that have been updated are those counted anew."""
    given = classes(shape, 16, steps=40, length=30.0)
    whole = kernels.local_jump_steps(**given)
    for size in (1, 7):
        part = None
        state = dict(given)
        for first in range(0, 40, size):
            part = kernels.local_jump_steps(**state | {"steps": min(size, 40 - first)})
            state |= {
                name: getattr(part, name)
                for name in ("configurations", "log_weights", "remaining", "events")
            }
        assert part is not None
        moved = part.exit_rate != 0
        assert torch.equal(part.exit_rate[moved], whole.exit_rate[moved]) and moved.any()
        assert equal(part._replace(exit_rate=whole.exit_rate, corrector=whole.corrector), whole)
    assert float((whole.events - given["events"]).double().mean()) > 8


def fixed_state(count: int, length: float) -> tuple[Tensor, Tensor, Tensor]:
    """First event of many walkers in one state: time, flips, and the rate of every site."""
    given = classes((5, 6), 1, steps=1)
    one = {
        name: given[name].expand(count, *given[name].shape[1:]).contiguous()
        for name in ("configurations", "events")
    }
    zeros = torch.zeros(count, dtype=FLOAT64)
    given |= one | {
        "log_weights": zeros,
        "remaining": zeros + length,
        "walkers": torch.arange(count),
    }
    given["corrector"] = torch.zeros_like(given["corrector"])
    after = kernels.local_jump_steps(**given)
    x = given["configurations"][:1].flatten(1)
    of_site = kernels.reference.site_classes(x, given["neighbours"], given["strides"])[0]
    flips = (after.configurations != given["configurations"]).flatten(1)
    return (
        length - after.remaining,
        flips,
        given["rates"][int(x.sum()) - given["first_row"]][of_site],
    )


def test_holding_times_are_exponential_and_moves_have_their_probabilities() -> None:
    n = 40000
    rates = fixed_state(1, 1.0)[2]
    total = float(rates.sum())
    time, flips, _ = fixed_state(n, 60.0 / total)
    assert (flips.sum(1) == 1).all()
    ordered = (-torch.expm1(-total * time)).sort().values
    steps = torch.arange(n + 1, dtype=FLOAT64) / n
    assert math.sqrt(n) * float(torch.maximum(steps[1:] - ordered, ordered - steps[:-1]).max()) < KS
    p = rates / total
    early = time < math.log(2.0) / total
    for made, probability in ((flips, p), (flips[early], p / 2)):
        counts = made.sum(0).double()
        assert (counts[p == 0] == 0).all() and int((p == 0).sum()) >= 3
        pulls = (counts - n * probability) / (n * probability * (1 - probability)).sqrt()
        assert pulls[p > 0].abs().max() < sigma_threshold(2 * int((p > 0).sum()))


def test_the_boundary_truncates_the_holding_time() -> None:
    total = float(fixed_state(1, 1.0)[2].sum())
    time, flips, _ = fixed_state(2000, 60.0 / total)
    truncated, made, _ = fixed_state(2000, 0.8 / total)
    torch.testing.assert_close(truncated, time.clamp(max=0.8 / total), rtol=1e-12, atol=1e-14)
    assert torch.equal(made, flips & (time < 0.8 / total).unsqueeze(1))


def test_without_rates_the_walker_holds_to_the_boundary_and_collects_its_corrector() -> None:
    given = classes((5, 5), 8)
    given["rates"] = torch.zeros_like(given["rates"])
    after = kernels.local_jump_steps(**given)
    assert torch.equal(after.configurations, given["configurations"]) and not after.remaining.any()
    expected = given["log_weights"] + given["remaining"] * after.corrector
    torch.testing.assert_close(after.log_weights, expected, rtol=1e-14, atol=1e-14)
    assert (after.corrector != 0).all() and torch.equal(after.events, given["events"] + 1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["rates", "corrector"])
def test_a_rate_that_is_not_finite_stops_its_walker_alone(name: str, value: float) -> None:
    given = classes((5, 6), 12, steps=1)
    ones = given["configurations"].flatten(1).sum(1, dtype=torch.int64)
    row = int(ones[3])
    good = kernels.local_jump_steps(**given)
    given[name] = given[name].clone()
    given[name][row - given["first_row"]] = value
    after = kernels.local_jump_steps(**given | {"steps": 5})
    bad = ones == row
    assert after.log_weights[bad].isnan().all() and torch.equal(
        after.remaining[bad], given["remaining"][bad]
    )
    assert torch.equal(after.configurations[bad], given["configurations"][bad])
    assert torch.equal(after.events[bad], given["events"][bad] + 1)
    again = kernels.local_jump_steps(**given)
    assert 0 < int(bad.sum()) < 12
    assert equal(LocalJumpSteps(*(value[~bad] for value in again)), good, ~bad)


def test_results_do_not_depend_on_the_other_walkers() -> None:
    given = classes((5, 6), 20, steps=12)
    together = kernels.local_jump_steps(**given)
    own = ("configurations", "log_weights", "remaining", "walkers", "events")
    for rows in (torch.tensor([7, 3, 11]), torch.arange(20).flip(0), torch.tensor([19])):
        apart = kernels.local_jump_steps(**given | {name: given[name][rows] for name in own})
        assert equal(apart, together, rows)


@pytest.mark.parametrize("name", ["seed", "walkers", "events"])
def test_random_numbers_depend_on(name: str) -> None:
    given = classes((5, 6), 16, steps=1)
    first = kernels.local_jump_steps(**given)
    again = kernels.local_jump_steps(**given)
    other = kernels.local_jump_steps(**given | {name: given[name] + 1})
    event = (first.remaining > 0) & (other.remaining > 0)
    assert equal(first, again) and event.sum() > 5
    assert (first.remaining != other.remaining)[event].all()


def test_layout_in_memory_does_not_matter() -> None:
    given = classes((5, 6), 8, steps=6)
    x = given["configurations"].permute(1, 2, 0).contiguous().permute(2, 0, 1)
    tables = {name: given[name].T.contiguous().T for name in ("rates", "corrector", "neighbours")}
    assert not x.is_contiguous() and not tables["rates"].is_contiguous()
    assert equal(
        kernels.local_jump_steps(**given | tables | {"configurations": x}),
        kernels.local_jump_steps(**given),
    )


def test_inputs_are_left_alone() -> None:
    given = classes((5, 6), 8, steps=10)
    copies = {name: value.clone() for name, value in given.items() if isinstance(value, Tensor)}
    for value in kernels.local_jump_steps(**given):
        value.fill_(1)
    assert all(torch.equal(given[name], value) for name, value in copies.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"configurations": torch.zeros(4, 5, 6)}, "configurations must be int8"),
        ({"log_weights": torch.zeros(3, dtype=FLOAT64)}, r"log_weights must have shape \(4,\)"),
        ({"events": torch.zeros(4)}, "events must be torch.int64"),
        (
            {"rates": torch.zeros(31, 9, dtype=FLOAT64)},
            r"both be \(rows, classes\) .* got \(31, 9\) and \(31, 250\)",
        ),
        (
            {"corrector": torch.zeros(31, 250)},
            "corrector must be torch.float64 on cpu, got torch.float32",
        ),
        (
            {"neighbours": torch.zeros(30, 12, dtype=torch.int64)},
            r"neighbours must be \(30, lanes\)",
        ),
        (
            {"strides": torch.zeros(12, dtype=torch.int64)},
            r"strides \(lanes,\) .* got \(30, 13\) and \(12,\)",
        ),
        ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
    ],
)
def test_inputs_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.local_jump_steps(**classes((5, 6), 4) | changes)


@pytest.mark.parametrize(("columns", "lanes"), [(257, 13), (250, 33)])
def test_too_many_classes_or_neighbours_are_refused(columns: int, lanes: int) -> None:
    given = classes((5, 6), 4)
    given |= {name: torch.zeros(31, columns, dtype=FLOAT64) for name in ("rates", "corrector")}
    given |= {
        "neighbours": torch.zeros(30, lanes, dtype=torch.int64),
        "strides": torch.zeros(lanes, dtype=torch.int64),
    }
    with pytest.raises(ValueError, match="at most"):
        kernels.local_jump_steps(**given)
