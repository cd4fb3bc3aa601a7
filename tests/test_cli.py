"""The command: help at 80 columns, a small demo run with its files, and errors in one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leaps_triton import cli

SMALL = ["--length", "4", "--beta", "0.3", "--steps", "5", "--intervals", "3", "--walkers", "50", "--device", "cpu"]
KEYS = {
    "ess", "log_weight_variance", "log_z", "log_z_error", "log_z_exact", "ais_ess", "train_seconds", "sample_seconds",
    "device", "observables",
}  # fmt: skip


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-m", "leaps_triton", *arguments], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize(
    ("command", "words"), [([], "exact weights"), (["demo"], "exact weights"), (["bench"], "what the device can do")]
)
def test_help_reads_at_80_columns(command: list[str], words: str) -> None:
    result = run(*command, "--help")
    assert result.returncode == 0
    assert words in " ".join(result.stdout.split())
    boxes = [line for line in result.stdout.splitlines() if line.startswith(("│", "╭", "╰"))]
    assert boxes
    assert max(map(len, boxes)) <= 80


def test_demo_prints_a_table_and_saves_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure, results = tmp_path / "demo.png", tmp_path / "demo.json"
    cli.main(["demo", *SMALL, "--figure", str(figure), "--json", str(results), "--seed", "3"])
    printed = capsys.readouterr().out
    for word in ("log Z", "energy / site", "|m|", "susceptibility", "specific heat", "Binder", "ESS", "AIS", "torch"):
        assert word in printed
    assert figure.read_bytes().startswith(b"\x89PNG")
    result = json.loads(results.read_text())
    assert set(result) >= KEYS
    assert 0 < result["ess"] <= 1
    assert abs(result["log_z"] - result["log_z_exact"]) < 5 * result["log_z_error"]
    assert result["config"]["seed"] == 3
    observables = result["observables"]
    assert set(observables) == {"energy", "abs_magnetization", "susceptibility", "specific_heat", "binder"}
    energy = observables["energy"]
    assert energy["pull"] == pytest.approx((energy["value"] - energy["exact"]) / energy["error"])
    assert observables["binder"]["exact"] is None


def test_bench_prints_a_table_and_saves_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, results = tmp_path / "kernels.csv", tmp_path / "bench.json"
    files = ["--output", str(table), "--json", str(results)]
    cli.main(["bench", "energy", "proposal_rates", "--smoke", "--device", "cpu", "--seed", "3", *files])
    printed = capsys.readouterr().out
    for word in ("energy", "proposal_rates", "potts3", "16x16", "twin", "GB/s", "random words", "commit"):
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
        (["bench", "--output", "/nowhere/at/all.csv"], "there is no folder"),
        (["bench", "--json", "/nowhere/at/all.json"], "there is no folder"),
        (["demo", "--length", "1"], "periodic with length 1"),
        (["demo", "--walkers", "0"], "walkers must be at least 2"),
        (["demo", "--beta", "nan"], "beta must be a finite number"),
        (["demo", "--device", "toaster"], "toaster"),
        (["demo", "--figure", "/nowhere/at/all/demo.png"], "there is no folder"),
        (["demo", "--seed", "-1"], "seed must be an integer"),
        (["demo", "--steps", "0"], "steps must be an integer of at least 1"),
    ],
)
def test_a_bad_value_ends_in_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert isinstance(caught.value.code, str)
    assert caught.value.code.startswith("leaps-triton: ")
    assert message in caught.value.code
    assert "\n" not in caught.value.code


def test_an_unknown_option_has_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["demo", "--stpes", "5"])
    assert caught.value.code not in (0, None)
    assert "--stpes" in capsys.readouterr().err


def test_an_interrupt_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: cli.Demo) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.Demo, "run", interrupted)
    with pytest.raises(SystemExit) as caught:
        cli.main(["demo"])
    assert caught.value.code == "leaps-triton: interrupted"
