"""Scripts of experiments/ within the process of the tests, and what their results must be."""

import importlib.util
import json
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
import torch

from leaps_triton.mcmc.fields import settling

tyro = pytest.importorskip("tyro")

ROOT = Path(__file__).parents[1]

VERSIONS = {"device", "leaps_triton", "torch", "triton", "python", "commit"}
"""What a result says of the programs that made it."""


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a script of experiments/ as a module, with what lies beside it."""
    file = ROOT / "experiments" / f"{name}.py"
    monkeypatch.syspath_prepend(str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look for their module by its name.
    monkeypatch.setitem(sys.modules, file.stem, module)
    spec.loader.exec_module(module)
    return module


def short_burn_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let moves of fields settle in a moment: burn-ins, of which there are many, have own tests."""
    for name, short in {"ANNEALED": 6, "ROUNDS": (6, 6), "TUNED": 6}.items():
        monkeypatch.setattr(settling, name, short)


def told(main: Any, settings: Any, file: Path) -> Any:
    """Return what a script writes, without places."""
    run(main, settings)
    return result(file)


def run(main: Any, settings: Any) -> None:
    """Run a script, which must end well."""
    threads = torch.get_num_threads()
    status: Any = 0
    with warnings.catch_warnings():
        # So few walkers and draws are too few for their errors.
        warnings.simplefilter("ignore")
        try:
            main(settings)
        except SystemExit as end:
            status = end.code
    torch.set_num_threads(threads)
    assert not status, status


def rehearse(name: str, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    """Run a script small, with options of its command line, without a process of its own.

    A process would spend half of its time on imports.
    """
    module = script(name, monkeypatch)
    kind = get_type_hints(module.main)["settings"]
    run(module.main, tyro.cli(kind, args=("--smoke", *options)))


def result(file: Path) -> Any:
    """Return what a file of results says, without places, infinities and NaN."""
    text = file.read_text(encoding="utf-8")
    for place in (ROOT, file.parent, sys.prefix, Path.home()):
        assert str(place) not in text
    return json.loads(text, parse_constant=refused)


def refused(constant: str) -> None:
    """Fail at what is no number in JSON."""
    pytest.fail(f"{constant} in the result")


def figured(file: Path) -> Any:
    """Return what a file of results says, which names its programs and has a figure beside it."""
    found = result(file)
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert set(found["versions"]) == VERSIONS
    return found
