"""E[e^A] = Z_1/Z_0 and weighted law = ρ_1, without noise.

Exact operators are composed in the order in which the sampler acts.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import (
    SMALL,
    RecordedHeatBath,
    awake,
    compose,
    generator,
    heat_bath_matrix,
    random_network,
    small_models,
    states,
)
from leaps_triton import exact, kernels
from leaps_triton.integrators.jump import JumpInfo, JumpState
from leaps_triton.integrators.rates import evaluate
from leaps_triton.kernels.proposals import reference as proposed
from leaps_triton.samplers.along import Recorder

MODELS = small_models()
Log = list[tuple[str, Any]]


class RecordedJump(lt.Jump):
    """Does what Jump does on a few walkers, one event each.

    It writes down what it was asked to do.
    """

    def __init__(self, intervals: Any, log: Log, **options: Any) -> None:
        super().__init__(intervals, **options)
        self.log = log

    def enter(
        self, state: JumpState, path: Any, backward: bool = False
    ) -> tuple[JumpState, Tensor]:
        self.log.append(("enter", int(state.interval[0])))
        return super().enter(state, path, backward)

    def step(
        self, state: JumpState, path: Any, transport: Any, seed: int, backward: bool = False
    ) -> tuple[JumpState, JumpInfo]:
        self.log.append(("jump", int(state.interval[0])))
        t = self.frozen[state.interval]
        rates = evaluate(path, transport, state.configurations, t, self.reversible, self.scale)
        info = JumpInfo(torch.full_like(state.walkers, -1), rates)
        return state._replace(remaining=torch.zeros_like(state.remaining)), info


def recorded(
    path: lt.AnnealingPath, network: Any, intervals: int, sweeps: bool, **options: Any
) -> tuple[Log, lt.Jump]:
    log: Log = []
    jump, mcmc = RecordedJump(intervals, log, **options), None
    if sweeps:
        mcmc = RecordedHeatBath()
        object.__setattr__(mcmc, "log", log)
    sampler = lt.Sampler(path, network, integrator=jump, mcmc=mcmc, block=2, device="cpu")
    sampler.sample(walkers=2, seed=0)
    return log, jump


def operators(path: lt.AnnealingPath, network: Any, jump: lt.Jump, log: Log) -> list[Tensor]:
    """Return what each recorded act does to a measure.

    Acts are the increments of Jump.enter, sweeps, and e^{h(L+κ)}.
    """
    x = states(path.model)
    made: list[Tensor] = []
    for act, value in log:
        if act == "enter":
            state = jump.init(x, torch.arange(len(x)))
            state = state._replace(interval=torch.full_like(state.interval, value))
            after, _ = lt.Jump.enter(jump, state, path)
            made.append(after.log_weights.exp())
        elif act == "sweep":
            made.append(heat_bath_matrix(path, value))
        else:
            tau, h = float(jump.frozen[value]), float(jump.times[value + 1] - jump.times[value])
            matrix = generator(path, network, tau, reversible=jump.reversible, scale=jump.scale)
            made.append(torch.linalg.matrix_exp(h * matrix))
    return made


def defect(path: lt.AnnealingPath, network: Any, jump: lt.Jump, log: Log) -> tuple[float, float]:
    """Relative error of Z_1/Z_0, and largest error of the weighted law."""
    target = exact.enumerate_model(path.model)
    start = torch.full(
        (len(target.configurations),), 1.0 / len(target.configurations), dtype=torch.float64
    )
    measure = compose(operators(path, network, jump, log), start)
    ratio = float(measure.sum()) / math.exp(target.log_z - path.start.log_z)
    law = measure / measure.sum() - target.log_probabilities.exp()
    return abs(ratio - 1.0), float(law.abs().max())


@pytest.mark.parametrize("sweeps", [False, True], ids=["jumps", "jumps and heat bath"])
@pytest.mark.parametrize(("intervals", "gauge"), [(1, "heat_bath"), (4, "plain"), (4, "heat_bath")])
@pytest.mark.parametrize("name", list(MODELS))
def test_weights_are_exact_for_an_untrained_network(
    name: str, intervals: int, gauge: str, sweeps: bool
) -> None:
    path = lt.AnnealingPath(MODELS[name])
    network = random_network(path.model, gauge=gauge)
    log, jump = recorded(path, network, intervals, sweeps)
    assert log.count(("jump", intervals - 1)) == 1
    assert sum(act == "sweep" for act, _ in log) == (intervals if sweeps else 0)
    error, law = defect(path, network, jump, log)
    assert error < 1e-10
    assert law < 1e-10


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("kind", list(SMALL))
def test_weights_are_exact_for_every_network(kind: str, name: str) -> None:
    path = lt.AnnealingPath(MODELS[name])
    network = awake(kind, path.model).double()
    log, jump = recorded(path, network, 3, sweeps=False)
    error, law = defect(path, network, jump, log)
    assert max(error, law) < 1e-10
    with torch.no_grad():
        out = evaluate(path, network, states(path.model), torch.tensor([0.5], dtype=torch.float64))
    assert 0.3 < float(out.exit_rate.mean()) < 60.0
    assert float(out.corrector.std()) > 0.05


@pytest.mark.parametrize("intervals", [1, 5])
def test_annealed_importance_sampling_is_exact(intervals: int) -> None:
    path = lt.AnnealingPath(MODELS["ising 3x3 field"])
    log, jump = recorded(path, None, intervals, sweeps=True)
    error, law = defect(path, None, jump, log)
    assert error < 1e-12
    assert law < 1e-12


def test_uneven_times_and_a_curved_schedule_stay_exact() -> None:
    path = lt.AnnealingPath(MODELS["potts 2x3 q=3"], schedule=lambda t: t**2 * (3.0 - 2.0 * t))
    network = random_network(path.model, seed=4)
    log: Log = []
    jump = RecordedJump(1, log)
    jump.times = lt.Jump([0.0, 0.1, 0.5, 0.55, 1.0]).times
    lt.Sampler(path, network, integrator=jump, block=1, device="cpu").sample(1, seed=0)
    error, law = defect(path, network, jump, log)
    assert max(error, law) < 1e-10


@pytest.mark.parametrize("sweeps", [False, True], ids=["jumps", "jumps and heat bath"])
@pytest.mark.parametrize("learned", [True, False], ids=["network", "no network"])
@pytest.mark.parametrize("reversible", kernels.REVERSIBLE)
def test_reversible_rates_leave_the_weights_exact(
    reversible: str, learned: bool, sweeps: bool
) -> None:
    cases = (("ising 2x3 field", 30.0, "plain"), ("potts 2x3 q=3", 1.7, "heat_bath"))
    for name, scale, gauge in cases:
        path = lt.AnnealingPath(MODELS[name])
        network = random_network(path.model, gauge=gauge) if learned else None
        log, jump = recorded(path, network, 3, sweeps, reversible=reversible, scale=scale)
        assert [act for act, _ in log].count("jump") == 3
        assert max(defect(path, network, jump, log)) < 1e-10


UNBALANCED = {
    "no balance": lambda d: torch.ones_like(d),
    "inverted": lambda d: torch.sigmoid(-d),
    "wrong power": lambda d: torch.exp(0.7 * d),
}


@pytest.mark.parametrize("learned", [True, False], ids=["network", "no network"])
@pytest.mark.parametrize("fault", list(UNBALANCED))
def test_rates_that_are_not_reversible_are_seen(
    fault: str, learned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lt.AnnealingPath(MODELS["ising 2x3 field"])
    network = random_network(path.model) if learned else None
    log, jump = recorded(path, network, 4, sweeps=False, reversible="barker", scale=3.0)
    assert defect(path, network, jump, log)[0] < 1e-10
    monkeypatch.setitem(proposed.REVERSIBLE_RATES, "barker", UNBALANCED[fault])
    assert defect(path, network, jump, log)[0] > 1e-3


def test_reversible_rates_in_the_corrector_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    path = lt.AnnealingPath(MODELS["ising 2x3 field"])
    network = random_network(path.model, gauge="plain")
    log, jump = recorded(path, network, 4, sweeps=False, reversible="metropolis")
    faulty = wrong_corrector(
        lambda g, d, made: made.corrector + made.exit_rate - torch.relu(g).flatten(1).sum(1)
    )
    monkeypatch.setattr(kernels, "proposal_rates", faulty)
    assert defect(path, network, jump, log)[0] > 1e-3


@torch.no_grad()
def test_the_network_of_these_tests_moves_walkers() -> None:
    """Exactness of a process that does nothing would prove nothing."""
    for model in MODELS.values():
        path = lt.AnnealingPath(model)
        out = evaluate(
            path, random_network(model), states(model), torch.tensor([0.5], dtype=torch.float64)
        )
        assert 0.3 < float(out.exit_rate.mean()) < 30.0
        assert float(out.corrector.std()) > 0.05


def wrong_corrector(change: Any) -> Any:
    right = kernels.proposal_rates

    def wrong(network_output: Tensor, log_ratios: Tensor, *rest: Any) -> kernels.ProposalRates:
        made = right(network_output, log_ratios, *rest)
        return made._replace(corrector=change(network_output, log_ratios, made))

    return wrong


FAULTS = {
    "no out-rates": lambda g, d, made: made.corrector - made.exit_rate,
    "no in-rates": lambda g, d, made: made.exit_rate,
    "a term lost": lambda g, d, made: made.corrector + (torch.relu(-g) * d.exp()).flatten(1)[:, 0],
    "sign of the log-ratio": lambda g, d, made: (
        made.exit_rate - (torch.relu(-g) * (-d).exp()).flatten(1).sum(1)
    ),
    "sign of G": lambda g, d, made: (torch.relu(-g) - torch.relu(g) * d.exp()).flatten(1).sum(1),
    "sign of the corrector": lambda g, d, made: -made.corrector,
    "nothing": lambda g, d, made: torch.zeros_like(made.corrector),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_wrong_corrector_is_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lt.AnnealingPath(MODELS["ising 2x3 field"])
    network = random_network(path.model, gauge="plain")
    log, jump = recorded(path, network, 4, sweeps=False)
    monkeypatch.setattr(kernels, "proposal_rates", wrong_corrector(FAULTS[fault]))
    assert defect(path, network, jump, log)[0] > 1e-3


@pytest.mark.parametrize("transport", [True, False], ids=["with jumps", "without"])
def test_sweeps_in_the_wrong_place_are_seen(transport: bool) -> None:
    """Sweeps in either wrong place bias.

    They stand before the density increment of their interval, or after the jumps and at the next
    time.
    """
    path = lt.AnnealingPath(MODELS["ising 2x3 field"])
    network = random_network(path.model) if transport else None
    log, jump = recorded(path, network, 4, sweeps=True)
    assert [act for act, _ in log[:3]] == (
        ["enter", "sweep", "jump"] if transport else ["enter", "sweep", "enter"]
    )
    moved = list(log)
    for place in range(len(moved) - 1):
        if moved[place][0] == "enter" and moved[place + 1][0] == "sweep":
            moved[place], moved[place + 1] = moved[place + 1], moved[place]
    assert defect(path, network, jump, moved)[0] > 1e-3


def test_a_flipped_increment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    path = lt.AnnealingPath(MODELS["ising 2x3 field"])
    network = random_network(path.model)
    log, jump = recorded(path, network, 4, sweeps=False)
    right = lt.AnnealingPath.log_increment
    monkeypatch.setattr(
        lt.AnnealingPath, "log_increment", lambda self, x, a, b: -right(self, x, a, b)
    )
    assert defect(path, network, jump, log)[0] > 1e-3


@pytest.mark.parametrize("kind", ["network", "network and heat bath", "heat bath"])
def test_weights_are_exact_wherever_walkers_are_measured(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weighted law at each stop is that of the β it is said to be at, without noise."""
    path = lt.AnnealingPath(MODELS["pm1 3x3"])
    network = random_network(path.model) if "network" in kind else None
    move = None
    log: Log = []
    if "heat bath" in kind:
        move = RecordedHeatBath()
        object.__setattr__(move, "log", log)
    betas = [share * path.model.beta for share in (0.0, 0.2, 0.5, 0.55, 1.0)]
    times = lt.schedules.through(path, betas, intervals=3)
    jump = RecordedJump(times, log)
    see = Recorder.see

    def recorded_see(recorder: Recorder, state: Any, density: int) -> None:
        log.append(("measure", float(path.beta(jump.densities[density]))))
        see(recorder, state, density)

    monkeypatch.setattr(Recorder, "see", recorded_see)
    sampler = lt.Sampler(path, network, jump, move, block=2, device="cpu")
    found = sampler.sample(2, seed=0, along=betas)
    assert [stage.model.beta for stage in found.by_beta] == betas
    # Between two measurements the walkers go on, and nothing is left out.
    x = states(path.model)
    measure = torch.full((len(x),), 1.0 / len(x), dtype=torch.float64)
    energies = path.model.energy(x)
    seen = []
    done: Log = []
    for act, value in log:
        if act != "measure":
            done.append((act, value))
            continue
        measure = compose(operators(path, network, jump, done), measure)
        done = []
        assert (measure * len(x) - torch.exp(-value * energies)).abs().max() < 1e-9
        seen.append(value)
    assert len(seen) == jump.intervals + 2
    assert all(min(abs(value - beta) for value in seen) < 1e-12 for beta in betas)
