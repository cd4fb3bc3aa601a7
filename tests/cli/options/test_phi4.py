"""Fields on the command line: chains, scans and training, and options that they have not."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton.cli.main import main

FIELD = ["--model", "phi4", "--shape", "4x4", "--mass-squared", "-4", "--device", "cpu"]
CHAIN = ["chain", *FIELD, "--quartic", "8", "--walkers", "8", "--thin", "1"]
SCAN = ["scan", *FIELD, "--quartic", "7:9:3", "--walkers", "8", "--thin", "1"]
# Sampling is tested elsewhere; here short chains say so.
pytestmark = pytest.mark.filterwarnings("ignore::leaps_triton.estimators.CautionWarning")


def test_a_chain_prints_the_check_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole.h5"
    parts = tmp_path / "parts.h5"
    move = ["--move", "hmc:leapfrogs=2"]
    given = [*CHAIN, *move, "--observables", "energy", "--burn-in", "4"]
    main([*given, "--sweeps", "20", "--output", str(whole), "--json", str(tmp_path / "c.json")])
    text = capsys.readouterr().out
    assert "action / site" in text and "check ⟨φ ∂S/∂φ⟩" in text and "1.00000" in text
    table = json.loads((tmp_path / "c.json").read_text())
    assert list(table["observables"]) == ["energy", "schwinger_dyson"]
    assert table["config"]["beta"] is None and table["config"]["quartic"] == 8.0
    assert "trajectories are accepted with probability: 0." in text
    main(["info", str(whole)])
    assert "accepted" in capsys.readouterr().out
    main([*given, "--sweeps", "10", "--output", str(parts)])
    main([*given, "--sweeps", "20", "--output", str(parts), "--resume"])
    one: Any = lt.io.read(whole)
    two = lt.io.read(parts)
    assert one.model.quartic == 8.0 and one.move.leapfrogs == 2
    for name, values in one.values.items():
        assert values.equal(two.values[name])


def test_a_scan_makes_file_table_and_figure_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scan.h5"
    table = tmp_path / "scan.json"
    # A figure of all observables takes its time.
    given = [*SCAN, "--observables", "binder", "--output", str(file)]
    main([*given, "--sweeps", "12"])
    main([*given, "--sweeps", "24", "--resume", "--json", str(table)])
    text = capsys.readouterr().out
    assert "λ" in text and "check = 1" in text and file.with_suffix(".png").exists()
    found: Any = lt.io.read_scan(file)
    assert found.parameter == "quartic" and found.places == (7.0, 8.0, 9.0)
    assert found.result.draws == 24
    result = json.loads(table.read_text())
    assert result["quartic"] == [7.0, 8.0, 9.0] and result["parameter"] == "quartic"
    assert all(math.isfinite(each) for each in result["columns"]["field_fourth"]["value"])
    main(["info", str(file)])
    assert "3 values of quartic" in capsys.readouterr().out
    main(["plot", str(file), "--output", str(tmp_path)])
    assert "observables: " in capsys.readouterr().out


def test_a_drift_is_trained_and_sampled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "drift.safetensors"
    small = ["--channels", "2", "--width", "4", "--intervals", "3", "--held-out", "0"]
    few = ["--steps", "2", "--evaluate-every", "0"]
    main(["train", *FIELD, "--quartic", "8", *small, *few, "--checkpoint", str(file)])
    text = capsys.readouterr().out
    assert "ESS" in text and "next: leaps-triton sample" in text
    sampler = lt.load(file, "cpu")
    assert isinstance(sampler.transport, lt.HollowDrift)
    assert isinstance(sampler.integrator, lt.MapStep) and sampler.integrator.intervals == 3
    walkers = tmp_path / "walkers.h5"
    main(["sample", str(file), "--walkers", "64", "--output", str(walkers), "--device", "cpu"])
    assert "V ⟨M²⟩" in capsys.readouterr().out
    run = lt.io.read(walkers)
    assert list(run.values) == list(lt.observables.FIELD_OBSERVABLES)


def test_walkers_say_how_often_their_trajectories_are_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lt.AnnealingPath(lt.PhiFour((4, 4), mass_squared=-4.0, quartic=8.0))
    move = lt.HMC(leapfrogs=2, step=0.1, fourier=False)
    sampler = lt.Sampler(path, None, lt.MapStep(3), move, block=64, device="cpu")
    file = tmp_path / "ais.safetensors"
    lt.save(sampler, file)
    given = ["sample", str(file), "--walkers", "64", "--device", "cpu"]
    results = []
    for more in ([], ["--configurations"]):
        place = str(tmp_path / f"{len(more)}.h5")
        table = tmp_path / "table.json"
        main([*given, "--output", place, "--json", str(table), *more])
        assert "trajectories are accepted with probability" in capsys.readouterr().out
        results.append(json.loads(table.read_text())["acceptance"])
        main(["info", place])
        # Walkers that are not stored would have to be drawn again.
        assert ("accepted" in capsys.readouterr().out) == bool(more)
    # The walkers are the same in both, and so are the trajectories.
    assert results[0] == results[1] and 0.5 < results[0] < 1.0


SPINS = ["--shape", "4x4", "--device", "cpu"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["chain", *FIELD], "--model phi4 needs --quartic"),
        ([*CHAIN, "--beta", "0.4"], "--model phi4 has no --beta"),
        ([*CHAIN, "--field", "1"], "--field is no option of --model phi4"),
        ([*CHAIN, "--open-boundaries"], "--open-boundaries is no option of --model phi4"),
        (["chain", *SPINS, "--quartic", "8"], "--quartic is no option of --model ising"),
        ([*SCAN, "--beta", "0.3", "0.4"], "--model phi4 has no --beta"),
        (["scan", *FIELD, "--quartic", "8"], "scanned in one of its couplings"),
        (["scan", *FIELD], "scanned in one of its couplings"),
        ([*SCAN, "--method", "annealing", "--thin", "1"], "pass no values of quartic alone"),
        ([*CHAIN, "--move", "heat-bath"], "HeatBath needs a model with q states"),
        ([*CHAIN, "--move", "parallel-tempering"], "of a field a coupling"),
        (["train", *FIELD, "--quartic", "8", "--integrator", "jump"], "cannot follow"),
        (["train", *SPINS, "--leapfrogs", "2"], "--leapfrogs is of fields alone"),
    ],
)
def test_what_is_refused_is_told(arguments: list[str], words: str, tmp_path: Path) -> None:
    output = "--checkpoint" if arguments[0] == "train" else "--output"
    with pytest.raises(SystemExit, match=words):
        main([*arguments, output, str(tmp_path / "result")])
