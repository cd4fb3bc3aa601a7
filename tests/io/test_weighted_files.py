"""Runs in HDF5 equal samples in memory, go on where they stopped, and show damage."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import leaps_triton as lt
from helpers import random_network
from leaps_triton import io

ROOT = Path(__file__).parents[2]
MODELS: dict[str, Any] = {
    "ising": lt.Ising((3, 4), beta=0.3, field=0.2),
    "clock": lt.Clock((3, 3), q=3, beta=0.5),
}


def ais(model: Any = MODELS["ising"], block: int = 64) -> lt.Sampler:
    return lt.Sampler(
        lt.AnnealingPath(model), None, lt.Jump(3), lt.HeatBath(), block=block, device="cpu"
    )


def read(file: Path) -> io.Run:
    run = io.read(file)
    assert isinstance(run, io.Run)
    return run


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
@pytest.mark.parametrize("name", MODELS)
def test_a_file_holds_what_a_sample_in_memory_does(name: str, tmp_path: Path) -> None:
    model = MODELS[name]
    sampler = lt.Sampler(
        lt.AnnealingPath(model), random_network(model), lt.Jump(3), block=64, device="cpu"
    )
    names = ("energy", "susceptibility", "magnetization_squared")
    run = io.sample(sampler, 150, tmp_path / "r.h5", seed=4, observables=names, configurations=True)
    ensemble = sampler.sample(150, seed=4)
    assert run.complete
    assert torch.equal(run.log_weights, ensemble.log_weights)
    assert run.configurations is not None
    assert torch.equal(run.configurations, ensemble.configurations)
    assert (run.log_z, run.log_z_error, run.ess) == (
        ensemble.log_z,
        ensemble.log_z_error,
        ensemble.ess,
    )
    assert run.log_weight_variance == ensemble.log_weight_variance
    assert run.evaluations == pytest.approx(ensemble.evaluations, rel=1e-14)
    assert tuple(run.observables) == names
    for each in names:
        assert run.estimate(each) == pytest.approx(
            ensemble.estimate(getattr(lt.observables, each)), rel=1e-12
        )
    assert run.model.q == model.q
    assert os.listdir(tmp_path) == ["r.h5"]


def test_other_programs_can_read_the_file(tmp_path: Path) -> None:
    io.sample(ais(), 100, tmp_path / "r.h5", seed=4)
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["log_weights"].shape == (100,)
        assert file["observables/susceptibility"].shape == (100, 3)
        assert "configurations" not in file
        manifest = json.loads(file.attrs["manifest"])
    assert manifest["run"] == {
        "walkers": 100,
        "seed": 4,
        "observables": list(io.OBSERVABLES),
        "configurations": False,
        "device": "cpu",
    }
    assert set(manifest["provenance"]) == {"leaps_triton", "torch", "triton", "python", "commit"}
    assert str(tmp_path) not in json.dumps(manifest)


class _Stopped(Exception):
    pass


def stop_after(sampler: lt.Sampler, blocks: int) -> None:
    sample, count = sampler.sample, iter(range(blocks))

    def stopping(*arguments: Any, **options: Any) -> lt.WeightedEnsemble:
        if next(count, None) is None:
            raise _Stopped
        return sample(*arguments, **options)

    sampler.sample = stopping  # type: ignore[method-assign]


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_a_stopped_run_is_readable_and_goes_on_to_the_same_file(
    blocks: int, tmp_path: Path
) -> None:
    whole, halves, sampler = tmp_path / "whole.h5", tmp_path / "halves.h5", ais()
    io.sample(ais(), 230, whole, seed=1, configurations=True)
    stop_after(sampler, blocks)
    with pytest.raises(_Stopped):
        io.sample(sampler, 230, halves, seed=1, configurations=True)
    part = read(halves)
    assert not part.complete
    assert torch.equal(part.log_weights, read(whole).log_weights[: 64 * blocks])
    run = io.sample(ais(), 230, halves, seed=1, configurations=True, resume=True)
    assert run.complete
    assert halves.read_bytes() == whole.read_bytes()
    io.sample(ais(), 230, halves, seed=1, configurations=True, resume=True)
    assert halves.read_bytes() == whole.read_bytes()


def test_a_block_without_its_digest_is_drawn_again(tmp_path: Path) -> None:
    """The state between the two writes of a block."""
    file = tmp_path / "r.h5"
    whole = io.sample(ais(), 150, file)
    with h5py.File(file, "r+") as out:
        out["digests"][1:] = 0
        out["log_weights"][100] = 7.0
    assert len(read(file).log_weights) == 64
    assert torch.equal(io.sample(ais(), 150, file, resume=True).log_weights, whole.log_weights)


@pytest.mark.parametrize("before", [30, 100, 150, 230])
def test_a_finished_run_grows_to_the_same_file(before: int, tmp_path: Path) -> None:
    whole = tmp_path / "whole.h5"
    grown = tmp_path / "grown.h5"
    io.sample(ais(), 230, whole, seed=1, configurations=True)
    io.sample(ais(), before, grown, seed=1, configurations=True)
    run = io.sample(ais(), 230, grown, seed=1, configurations=True, resume=True)
    assert len(run.log_weights) == 230
    assert grown.read_bytes() == whole.read_bytes()
    with pytest.raises(ValueError, match=r"run\.walkers 230 \(now 200\)"):
        io.sample(ais(), 200, grown, seed=1, configurations=True, resume=True)


def test_a_file_of_another_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.h5"
    io.sample(ais(), 100, file)
    with pytest.raises(ValueError, match=r"r.h5 exists; go on with it by resume"):
        io.sample(ais(), 100, file)
    message = (
        r"model.beta 0.3 \(now 0.4\); run.walkers 100 \(now 80\); run.seed 0 \(now 1\); "
        r"use the same"
    )
    with pytest.raises(ValueError, match=message):
        io.sample(ais(lt.Ising((3, 4), beta=0.4, field=0.2)), 80, file, seed=1, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"walkers": 0}, "walkers must be an integer from 1"),
        ({"walkers": 2.5}, "walkers must be"),
        ({"seed": -1}, "seed must be an integer"),
        ({"observables": ["spin"]}, "observables must be names .* got 'spin'"),
        ({"observables": ["of_means"]}, "observables must be names"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        io.sample(ais(), **{"walkers": 10, "file": tmp_path / "r.h5", **options})
    assert os.listdir(tmp_path) == []


def test_an_observable_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = io.sample(ais(), 64, tmp_path / "r.h5", observables=["energy"])
    with pytest.raises(ValueError, match="must be one of energy, got 'binder'"):
        run.estimate("binder")


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.h5"
    with pytest.raises(FileNotFoundError):
        read(file)
    for data in (b"", b"text", b"\x89HDF\r\n\x1a\n" + b"\0" * 100):
        file.write_bytes(data)
        with pytest.raises(
            ValueError, match=r"x\.h5 is no HDF5 file of leaps_triton, or is damaged"
        ):
            read(file)
    with h5py.File(file, "w") as out:
        out["log_weights"] = [1.0]
    with pytest.raises(ValueError, match=r"x\.h5 is no HDF5 file of leaps_triton"):
        read(file)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, io.Run]:
    folder = tmp_path_factory.mktemp("damaged")
    run = io.sample(ais(), 100, folder / "good.h5", configurations=True)
    return folder / "bad.h5", (folder / "good.h5").read_bytes(), run


def same_or_refused(file: Path, data: bytes, good: io.Run) -> None:
    file.write_bytes(data)
    try:
        run = read(file)
    except ValueError:
        return
    # Bytes that nobody reads may change; a digest that is gone leaves a shorter run.
    rows = len(run.log_weights)
    assert rows in (0, 64, 100)
    assert torch.equal(run.log_weights, good.log_weights[:rows])
    assert run.configurations is not None
    assert good.configurations is not None
    assert torch.equal(run.configurations, good.configurations[:rows])
    for name, values in run.observables.items():
        assert torch.equal(values, good.observables[name][:rows])
    assert run.manifest == good.manifest


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2**31), mask=st.integers(1, 255))
def test_a_changed_byte_is_found_or_harmless(
    good: tuple[Path, bytes, io.Run], place: int, mask: int
) -> None:
    file, whole, run = good
    data = bytearray(whole)
    data[place % len(data)] ^= mask
    same_or_refused(file, bytes(data), run)


@settings(max_examples=100)
@given(length=st.integers(0, 2**31))
def test_a_truncation_is_found(good: tuple[Path, bytes, io.Run], length: int) -> None:
    file, whole, _ = good
    file.write_bytes(whole[: length % len(whole)])
    with pytest.raises(ValueError, match=r"bad\.h5"):
        read(file)


SAMPLE = """
import sys, torch, leaps_triton as lt
torch.set_num_threads(1)
path = lt.AnnealingPath(lt.Ising((6, 6), 0.4))
sampler = lt.Sampler(path, None, lt.Jump(8), lt.HeatBath(), block=64, device="cpu")
lt.io.sample(sampler, 8000, sys.argv[1], configurations=True, resume=True)
"""


def test_kills_during_sampling_lose_at_most_a_block(tmp_path: Path) -> None:
    whole, file, chance = tmp_path / "whole.h5", tmp_path / "killed.h5", random.Random(0)
    command = [sys.executable, "-c", SAMPLE]
    subprocess.run([*command, str(whole)], check=True, cwd=ROOT)
    rows = [0]
    for _ in range(4):
        before = file.stat().st_mtime_ns if file.exists() else 0
        process = subprocess.Popen([*command, str(file)], cwd=ROOT)
        while process.poll() is None and (not file.exists() or file.stat().st_mtime_ns == before):
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.2))
        process.kill()
        process.wait()
        rows.append(len(read(file).log_weights))
        assert rows[-1] >= rows[-2]
    assert 0 < rows[-1] < 8000
    subprocess.run([*command, str(file)], check=True, cwd=ROOT)
    assert file.read_bytes() == whole.read_bytes()
