"""Checkpoints: round trips bit for bit, damaged files, training that goes on in a new process."""

import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_tensors

import leaps_triton as lt
from helpers import SMALL, awake, random_network
from leaps_triton.io import checkpoint, parts
from leaps_triton.io.packing import Contents

ROOT = Path(__file__).parents[2]
MODELS: dict[str, Any] = {
    "pair": lt.PairModel(
        (3, 4),
        0.3,
        [[0.5, -1.0], [-0.3, 1.0]],
        torch.linspace(0, 1, 24).view(2, 3, 4),
        0.7,
        (True, False),
    ),
    "ising": lt.Ising((3, 4), beta=0.1 + 0.2, field=0.3),
    "edwards-anderson": lt.EdwardsAnderson((2, 3, 3), beta=0.7, disorder="gaussian", seed=3),
    "potts": lt.Potts((3, 3), q=3, beta=0.8, field=[0.3, 0.0, -0.2]),
    "clock": lt.Clock(5, q=5, beta=1.0, periodic=False),
}


def sampler_of(model: Any, network: Any = None) -> lt.Sampler:
    mcmc = lt.HeatBath(sweeps=2) if network is None else None
    return lt.Sampler(
        lt.AnnealingPath(model), network, lt.Jump([0.0, 0.3, 1.0]), mcmc, block=70, device="cpu"
    )


def networks(model: Any) -> dict[str, Any]:
    return {
        "none": None,
        "float32": lt.HollowConv(model, kernel_size=3, channels=4, width=8, modes=1, seed=5),
        "float64": random_network(model),
        **{kind: awake(kind, model) for kind in SMALL if kind != "HollowConv"},
    }


@pytest.mark.parametrize(
    "network", ["none", "float32", "float64", "LEM", "LEA", "LEC", "LETransformer"]
)
@pytest.mark.parametrize("name", MODELS)
def test_a_sampler_returns_bit_for_bit(name: str, network: str, tmp_path: Path) -> None:
    model, file = MODELS[name], tmp_path / "s.safetensors"
    before = sampler_of(model, networks(model)[network])
    lt.save(before, file)
    after = lt.load(file, device="cpu")
    assert type(after.path.model) is type(model)
    assert checkpoint.differences(checkpoint.describe(before), checkpoint.describe(after)) == []
    one, two = before.sample(90, seed=1), after.sample(90, seed=1)
    assert torch.equal(one.configurations, two.configurations)
    assert torch.equal(one.log_weights, two.log_weights)
    assert os.listdir(tmp_path) == ["s.safetensors"]


@pytest.mark.parametrize("domain", [None, 2, (4, 2)])
def test_domains_and_a_local_network_return(domain: Any, tmp_path: Path) -> None:
    model, file = lt.Ising((4, 4), beta=0.3, field=0.1), tmp_path / "s.safetensors"
    network = lt.HollowConv(
        model, kernel_size=3, channels=4, width=8, seed=5, global_features=False
    )
    before = lt.Sampler(
        lt.AnnealingPath(model), network, lt.Jump(2, domain=domain), block=64, device="cpu"
    )
    lt.save(before, file)
    after = lt.load(file, device="cpu")
    assert after.integrator.settings["domain"] == (
        list(domain) if isinstance(domain, tuple) else domain
    )
    assert after.transport.reach == 1
    assert checkpoint.differences(checkpoint.describe(before), checkpoint.describe(after)) == []
    assert torch.equal(before.sample(64).log_weights, after.sample(64).log_weights)


def test_a_file_from_before_domains_and_tables_is_read(tmp_path: Path) -> None:
    manifest, tensors = checkpoint.describe(
        sampler_of(MODELS["ising"], networks(MODELS["ising"])["float32"])
    )
    for option in ("domain", "tables"):
        del manifest["integrator"][option]
    for option in ("global_features", "precision", "incremental"):
        del manifest["network"]["settings"][option]
    checkpoint.write(tmp_path / "old", checkpoint.Contents(manifest, tensors))
    after = lt.load(tmp_path / "old", device="cpu")
    assert after.integrator.settings["domain"] is after.integrator.settings["tables"] is None
    assert after.transport.global_features


@pytest.mark.parametrize(("before", "now"), [("ieee", "float32"), ("tf32x3", "tf32x3")])
def test_a_file_from_before_one_name_of_precision_is_read(
    before: str, now: str, tmp_path: Path
) -> None:
    sampler = sampler_of(
        MODELS["ising"], lt.HollowConv(MODELS["ising"], 3, channels=4, width=8, precision=now)
    )
    manifest, tensors = checkpoint.describe(sampler)
    settings = {**manifest["network"]["settings"], "input_precision": before}
    del settings["precision"]
    manifest["network"] = {**manifest["network"], "settings": settings}
    checkpoint.write(tmp_path / "old", checkpoint.Contents(manifest, tensors))
    after = lt.load(tmp_path / "old", device="cpu")
    assert after.transport.precision == now
    assert (
        checkpoint.differences(checkpoint.read(tmp_path / "old"), checkpoint.describe(sampler))
        == []
    )


def test_the_manifest_says_what_it_was_made_with_and_nothing_of_the_machine(tmp_path: Path) -> None:
    file = tmp_path / "s.safetensors"
    lt.save(sampler_of(MODELS["ising"], networks(MODELS["ising"])["float32"]), file)
    manifest = checkpoint.read(file).manifest
    assert manifest["model"]["beta"] == 0.1 + 0.2
    assert manifest["network"]["settings"] == {
        "kernel_size": 3,
        "channels": 4,
        "width": 8,
        "modes": 1,
        "seed": 5,
        "global_features": True,
        "precision": "float32",
        "incremental": False,
        "gauge": "heat_bath",
    }
    assert manifest["provenance"]["leaps_triton"] == lt.__version__
    text = json.dumps(manifest)
    assert str(tmp_path) not in text
    assert str(ROOT) not in text
    assert Path.home().name not in text or len(Path.home().name) < 5


def _square(t: torch.Tensor) -> torch.Tensor:
    return t**2


class _Mine(lt.Ising):
    pass


class _EnergyOnly:
    lattice, q, beta = lt.Lattice((3, 3)), 2, 0.3

    def energy(self, configurations: torch.Tensor) -> torch.Tensor:
        return configurations.flatten(1).sum(1).double()


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (
            lt.Sampler(
                lt.AnnealingPath(MODELS["ising"], schedule=_square), None, mcmc=lt.HeatBath()
            ),
            r"schedule must be one of linear.*got _square; put @lt.register\('schedule'\) above",
        ),
        (
            sampler_of(_Mine((3, 3), 0.3)),
            r"model must be one of PairModel, PhiFour, Ising.*got _Mine; "
            r"put @lt.register\('model'\) above",
        ),
        (sampler_of(_EnergyOnly()), "got _EnergyOnly"),
        (
            sampler_of(MODELS["ising"], lambda x, conditions: x),
            "transport must be None or one of .*HollowConv.* got function; put @lt.register",
        ),
    ],
)
def test_what_cannot_be_stored_is_refused(
    sampler: lt.Sampler, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        lt.save(sampler, tmp_path / "s.safetensors")
    assert os.listdir(tmp_path) == []


def test_a_start_of_ones_own_is_refused(tmp_path: Path) -> None:
    class Mine(type(lt.AnnealingPath(MODELS["ising"]).start)):  # type: ignore[misc]
        pass

    path = lt.AnnealingPath(MODELS["ising"], start=Mine(MODELS["ising"].lattice, 2))
    with pytest.raises(
        ValueError, match=r"start must be one of FreeField, .*uniform.*got Mine; put @lt.register"
    ):
        lt.save(lt.Sampler(path, None, mcmc=lt.HeatBath()), tmp_path / "s.safetensors")


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "s.safetensors"
    lt.save(sampler_of(MODELS["ising"]), file)
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        lt.save(sampler_of(MODELS["potts"]), file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["s.safetensors"]


GOOD = checkpoint.pack(
    checkpoint.describe(sampler_of(MODELS["ising"], networks(MODELS["ising"])["float32"]))
)
PARTS = checkpoint.unpack(GOOD, "good")


def changed(**entries: Any) -> bytes:
    return checkpoint.pack(checkpoint.Contents({**PARTS.manifest, **entries}, PARTS.tensors))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.safetensors is no leaps_triton checkpoint"),
        (b"\x80\x04pickle", "no leaps_triton checkpoint"),
        (b"\xff" * 100, "no leaps_triton checkpoint"),
        (save_tensors({"a": torch.ones(3)}), "no leaps_triton checkpoint"),
        (
            save_tensors({"a": torch.ones(3)}, {"leaps_triton": "[" * 100_000}),
            "no leaps_triton checkpoint",
        ),
        (
            save_tensors({"a": torch.ones(3)}, {"leaps_triton": '{"schema": 1, "sha256": 5}'}),
            "no leaps_triton check",
        ),
        (
            save_tensors({"a": torch.ones(3)}, {"leaps_triton": '{"schema": 1, "sha256": ""}'}),
            "truncated or damaged",
        ),
        (GOOD[:-1], "truncated or damaged: its SHA-256"),
        (GOOD + b"\0", "truncated or damaged"),
        (changed(schema=2), "has schema 2, newer than 1, .* upgrade"),
        (changed(model={"class": "XY"}), "does not describe a sampler"),
        (
            changed(model={**PARTS.manifest["model"], "shape": [5], "periodic": [True]}),
            "does not describe a sampler",
        ),
        (
            changed(network={"class": "HollowConv", "settings": {"kernel_size": 1}}),
            "does not describe a sampler",
        ),
        (changed(network=None, block=0), "with none of them"),
    ],
)
def test_a_bad_file_is_named_for_what_it_is(data: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        lt.load(file)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lt.load(tmp_path / "none.safetensors")


@settings(max_examples=300)
@given(st.integers(0, len(GOOD) - 1))
def test_no_truncation_is_read(length: int) -> None:
    with pytest.raises(ValueError, match="cut"):
        checkpoint.unpack(GOOD[:length], "cut")


@settings(max_examples=500)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_is_read(place: int, mask: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= mask
    with pytest.raises(ValueError, match="flipped"):
        checkpoint.unpack(bytes(data), "flipped")


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_no_other_bytes_are_read(data: bytes) -> None:
    with pytest.raises(ValueError, match="foreign"):
        checkpoint.unpack(data, "foreign")


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


def test_every_option_of_a_sampler_returns(tmp_path: Path) -> None:
    """Options that did not enter the file would change results without a word."""
    path, file = lt.AnnealingPath(MODELS["ising"]), tmp_path / "s.safetensors"
    jump = lt.Jump(4, reversible="barker", scale=0.5, max_events=5000)
    before = lt.Sampler(
        path,
        None,
        jump,
        lt.Metropolis(sweeps=2),
        resample_below=0.9,
        resampling="residual",
        block=16,
        device="cpu",
    )
    lt.save(before, file)
    after = lt.load(file, device="cpu")
    one, two = before.sample(32, seed=1), after.sample(32, seed=1)
    assert torch.equal(one.configurations, two.configurations)
    assert torch.equal(one.log_weights, two.log_weights)
    assert bool(one.resamplings.any())


MOVES: dict[str, Any] = {
    "HeatBath": lt.HeatBath(2, backward=True),
    "Metropolis": lt.Metropolis(3),
    "Overrelaxation": lt.Overrelaxation(2),
    "SwendsenWang": lt.SwendsenWang(2),
    "Wolff": lt.Wolff(3),
    "KineticMonteCarlo": lt.KineticMonteCarlo(0.5, "square_root", max_events=5000),
    "KineticMonteCarlo by default": lt.KineticMonteCarlo(),
    "Compose": lt.Compose(lt.HeatBath(2), lt.Compose(lt.Wolff(), lt.Metropolis())),
}


@pytest.mark.parametrize("mcmc", MOVES.values(), ids=MOVES)
def test_every_move_returns(mcmc: Any, tmp_path: Path) -> None:
    path = lt.AnnealingPath(lt.Clock((2, 3), q=4, beta=0.5))
    sampler = lt.Sampler(path, None, lt.Jump(2), mcmc, device="cpu")
    lt.save(sampler, tmp_path / "s.safetensors")
    assert lt.load(tmp_path / "s.safetensors", device="cpu").mcmc == sampler.mcmc


def test_a_move_is_stored_as_before() -> None:
    """Files of heat baths say what they always said, so that training that they began can go on."""
    path = lt.AnnealingPath(MODELS["ising"])
    contents = checkpoint.describe(lt.Sampler(path, None, mcmc=lt.HeatBath(3), device="cpu"))
    assert contents.manifest["mcmc"] == {"class": "HeatBath", "sweeps": 3}


def test_the_rest_of_a_move_is_always_stored() -> None:
    """The default too, which may change; without it a file means 0, and says so when it is read."""
    metropolis = parts.describe_move(lt.Metropolis(packed=False))
    assert metropolis == {"class": "Metropolis", "sweeps": 1, "rest": 0.125}
    wolff = parts.describe_move(lt.Wolff(2, rest=0.0))
    assert wolff == {"class": "Wolff", "clusters": 2, "rest": 0.0}
    for move in (lt.Metropolis(), lt.Wolff()):
        assert f"rest={move.rest}" in repr(move)
        assert parts.rebuild_move(parts.describe_move(move)) == move


def test_a_move_without_its_rest_is_one_of_an_earlier_version() -> None:
    old: Any = {"class": "ParallelTempering", "fractions": [0.5, 1.0]}
    old["kernel"] = {"class": "Metropolis", "sweeps": 2, "backward": True}
    before = json.dumps(old)
    message = "a file of an earlier version has no rest of Metropolis, goes on as before, and may"
    with pytest.warns(lt.NotErgodicWarning, match=message) as said:
        move = parts.rebuild_move(old)
    assert len(said) == 1 and "take rest=0.125" in str(said[0].message)
    inner = lt.Metropolis(2, backward=True, rest=0.0, packed=False)
    assert move == lt.ParallelTempering([0.5, 1.0], inner)
    # As one description it is that of the move which goes on with it.
    model = {"class": "Ising"}
    for key in ("kernel", "mcmc"):
        whole = parts.completed(Contents({"model": model, key: old}, {}))
        assert whole.manifest == {"model": model, key: parts.describe_move(move)}
    assert json.dumps(old) == before


def test_training_of_an_earlier_version_goes_on_without_a_rest(tmp_path: Path) -> None:
    """And names the rest to whom it is not the same."""
    path, file = lt.AnnealingPath(MODELS["ising"]), tmp_path / "t.safetensors"

    def trainer(rest: float) -> lt.Trainer:
        network = lt.LocalRates(path.model)
        move = lt.Metropolis(2, rest=rest)
        sampler = lt.Sampler(path, network, lt.Jump(2), move, block=4, device="cpu")
        config = lt.TrainingConfig(steps=2, times=2, walkers=4, buffer=8, rollout=4)
        return lt.Trainer(sampler, config)

    trainer(0.0).save(file)
    contents = checkpoint.read(file)
    del contents.manifest["mcmc"]["rest"]
    checkpoint.write(file, contents)
    trainer(0.0).resume(file)
    with pytest.raises(ValueError, match=r"mcmc.rest 0.0 \(now 0.125\); use the same"):
        trainer(0.125).resume(file)


class _MyMove(lt.HeatBath):
    pass


def test_moves_that_are_not_registered_are_refused(tmp_path: Path) -> None:
    path = lt.AnnealingPath(MODELS["ising"])
    for kernel in (_MyMove(), lt.Compose(lt.HeatBath(), _MyMove())):
        with pytest.raises(
            ValueError, match=r"move must be one of .*HeatBath, .*got _MyMove; put @lt"
        ):
            lt.save(lt.Sampler(path, None, mcmc=kernel, device="cpu"), tmp_path / "s.safetensors")
    assert os.listdir(tmp_path) == []
