"""How gpu.py runs its steps: each in time, and with its results kept after it.

Steps write into a folder of their own. After each of them four files of the output folder are
replaced, each as a whole: ``summary.json``, ``summary.txt``, ``kernels.csv``, ``results.tar.gz``.
"""

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpu_steps import ROOT

LOG_BYTES = 500_000
SPARE_SECONDS = 5.0
"""For writing the results after the last step."""
WRITTEN = ("summary.json", "summary.txt", "kernels.csv", "results.tar.gz")
"""All files of the output folder."""


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
    """What became of a step: passed, failed, stopped or skipped."""

    name: str
    status: str
    seconds: float = 0.0
    reason: str = ""


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
            start_new_session=True,
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
    steps: list[Step], work: Path, minutes: float, record: Callable[[list[Outcome]], None]
) -> list[Outcome]:
    """Run the steps in turn while there is time, and record every outcome at once."""
    deadline = time.monotonic() + 60.0 * minutes
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
            outcome = run_step(step, work, min(step.limit, left))
        outcomes.append(outcome)
        print(
            f"{outcome.name} {outcome.status} in {outcome.seconds:.1f} s: {outcome.reason}",
            flush=True,
        )
        record(outcomes)
    return outcomes


def is_failure(outcome: Outcome, steps: list[Step]) -> bool:
    """Return whether an outcome makes the run a failure."""
    partial = {step.name for step in steps if step.partial}
    if outcome.status == "stopped":
        return outcome.name not in partial
    return outcome.status == "failed"


def fastest(file: Path) -> list[str]:
    """Return one line per kernel and model, of its largest case."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        table = [row for row in csv.DictReader(lines) if row["variant"] == "kernel"]
    columns = ("kernel", "model", "shape", "walkers")
    rows = {(*(row[name] for name in columns), row["metric"]): row for row in table}
    sizes: dict[tuple[str, str], int] = {}
    largest: dict[tuple[str, str], dict[str, str]] = {}
    for row in table:
        size = int(row["walkers"]) * math.prod(map(int, row["shape"].split("x")))
        name = (row["kernel"], row["model"])
        if row["metric"] == "GB_per_s" and size >= sizes.get(name, 0):
            sizes[name] = size
            largest[name] = row
    lines_out = []
    for row in largest.values():
        seconds = rows[(*(row[name] for name in columns), "seconds")]
        speedup = f"{float(seconds['ratio']):.3g}x" if seconds["ratio"] else ""
        share = float(row["ratio"] or 0.0)
        lines_out.append(
            f"{row['kernel']:17}{row['model']:7}{row['shape']:>6} {row['walkers']:>8}"
            f"{float(seconds['value']) * 1e3:9.4g} ms{speedup:>7} of twin{share:5.0%} of copy"
        )
    return lines_out


def summary(outcomes: list[Outcome], work: Path) -> str:
    """Return the table of steps, and that of kernels."""
    width = max([28, *(len(outcome.name) + 1 for outcome in outcomes)])
    lines = [f"{'step':{width}}{'status':9}{'seconds':>8}"]
    for outcome in outcomes:
        reason = outcome.reason
        if outcome.name.startswith("bench") and outcome.status == "passed":
            reason = ""
        line = f"{outcome.name:{width}}{outcome.status:9}{outcome.seconds:8.1f}  {reason}"
        lines.append(line[:160].rstrip())
    try:
        lines += ["", *fastest(work / "kernels.csv")]
    except (ValueError, KeyError) as error:
        lines.append(f"kernels.csv cannot be read: {type(error).__name__} {error}")
    return "\n".join(lines)


def replace_file(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside the one it replaces, which is whole until then and afterwards."""
    temporary = file.with_name("unfinished")
    write(temporary)
    os.replace(temporary, file)


def archive(work: Path, file: Path) -> None:
    """Write all that the steps have written into one archive."""
    with tarfile.open(file, "w:gz") as packed:
        for item in sorted(work.rglob("*")):
            if item.is_file():
                packed.add(item, Path("results") / item.relative_to(work))


def publish(
    about: dict[str, Any], minutes: float, outcomes: list[Outcome], work: Path, output: Path
) -> None:
    """Replace the files of the output folder by those of what has been done so far."""
    steps = [asdict(outcome) for outcome in outcomes]
    found = {"provenance": about, "minutes": minutes, "steps": steps}
    text = json.dumps(found, indent=2) + "\n"
    replace_file(output / "summary.json", lambda file: file.write_text(text, encoding="utf-8"))
    table = summary(outcomes, work) + "\n"
    replace_file(output / "summary.txt", lambda file: file.write_text(table, encoding="utf-8"))
    if (work / "kernels.csv").exists():
        rows = work / "kernels.csv"
        replace_file(output / "kernels.csv", lambda file: shutil.copyfile(rows, file))
    replace_file(output / "results.tar.gz", lambda file: archive(work, file))
