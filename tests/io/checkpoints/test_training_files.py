"""Checkpoints of training: it goes on bit for bit, in a new process and after kills."""

import math
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_cases import MODELS, _square, sampler_of

import leaps_triton as lt
from leaps_triton.io import checkpoint

ROOT = Path(__file__).parents[3]
TRAIN = """
import sys, torch, leaps_triton as lt
torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)
def make(beta=0.4, **options):
    path = lt.AnnealingPath(lt.Ising((4, 4), beta))
    network = lt.HollowConv(path.model, kernel_size=3, channels=4, width=8, modes=1)
    sampler = lt.Sampler(path, network, integrator=lt.Jump(4), block=64, device="cpu")
    settings = dict(
        steps=100, times=4, walkers=4, buffer=32, rollout=16, rollout_every=15, warmup=4,
        evaluate_every=40, evaluation_walkers=64,
    )
    return lt.Trainer(sampler, lt.TrainingConfig(**{**settings, **options}))
"""
GO_ON = (
    TRAIN
    + "trainer = make(); trainer.resume(sys.argv[1]); trainer.run(checkpoint=sys.argv[1], every=5)"
)


def make(**options: Any) -> lt.Trainer:
    space: dict[str, Any] = {}
    exec(TRAIN, space)
    trainer: lt.Trainer = space["make"](**options)
    return trainer


def equal(one: Path, two: Path) -> bool:
    """Whether two training checkpoints agree in every tensor and number."""
    return checkpoint.differences(checkpoint.read(one), checkpoint.read(two)) == []


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the processes that are started: the order of sums follows the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("whole") / "whole.safetensors"
    make().run(checkpoint=file)
    return file


def python(source: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", source, *map(str, arguments)]


def test_training_goes_on_bit_for_bit_in_a_new_process(undisturbed: Path, tmp_path: Path) -> None:
    file = tmp_path / "half.safetensors"
    make().run(50, checkpoint=file)
    assert checkpoint.read(file).manifest["training"]["step"] == 50
    assert not equal(file, undisturbed)
    subprocess.run(python(GO_ON, file), check=True, cwd=ROOT)
    assert equal(file, undisturbed)


def test_training_with_every_extra_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """The average, the parameters it follows, F_t and the optimiser's moments of both."""
    options: dict[str, Any] = {
        "steps": 40,
        "ema": 0.9,
        "baseline": "learned",
        "huber_steps": 25,
        "loss": "log_variance",
    }
    whole, half, file = make(**options), make(**options), tmp_path / "half.safetensors"
    whole.run()
    whole.save(tmp_path / "whole.safetensors")
    half.run(20, checkpoint=file)
    again = make(**options)
    again.resume(file)
    again.run(checkpoint=file)
    assert equal(file, tmp_path / "whole.safetensors")
    assert again.free_energy is not None
    one, two = lt.load(file, "cpu").sample(64, seed=0), again.sampler.sample(64, seed=0)
    assert torch.equal(one.log_weights, two.log_weights)


def test_a_file_from_before_a_setting_had_its_default(tmp_path: Path) -> None:
    trainer, file = make(), tmp_path / "old.safetensors"
    trainer.run(10, checkpoint=file)
    manifest, tensors = checkpoint.read(file)
    for name in ("loss", "leaps", "segment", "baseline", "huber_steps", "huber_delta", "ema"):
        del manifest["training"]["config"][name]
    checkpoint.write(file, checkpoint.Contents(manifest, tensors))
    again = make()
    again.resume(file)
    assert again.step == 10
    with pytest.raises(ValueError, match=r"training.ema 0.0 \(now 0.9\)"):
        make(ema=0.9).resume(file)


def test_kills_during_training_lose_at_most_an_interval(undisturbed: Path, tmp_path: Path) -> None:
    file, chance = tmp_path / "killed.safetensors", random.Random(0)
    make().save(file)
    for _ in range(4):
        step = checkpoint.read(file).manifest["training"]["step"]
        process = subprocess.Popen(python(GO_ON, file), cwd=ROOT)
        begun = file.stat().st_mtime_ns
        while file.stat().st_mtime_ns == begun and process.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.15))
        process.kill()
        process.wait()
        assert checkpoint.read(file).manifest["training"]["step"] >= step
    subprocess.run(python(GO_ON, file), check=True, cwd=ROOT)
    assert equal(file, undisturbed)


def test_stop_ends_a_run_after_its_step_with_a_checkpoint(
    undisturbed: Path, tmp_path: Path
) -> None:
    file, trainer = tmp_path / "stopped.safetensors", make()
    train = trainer._train

    def stopping() -> float:
        if trainer.step == 16:
            trainer.stop()
        return train()

    trainer._train = stopping  # type: ignore[method-assign]
    trainer.run(checkpoint=file)
    assert trainer.step == checkpoint.read(file).manifest["training"]["step"] == 17
    again = make()
    again.resume(file)
    again.run(checkpoint=file)
    assert equal(file, undisturbed)


def test_other_settings_are_named_field_by_field(undisturbed: Path) -> None:
    message = (
        r"made with other settings: model.beta 0.4 \(now 0.5\); training.seed 0 \(now 3\); "
        r"use the same"
    )
    with pytest.raises(ValueError, match=message):
        make(beta=0.5, seed=3).resume(undisturbed)


def test_other_couplings_are_named(tmp_path: Path) -> None:
    def trainer(seed: int) -> lt.Trainer:
        model = lt.EdwardsAnderson((3, 3), beta=0.5, seed=seed)
        return lt.Trainer(
            sampler_of(model, lt.HollowConv(model, kernel_size=3, channels=2, width=4, modes=0))
        )

    trainer(0).save(tmp_path / "t.safetensors")
    with pytest.raises(ValueError, match=r"settings: model.coupling has other values; use"):
        trainer(1).resume(tmp_path / "t.safetensors")


def test_a_sampler_alone_is_no_training(tmp_path: Path) -> None:
    trainer = make()
    lt.save(trainer.sampler, tmp_path / "s.safetensors")
    with pytest.raises(ValueError, match="without the state of its training"):
        trainer.resume(tmp_path / "s.safetensors")


def test_a_training_checkpoint_is_a_sampler(undisturbed: Path) -> None:
    ensemble = lt.load(undisturbed, device="cpu").sample(200, seed=0)
    assert abs(ensemble.log_z - lt.exact.log_z(ensemble.model)) < 5 * ensemble.log_z_error


def test_a_trainer_that_cannot_be_stored_is_refused_before_any_step(tmp_path: Path) -> None:
    path = lt.AnnealingPath(MODELS["potts"], schedule=_square)
    network = lt.HollowConv(MODELS["potts"], kernel_size=3, channels=2, width=4, modes=0)
    trainer = lt.Trainer(
        lt.Sampler(path, network, lt.Jump(2), device="cpu"), lt.TrainingConfig(steps=5)
    )
    with pytest.raises(ValueError, match="schedule must be one of linear"):
        trainer.run(checkpoint=tmp_path / "t.safetensors")
    assert trainer.step == 0


def test_a_bad_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="every must be an integer of at least 1, got 0"):
        make().run(every=0)


def test_the_lowest_loss_and_the_last_good_parameters_return(tmp_path: Path) -> None:
    one, two = make(), make()
    one.run(30)
    one.save(tmp_path / "t.safetensors")
    two.resume(tmp_path / "t.safetensors")
    assert two.guard.lowest == one.guard.lowest < math.inf
    assert all(torch.equal(two.guard.good[name], value) for name, value in one.guard.good.items())
    assert two.history == one.history
    assert torch.equal(two.buffer.configurations, one.buffer.configurations)
