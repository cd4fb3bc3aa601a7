"""The op metropolis_sweeps: invariance by enumeration, draws by a plain loop and by their law.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import ENERGY_ONLY, index_of, metropolis_matrix, sigma_threshold, small_models, states
from leaps_triton import exact, kernels
from leaps_triton.kernels import Stream
from leaps_triton.models import single_site
from leaps_triton.models.base import SweepPlan

FLOAT64 = torch.float64
MODELS = small_models() | {
    "ising 3x2 half open": lt.Ising((3, 2), beta=0.5, field=0.2, periodic=(True, False)),
    "clock 4 q=4": lt.Clock(4, q=4, beta=0.9, field=[0.1, 0.0, -0.3, 0.2]),
}


def inputs(model: Any, walkers: int, beta: Tensor | None = None) -> dict[str, Any]:
    """The op's input for a pair model, from random configurations."""
    index = torch.arange(50, 50 + walkers)
    return {
        "configurations": lt.AnnealingPath(model).start.sample(index, seed=3),
        "coupling": model.coupling.unsqueeze(0),
        "bond_table": model.bond_table,
        "site_table": model.site_table.unsqueeze(0),
        "beta": torch.tensor([model.beta], dtype=FLOAT64) if beta is None else beta,
        "periodic": model.lattice.periodic,
        "colours": model.lattice.colours(),
        "num_colours": model.lattice.num_colours,
        "walkers": index,
        "first_sweep": 3,
        "sweeps": 1,
        "seed": 17,
    }


RESTS = [0.0, 0.5, 2.0**-3]


@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_sweeps_leave_the_model_invariant_and_reverse(model: Any, rest: float) -> None:
    """``ρ P = ρ`` and ``ρ(x) P(x, y) = ρ(y) P'(y, x)`` with ``P'`` backward.

    Site updates are reversible.
    """
    path = lt.AnnealingPath(model)
    rho = exact.enumerate_model(model, beta=0.7 * model.beta).log_probabilities.exp()
    sweep = metropolis_matrix(path, 0.7, rest=rest)
    back = metropolis_matrix(path, 0.7, backward=True, rest=rest)
    assert (rho @ sweep - rho).abs().max() < 1e-12
    assert (sweep.sum(1) - 1.0).abs().max() < 1e-12 and sweep.min() >= 0
    flow = rho.unsqueeze(1)
    assert (flow * sweep - (flow * back).T).abs().max() < 1e-14
    assert sweep.diag().max() < 0.95
    other = exact.enumerate_model(model).log_probabilities.exp()
    assert (other @ sweep - other).abs().max() > 1e-4


def loop_sweep(
    model: Any, x: Tensor, beta: float, walker: int, sweep: int, seed: int, rest: float
) -> Tensor:
    """One walker's sweep, site by site, from two energies each."""
    x = x.clone()
    colours = model.lattice.colours().flatten()
    for colour in range(model.lattice.num_colours):
        for site in (colours == colour).nonzero().flatten().tolist():
            first, second = (
                int(kernels.philox(seed, Stream.SWEEP, site // 4, sweep, d, walker)[site % 4])
                for d in (0, 1)
            )
            y = x.clone()
            y.view(-1)[site] = (int(x.view(-1)[site]) + 1 + (first * (model.q - 1) >> 32)) % model.q
            ratio = torch.exp(-beta * (model.energy(y.unsqueeze(0)) - model.energy(x.unsqueeze(0))))
            if ((second >> 9) + 0.5) / 2.0**23 < (1.0 - rest) * min(1.0, float(ratio)):
                x = y
    return x


@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_equals_a_plain_loop(model: Any, rest: float) -> None:
    """With each walker's own β, negative ones too; inputs are left alone."""
    beta = torch.linspace(-0.6, 1.4, 12, dtype=FLOAT64)
    given = inputs(model, 12, beta)
    before = given["configurations"].clone()
    after = kernels.metropolis_sweeps(**given | {"sweeps": 2, "rest": rest})
    assert after.dtype == torch.int8 and torch.equal(given["configurations"], before)
    for row, x in enumerate(before):
        for sweep in (3, 4):
            x = loop_sweep(model, x, float(beta[row]), 50 + row, sweep, 17, rest)
        assert torch.equal(after[row], x)
    assert not torch.equal(after, before)
    # Without the argument nothing rests, as before there was one.
    if not rest:
        assert torch.equal(kernels.metropolis_sweeps(**given | {"sweeps": 2}), after)


@pytest.mark.parametrize("rest", [0.0, 0.25, 2.0**-23])
def test_every_proposal_but_the_rest_is_accepted_where_energies_are_equal(rest: float) -> None:
    """And models with nothing but an energy draw the same sites to rest."""
    n = 5000
    model = lt.Ising((2, 3), beta=0.0)
    x = torch.zeros(n, 2, 3, dtype=torch.int8)
    plan = SweepPlan(torch.arange(n), 0, 1, 3, rest=rest)
    beta = torch.zeros(1, dtype=FLOAT64)
    after = model.metropolis(x, beta, plan)
    # A normal number is beyond 3.9 with probability 1e-4; rarer rests than 1 in 30000 are not seen.
    error = (rest * (1.0 - rest) / after.numel()) ** 0.5
    assert abs(float((after == 0).double().mean()) - rest) <= 3.9 * error
    slow = single_site.metropolis_sweeps(model.energy, x, 2, beta, plan)
    assert torch.equal(slow, after)


@pytest.mark.parametrize(
    "model", [*MODELS.values(), *ENERGY_ONLY.values()], ids=[*MODELS, *ENERGY_ONLY]
)
def test_the_kernel_takes_exact_samples_to_exact_samples(model: Any) -> None:
    path = lt.AnnealingPath(model)
    n = 20000
    t = 0.8
    law = exact.enumerate_model(model, beta=t * model.beta).log_probabilities.exp()
    words = kernels.philox(4, Stream.START, 0, 0, 0, torch.arange(n))
    drawn = torch.searchsorted(
        law.cumsum(0)[:-1].contiguous(), kernels.uniform64(words[0], words[1])
    )
    kernel = lt.Metropolis()
    state, info = kernel.step(kernel.init(states(model)[drawn], torch.arange(n)), path, t, seed=5)
    counts = torch.bincount(index_of(state.configurations, model.q), minlength=len(law)).double()
    often = n * law >= 20
    pulls = ((counts - n * law) / (n * law * (1 - law)).sqrt())[often]
    assert len(pulls) > 10 and pulls.abs().max() < sigma_threshold(len(pulls))
    assert info.changed.mean() > 0.15


@pytest.mark.parametrize("name", ["ising 2x3 field", "potts 2x3 q=3"])
@pytest.mark.parametrize("backward", [False, True])
def test_transitions_from_a_state_are_those_of_the_sweep(name: str, backward: bool) -> None:
    model = MODELS[name]
    n = 30000
    path = lt.AnnealingPath(model)
    start = model.q**model.lattice.sites // 3
    kernel = lt.Metropolis(backward=backward)
    x = states(model)[start].expand(n, *model.lattice.shape)
    state, _ = kernel.step(kernel.init(x, torch.arange(n)), path, 0.6, seed=6)
    counts = torch.bincount(
        index_of(state.configurations, model.q), minlength=model.q**model.lattice.sites
    ).double()

    def largest(matrix: Tensor) -> float:
        law = matrix[start]
        often = n * law >= 20
        return float(((counts - n * law) / (n * law * (1 - law)).sqrt())[often].abs().max())

    assert largest(metropolis_matrix(path, 0.6, backward)) < sigma_threshold(300)
    assert largest(metropolis_matrix(path, 0.6, not backward)) > 10


def test_an_energys_sweeps_backward_are_another_order() -> None:
    """Bit for bit as many sweeps at once or one by one; forward and backward differ."""
    path = lt.AnnealingPath(ENERGY_ONLY["2x2 q=3"])
    walkers = torch.arange(60)
    x = path.start.sample(walkers, seed=1)
    kernel = lt.Metropolis(sweeps=2)
    both, _ = kernel.step(kernel.init(x, walkers), path, 0.8, seed=7)
    one = lt.Metropolis()
    state = one.init(x, walkers)
    for _ in range(2):
        state, _ = one.step(state, path, 0.8, seed=7)
    assert both.sweep == state.sweep == 2 and torch.equal(both.configurations, state.configurations)
    back, _ = kernel.reversed().step(kernel.init(x, walkers), path, 0.8, seed=7)
    assert not torch.equal(back.configurations, both.configurations)


def test_a_sampler_takes_it() -> None:
    """Two pulls."""
    model = MODELS["potts 2x3 q=3"]
    sampler = lt.Sampler(
        lt.AnnealingPath(model), None, lt.Jump(8), lt.Metropolis(2), block=2048, device="cpu"
    )
    ensemble = sampler.sample(2048, seed=1)
    limit = sigma_threshold(2)
    energy = lt.observables.energy
    assert abs(ensemble.log_z - exact.log_z(model)) < limit * ensemble.log_z_error
    assert abs(ensemble.estimate(energy).pull(float(exact.expectation(model, energy)))) < limit


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sweeps": -1}, "sweeps must be an integer of at least 0, got -1"),
        ({"colours": torch.zeros(3, 2)}, r"colours must have shape \(2, 3\), got \(3, 2\)"),
        ({"walkers": torch.arange(3)}, r"walkers must have shape \(4,\) on cpu, got \(3,\) on cpu"),
        ({"beta": torch.ones(1)}, "beta must be float64, got torch.float32"),
        ({"rest": 0.3}, "rest must be 0 or a power of two from 2⁻²³ to 1/2, got 0.3"),
        ({"rest": 2.0**-24}, "rest must be 0 or a power of two"),
        ({"rest": 1.0}, "rest must be 0 or a power of two"),
        ({"rest": -0.5}, "rest must be 0 or a power of two"),
    ],
)
def test_inputs_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.metropolis_sweeps(**inputs(MODELS["potts 2x3 q=3"], 4) | changes)


def test_sweeps_that_are_refused() -> None:
    with pytest.raises(ValueError, match="sweeps must be an integer of at least 1, got 0"):
        lt.Metropolis(sweeps=0)
    for rest in (0.3, 1, -0.5, True, "half", float("nan")):
        with pytest.raises(ValueError, match="rest must be 0 or a power of two"):
            lt.Metropolis(rest=rest)  # type: ignore[arg-type]
