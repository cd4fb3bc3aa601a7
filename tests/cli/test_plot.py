"""Figures of files: what is drawn, kinds by ending, panels alone, why one is left out."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton import cli
from leaps_triton.io.results import walk
from leaps_triton.report import by_temperature
from leaps_triton.report.figures import of_largest

STARTS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("runs")
    found = []
    for beta in (0.3, 0.5):
        file = folder / f"c{beta}.h5"
        lt.io.run_chain(lt.Ising((2, 3), beta), lt.HeatBath(), 4, 40, file, device="cpu")
        found.append(str(file))
    return found


@pytest.mark.parametrize("ending", STARTS)
def test_a_figure_is_of_the_kind_that_its_name_says(
    ending: str, files: list[str], tmp_path: Path
) -> None:
    file = tmp_path / f"snaps{ending}"
    cli.main(["plot", *files, "--only", "snapshots", "--output", str(file)])
    assert file.read_bytes().startswith(STARTS[ending])
    cli.main(["plot", *files, "--only", "snapshots", "--output", str(tmp_path), "--format", "svg"])
    assert (tmp_path / "snapshots.svg").read_bytes().startswith(STARTS[".svg"])


def test_panels_are_files_of_their_own(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Exact curves of few points, which take less time.
    monkeypatch.setattr(by_temperature, "_POINTS", 3)
    where = ["--output", str(tmp_path / "all.pdf"), "--dpi", "40"]
    cli.main(["plot", *files, "--only", "observables", "snapshots", "--separate", *where])
    names = {f"all-observables-{name}.pdf" for name in lt.io.OBSERVABLES}
    assert {file.name for file in tmp_path.iterdir()} == {*names, "all-snapshots.pdf"}


def test_what_is_left_out_is_told_with_the_reason(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--output", str(tmp_path), "--dpi", "40"]
    cli.main(["plot", files[0], *where])
    printed = capsys.readouterr().out
    assert "observables: left out, all files are of one temperature, β = 0.3; leaps" in printed
    assert "weights: left out, it takes a file of weighted walkers" in printed
    # By name it is drawn all the same.
    cli.main(["plot", files[0], "--only", "observables", *where])
    assert (tmp_path / "observables.png").exists()


def test_a_kind_that_no_figure_has_is_refused_before_the_work(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"a figure must end in \.png, \.pdf or \.svg, got d\.tx"):
        cli.main(["demo", "--figure", "d.txt"])
    both = ["--output", "x.pdf", "--format", "svg"]
    with pytest.raises(SystemExit, match=r"give --format for a folder alone, and not for the file"):
        cli.main(["plot", *files, *both])
    assert not list(tmp_path.iterdir())


def test_plot_draws_what_the_files_allow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for length in (3, 4):
        for beta in (0.3, 0.5):
            model, file = lt.Ising((length, 3), beta), tmp_path / f"c{length}_{beta}.h5"
            lt.io.run_chain(
                model, lt.HeatBath(), 4, 40, file, device="cpu", configurations=length == 3
            )
            files.append(str(file))
    sampler = lt.Sampler(
        lt.AnnealingPath(model), None, lt.Jump(3), lt.HeatBath(), block=40, device="cpu"
    )
    lt.io.sample(sampler, 40, tmp_path / "w.h5")
    (tmp_path / "all").mkdir()
    where = ["--output", str(tmp_path / "all"), "--json", str(tmp_path / "plot.json")]
    cli.main(["plot", *files, str(tmp_path / "w.h5"), *where, "--dpi", "40"])
    drawn = json.loads((tmp_path / "plot.json").read_text())
    assert set(drawn["figures"].values()) == {file.name for file in (tmp_path / "all").iterdir()}
    assert drawn["files"][-1] == "w.h5"
    names = {
        "observables",
        "correlation",
        "autocorrelation",
        "weights",
        "overlaps",
        "binder",
        "snapshots",
    }
    assert {file.name for file in (tmp_path / "all").iterdir()} == {
        "annealing.gif",
        *(f"{name}.png" for name in names),
    }
    printed = capsys.readouterr().out
    assert all(f"{name}: " in printed for name in names)
    (tmp_path / "few").mkdir()
    few = ["plot", str(tmp_path / "w.h5"), "--output", str(tmp_path / "few"), "--dpi", "40"]
    cli.main(few)
    # The walkers on their way are those of the run itself, drawn again from its seed.
    assert {file.name for file in (tmp_path / "few").iterdir()} == {"weights.png", "annealing.gif"}
    for name in ("binder", "autocorrelation", "overlaps", "snapshots", "correlation"):
        with pytest.raises(SystemExit, match=f"no data for the figure {name}: it takes"):
            cli.main([*few, "--only", name])


def test_curves_of_runs_have_their_temperatures() -> None:
    """Those on the largest lattice, cold ones first."""
    runs = {
        name: lt.run_chain(lt.Ising(shape, beta), lt.HeatBath(), 2, 4, thin=1, device="cpu")
        for name, shape, beta in (
            ("hot", (3, 3), 0.0),
            ("cold", (3, 3), 0.5),
            ("small", (2, 3), 0.5),
        )
    }
    drawn, models = of_largest(runs)
    assert drawn == {"cold, T = 2": runs["cold"], "hot, T = inf": runs["hot"]}
    assert models == "Ising, 3 × 3"


@pytest.mark.parametrize("mcmc", [None, lt.HeatBath()], ids=["apart", "together"])
def test_the_animation_ends_at_the_walkers_of_the_run(mcmc: Any, tmp_path: Path) -> None:
    model = lt.Ising((3, 3), 0.5)
    integrator = lt.Jump(7, reversible="barker")
    sampler = lt.Sampler(lt.AnnealingPath(model), None, integrator, mcmc, block=8, device="cpu")
    times, frames = walk(sampler, 3, 6, 60)
    assert len(times) == len(frames) == 8 and (times[0], times[-1]) == (0.0, 1.0)
    ensemble = sampler.sample(6, seed=3)
    assert (frames[-1] == ensemble.configurations).all()
    assert (frames[0] == sampler.path.start.sample(torch.arange(6), 3)).all()
