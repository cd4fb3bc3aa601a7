"""``leaps-triton sample`` and ``merge``: weighted walkers of a sampler, in one file or in parts."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

import leaps_triton as lt

from ...kernels.checks import as_device
from ...parallel import ALONE, Ranks
from ...provenance import provenance
from ..interrupts import going_on
from ..options import announce, check_folders, config, write
from .info import measured

__all__ = ["Merge", "Sample"]


@dataclass(frozen=True)
class Sample:
    """Draw weighted walkers into an HDF5 file, and print physics with errors.

    With --resume and the same other options a stopped run goes on.

    A finished run goes on too: with more --walkers it grows.

    Many processes: torchrun --nproc-per-node=N -m leaps_triton sample ...
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
    blocks: str | None = None
    """Draw blocks A to B - 1 of these walkers alone, given as A:B, for `merge`."""
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

    def run(self, ranks: Ranks = ALONE) -> None:
        """Sample, print, and save.

        Args:
            ranks: the processes that share the work.
        """
        if self.walkers < 2:
            raise ValueError(f"walkers must be at least 2, for error bars, got {self.walkers}")
        # Before long work: a folder that is missing is found out now.
        if ranks.first:
            check_folders(self.output, self.json)
        if (self.checkpoint is None) == (self.published is None):
            raise ValueError(
                "give either a CHECKPOINT or --published with a file of the LEAPS paper"
            )
        blocks = _blocks(self.blocks)
        place = ranks.placed(as_device(self.device))
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
                blocks=blocks,
                ranks=ranks,
            )
        if not ranks.first:
            return
        table = measured(run, self.output)
        print(f"walkers: {self.output}")
        seconds = time.perf_counter() - begin
        about = {"seconds": seconds, "config": config(self), "versions": provenance()}
        write(self.json, {**table, **about})


@dataclass(frozen=True)
class Merge:
    """Make one file of files of `sample --blocks`, the same as that of the whole run."""

    output: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """HDF5 file to write."""
    parts: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PART")]
    """Files of `leaps-triton sample --blocks`, in any order."""
    json: Path | None = None
    """Where to save the table as JSON."""

    def run(self) -> None:
        """Merge, print, and save."""
        check_folders(self.output, self.json)
        if not self.parts:
            raise ValueError("give OUT and one or more files of `leaps-triton sample --blocks`")
        run = lt.io.merge(self.parts, self.output)
        table = measured(run, self.output)
        print(f"walkers: {self.output}, {run.progress}")
        about = {**config(self), "parts": [part.name for part in self.parts]}
        write(self.json, {**table, "config": about, "versions": provenance()})


def _blocks(text: str | None) -> tuple[int, int] | None:
    """Return first and end of blocks that are given as ``A:B``; None for all."""
    if text is None:
        return None
    first, colon, end = text.partition(":")
    if not colon or not first.isdecimal() or not end.isdecimal():
        raise ValueError(f"--blocks must be A:B, two whole numbers such as 0:4, got {text!r}")
    return int(first), int(end)
