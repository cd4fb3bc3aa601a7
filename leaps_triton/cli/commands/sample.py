"""``leaps-triton sample``: weighted walkers of a trained or published sampler."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

import leaps_triton as lt

from ...kernels.checks import as_device
from ...provenance import provenance
from ..interrupts import going_on
from ..options import announce, check_folders, config, write
from .info import measured

__all__ = ["Sample"]


@dataclass(frozen=True)
class Sample:
    """Draw weighted walkers into an HDF5 file, and print physics with errors.

    With --resume and the same other options a stopped run goes on.

    A finished run goes on too: with more --walkers it grows.
    """

    output: Path
    """HDF5 file for log-weights and observables."""
    checkpoint: Annotated[
        Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")
    ] = None
    """File of `leaps-triton train`, or of lt.save."""
    published: Path | None = None
    """Instead of it, a network of the LEAPS paper: ising_final.ckpt or potts_final.ckpt."""
    walkers: int = 4096
    """Walkers to sample."""
    configurations: bool = False
    """Store the configurations too, one byte a site and walker."""
    resume: bool = False
    """Go on with the output file, if there is one."""
    seed: int = 0
    """Seed of everything random, 0 to 4294967295."""
    device: str | None = None
    """"cpu" or "cuda"; CUDA by default where there is a CUDA device."""
    json: Path | None = None
    """Where to save the table as JSON."""

    def run(self) -> None:
        """Sample, print, and save."""
        if self.walkers < 2:
            raise ValueError(f"walkers must be at least 2, for error bars, got {self.walkers}")
        # Before long work: a folder that is missing is found out now.
        check_folders(self.output, self.json)
        if (self.checkpoint is None) == (self.published is None):
            raise ValueError(
                "give either a CHECKPOINT or --published with a file of the LEAPS paper"
            )
        place = as_device(self.device)
        if self.checkpoint is not None:
            sampler = lt.load(self.checkpoint, place)
        elif self.published is not None:
            sampler = lt.load_published_leaps(self.published, place)
        announce(sampler.path.model, sampler.device)
        # Reading the sampler is no part of the time told.
        begin = time.perf_counter()
        with going_on(self.output):
            run = lt.io.sample(
                sampler,
                self.walkers,
                self.output,
                self.seed,
                configurations=self.configurations,
                resume=self.resume,
                progress=True,
            )
        table = measured(run, self.output)
        print(f"walkers: {self.output}")
        seconds = time.perf_counter() - begin
        about = {"seconds": seconds, "config": config(self), "versions": provenance()}
        write(self.json, {**table, **about})
