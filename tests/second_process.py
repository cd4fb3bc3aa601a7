"""Second processes of tests: a command, a writer and a reader of a file; and a full disk."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leaps_triton import files

# Run by itself, the module takes no second to be imported.
CLAIM = """
import pathlib, runpy, sys
claimed = runpy.run_path(sys.argv[1])["claimed"]
with claimed(pathlib.Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""

# As any program does it, with the locks that h5py takes unless told otherwise.
READ = """
import sys, h5py
held = h5py.File(sys.argv[1], "r")
print("held", flush=True)
for line in sys.stdin:
    with h5py.File(sys.argv[1], "r") as file:
        found = file[line.strip()][:]
    print(float(found.sum()), flush=True)
"""


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def writing(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold a file for writing."""
    with _process(CLAIM, str(files.__file__), str(file)) as process:
        yield process


@contextmanager
def reading(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process have an HDF5 file open; it sums the datasets that it is told of."""
    with _process(READ, str(file)) as process:
        yield process


def summed(process: subprocess.Popen[str], dataset: str) -> float:
    """Return the sum of a dataset, as the process of :func:`reading` finds it in the file now."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{dataset}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file be written beyond ``size`` bytes: the error is as real as that of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the library, which prints for a terminal of 80 columns."""
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-m", "leaps_triton", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
