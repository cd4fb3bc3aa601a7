"""Checkpoints of samplers: round trips bit for bit, files of earlier versions, damaged files."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_cases import MODELS, _square, sampler_of
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_tensors

import leaps_triton as lt
from helpers import SMALL, awake, random_network
from leaps_triton.io import checkpoint

ROOT = Path(__file__).parents[3]


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
