"""``leaps-triton info`` and ``leaps-triton measure``: what a file holds, and what it says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

import leaps_triton as lt

from ..io import checkpoint
from ..provenance import provenance
from .options import check_folders, write
from .plot import _measured, _walkers

__all__ = ["Info", "Measure"]


@dataclass(frozen=True)
class Info:
    """Say what a file holds: a checkpoint, weighted walkers or chains."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """File of `leaps-triton train`, `sample` or `chain`."""
    json: Path | None = None
    """Where to save the same as JSON."""

    def run(self) -> None:
        """Read the file as a whole, and print its manifest."""
        with self.file.open("rb") as stream:
            is_run = stream.read(8) == b"\x89HDF\r\n\x1a\n"
        if is_run:
            run = lt.io.read(self.file)
            if isinstance(run, lt.io.ChainRun):
                asked = run.manifest["chain"]["sweeps"] // run.thin
                kind = f"chain, {run.draws} of {asked} draws of {run.walkers} walkers"
            else:
                kind = f"{len(run.log_weights)} of {run.manifest['run']['walkers']} walkers"
            kind += ", complete" if run.complete else ", incomplete: --resume goes on"
            manifest, model = run.manifest, run.model
        else:
            contents = checkpoint.read(self.file)
            model = checkpoint.rebuild(contents, self.file.name, "cpu").path.model
            manifest = contents.manifest
            training = manifest.get("training")
            kind = (
                "sampler"
                if training is None
                else f"training, step {training['step']} of {training['config']['steps']}"
            )
        print(f"{self.file.name}: {kind}; {model}")
        for name, part in manifest.items():
            words = (
                ", ".join(f"{k} {v}" for k, v in part.items()) if isinstance(part, dict) else part
            )
            print(f"{name + ':':12} {words}")
        write(self.json, {"kind": kind, **manifest})


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
        done = (
            f"{run.draws} draws of {run.walkers} walkers"
            if isinstance(run, lt.Chain)
            else _walkers(run)
        )
        print(f"{self.file.name}: {done}{'' if run.complete else ', incomplete'}; {run.model}")
        result = _measured(run, self.file)
        write(
            self.json,
            {**result, "file": self.file.name, "run": run.manifest, "versions": provenance()},
        )
