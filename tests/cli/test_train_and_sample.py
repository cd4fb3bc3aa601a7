"""Training and sampling by commands: networks, models, files that stay, and signals."""

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

import leaps_triton as lt

pytest.importorskip("tyro")

from leaps_triton import cli
from leaps_triton.io import checkpoint

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
