"""How gpu.py runs its steps: each a process of its own, in time, with what it prints in a log."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steps.common import ROOT

LOG_BYTES = 500_000
SPARE_SECONDS = 5.0
"""For writing the results after the last step."""


def python(*arguments: str) -> list[str]:
    """Return a command of the running python."""
    return [sys.executable, *arguments]


@dataclass(frozen=True)
class Step:
    """A process to run for at most ``limit`` seconds.

    Attributes:
        name: Names the step and its log.
        about: Says in a few words what it does.
        command: What to run; ``{seconds}`` in it becomes the step's time limit.
        needs: The least number of seconds that makes it worth to begin.
        limit: The largest number of seconds.
        environment: Variables to set beside those of this process.
        partial: Whether what it has written is of use if it is stopped.
        skip: Why it is not run; empty if it is.
    """

    name: str
    about: str
    command: list[str]
    needs: float
    limit: float
    environment: dict[str, str] = field(default_factory=dict)
    partial: bool = False
    skip: str = ""


@dataclass
class Outcome:
    """What became of a step.

    Attributes:
        name: That of the step.
        status: ``passed``, ``failed``, ``stopped`` by its limit, or ``skipped``.
        seconds: How long it ran.
        reason: Its last line, or why it did not pass.
        clocks: What the device's clocks, power and temperature were meanwhile.
        made_with: Device, versions and commit.
    """

    name: str
    status: str
    seconds: float = 0.0
    reason: str = ""
    clocks: dict[str, float] = field(default_factory=dict)
    made_with: dict[str, Any] = field(default_factory=dict)


def clean(text: str, work: Path) -> str:
    """Return the text without the folders of this machine."""
    names = {
        str(work): "<output>",
        str(ROOT): ".",
        sys.prefix: "<python>",
        sys.base_prefix: "<python>",
        str(Path.home()): "~",
        tempfile.gettempdir(): "<tmp>",
    }
    for folder in sorted(names, key=len, reverse=True):
        if folder != "/":
            text = text.replace(folder, names[folder])
    return text


def environment_of(step: Step) -> dict[str, str]:
    """Return the variables of a step: it finds this tree first, and no interpreter of kernels."""
    folders = [str(ROOT)]
    if os.environ.get("PYTHONPATH"):
        folders.append(os.environ["PYTHONPATH"])
    settings = {
        "PYTHONPATH": os.pathsep.join(folders),
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "Agg",
    }
    environment = os.environ | settings | step.environment
    environment.pop("TRITON_INTERPRET", None)
    return environment


def follow(process: subprocess.Popen[str], file: Path, work: Path) -> tuple[int, str]:
    """Write what a process prints into a log, line by line.

    Returns:
        Its exit status and the last line that is not empty.
    """
    last = ""
    assert process.stdout is not None
    with file.open("w", encoding="utf-8") as log:
        for printed in process.stdout:
            line = clean(printed, work)
            last = line.strip() or last
            if log.tell() < LOG_BYTES:
                log.write(line)
                log.flush()
    return process.wait(), last


def run_step(step: Step, work: Path, seconds: float) -> Outcome:
    """Run a step for at most ``seconds``; what it prints goes to ``<work>/<name>.log``."""
    command = [part.replace("{seconds}", f"{seconds:.0f}") for part in step.command]
    begin = time.monotonic()
    stopped = threading.Event()
    try:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment_of(step),
            text=True,
            errors="replace",
            # A group of its own, so that all that it starts ends with it.
            process_group=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        return Outcome(step.name, "failed", 0.0, clean(str(error), work))

    def stop() -> None:
        stopped.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, stop)
    timer.start()
    with process:
        try:
            status, last = follow(process, work / f"{step.name}.log", work)
        finally:
            timer.cancel()
            if process.poll() is None:
                stop()
    spent = time.monotonic() - begin
    if stopped.is_set():
        return Outcome(step.name, "stopped", spent, f"after its {seconds:.0f} s; {last}")
    if status:
        return Outcome(step.name, "failed", spent, f"exit status {status}: {last}")
    return Outcome(step.name, "passed", spent, last)


def carry_out(
    steps: list[Step],
    work: Path,
    seconds: float,
    record: Callable[[Outcome], None],
    forget: Callable[[str], None],
) -> list[Outcome]:
    """Run the steps in turn while there is time, and record every outcome at once.

    Args:
        steps: What to run, in this order.
        work: Folder of their logs.
        seconds: Time for all.
        record: Takes each outcome.
        forget: Takes away what an earlier run of a step has left, just before it runs again.
    """
    deadline = time.monotonic() + seconds
    outcomes: list[Outcome] = []
    for step in steps:
        left = deadline - time.monotonic() - SPARE_SECONDS
        if step.skip:
            outcome = Outcome(step.name, "skipped", 0.0, step.skip)
        elif left < step.needs:
            reason = f"{max(0.0, left):.0f} s are left and it needs {step.needs:.0f} s"
            outcome = Outcome(step.name, "skipped", 0.0, reason)
        else:
            print(f"{step.name} ...", flush=True)
            forget(step.name)
            outcome = run_step(step, work, min(step.limit, left))
        outcomes.append(outcome)
        print(
            f"{outcome.name} {outcome.status} in {outcome.seconds:.1f} s: {outcome.reason}",
            flush=True,
        )
        record(outcome)
    return outcomes


def is_failure(outcome: Outcome, steps: list[Step]) -> bool:
    """Return whether an outcome makes the run a failure."""
    partial = {step.name for step in steps if step.partial}
    if outcome.status == "stopped":
        return outcome.name not in partial
    return outcome.status == "failed"
