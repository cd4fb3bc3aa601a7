"""The command: help at 80 columns, small demo and bench runs, errors in one sentence."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import leaps_triton as lt
from second_process import run

pytest.importorskip("tyro")

from leaps_triton import cli
from leaps_triton.cli.commands.demo import Demo

CHAIN = ["chain", "--output", "never.h5"]
TRAIN = ["train", "--checkpoint", "never.safetensors"]
SMALL = [
    "--length",
    "4",
    "--beta",
    "0.3",
    "--steps",
    "5",
    "--intervals",
    "3",
    "--walkers",
    "50",
    "--device",
    "cpu",
]
KEYS = {
    "ess",
    "log_weight_variance",
    "log_z",
    "log_z_error",
    "log_z_exact",
    "ais_ess",
    "train_seconds",
    "sample_seconds",
    "device",
    "observables",
}


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["demo"],
        ["train"],
        ["learn"],
        ["sample"],
        ["chain"],
        ["scan"],
        ["merge"],
        ["measure"],
        ["plot"],
        ["info"],
        ["bench"],
        ["tune"],
    ],
)
def test_help_reads_at_80_columns(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.returncode == 0
    words = {
        "demo": "exact values",
        "train": "goes on, to --steps",
        "learn": "--coupling",
        "sample": "HDF5",
        "chain": "with more --sweeps it grows",
        "scan": "one HDF5 file, one table, one figure",
        "merge": "the same as that of the whole run",
        "measure": "autocorrelation times",
        "plot": "Binder crossings take several files",
        "info": "checkpoint",
        "bench": "what the device can do",
        "tune": "keep every bit",
    }
    assert words.get("".join(command), "exact weights") in " ".join(result.stdout.split())
    lines = result.stdout.splitlines()
    # The usage that names all commands is as long as they are.
    shown = [line for line in lines if command or not line.startswith("usage:")]
    assert max(map(len, shown)) <= 80


def test_demo_takes_what_suits_its_model() -> None:
    found: list[tuple[int, int]] = []
    for beta in (0.3, -0.3):
        model = lt.Ising((4, 4), beta)
        network: Any = lt.HollowConv(model, kernel_size=3, channels=2, width=4)
        if beta > 0.0:
            network = lt.SymmetricConv(model, kernel_size=3, widths=(4, 2))
        sampler = lt.Sampler(lt.AnnealingPath(model), network, device="cpu")
        command = Demo(length=4, beta=beta)
        found.append((command._settings(sampler).steps, command._intervals(network)))
    assert found == [(400, 16), (1500, 40)]


def test_demo_prints_a_table_and_saves_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure, results = tmp_path / "demo.png", tmp_path / "demo.json"
    cli.main(["demo", *SMALL, "--figure", str(figure), "--json", str(results), "--seed", "3"])
    printed = capsys.readouterr().out
    for word in (
        "log Z",
        "energy / site",
        "|m|",
        "susceptibility",
        "specific heat",
        "Binder",
        "ESS",
        "AIS",
        "numba kernels",
    ):
        assert word in printed
    assert figure.read_bytes().startswith(b"\x89PNG")
    result = json.loads(results.read_text())
    assert set(result) >= KEYS
    assert 0 < result["ess"] <= 1
    assert abs(result["log_z"] - result["log_z_exact"]) < 5 * result["log_z_error"]
    assert result["config"]["seed"] == 3
    observables = result["observables"]
    assert set(observables) == {
        "energy",
        "abs_magnetization",
        "susceptibility",
        "specific_heat",
        "binder",
    }
    energy = observables["energy"]
    assert energy["pull"] == pytest.approx((energy["value"] - energy["exact"]) / energy["error"])
    assert abs(observables["binder"]["pull"]) < 5


def test_bench_prints_a_table_and_saves_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, results = tmp_path / "kernels.csv", tmp_path / "bench.json"
    files = ["--output", str(table), "--json", str(results)]
    cli.main(
        ["bench", "energy", "proposal_rates", "--smoke", "--device", "cpu", "--seed", "3", *files]
    )
    printed = capsys.readouterr().out
    for word in (
        "energy",
        "proposal_rates",
        "potts3",
        "16x16",
        "twin",
        "GB/s",
        "random words",
        "commit",
    ):
        assert word in printed
    # The line of the device and its versions is as long as they are.
    assert max(map(len, printed.splitlines()[1:-1])) <= 80
    result = json.loads(results.read_text())
    assert set(result) == {"provenance", "rows", "notes", "disagreements"}
    assert len(table.read_text().splitlines()) == len(result["rows"]) + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "jmp"], "there is no op 'jmp'; choose from philox"),
        (["bench", "--seed", "-1"], "seed must be an integer"),
        (["bench", "--device", "toaster"], "toaster"),
        (
            ["bench", "--output", f"{__file__}/all.csv"],
            "test_cli.py to save all.csv in cannot be made",
        ),
        (["bench", "--json", f"{__file__}/at/all.json"], "cannot be made (Not a directory)"),
        (["tune", "--device", "cpu"], "there is nothing to tune on cpu"),
        (["tune", "jmp", "--dry-run"], "there is no op 'jmp'; choose from action_and_force"),
        ([*TRAIN, "--shape", "1"], "periodic with length 1"),
        ([*TRAIN, "--q", "3"], "--q is no option of --model ising"),
        ([*TRAIN, "--disorder-seed", "3"], "--disorder-seed is no option of --model ising"),
        (
            [*TRAIN, "--model", "edwards-anderson", "--coupling", "3"],
            "--coupling is no option of --model edwards",
        ),
        ([*TRAIN, "--model", "potts"], "--model potts needs --q"),
        ([*TRAIN, "--model", "potts", "--q", "1"], "number of states q must be"),
        (
            [*TRAIN, "--model", "clock", "--q", "3", "--field", "1"],
            "site_table must have shape (3,)",
        ),
        ([*TRAIN, "--field", "1", "2"], "--field of --model ising must be one number, got 2"),
        ([*TRAIN, "--kernel-size", "4"], "kernel_size must be odd"),
        ([*TRAIN, "--kernel-size", "99"], "kernel"),
        ([*TRAIN, "--network", "lec", "--modes", "3"], "--modes is no option of --network lec"),
        (
            [*TRAIN, "--kernel-sizes", "3", "5"],
            "--kernel-sizes is no option of --network symmetric-conv",
        ),
        ([*TRAIN, "--network", "lea", "--channels", "5"], "channels must be a multiple of heads"),
        ([*TRAIN, "--sweeps", "-1"], "sweeps must be at least 0"),
        ([*TRAIN, "--every", "0"], "every must be an integer of at least 1"),
        ([*TRAIN, "--learning-rate", "0"], "learning_rate must be a positive number"),
        ([*TRAIN, "--ema", "1"], "ema must be a number in [0, 1)"),
        ([*TRAIN, "--huber-steps", "-1"], "huber_steps must be an integer of at least 0"),
        ([*TRAIN, "--device", "toaster"], "device must be one that works here"),
        (["train", "--checkpoint", f"{__file__}/all/c.safetensors"], "cannot be made"),
        (["train", "--checkpoint", "/"], "is a folder"),
        (["sample", "/nowhere/c.safetensors", "--output", "never.h5"], "No such file"),
        (["sample", __file__, "--output", "never.h5"], "test_cli.py is no leaps_triton checkpoint"),
        (
            ["sample", __file__, "--output", "never.h5", "--walkers", "1"],
            "walkers must be at least 2",
        ),
        (["sample", __file__, "--output", f"{__file__}/r.h5"], "cannot be made"),
        (["chain", "--output", f"{__file__}/c.h5"], "cannot be made"),
        ([*CHAIN, "--q", "3"], "--q is no option of --model ising"),
        ([*CHAIN, "--walkers", "0"], "walkers must be an integer of at least 1"),
        ([*CHAIN, "--sweeps", "5"], "sweeps must be at least thin"),
        ([*CHAIN, "--every", "0"], "every must be an integer of at least 1"),
        ([*CHAIN, "--burn-in", "-1"], "burn_in must be an integer of at least 0"),
        (
            [*CHAIN, "--observables", "heat"],
            "observables must be names in leaps_triton.observables",
        ),
        ([*CHAIN, "--seed", "-1"], "seed must be an integer"),
        ([*CHAIN, "--model", "xy"], "there is no model 'xy'; choose from clock, edwards-anderson"),
        ([*CHAIN, "--move", "cold-bath"], "there is no move 'cold-bath'; choose from "),
        (
            [*CHAIN, "--move", "wolff:size=2"],
            "wolff has no setting 'size=2'; give clusters or rest as in",
        ),
        ([*CHAIN, "--move", "wolff:clusters"], "wolff has no setting 'clusters'; give clusters"),
        ([*CHAIN, "--move", "wolff:clusters=no"], "clusters must be an integer of at least 1"),
        ([*CHAIN, "--move", "parallel-tempering"], "parallel-tempering needs its betas"),
        (
            [*CHAIN, "--move", "parallel-tempering:betas=0.1/0.2"],
            "betas of ParallelTempering must end at the model's own beta = 0.4407, got [0.1, 0.2]",
        ),
        ([*CHAIN, "--move", "compose"], "there is no move 'compose'"),
        ([*TRAIN, "--network", "resnet"], "there is no network 'resnet'; choose from "),
        ([*CHAIN, "--device", "toaster"], "device must be one that works here"),
        (["measure", "/nowhere/c.h5"], "No such file"),
        (["measure", __file__], "test_cli.py is no HDF5 file of leaps_triton"),
        (["measure", __file__, "--json", f"{__file__}/t.json"], "cannot be made"),
        (["plot"], "give at least one HDF5 file"),
        (["plot", "/nowhere/c.h5"], "No such file"),
        (["plot", __file__], "test_cli.py is no HDF5 file of leaps_triton"),
        (["plot", __file__, "--output", f"{__file__}/f"], "test_cli.py/f to save the figures in"),
        (["plot", __file__, "--dpi", "2"], "dpi must be at least 20"),
        (["sample", "--output", "never.h5"], "give one of CHECKPOINT, --published"),
        (
            ["sample", __file__, "--published", __file__, "--output", "never.h5"],
            "give one of CHECKPOINT",
        ),
        (
            ["sample", "--published", __file__, "--output", "never.h5"],
            "test_cli.py is no published LEAPS checkpoint",
        ),
        (["info", __file__], "test_cli.py is no leaps_triton checkpoint"),
        (["info", "/nowhere/c.safetensors"], "No such file"),
        (["demo", "--length", "1"], "periodic with length 1"),
        (["demo", "--walkers", "0"], "walkers must be at least 2"),
        (["demo", "--beta", "nan"], "beta must be a finite number"),
        (["demo", "--device", "toaster"], "toaster"),
        (["demo", "--figure", f"{__file__}/demo.png"], "cannot be made"),
        (["demo", "--seed", "-1"], "seed must be an integer"),
        (["demo", "--steps", "0"], "steps must be an integer of at least 1"),
    ],
)
def test_a_bad_value_ends_in_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert isinstance(caught.value.code, str)
    assert caught.value.code.startswith("leaps-triton: ")
    assert message in caught.value.code
    assert "\n" not in caught.value.code
    assert os.listdir() == []


def test_an_unknown_option_has_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["demo", "--stpes", "5"])
    assert caught.value.code not in (0, None)
    assert "--stpes" in capsys.readouterr().err


def test_an_interrupt_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: Demo) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Demo, "run", interrupted)
    with pytest.raises(SystemExit) as caught:
        cli.main(["demo"])
    assert caught.value.code == 130
    assert capsys.readouterr().err == "leaps-triton: stopped by Ctrl-C\n"


def test_help_says_what_an_option_does() -> None:
    text = {
        name: " ".join(run(name, "--help").stdout.replace("│", " ").split())
        for name in ("bench", "plot", "info")
    }
    assert "--no-compiled Leave out the compiled twins" in text["bench"]
    assert "chain" in text["info"]
    assert all(
        "(default: )" not in text[name].partition("options")[0] for name in ("bench", "plot")
    )
