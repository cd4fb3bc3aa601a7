"""The command: help at 80 columns, a small demo run with its files, and errors in one sentence."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton import cli, registry
from leaps_triton.cli.commands.demo import Demo
from leaps_triton.cli.moves import as_move
from leaps_triton.cli.options import spelled
from leaps_triton.io import checkpoint
from leaps_triton.io.results import walk
from leaps_triton.mcmc import settled
from leaps_triton.report.figures import of_largest

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


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-m", "leaps_triton", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


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


TINY = [
    "--network",
    "hollow-conv",
    "--steps",
    "6",
    "--intervals",
    "3",
    "--channels",
    "4",
    "--width",
    "8",
    "--modes",
    "1",
    "--device",
    "cpu",
]

EXTRAS = ["--loss", "log_variance", "--baseline", "learned", "--huber-steps", "3", "--ema", "0.9"]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["hollow-conv"], lt.HollowConv),
        (["lem", "--channels", "4"], lt.LEM),
        (["lea", "--channels", "4", "--heads", "2"], lt.LEA),
        (["lec", "--channels", "4", "--kernel-sizes", "3", "5"], lt.LEC),
        (["lec", "--width", "8"], lt.LEC),
        (["le-transformer", "--channels", "4", "--layers", "1"], lt.LETransformer),
        (["local-rates", "--shells", "2", "--width", "8"], lt.LocalRates),
    ],
)
def test_every_network_is_trained_from_the_command_line(
    options: list[str], kind: Any, tmp_path: Path
) -> None:
    file = tmp_path / "c.safetensors"
    shape = ["--shape", "3", "4", "--steps", "2", "--intervals", "2", "--device", "cpu"]
    cli.main(["train", "--checkpoint", str(file), *shape, "--network", *options])
    network: Any = lt.load(file).transport
    assert type(network) is kind
    if "3" in options:
        assert network.settings["kernel_sizes"] == [3, 5]


def train(file: Path, *arguments: str) -> None:
    cli.main(["train", "--checkpoint", str(file), *TINY, *arguments])


@pytest.mark.parametrize(
    ("options", "model"),
    [
        (
            ["--shape", "3", "4", "--beta", "0.3", "--coupling", "0.5", "--field", "0.2"],
            lt.Ising((3, 4), 0.3, 0.5, 0.2),
        ),
        (
            [
                "--model",
                "potts",
                "--q",
                "3",
                "--shape",
                "3",
                "3",
                "--beta",
                "0.8",
                "--field",
                "0.3",
                "0",
                "-0.2",
            ],
            lt.Potts((3, 3), 3, 0.8, field=[0.3, 0.0, -0.2]),
        ),
        (
            ["--model", "clock", "--q", "4", "--shape", "5", "--open-boundaries"],
            lt.Clock(5, 4, 0.4407, periodic=False),
        ),
        (
            [
                "--model",
                "edwards-anderson",
                "--shape",
                "3",
                "3",
                "--disorder",
                "gaussian",
                "--disorder-seed",
                "5",
            ],
            lt.EdwardsAnderson((3, 3), 0.4407, "gaussian", 5),
        ),
    ],
)
def test_train_sample_and_info(
    options: list[str], model: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output, history, table = (
        tmp_path / name for name in ("c.safetensors", "r.h5", "h.json", "t.json")
    )
    train(file, *options, "--sweeps", "1", "--evaluate-every", "3", "--json", str(history), *EXTRAS)
    stored = lt.load(file, "cpu")
    plain = checkpoint.describe(
        lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(3), lt.HeatBath(), device="cpu")
    )
    found = checkpoint.differences(plain, checkpoint.describe(stored))
    # With a network weights follow a density that runs on.
    assert all(name.startswith(("network", "integrator.weights")) for name in found)
    assert json.loads(history.read_text())["history"]["evaluation_step"] == [3, 6]
    config = checkpoint.read(file).manifest["training"]["config"]
    assert (config["loss"], config["baseline"]) == ("log_variance", "learned")
    assert (config["huber_steps"], config["ema"]) == (3, 0.9)
    cli.main(["info", str(file)])
    assert "c.safetensors: training, step 6 of 6" in capsys.readouterr().out

    cli.main(
        [
            "sample",
            str(file),
            "--walkers",
            "300",
            "--output",
            str(output),
            "--json",
            str(table),
            "--device",
            "cpu",
        ]
    )
    printed = capsys.readouterr().out
    for word in (
        "log Z",
        "energy / site",
        "|m|",
        "susceptibility",
        "specific heat",
        "Binder",
        "ESS",
        "σ",
    ):
        assert word in printed
    ensemble = stored.sample(300, seed=0)
    result = json.loads(table.read_text())
    assert result["log_z"] == ensemble.log_z
    assert abs(result["log_z"] - lt.exact.log_z(model)) < 5 * result["log_z_error"]
    assert all(abs(row["pull"]) < 6 for row in result["observables"].values())
    assert str(tmp_path) not in table.read_text() + history.read_text()
    cli.main(["info", str(output), "--json", str(table)])
    assert "r.h5: 300 of 300 walkers, complete" in capsys.readouterr().out
    assert json.loads(table.read_text())["model"]["shape"] == list(model.lattice.shape)


def test_an_existing_file_is_kept_and_other_settings_are_named(tmp_path: Path) -> None:
    file, output = tmp_path / "c.safetensors", tmp_path / "r.h5"
    train(file, "--shape", "3", "3")
    with pytest.raises(SystemExit, match="exists; go on with it by --resume"):
        train(file, "--shape", "3", "3")
    with pytest.raises(
        SystemExit,
        match=r"model.beta 0.4407 \(now 0.5\); training.ema 0.0 \(now 0.5\); use the same",
    ):
        train(file, "--shape", "3", "3", "--beta", "0.5", "--ema", "0.5", "--resume")
    before = file.read_bytes()
    train(file, "--shape", "3", "3", "--resume")
    assert file.read_bytes() == before
    sample = ["sample", str(file), "--output", str(output), "--walkers", "100", "--device", "cpu"]
    cli.main(sample)
    with pytest.raises(SystemExit, match=r"exists; .*--resume"):
        cli.main(sample)
    with pytest.raises(SystemExit, match=r"run.seed 0 \(now 7\)"):
        cli.main([*sample, "--resume", "--seed", "7"])
    cli.main([*sample, "--resume"])


def test_info_tells_a_sampler_alone_and_a_run_that_is_incomplete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output = tmp_path / "c.safetensors", tmp_path / "r.h5"
    path = lt.AnnealingPath(lt.Ising((3, 3), beta=0.3))
    sampler = lt.Sampler(path, None, lt.Jump(3), lt.HeatBath(), block=40, device="cpu")
    lt.save(sampler, file)
    cli.main(["info", str(file)])
    assert "c.safetensors: sampler" in capsys.readouterr().out
    lt.io.sample(sampler, 100, output)
    with h5py.File(output, "r+") as out:
        out["digests"][1:] = 0
    cli.main(["info", str(output)])
    assert "r.h5: 40 of 100 walkers, incomplete: --resume goes on" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_then_exits(number: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    command = [
        sys.executable,
        "-m",
        "leaps_triton",
        "train",
        "--checkpoint",
        str(file),
        "--shape",
        "4",
        "4",
    ]
    options = ["--steps", "100000", "--every", "100000", "--intervals", "3", "--device", "cpu"]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not file.exists():
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    name = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}[number]
    words = f"stopped by {name}; {file} holds what is done, and this goes on with it: leaps-triton "
    again = shlex.join(["train", *command[4:], *options, "--resume"])
    assert f"leaps-triton: {words}{again}\n" in errors
    assert sorted(os.listdir(tmp_path)) == ["c.safetensors"]
    training = checkpoint.read(file).manifest["training"]
    assert 0 < training["step"] < 100000


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


@pytest.mark.parametrize(
    ("words", "move"),
    [
        (["heat-bath"], lt.HeatBath()),
        (["HeatBath:sweeps=3,backward=true"], lt.HeatBath(3, backward=True)),
        (
            ["metropolis:sweeps=2,rest=0.25", "overrelaxation"],
            lt.Compose(lt.Metropolis(2, rest=0.25), lt.Overrelaxation()),
        ),
        (["wolff:clusters=5"], lt.Wolff(5)),
        (["heat-bath", "houdayer"], lt.Compose(lt.HeatBath(), lt.Houdayer())),
        (["swendsen-wang"], lt.SwendsenWang()),
        (["heat-bath:packed=rows"], lt.HeatBath(packed="rows")),
        (["metropolis:packed=false"], lt.Metropolis(packed=False)),
        (
            ["kinetic-monte-carlo:time=0.5,reversible=metropolis,max_events=none"],
            lt.KineticMonteCarlo(0.5, "metropolis"),
        ),
        (["parallel-tempering:fractions=0.5/1"], lt.ParallelTempering([0.5, 1.0])),
        (
            ["parallel-tempering:betas=0.1/0.2/0.44", "heat-bath", "houdayer"],
            lt.ParallelTempering(
                betas=[0.1, 0.2, 0.44], move=lt.Compose(lt.HeatBath(), lt.Houdayer())
            ),
        ),
        (["parallel-tempering:fractions=0.25/0.5/1", "heat-bath", "houdayer"], TEMPERING),
    ],
)
def test_every_move_is_described_by_words(words: list[str], move: Any) -> None:
    assert as_move(words) == move


def test_every_registered_move_is_offered() -> None:
    text = " ".join(run("chain", "--help").stdout.replace("│", " ").split())
    # Other tests register moves of their own.
    own = {n: m for n, m in registry.things("move").items() if m.__module__.startswith("leaps_")}
    assert len(own) >= 9
    for name in own:
        word = spelled(name)
        assert word == "compose" or word in text, word
    assert "--kernel" not in text and "What moves the walkers" in text


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
