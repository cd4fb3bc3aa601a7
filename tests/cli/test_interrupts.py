"""Signals, full disks and second writers end a command in one sentence, and nothing is lost."""

import json
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import leaps_triton as lt
import second_process
from leaps_triton.io import chains as chain_io
from leaps_triton.io import checkpoint, hdf5
from leaps_triton.io import weighted as weighted_io

pytest.importorskip("tyro")

from leaps_triton import cli
from leaps_triton.cli.commands import bench
from leaps_triton.cli.interrupts import Interrupted, Unfinished, going_on, raising

CHAIN = [
    "--shape",
    "3",
    "3",
    "--beta",
    "0.3",
    "--walkers",
    "4",
    "--sweeps",
    "50",
    "--thin",
    "1",
    "--every",
    "10",
    "--device",
    "cpu",
]
SAMPLE = ["--walkers", "300", "--device", "cpu"]
TRAIN = [
    "--shape", "3", "3", "--beta", "0.1", "--network", "local-rates", "--steps", "6",
    "--intervals", "2", "--device", "cpu",
]  # fmt: skip

Command = Callable[[Path], list[str]]


@pytest.fixture
def commands(tmp_path: Path) -> dict[str, tuple[Any, Command]]:
    ais = lt.Sampler(
        lt.AnnealingPath(lt.Ising((3, 3), beta=0.3)),
        None,
        lt.Jump(3),
        lt.HeatBath(),
        block=64,
        device="cpu",
    )
    # A name that shells would take apart.
    sampler = tmp_path / "my sampler.safetensors"
    lt.save(ais, sampler)
    return {
        "chain": (chain_io, lambda file: ["chain", "--output", str(file), *CHAIN]),
        "sample": (
            weighted_io,
            lambda file: ["sample", str(sampler), "--output", str(file), *SAMPLE],
        ),
    }


def stopping(module: Any, monkeypatch: pytest.MonkeyPatch, stop: Callable[[Any], None]) -> None:
    """Let ``stop`` take the place of writing the third part."""

    def write(file: Path, values: Any, part: int, found: Any) -> None:
        if part == 2:
            stop((file, values, part, found))
        else:
            hdf5.write(file, values, part, found)

    monkeypatch.setattr(module, "write", write)


def ended(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return the status of a command, and what it said last."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["chain", "sample"])
@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
def test_a_signal_ends_in_the_command_that_goes_on(
    name: str,
    number: signal.Signals,
    commands: dict[str, tuple[Any, Command]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module, command = commands[name]
    file = tmp_path / "stopped.h5"
    cli.main(command(tmp_path / "whole.h5"))
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    stopping(module, monkeypatch, lambda _: signal.raise_signal(number))
    status, said = ended(command(file), capsys)
    assert status == 128 + number
    word = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[number]
    begin = (
        f"leaps-triton: stopped by {word}; {file} holds what is done, and this goes on with it: "
    )
    assert said.startswith(begin)
    assert handlers == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    assert {"stopped.h5", "whole.h5", "my sampler.safetensors"} == set(os.listdir(tmp_path))
    assert not lt.io.read(file).complete
    monkeypatch.undo()
    # What it said is typed as it stands.
    program, *again = shlex.split(said.removeprefix(begin))
    assert program == "leaps-triton"
    cli.main(again)
    assert file.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_scan_that_a_signal_ended_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "scan.h5"
    beta = CHAIN.index("--beta")
    options = [*CHAIN[:beta], *CHAIN[beta + 2 :], "--beta", "0.2:0.3:2"]
    command = ["scan", "--output", str(file), *options]
    stopping(chain_io, monkeypatch, lambda _: signal.raise_signal(signal.SIGINT))
    status, said = ended(command, capsys)
    again = shlex.join(["leaps-triton", *command, "--resume"])
    assert status == 130
    assert said.endswith(f"{file} holds what is done, and this goes on with it: {again}")
    assert lt.io.read(file).progress.startswith("chain, 20 of 50")


@pytest.mark.parametrize("name", ["chain", "sample"])
@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
def test_a_full_disk_ends_in_the_command_that_goes_on(
    name: str,
    commands: dict[str, tuple[Any, Command]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module, command = commands[name]
    file = tmp_path / "r.h5"
    with second_process.full_disk(500):
        status, said = ended(command(file), capsys)
    nothing = f"{file}: File too large; nothing is done yet that could be kept in {file}"
    assert (status, said) == (1, f"leaps-triton: {nothing}")

    def fail(arguments: Any) -> None:
        with second_process.full_disk(100):
            hdf5.write(*arguments)

    stopping(module, monkeypatch, fail)
    status, said = ended(command(file), capsys)
    again = shlex.join(["leaps-triton", *command(file), "--resume"])
    kept = f"{file}: File too large; {file} holds what is done"
    assert (status, said) == (1, f"leaps-triton: {kept}, and this goes on with it: {again}")
    monkeypatch.undo()
    cli.main([*command(file), "--resume"])
    cli.main(command(tmp_path / "whole.h5"))
    assert file.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_training_that_a_signal_ended_goes_on_to_the_same_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole.safetensors"
    file = tmp_path / "c.safetensors"
    cli.main(["train", "--checkpoint", str(whole), *TRAIN])
    advance = lt.Trainer._advance

    def step(trainer: lt.Trainer) -> float:
        if trainer.step == 3:
            signal.raise_signal(signal.SIGINT)
        return advance(trainer)

    monkeypatch.setattr(lt.Trainer, "_advance", step)
    status, said = ended(["train", "--checkpoint", str(file), *TRAIN], capsys)
    assert status == 130
    assert checkpoint.read(file).manifest["training"]["step"] == 4
    monkeypatch.undo()
    cli.main(shlex.split(said.partition("goes on with it: leaps-triton ")[2]))
    assert checkpoint.differences(checkpoint.read(whole), checkpoint.read(file)) == []
    assert sorted(os.listdir(tmp_path)) == ["c.safetensors", "whole.safetensors"]


def test_benchmarks_that_a_signal_ended_say_where_their_rows_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(*arguments: Any, **_: Any) -> None:
        arguments[-1].write_text("rows")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(bench, "run", measured)
    file = tmp_path / "new" / "kernels.csv"
    status, said = ended(["bench", "--output", str(file)], capsys)
    kept = f"leaps-triton: stopped by SIGTERM; {file} holds what is done"
    assert (status, said) == (143, kept)


def test_training_on_a_full_disk_keeps_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.safetensors"
    command = ["train", "--checkpoint", str(file), "--every", "2", *TRAIN]
    advance = lt.Trainer._advance

    def step(trainer: lt.Trainer) -> float:
        if trainer.step == 3:
            with second_process.full_disk(100):
                trainer.save(tmp_path / "other.safetensors")
        return advance(trainer)

    monkeypatch.setattr(lt.Trainer, "_advance", step)
    # Another file's trouble is not that of the checkpoint.
    with pytest.raises(SystemExit, match=r"other\.safetensors: File too large$"):
        cli.main(command)
    assert lt.load(file, "cpu").path.model.beta == 0.1
    assert os.listdir(tmp_path) == ["c.safetensors"]


@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
def test_a_result_has_one_writer_and_its_folder_is_made(tmp_path: Path) -> None:
    table = tmp_path / "new" / "folder" / "t.json"
    output = tmp_path / "runs" / "c.h5"
    command = ["chain", "--output", str(output), "--json", str(table), *CHAIN]
    table.parent.mkdir(parents=True)
    for busy in (table, output):
        busy.parent.mkdir(parents=True, exist_ok=True)
        with second_process.writing(busy) as process:
            message = f"{busy.name} is being written by process {process.pid} on "
            with pytest.raises(SystemExit, match=message):
                cli.main(command)
            process.communicate()
        assert os.listdir(busy.parent) == []
        # Neither folder is there when the command begins.
        busy.parent.rmdir()
    cli.main(command)
    assert json.loads(table.read_text())["observables"]
    assert os.listdir(output.parent) == ["c.h5"]


def test_ignored_signals_stay_ignored_and_a_second_one_is_not_waited_for() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with raising():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(Interrupted) as caught:
                signal.raise_signal(signal.SIGINT)
        assert caught.value.status == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    stops = []
    with going_on(Path("r.h5"), lambda: stops.append(1)) as received:
        signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert (stops, received) == ([1], [signal.SIGTERM])


def test_only_trouble_with_the_file_itself_is_gone_on_from(tmp_path: Path) -> None:
    file = tmp_path / "r.h5"
    with pytest.raises(FileNotFoundError), going_on(file):
        (tmp_path / "sampler").read_text()
    with pytest.raises(KeyboardInterrupt), going_on(None):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(Unfinished, match="stopped by Ctrl-C") as caught, going_on(file):
        signal.raise_signal(signal.SIGINT)
    assert caught.value.status == 130
