"""pandas and xarray get the numbers of a run, with names, dimensions and attributes."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton import export, io
from leaps_triton.report import measure

pytest.importorskip("pandas", reason="pandas is not installed: no DataFrame")
pytest.importorskip("xarray", reason="xarray is not installed: no Dataset")

MODEL = lt.Ising((3, 4), beta=0.3)
NAMES = ["energy", "binder", "correlation", "overlap"]
COLUMNS = ["value", "error", "tau", "tau_error", "exact", "pull"]


@pytest.fixture(scope="module")
def chain() -> lt.Chain:
    return lt.run_chain(
        MODEL,
        lt.HeatBath(),
        6,
        400,
        seed=3,
        observables=NAMES,
        keep_configurations=True,
        device="cpu",
    )


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> io.Run:
    ais = lt.Sampler(
        lt.AnnealingPath(MODEL), None, lt.Jump(10), lt.HeatBath(), block=100, device="cpu"
    )
    file = tmp_path_factory.mktemp("weighted") / "r.h5"
    return io.sample(ais, 300, file, seed=4, configurations=True)


def test_a_frame_of_a_chain_is_its_estimates(chain: lt.Chain) -> None:
    frame = export.to_frame(chain)
    assert list(frame.columns) == COLUMNS and frame.index.name == "name"
    assert list(frame.index) == ["energy", "binder", "overlap"]
    table = measure(chain, ["energy", "binder"])["observables"]
    for name, row in table.items():
        assert {column: frame.loc[name, column] for column in COLUMNS} == {
            column: row[column] for column in COLUMNS
        }
    # What has no exact value has no pull.
    assert np.isnan(frame.loc["overlap", ["exact", "pull"]].to_numpy(dtype=float)).all()
    attributes = {"model": repr(MODEL), "beta": 0.3, "seed": 3, "thin": 1, "together": 1}
    assert frame.attrs == {**attributes, "version": f"leaps_triton {lt.__version__}"}


def test_a_frame_of_weighted_walkers_begins_with_log_z(weighted: io.Run) -> None:
    frame = export.to_frame(weighted)
    assert list(frame.index) == ["log_z", *weighted.names]
    assert frame.loc["log_z", "value"] == weighted.log_z
    assert frame.loc["log_z", "exact"] == pytest.approx(float(lt.exact.log_z(MODEL)))
    # One in 10⁵ of good runs has a pull above 4.4.
    assert (frame["pull"].abs() < 4.4).all() and frame["tau"].isna().all()
    assert json.loads(frame.attrs["manifest"]) == weighted.manifest
    assert frame.attrs["seed"] == 4


def test_a_frame_of_memory_and_of_functions(weighted: io.Run) -> None:
    ensemble = weighted.sampler.sample(100, seed=1)
    assert list(export.to_frame(ensemble).index) == ["log_z", *lt.io.OBSERVABLES]

    def energy(configurations: Tensor, model: Any) -> Tensor:
        return torch.ones(len(configurations))

    frame = export.to_frame(ensemble, [energy, "abs_magnetization"])
    assert list(frame.index) == ["log_z", "energy", "abs_magnetization"]
    # It is another function of that name, whose exact value nobody knows.
    assert frame.loc["energy", "value"] == pytest.approx(1.0)
    assert np.isnan(frame.loc["energy", "exact"])
    assert not np.isnan(frame.loc["abs_magnetization", "exact"])


def test_a_dataset_of_a_chain_has_named_dimensions(chain: lt.Chain) -> None:
    data = export.to_xarray(chain)
    assert set(data.data_vars) == {*NAMES, "configurations"}
    assert data["energy"].dims == ("walker", "draw") and data["energy"].shape == (6, 400)
    assert data["correlation"].dims == ("walker", "draw", "correlation_component")
    assert data["overlap"].dims == ("pair", "draw") and data.sizes["pair"] == 3
    assert data["configurations"].dims == ("walker", "draw", "site_0", "site_1")
    assert data["configurations"].shape == (6, 400, 3, 4)
    for name in NAMES:
        assert np.array_equal(data[name].values, chain.values[name].numpy())
    assert data.attrs["model"] == repr(MODEL) and data.attrs["beta"] == 0.3
    assert data.attrs["seed"] == 3 and data.attrs["version"].startswith("leaps_triton ")


def test_a_dataset_of_weighted_walkers_weighs_as_the_run_does(weighted: io.Run) -> None:
    data = export.to_xarray(weighted)
    assert data["log_weights"].dims == ("walker",)
    assert data["configurations"].dims == ("walker", "site_0", "site_1")
    share = np.exp(data["log_weights"] - data["log_weights"].max())
    mean = float(data["energy"].weighted(share).mean("walker"))
    assert mean == pytest.approx(weighted.estimate("energy").value, rel=1e-12)
    # Numbers and strings, as netCDF keeps them.
    assert all(isinstance(value, str | float | int) for value in data.attrs.values())
    ensemble = weighted.sampler.sample(100, seed=1)
    assert set(export.to_xarray(ensemble).data_vars) == {"log_weights", "configurations"}


def test_a_chain_of_a_file_is_exported_too(tmp_path: Path) -> None:
    made = io.run_chain(MODEL, lt.HeatBath(), 2, 300, tmp_path / "c.h5", device="cpu")
    read = io.read(tmp_path / "c.h5")
    assert export.to_frame(read).equals(export.to_frame(made))
    assert json.loads(export.to_xarray(read).attrs["manifest"]) == made.manifest


def test_a_missing_package_and_names_taken_are_told(
    chain: lt.Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = lt.run_chain(
        MODEL, lt.HeatBath(), 2, 5, observables={"draw": lt.observables.energy}, device="cpu"
    )
    with pytest.raises(ValueError, match="names other than configurations, log_weights, walker"):
        export.to_xarray(named)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"the package pandas; .*'leaps_triton\[pandas\]'"):
        export.to_frame(chain)
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"the package xarray; .*'leaps_triton\[xarray\]'"):
        export.to_xarray(chain)
