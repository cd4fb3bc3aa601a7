"""The results of gpu.py: four files, each replaced as a whole, and complete at any moment.

``summary.json`` and ``summary.txt`` say what became of every step and goal, ``kernels.csv`` has all
numbers, ``results.tar.gz`` all that the steps have written and printed. A later run reads them to
go on.
"""

import io
import json
import os
import statistics
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gpu_goals
from gpu_run import Outcome

WRITTEN = ("summary.json", "summary.txt", "kernels.csv", "results.tar.gz")
"""All files of the output folder."""
LARGEST = 8_000_000
"""Bytes of a file that goes into the archive."""
EVERY = 5.0
"""Seconds between two replacements while a step runs: what a killed run loses at most."""
QUERY = ("clocks.sm", "clocks.mem", "power.draw", "temperature.gpu")
NAMES = ("sm_mhz", "memory_mhz", "watts", "celsius")


class Clocks:
    """Reads the device's clocks twice a second, and changes nothing."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, list[float]]] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin to read; a machine without the tool has no clocks."""
        command = ["nvidia-smi", "-i", "0", f"--query-gpu={','.join(QUERY)}"]
        command += ["--format=csv,noheader,nounits", "-lms", "500"]
        with suppress(OSError):
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        for line in self.process.stdout:
            # A number that the device does not tell is no number.
            with suppress(ValueError):
                self.seen.append((time.monotonic(), [float(cell) for cell in line.split(",")]))

    def stop(self) -> None:
        """End the reading."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def during(self, seconds: float) -> dict[str, float]:
        """Return the medians of the last seconds, and the lowest and highest clock."""
        begin = time.monotonic() - seconds
        chosen = [values for at, values in self.seen if at >= begin]
        if not chosen:
            return {}
        columns = dict(zip(NAMES, zip(*chosen, strict=True), strict=True))
        found = {name: statistics.median(values) for name, values in columns.items()}
        found["sm_mhz_least"] = min(columns["sm_mhz"])
        found["sm_mhz_most"] = max(columns["sm_mhz"])
        return found


def replace_file(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside the one it replaces, which is whole until then and afterwards."""
    temporary = file.with_name("unfinished")
    write(temporary)
    os.replace(temporary, file)


def is_unfinished(file: Path) -> bool:
    """Return whether a file will take another's name when it is whole."""
    return file.name.startswith(".") or file.suffix == ".tmp"


def archive(work: Path, file: Path) -> None:
    """Write all that the steps have written into one archive."""
    with tarfile.open(file, "w:gz") as packed:
        for item in sorted(work.rglob("*")):
            # A step may replace a file, or take it away, while it is read.
            with suppress(OSError):
                if not item.is_file() or is_unfinished(item) or item.stat().st_size > LARGEST:
                    continue
                data = item.read_bytes()
                about = tarfile.TarInfo(str(Path("results") / item.relative_to(work)))
                about.size = len(data)
                about.mtime = int(item.stat().st_mtime)
                packed.addfile(about, io.BytesIO(data))


def read_outcomes(folder: Path) -> dict[str, Outcome]:
    """Return the outcomes of an earlier run by step; none if there is no run that can be read."""
    try:
        steps = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["steps"]
        return {step["name"]: Outcome(**step) for step in steps}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"gpu: {folder.name}/summary.json cannot be read: {error}", flush=True)
        return {}


def unpack(folder: Path, work: Path) -> None:
    """Put what the steps of an earlier run have written where those of this one write."""
    try:
        with tarfile.open(folder / "results.tar.gz") as packed:
            for member in packed.getmembers():
                member.name = str(Path(member.name).relative_to("results"))
                packed.extract(member, work, filter="data")
    except (OSError, ValueError, EOFError, tarfile.TarError) as error:
        print(f"gpu: {folder.name}/results.tar.gz cannot be read: {error}", flush=True)


class Book:
    """What became of all steps, of this run and those before, and where it is written."""

    def __init__(self, about: dict[str, Any], work: Path, output: Path) -> None:
        self.about = about
        self.work = work
        self.output = output
        self.outcomes: dict[str, Outcome] = {}
        self.clocks = Clocks()
        self._lock = threading.RLock()
        self._ended = threading.Event()

    def take(self, folders: Iterable[Path]) -> None:
        """Take over the results of earlier runs; later ones count where both have a step."""
        for folder in folders:
            earlier = read_outcomes(folder)
            if earlier:
                unpack(folder, self.work)
            self.outcomes |= earlier

    def has(self, name: str) -> bool:
        """Return whether a step has passed with this code, on this device."""
        outcome = self.outcomes.get(name)
        if outcome is None or outcome.status != "passed":
            return False
        return self._same(outcome)

    def _same(self, outcome: Outcome) -> bool:
        keys = ("device", "torch", "triton", "sources")
        return all(outcome.made_with.get(key) == self.about.get(key) for key in keys)

    def unfinished(self, names: Iterable[str]) -> list[str]:
        """Return the steps of a part that have not passed; none if no run has begun with it."""
        listed = list(names)
        known = [self.outcomes[name] for name in listed if name in self.outcomes]
        if not known:
            return []
        passed = {outcome.name for outcome in known if outcome.status == "passed"}
        return [name for name in listed if name not in passed]

    def forget(self, name: str) -> None:
        """Take away what an earlier run of a step has left."""
        with self._lock:
            self.outcomes.pop(name, None)
            for file in self.work.glob(f"{name}.*"):
                file.unlink()

    def record(self, outcome: Outcome) -> None:
        """Add the outcome of a step, and write everything."""
        outcome.clocks = self.clocks.during(outcome.seconds)
        outcome.made_with = self.about
        with self._lock:
            # At the end, also where it has run before.
            self.outcomes.pop(outcome.name, None)
            self.outcomes[outcome.name] = outcome
            self.publish()

    def _tables(self) -> list[Path]:
        return sorted(file for file in self.work.glob("*.csv") if not is_unfinished(file))

    def rows(self) -> list[dict[str, str]]:
        """Return all numbers, each with its step."""
        return gpu_goals.read(self._tables())

    def table(self) -> str:
        """Return what a person reads: steps, then goals."""
        lines = [", ".join(f"{key} {value}" for key, value in self.about.items()), ""]
        names = [*self.outcomes, "step"]
        width = max(map(len, names)) + 1
        lines.append(f"{'step':{width}}{'status':9}{'seconds':>8}{'MHz':>6}")
        for outcome in self.outcomes.values():
            clock = self._clock(outcome)
            line = f"{outcome.name:{width}}{outcome.status:9}{outcome.seconds:8.1f}{clock:>6}"
            note = "" if self._same(outcome) else "(another code or device) "
            lines.append(f"{line}  {note}{outcome.reason}"[:180].rstrip())
        try:
            clocks = {name: self._clock(outcome) for name, outcome in self.outcomes.items()}
            lines += ["", *gpu_goals.lines(self.rows(), clocks)]
        except (OSError, ValueError, KeyError) as error:
            lines.append(f"a table of numbers cannot be read: {type(error).__name__} {error}")
        return "\n".join(lines)

    @staticmethod
    def _clock(outcome: Outcome) -> str:
        if "sm_mhz" not in outcome.clocks:
            return ""
        return f"{outcome.clocks['sm_mhz']:.0f}"

    def publish(self) -> None:
        """Replace the files of the output folder by those of what has been done so far."""
        with self._lock:
            steps = [asdict(outcome) for outcome in self.outcomes.values()]
            text = json.dumps({"provenance": self.about, "steps": steps}, indent=2) + "\n"
            self._replace("summary.json", text)
            self._replace("summary.txt", self.table() + "\n")
            self._replace("kernels.csv", self._csv())
            replace_file(self.output / "results.tar.gz", lambda file: archive(self.work, file))

    def _replace(self, name: str, text: str) -> None:
        replace_file(self.output / name, lambda file: file.write_text(text, encoding="utf-8"))

    def _csv(self) -> str:
        """Return the tables of all steps as one, its header first."""
        header = ""
        lines = []
        for file in self._tables():
            first, *rest = file.read_text(encoding="utf-8").splitlines() or [""]
            header = header or first
            lines += rest
        if not header:
            return ""
        return "\n".join([header, *lines]) + "\n"

    def start(self) -> None:
        """Write everything now, and again every few seconds until :meth:`stop`."""
        self.clocks.start()
        self.publish()
        threading.Thread(target=self._again, daemon=True).start()

    def _again(self) -> None:
        while not self._ended.wait(EVERY):
            # A disk that is full now may not be so at the end.
            with suppress(OSError):
                self.publish()

    def stop(self) -> None:
        """Write everything for the last time."""
        self._ended.set()
        self.clocks.stop()
        self.publish()
