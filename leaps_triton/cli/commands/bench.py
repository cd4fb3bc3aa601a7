"""``leaps-triton bench`` and ``leaps-triton tune``: kernels measured, and their configurations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...bench.report import present
from ...bench.run import run
from ...kernels.registration import MISSING
from ..interrupts import going_on
from ..results import check_folders

__all__ = ["Bench", "Tune"]


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


@dataclass(frozen=True)
class Tune:
    """Find the best configuration of every kernel on a CUDA device, and keep it.

    Only configurations that keep every bit count. Later runs take them.
    """

    ops: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[OP...]", help_behavior_hint=""),
    ] = ()
    """Names of ops; all by default."""
    shape: tuple[int, ...] = (64, 64)
    """Lattice to tune for."""
    walkers: int = 1024
    """Number of walkers."""
    device: str | None = None
    """"cuda", or one of several, such as "cuda:1"."""
    seconds: float = 600.0
    """Time it may take; what was found until then is kept."""
    dry_run: bool = False
    """List what would be tried, which needs no device."""
    json: Path | None = None
    """File of the configurations; by default that which later runs read."""

    def run(self) -> None:
        """Tune, and say what came of each kernel."""
        check_folders(self.json)
        if MISSING is not None:
            raise ValueError(f"there is nothing to tune: Triton cannot be imported: {MISSING}")
        # All other commands do without Triton.
        from ...bench.tuning import run as tune

        tune(
            self.ops,
            self.shape,
            self.walkers,
            self.device,
            self.seconds,
            self.json,
            self.dry_run,
        )
