"""Kinetic Monte Carlo at fixed t: the semigroup of its rates, by matrix exponentials.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import draw, generator, index_of, pulls, rho, sigma_threshold, small_models, states
from leaps_triton import exact, kernels

FLOAT64 = torch.float64
MODELS = small_models() | {
    "clock ring q=4": lt.Clock(3, q=4, beta=0.9, field=[0.1, 0.0, -0.3, 0.2])
}
NAMES = ["ising 2x3 field", "potts 2x3 q=3", "pm1 3x3", "clock ring q=4"]


def semigroup(path: lt.AnnealingPath, t: float, rates: str, time: float) -> Tensor:
    return torch.linalg.matrix_exp(time * generator(path, None, t, reversible=rates))


@pytest.mark.parametrize("rates", kernels.REVERSIBLE)
@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_the_semigroup_and_in_detailed_balance(name: str, rates: str) -> None:
    model, n, time = MODELS[name], 20000, 0.4
    path, x, law = lt.AnnealingPath(model), states(model), rho(model, 0.8)
    matrix = semigroup(path, 0.8, rates, time)
    flow = law.unsqueeze(1) * matrix
    assert (flow - flow.T).abs().max() < 1e-14
    assert (law @ matrix - law).abs().max() < 1e-14
    row = len(x) // 3
    kernel = lt.KineticMonteCarlo(time, rates)
    state, info = kernel.step(
        kernel.init(x[row].expand(n, *x.shape[1:]), torch.arange(n)), path, 0.8, seed=1
    )
    found = pulls(index_of(state.configurations, model.q), matrix[row])
    assert found.abs().max() < sigma_threshold(len(found))
    assert info.events.min() == 1 and info.events.max() > 4
    assert kernel.reversed() is kernel and state.sweep == 1


@pytest.mark.parametrize("name", NAMES)
def test_exact_samples_stay_exact_after_a_time_and_not_after_an_event(name: str) -> None:
    """The law just after the first jump is another one.

    A fixed number of events is no invariant kernel.
    """
    model, n = MODELS[name], 30000
    path, x, law = lt.AnnealingPath(model), states(model), rho(model)
    start = x[draw(law, n, seed=2)]
    kernel = lt.KineticMonteCarlo(0.7, "metropolis")
    state, info = kernel.step(kernel.init(start, torch.arange(n)), path, 1.0, seed=3)
    found = pulls(index_of(state.configurations, model.q), law)
    assert found.abs().max() < sigma_threshold(len(found)) and info.changed.mean() > 0.03
    rates = lt.rates.evaluate(path, None, start, torch.ones(1, dtype=FLOAT64), "metropolis")
    nought, index = torch.zeros(n, dtype=FLOAT64), torch.arange(n)
    after = kernels.jump_step(
        start, nought, nought + 1e9, rates.rates, rates.corrector, index, 0 * index, 4
    )
    wrong = pulls(index_of(after.configurations, model.q), law)
    assert wrong.abs().max() > sigma_threshold(len(wrong))


def test_steps_are_a_power_of_one() -> None:
    """Every step has random numbers of its own, none of the jump process of the same seed."""
    model, n = MODELS["ising 2x3 field"], 20000
    path, x = lt.AnnealingPath(model), states(model)
    kernel = lt.KineticMonteCarlo(0.2)
    state = kernel.init(x[:1].expand(n, 2, 3), torch.arange(n))
    for _ in range(3):
        state, _ = kernel.step(state, path, 1.0, seed=4)
    matrix = semigroup(path, 1.0, "barker", 0.6)
    found = pulls(index_of(state.configurations, 2), matrix[0])
    assert found.abs().max() < sigma_threshold(len(found))


def test_results_do_not_depend_on_when_walkers_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, walkers = lt.AnnealingPath(MODELS["potts 2x3 q=3"]), torch.arange(50)
    kernel = lt.KineticMonteCarlo(3.0)
    state = kernel.init(path.start.sample(walkers, seed=1), walkers)
    times = torch.linspace(0.0, 1.0, 50, dtype=FLOAT64)
    first, info = kernel.step(state, path, times, seed=5)
    monkeypatch.setattr("leaps_triton.mcmc.kinetic._LOOK_EVERY", 1)
    second, again = kernel.step(state, path, times, seed=5)
    assert torch.equal(first.configurations, second.configurations)
    assert torch.equal(info.events, again.events) and info.events.max() > 20


@pytest.mark.parametrize("name", NAMES[:2])
def test_weights_of_a_sampler_are_exact(name: str) -> None:
    model = MODELS[name]
    kernel = lt.KineticMonteCarlo(1.0, "metropolis")
    sampler = lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(16), kernel, device="cpu")
    ensemble, log_z = sampler.sample(2000, seed=6), exact.log_z(model)
    assert abs(ensemble.log_z - log_z) < 4 * ensemble.log_z_error < 0.4
    back = lt.reverse_ess(sampler, states(model)[draw(rho(model), 2000, seed=7)], seed=8)
    assert abs(back.log_z - log_z) < 4 * back.log_z_error < 0.4
    assert back.ess == pytest.approx(ensemble.ess, rel=0.15)


def test_no_walkers() -> None:
    path, kernel = lt.AnnealingPath(MODELS["ising 2x3 field"]), lt.KineticMonteCarlo()
    walkers = torch.arange(0)
    state, info = kernel.step(
        kernel.init(torch.zeros(0, 2, 3, dtype=torch.int8), walkers), path, 1.0, seed=0
    )
    assert state.configurations.shape == (0, 2, 3) and info.events.shape == (0,)


def test_too_many_events_and_rates_that_are_not_finite_are_errors() -> None:
    def step(beta: float, kernel: lt.KineticMonteCarlo) -> Any:
        path, walkers = lt.AnnealingPath(lt.Ising((3, 3), beta)), torch.arange(70, 74)
        return kernel.step(
            kernel.init(path.start.sample(walkers, seed=1), walkers), path, 0.5, seed=0
        )

    with pytest.raises(
        RuntimeError,
        match=r"walker 7\d at t = 0.5 has needed more than max_events = 20 evaluations",
    ):
        step(0.1, lt.KineticMonteCarlo(30.0, max_events=20))
    with pytest.raises(
        RuntimeError,
        match=r"walker 7\d at t = 0.5: exit rate inf must be finite; take reversible='metro",
    ):
        step(1000.0, lt.KineticMonteCarlo(1.0, "square_root"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": 0.0}, "time must be a finite number > 0, got 0.0"),
        ({"time": float("inf")}, "time must be a finite number > 0, got inf"),
        ({"time": "1"}, "time must be a finite number > 0, got '1'"),
        (
            {"reversible": "glauber"},
            "reversible must be one of barker, square_root, metropolis, got 'glauber'",
        ),
        ({"max_events": 0}, "max_events must be an integer of at least 1, got 0"),
    ],
)
def test_arguments_that_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lt.KineticMonteCarlo(**options)
