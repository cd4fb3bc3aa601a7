"""The sampler run backwards: exact by operators, right by sampling, and not fooled by a lost mode.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import (
    compose,
    generator,
    heat_bath_matrix,
    random_network,
    sigma_threshold,
    small_models,
    states,
)
from leaps_triton import exact, kernels, rates
from leaps_triton.integrators import jump as ctmc
from leaps_triton.integrators.jump import JumpInfo, JumpState
from leaps_triton.mcmc import SweepInfo, SweepState

FLOAT64 = torch.float64
MODELS = small_models()
NAMES = ["ising 2x3 field", "potts 2x3 q=3", "pm1 3x3"]
Log = list[tuple[str, Any]]


class RecordedJump(lt.Jump):
    """Writes down what it was asked to do, and moves nothing."""

    log: Log

    def enter(
        self, state: JumpState, path: Any, backward: bool = False
    ) -> tuple[JumpState, Tensor]:
        self.log.append(("enter back" if backward else "enter", int(state.interval[0])))
        return super().enter(state, path, backward)

    def step(
        self, state: JumpState, path: Any, transport: Any, seed: int, backward: bool = False
    ) -> tuple[JumpState, JumpInfo]:
        self.log.append(("jump back" if backward else "jump", int(state.interval[0])))
        _, info = super().step(state, path, transport, seed, backward)
        return state._replace(remaining=torch.zeros_like(state.remaining)), info


def record(monkeypatch: pytest.MonkeyPatch, sampler: lt.Sampler, backward: bool) -> Log:
    log: Log = []
    assert isinstance(sampler.integrator, RecordedJump)
    sampler.integrator.log = log
    step = lt.HeatBath.step

    def swept(
        self: Any, state: SweepState, path: Any, t: Any, seed: int
    ) -> tuple[SweepState, SweepInfo]:
        log.append(("sweep back" if self.backward else "sweep", float(t)))
        return step(self, state, path, t, seed)

    with monkeypatch.context() as patch:
        patch.setattr(lt.HeatBath, "step", swept)
        if backward:
            lt.reverse_ess(sampler, states(sampler.path.model)[:2])
        else:
            sampler.sample(2)
    return log


def operators(sampler: lt.Sampler, log: Log, power: float) -> list[Tensor]:
    """What each recorded act does to a measure that carries ``e^{power A}``."""
    path: Any = sampler.path
    jump = sampler.integrator
    assert isinstance(jump, RecordedJump)
    x = states(path.model)
    made: list[Tensor] = []
    for act, value in log:
        backward = act.endswith("back")
        if act.startswith("enter"):
            state = jump.init(x, torch.arange(len(x)))._replace(
                interval=torch.full((len(x),), value)
            )
            made.append((power * lt.Jump.enter(jump, state, path, backward)[0].log_weights).exp())
        elif act.startswith("sweep"):
            made.append(heat_bath_matrix(path, value, backward))
        else:
            tau, h = float(jump.frozen[value]), float(jump.times[value + 1] - jump.times[value])
            matrix = generator(
                path, sampler.transport, tau, power, jump.reversible, jump.scale, backward
            )
            made.append(torch.linalg.matrix_exp(h * matrix))
    return made


def make(name: str, learned: bool, sweeps: bool, reversible: str | None = None) -> lt.Sampler:
    path = lt.AnnealingPath(MODELS[name], schedule=lambda t: t**1.5)
    network = random_network(path.model) if learned else None
    times = [0.0, 0.2, 0.3, 0.75, 1.0]
    jump = RecordedJump(times, reversible=reversible, scale=1.7, weights="frozen")
    return lt.Sampler(path, network, jump, lt.HeatBath() if sweeps else None, block=2, device="cpu")


KINDS = [
    (True, False, None),
    (True, True, None),
    (False, True, None),
    (True, False, "barker"),
    (False, False, "metropolis"),
    (True, True, "square_root"),
]


def moments(monkeypatch: pytest.MonkeyPatch, sampler: lt.Sampler) -> tuple[Tensor, float, float]:
    """Moments of forward and reversed paths, all exact.

    ``E_reverse[e^{-A}; x_0]`` times ``Z_1``, ``E_forward[e^{2A}]``, ``(Z_1/Z_0) E_reverse[e^A]``.
    """
    target = exact.enumerate_model(sampler.path.model)
    rho, n = target.log_probabilities.exp(), len(target.configurations)
    ratio = math.exp(target.log_z - sampler.path.start.log_z)
    back = record(monkeypatch, sampler, backward=True)
    forth = record(monkeypatch, sampler, backward=False)
    start = compose(operators(sampler, back, -1.0), rho) * ratio
    reverse = float(compose(operators(sampler, back, 1.0), rho).sum()) * ratio
    forward = float(
        compose(operators(sampler, forth, 2.0), torch.full((n,), 1.0 / n, dtype=FLOAT64)).sum()
    )
    return start, forward, reverse


CASES = [(NAMES[0], *kind) for kind in KINDS] + [(NAMES[1], *kind) for kind in KINDS[3:]]


@pytest.mark.parametrize(("name", "learned", "sweeps", "reversible"), CASES)
def test_reversed_paths_are_exact(
    name: str, learned: bool, sweeps: bool, reversible: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``E[e^{-A}] = Z_0/Z_1`` and the weighted end is ρ_0.

    The ESS is that of the forward process.
    """
    sampler = make(name, learned, sweeps, reversible)
    start, forward, reverse = moments(monkeypatch, sampler)
    assert float(start.sum()) == pytest.approx(1.0, abs=1e-10)
    torch.testing.assert_close(start, torch.full_like(start, 1.0 / len(start)), rtol=0, atol=1e-10)
    assert reverse == pytest.approx(forward, rel=1e-10)


def _faulty(change: Any) -> Any:
    right: Any = rates.evaluate

    def wrong(*arguments: Any, backward: bool = False) -> rates.Rates:
        made = right(*arguments, backward=backward)
        if backward:
            return change(made, right(*arguments, backward=False))
        return made

    return wrong


FAULTS = {
    "forward rates": lambda back, forth: forth,
    "opposite corrector": lambda back, forth: back._replace(corrector=-back.corrector),
    "no rates": lambda back, forth: back._replace(
        rates=0 * back.rates, exit_rate=0 * back.exit_rate
    ),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_wrong_reversed_rates_are_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = make("ising 2x3 field", True, False)
    monkeypatch.setattr(rates, "evaluate", _faulty(FAULTS[fault]))
    monkeypatch.setattr(ctmc, "evaluate", rates.evaluate)
    start, forward, reverse = moments(monkeypatch, sampler)
    assert max(abs(float(start.sum()) - 1.0), abs(reverse / forward - 1.0)) > 1e-3


def test_sweeps_in_forward_order_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """They leave ``E[e^{-A}]`` right, but the ESS would not be that of the sampler."""
    sampler = make("ising 2x3 field", True, True)
    monkeypatch.setattr(lt.HeatBath, "reversed", lambda self: self)
    start, forward, reverse = moments(monkeypatch, sampler)
    assert float(start.sum()) == pytest.approx(1.0, abs=1e-10)
    assert abs(reverse / forward - 1.0) > 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_the_reversed_sweep_is_the_time_reversal(name: str) -> None:
    """``ρ(x) P(x, y) = ρ(y) P'(y, x)``, and the kernel draws by it."""
    path = lt.AnnealingPath(MODELS[name])
    rho = (
        exact.enumerate_model(path.model, beta=0.7 * path.model.beta)
        .log_probabilities.exp()
        .unsqueeze(1)
    )
    forth, back = heat_bath_matrix(path, 0.7), heat_bath_matrix(path, 0.7, backward=True)
    assert float((rho * forth - (rho * back).T).abs().max()) < 1e-14
    assert float((forth - back).abs().max()) > 1e-3
    kernel, walkers = lt.HeatBath(2).reversed(), torch.arange(30)
    assert kernel == lt.HeatBath(2, backward=True) and kernel.reversed() == lt.HeatBath(2)
    x = path.start.sample(walkers, seed=1)
    after = kernel.step(kernel.init(x, walkers), path, 0.7, seed=2)[0].configurations
    model: Any = path.model
    lattice = model.lattice
    tables = (model.coupling.unsqueeze(0), model.bond_table, model.site_table.unsqueeze(0))
    # Colours count down, and within a sweep nothing else tells forth from back.
    colours = lattice.num_colours - 1 - lattice.colours()
    cut = (lattice.periodic, colours, lattice.num_colours)
    expected = kernels.heat_bath_sweeps(x, *tables, path.beta(0.7), *cut, walkers, 0, 2, 2)
    assert torch.equal(after, expected)


def exact_samples(model: Any, n: int, seed: int) -> Tensor:
    law = exact.enumerate_model(model).log_probabilities.exp()
    words = kernels.philox(seed, kernels.Stream.TRAIN, 0, 0, 9, torch.arange(n))
    rows = torch.searchsorted(
        law.cumsum(0)[:-1].contiguous(), kernels.uniform64(words[0], words[1])
    )
    return states(model)[rows]


@pytest.mark.parametrize(("learned", "sweeps", "reversible"), KINDS[:4])
def test_sampled_reversed_paths_agree_with_enumeration(
    learned: bool, sweeps: bool, reversible: str | None
) -> None:
    """Free energies in sigma; the two ESS within 15 % of one another."""
    for name in NAMES[:2]:
        model = MODELS[name]
        network = random_network(model, scale=0.5).float() if learned else None
        jump, mcmc = lt.Jump(12, reversible=reversible), lt.HeatBath() if sweeps else None
        sampler = lt.Sampler(lt.AnnealingPath(model), network, jump, mcmc, block=1024, device="cpu")
        made = lt.reverse_ess(sampler, exact_samples(model, 2048, seed=7), seed=5)
        assert made.log_weights.shape == (2048,) and made.log_weights.dtype == FLOAT64
        assert abs(made.log_z - exact.log_z(model)) < sigma_threshold(8) * made.log_z_error
        assert made.ess == pytest.approx(sampler.sample(2048, seed=5).ess, rel=0.15)


def test_the_seed_decides_and_blocks_do_not() -> None:
    model = MODELS["ising 2x3 field"]
    x = exact_samples(model, 40, seed=1)

    def run(block: int, seed: int) -> Tensor:
        sampler = lt.Sampler(
            lt.AnnealingPath(model), None, lt.Jump(4), lt.HeatBath(), block=block, device="cpu"
        )
        return lt.reverse_ess(sampler, x, seed).log_weights

    assert torch.equal(run(16, 3), run(40, 3))
    assert not torch.equal(run(16, 3), run(16, 4))


class Hole:
    """One configuration, all up, that holds half of the probability; every other has energy 0."""

    lattice, q, beta = lt.Lattice((3, 3)), 2, math.log(511.0)

    def energy(self, configurations: Tensor) -> Tensor:
        return -(configurations.flatten(1).sum(1) == 9).double()


def away(configurations: Tensor, conditions: Any) -> Tensor:
    """Rates that lead out of the hole and never into it.

    ``G`` is 0 but for moves from or to all up.
    """
    ups = configurations.flatten(1).sum(1).view(-1, 1, 1)
    moves = (ups == 9).float() - ((ups == 8) & (configurations == 0)).float()
    return moves.unsqueeze(1)


def test_a_lost_mode_is_seen_from_exact_samples_only() -> None:
    sampler = lt.Sampler(lt.AnnealingPath(Hole()), away, lt.Jump(5), block=128, device="cpu")
    ensemble = sampler.sample(128, seed=1)
    assert not (ensemble.configurations.flatten(1).sum(1) == 9).any()
    assert ensemble.ess > 0.95
    assert ensemble.log_z == pytest.approx(math.log(511.0), abs=0.1)
    made = lt.reverse_ess(sampler, exact_samples(Hole(), 256, seed=2), seed=3)
    assert made.ess < 0.02
    assert abs(made.log_z - math.log(1022.0)) < 4 * made.log_z_error < 0.5


def test_what_is_refused() -> None:
    path = lt.AnnealingPath(MODELS["ising 2x3 field"])
    x = states(path.model)

    class Forgetful:
        init, step = lt.HeatBath().init, lt.HeatBath().step

    mcmc: Any = Forgetful()
    for options, message in (
        (
            {"mcmc": lt.HeatBath(), "resample_below": 0.5},
            "resampled have no reversed paths .* resample_below=0, got 0.5",
        ),
        ({"mcmc": mcmc}, r"its move Forgetful has no reversed\(\)"),
    ):
        with pytest.raises(ValueError, match=message):
            lt.reverse_ess(lt.Sampler(path, None, lt.Jump(2), device="cpu", **options), x)
    sampler = lt.Sampler(path, None, lt.Jump(2), lt.HeatBath(), device="cpu")
    for samples in (x.long(), x[:, :1], x[:0]):
        with pytest.raises(
            ValueError, match=r"samples must be torch.int8 of shape \(walkers, 2, 3\), got"
        ):
            lt.reverse_ess(sampler, samples)
    with pytest.raises(ValueError, match="seed must be"):
        lt.reverse_ess(sampler, x, seed=-1)
    euler = lt.Sampler(path, None, lt.TauLeap(2, weights="euler"), lt.HeatBath(), device="cpu")
    with pytest.raises(
        ValueError,
        match=r"Euler's weights hold for no reversed path; take TauLeap\(weights='exact'\)",
    ):
        lt.reverse_ess(euler, x)
