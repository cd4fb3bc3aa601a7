"""Training on samples of equilibrium: where they come from, SPRING, held-out measures, files."""

import logging
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import leaps_triton as lt
from helpers import same_training
from leaps_triton.io import checkpoint
from leaps_triton.networks.base import Equivariant, local_field
from leaps_triton.training import TrainingHistory, read_history
from leaps_triton.training.data.draws import Draws
from leaps_triton.training.data.equilibrated import EquilibriumBuffer
from leaps_triton.training.data.times import (
    TimeDensity,
    bin_of,
    held_out_times,
    latest_time,
    middles,
    training_times,
)
from leaps_triton.training.evaluation import HeldOut, scales, time_density

MODEL = lt.Ising((3, 4), beta=0.4)

SMALL: dict[str, Any] = {
    "times": 3,
    "walkers": 8,
    "buffer": 16,
    "rollout": 8,
    "rollout_every": 3,
    "bins": 4,
    "warmup": 2,
}


@lt.register("network")
class LinearLayers(Equivariant):
    """Layers alone, of the local field and of time, so that per-sample gradients are cheap."""

    def __init__(self, model: lt.PairModel) -> None:
        super().__init__(model)
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Linear(2 + model.q, 8)
        self.last = nn.Linear(8, model.q)
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0.0, 0.3, generator=generator)

    def values(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        dtype = self.first.weight.dtype
        local = local_field(configurations, conditions, self.q, self.periodic, dtype)
        by_site = local.flatten(2).transpose(1, 2)
        time = self.time_input(conditions, dtype).unsqueeze(1)
        time = time.expand(len(by_site), by_site.shape[1], 2)
        hidden = torch.tanh(self.first(torch.cat([by_site, time], dim=2)))
        values: Tensor = self.last(hidden)
        return values.transpose(1, 2).unflatten(2, configurations.shape[1:])


def make(model: lt.PairModel = MODEL, **settings: Any) -> lt.Trainer:
    path = lt.AnnealingPath(model)
    network = LinearLayers(model)
    sampler = lt.Sampler(path, network, lt.Jump(4), block=64, device="cpu")
    return lt.Trainer(sampler, lt.TrainingConfig(**{**SMALL, **settings}))


EVERY = ["rollout", "swendsen_wang", "heat_bath", "tempering", "exact"]


@pytest.mark.parametrize("refresh", EVERY)
def test_training_by_spring_goes_on_bit_for_bit(refresh: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "steps": 8,
        "optimizer": "spring",
        "refresh": refresh,
        "ema": 0.9,
        "curriculum": 0.5,
        "time_power": 0.4,
        "first_time": 0.1,
    }
    if refresh != "rollout":
        settings |= {"held_out": 8, "row_power": 0.5, "evaluate_every": 3}
        settings |= {"evaluation_walkers": 8}
    whole = make(**settings)
    whole.run()
    file = tmp_path / "c.safetensors"
    make(**settings).run(4, checkpoint=file)
    again = make(**settings)
    again.resume(file)
    again.run(checkpoint=file)
    assert same_training(whole, again)
    assert read_history(file) == whole.history
    assert math.isfinite(whole.history.loss[-1])


def test_a_file_of_one_optimizer_is_none_of_another(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    make(steps=2, optimizer="spring").run(checkpoint=file)
    with pytest.raises(ValueError, match=r"training.optimizer spring \(now adam\)"):
        make(steps=2).resume(file)
    contents = checkpoint.read(file)
    contents.tensors["optimizer.direction"] = torch.zeros(3, dtype=torch.float64)
    file.unlink()
    checkpoint.write(file, contents)
    with pytest.raises(ValueError, match=r"optimizer.direction is missing or has another shape"):
        make(steps=2, optimizer="spring").resume(file)


def test_evaluations_must_be_as_they_were_where_they_scale_residuals(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    scaled: dict[str, Any] = {"refresh": "heat_bath", "held_out": 4, "row_power": 1.0}
    make(steps=2, **scaled).run(checkpoint=file)
    with pytest.raises(ValueError, match=r"training.evaluate_every 0 \(now 1\)"):
        make(steps=2, evaluate_every=1, **scaled).resume(file)


def test_spring_learns_from_equilibrium() -> None:
    """In 40 steps from a fixed seed the spread of residuals falls to a third.

    It fell to a tenth; the ESS rises as well.
    """
    trainer = make(
        steps=40,
        times=8,
        walkers=16,
        buffer=128,
        bins=16,
        optimizer="spring",
        refresh="swendsen_wang",
        learning_rate=0.2,
        ema=0.9,
        held_out=64,
        evaluate_every=40,
        evaluation_walkers=256,
    )
    before = trainer.sampler.sample(256, seed=1).ess
    history = trainer.run()
    assert history.held_out_step == [0, 40]
    assert history.held_out_integral[1] < history.held_out_integral[0] / 3.0
    assert history.evaluation_ess[0] > 2.0 * before
    # A false alarm once in 10⁶ seeds.
    assert abs(history.evaluation_log_z_pull[0]) < 5.0
    assert len(history.evaluation_variance_trace[0]) == len(history.trace_t) == 5


def test_times_are_dense_where_the_power_puts_them() -> None:
    draws = Draws(seed=0, step=3)
    plain = lt.TrainingConfig(times=16)
    late = lt.TrainingConfig(times=16, time_power=0.4, first_time=0.3)
    u = training_times(plain, draws, 1.0)
    t = training_times(late, draws, 1.0)
    torch.testing.assert_close(t, 0.3 + 0.7 * u**0.4)
    assert float(t[0]) >= 0.3
    assert (t.diff() > 0).all()
    assert float(training_times(late, draws, 0.5).max()) < 0.5
    # Below the first time there is nothing but it.
    assert training_times(late, draws, 0.2).tolist() == [0.2] * 16


def test_times_follow_what_was_measured() -> None:
    config = lt.TrainingConfig(times=4000, time_power=0.5, first_time=0.2)
    # Nothing below a half, and twice as much above three quarters as between.
    knots = torch.tensor([0.0, 0.5, 0.500001, 0.75, 0.750001, 1.0], dtype=torch.float64)
    weight = torch.tensor([0.0, 0.0, 3.0, 3.0, 6.0, 6.0], dtype=torch.float64)
    t = training_times(config, Draws(0, 3), 1.0, TimeDensity(knots, weight))
    assert (t.diff() > 0).all()
    # A quarter follows the power: u = ((t - 0.2) / 0.8)². Strata leave errors of 1 / 4000.
    for edge, measured in ((0.5, 0.0), (0.75, 1 / 3), (1.0, 1.0)):
        expected = 0.25 * ((edge - 0.2) / 0.8) ** 2 + 0.75 * measured
        assert float((t <= edge).double().mean()) == pytest.approx(expected, abs=3e-3)
    # A density of nothing, and no time to spread over, leave the power.
    nothing = TimeDensity(knots, 0.0 * weight)
    plain = training_times(config, Draws(0, 3), 1.0)
    torch.testing.assert_close(training_times(config, Draws(0, 3), 1.0, nothing), plain)
    alone = training_times(config, Draws(0, 3), 0.1, TimeDensity(knots, weight))
    assert set(alone.tolist()) == {0.1}


def test_a_training_looks_where_residuals_are() -> None:
    history = TrainingHistory(held_out_t=[0.0, 0.5, 1.0], held_out_variance=[[0.0, 4.0, 1.0]])
    density = time_density(history, 0.5)
    assert density is not None
    assert density.at(torch.tensor([0.25, 0.5, 0.75, 1.0]).double()).tolist() == [
        1.0,
        2.0,
        1.5,
        1.0,
    ]
    assert time_density(history, 0.0) is None


def test_the_curriculum_rises_to_one() -> None:
    config = lt.TrainingConfig(curriculum=0.5, curriculum_start=0.2)
    found = [latest_time(config, step, 100) for step in (0, 25, 50, 99)]
    assert found == pytest.approx([0.2, 0.6, 1.0, 1.0])
    assert latest_time(lt.TrainingConfig(), 0, 100) == 1.0


def test_times_fall_into_bins() -> None:
    assert bin_of(torch.tensor([0.0, 0.24, 0.25, 1.0]), 4).tolist() == [0, 0, 1, 3]
    assert bin_of(middles(5), 5).tolist() == [0, 1, 2, 3, 4]
    times = held_out_times(8)
    assert len(times) == 9
    assert (float(times[0]), float(times[-1])) == (0.0, 1.0)


def exact_energy(model: lt.PairModel, t: float) -> float:
    law = lt.exact.enumerate_model(model, beta=t * model.beta)
    return float(law.mean(lambda x, m: m.energy(x), model))


@pytest.mark.parametrize("refresh", ["swendsen_wang", "heat_bath", "tempering", "exact"])
def test_buffers_stay_in_equilibrium(refresh: str) -> None:
    """The mean energy of what is taken at late times is that of ρ_t, after many uses.

    Five standard errors of the mean of about independent rows: a false alarm once in 10⁶ seeds.
    """
    model = lt.Ising((3, 3), beta=0.6)
    if refresh in ("heat_bath", "tempering"):
        model = lt.EdwardsAnderson((3, 3), beta=0.6, seed=1)
    path = lt.AnnealingPath(model)
    config = lt.TrainingConfig(
        times=4,
        walkers=64,
        buffer=128,
        bins=12,
        refresh=refresh,
        rollout=16,
        rollout_every=20,
        time_power=0.5,
    )
    buffer = EquilibriumBuffer(path, config, torch.device("cpu"))
    energies = []
    for step in range(60):
        draws = Draws(seed=5, step=step)
        buffer.prepare(path, draws)  # type: ignore[arg-type]
        batch = buffer.batch(draws)
        # Rows come from other times of their bins: energies are compared at their own.
        expected = exact_energy(model, float(batch.t[-1]))
        found = model.energy(batch.configurations[-1]).mean()
        energies.append(float(found) - expected)
    late = torch.tensor(energies[20:], dtype=torch.float64)
    spread = float(model.energy(buffer.configurations[-1]).std())
    # 40 uses of 64 rows out of 128 in each bin: some hundred of them are independent.
    assert abs(float(late.mean())) < 5.0 * spread / math.sqrt(128)


def test_exchanges_lose_no_configuration() -> None:
    """One row is drawn in neighbouring bins, and twice in one."""
    model = lt.Ising((4, 4), beta=0.4)
    config = lt.TrainingConfig(refresh="tempering", times=3, walkers=3, buffer=2, bins=4)
    buffer = EquilibriumBuffer(lt.AnnealingPath(model), config, torch.device("cpu"))
    # A single spin up has the same energy everywhere, so that every exchange is accepted.
    configurations = torch.eye(16, dtype=model.dtype)[:8].view(4, 2, 4, 4)
    bins = torch.tensor([[0], [1], [2]])
    rows = torch.tensor([[0, 0, 1]]).expand(3, 3)
    t = torch.tensor([0.1, 0.4, 0.6], dtype=torch.float64)
    expected = [[2, 3, 0, 1, 6, 7, 4, 5], [0, 1, 4, 5, 2, 3, 6, 7]]
    for step, there in enumerate(expected):
        buffer.configurations = configurations.clone()
        buffer._exchange(bins, rows, t, Draws(seed=0, step=step))
        assert buffer.configurations.flatten(2).argmax(2).flatten().tolist() == there


def test_held_out_samples_judge_a_network() -> None:
    """On samples of ρ_t the mean of κ vanishes, and v is the variance by enumeration."""
    model = lt.Ising((3, 3), beta=0.5)
    path = lt.AnnealingPath(model)
    network = LinearLayers(model)
    config = lt.TrainingConfig(refresh="exact", held_out=2000)
    held_out = HeldOut(path, config, torch.device("cpu"))
    judged = held_out.judge(network)
    # A false alarm once in 10⁵ seeds.
    assert judged.pull < 5.0
    law = lt.exact.enumerate_model(model)
    x = lt.exact.enumerate_configurations((3, 3), 2)
    weights = law.log_probabilities.exp()
    with torch.no_grad():
        one = torch.ones(1, dtype=torch.float64)
        xi = lt.objectives.residual(path, network, x, one)
    variance = float(weights @ xi.square() - (weights @ xi).square())
    # Six per cent is the error of a variance of 2000 normal numbers twice over.
    assert judged.variance[-1] == pytest.approx(variance, rel=0.2)
    assert judged.integral > 0.0


def test_data_out_of_equilibrium_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make(steps=1, refresh="heat_bath", held_out=64)
    (held_out,) = trainer.held_out
    samples = held_out._samples()
    # All spins up at every time.
    samples.configurations[1:] = 1
    samples.configurations[1:, :2, 0, 0] = 0
    monkeypatch.setattr(held_out, "_made", samples)
    with torch.no_grad():
        trainer.network.get_parameter("last.weight").mul_(10.0)
    with caplog.at_level(logging.WARNING, logger="leaps_triton"):
        trainer.run()
    assert "they are not in equilibrium" in caplog.text


def test_rows_are_scaled_by_the_spread_of_their_times() -> None:
    t = torch.tensor([0.0, 0.5, 0.75, 1.0], dtype=torch.float64)
    found = scales(t, [0.0, 0.5, 1.0], [1.0, 4.0, 16.0], 1.0)
    torch.testing.assert_close(found, torch.tensor([4.0, 2.0, 2.0**0.5, 1.0]).double())
    assert torch.equal(scales(t, [0.0, 1.0], [1.0, 2.0], 0.0), torch.ones(4).double())
    # A time at which nothing is left weighs no more than a thousandth of the largest.
    least = scales(t[:1], [0.0, 1.0], [0.0, 1.0], 2.0)
    assert float(least) == pytest.approx(1000.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "gauss_newton"}, "refresh must be 'nodes', got 'rollout'"),
        ({"optimizer": "sgd"}, "one of adam, spring, gauss_newton, got 'sgd'"),
        ({"optimizer": "spring", "baseline": "learned"}, "baseline must be 'batch_mean'"),
        ({"optimizer": "spring", "loss": "log_variance"}, "loss must be 'physics_informed'"),
        ({"optimizer": "spring", "huber_steps": 3}, "huber_steps must be 0, got 3"),
        ({"momentum": 1.0}, r"momentum must be a number in \[0, 1\)"),
        ({"damping": 0.0}, "damping must be a positive number"),
        ({"norm_cap": -1.0}, "norm_cap must be 0 or a positive number"),
        ({"time_power": 0.0}, "time_power must be a positive number"),
        ({"time_density": 0.5}, "time_density follows the variance on held-out samples"),
        ({"held_out_times": 0}, "held_out_times must be an integer of at least 1"),
        ({"first_time": 1.0}, r"first_time must be a number in \[0, 1\)"),
        ({"refresh": "wolff"}, "refresh must be one of rollout, swendsen_wang"),
        ({"held_out": 4}, "held_out needs samples of equilibrium, and rollouts give none"),
        ({"held_out": 1, "refresh": "exact"}, "at least 2 for a variance"),
        ({"row_power": 1.0}, "give held_out, such as 256"),
        ({"curriculum": 1.5}, r"curriculum must be a number in \[0, 1\]"),
        ({"curriculum_start": 0.0}, r"curriculum_start must be a number in \(0, 1\]"),
        (
            {"curriculum": 0.5, "first_time": 0.5},
            "first_time must be below curriculum_start, 0.5, from where the largest time rises, "
            "got 0.5",
        ),
        (
            {"row_power": 1.0, "held_out": 9, "refresh": "exact", "loss": "log_variance"},
            "row_power scales the residuals of loss 'physics_informed' alone",
        ),
        ({"bins": 0}, "bins must be an integer of at least 1"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lt.TrainingConfig(**settings)


def test_the_recipe_takes_other_settings() -> None:
    config = lt.TrainingConfig.spring(steps=7, refresh="exact")
    assert (config.optimizer, config.steps, config.refresh) == ("spring", 7, "exact")


class _Writer:
    """Stands for TensorBoard's, which tests do not need."""

    made: dict[str, list[tuple[int, float]]]

    def __init__(self, folder: str) -> None:
        type(self).made = {}

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.made.setdefault(name, []).append((step, value))

    def close(self) -> None:
        self.made["closed"] = []


def test_tensorboard_gets_what_the_history_gains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = _Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    trainer = make(steps=4, refresh="heat_bath", held_out=4, evaluate_every=2, evaluation_walkers=8)
    trainer.run(1)
    history = trainer.run(tensorboard=tmp_path)
    made = _Writer.made
    assert [step for step, _ in made["step/loss"]] == [2, 3, 4]
    assert [value for _, value in made["evaluation/ess"]] == history.evaluation_ess
    assert len(made["evaluation/pull of log_z"]) == 2
    assert [step for step, _ in made["held out/integral of v"]] == [2, 4]
    assert "closed" in made


def test_without_tensorboard_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'leaps_triton\[tensorboard\]'"):
        make(steps=1).run(tensorboard=tmp_path)


def test_an_unknown_log_z_has_no_pull() -> None:
    history = TrainingHistory(evaluation_log_z=[1.0], evaluation_log_z_error=[0.5])
    assert history.evaluation_log_z_pull == []
    history.log_z_exact = [2.0]
    assert history.evaluation_log_z_pull == [-2.0]
