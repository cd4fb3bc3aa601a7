"""The integrator TauLeap: bookkeeping by hand, evaluations used again or not, errors, files."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import Broken, random_network, states
from leaps_triton import kernels
from leaps_triton.integrators.tau_leap import LeapInfo, LeapState, leap_increment
from leaps_triton.io import checkpoint

FLOAT64 = torch.float64
MODEL: Any = lt.Ising((2, 3), beta=0.3, field=torch.linspace(-0.5, 0.7, 6).view(2, 3))
PATH = lt.AnnealingPath(MODEL, schedule=lambda t: t**2)
UNEVEN = [0.0, 0.1, 0.5, 0.55, 1.0]


def test_the_grid() -> None:
    leap = lt.TauLeap(steps=4)
    assert leap.intervals == 4 and leap.times.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert leap.frozen.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert leap.densities.tolist() == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0]
    assert lt.TauLeap(torch.tensor(UNEVEN, dtype=FLOAT64)).times.tolist() == UNEVEN
    assert lt.TauLeap().intervals == 100


def test_settings_make_the_integrator_again() -> None:
    given: list[dict[str, Any]] = [
        {},
        {"floor": 0.7, "reversible": "metropolis"},
        {"weights": "euler"},
        {"weights": "euler", "floor": 0.2, "reversible": "barker"},
    ]
    for options in given:
        leap = lt.TauLeap(UNEVEN, **options)
        again = lt.TauLeap(leap.times, **leap.settings)
        other = leap.with_times([0.0, 0.4, 1.0])
        assert other.times.tolist() == [0.0, 0.4, 1.0] and leap.times.tolist() == UNEVEN
        for name in ("weights", "floor", "reversible", "exact", "settings"):
            assert getattr(again, name) == getattr(leap, name) == getattr(other, name)
    assert lt.TauLeap(3).settings == {"weights": "exact", "floor": 0.3, "reversible": "square_root"}
    assert lt.TauLeap(3, weights="euler").reversible is None
    assert lt.TauLeap(3, weights="euler").floor == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
        (
            {"steps": [0.0, 0.5, 0.5, 1.0]},
            "steps must be a number, or increasing times from 0 to 1, got",
        ),
        ({"weights": "Euler"}, "weights must be one of exact, euler, got 'Euler'"),
        ({"reversible": None}, "reversible must be one of barker, .* got None"),
        ({"floor": 0.0}, "floor must be finite and > 0 for exact weights.*, got 0.0"),
        ({"floor": -1.0, "weights": "euler"}, "floor must be finite and >= 0.*, got -1.0"),
        ({"floor": math.inf}, "floor must be finite and > 0 for exact weights.*, got inf"),
        ({"floor": math.nan, "weights": "euler"}, "floor must be finite and >= 0.*, got nan"),
    ],
)
def test_arguments_that_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lt.TauLeap(**arguments)


def test_increments_that_are_refused() -> None:
    x = states(MODEL)[:3]
    for t, later in ((0.5, 0.5), (0.5, 0.25)):
        with pytest.raises(
            ValueError, match=f"t_next must lie after t, got t = {t} and t_next = {later}"
        ):
            leap_increment(PATH, None, x, x, t, later)
    with pytest.raises(ValueError, match=r"after must have shape \(3, 2, 3\), got \(2, 2, 3\)"):
        leap_increment(PATH, None, x, x[:2], 0.0, 0.5)
    with pytest.raises(ValueError, match="give a network_output, or reversible="):
        leap_increment(PATH, None, x, x, 0.0, 0.5, reversible=None)


def test_an_increment_can_be_differentiated_through_both_ends() -> None:
    """Against difference quotients of the parameters; each end alone has a part in it."""
    network = random_network(MODEL, scale=1.0)
    x, y = PATH.start.sample(torch.arange(6), seed=0), PATH.start.sample(torch.arange(6), seed=1)
    weight = network.readout.weight
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0), dtype=FLOAT64)

    def total(shift: float) -> float:
        with torch.no_grad():
            weight.add_(shift * direction)
            found = leap_increment(PATH, network, x, y, 0.2, 0.5).sum()
            weight.sub_(shift * direction)
        return float(found)

    leap_increment(PATH, network, x, y, 0.2, 0.5).sum().backward()
    assert weight.grad is not None
    found = float((weight.grad * direction).sum())
    assert found == pytest.approx((total(1e-6) - total(-1e-6)) / 2e-6, rel=1e-5)
    assert abs(found) > 0.01


def test_neighbours_that_move_at_once_by_a_square_root_weigh_nothing() -> None:
    """In a step so short that a path has no other weight.

    By bounded rates they have one, the bond between them.
    """
    model = lt.PairModel((6,), 0.7, [[1.0, -0.4], [-0.4, 0.3]], [0.2, -0.5])
    path = lt.AnnealingPath(model)
    x = path.start.sample(torch.arange(30), seed=0)
    y = x.clone()
    y[:, 2:4] = 1 - y[:, 2:4]
    spread = {
        name: float(leap_increment(path, None, x, y, 1.0 - 1e-9, 1.0, reversible=name).abs().max())
        for name in kernels.REVERSIBLE
    }
    assert spread["square_root"] < 1e-7
    assert min(spread["barker"], spread["metropolis"]) > 0.3


class Watched(lt.TauLeap):
    """Writes down each step.

    Ends, interval, and how much it added to A with what entering adds before the next.
    """

    seen: list[tuple[Tensor, Tensor, int, Tensor]]

    def step(
        self, state: LeapState, path: Any, transport: Any, seed: int, backward: bool = False
    ) -> tuple[LeapState, LeapInfo]:
        after, info = super().step(state, path, transport, seed, backward)
        interval = int(state.interval[0])
        t, later = self.times[interval], self.times[interval + 1]
        gain = after.log_weights - state.log_weights
        # Entering adds the change of density of the configuration at the later end.
        at_end = state.configurations if backward else after.configurations
        gain = gain + path.log_increment(at_end, t, later)
        self.seen.append((state.configurations, after.configurations, interval, gain))
        return after, info


class Counting(torch.nn.Module):
    """A network that counts its calls."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network, self.calls = network, 0
        self.gauge = network.gauge

    def forward(self, *given: Any) -> Any:
        self.calls += 1
        return self.network(*given)


def watched(steps: Any = 6, **options: Any) -> tuple[Watched, Counting]:
    leap = Watched(steps)
    leap.seen = []
    return leap, Counting(random_network(MODEL, scale=1.0))


RUNS: dict[str, tuple[dict[str, Any], int]] = {
    "leaps": ({}, 7),
    "leaps and heat bath": ({"mcmc": lt.HeatBath()}, 12),
    "resampling": ({"resample_below": 1.0}, 7),
    "resampling and heat bath": ({"resample_below": 1.0, "mcmc": lt.HeatBath()}, 12),
}


@pytest.mark.parametrize(("options", "calls"), RUNS.values(), ids=RUNS)
def test_every_step_adds_the_increment_of_its_ends(options: dict[str, Any], calls: int) -> None:
    """Whatever moved the walkers in between.

    And an evaluation is used again exactly where nothing did.
    """
    leap, network = watched()
    sampler = lt.Sampler(PATH, network, leap, block=64, device="cpu", **options)
    ensemble = sampler.sample(64, seed=3)
    assert len(leap.seen) == 6 and network.calls == calls
    assert ensemble.evaluations == calls + (6 if "mcmc" in options else 0)
    assert (ensemble.resamplings[1:-1] == ("resample_below" in options)).all()
    total = torch.zeros(64, dtype=FLOAT64)
    moved = 0
    for number, (x, y, interval, gain) in enumerate(leap.seen):
        assert interval == number
        expected = leap_increment(
            PATH, network.network, x, y, leap.times[interval], leap.times[interval + 1]
        ).detach()
        torch.testing.assert_close(gain, expected, rtol=0, atol=1e-11)
        total += gain
        moved += int((x != y).sum())
    if not options:
        torch.testing.assert_close(ensemble.log_weights, total, rtol=0, atol=1e-11)
        assert all(
            torch.equal(a[1], b[0]) for a, b in zip(leap.seen[:-1], leap.seen[1:], strict=True)
        )
    assert moved > 80


@torch.no_grad()
@pytest.mark.parametrize("sweeps", [False, True], ids=["leaps", "leaps and heat bath"])
def test_a_reversed_step_adds_the_increment_of_the_same_step_run_forward(sweeps: bool) -> None:
    leap, network = watched(UNEVEN)
    sampler = lt.Sampler(PATH, network, leap, lt.HeatBath() if sweeps else None, device="cpu")
    lt.reverse_ess(sampler, states(MODEL), seed=2)
    assert [interval for _, _, interval, _ in leap.seen] == [3, 2, 1, 0]
    assert network.calls == (8 if sweeps else 5)
    for y, x, interval, gain in leap.seen:
        expected = leap_increment(
            PATH, network.network, x, y, leap.times[interval], leap.times[interval + 1]
        )
        torch.testing.assert_close(gain, expected, rtol=0, atol=1e-11)
        assert (x != y).any()


@torch.no_grad()
def test_euler_weights_are_those_of_the_paper() -> None:
    """``A = Σ h ξ_t(x)`` with one evaluation a step, for a curved schedule too."""
    leap, network = watched(UNEVEN)
    plain = lt.TauLeap(UNEVEN, weights="euler")
    leap.__dict__.update(plain.__dict__)
    ensemble = lt.Sampler(PATH, network, leap, block=32, device="cpu").sample(32, seed=1)
    expected = torch.zeros(32, dtype=FLOAT64)
    for x, _, interval, _ in leap.seen:
        t, h = leap.times[interval].view(1), float(leap.times[interval + 1] - leap.times[interval])
        expected += h * lt.objectives.residual(PATH, network, x, t)
    torch.testing.assert_close(ensemble.log_weights, expected, rtol=0, atol=1e-12)
    assert ensemble.evaluations == 4 and network.calls == 8


def begun(walkers: int = 6, steps: Any = 4) -> tuple[lt.TauLeap, LeapState, Any]:
    leap, network = lt.TauLeap(steps), random_network(MODEL)
    index = torch.arange(walkers)
    state, _ = leap.enter(leap.init(PATH.start.sample(index, seed=0), index), PATH)
    return leap, state, network


@torch.no_grad()
def test_walkers_without_time_are_left_alone() -> None:
    leap, state, network = begun()
    nothing = state._replace(remaining=torch.zeros_like(state.remaining))
    after, info = leap.step(nothing, PATH, network, seed=0)
    assert all(a is b for a, b in zip(after, nothing, strict=True)) and not info.moved.any()
    mixed = state._replace(remaining=state.remaining * torch.tensor([1.0, 0.0] * 3, dtype=FLOAT64))
    after, _ = leap.step(mixed, PATH, network, seed=0)
    assert after.events.tolist() == [2, 0] * 3 and not after.remaining.any()
    assert torch.equal(after.configurations[1::2], state.configurations[1::2])
    assert torch.equal(after.log_weights[1::2], state.log_weights[1::2])
    whole, _ = leap.step(state, PATH, network, seed=0)
    assert torch.equal(after.configurations[::2], whole.configurations[::2])
    torch.testing.assert_close(after.log_weights[::2], whole.log_weights[::2], rtol=0, atol=1e-12)
    assert (whole.configurations != state.configurations).any()


@torch.no_grad()
def test_each_walker_steps_in_its_own_interval() -> None:
    """Together, in different intervals, as alone."""
    leap, state, network = begun(4, UNEVEN)
    state = state._replace(interval=torch.arange(4), remaining=leap.times.diff())
    together, _ = leap.step(state, PATH, network, seed=1)
    for row in range(4):
        alone, _ = leap.step(
            LeapState(*(value[row : row + 1] for value in state)), PATH, network, seed=1
        )
        for value, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(value[0], whole[row], rtol=0, atol=1e-12)


@torch.no_grad()
def test_an_evaluation_of_other_configurations_or_times_is_not_used() -> None:
    """One walker moved, or another time.

    The next step is as if nothing had been evaluated before.
    """
    leap, state, network = begun()
    state, _ = leap.enter(leap.step(state, PATH, network, seed=0)[0], PATH)
    other = state.configurations.clone()
    other[2] = 1 - other[2]
    later = leap.with_times([0.0, 0.3, 0.5, 0.75, 1.0])
    nothing = leap.init(other, state.walkers)
    for integrator, x in ((leap, other), (later, state.configurations)):
        used, _ = integrator.step(state._replace(configurations=x), PATH, network, seed=0)
        fresh = nothing._replace(configurations=x, evaluated=x)
        fresh = fresh._replace(
            **{n: getattr(state, n) for n in ("log_weights", "interval", "remaining", "events")}
        )
        expected, _ = integrator.step(fresh, PATH, network, seed=0)
        assert (used.events == state.events + 2).all()
        assert all(torch.equal(a, b) for a, b in zip(used, expected, strict=True))
    used, _ = leap.step(state, PATH, network, seed=0)
    assert (used.events == state.events + 1).all()


def test_resampling_takes_the_evaluation_along() -> None:
    leap, state, network = begun()
    with torch.no_grad():
        state, _ = leap.step(state, PATH, network, seed=0)
    drawn = torch.tensor([3, 3, 0, 5, 5, 5])
    after = state.descend(drawn)
    for name, value in after._asdict().items():
        stays = name in ("log_weights", "interval", "remaining", "walkers", "events")
        assert torch.equal(value, getattr(state, name) if stays else getattr(state, name)[drawn])


@pytest.mark.parametrize("weights", ["exact", "euler"])
@pytest.mark.parametrize(
    ("value", "rate"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-?[0-9.]+")]
)
def test_a_rate_that_is_not_finite_is_reported(value: float, rate: str, weights: str) -> None:
    leap = lt.TauLeap(4, weights=weights)
    x, index = states(MODEL)[[40, 0, 1, 41]], torch.tensor([70, 71, 72, 73])
    state, _ = leap.enter(leap.init(x, index)._replace(interval=torch.tensor([1, 0, 0, 1])), PATH)
    after, info = leap.step(state, PATH, Broken(value), seed=0)
    leap.check(state, info)
    bad = ~after.log_weights.isfinite()
    assert bad[0] or bad[3]
    row = int(bad.nonzero()[0])
    where = rf"walker {70 + row} in the step from t = {leap.frozen[state.interval[row]]:g}"
    with pytest.raises(
        RuntimeError, match=rf"{where}: exit rate {rate} and reversed exit rate \S+ must be finite"
    ):
        leap.check(after, info)
    with pytest.raises(
        RuntimeError, match=r"walker [0-7] in the step from t = 0: .* must be finite"
    ):
        lt.Sampler(PATH, Broken(value), leap, block=8, device="cpu").sample(8, seed=12)


def test_a_way_back_too_small_for_a_number_has_its_logarithm() -> None:
    """The floor of the way back is 0 in float32, as ``e^{-200}`` is; ``A`` by hand."""
    path = lt.AnnealingPath(lt.Ising((2, 3), beta=40.0, field=1.0))

    def up(configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        return 50.0 * torch.ones(len(configurations), 1, 2, 3)

    x = torch.zeros(4, 2, 3, dtype=torch.int8)
    leap = lt.TauLeap([0.0, 0.9, 1.0])
    state = leap.init(x, torch.arange(4))
    state = state._replace(
        interval=torch.ones(4, dtype=torch.int64), remaining=torch.full((4,), 0.1, dtype=FLOAT64)
    )
    after, info = leap.step(state, path, up, seed=0)
    assert (info.moved == 6).all()
    # H = -6 before and -18 after; each flip back costs 10, so its floor is 0.3 e^{-20 β / 4}.
    density = 36.0 * 12.0
    back = 6.0 * (math.log(0.1 * 0.3) - 200.0)
    forth = 6.0 * math.log(-math.expm1(-0.1 * 50.0))
    expected = torch.full((4,), density + back - forth, dtype=FLOAT64)
    assert torch.allclose(after.log_weights, expected, rtol=1e-12, atol=0.0)
    leap.check(after, info, path)


@pytest.mark.parametrize(
    "options",
    [{}, {"floor": 0.7, "reversible": "metropolis"}, {"weights": "euler"}],
    ids=["default", "floor", "euler"],
)
def test_it_returns_from_a_file(options: dict[str, Any], tmp_path: Path) -> None:
    sampler = lt.Sampler(
        lt.AnnealingPath(MODEL),
        random_network(MODEL),
        lt.TauLeap(UNEVEN, **options),
        block=70,
        device="cpu",
    )
    lt.save(sampler, tmp_path / "s.safetensors")
    again = lt.load(tmp_path / "s.safetensors", device="cpu")
    assert type(again.integrator) is lt.TauLeap
    assert checkpoint.differences(checkpoint.describe(sampler), checkpoint.describe(again)) == []
    one, two = sampler.sample(90, seed=1), again.sample(90, seed=1)
    assert torch.equal(one.configurations, two.configurations) and torch.equal(
        one.log_weights, two.log_weights
    )
