"""Means under the model by every negative phase, and log Z by witnesses and not by learners."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.estimators import weights
from leaps_triton.learning import Annealed, Exact, FromData, Jarzynski, MeanField, Persistent
from leaps_triton.learning.families import Family, family_of
from leaps_triton.learning.negatives import exactly
from leaps_triton.learning.replay import replayed

FLOAT64 = torch.float64


def two_parameters(coupling: float = 0.0, field: float = 0.0, length: int = 4) -> Family:
    """Return Ising models of one coupling and one field."""
    model = lt.Ising((length, length), 2.0, coupling=coupling, field=field)
    return family_of(model, coupling="uniform", field="uniform")


def learned(
    negative: Any, family: Family, wanted: Tensor, steps: int, rate: float, seed: int = 0
) -> tuple[Any, Any, Tensor]:
    """Return the negative phase, its last state and all parameters of a plain gradient ascent."""
    theta = family.theta
    settled = negative.settled(family, theta)
    state = settled.begin(family, theta, torch.zeros(1, 4, 4, dtype=torch.int8), seed)
    thetas = [theta]
    for _ in range(steps):
        before = theta
        theta = before + rate * (wanted - settled.moments(family, before, state)) / 16
        state = settled.step(family, before, theta, state)
        thetas.append(theta)
    return settled, state, torch.stack(thetas)


def test_learners_are_biased_and_fresh_walkers_are_not() -> None:
    """Few learners, and steps enough for the bias of each to add up."""
    family = two_parameters()
    wanted = exactly.exact_moments(family, torch.tensor([0.3, 0.03], dtype=FLOAT64))
    negative = Jarzynski(walkers=16, witnesses=500, resample_below=0.0)
    settled, state, thetas = learned(negative, family, wanted, steps=80, rate=0.05, seed=0)
    exact = lt.exact.log_z(family.at(thetas[-1]))
    own = state.learners.log_weights
    biased = state.log_z_start + float(weights.log_mean_exp(own))
    # Neither their own error nor their effective sample size says anything of it.
    assert biased - exact < -10.0 * float(weights.log_mean_exp_error(own))
    assert float(weights.effective_sample_size(own)) > 0.8
    told = settled.witnessed(family, thetas[-1], state)
    fresh = replayed(family, thetas, walkers=500, resample_below=0.0, seed=1)
    # The false alarm of three sigma is 0.3 %, with a fixed seed.
    for ensemble in (told, fresh):
        assert abs(ensemble.log_z - exact) < 3.0 * ensemble.log_z_error < 0.3
    assert not torch.equal(told.configurations, fresh.configurations)


def test_few_fresh_walkers_are_unbiased_in_z() -> None:
    """As many as the learners, many times: the mean of Z over the exact one is 1."""
    family = two_parameters()
    wanted = exactly.exact_moments(family, torch.tensor([0.3, 0.03], dtype=FLOAT64))
    _, _, thetas = learned(Jarzynski(walkers=16), family, wanted, steps=10, rate=0.2, seed=1)
    exact = lt.exact.log_z(family.at(thetas[-1]))
    # Blocks are independent, so that one run of many is many runs of few.
    fresh = replayed(family, thetas, walkers=16 * 400, block=16, seed=3)
    logs = fresh.log_weights.view(400, 16).logsumexp(1) - math.log(16)
    ratios = torch.exp(fresh.log_z_start + logs - exact)
    assert fresh.resamplings.sum() > 100
    error = float(ratios.std()) / math.sqrt(400)
    assert abs(float(ratios.mean()) - 1.0) < 3.0 * error < 0.15


def test_exact_means_by_enumeration_and_by_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    family = two_parameters(0.2, 0.05, length=3)
    model = family.model
    target = lt.exact.enumerate_model(model)
    law = target.log_probabilities.exp()
    wanted = family.moments(target.configurations, family.theta, law)
    data = target.configurations
    begun = Exact().begin(family, family.theta, data, 0)
    found = Exact().moments(family, family.theta, begun)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(exactly, "_MOST", 1)
    by_differences = exactly.exact_moments(family, family.theta)
    torch.testing.assert_close(by_differences, wanted, rtol=0.0, atol=1e-7)


def test_exact_refuses_what_it_cannot_sum() -> None:
    family = family_of(lt.Ising((6, 6), 1.0, coupling=0.0), coupling="bond")
    with pytest.raises(ValueError, match=r"at most 2\*\*20 configurations, or 8 parameters"):
        exactly.exact_moments(family, family.theta)


NEGATIVES: dict[str, Any] = {
    "persistent": Persistent(walkers=400),
    "annealed": Annealed(walkers=400, intervals=10),
    "annealed, sampler": Annealed(
        walkers=400,
        sampler=lambda model: lt.Sampler(
            lt.AnnealingPath(model),
            None,
            lt.Jump(10),
            lt.HeatBath(),
            resample_below=0.5,
            block=100,
            device="cpu",
        ),
    ),
    "jarzynski": Jarzynski(walkers=400),
    "jarzynski, metropolis": Jarzynski(walkers=400, mcmc=lt.Metropolis()),
    "jarzynski, clusters": Jarzynski(walkers=400, mcmc=lt.Compose(lt.HeatBath(), lt.Wolff())),
}


@pytest.mark.parametrize("name", NEGATIVES)
def test_means_are_those_of_the_model(name: str) -> None:
    """After ten updates that are given, and not learned."""
    family = two_parameters(length=3)
    negative = NEGATIVES[name].settled(family, family.theta)
    data = lt.exact.sample(family.model, 50, seed=9)
    state = negative.begin(family, family.theta, data, 5)
    thetas = torch.linspace(0.0, 1.0, 11, dtype=FLOAT64).unsqueeze(1)
    thetas = thetas * torch.tensor([0.2, 0.1], dtype=FLOAT64)
    for before, after in itertools.pairwise(thetas):
        state = negative.step(family, before, after, state)
    found = negative.moments(family, thetas[-1], state)
    target = lt.exact.enumerate_model(family.at(thetas[-1]))
    law = target.log_probabilities.exp()
    values = torch.stack(
        [family.moments(x.unsqueeze(0), thetas[-1]) for x in target.configurations]
    )
    wanted = law @ values
    spread = (law @ (values - wanted).square()).sqrt()
    # Weights leave at least a quarter of 400 walkers effective: five sigma, false alarm 1e-6.
    assert ((found - wanted).abs() < 5.0 * spread / math.sqrt(100)).all()


def test_walkers_from_data_start_there_at_every_step() -> None:
    """At couplings that freeze all spins, walkers that were moved are still the data."""
    family = two_parameters()
    theta = torch.tensor([20.0, 0.0], dtype=FLOAT64)
    data = torch.zeros(6, 4, 4, dtype=torch.int8)
    data[3:] = 1
    for negative, count in ((FromData(), 6), (FromData(sweeps=3, walkers=64), 64)):
        settled = negative.settled(family, theta)
        state = settled.begin(family, theta, data, 0)
        first = state.walkers.configurations
        state = settled.step(family, theta, theta, state)
        again = state.walkers.configurations
        assert first.shape == again.shape == (count, 4, 4)
        assert bool((again == again[:, :1, :1]).all())
        assert 0.2 < float(again.double().mean()) < 0.8
        # Rows that are drawn are others at the next step; all rows are the same.
        assert torch.equal(first, again) == (count == 6)


def test_arguments_that_are_refused() -> None:
    for wrong in (
        {"walkers": 0},
        {"witnesses": -1},
        {"resample_below": 1.5},
        {"mcmc": 3},
        {"block": 0},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Jarzynski(**wrong)
    family = two_parameters()
    with pytest.raises(ValueError, match="mcmc must be a move that can act on weighted walkers"):
        Jarzynski(mcmc=lt.ParallelTempering((0.5, 1.0))).settled(family, family.theta)
    for wrong in ({"order": 4}, {"starts": 0}, {"iterations": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            MeanField(**wrong)
    with pytest.raises(ValueError, match="sampler"):
        Annealed(sampler=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_mean_field_means_are_nearly_exact_at_small_weights(order: int) -> None:
    generator = torch.Generator().manual_seed(0)
    theta = 0.1 * torch.randn(19, generator=generator, dtype=FLOAT64)
    family = family_of(lt.RBM(torch.ones(4, 3)))
    data = family.configurations(torch.zeros(5, 4, dtype=torch.int8))
    negative = MeanField(order, starts=7, iterations=40)
    state = negative.begin(family, theta, data, 0)
    assert state.means.shape == (7, 7)
    state = negative.step(family, theta, theta, state)
    assert state.residual < 1e-9
    found = negative.moments(family, theta, state)
    model = family.at(theta)
    target = lt.exact.enumerate_model(model)
    visible, hidden = model.split(target.configurations.double())
    law = target.log_probabilities.exp()
    pairs = torch.einsum("w,wi,wj->ij", law, visible, hidden)
    wanted = torch.cat([pairs.flatten(), law @ visible, law @ hidden])
    # What is left out is of the order of the weights squared, cubed, and so on.
    assert float((found - wanted).abs().max()) < 0.3 * 0.3 ** (order + 1)


def test_hidden_units_are_those_of_the_parameters_at_hand() -> None:
    """Weights of what is visible are exact, whichever layer a move begins with."""
    # This one draws the visible units first, given the hidden ones.
    move = lt.HeatBath(backward=True)
    family = family_of(lt.RBM(torch.zeros(5, 3)))
    generator = torch.Generator().manual_seed(1)
    updates = torch.randn(6, 23, generator=generator, dtype=FLOAT64)
    thetas = torch.cat([torch.zeros(1, 23, dtype=FLOAT64), 0.4 * updates.cumsum(0)])
    found = replayed(family, thetas, 2000, move, resample_below=0.0, seed=2)
    exact = lt.exact.log_z(found.model)
    # False alarm 0.3 %, with a fixed seed.
    assert abs(found.log_z - exact) < 3.0 * found.log_z_error < 0.3
