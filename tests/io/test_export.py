"""ArviZ, pyerrors and NumPy get the values of a run, and pyerrors finds the same errors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import leaps_triton as lt
from leaps_triton import export, io

pytest.importorskip("arviz_base")
pytest.importorskip("pyerrors")

MODEL = lt.Potts((3, 3), 3, 0.6, field=[0.3, 0.0, -0.2])
NAMES = ["energy", "binder", "correlation"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> io.ChainRun:
    file = tmp_path_factory.mktemp("chain") / "r.h5"
    return io.run_chain(
        MODEL,
        lt.HeatBath(),
        5,
        300,
        file,
        observables=NAMES,
        configurations=True,
        seed=2,
        device="cpu",
    )


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> io.Run:
    ais = lt.Sampler(lt.AnnealingPath(MODEL), None, lt.Jump(25), lt.HeatBath(), device="cpu")
    return io.sample(
        ais,
        400,
        tmp_path_factory.mktemp("weighted") / "r.h5",
        observables=NAMES,
        configurations=True,
    )


def test_npz_of_a_chain(chain: io.ChainRun, tmp_path: Path) -> None:
    export.to_npz(chain, tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as data:
        assert set(data) == {*NAMES, "configurations", "manifest"}
        for name in NAMES:
            assert np.array_equal(data[name], chain.values[name].numpy())
        assert data["configurations"].shape == (5, 300, 3, 3)
        assert json.loads(str(data["manifest"])) == chain.manifest


def test_npz_of_weighted_walkers(weighted: io.Run, tmp_path: Path) -> None:
    export.to_npz(weighted, tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as data:
        assert set(data) == {*NAMES, "log_weights", "configurations", "manifest"}
        share = np.exp(data["log_weights"] - data["log_weights"].max())
        mean = float((share * data["energy"]).sum() / share.sum())
    assert mean == pytest.approx(weighted.estimate("energy").value, rel=1e-12)


def test_arviz_has_walkers_as_chains(chain: io.ChainRun, weighted: io.Run) -> None:
    tree = export.to_arviz(chain)
    posterior = tree["posterior"]
    assert posterior["energy"].dims == ("chain", "draw") and posterior["binder"].shape == (
        5,
        300,
        2,
    )
    for name in NAMES:
        assert np.array_equal(posterior[name].values, chain.values[name].numpy())
    assert tree.attrs["beta"] == 0.6 and json.loads(tree.attrs["manifest"]) == chain.manifest
    wrong: Any = weighted
    with pytest.raises(
        ValueError, match="draws of equal weight, so a chain, got Run; use to_pyerrors"
    ):
        export.to_arviz(wrong)


@pytest.mark.parametrize("name", ["energy", "binder"])
def test_pyerrors_finds_the_error_of_a_chain(name: str, chain: io.ChainRun) -> None:
    theirs, ours = export.to_pyerrors(chain, name), chain.estimate(name)
    theirs.gamma_method(S=1.5)
    assert theirs.value == pytest.approx(ours.value, rel=1e-12)
    assert theirs.dvalue == pytest.approx(ours.error, rel=1e-9)
    (name,) = theirs.e_names
    assert name.startswith("Potts beta 0.6 run ") and theirs.e_windowsize[name] == ours.window


def test_pyerrors_gets_pairs_that_exchange_clusters_as_one(tmp_path: Path) -> None:
    glass, moves = lt.EdwardsAnderson((4, 4), 0.9, seed=1), lt.Compose(lt.HeatBath(), lt.Houdayer())
    made = io.run_chain(
        glass, moves, 6, 1000, tmp_path / "r.h5", observables=["abs_magnetization"], device="cpu"
    )
    paired = io.read(tmp_path / "r.h5")
    assert isinstance(paired, io.ChainRun) and paired.together == made.together == 2
    theirs, ours = (
        export.to_pyerrors(paired, "abs_magnetization"),
        made.estimate("abs_magnetization"),
    )
    theirs.gamma_method(S=1.5)
    assert theirs.value == pytest.approx(ours.value, rel=1e-12)
    assert theirs.dvalue == pytest.approx(ours.error, rel=1e-9)
    assert len(theirs.names) == 3 and export.to_arviz(paired).attrs["together"] == 2


@pytest.mark.parametrize("name", ["overlap", "energy"])
def test_pairs_are_exported_apart_from_walkers(name: str) -> None:
    glass = lt.EdwardsAnderson((3, 3), 0.5, seed=1)
    made = lt.run_chain(
        glass, lt.HeatBath(), 6, 1000, observables=["energy", "overlap"], device="cpu"
    )
    tree = export.to_arviz(made)
    group = tree["pairs" if name == "overlap" else "posterior"]
    assert list(group.data_vars) == [name] and np.array_equal(
        group[name].values, made.values[name].numpy()
    )
    theirs, ours = export.to_pyerrors(made, name), made.estimate(name)
    theirs.gamma_method(S=1.5)
    assert (theirs.value, theirs.dvalue) == pytest.approx((ours.value, ours.error), rel=1e-9)


def test_pyerrors_takes_a_function_of_means(chain: io.ChainRun) -> None:
    theirs = export.to_pyerrors(chain, "correlation", lambda means: means[1] / means[0])
    theirs.gamma_method(S=1.5)
    ours = chain.estimate("correlation", lambda means: means[1] / means[0])
    assert (theirs.value, theirs.dvalue) == pytest.approx((ours.value, ours.error), rel=1e-9)


@pytest.mark.parametrize("name", ["energy", "binder"])
def test_pyerrors_finds_the_error_of_weighted_walkers(name: str, weighted: io.Run) -> None:
    """Linear error propagation and the jackknife agree to order 1/walkers."""
    theirs, ours = export.to_pyerrors(weighted, name), weighted.estimate(name)
    theirs.gamma_method(S=0)
    assert theirs.value == pytest.approx(ours.value, rel=1e-12)
    assert theirs.dvalue == pytest.approx(ours.error, rel=0.02)


def test_what_is_not_there_is_named(chain: io.ChainRun) -> None:
    with pytest.raises(
        ValueError, match="must be one of energy, binder, correlation, got 'susceptibility'"
    ):
        export.to_pyerrors(chain, "susceptibility")
    with pytest.raises(ValueError, match="correlation has 2 means; give function="):
        export.to_pyerrors(chain, "correlation")


def test_a_missing_package_is_named(chain: io.ChainRun, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, words in (
        ("arviz_base", r"arviz-base; .*leaps_triton\[arviz\]"),
        ("pyerrors", r"pyerrors; .*\[pyerr"),
    ):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        with pytest.raises(ImportError, match=words):
            export.to_arviz(chain) if package == "arviz_base" else export.to_pyerrors(
                chain, "energy"
            )


def test_a_chain_of_memory_can_be_exported(tmp_path: Path) -> None:
    memory = lt.run_chain(MODEL, lt.HeatBath(), 2, 20, observables=["energy"], device="cpu")
    export.to_npz(memory, tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as data:
        assert set(data) == {"energy"}
    assert torch.equal(
        torch.from_numpy(export.to_arviz(memory)["posterior"]["energy"].values),
        memory.values["energy"],
    )


def test_other_runs_are_other_ensembles_for_pyerrors() -> None:
    def names(run: Any, observable: str = "energy") -> list[str]:
        return list(lt.export.to_pyerrors(run, observable).e_names)

    def chain(length: int = 3, seed: int = 0, thin: int = 1, coupling: float = 1.0) -> lt.Chain:
        model = lt.Ising((length, 3), beta=0.4, coupling=coupling)
        return lt.run_chain(model, lt.HeatBath(), 2, 20 * thin, thin, seed, device="cpu")

    one = chain()
    assert names(one) == names(chain()) == names(one, "abs_magnetization")
    others = [
        names(other)[0] for other in (chain(4), chain(seed=1), chain(thin=2), chain(coupling=0.5))
    ]
    assert len({*others, *names(one)}) == 5


def test_names_that_archives_have_for_themselves_are_refused(tmp_path: Path) -> None:
    model, name = lt.Ising((3, 3), 0.3), "file"
    chain = lt.run_chain(
        model, lt.HeatBath(), 2, 5, observables={name: lt.observables.energy}, device="cpu"
    )
    with pytest.raises(ValueError, match="names other than configurations, manifest and file"):
        lt.export.to_npz(chain, tmp_path / "x.npz")
