"""Weights of a running density, without noise: E[e^A] = Z_1/Z_0 and weighted law = ρ_t.

Operators of intervals, made of what :meth:`Jump.step` adds, and of sweeps are composed in the
order in which the sampler acts.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import (
    RecordedHeatBath,
    draw,
    heat_bath_matrix,
    random_network,
    sigma_threshold,
    states,
)
from leaps_triton import exact, kernels
from leaps_triton.integrators.jump import JumpInfo, JumpState
from leaps_triton.integrators.rates import examine, rates_of
from leaps_triton.integrators.running import forward
from leaps_triton.integrators.running.backward import clocks
from leaps_triton.integrators.running.pieces import Pieces
from leaps_triton.kernels import Stream
from running_operators import gains, rates_matrix, through

FLOAT64 = torch.float64
MODELS: dict[str, Any] = {
    "ising 2x2 field": lt.Ising((2, 2), beta=0.4, field=0.3),
    "ising 2x3 field": lt.Ising((2, 3), beta=0.5, field=torch.linspace(-0.5, 0.7, 6).view(2, 3)),
    "potts 4 q=3": lt.Potts(4, q=3, beta=0.8, field=[0.3, 0.0, -0.2]),
    "pm1 2x3 open": lt.EdwardsAnderson(
        (2, 3), beta=0.7, disorder="pm1", seed=3, periodic=False, field=0.2
    ),
}
GAUGES = ("plain", "heat_bath")
UNEVEN = [0.0, 0.1, 0.5, 0.55, 1.0]
Log = list[tuple[str, Any]]


def smooth(t: Tensor) -> Tensor:
    return t**2 * (3.0 - 2.0 * t)


class PerBeta(torch.nn.Module):
    """A network whose output is a rate per unit of β."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.gauge = network.gauge
        self.clock = "beta"

    def forward(self, configurations: Tensor, conditions: Any) -> Tensor:
        output: Tensor = self.network(configurations, conditions)
        return output


class RecordedJump(lt.Jump):
    """Writes down what it was asked to do, and moves nothing."""

    def __init__(self, intervals: Any, log: Log, **options: Any) -> None:
        super().__init__(intervals, weights="running", **options)
        self.log = log

    def enter(self, state: JumpState, path: Any, backward: bool = False) -> tuple[Any, Tensor]:
        self.log.append(("enter", int(state.interval[0])))
        return super().enter(state, path, backward)

    def step(
        self, state: JumpState, path: Any, transport: Any, seed: int, backward: bool = False
    ) -> tuple[JumpState, JumpInfo]:
        self.log.append(("jump", int(state.interval[0])))
        _, info = super().step(state, path, transport, seed, backward)
        return state._replace(remaining=torch.zeros_like(state.remaining)), info


def network_of(model: Any, gauge: str, clock: str = "t") -> Any:
    network = random_network(model, gauge=gauge)
    if clock == "beta":
        return PerBeta(network)
    return network


def recorded(
    path: lt.AnnealingPath, network: Any, intervals: Any, sweeps: bool = False, **options: Any
) -> tuple[Log, lt.Jump]:
    log: Log = []
    move = None
    if sweeps:
        move = RecordedHeatBath()
        object.__setattr__(move, "log", log)
    jump = RecordedJump(intervals, log, **options)
    lt.Sampler(path, network, jump, move, block=2, device="cpu").sample(walkers=2, seed=0)
    return log, jump


def measure_of(path: Any, network: Any, jump: lt.Jump, log: Log, **options: Any) -> Tensor:
    """Return all walkers at the end, relative to ``Z_1 / Z_0``."""
    x = states(path.model)
    measure = torch.full((len(x),), 1.0 / len(x), dtype=FLOAT64)
    for act, value in log:
        if act == "enter":
            state = lt.Jump.init(jump, x, torch.arange(len(x)))
            state = state._replace(interval=torch.full_like(state.interval, value))
            after, _ = lt.Jump.enter(jump, state, path)
            measure = measure * after.log_weights.exp()
        elif act == "sweep":
            measure = measure @ heat_bath_matrix(path, value)
        else:
            measure = through(path, network, jump, value, measure, **options)
    target = exact.enumerate_model(path.model)
    return measure / math.exp(target.log_z - path.start.log_z)


def defect(path: Any, network: Any, jump: lt.Jump, log: Log, **options: Any) -> tuple[float, float]:
    """Relative error of Z_1/Z_0, and largest error of the weighted law."""
    end = measure_of(path, network, jump, log, **options)
    law = end / end.sum() - exact.enumerate_model(path.model).log_probabilities.exp()
    return abs(float(end.sum()) - 1.0), float(law.abs().max())


@pytest.mark.parametrize("gauge", GAUGES)
@pytest.mark.parametrize(
    ("name", "sweeps"), [("ising 2x2 field", False), *((name, True) for name in MODELS)]
)
def test_running_weights_are_exact_for_an_untrained_network(
    name: str, gauge: str, sweeps: bool
) -> None:
    path = lt.AnnealingPath(MODELS[name])
    network = network_of(path.model, gauge)
    log, jump = recorded(path, network, 3, sweeps)
    assert [value for act, value in log if act == "sweep"] == jump.times[:-1].tolist() * sweeps
    assert max(defect(path, network, jump, log)) < 1e-10


@pytest.mark.parametrize("clock", ["t", "beta"])
@pytest.mark.parametrize("gauge", GAUGES)
def test_uneven_times_and_a_curved_schedule_stay_exact(gauge: str, clock: str) -> None:
    path = lt.AnnealingPath(MODELS["potts 4 q=3"], schedule=smooth)
    network = network_of(path.model, gauge, clock)
    log, jump = recorded(path, network, UNEVEN, sweeps=True)
    assert max(defect(path, network, jump, log)) < 1e-10


@pytest.mark.parametrize("gauge", [*GAUGES, "no network"])
@pytest.mark.parametrize("reversible", kernels.REVERSIBLE)
def test_reversible_rates_count_and_stay_exact(reversible: str, gauge: str) -> None:
    path = lt.AnnealingPath(MODELS["ising 2x3 field"])
    network = None if gauge == "no network" else network_of(path.model, gauge)
    log, jump = recorded(path, network, 2, sweeps=True, reversible=reversible, scale=1.0)
    assert max(defect(path, network, jump, log)) < 1e-10


def test_annealed_importance_sampling_has_the_weights_of_its_sweeps() -> None:
    """Without a motion within intervals ``A += -(β(t_{n+1}) - β(t_n)) H``, sweeps at ``t_n``."""
    path = lt.AnnealingPath(MODELS["ising 2x3 field"], schedule=smooth)
    seen: list[tuple[Tensor, Tensor]] = []
    jump = lt.Jump(5, weights="running")
    sampler = lt.Sampler(path, None, jump, lt.HeatBath(), device="cpu")
    run = sampler.run_block(
        torch.arange(4), 3, lambda s, e: seen.append((s.configurations, s.log_weights))
    )
    total = torch.zeros(4, dtype=FLOAT64)
    for interval in range(5):
        begin, end = jump.times[interval : interval + 2].tolist()
        total += path.log_increment(seen[interval][0], begin, end)
    assert run.state.log_weights == pytest.approx(total, abs=1e-12)


def test_a_schedule_that_stands_still_where_the_network_is_told_is_refused() -> None:
    def steep(t: Tensor) -> Tensor:
        return 0.5 + 4.0 * (t - 0.5) ** 3

    model = MODELS["ising 2x2 field"]
    path = lt.AnnealingPath(model, schedule=steep)
    network = network_of(model, "heat_bath")
    with pytest.raises(ValueError, match=r"dβ/dt = 0 in the middle, t = 0\.5; take other times"):
        lt.Sampler(path, network, lt.Jump(3, weights="running"), device="cpu")
    # Otherwise weights are frozen there; a network of rates per unit of β has no such place.
    assert lt.Sampler(path, network, lt.Jump(3), device="cpu").integrator.settings["weights"] == (
        "frozen"
    )
    log, jump = recorded(path, network_of(model, "heat_bath", "beta"), 3)
    assert max(defect(path, network_of(model, "heat_bath", "beta"), jump, log)) < 1e-10


def test_a_path_that_stands_still_moves_nothing_that_counts() -> None:
    def late(t: Tensor) -> Tensor:
        return (2.0 * t - 1.0).clamp(min=0.0)

    model = MODELS["ising 2x2 field"]
    path = lt.AnnealingPath(model, schedule=late)
    for clock in ("t", "beta"):
        network = network_of(model, "heat_bath", clock)
        log, jump = recorded(path, network, 4)
        assert max(defect(path, network, jump, log)) < 1e-10


# Errors below are those of wrong weights, computed without noise: thresholds are half of what
# each of them is on this model and grid.
WRONG = lt.AnnealingPath(MODELS["ising 2x3 field"])


def test_sweeps_at_the_frozen_times_are_seen() -> None:
    network = network_of(WRONG.model, "heat_bath")
    log, jump = recorded(WRONG, network, 4, sweeps=True)
    frozen = iter(jump.frozen.tolist())
    moved = [(act, next(frozen) if act == "sweep" else value) for act, value in log]
    assert defect(WRONG, network, jump, moved)[0] > 0.02


@pytest.mark.parametrize("gauge", GAUGES)
def test_a_correction_that_is_dropped_is_seen(gauge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(WRONG.model, gauge)
    log, jump = recorded(WRONG, network, 4)
    right = kernels.jump_step
    monkeypatch.setattr(kernels, "jump_step", lambda *given: right(*given[:8]))
    assert defect(WRONG, network, jump, log)[0] > 1e-3


def test_reversible_rates_that_are_left_out_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(WRONG.model, "heat_bath")
    log, jump = recorded(WRONG, network, 4, reversible="barker", scale=2.0)
    right = rates_of

    def wrong(found: Any, added: Any, inward: bool) -> Any:
        without = right(found, None, inward=inward)
        return right(found, added, inward=inward)._replace(in_rates=without.in_rates)

    monkeypatch.setattr(forward, "rates_of", wrong)
    assert defect(WRONG, network, jump, log)[0] > 1e-3


@pytest.mark.parametrize("kind", ["density", "difference"])
def test_a_density_that_is_added_at_jumps_is_seen(kind: str) -> None:
    network = network_of(WRONG.model, "heat_bath")
    log, jump = recorded(WRONG, network, 4)
    energy = WRONG.model.energy(states(WRONG.model))
    change = energy.unsqueeze(1) - energy

    def factor(t: Tensor, flow: Tensor) -> Tensor:
        beta = WRONG.beta(t)
        if kind == "difference":
            interval = int(float(t) * jump.intervals)
            beta = beta - WRONG.beta(jump.frozen[interval])
        # The diagonal is no jump.
        apart = torch.exp(beta * change)
        return torch.where(torch.eye(len(flow), dtype=torch.bool), 1.0, apart)

    assert defect(WRONG, network, jump, log)[0] < 1e-10
    assert defect(WRONG, network, jump, log, at_jumps=factor)[0] > 1e-3


def by_holds(path: Any, flow: Tensor, gain: Callable[[float, float], Tensor], points: int) -> float:
    """Return the relative error of Z_1/Z_0 of one interval, from the equation of holds and jumps.

    Walkers that are at ``v`` have held since the start, or since they arrived at some ``u``; it is
    solved by the trapezoidal rule. ``gain(u, v)`` is what a hold from ``u`` to ``v`` adds.
    """
    size = len(flow)
    exits = -flow.diag()
    moves = flow + torch.diag(exits)
    start = torch.full((size,), 1.0 / size, dtype=FLOAT64)
    arrived = [start @ moves]
    measure = start
    for j in range(1, points + 1):
        v = j / points
        measure = start * torch.exp(gain(0.0, v) - exits * v)
        for i, arrivals in enumerate(arrived):
            share = 0.5 if i == 0 else 1.0
            u = i / points
            held = torch.exp(gain(u, v) - exits * (v - u))
            measure = measure + share / points * arrivals * held
        # Those that have just arrived are half a point of the rule.
        system = torch.eye(size, dtype=FLOAT64) - moves / (2 * points)
        measure = torch.linalg.solve(system.T, measure)
        arrived.append(measure @ moves)
    target = exact.enumerate_model(path.model)
    return abs(float(measure.sum()) / math.exp(target.log_z - path.start.log_z) - 1.0)


@torch.no_grad()
def test_a_curved_schedule_by_the_middle_of_each_hold_is_seen() -> None:
    path = lt.AnnealingPath(MODELS["ising 2x2 field"], schedule=smooth)
    network = network_of(path.model, "heat_bath")
    x = states(path.model)
    jump = lt.Jump(1, weights="running")
    middle = jump.frozen
    found = examine(path, network, x, middle)
    rates = rates_of(found, inward=True)
    flow = rates_matrix(path.model, rates.rates)
    energy = path.model.energy(x)
    ones = torch.ones(1, dtype=FLOAT64)
    slopes = path.model.local_energy(x, ones, FLOAT64).log_ratios.flatten(1)
    assert rates.in_rates is not None
    into = rates.in_rates.flatten(1)

    def by_middle(u: float, v: float) -> Tensor:
        change = path.beta(v) - path.beta(u)
        shift = path.beta((u + v) / 2) - path.beta(middle)
        inward = (into * torch.exp(shift * slopes)).sum(1)
        return -change * energy + (v - u) * (rates.exit_rate - inward)

    points = 40
    left = 1.0 - torch.arange(points + 1, dtype=FLOAT64) / points
    ahead, scaled = gains(path, network, jump, 0, left)

    # β as a straight line, which is what the library takes.
    def by_line(u: float, v: float) -> Tensor:
        return ahead[round(u * points)] - ahead[round(v * points)]

    right = by_holds(path, rates_matrix(path.model, scaled), by_line, points)
    wrong = by_holds(path, flow, by_middle, points)
    # The rule errs by the first, the wrong weights by the second.
    assert right < 1e-3
    assert wrong > 1e-2


@pytest.mark.parametrize("gauge", GAUGES)
def test_what_a_step_adds_is_what_its_hold_adds(gauge: str) -> None:
    """Walkers that jump gain the difference of two holds to the end of the interval."""
    path = lt.AnnealingPath(MODELS["potts 4 q=3"], schedule=smooth)
    network = network_of(path.model, gauge)
    jump = lt.Jump(3, weights="running", reversible="metropolis")
    x = states(path.model)
    state = jump.init(x, torch.arange(len(x)))
    left = torch.linspace(0.05, 0.3, len(x), dtype=FLOAT64)
    state = state._replace(interval=torch.ones_like(state.interval), remaining=left)
    with torch.no_grad():
        after, info = jump.step(state, path, network, seed=2)
    jumped = info.move >= 0
    assert 10 < int(jumped.sum()) < len(x)
    for row in range(0, len(x), 5):
        ends = torch.stack([left[row], after.remaining[row]])
        if not jumped[row]:
            ends = ends[:1]
        ahead, _ = gains(path, network, jump, 1, ends)
        expected = ahead[0, row]
        if jumped[row]:
            expected = expected - ahead[1, row]
        assert float(after.log_weights[row]) == pytest.approx(float(expected), abs=1e-12)


def test_clocks_of_reversed_moves_have_their_law() -> None:
    """What a hazard adds up to by its time is a number of a unit exponential law."""
    n = 20_000
    words = kernels.philox(3, Stream.TRAIN, 0, 0, 9, torch.arange(n))
    exponentials = -kernels.uniform64(words[0], words[1]).log().unsqueeze(1)
    growth = torch.tensor([[-3.0, -0.2, 0.0, 1e-12, 0.3, 4.0]], dtype=FLOAT64).expand(n, -1)
    hazard = torch.tensor([[0.5, -2.0, 1.0, 0.3, -1.0, -4.0]], dtype=FLOAT64).expand(n, -1)
    times = clocks(exponentials.expand(-1, 6), hazard, growth)
    spent = hazard.exp() * torch.where(growth == 0.0, times, torch.expm1(growth * times) / growth)
    never = times.isinf()
    assert torch.allclose(spent[~never], exponentials.expand(-1, 6)[~never], rtol=1e-10)
    # A hazard that dies out adds up to a / |c| and no more.
    most = (hazard.exp() / -growth)[:, :2]
    assert torch.equal(never[:, :2], exponentials >= most)
    assert not never[:, 2:].any()


@torch.no_grad()
def test_a_reversed_step_makes_moves_by_the_hazards_of_the_running_density() -> None:
    """Of walkers of one state, those that jump spend their hazards and choose by them."""
    path = lt.AnnealingPath(MODELS["ising 2x2 field"])
    network = network_of(path.model, "heat_bath")
    jump = lt.Jump(2, weights="running", reversible="barker", scale=0.5)
    n = 20_000
    x = states(path.model)[5:6].expand(n, -1, -1).contiguous()
    state = jump.init(x, torch.arange(n), backward=True)
    whole = torch.full((n,), 0.5, dtype=FLOAT64)
    state = state._replace(interval=torch.zeros_like(state.interval), remaining=whole)
    after, info = jump.step(state, path, network, seed=1, backward=True)
    one = torch.ones(1, dtype=FLOAT64)
    piece = Pieces(one * 0.1, one, one * 0.4, one * 0.1)
    found = examine(path, network, x[:1], jump.frozen[:1], piece)
    back = rates_of(found, jump.added, inward=True).in_rates
    assert back is not None and found.slopes is not None
    into = back.flatten(1)
    slopes = found.slopes.flatten(1)
    elapsed = 0.5 - after.remaining
    # From β - β* = 0.1 it falls by 0.4 per unit of time.
    beta = 0.1 - 0.4 * elapsed
    rate = -0.4 * slopes
    begin = into * torch.exp(0.1 * slopes)
    spent = (begin * torch.expm1(rate * elapsed.unsqueeze(1)) / rate).sum(1)
    jumps = info.move >= 0
    # Spent hazards of holds that are cut off: jumps less hazards is a martingale, of a variance of
    # the number of jumps.
    pull = (float(jumps.sum()) - float(spent.sum())) / float(jumps.sum()) ** 0.5
    pulls = [pull]
    now = into * torch.exp(beta.unsqueeze(1) * slopes)
    chance = (now / now.sum(1, keepdim=True))[jumps]
    made = info.move[jumps]
    for move in range(into.shape[1]):
        expected = chance[:, move]
        deviation = float(((made == move).double() - expected).sum())
        pulls.append(deviation / float((expected * (1.0 - expected)).sum().sqrt()))
    assert int(jumps.sum()) > 2000
    assert max(abs(pull) for pull in pulls) < sigma_threshold(len(pulls))


@pytest.mark.parametrize("gauge", GAUGES)
def test_reversed_runs_estimate_the_same_ratio(gauge: str) -> None:
    """``E[e^{-A}] = Z_0 / Z_1`` from exact samples; with the seed a false alarm is fixed."""
    model = MODELS["ising 2x3 field"]
    target = exact.enumerate_model(model)
    path = lt.AnnealingPath(model, schedule=smooth)
    network = random_network(model, scale=1.0, gauge=gauge)
    jump = lt.Jump(UNEVEN, weights="running", reversible="square_root", scale=0.5)
    sampler = lt.Sampler(path, network, jump, lt.HeatBath(), block=1500, device="cpu")
    law = target.log_probabilities.exp()
    found = lt.reverse_ess(sampler, target.configurations[draw(law, 1500, seed=7)], seed=5)
    pull = (found.log_z - target.log_z) / found.log_z_error
    # Two such tests at this threshold: a false alarm in 10⁴.
    assert abs(pull) < sigma_threshold(2)
    assert found.log_z_error < 0.05
