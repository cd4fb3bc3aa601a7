"""Densities by their names on the command line: chains, weighted walkers, tables, refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton.cli.main import main
from leaps_triton.cli.targets.densities import DENSITIES

CPU = ["--device", "cpu"]
# Sampling is tested elsewhere; here short runs say so.
pytestmark = pytest.mark.filterwarnings("ignore::leaps_triton.estimators.CautionWarning")


@pytest.mark.parametrize("name", DENSITIES)
def test_every_name_is_a_density_with_a_path(name: str) -> None:
    named = DENSITIES[name]
    options: dict[str, Any] = {}
    if name == "laplace":
        options["separation"] = 8.0
    model = named.make(**options)
    path = lt.AnnealingPath(model, start=named.start)
    drawn = path.start.sample(model.sample(4).new_zeros(4).long(), 0)
    assert drawn.shape == (4, model.dim)
    assert model.log_z is not None


def test_a_chain_of_a_density(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "chain.h5"
    given = ["chain", "--model", "two_modes", "--separation", "1", "--walkers", "8", "--thin", "1"]
    move = ["--move", "hmc:step=0.5", "--output", str(file), *CPU]
    main([*given, *move, "--sweeps", "20", "--json", str(tmp_path / "c.json")])
    main([*given, *move, "--sweeps", "30", "--resume"])
    text = capsys.readouterr().out
    assert "energy / coordinate" in text and "check ⟨x ∂H/∂x⟩" in text
    assert "/ site" not in text
    assert json.loads((tmp_path / "c.json").read_text())["config"]["beta"] is None
    main(["measure", str(file)])
    main(["info", str(file)])
    text = capsys.readouterr().out
    assert "energy / coordinate" in text and "/ site" not in text
    assert "GaussianMixture" in text
    found: Any = lt.io.read(file)
    assert found.model.dim == 1


def test_weighted_walkers_of_a_density(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "walkers.h5"
    given = ["sample", "--model", "many-well", "--dim", "4", "--intervals", "5", "--leapfrogs", "1"]
    more = ["--walkers", "64", "--output", str(file), *CPU]
    main([*given, *more])
    main([*given, "--walkers", "1088", "--resume", *more[2:]])
    main(["measure", str(file)])
    main(["info", str(file)])
    text = capsys.readouterr().out
    assert "log Z" in text and "20.58696" in text and "energy / coordinate" in text
    assert "/ site" not in text and "trajectories are accepted with probability" in text
    run: Any = lt.io.read(file)
    assert run.model.dim == 4 and len(run.log_weights) == 1088
    # Beyond 5 sigma by chance in 6e-7 of all seeds, were errors normal.
    assert abs(run.log_z - run.model.log_z) < 5.0 * run.log_z_error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("chain --model gmm9 --beta 0.4", "--beta is no option of --model gmm9"),
        ("chain --model gmm9 --dim 3", "--dim is no option of --model gmm9"),
        ("chain --model gmm9 --shape 4x4", "--model gmm9 has no --shape"),
        ("chain --model gmm9 --quartic 2", "--quartic is no option of --model gmm9"),
        ("chain --dim 3", "--dim is no option of --model ising"),
        ("chain --model gmm8", "choose from .*gmm9"),
        ("chain --model gmm9 --move parallel-tempering:betas=0.5/1", "fractions="),
        ("scan --model gmm9", "--model gmm9 is a density, which scan does not take"),
        ("sample --model ising", "must be a density, gmm9, .*, got 'ising'"),
        ("sample --model gmm9 --zoo ising-16", "give one of CHECKPOINT"),
        ("sample --model gmm9 --beta 1", "--beta is no option of --model gmm9"),
        ("sample --zoo ising-16 --dim 3", "--dim goes with --model alone"),
    ],
)
def test_what_densities_have_not_is_refused(words: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=message):
        main([*words.split(), "--output", str(tmp_path / "result"), *CPU])


def test_training_by_its_name_is_refused(tmp_path: Path) -> None:
    given = ["train", "--model", "gmm9", "--checkpoint", str(tmp_path / "a.safetensors"), *CPU]
    with pytest.raises(SystemExit, match="is a density, which train does not take"):
        main(given)
