"""``leaps-triton info`` and ``leaps-triton measure``: what a file holds, and what it says."""

import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

import leaps_triton as lt

from ...io import checkpoint
from ...io.packing import is_hdf5
from ...provenance import provenance
from ...report import scans, summary
from ..results import check_folders, write
from ..targets.learned import measured as measured_learned
from ..targets.learned import render

__all__ = ["Info", "Measure", "measured"]

_CALLED = {
    "kernel": "move",
    "kernels": "moves",
    "chain": "run",
    "mcmc": "moves",
    "provenance": "made by",
}
"""Entry of a manifest → what a person calls it."""

_WIDTH = 100
"""Columns of a line at most."""


@dataclass(frozen=True)
class Info:
    """Say what a file holds: a checkpoint, a learned model, walkers or chains."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """File of `leaps-triton train`, `learn`, `sample` or `chain`."""
    json: Path | None = None
    """Where to save the same as JSON."""

    def run(self) -> None:
        """Read the file as a whole, and print its manifest."""
        check_folders(self.json)
        # By its first bytes: the name may have any ending.
        with self.file.open("rb") as stream:
            is_run = is_hdf5(stream.read(16))
        if is_run:
            run = lt.io.read(self.file)
            ending = "complete" if run.complete else "incomplete: --resume goes on"
            kind = f"{run.progress}, {ending}"
            manifest: dict[str, Any] = run.manifest
            model: Any = run.model
            bias = run.bias
            accepted = run.notes.get("acceptance", "")
        else:
            contents = checkpoint.read(self.file)
            if "result" in contents.manifest:
                self._tell_learned(contents.manifest)
                return
            manifest = contents.manifest
            # On the CPU: a file from a GPU can be read where there is none.
            sampler = checkpoint.rebuild(contents, self.file.name, "cpu")
            model = sampler.path.model
            bias = sampler.integrator.bias
            # What a sampler accepts its walkers tell.
            accepted = ""
            kind = _kind(manifest)
        print(f"{self.file.name}: {kind}")
        print(_line("model", repr(model)))
        if "graph" in manifest.get("model", {}):
            print(_line("graph", model.lattice.describe()))
            print(_line("neighbours", model.interactions.rule))
        for name, part in manifest.items():
            # The model stands above, and the version of the format is of no use to a person.
            if name in ("model", "schema"):
                continue
            text = _words(part)
            if not text:
                continue
            if name == "resampling" and not part["below"]:
                text = "none"
            print(_line(_CALLED.get(name, name), text))
        if accepted:
            print(_line("accepted", accepted))
        if bias:
            print(_line("weights", bias))
        print(_line("next", _next(self.file.name, is_run)))
        write(self.json, {"kind": kind, **manifest})

    def _tell_learned(self, manifest: dict[str, Any]) -> None:
        """Print what was learned, and save the manifest."""
        learned = lt.load(self.file, "cpu")
        table = measured_learned(learned)
        kind = f"learned model, step {table['steps']}"
        learner = manifest.get("learner", {})
        print(f"{self.file.name}: {kind}")
        print(_line("model", repr(learned.model)))
        lattice = getattr(learned.model, "lattice", None)
        if isinstance(lattice, lt.Graph):
            print(_line("graph", lattice.describe()))
        for name in ("objective", "settings"):
            if name in learner:
                print(_line(name, _words(learner[name])))
        print(_line("made by", _words(manifest["provenance"])))
        print(render(table))
        print(_line("next", f"lt.load({self.file.name!r}).model in Python"))
        write(self.json, {"kind": kind, **manifest, "learned": table})


def _kind(manifest: dict[str, Any]) -> str:
    """Return what a checkpoint is one of."""
    training = manifest.get("training")
    if training is None:
        return "sampler"
    return f"training, step {training['step']} of {training['config']['steps']}"


def _line(name: str, text: str) -> str:
    """Return an entry as a line, or as several with a margin."""
    margin = " " * 13
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=f"  {name:11}",
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _words(part: Any) -> str:
    """Return an entry of a manifest in words; what is not set, or empty, is left out.

    Example:
        >>> _words({"class": "Jump", "intervals": 10, "kind": "", "of": {"seeds": [1, 2]}})
        'Jump, intervals 10, seeds 1 2'
        >>> _words({"below": 0.0, "exact": True, "to": None}), _words(None)
        ('below 0, exact yes', 'none')
    """
    if isinstance(part, dict):
        words = []
        for name, value in part.items():
            text = _words(value)
            if value is None or not text:
                continue
            # The name of a class and entries of entries speak for themselves.
            if name != "class" and not isinstance(value, dict):
                text = f"{_CALLED.get(name, name)} {text}"
            words.append(text)
        return ", ".join(words)
    if isinstance(part, list):
        between = " "
        if any(isinstance(value, dict) for value in part):
            between = " + "
        return between.join(_words(value) for value in part)
    if part is True:
        return "yes"
    if part is False:
        return "no"
    if isinstance(part, float):
        return f"{part:g}"
    if part is None:
        return "none"
    return str(part)


def _next(name: str, is_run: bool) -> str:
    """Return the commands that go on with a file."""
    if is_run:
        return f"leaps-triton measure {name}; leaps-triton plot {name}"
    return f"leaps-triton sample {name} --output walkers.h5"


@dataclass(frozen=True)
class Measure:
    """Print the table of a file: values, errors, exact values and pulls.

    Chains have their autocorrelation times in draws.
    """

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """HDF5 file of `leaps-triton sample` or `leaps-triton chain`."""
    json: Path | None = None
    """Where to save the table as JSON."""

    def run(self) -> None:
        """Read, print, and save."""
        check_folders(self.json)
        run = lt.io.read(self.file)
        ending = "" if run.complete else ", incomplete"
        print(f"{self.file.name}: {run.progress}{ending}; {run.model}")
        about = {"file": self.file.name, "run": run.manifest, "versions": provenance()}
        write(self.json, {**measured(run, self.file), **about})


def more(run: Any) -> str:
    """Return how a run of too few walkers or draws gets more, for the end of an error."""
    if not run.complete:
        return "go on with it by --resume first"
    longer = "--sweeps"
    if run.weighted:
        longer = "--walkers"
    return f"it is complete: go on with it by --resume and more {longer}"


def measured(run: Any, file: Path) -> dict[str, Any]:
    """Print the table of a run; what is to be said of its errors comes in lines of its own.

    Args:
        run: what :func:`leaps_triton.io.read` returns.
        file: its file.

    Returns:
        The table, as :func:`leaps_triton.report.measure` makes it, or of several temperatures as
        :func:`leaps_triton.report.scans.measure` does.
    """
    if not run.has_errors:
        raise ValueError(f"{file.name} has too few walkers or draws for error bars; {more(run)}")
    by_beta = {}
    if run.by_beta:
        by_beta = _measured_scan(lt.Scan(run))
        # The last temperature is that of the run; chains may have measured more there.
        if run.weighted or not run.names:
            return by_beta
    with warnings.catch_warnings(record=True) as caught:
        # Python shows a warning once per place; each table needs its own.
        warnings.simplefilter("always")
        # What doubts a table itself has, it says in lines of its own.
        warnings.simplefilter("ignore", lt.estimators.CautionWarning)
        table = summary.measure(run, run.names)
    print(summary.render(table))
    # Several observables may warn alike: once is enough, in the order of the table.
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"caution: {message}")
    if by_beta:
        table["by_beta"] = by_beta
    return table


def _measured_scan(found: lt.Scan) -> dict[str, Any]:
    """Print the table of several temperatures, and what is to be said of its errors."""
    table = scans.measure(found)
    print(scans.render(table))
    for caution in table["cautions"]:
        print(f"caution: {caution}")
    return table
