"""Several processes of a test, as torchrun starts them, but forked from one that knows the library.

A process by itself takes seconds to import torch and to load compiled kernels; forked ones take
none. ``run`` starts one that imports a module of tests, calls its ``warm()``, and then runs phase
after phase in as many processes as each is for.
"""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Ended", "free_ports", "run"]

_SECONDS = 60.0
"""Time for a phase, far more than any needs."""


class Ended(NamedTuple):
    """What became of a process."""

    status: int
    """Exit status, or minus the number of a signal"""
    out: str
    """What it printed"""
    error: str
    """What it said to stderr"""


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


def run(module: str, folder: Path, phases: Sequence[tuple[int, str]]) -> list[list[Ended]]:
    """Run functions of a module in several processes, and return what became of each.

    Args:
        module: of tests.
        folder: given to each function; a folder of its own for each phase is in it.
        phases: number of processes, and name of the function that each of them calls.
    """
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "MASTER_ADDR": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": "lo",
        "LEAPS_TRITON_PATIENCE": "2",
    }
    command = [sys.executable, __file__, module, str(folder), json.dumps(phases)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = []
    for phase, statuses in enumerate(json.loads(ended.stdout.splitlines()[-1])):
        ranks = []
        for rank, status in enumerate(statuses):
            said = [
                Path(folder, f"{phase}.{rank}.{name}").read_text(encoding="utf-8")
                for name in ("out", "err")
            ]
            ranks.append(Ended(status, *said))
        found.append(ranks)
    return found


def _main(module: str, folder: str, phases: Sequence[tuple[int, str]]) -> None:
    """Import a module, and run its functions in forked processes."""
    sys.path.insert(0, os.environ["PYTHONPATH"].split(os.pathsep)[0])
    # Modules of tests stand in folders that are no packages.
    tests = importlib.import_module(module)
    tests.warm()
    statuses = []
    for phase, (world, name) in enumerate(phases):
        own = Path(folder, str(phase))
        own.mkdir()
        port = free_ports(1)[0]
        children = []
        for rank in range(world):
            place = (phase, rank, world, port)
            children.append(_forked(getattr(tests, name), own, place, folder))
        statuses.append([_waited(child) for child in children])
    print(json.dumps(statuses))


def _forked(target: Callable[[Path], None], own: Path, place: Any, folder: str) -> int:
    """Run a function in a forked process; return the number of that process."""
    phase, rank, world, port = place
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    for name, number in (("out", 1), ("err", 2)):
        file = os.open(f"{folder}/{phase}.{rank}.{name}", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
    os.environ.update(
        MASTER_PORT=str(port), WORLD_SIZE=str(world), RANK=str(rank), LOCAL_RANK=str(rank)
    )
    status = 0
    try:
        target(own)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Without what the first process would do at its end.
    os._exit(status)


def _waited(child: int) -> int:
    """Return the exit status of a process, or minus the number of the signal that ended it."""
    last = time.monotonic() + _SECONDS
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > last:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
