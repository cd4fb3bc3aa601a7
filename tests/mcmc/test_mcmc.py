"""The kernel HeatBath on paths, for pair models and for models that have an energy only.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import (
    ENERGY_ONLY,
    EnergyOnly,
    heat_bath_matrix,
    index_of,
    sigma_threshold,
    small_models,
    states,
)
from leaps_triton import exact, kernels
from leaps_triton.mcmc import SweepState
from leaps_triton.models import complete

FLOAT64 = torch.float64
MODELS = small_models()


def sequential_matrix(model: EnergyOnly, beta: float) -> Tensor:
    """One sweep, site after site, each from the energies of all its values."""
    x = states(model)
    n, energy = len(x), model.energy(x)
    sweep = torch.eye(n, dtype=FLOAT64)
    for site in range(model.lattice.sites):
        targets = []
        for state in range(model.q):
            y = x.flatten(1).clone()
            y[:, site] = state
            targets.append(index_of(y, model.q))
        columns = torch.stack(targets, dim=1)
        sweep = sweep @ torch.zeros(n, n, dtype=FLOAT64).scatter_(
            1, columns, (-beta * energy[columns]).softmax(1)
        )
    return sweep


def sampled_pulls(
    path: lt.AnnealingPath, start: Tensor, t: float, law: Tensor, seed: int
) -> Tensor:
    """Deviations in sigma of where one step leads from ``start``.

    States that few should reach are taken together.
    """
    kernel, n, q = lt.HeatBath(), len(start), path.model.q
    state, _ = kernel.step(kernel.init(start, torch.arange(n)), path, t, seed)
    counts = torch.bincount(index_of(state.configurations, q), minlength=len(law)).double()
    often = n * law >= 20
    assert often.sum() > 20
    groups = torch.cat([torch.diag(often.double())[often], (~often).double().unsqueeze(0)])
    law, counts = groups @ law, groups @ counts
    return (counts - n * law) / (n * law * (1 - law)).sqrt().clamp(min=1e-6)


@pytest.mark.parametrize("name", ["ising 2x3 field", "potts 2x3 q=3", "pm1 3x3"])
def test_a_step_is_a_sweep_at_the_time_given(name: str) -> None:
    """On a path with a curved schedule, from a fixed state, against the matrix of that time."""
    path = lt.AnnealingPath(MODELS[name], schedule=lambda t: t**3)
    x = states(path.model)
    row = len(x) // 3
    start = x[row].expand(30000, *path.model.lattice.shape)
    pulls = sampled_pulls(path, start, 0.8, heat_bath_matrix(path, 0.8)[row], seed=2)
    assert pulls.abs().max() < sigma_threshold(len(pulls))
    wrong = sampled_pulls(path, start, 0.8, heat_bath_matrix(path, 0.9)[row], seed=2)
    assert wrong.abs().max() > 2 * sigma_threshold(len(wrong))


@pytest.mark.parametrize("model", ENERGY_ONLY.values(), ids=ENERGY_ONLY)
def test_an_energy_is_enough_for_sweeps(model: EnergyOnly) -> None:
    path = lt.AnnealingPath(model)
    matrix = sequential_matrix(model, 0.7 * model.beta)
    rho = exact.enumerate_model(model, beta=0.7 * model.beta).log_probabilities.exp()
    assert (rho @ matrix - rho).abs().max() < 1e-14
    x = states(model)
    row = len(x) // 3
    pulls = sampled_pulls(
        path, x[row].expand(20000, *model.lattice.shape), 0.7, matrix[row], seed=3
    )
    assert pulls.abs().max() < sigma_threshold(len(pulls))


@pytest.mark.parametrize("model", ENERGY_ONLY.values(), ids=ENERGY_ONLY)
def test_an_energys_sweeps_leave_its_law_invariant(model: EnergyOnly) -> None:
    """From exact samples to exact samples, and not by standing still."""
    path, t, n = lt.AnnealingPath(model), 0.9, 20000
    rho = exact.enumerate_model(model, beta=t * model.beta).log_probabilities.exp()
    words = kernels.philox(4, kernels.Stream.START, 0, 0, 0, torch.arange(n))
    drawn = torch.searchsorted(
        rho.cumsum(0)[:-1].contiguous(), kernels.uniform64(words[0], words[1])
    )
    start = states(model)[drawn]
    pulls = sampled_pulls(path, start, t, rho, seed=5)
    assert pulls.abs().max() < sigma_threshold(len(pulls))
    _, info = lt.HeatBath().step(SweepState(start, torch.arange(n), 0), path, t, 5)
    assert info.changed.mean() > 0.2


def test_an_energys_sweeps_do_not_depend_on_the_other_walkers() -> None:
    model = ENERGY_ONLY["2x2 q=3"]
    path, x = lt.AnnealingPath(model), states(model)
    kernel, index, t = lt.HeatBath(2), torch.arange(81), torch.linspace(0.0, 1.0, 81, dtype=FLOAT64)
    together, _ = kernel.step(kernel.init(x, index), path, t, seed=6)
    assert torch.equal(x, states(model))
    for rows in torch.arange(81).split(9):
        apart, _ = kernel.step(kernel.init(x[rows], index[rows]), path, t[rows], seed=6)
        assert torch.equal(apart.configurations, together.configurations[rows])


def test_a_completed_model_keeps_its_energy() -> None:
    model = ENERGY_ONLY["2x3"]
    x = states(model)
    assert torch.equal(complete(model).energy(x), model.energy(x))


@pytest.mark.parametrize(
    "model", [*MODELS.values(), *ENERGY_ONLY.values()], ids=[*MODELS, *ENERGY_ONLY]
)
def test_several_sweeps_are_one_sweep_several_times(model: Any) -> None:
    """Bit for bit: the state carries the count of sweeps."""
    path, walkers = lt.AnnealingPath(model), torch.arange(60)
    x = path.start.sample(walkers, seed=1)
    once, thrice = lt.HeatBath(), lt.HeatBath(sweeps=3)
    state = once.init(x, walkers)
    for count in (1, 2, 3):
        state, _ = once.step(state, path, 0.8, seed=7)
        assert state.sweep == count
    at_once, _ = thrice.step(thrice.init(x, walkers), path, 0.8, seed=7)
    assert at_once.sweep == 3 and torch.equal(at_once.configurations, state.configurations)


def test_times_are_numbers_or_one_a_walker() -> None:
    path, walkers = (
        lt.AnnealingPath(MODELS["potts 2x3 q=3"], schedule=lambda t: t**2),
        torch.arange(40),
    )
    x, kernel = path.start.sample(walkers, seed=1), lt.HeatBath()
    state = kernel.init(x, walkers)

    def after(t: float | Tensor) -> Tensor:
        return kernel.step(state, path, t, seed=8)[0].configurations

    same = [
        after(0.6),
        after(torch.tensor(0.6, dtype=FLOAT64)),
        after(torch.full((40,), 0.6, dtype=FLOAT64)),
    ]
    assert torch.equal(same[0], same[1]) and torch.equal(same[0], same[2])
    each = after(torch.tensor([0.0, 1.0], dtype=FLOAT64).repeat(20))
    assert torch.equal(each[::2], after(0.0)[::2]) and torch.equal(each[1::2], after(1.0)[1::2])
    assert not torch.equal(after(0.0), after(1.0))


def test_info_tells_how_many_sites_changed() -> None:
    path, walkers = lt.AnnealingPath(MODELS["pm1 3x3"]), torch.arange(30)
    kernel = lt.HeatBath()
    before = kernel.init(path.start.sample(walkers, seed=1), walkers)
    after, info = kernel.step(before, path, 1.0, seed=9)
    expected = [
        sum(a != b for a, b in zip(x, y, strict=True)) / 9
        for x, y in zip(
            before.configurations.flatten(1).tolist(),
            after.configurations.flatten(1).tolist(),
            strict=True,
        )
    ]
    assert info.changed.tolist() == pytest.approx(expected, abs=1e-6)
    assert max(expected) > 0 and info.changed.shape == (30,)


def test_many_sweeps_are_a_power_of_one() -> None:
    """Energy and first spin after five sweeps from one far state, before it is forgotten."""
    model = MODELS["ising 3x3 field"]
    path, n = lt.AnnealingPath(model), 10000
    kernel = lt.HeatBath(sweeps=5)
    x = states(model)
    state, _ = kernel.step(kernel.init(x[:1].expand(n, 3, 3), torch.arange(n)), path, 1.0, seed=10)
    matrix, ends = heat_bath_matrix(path, 1.0), index_of(state.configurations, 2)
    law = torch.linalg.matrix_power(matrix, 5)[0]
    assert float((torch.linalg.matrix_power(matrix, 6)[0] - law).abs().max()) > 0.01
    for values in (model.energy(x), x[:, 0, 0].double()):
        mean = float(law @ values)
        sigma = float((law @ values**2 - mean**2).sqrt()) / n**0.5
        assert abs(float(values[ends].mean()) - mean) < sigma_threshold(2) * sigma


@pytest.mark.parametrize("sweeps", [0, -1, 1.0, "1", None])
def test_sweeps_that_are_refused(sweeps: Any) -> None:
    with pytest.raises(
        ValueError, match=f"sweeps must be an integer of at least 1, got {sweeps!r}"
    ):
        lt.HeatBath(sweeps=sweeps)


def test_times_of_another_number_of_walkers_are_refused() -> None:
    path, walkers = lt.AnnealingPath(MODELS["ising 2x2 field"]), torch.arange(4)
    kernel = lt.HeatBath()
    state = kernel.init(path.start.sample(walkers, seed=1), walkers)
    with pytest.raises(ValueError, match=r"beta must have shape \(1 \| 4\), got \(3,\)"):
        kernel.step(state, path, torch.full((3,), 0.5, dtype=FLOAT64), seed=0)
