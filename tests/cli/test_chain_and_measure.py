"""Chains by command, their moves and burn-in, and what is measured of them."""

import json
from pathlib import Path
from typing import Any

import h5py
import pytest

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton import cli
from leaps_triton.mcmc import settled

WALK = [
    "--shape",
    "3",
    "4",
    "--beta",
    "0.3",
    "--walkers",
    "6",
    "--sweeps",
    "400",
    "--thin",
    "2",
    "--device",
    "cpu",
]


@pytest.mark.parametrize("move", ["heat-bath", "swendsen-wang"])
def test_chain_and_measure(move: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, table, again = tmp_path / "c.h5", tmp_path / "c.json", tmp_path / "m.json"
    walk = ["chain", "--output", str(file), *WALK, "--field", "0.2", "--move", move]
    cli.main([*walk, "--json", str(table)])
    cli.main(["measure", str(file), "--json", str(again)])
    printed = capsys.readouterr().out
    for word in (
        "energy / site",
        "Binder",
        "exact",
        "σ",
        "τ / draws",
        "c.h5: chain, 200 of 200 draws of 6 walkers",
    ):
        assert word in printed
    made, measured = json.loads(table.read_text()), json.loads(again.read_text())
    assert made["observables"] == measured["observables"]
    assert made["config"]["move"] == [move] and measured["run"]["chain"]["sweeps"] == 400
    model = lt.Ising((3, 4), 0.3, field=0.2)
    run = lt.io.read(file)
    for name, row in measured["observables"].items():
        observable = getattr(lt.observables, name)
        estimate = run.estimate(name)
        assert isinstance(estimate, lt.ChainEstimate)
        assert (row["value"], row["error"], row["tau"]) == (
            estimate.value,
            estimate.error,
            estimate.tau,
        )
        assert row["exact"] == pytest.approx(float(lt.exact.expectation(model, observable)))
        assert abs(row["pull"]) < 5
    assert str(tmp_path) not in table.read_text() + again.read_text()
    before = file.read_bytes()
    with pytest.raises(SystemExit, match=r"c.h5 exists; .*--resume"):
        cli.main(walk)
    cli.main([*walk, "--resume"])
    assert file.read_bytes() == before
    cli.main([*walk, "--resume", "--sweeps", "500"])
    cli.main(["info", str(file)])
    assert "c.h5: chain, 250 of 250 draws of 6 walkers, complete" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"chain.seed 0 \(now 7\)"):
        cli.main([*walk, "--resume", "--seed", "7"])


TEMPERING = lt.ParallelTempering([0.25, 0.5, 1.0], lt.Compose(lt.HeatBath(), lt.Houdayer()))


def test_a_chain_of_tempering_and_houdayer(tmp_path: Path) -> None:
    file = tmp_path / "c.h5"
    model = ["--model", "edwards-anderson", "--shape", "4", "4", "--beta", "0.8"]
    words = ["--move", "parallel-tempering:fractions=0.25/0.5/1", "heat-bath", "houdayer"]
    size = ["--walkers", "4", "--sweeps", "40", "--thin", "2", "--device", "cpu"]
    cli.main(["chain", "--output", str(file), *model, *words, *size])
    found: Any = lt.io.read(file)
    assert found.move == settled(TEMPERING, found.model, None, 4)


@pytest.mark.parametrize("option", [["--kernel", "wolff"], ["--kernel=wolff"]])
def test_the_former_name_of_move_is_accepted_with_a_warning(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.h5"
    cli.main(["chain", "--output", str(file), *WALK, *option])
    assert "leaps-triton: --kernel is now --move" in capsys.readouterr().err
    assert lt.io.read(file).move == lt.Wolff()  # type: ignore[union-attr]


def test_a_chain_may_find_its_own_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.h5"
    cli.main(["chain", "--output", str(file), *WALK, "--burn-in", "auto"])
    run = lt.io.read(file)
    assert isinstance(run, lt.io.ChainRun) and run.beginning is not None and run.recorded == 200
    said = f"the chain begins: {run.beginning.words(200)}"
    assert said in capsys.readouterr().out
    cli.main(["measure", str(file)])
    assert said in capsys.readouterr().out


def test_measure_of_weighted_walkers_and_of_short_chains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lt.AnnealingPath(lt.Ising((3, 3), beta=0.3))
    sampler = lt.Sampler(path, None, lt.Jump(3), lt.HeatBath(), block=40, device="cpu")
    run = lt.io.sample(sampler, 100, tmp_path / "w.h5", observables=["energy", "correlation"])
    cli.main(["measure", str(tmp_path / "w.h5"), "--json", str(tmp_path / "w.json")])
    printed = capsys.readouterr().out
    for word in ("log Z", "energy / site", "ESS", "Pareto k", "100 of 100 walkers"):
        assert word in printed
    result = json.loads((tmp_path / "w.json").read_text())
    assert result["log_z"] == run.log_z and set(result["observables"]) == {"energy"}
    lt.io.run_chain(lt.Ising((3, 3), 0.3), lt.HeatBath(), 2, 20, tmp_path / "c.h5", device="cpu")
    cli.main(["measure", str(tmp_path / "c.h5")])
    printed = capsys.readouterr().out
    assert "caution: energy: 20 draws a walker are fewer than 50 autocorrelation times" in printed
    assert printed.count("caution: ") <= 3
    with h5py.File(tmp_path / "c.h5", "r+") as out:
        out["digests"][:] = 0
    for command in (
        ["measure", str(tmp_path / "c.h5")],
        ["plot", str(tmp_path / "c.h5"), "--output", str(tmp_path)],
    ):
        with pytest.raises(
            SystemExit, match=r"c(\.h5)? has too few walkers or draws for error bars; go on"
        ):
            cli.main(command)


def test_a_run_with_a_field_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for field in ("0.0", "0.1"):
        file = str(tmp_path / f"{field}.h5")
        cli.main(
            [
                "chain",
                "--output",
                file,
                "--shape",
                "3",
                "3",
                "--field",
                field,
                "--walkers",
                "4",
                "--sweeps",
                "40",
            ]
        )
        cli.main(["info", file])
        printed.append(capsys.readouterr().out)
    assert "field=" not in printed[0]
    assert printed[1].count("field=0.1") == 2
