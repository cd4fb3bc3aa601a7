"""Holds in a running density: their integrals, and the ops that take them off log-weights."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from leaps_triton import kernels
from leaps_triton.kernels import Running, RunningClasses, reference
from leaps_triton.kernels.class_jumps.cases import classes
from leaps_triton.kernels.class_jumps.cases import density as of_classes
from leaps_triton.kernels.functions.reference import mean_exponential64
from leaps_triton.kernels.inputs.random import normal
from leaps_triton.kernels.jumps.cases import density, jump
from leaps_triton.kernels.jumps.reference import growth

FLOAT64 = torch.float64
TINY = (0.0, 5e-324, 1e-300, 1e-17, 1e-9, 1e-4)
CHANGES = [s * c for c in (*TINY, 0.1, 0.374, 0.375, 0.376, 1.0, 4.0, 40.0, 600.0) for s in (1, -1)]


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=FLOAT64)


def quadrature(exponent: float, change: float, elapsed: float) -> float:
    """``∫_0^s e^{E + c u / s} du`` by Simpson's rule on so many panels that its error is 1e-14."""
    panels = 4096
    u = torch.linspace(0.0, 1.0, 2 * panels + 1, dtype=FLOAT64)
    weights = torch.full_like(u, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return float((weights * torch.exp(exponent + change * u)).sum()) * elapsed / (6 * panels)


def closed(exponent: float, change: float, elapsed: float) -> float:
    """The integral itself, by a function that knows ``e^z - 1``."""
    if change == 0.0:
        return elapsed * math.exp(exponent)
    return elapsed * math.exp(exponent) * (math.expm1(change) / change)


@pytest.mark.parametrize("change", CHANGES)
def test_integrals_are_those_of_the_exponential(change: float) -> None:
    for exponent, elapsed in ((0.0, 1.0), (-3.0, 0.07), (20.0, 1e-6), (-700.0, 2.0)):
        found = float(growth(doubles(exponent), doubles(change), doubles(elapsed)))
        assert found == pytest.approx(closed(exponent, change, elapsed), rel=1e-12, abs=0.0)
        if abs(change) <= 4.0:
            assert found == pytest.approx(quadrature(exponent, change, elapsed), rel=1e-12)


def test_means_of_exponentials_to_units_in_the_last_place() -> None:
    z = torch.cat([-doubles(*TINY), -torch.logspace(-20, 3, 20001, dtype=FLOAT64)])
    expected = torch.where(z == 0.0, 1.0, torch.expm1(z) / z)
    found = mean_exponential64(z)
    assert float(((found - expected) / expected).abs().max()) < 4 * 2.0**-52
    assert mean_exponential64(doubles(-math.inf)).item() == 0.0
    assert mean_exponential64(doubles(math.nan)).isnan().all()


def correction(running: Running, remaining: Tensor, elapsed: Tensor, row: int) -> float:
    """``Σ_m w_m (I_m - s)`` of one walker, move after move."""
    begin = float(running.offset[row] - running.speed[row] * remaining[row])
    speed = float(running.speed[row])
    s = float(elapsed[row])
    total = 0.0
    for w, d in zip(
        running.in_rates[row].flatten().tolist(),
        running.slopes[row].flatten().tolist(),
        strict=True,
    ):
        if w != 0.0:
            total += w * (quadrature(begin * d, speed * s * d, s) - s)
    return total


def test_corrections_are_sums_of_quadratures() -> None:
    running = density((2, 3), 3, 5)
    running.speed[0] = 0.0
    remaining = doubles(0.3, 1.0, 0.7, 0.2, 0.9)
    elapsed = doubles(0.2, 1.0, 1e-5, 0.1, 0.4)
    found = kernels.hold_correction(running, remaining, elapsed)
    for row in range(5):
        expected = correction(running, remaining, elapsed, row)
        assert found[row].item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_rates_of_nothing_add_nothing_where_the_integral_overflows() -> None:
    slopes = doubles(1e300, math.inf, math.nan, 2.0, -4000.0).view(1, 1, 5)
    in_rates = doubles(0.0, 0.0, 0.0, 0.5, 0.0).view(1, 1, 5)
    running = Running(in_rates, slopes, doubles(0.7), doubles(0.4))
    s = doubles(0.3)
    found = float(kernels.hold_correction(running, doubles(1.0), s))
    assert found == pytest.approx(0.5 * (closed(-0.6, 0.42, 0.3) - 0.3), rel=1e-12)
    # One that counts and overflows is infinite.
    running.in_rates[0, 0, 1] = 1e-300
    assert not kernels.hold_correction(running, doubles(1.0), s).isfinite().any()


def test_a_cold_model_stays_finite() -> None:
    """``β = 50`` in one interval, frozen in its middle: exponents to 25 times a slope of 16."""
    slopes = 4.0 * normal(3, 1, 4, 4, seed=1).round().clamp(-4, 4)
    half = torch.full((3,), 25.0, dtype=FLOAT64)
    running = Running(torch.rand(3, 1, 4, 4), slopes, 2.0 * half, half)
    one = torch.ones(3, dtype=FLOAT64)
    assert bool(kernels.hold_correction(running, one, one).isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
def test_a_step_is_the_one_without_but_for_its_weight(dtype: torch.dtype) -> None:
    given = jump((3, 5), 3, 40)
    given["rates"] = given["rates"].to(dtype)
    running = density((3, 5), 3, 40)
    before = [t.clone() for t in running]
    plain = kernels.jump_step(**given)
    made = kernels.jump_step(**given, running=running)
    assert all(map(torch.equal, running, before))
    assert torch.equal(made.configurations, plain.configurations)
    assert torch.equal(made.remaining, plain.remaining) and torch.equal(made.move, plain.move)
    elapsed = given["remaining"] - made.remaining
    lost = kernels.hold_correction(running, given["remaining"], elapsed)
    torch.testing.assert_close(plain.log_weights - made.log_weights, lost, rtol=0, atol=1e-12)
    assert float(lost.abs().min()) > 1e-6


def test_a_density_that_stands_still_at_its_frozen_rates_changes_no_weight() -> None:
    given = jump((3, 5), 3, 40)
    running = density((3, 5), 3, 40)._replace(speed=torch.zeros(40).double())
    still = running._replace(offset=torch.zeros(40).double())
    plain = kernels.jump_step(**given)
    made = kernels.jump_step(**given, running=still)
    assert torch.equal(made.log_weights, plain.log_weights)


def test_weights_that_overflow_turn_nan_and_their_walkers_stay() -> None:
    given = jump((3, 5), 3, 4)
    running = density((3, 5), 3, 4)
    running.in_rates[1:3, 0, 0, 0] = 1.0
    running.slopes[1, 0, 0, 0] = 1e6
    running.offset[1] = 100.0
    running.slopes[2, 0, 0, 0] = math.nan
    given["remaining"][0] = 0.0
    running.offset[0] = math.nan
    made = kernels.jump_step(**given, running=running)
    assert made.log_weights.isnan().tolist() == [False, True, True, False]
    assert torch.equal(made.configurations[:3], given["configurations"][:3])
    assert torch.equal(made.remaining[:3], given["remaining"][:3])
    assert made.move[:3].tolist() == [-1, -1, -1]
    assert made.log_weights[0] == given["log_weights"][0]


def test_types_of_rates_are_brought_together() -> None:
    """Rates that overflow float32 come in float64."""
    given = jump((3, 5), 3, 9)
    given["rates"] = given["rates"].float()
    running = density((3, 5), 3, 9)
    mixed = running._replace(slopes=running.slopes.float())
    made = kernels.jump_step(**given, running=mixed)
    same = kernels.jump_step(**given, running=running)
    assert all(map(torch.equal, made, same))


def by_site(given: dict[str, Any], running: RunningClasses) -> tuple[dict[str, Any], Running]:
    """One event of classes as one of moves."""
    x = given["configurations"]
    kinds = reference.site_classes(x.flatten(1), given["neighbours"], given["strides"])
    row = x.flatten(1).sum(1, dtype=torch.int64).unsqueeze(1) - given["first_row"]

    def moves(table: Tensor) -> Tensor:
        return table[row, kinds].view(len(x), 1, *x.shape[1:])

    columns = ("configurations", "log_weights", "remaining", "walkers", "events", "seed")
    step = {name: given[name] for name in columns}
    step["rates"] = moves(given["rates"])
    step["corrector"] = moves(given["corrector"]).flatten(1).sum(1)
    slopes = running.levels[running.level][kinds].view(len(x), 1, *x.shape[1:])
    speed = torch.full((len(x),), running.speed, dtype=FLOAT64)
    offset = torch.full((len(x),), running.offset, dtype=FLOAT64)
    return step, Running(moves(running.in_rates), slopes, speed, offset)


def test_an_event_of_classes_weighs_what_one_of_moves_does() -> None:
    given = classes((5, 6), 30, steps=1)
    running = of_classes(given["rates"])
    made = kernels.local_jump_steps(**given, running=running)
    plain = kernels.local_jump_steps(**given)
    step, moves = by_site(given, running)
    expected = kernels.jump_step(**step, running=moves)
    torch.testing.assert_close(made.log_weights, expected.log_weights, rtol=0, atol=1e-12)
    torch.testing.assert_close(made.remaining, expected.remaining, rtol=1e-12, atol=0)
    assert float((made.log_weights - plain.log_weights).abs().min()) > 1e-6
    for name in ("configurations", "remaining", "events", "exit_rate", "corrector"):
        assert torch.equal(getattr(made, name), getattr(plain, name))


def test_many_events_of_classes_are_those_without_but_for_their_weight() -> None:
    given = classes((5, 6), 30, steps=20, length=3.0)
    running = of_classes(given["rates"])
    made = kernels.local_jump_steps(**given, running=running)
    plain = kernels.local_jump_steps(**given)
    lost = torch.zeros(30, dtype=FLOAT64)
    now = given
    for _ in range(20):
        goes = now["remaining"] != 0
        step, moves = by_site(now, running)
        after = kernels.jump_step(**step)
        elapsed = now["remaining"] - after.remaining
        lost += kernels.hold_correction(moves, now["remaining"], elapsed)
        one = kernels.local_jump_steps(**now | {"steps": 1})
        now = now | {name: getattr(one, name) for name in ("configurations", "remaining", "events")}
        now["log_weights"] = one.log_weights
        assert bool((one.events[goes] > given["events"][goes]).all())
    torch.testing.assert_close(plain.log_weights - made.log_weights, lost, rtol=0, atol=1e-11)
    assert torch.equal(made.configurations, plain.configurations)


def test_classes_that_overflow_turn_nan_and_those_without_a_rate_add_nothing() -> None:
    given = classes((5, 6), 30, steps=3)
    running = of_classes(given["rates"])
    level = torch.zeros_like(running.level)
    level[::2] = 1
    steep = running._replace(levels=doubles(1e6, 2.0), level=level, offset=300.0)
    assert bool(kernels.local_jump_steps(**given, running=steep).log_weights.isnan().all())
    closed_classes = steep._replace(in_rates=steep.in_rates * (level == 1))
    made = kernels.local_jump_steps(**given, running=closed_classes)
    assert bool(made.log_weights.isfinite().all())


REFUSED = [
    ({"in_rates": torch.zeros(4, 2, 3, 4)}, r"in_rates must have shape \(4, 2, 3, 5\)"),
    ({"slopes": torch.zeros(4, 2, 3, 5).half()}, "slopes must be float32 or float64"),
    ({"slopes": None}, "slopes must be a tensor"),
    ({"speed": torch.zeros(4)}, "speed must be torch.float64"),
    ({"offset": torch.zeros(3).double()}, r"offset must have shape \(4,\)"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_densities_that_are_refused(changes: dict[str, Any], message: str) -> None:
    running = density((3, 5), 3, 4)._replace(**changes)
    with pytest.raises(ValueError, match=message):
        kernels.jump_step(**jump((3, 5), 3, 4), running=running)


REFUSED_CLASSES = [
    ({"in_rates": torch.zeros(2, 2).double()}, r"in_rates must have shape \(31, "),
    ({"levels": torch.zeros(2)}, "levels must be torch.float64"),
    ({"levels": torch.zeros(0).double()}, r"levels must be \(levels,\) with 1 to 64 of them"),
    ({"level": torch.zeros(3).long()}, "level must have shape"),
    ({"level": None}, "level must be a tensor"),
    ({"offset": math.nan}, "offset must be a finite number, got nan"),
    ({"speed": None}, "speed must be a finite number, got None"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED_CLASSES)
def test_densities_of_classes_that_are_refused(changes: dict[str, Any], message: str) -> None:
    given = classes((5, 6), 4)
    running = of_classes(given["rates"])._replace(**changes)
    with pytest.raises(ValueError, match=message):
        kernels.local_jump_steps(**given, running=running)
