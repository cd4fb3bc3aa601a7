"""Jump on tables.

Rates and corrector of classes against those of moves, laws of whole intervals, settings.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import generator, index_of, random_local_rates, sigma_threshold, states
from leaps_triton import exact, kernels
from leaps_triton.integrators import class_tables as tables
from leaps_triton.integrators.jump import JumpState
from leaps_triton.integrators.rates import (
    Reversible,
    as_reversible,
    evaluate,
    examine,
    rates_of,
)
from leaps_triton.integrators.running.pieces import pieces
from running_operators import through

FLOAT64 = torch.float64
MODELS: dict[str, Any] = {
    "ring": lt.Ising((8,), beta=0.6, field=0.3),
    "plane": lt.Ising((5, 6), beta=0.5, field=-0.2, coupling=0.8),
    "pair": lt.PairModel((5, 5), 0.4, [[0.3, -1.0], [-1.0, 0.7]], site_table=[0.2, -0.1]),
    "cube": lt.Ising((3, 3, 4), beta=0.2),
    "4d": lt.Ising((3, 3, 3, 3), beta=0.15, field=0.1),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "forward": {},
    "backward": {"backward": True},
    "barker": {"reversible": "barker", "scale": 0.7},
    "backward square root": {"reversible": "square_root", "scale": 2.0, "backward": True},
}


def walkers_of(model: Any, count: int, seed: int = 0) -> Tensor:
    x = lt.AnnealingPath(model).start.sample(torch.arange(count), seed)
    x[0], x[1] = 0, 1
    return x


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", list(MODELS))
def test_tables_hold_the_rates_of_every_move(name: str, options: dict[str, Any]) -> None:
    """Site by site, their sum and the corrector, to 1e-12."""
    model, tau = MODELS[name], 0.7
    path, network, x = lt.AnnealingPath(model), random_local_rates(model), walkers_of(model, 12)
    expected = evaluate(path, network, x, torch.tensor([tau], dtype=FLOAT64), **options)
    ones = x.flatten(1).sum(1, dtype=torch.int64)
    first, last = 0, model.lattice.sites
    backward = options.get("backward", False)
    added = as_reversible(options.get("reversible"), options.get("scale", 1.0))
    made = tables.class_rates(path, network, tau, (first, last), x.device, added, backward)
    classes = kernels.reference.site_classes(
        x.flatten(1), *network.neighbours(model.lattice.shape, x.device)
    )
    found = made.rates[ones - first].gather(1, classes)
    torch.testing.assert_close(found, expected.rates.flatten(1), rtol=0, atol=1e-12)
    corrector = made.corrector[ones - first].gather(1, classes).sum(1)
    torch.testing.assert_close(corrector, expected.corrector, rtol=1e-12, atol=1e-12)
    assert float(expected.corrector.std()) > 0.01


@torch.no_grad()
@pytest.mark.parametrize("name", list(MODELS))
def test_rates_stay_right_after_every_event(name: str) -> None:
    """R and κ of classes that many flips have changed.

    They are compared with an evaluation of the configuration that the flips led to.
    """
    model, tau = MODELS[name], 0.4
    path, network, x = lt.AnnealingPath(model), random_local_rates(model), walkers_of(model, 6)
    index, zeros = torch.arange(6), torch.zeros(6, dtype=FLOAT64)
    # Learned rates alone may lead to where there are none.
    added = Reversible("barker", 0.3)
    rows = (0, model.lattice.sites)
    table = tables.class_rates(path, network, tau, rows, x.device, added)
    neighbours = network.neighbours(model.lattice.shape, x.device)

    def run(steps: int) -> kernels.LocalJumpSteps:
        given = (
            x,
            zeros,
            zeros + 1e6,
            index,
            index,
            table.rates,
            table.corrector,
            *neighbours,
            0,
            5,
            steps,
        )
        return kernels.local_jump_steps(*given)

    before = x
    for steps in range(1, 31):
        after = run(steps)
        expected = evaluate(path, network, before, torch.tensor([tau], dtype=FLOAT64), added)
        torch.testing.assert_close(after.exit_rate, expected.exit_rate, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(after.corrector, expected.corrector, rtol=1e-12, atol=1e-12)
        flips = (after.configurations != before).flatten(1).sum(1)
        assert (flips == 1).all()
        before = after.configurations


@torch.no_grad()
def test_only_the_rows_that_may_be_reached_are_made() -> None:
    model = lt.Ising((40, 40), beta=0.5)
    path, network = lt.AnnealingPath(model), random_local_rates(model)
    whole = tables.class_rates(path, network, 0.5, (0, 1600), torch.device("cpu"))
    part = tables.class_rates(path, network, 0.5, (700, 900), torch.device("cpu"))
    assert part.first == 700 and part.rates.shape == (201, 250)
    torch.testing.assert_close(part.rates, whole.rates[700:901], rtol=0, atol=1e-13)
    torch.testing.assert_close(part.corrector, whole.corrector[700:901], rtol=0, atol=1e-12)


WALKERS = 20000
RING = lt.Ising((7,), beta=0.9, field=0.3)


@torch.no_grad()
def interval_pulls(wrong: float = 0.0, power: float = 1.0, **options: Any) -> Tensor:
    """Deviations of ``E[e^{power A} 1(X = y)]`` after one interval, in sigma.

    They are from ``e^{h (L + power κ)}``.
    """
    times = [0.0, 0.4, 1.0]
    path, jump = lt.AnnealingPath(RING), lt.Jump(times, tables=True, weights="frozen", **options)
    network = random_local_rates(RING)
    index = torch.arange(WALKERS)
    x = states(RING)[37].expand(WALKERS, 7).contiguous()
    state, _ = jump.enter(jump.init(x, index)._replace(interval=torch.zeros_like(index)), path)
    state = jump.run_interval(
        state._replace(log_weights=torch.zeros(WALKERS, dtype=FLOAT64)), path, network, seed=9
    )
    assert not state.remaining.any() and float(state.log_weights.std()) > 0.05
    tau, length = float(jump.frozen[1]), 0.6
    plain = generator(path, network, tau, corrector=0.0, **options)
    corrector = generator(path, network, tau, **options) - plain

    def row(k: float) -> Tensor:
        operator: Tensor = torch.linalg.matrix_exp(length * (plain + k * corrector))
        return operator[37]

    often = WALKERS * row(0.0) >= 30
    groups = torch.cat(
        [torch.diag(often.double())[often], (~often).double().unsqueeze(0), torch.ones(1, 128)]
    )
    assert len(groups) >= 20
    weights = (power * (state.log_weights + wrong * state.events)).exp()
    found = (
        torch.zeros(128, dtype=FLOAT64).index_add_(0, index_of(state.configurations, 2), weights)
        / WALKERS
    )
    mean, square = groups.double() @ row(power), groups.double() @ row(2.0 * power)
    # Unweighted, the total is 1 for certain: its sigma is rounding.
    return (groups.double() @ found - mean) / ((square - mean**2) / WALKERS).clamp(min=1e-16).sqrt()


@pytest.mark.parametrize(
    "options", [{}, {"reversible": "barker", "scale": 0.5}], ids=["learned", "reversible too"]
)
@pytest.mark.parametrize("power", [0.0, 1.0], ids=["moves", "weights"])
def test_an_interval_has_the_law_of_the_operator(power: float, options: dict[str, Any]) -> None:
    values = interval_pulls(power=power, **options)
    assert values.abs().max() < sigma_threshold(len(values))


@torch.no_grad()
@pytest.mark.parametrize("gauge", ["plain", "heat_bath"])
def test_holds_of_a_running_density_are_those_of_an_evaluation(gauge: str) -> None:
    """What an event on tables adds to A, from the evaluation of all moves."""
    path = lt.AnnealingPath(lt.Ising((5, 6), beta=0.6, field=-0.3), schedule=lambda t: t**2)
    network = random_local_rates(path.model, gauge=gauge)
    jump = lt.Jump([0.0, 0.3, 1.0], "barker", 0.4, weights="running")
    index = torch.arange(300)
    x = path.start.sample(index, seed=2)
    left = torch.linspace(0.01, 0.7, 300, dtype=FLOAT64)
    state = jump.init(x, index)._replace(interval=torch.ones_like(index), remaining=left)
    cpu = torch.device("cpu")
    grid = jump.grid(cpu)
    piece = pieces(path, grid, "t").of(torch.tensor([1]))
    after = tables.steps(path, network, 0.65, state, 4, jump.added, most=1, piece=piece)
    assert 100 < int((after.configurations != x).sum()) < 300
    found = examine(path, network, x, grid.frozen[1:], piece)
    rates = rates_of(found, jump.added, inward=True)
    torch.testing.assert_close(after.exit_rate, rates.exit_rate, rtol=1e-12, atol=1e-12)
    elapsed = left - after.remaining
    assert rates.in_rates is not None and found.slopes is not None
    running = kernels.Running(
        rates.in_rates, found.slopes, piece.speed.expand(300), piece.offset.expand(300)
    )
    corrector = rates.corrector - piece.speed * rates.energy
    expected = elapsed * corrector - kernels.hold_correction(running, left, elapsed)
    torch.testing.assert_close(after.log_weights, expected, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("gauge", ["plain", "heat_bath"])
def test_an_interval_of_a_running_density_has_the_law_of_the_operator(gauge: str) -> None:
    """``E[e^A 1(X = y)]`` of one interval on tables, against the operator, in sigma."""
    path, count = lt.AnnealingPath(RING), 10000
    network = random_local_rates(path.model, gauge=gauge)
    jump = lt.Jump([0.0, 0.4, 1.0], tables=True, weights="running")
    index = torch.arange(count)
    x = states(path.model)[37].expand(count, 7).contiguous()
    state = jump.init(x, index)._replace(interval=torch.zeros_like(index))
    state = jump.run_interval(jump.enter(state, path)[0], path, network, seed=9)
    whole = torch.eye(128, dtype=FLOAT64)[37]
    expected = through(path, network, jump, 1, whole)
    ends = torch.nn.functional.one_hot(index_of(state.configurations, 2), 128)
    found = ends * state.log_weights.exp().unsqueeze(1)
    often = ends.sum(0) > 30
    pulls = ((found.mean(0) - expected) / found.std(0) * count**0.5)[often]
    total = state.log_weights.exp()
    pulls = torch.cat([pulls, ((total.mean() - expected.sum()) / total.std()).view(1) * count**0.5])
    assert len(pulls) > 20
    assert pulls.abs().max() < sigma_threshold(len(pulls))


def test_a_wrong_weight_is_seen() -> None:
    assert interval_pulls(wrong=0.05).abs().max() > 2 * sigma_threshold(100)


def run_pull(
    path: lt.AnnealingPath, network: Any, **options: Any
) -> tuple[float, lt.WeightedEnsemble]:
    sampler = lt.Sampler(
        path, network, lt.Jump(10, tables=True), block=500, device="cpu", **options
    )
    ensemble = sampler.sample(1000, seed=3)
    defect = ensemble.log_z - exact.ising_log_z((8, 8), beta=path.model.beta)
    return defect / ensemble.log_z_error, ensemble


@pytest.mark.parametrize("mcmc", [None, lt.HeatBath()], ids=["jumps", "jumps and heat bath"])
def test_log_z_is_that_of_kaufman(mcmc: Any) -> None:
    """Within 4σ, false alarms 6e-5.

    With an untrained network, at a β where it has weights, and a trained one.
    """
    path = lt.AnnealingPath(lt.Ising((8, 8), beta=0.2))
    network = lt.LocalRates(path.model, width=16)
    pull, ensemble = run_pull(path, network, mcmc=mcmc)
    assert ensemble.ess > 0.05 and abs(pull) < 4.0
    sampler = lt.Sampler(path, network, lt.Jump(10), block=256, device="cpu")
    config = lt.TrainingConfig(steps=60, times=8, walkers=16, warmup=10, buffer=128, rollout=64)
    lt.Trainer(sampler, config).run()
    pull, trained = run_pull(path, network, mcmc=mcmc)
    assert trained.ess > max(0.3, ensemble.ess) and abs(pull) < 4.0


@torch.no_grad()
def test_both_ways_agree_in_law() -> None:
    """Means of A, events and energy with and without tables."""
    path = lt.AnnealingPath(lt.Ising((5, 6), beta=0.4, field=0.2))
    network, means = random_local_rates(path.model).float(), []
    for use in (True, False):
        sampler = lt.Sampler(
            path, network, lt.Jump(3, tables=use), lt.HeatBath(), block=1000, device="cpu"
        )
        state = sampler.run_block(torch.arange(3000), seed=1).state
        values = torch.stack(
            [state.log_weights, state.events.double(), path.model.energy(state.configurations)], 1
        )
        means.append((values.mean(0), values.var(0) / 3000))
    pulls = (means[0][0] - means[1][0]) / (means[0][1] + means[1][1]).sqrt()
    assert pulls.abs().max() < sigma_threshold(3)


@pytest.mark.parametrize("resample", [0.0, 0.7], ids=["plain", "resampled"])
def test_results_do_not_depend_on_blocks_in_one_call(resample: float) -> None:
    path = lt.AnnealingPath(lt.Ising((5, 5), beta=0.4))
    network = random_local_rates(path.model)
    sampler = lt.Sampler(path, network, lt.Jump(4), resample_below=resample, block=50, device="cpu")
    whole, first, second = (
        sampler.sample(100, 1),
        sampler.sample(50, 1),
        sampler.sample(50, 1, first_block=1),
    )
    assert torch.equal(whole.log_weights, torch.cat([first.log_weights, second.log_weights]))
    assert torch.equal(
        whole.configurations, torch.cat([first.configurations, second.configurations])
    )


@torch.no_grad()
def test_reverse_paths_give_log_z_too() -> None:
    """E[e^{-A}] = Z_0 / Z_1 from exact samples run backwards on tables; false alarms 6e-5."""
    model = lt.Ising((7,), beta=0.5, field=0.3)
    sampler = lt.Sampler(
        lt.AnnealingPath(model),
        random_local_rates(model),
        lt.Jump(4, tables=True),
        lt.HeatBath(),
        device="cpu",
    )
    target = exact.enumerate_model(model)
    count = 4000
    edges = target.log_probabilities.exp().cumsum(0)
    rows = torch.searchsorted(edges, (torch.arange(count, dtype=FLOAT64) + 0.5) / count).clamp(
        max=127
    )
    reverse = lt.reverse_ess(sampler, target.configurations[rows], seed=2)
    assert reverse.ess > 0.2
    assert abs(reverse.log_z - target.log_z) < 4.0 * reverse.log_z_error


def test_jump_takes_tables_where_it_can_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lt.Ising((5, 5), beta=0.4)
    path, network = lt.AnnealingPath(model), lt.LocalRates(model)
    calls: list[bool] = []
    right = kernels.local_jump_steps

    def note(*given: Any) -> Any:
        calls.append(True)
        return right(*given)

    monkeypatch.setattr(kernels, "local_jump_steps", note)
    for use, transport, expected in (
        (None, network, True),
        (True, network, True),
        (False, network, False),
        (None, lt.HollowConv(model, kernel_size=3, channels=2, width=4, modes=0), False),
    ):
        calls.clear()
        lt.Sampler(path, transport, lt.Jump(2, tables=use), block=64, device="cpu").sample(10)
        assert bool(calls) == expected


class Doubled(lt.Ising):
    """Another energy than that of its tables."""

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        return 2.0 * super().energy(configurations, check)


OBSTACLES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "q": (lt.Potts((6, 6), q=3, beta=0.4), {}, "two states, got Potts with q = 3"),
    "couplings": (lt.EdwardsAnderson((6, 6), beta=0.4), {}, "coupling and field must be uniform"),
    "field": (
        lt.Ising((6, 6), beta=0.4, field=torch.ones(6, 6)),
        {},
        "coupling and field must be uniform",
    ),
    "edges": (lt.Ising((6, 6), beta=0.4, periodic=False), {}, "the lattice periodic"),
    "small": (lt.Ising((6, 4), beta=0.4), {}, "longer than twice the radius of the shells"),
    "classes": (
        lt.Ising((6, 6, 6), beta=0.4),
        {"shells": 3},
        "1638 classes may be 256 at most; take fewer shells",
    ),
    "bonds": (
        lt.PairModel((6, 6), 0.4, [[1.0, 0.2], [0.1, 1.0]]),
        {},
        "bond_table must be symmetric",
    ),
    "another energy": (
        Doubled((6, 6), 0.2),
        {},
        "the model must be a PairModel of two states, got Doubled",
    ),
}


@pytest.mark.parametrize("name", list(OBSTACLES))
def test_tables_that_there_cannot_be(name: str) -> None:
    model, options, message = OBSTACLES[name]
    path, network = lt.AnnealingPath(model), lt.LocalRates(model, **options)
    assert not lt.Jump(3).tabulated(path, network)
    with pytest.raises(
        ValueError, match="Jump\\(tables=True\\) cannot run on tables: .*" + re.escape(message)
    ):
        lt.Sampler(path, network, lt.Jump(3, tables=True), device="cpu")
    assert (
        lt.Sampler(path, network, lt.Jump(2), block=8, device="cpu")
        .sample(8)
        .log_weights.isfinite()
        .all()
    )


def test_a_transport_without_tables_is_refused_by_name() -> None:
    path = lt.AnnealingPath(lt.Ising((6, 6), beta=0.4))
    with pytest.raises(ValueError, match="HollowConv has no table of its rates"):
        lt.Sampler(path, lt.HollowConv(path.model), lt.Jump(3, tables=True), device="cpu")
    standing = lt.LocalRates(path.model, width=4)
    standing.stand_on(lt.networks.LinearResponse(path.model))
    with pytest.raises(ValueError, match="LocalRates stands on a response, which no table holds"):
        lt.Sampler(path, standing, lt.Jump(3, tables=True), device="cpu")


def test_bad_rates_and_too_many_events_are_reported() -> None:
    model = lt.Ising((5, 5), beta=0.4)
    path, network = lt.AnnealingPath(model), random_local_rates(model)
    with pytest.raises(
        RuntimeError,
        match=r"walker [0-7] at t = 0.25 has needed more than max_events = 3 evaluations",
    ):
        lt.Sampler(path, network, lt.Jump(2, max_events=3), block=8, device="cpu").sample(8)
    with torch.no_grad():
        network.skip.fill_(math.nan)
    with pytest.raises(
        RuntimeError, match=r"walker 0 at t = 0.25: exit rate nan and corrector nan must be finite"
    ):
        lt.Sampler(path, network, lt.Jump(2), block=8, device="cpu").sample(8)


@torch.no_grad()
def test_intervals_of_many_events_take_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random numbers belong to walker and event.

    So calls of 3 or 128 events lead to the same end.
    """
    model = lt.Ising((5, 5), beta=0.4)
    path, network, jump = lt.AnnealingPath(model), random_local_rates(model), lt.Jump(1)
    index = torch.arange(20)
    state, _ = jump.enter(jump.init(path.start.sample(index, 0), index), path)
    ends: list[JumpState] = []
    for limit in (3, 128):
        monkeypatch.setattr(tables, "STEPS", limit)
        ends.append(jump.run_interval(state, path, network, seed=1))
    assert int(ends[0].events.max()) > 9
    assert torch.equal(ends[0].configurations, ends[1].configurations)
    assert torch.equal(ends[0].events, ends[1].events)
    torch.testing.assert_close(ends[0].log_weights, ends[1].log_weights, rtol=0, atol=1e-12)
