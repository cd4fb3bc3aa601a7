"""Scans in files: stopped at any part they go on to the same numbers, and read back the same."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import leaps_triton as lt
from leaps_triton.io import chains, hdf5, weighted

MODEL = lt.EdwardsAnderson((3, 2), beta=0.5, seed=1)
BETAS = [0.0, 0.1, 0.3, 0.5]
OPTIONS: dict[str, dict[str, Any]] = {
    "chains": {"walkers": 4, "sweeps": 30, "every": 10, "seed": 1},
    "tempering": {
        "walkers": 4,
        "sweeps": 30,
        "every": 10,
        "move": lt.Compose(lt.HeatBath(), lt.Houdayer()),
    },
    "annealing": {"walkers": 2500, "intervals": 4},
}


class Stopped(Exception):
    """What stops a scan in its middle."""


def stop_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a scan write so many parts, and then fail."""
    left = parts

    def written(*args: Any, **options: Any) -> None:
        nonlocal left
        if left == 0:
            raise Stopped
        left -= 1
        hdf5.write(*args, **options)

    monkeypatch.setattr(chains, "write", written)
    monkeypatch.setattr(weighted, "write", written)


@pytest.mark.filterwarnings("ignore:at beta = .* draws a walker are fewer")
@pytest.mark.parametrize("method", list(OPTIONS))
def test_a_stopped_scan_goes_on_to_the_same_numbers(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**OPTIONS[method], "device": "cpu", "observables": ["energy", "specific_heat"]}
    options["method"] = method
    whole = lt.io.scan(MODEL, BETAS, tmp_path / "whole.h5", **options)
    file = tmp_path / "part.h5"
    with monkeypatch.context() as patched:
        stop_after(2, patched)
        with pytest.raises(Stopped):
            lt.io.scan(MODEL, BETAS, file, **options)
    # What is done can be read, at every temperature.
    half = lt.io.read(file)
    assert not half.complete and len(half.by_beta) == len(BETAS)
    assert lt.io.read_scan(file).betas == pytest.approx(BETAS)
    with pytest.raises(ValueError, match="exists; go on with it by resume"):
        lt.io.scan(MODEL, BETAS, file, **options)
    with pytest.raises(ValueError, match="was made with other settings"):
        lt.io.scan(MODEL, [*BETAS[:-1], 0.7], file, resume=True, **options)
    again = lt.io.scan(MODEL, BETAS, file, resume=True, **options)
    stored = lt.io.read_scan(file)
    memory = {name: value for name, value in options.items() if name != "every"}
    alone = lt.scan(MODEL, BETAS, **memory)
    table = {name: np.asarray(column) for name, column in whole.table().items()}
    for found in (again, stored, alone):
        assert found.method == method
        for name, column in found.table().items():
            np.testing.assert_array_equal(np.asarray(column), table[name])


def test_readers_without_the_library_find_the_temperatures(tmp_path: Path) -> None:
    options: dict[str, Any] = {"device": "cpu", "observables": ["energy", "specific_heat"]}
    lt.io.scan(MODEL, BETAS, tmp_path / "c.h5", walkers=2, sweeps=6, **options)
    lt.io.scan(MODEL, BETAS, tmp_path / "a.h5", "annealing", walkers=5, intervals=3, **options)
    with h5py.File(tmp_path / "c.h5") as file:
        energies = file["observables/energy_at_betas"]
        assert energies.shape == (2, 6, 4)
        np.testing.assert_allclose(energies.attrs["betas"], BETAS)
        assert file["observables/specific_heat_at_betas"].shape == (2, 6, 4, 2)
    with h5py.File(tmp_path / "a.h5") as file:
        for name, shape in (("log_weights", ()), ("observables/specific_heat", (2,))):
            dataset = file[f"along/{name}"]
            assert dataset.shape == (5, 4, *shape)
            np.testing.assert_allclose(dataset.attrs["betas"], BETAS)


def test_chains_of_a_scan_grow(tmp_path: Path) -> None:
    options: dict[str, Any] = {"walkers": 2, "burn_in": 2, "every": 4, "device": "cpu"}
    lt.io.scan(MODEL, BETAS, tmp_path / "s.h5", sweeps=6, **options)
    grown = lt.io.scan(MODEL, BETAS, tmp_path / "s.h5", sweeps=10, resume=True, **options)
    whole = lt.scan(MODEL, BETAS, walkers=2, burn_in=2, sweeps=10, device="cpu")
    for one, other in zip(grown.runs, whole.runs, strict=True):
        for name, values in one.values.items():
            np.testing.assert_array_equal(values, other.values[name])


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
def test_weighted_walkers_in_a_file_are_measured_along_the_path(tmp_path: Path) -> None:
    path = lt.AnnealingPath(MODEL)
    sampler = lt.Sampler(path, None, lt.Jump(4), lt.HeatBath(), device="cpu", block=16)
    run = lt.io.sample(sampler, 40, tmp_path / "w.h5", seed=1, along=True)
    same = sampler.sample(40, seed=1, along=True)
    assert len(run.by_beta) == 6
    for one, other in zip(run.by_beta, same.by_beta, strict=True):
        assert one.model.beta == other.model.beta
        assert one.log_z == other.log_z and one.estimate("binder") == other.estimate("binder")


def test_a_file_of_one_temperature_is_no_scan(tmp_path: Path) -> None:
    lt.io.run_chain(MODEL, lt.HeatBath(), 2, 5, tmp_path / "c.h5", device="cpu")
    with pytest.raises(ValueError, match=r"c.h5 holds a single temperature, beta = 0.5"):
        lt.io.read_scan(tmp_path / "c.h5")
