"""``leaps-triton sample`` and ``merge``: weighted walkers of a sampler, in one file or in parts."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

import leaps_triton as lt

from ...kernels.checks import as_device, as_integer
from ...parallel import ALONE, Ranks
from ...provenance import provenance
from ..interrupts import going_on
from ..moves import as_move
from ..options import config, option
from ..results import announce, check_folders, write
from ..targets.densities import DENSITIES, density_path
from ..targets.learned import load_sampler
from .info import measured

__all__ = ["Merge", "Sample"]

_FEW = 64
"""Walkers that are drawn again, where none are stored, to see what their moves accept."""


_INTERVALS = 100
"""Of the path to a density, unless told."""

_LEAPFROGS = 3
"""Of a trajectory on it, unless told."""

_MODELS = (
    f"Instead of it, a density without a network, to which trajectories of HMC lead by annealed "
    f"importance sampling: {', '.join(DENSITIES)}."
)


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
    zoo: str | None = None
    """Instead of it, a trained sampler that comes with the library, such as ising-16."""
    beta: float | None = None
    """Another inverse temperature than that of the training."""
    shape: tuple[int, ...] | None = None
    """Another lattice than that of the training, such as 12 12; a response is fitted anew."""
    model: Annotated[str | None, tyro.conf.arg(help=_MODELS)] = None
    """Instead of it, a density."""
    dim: int | None = None
    """With --model, number of coordinates of many-well (32) and funnel (10)."""
    separation: float | None = None
    """With --model, how far apart modes of two-modes (2) and laplace (8) are."""
    intervals: int | None = None
    """Intervals of the path; those of the file by default, with --model 100."""
    move: tuple[str, ...] = ()
    """Other moves between intervals, spelled as for chain: swendsen-wang:sweeps=2, or none."""
    leapfrogs: int | None = None
    """With --model, steps (leapfrogs) of a trajectory of HMC; 3 by default."""
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
        blocks = _blocks(self.blocks)
        sampler = self._sampler(ranks.placed(as_device(self.device)))
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
        table |= _accepted(sampler, run)
        print(f"walkers: {self.output}")
        seconds = time.perf_counter() - begin
        about = {"seconds": seconds, "config": config(self), "versions": provenance()}
        write(self.json, {**table, **about})

    def _sampler(self, device: torch.device) -> lt.Sampler:
        """Return the sampler that is named.

        Raises:
            ValueError: none or several are named.
        """
        places = (self.checkpoint, self.published, self.zoo, self.model)
        named = [place for place in places if place is not None]
        if len(named) != 1:
            raise ValueError(
                "give one of CHECKPOINT, --published with a file of the LEAPS paper, --zoo with "
                "the name of a trained sampler, and --model with that of a density"
            )
        if self.model is not None:
            return self._annealing(self.model, device)
        for name in ("dim", "separation", "leapfrogs"):
            if getattr(self, name) is not None:
                raise ValueError(f"{option(name)} goes with --model alone")
        sampler = self._trained(device)
        if self.intervals is not None:
            intervals = as_integer("intervals", self.intervals, 1)
            integrator = sampler.integrator.with_times(intervals)
            sampler = sampler.with_integrator(integrator)
        if self.beta is not None or self.shape is not None:
            other = lt.training.model_like(sampler.path.model, self.beta, self.shape)
            sampler = lt.training.sampler_for(sampler, other)
        if self.move:
            sampler = sampler.with_move(self._move(sampler))
        return sampler

    def _move(self, sampler: lt.Sampler) -> Any:
        """Return the move that is named."""
        if self.move == ("none",):
            return None
        move = as_move(self.move)
        if move is None:
            return lt.default_move(sampler.path.model)
        return move

    def _trained(self, device: torch.device) -> lt.Sampler:
        """Return the sampler as it was trained."""
        if self.zoo is not None:
            return lt.zoo.load(self.zoo, device)
        if self.published is not None:
            return lt.load_published_leaps(self.published, device)
        assert self.checkpoint is not None
        return load_sampler(self.checkpoint, device)

    def _annealing(self, word: str, device: torch.device) -> lt.Sampler:
        """Return a sampler of a density by trajectories alone."""
        for name in ("beta", "shape", "move"):
            if getattr(self, name):
                raise ValueError(f"{option(name)} is no option of --model {word}; leave it out")
        path = density_path(word, {"dim": self.dim, "separation": self.separation})
        intervals = self.intervals
        if intervals is None:
            intervals = _INTERVALS
        leapfrogs = self.leapfrogs
        if leapfrogs is None:
            leapfrogs = _LEAPFROGS
        move = lt.HMC(leapfrogs=leapfrogs)
        return lt.Sampler(path, None, lt.MapStep(intervals), move, device=device)


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


def _accepted(sampler: lt.Sampler, run: lt.io.Run) -> dict[str, Any]:
    """Return how probably trajectories of the sampler's move are accepted; nothing for others.

    Args:
        sampler: what has drawn the walkers.
        run: the walkers, of which the table has told it where their configurations are stored.
    """
    acceptance = run.acceptance
    if acceptance is None:
        # With what the file has of it: a run that goes on keeps its step.
        move = run.sampler.move
        if move is None or not move.tells_acceptance:
            return {}
        few = sampler.with_block(_FEW).sample(_FEW, run.seed)
        acceptance = few.acceptance(move)
        print(f"trajectories are accepted with probability {acceptance:.2f}")
    return {"acceptance": acceptance}


def _blocks(text: str | None) -> tuple[int, int] | None:
    """Return first and end of blocks that are given as ``A:B``; None for all."""
    if text is None:
        return None
    first, colon, end = text.partition(":")
    if not colon or not first.isdecimal() or not end.isdecimal():
        raise ValueError(f"--blocks must be A:B, two whole numbers such as 0:4, got {text!r}")
    return int(first), int(end)
