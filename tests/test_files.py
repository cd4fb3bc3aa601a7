"""A file has one writer at a time, is whole at any moment, and errors of the disk name it."""

import errno
import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from leaps_triton.files import (
    BusyError,
    check_free,
    claimed,
    holder,
    make_folder,
    replacing,
    write_text,
)
from second_process import full_disk, writing


def test_a_second_process_is_refused_at_once_and_told_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "r.h5"
    with writing(file) as process:
        who = rf"process {process.pid} on {socket.gethostname()} \(since 2"
        for refused in (check_free, lambda file: claimed(file).__enter__()):
            with pytest.raises(BusyError, match=rf"^r.h5 is being written by {who}.*; wait for"):
                refused(file)
        assert str(process.pid) in str(holder(file))
        # Whoever looks for the owner does not stop it, and other files are free.
        with claimed(tmp_path / "s.h5", None):
            check_free(tmp_path / "s.h5")
        process.communicate()
    assert os.listdir(tmp_path) == []


def test_the_claim_of_a_killed_process_is_void(tmp_path: Path) -> None:
    file = tmp_path / "r.h5"
    with writing(file) as process:
        process.kill()
        process.wait()
        assert os.listdir(tmp_path) == [".r.h5.lock"]
        assert holder(file) is None
        check_free(file)
        with claimed(file):
            assert str(os.getpid()) in str(holder(file))
    assert os.listdir(tmp_path) == []


def test_the_claim_of_another_machine_is_respected(tmp_path: Path) -> None:
    file = tmp_path / "r.h5"
    lock = tmp_path / ".r.h5.lock"
    lock.write_text(json.dumps({"host": "elsewhere", "process": 1, "since": "2026-01-01"}))
    message = rf"by process 1 on elsewhere .* if that has ended, delete {lock}, or choose"
    for _ in range(2):
        with pytest.raises(BusyError, match=message), claimed(file):
            pass
        with pytest.raises(BusyError, match=message):
            check_free(file)
    lock.unlink()
    with claimed(file):
        pass


def test_a_disk_without_locks_goes_by_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    file = tmp_path / "r.h5"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for process, alive in ((os.getppid(), True), (ended.pid, False)):
        owner = {"host": socket.gethostname(), "process": process, "since": "2026-01-01"}
        (tmp_path / ".r.h5.lock").write_text(json.dumps(owner))
        if alive:
            with pytest.raises(BusyError, match=f"process {process} on"), claimed(file):
                pass
        else:
            with claimed(file), replacing(file) as part:
                part.write_text("")
    assert os.listdir(tmp_path) == ["r.h5"]


def test_threads_and_other_names_of_a_file_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "r.h5"
    file.write_text("")
    (tmp_path / "link.h5").symlink_to(file)
    refused = []

    def second() -> None:
        try:
            with claimed(tmp_path / "link.h5"):
                pass
        except BusyError as error:
            refused.append(str(error))

    with claimed(file):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert f"link.h5 is being written by process {os.getpid()}" in refused[0]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    write_text(file, "old")
    file.chmod(0o640)
    (tmp_path / "link.json").symlink_to(file)
    with full_disk(1000), pytest.raises(OSError, match=rf"File too large: '{file}'"):
        write_text(file, "new" * 1000)
    with pytest.raises(TypeError), replacing(file) as part:
        part.write_text(b"new")  # type: ignore[arg-type]
    assert file.read_text() == "old"
    write_text(tmp_path / "link.json", "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.json", "r.json"]


def test_two_that_replace_a_file_do_not_mix(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    with replacing(file) as part:
        part.write_text("first")
        with pytest.raises(BusyError, match=r"r\.json is being written by another process"):
            write_text(file, "second")
    assert file.read_text() == "first"


def test_devices_are_written_in_place() -> None:
    write_text(Path("/dev/null"), "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_text(Path("/dev/full"), "text")


def test_missing_folders_are_named_or_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "r.json"
    for write in (lambda: write_text(file, ""), lambda: claimed(file).__enter__()):
        with pytest.raises(FileNotFoundError, match=rf"no folder for it, make one: '{file}'"):
            write()
    make_folder(file.parent, "save r.json")
    write_text(file, "text")
    with pytest.raises(ValueError, match=r"r.json/c to save d in cannot be made \(Not a dir"):
        make_folder(file / "c", "save d")
