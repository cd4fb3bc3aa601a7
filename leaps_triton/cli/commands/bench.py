"""``leaps-triton bench``: kernels against their twins."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...bench.report import present
from ...bench.run import run
from ..interrupts import going_on
from ..options import check_folders

__all__ = ["Bench"]


@dataclass(frozen=True)
class Bench:
    """Measure kernels, their twins, compiled twins, and what the device can do.

    A kernel that disagrees with its twin is not timed, and the command fails.
    """

    ops: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[OP...]", help_behavior_hint=""),
    ] = ()
    """Names of ops; all by default."""
    smoke: bool = False
    """One small lattice and no compiled twins, in seconds."""
    no_compiled: bool = False
    """Leave out the compiled twins, which on a CPU need a C++ compiler."""
    seed: int = 0
    """Seed of the inputs, 0 to 4294967295."""
    device: str | None = None
    """"cpu" or "cuda"; CUDA by default where there is a CUDA device."""
    output: Path | None = None
    """CSV table to add the rows to; a row of the same case on the same device is replaced."""
    json: Path | None = None
    """Where to save the results as JSON."""

    def run(self) -> None:
        """Measure, print, and save."""
        # Before the measurements: a folder that is missing is found out now.
        check_folders(self.output, self.json)
        # The table is written after every case; no option goes on with it.
        with going_on(self.output, resumes=False):
            report = run(
                self.ops,
                self.device,
                self.smoke,
                self.seed,
                not self.no_compiled,
                self.output,
                progress=True,
            )
        present(report, self.json)
