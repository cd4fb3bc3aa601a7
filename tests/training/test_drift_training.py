"""Training of drifts: samples by trajectories, both optimisers, files, sizes, action matching."""

from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.training import equilibrate

SMALL: dict[str, Any] = {
    "steps": 40,
    "times": 4,
    "walkers": 16,
    "buffer": 32,
    "rollout": 32,
    "bins": 16,
    "held_out": 64,
    "held_out_times": 4,
    "evaluation_walkers": 128,
    "evaluation_block": 128,
    "warmup": 5,
    "seed": 3,
}


def sampler(shape: tuple[int, ...] = (4, 4), drift: Any = None) -> lt.Sampler:
    model = lt.PhiFour(shape, mass_squared=-4.0, quartic=6.975)
    if drift is None:
        drift = lt.HollowDrift(model, kernel_size=3, channels=4, width=8)
    path = lt.AnnealingPath(model, start=lt.FreeField(1.0))
    return lt.Sampler(path, drift, integrator=lt.MapStep(10), device="cpu")


def test_chains_of_trajectories_are_in_equilibrium_along_the_path() -> None:
    """A field that is free all along has ⟨φ²⟩ = mean of 1/2(k̂² + m²_t); within 4 sigma.

    Four sigma are exceeded with a probability of 6e-5 at each of three times.
    """
    model = lt.PhiFour((4, 4), mass_squared=0.2, quartic=0.0)
    path = lt.AnnealingPath(model, start=lt.FreeField(1.0))
    times = [0.25, 0.5, 1.0]
    steps = torch.arange(1, 17, dtype=torch.float64) / 16
    samples = equilibrate(path, steps, walkers=400, refresh="hmc", seed=5, device="cpu")
    squares = lt.networks.drift.geometry.Modes.of((4, 4))
    for t in times:
        x = samples.configurations[round(16 * t) - 1].double()
        mass = 1.0 - 0.8 * t
        expected = float((0.5 / (squares.squares + mass)) @ squares.counts) / 16.0
        found = x.square().mean((1, 2))
        error = float(found.std()) / 400**0.5
        assert abs(float(found.mean()) - expected) < 4.0 * error


@pytest.mark.parametrize("optimizer", ["adam", "spring"])
def test_a_short_training_lowers_the_variance_of_residuals(optimizer: str) -> None:
    made = sampler()
    settings = {**SMALL, "steps": 20}
    if optimizer == "adam":
        settings |= {"steps": 40, "optimizer": "adam", "ema": 0.0}
        settings |= {"learning_rate": 2e-2, "clip": 50.0}
    config = lt.TrainingConfig.drift(**settings, evaluate_every=settings["steps"])
    history = lt.Trainer(made, config).run()
    assert history.held_out_integral[-1] < 0.5 * history.held_out_integral[0]
    # κ vanishes in the mean over ρ_t: 5 sigma at one of 4 times by chance in 2e-6 of all seeds.
    means = torch.tensor(history.held_out_corrector[-1])
    errors = torch.tensor(history.held_out_corrector_error[-1])
    assert bool((means.abs() <= 5.0 * errors + 1e-9).all())
    assert history.evaluation_ess[-1] > 0.3


def test_fields_are_trained_on_trajectories_unless_told() -> None:
    settings = {**SMALL, "held_out": 0, "steps": 2}
    trainer = lt.Trainer(sampler(), lt.TrainingConfig(**settings))
    assert trainer.config.refresh == "hmc"
    assert len(trainer.run().loss) == 2


def test_a_training_of_a_drift_goes_on_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "drift.safetensors"
    settings = {**SMALL, "steps": 6, "held_out": 16}
    config = lt.TrainingConfig.drift(**settings)
    whole = sampler()
    losses = lt.Trainer(whole, config).run().loss
    first = lt.Trainer(sampler(), config)
    first.run(3, checkpoint=file)
    again = sampler()
    second = lt.Trainer(again, config)
    second.resume(file)
    assert second.run().loss == losses
    resumed: Any = again.transport
    trained: Any = whole.transport
    for name, value in trained.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value)
    loaded = lt.load(file)
    assert isinstance(loaded.transport, lt.HollowDrift)
    assert loaded.transport.settings == resumed.settings


def test_a_trained_drift_goes_on_at_another_size() -> None:
    small = sampler()
    lt.Trainer(small, lt.TrainingConfig.drift(**{**SMALL, "steps": 25})).run()
    model = lt.PhiFour((6, 6), mass_squared=-4.0, quartic=6.975)
    trained: Any = small.transport
    moved = sampler((6, 6), trained.for_model(model))
    settings = {**SMALL, "steps": 2}
    history = lt.Trainer(moved, lt.TrainingConfig.drift(**settings, evaluate_every=2)).run()
    fresh = lt.Trainer(sampler((6, 6)), lt.TrainingConfig.drift(**settings, evaluate_every=2))
    assert history.held_out_integral[0] < 0.5 * fresh.run(1).held_out_integral[0]


def test_action_matching_lowers_the_variance_of_residuals() -> None:
    model = lt.PhiFour((4, 4), mass_squared=-4.0, quartic=6.975)
    drift = lt.GradientDrift(model, kernel_size=3, width=12)
    path = lt.AnnealingPath(model, start=lt.FreeField(1.0))
    made = lt.Sampler(path, drift, integrator=lt.PathRatio(10, diffusion=0.3), device="cpu")
    settings = {**SMALL, "steps": 80, "walkers": 32, "refresh": "hmc"}
    config = lt.TrainingConfig(
        **settings, loss="action_matching", learning_rate=3e-2, clip=50.0, evaluate_every=80
    )
    history = lt.Trainer(made, config).run()
    assert history.held_out_integral[-1] < 0.6 * history.held_out_integral[0]
