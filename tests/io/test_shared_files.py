"""Runs in HDF5 beside other processes, on a full disk, and under interrupts."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

import leaps_triton as lt
import second_process
from leaps_triton import io
from leaps_triton.io import chains as chain_io
from leaps_triton.io import hdf5
from leaps_triton.io import weighted as weighted_io

MODEL = lt.Ising((3, 3), beta=0.3)
AIS = lt.Sampler(lt.AnnealingPath(MODEL), None, lt.Jump(3), lt.HeatBath(), block=64, device="cpu")


def chain(file: Path, sweeps: int = 50) -> io.ChainRun:
    options: dict[str, Any] = {"burn_in": 5, "every": 10, "configurations": True, "device": "cpu"}
    return io.run_chain(MODEL, lt.HeatBath(), 4, sweeps, file, resume=True, **options)


def sample(file: Path) -> io.Run:
    return io.sample(AIS, 300, file, configurations=True, resume=True)


RUNS: dict[str, tuple[Any, Callable[[Path], Any], str]] = {
    "chain": (chain_io, chain, "observables/energy"),
    "sample": (weighted_io, sample, "log_weights"),
}
EACH = pytest.mark.parametrize("name", RUNS)


def at_part(
    part: int, module: Any, monkeypatch: pytest.MonkeyPatch, then: Callable[[Any], None]
) -> None:
    """Let ``then`` take the place of writing a part."""

    def write(file: Path, values: Any, number: int, found: Any) -> None:
        if number == part:
            then((file, values, number, found))
        else:
            hdf5.write(file, values, number, found)

    monkeypatch.setattr(module, "write", write)


@EACH
def test_readers_do_not_stop_a_writer_and_see_what_it_wrote(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, run, dataset = RUNS[name]
    run(tmp_path / "whole.h5")
    file = tmp_path / "r.h5"
    seen = []

    def beside_readers(arguments: Any) -> None:
        # Another process, and this one, have the file open with HDF5's own locks.
        with second_process.reading(file) as process, h5py.File(file, "r") as own:
            before = second_process.summed(process, dataset)
            hdf5.write(*arguments)
            seen.append((before, second_process.summed(process, dataset), own[dataset][:].sum()))
            # While it is written, it has its whole parts; the writer is this very process.
            assert not io.read(file).complete

    at_part(2, module, monkeypatch, beside_readers)
    assert run(file).complete
    ((before, after, own),) = seen
    assert before != after == own
    assert file.read_bytes() == (tmp_path / "whole.h5").read_bytes()


@EACH
def test_no_lock_of_another_program_stops_a_reader(name: str, tmp_path: Path) -> None:
    run = RUNS[name][1]
    run(tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+"):
        assert io.read(tmp_path / "r.h5").complete


def test_reading_again_and_again_while_a_chain_is_written(tmp_path: Path) -> None:
    file = tmp_path / "r.h5"
    options: dict[str, Any] = {"burn_in": 0, "every": 1, "device": "cpu"}
    arguments = (MODEL, lt.HeatBath(), 4, 30, file)
    writer = threading.Thread(target=lambda: io.run_chain(*arguments, **options))
    writer.start()
    draws = [0]
    while writer.is_alive():
        if file.exists():
            run = io.read(file)
            assert isinstance(run, io.ChainRun)
            draws.append(run.draws)
    writer.join()
    assert draws == sorted(draws)
    assert io.read(file).complete


@EACH
def test_a_second_writer_is_refused_and_changes_nothing(name: str, tmp_path: Path) -> None:
    run = RUNS[name][1]
    file = tmp_path / "r.h5"
    with second_process.writing(file) as process:
        with pytest.raises(io.BusyError, match=rf"r.h5 is being written by process {process.pid}"):
            run(file)
        assert os.listdir(tmp_path) == [".r.h5.lock"]
        process.communicate()
    run(file)
    assert os.listdir(tmp_path) == ["r.h5"]


def test_a_sampler_does_not_replace_what_is_being_trained(tmp_path: Path) -> None:
    file = tmp_path / "s.safetensors"
    network = lt.LocalRates(MODEL, width=4)
    sampler = lt.Sampler(lt.AnnealingPath(MODEL), network, lt.Jump(2), device="cpu")
    trainer = lt.Trainer(sampler, lt.TrainingConfig(steps=1, walkers=4, buffer=8, rollout=8))
    writes: dict[str, Callable[[], object]] = {
        "save": lambda: lt.save(sampler, file),
        "checkpoint": lambda: trainer.save(file),
        "training": lambda: trainer.run(checkpoint=file),
    }
    with second_process.writing(file) as process:
        for write in writes.values():
            with pytest.raises(io.BusyError, match=rf"safetensors .* process {process.pid} on"):
                write()
        process.communicate()
    assert os.listdir(tmp_path) == []
    for write in reversed(writes.values()):
        write()
    before = file.read_bytes()
    with second_process.full_disk(1000), pytest.raises(OSError, match=f"too large: '{file}'"):
        lt.save(sampler, file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["s.safetensors"]


def test_a_reader_that_its_writer_outruns_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "r.h5"
    chain(file)
    # A state that belongs to no finished part, as one that is just being written.
    with h5py.File(file, "r+") as out:
        out["state/configurations"][0, 0, 0, 0] ^= 1
    monkeypatch.setattr(hdf5, "_PAUSES", (0.0, 0.0))
    with second_process.writing(file) as process:
        message = rf"^r.h5 is being written by process {process.pid} on .*; try again$"
        with pytest.raises(io.BusyError, match=message):
            io.read(file)
        process.communicate()
    with pytest.raises(ValueError, match=r"r\.h5 is damaged"):
        io.read(file)


@EACH
def test_a_full_disk_leaves_the_parts_before_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, run, _ = RUNS[name]
    run(tmp_path / "whole.h5")
    file = tmp_path / "r.h5"

    def fail(arguments: Any) -> None:
        with second_process.full_disk(100):
            hdf5.write(*arguments)

    at_part(2, module, monkeypatch, fail)
    with pytest.raises(OSError, match=rf"File too large: '{file}'$"):
        run(file)
    assert sorted(os.listdir(tmp_path)) == ["r.h5", "whole.h5"]
    part = io.read(file)
    assert part.progress.startswith(("chain, 20 of 50", "128 of 300"))
    monkeypatch.undo()
    assert run(file).complete
    assert file.read_bytes() == (tmp_path / "whole.h5").read_bytes()


@EACH
def test_a_disk_that_is_full_from_the_start_is_named(name: str, tmp_path: Path) -> None:
    run = RUNS[name][1]
    file = tmp_path / "r.h5"
    with second_process.full_disk(500), pytest.raises(OSError, match=rf"too large: '{file}'$"):
        run(file)
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError, match=r"there is no folder for it, make one: .*r\.h5'$"):
        run(tmp_path / "none" / "r.h5")


@EACH
@pytest.mark.parametrize("place", ["before", "between"])
def test_an_interrupt_leaves_the_parts_before_it(
    name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, run, _ = RUNS[name]
    run(tmp_path / "whole.h5")
    file = tmp_path / "r.h5"

    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    def interrupt(arguments: Any) -> None:
        if place == "before":
            raise KeyboardInterrupt
        # The values are there, and their digest is not.
        monkeypatch.setattr(os, "fsync", interrupted)
        hdf5.write(*arguments)

    at_part(2, module, monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(file)
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path)) == ["r.h5", "whole.h5"]
    assert io.read(file).progress.startswith(("chain, 20 of 50", "128 of 300"))
    assert run(file).complete
    assert file.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_chain_that_cannot_grow_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "r.h5"
    chain(file, sweeps=20)
    before = file.read_bytes()
    with second_process.full_disk(500), pytest.raises(OSError, match=rf"too large: '{file}'$"):
        chain(file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["r.h5"]
    assert chain(file).complete


def test_an_archive_that_cannot_be_written_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "r.npz"
    run = chain(tmp_path / "r.h5")
    lt.export.to_npz(run, file)
    before = file.read_bytes()
    with second_process.full_disk(100), pytest.raises(OSError, match=rf"too large: '{file}'$"):
        lt.export.to_npz(run, file)
    assert file.read_bytes() == before
