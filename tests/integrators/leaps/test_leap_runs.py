"""The integrator TauLeap in whole runs: weights of samples, schedules and training.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import class_pulls, random_network, sigma_threshold, states
from leaps_triton import exact, kernels, schedules
from leaps_triton.integrators.tau_leap import LeapState

MODELS = {
    "ising": lt.Ising((2, 3), beta=0.25, field=torch.linspace(-0.5, 0.7, 6).view(2, 3)),
    "potts": lt.Potts(4, q=3, beta=0.7, field=[0.5, 0.0, -0.4]),
}
WALKERS, GROUP = 20000, 200


def pulls(model: Any, transport: Any, **options: Any) -> tuple[Tensor, float]:
    """``E[e^A f] Z_0/Z_1`` less ``E_ρ[f]``, in sigma over groups.

    ``f`` is 1 and the indicators of eight classes of states.
    """
    path = lt.AnnealingPath(model)
    leap = options.pop(
        "integrator", lt.TauLeap([0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0], floor=0.5)
    )
    # Walkers that are resampled together are one group.
    block = GROUP if "resample_below" in options else WALKERS
    sampler = lt.Sampler(path, transport, leap, block=block, device="cpu", **options)
    ensemble = sampler.sample(WALKERS, seed=5)
    return class_pulls(ensemble, path, GROUP), ensemble.ess


WHOLE: dict[str, dict[str, Any]] = {
    "leaps": {},
    "leaps and heat bath": {"mcmc": lt.HeatBath()},
    "resampling": {"resample_below": 0.9},
    "resampling and heat bath": {"resample_below": 1.0, "mcmc": lt.HeatBath()},
}


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("ising", "leaps"),
        ("potts", "leaps"),
        ("ising", "leaps and heat bath"),
        ("potts", "resampling"),
        ("ising", "resampling and heat bath"),
    ],
)
def test_a_whole_run_of_an_untrained_network_is_exact(name: str, how: str) -> None:
    model = MODELS[name]
    found, ess = pulls(model, random_network(model, scale=0.7).float(), **WHOLE[how])
    assert ess > 0.3
    assert found.abs().max() < sigma_threshold(9)


@pytest.mark.parametrize("reversible", kernels.REVERSIBLE)
def test_a_whole_run_without_transport_is_exact(reversible: str) -> None:
    found, ess = pulls(
        MODELS["ising"], None, integrator=lt.TauLeap(12, floor=2.0, reversible=reversible)
    )
    assert ess > 0.3
    assert found.abs().max() < sigma_threshold(9)


def test_a_whole_run_with_a_stale_evaluation_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The energies of the weights would be those of other configurations."""
    right = lt.TauLeap.step

    def stale(self: Any, state: LeapState, *rest: Any) -> Any:
        return right(self, state._replace(evaluated=state.configurations), *rest)

    model = MODELS["ising"]
    monkeypatch.setattr(lt.TauLeap, "step", stale)
    found, _ = pulls(model, random_network(model, scale=0.7).float(), mcmc=lt.HeatBath(3))
    assert found.abs().max() > 2 * sigma_threshold(9)


def test_a_whole_run_with_euler_weights_is_biased() -> None:
    model = MODELS["ising"]
    found, ess = pulls(
        model, random_network(model, scale=0.7).float(), integrator=lt.TauLeap(4, weights="euler")
    )
    assert ess > 0.3
    assert found.abs().max() > 2 * sigma_threshold(9)


def test_reverse_ess_agrees_with_the_forward_one() -> None:
    model = MODELS["ising"]
    network = random_network(model, scale=0.5).float()
    sampler = lt.Sampler(
        lt.AnnealingPath(model), network, lt.TauLeap(16, floor=1.0), block=5000, device="cpu"
    )
    target = exact.enumerate_model(model)
    drawn = torch.multinomial(
        target.log_probabilities.exp(), 10000, True, generator=torch.Generator().manual_seed(0)
    )
    reverse = lt.reverse_ess(sampler, target.configurations[drawn], seed=1)
    forward = sampler.sample(10000, seed=2)
    assert forward.ess > 0.5
    assert reverse.ess == pytest.approx(forward.ess, abs=0.03)
    assert abs(reverse.log_z - target.log_z) < sigma_threshold(1) * reverse.log_z_error
    with pytest.raises(ValueError, match="Euler's weights hold for no reversed path"):
        lt.TauLeap(3, weights="euler").init(states(model)[:2], torch.arange(2), backward=True)


@pytest.mark.parametrize("mcmc", [None, lt.HeatBath()], ids=["leaps", "leaps and heat bath"])
def test_schedules_choose_times_for_it(mcmc: Any) -> None:
    """The ladder weighs single steps; its times bring the ESS asked for, a step."""
    model = lt.Ising((4, 4), beta=0.5)
    network = lt.HollowConv(model, kernel_size=3, channels=4, width=8, modes=0, seed=1)
    sampler = lt.Sampler(
        lt.AnnealingPath(model), network, lt.TauLeap(8, floor=0.7), mcmc, device="cpu"
    )
    times = schedules.constant_ess(sampler, 0.98, walkers=512, seed=0, rounds=1)
    levelled = sampler.with_integrator(sampler.integrator.with_times(times))
    levelled.resample_below, levelled.block = 1.0, 512
    losses = 1.0 - levelled.sample(512, seed=1).ess_trace[1:]
    assert (
        len(times) > 5 and losses.mean() == pytest.approx(0.02, abs=0.012) and losses.max() < 0.06
    )
    equal = schedules.thermodynamic_length(sampler, intervals=7, walkers=512, seed=0)
    assert len(equal) == 8 and equal[0] == 0 and equal[-1] == 1 and (equal.diff() > 0).all()
    assert sampler.integrator.with_times(equal).settings == sampler.integrator.settings


def test_a_sampler_with_it_can_be_trained() -> None:
    """The buffer's parts are its steps; training lifts the ESS of its exact weights."""
    model = lt.Ising((4, 4), beta=0.4)
    network = lt.HollowConv(model, kernel_size=3, channels=8, width=16, modes=0, seed=0)
    sampler = lt.Sampler(lt.AnnealingPath(model), network, lt.TauLeap(40), device="cpu")
    before = sampler.sample(1000, seed=3)
    config = lt.TrainingConfig(
        steps=60,
        learning_rate=2e-2,
        warmup=5,
        times=12,
        walkers=16,
        buffer=64,
        rollout=32,
        rollout_every=20,
    )
    history = lt.Trainer(sampler, config).run()
    after = sampler.sample(1000, seed=3)
    assert len(history.loss) == 60
    assert after.log_weight_variance < 0.7 * before.log_weight_variance
    assert abs(after.log_z - exact.log_z(model)) < sigma_threshold(1) * after.log_z_error
