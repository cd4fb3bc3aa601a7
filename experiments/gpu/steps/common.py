"""What all steps share: their options, what they were measured with, and where numbers go."""

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
CRITICAL = 0.44068679


def write_json(file: Path, value: Any) -> None:
    """Write a value as JSON; the file is replaced as a whole."""
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, file)


def sources() -> str:
    """Return a hash of the library, its kernels and these scripts.

    It tells whether a result is of this code where there is no git checkout.
    """
    digest = hashlib.sha256()
    for folder in ("kernels", "leaps_triton", "experiments/gpu"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def provenance(device: str, commit: str) -> dict[str, Any]:
    """Return device, versions and commit, or the error if the library cannot be imported."""
    try:
        import torch

        from leaps_triton.provenance import provenance as describe

        about: dict[str, Any] = describe(torch.device(device))
    # Recorded, so that one broken import does not cost all the results.
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    if commit and about["commit"] == "unknown":
        about["commit"] = commit
    return about


class Results:
    """What a step has found so far, on disk after every addition.

    Rows go to ``<step>.csv``, all else with the failures to ``<step>.json``.
    """

    def __init__(self, settings: argparse.Namespace, name: str) -> None:
        self.folder: Path = settings.output
        self.name = name
        self.about = provenance(settings.device, settings.commit)
        self.rows: list[Any] = []
        self.found: dict[str, Any] = {}
        self.failures: list[str] = []
        self._write()

    def _write(self) -> None:
        whole = {"provenance": self.about, "failures": self.failures, **self.found}
        write_json(self.folder / f"{self.name}.json", whole)

    def add(self, *rows: Any) -> None:
        """Add rows of numbers to the table, with what they were measured on."""
        from leaps_triton.bench.timing import write_rows

        names = ("device", "torch", "triton", "commit")
        columns = {name: self.about.get(name, "") for name in names}
        complete = [row._replace(**columns) for row in rows]
        self.rows += complete
        write_rows(self.folder / f"{self.name}.csv", complete)

    def detail(self, **found: Any) -> None:
        """Keep what is no row."""
        self.found |= found
        self._write()

    def fail(self, what: str) -> None:
        """Note a failure, which costs no other case its result."""
        print(f"failed: {what}", flush=True)
        self.failures.append(what)
        self._write()

    @contextmanager
    def case(self, name: str) -> Iterator[None]:
        """Note an error of what is done in this context, and go on after it."""
        print(f"{name} ...", flush=True)
        try:
            yield
        # Whatever a kernel or a compiler raises is the result of this case.
        except Exception as error:
            traceback.print_exc()
            first = str(error).strip().partition("\n")[0]
            self.fail(f"{name}: {type(error).__name__}: {first}"[:300])
            if "illegal" in first or "device-side assert" in first:
                # The context of the device is lost, and every later case would fail too.
                number = len(self.failures)
                sys.exit(f"{number} failed, and the device can no more be used: {first}")

    def end(self, sentence: str) -> None:
        """Print the last line, which the table of steps shows; end with the failures."""
        if self.failures:
            sys.exit(f"{len(self.failures)} failed, the first: {self.failures[0]}; {sentence}")
        print(sentence)


def experiment(name: str) -> ModuleType:
    """Return a script of the experiments as a module, with tyro or without.

    Raises:
        ValueError: If there is not one script of this name.
    """
    found = list((ROOT / "experiments").rglob(f"{name}.py"))
    if len(found) != 1:
        raise ValueError(f"one script {name}.py was expected in experiments, got {len(found)}")
    if "tyro" not in sys.modules and importlib.util.find_spec("tyro") is None:
        # Its command line is not used here.
        stand_in = ModuleType("tyro")
        stand_in.conf = SimpleNamespace(Positional=None)  # type: ignore[attr-defined]
        sys.modules["tyro"] = stand_in
    sys.path.insert(0, str(found[0].parent))
    return importlib.import_module(name)


def driver() -> str:
    """Return the version of the device's driver, or that it is unknown."""
    command = ["nvidia-smi", "-i", "0", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
