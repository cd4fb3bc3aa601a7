"""What a file of a run holds, as a result of a simulation like those in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..estimators.trust.beginning import Beginning
from ..mcmc.chain import Chain
from ..mcmc.fields.acceptance import accepted_at
from ..models.base import Model
from ..models.varied import BETA, couplings_of
from ..samplers.along import Recorded, Stage, stages
from ..samplers.sampler import Sampler
from ..samplers.weighted import Weighted
from .hdf5 import edited, opened
from .runs.portions import Portion, portion_of

if TYPE_CHECKING:
    import h5py

__all__ = [
    "ChainRun",
    "Moving",
    "Run",
    "Stored",
    "lay_out_beginning",
    "record_beginning",
    "recorded_beginning",
    "walk",
]


_UNKNOWN = -1
"""Stands for a draw, or an observable, that is not known."""


class Moving(NamedTuple):
    """Walkers on their way, to be drawn one after another."""

    captions: list[str]
    """Where they are, in a few words per frame"""
    frames: Tensor
    """Configurations, ``(frames, walkers, *shape)``"""


class Stored(ABC):
    """What results of files have beyond those in memory.

    Attributes:
        manifest: what the run is one of, its settings, versions and commit; plain JSON.
    """

    manifest: dict[str, Any]

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Return whether all that was asked for is there."""

    @property
    @abstractmethod
    def progress(self) -> str:
        """Return how much of what was asked for is there, in words."""

    @abstractmethod
    def on_the_way(self, walkers: int, frames: int) -> Moving | None:
        """Return the first walkers on their way; None if the file does not tell.

        Args:
            walkers: their number.
            frames: at most so many.
        """


@dataclass(frozen=True, repr=False)
class Run(Weighted, Stored):
    """The finished blocks of a file.

    Attributes:
        manifest: sampler, settings of the run (``manifest["run"]``), versions and commit; plain
            JSON.
        sampler: what the walkers were made with.
        log_weights: ``A``, float64 ``(walkers,)``.
        observables: name → values ``(walkers,)`` or ``(walkers, k)``.
        configurations: ``(walkers, *shape)``, or None if they were not stored.
        evaluations: the same as in :class:`~leaps_triton.WeightedEnsemble`.
        recorded: what was measured along the path; None for nothing.
        resamplings: number of blocks that were resampled at each density but that of ``t = 0``,
            int64; None for a sampler that never does.
    """

    manifest: dict[str, Any]
    sampler: Sampler
    log_weights: Tensor
    observables: dict[str, Tensor]
    configurations: Tensor | None
    evaluations: float
    recorded: Recorded | None = None
    resamplings: Tensor | None = None

    @property
    def by_beta(self) -> tuple[Stage, ...]:
        """Return log Z and observables at each β that the walkers were measured at on their way."""
        return stages(self.recorded, self, self.resamplings, self.sampler.block)

    @property
    def portion(self) -> Portion:
        """Return which blocks of the run the file is of."""
        return portion_of(self.manifest["run"], self.sampler.block)

    @property
    def model(self) -> Model:
        """Return the target."""
        return self.sampler.path.model

    @property
    def seed(self) -> int:
        """Return the seed of the walkers."""
        return int(self.manifest["run"]["seed"])

    @property
    def complete(self) -> bool:
        """Return whether all walkers that were asked for are there."""
        return len(self.log_weights) == self.portion.walkers

    @property
    def progress(self) -> str:
        """Return how much of what was asked for is there, in words."""
        portion = self.portion
        count = f"{len(self.log_weights)} of {portion.walkers} walkers"
        if not portion.is_all:
            count = f"{count} (blocks {portion.name} of {portion.of})"
        if self.recorded is None:
            return count
        return f"{count} at {len(self.recorded.betas)} temperatures"

    @property
    def log_z_start(self) -> float:
        """Return ``log Z_0`` of the start of the path."""
        return float(self.sampler.path.start.log_z)

    @property
    def bias(self) -> str:
        """Return how the weights are biased, in words; empty for exact ones."""
        return self.sampler.integrator.bias

    @property
    def correlated(self) -> int:
        """Return how many consecutive walkers are correlated: 1, or after a resampling a block."""
        if self.resamplings is not None and bool(self.resamplings.any()):
            return self.sampler.block
        return 1

    @property
    def values(self) -> dict[str, Tensor]:
        """Return what was measured, another name of ``observables``."""
        return self.observables

    @cached_property
    def acceptance(self) -> float | None:
        """How probably trajectories of the sampler's move are accepted at the target.

        It is measured in about a thousand of them, which begin at the walkers. None for moves that
        do not tell, such as sweeps, and where no configurations were stored.
        """
        if self.configurations is None or len(self.configurations) == 0:
            return None
        # Other random numbers than those that have brought the walkers here.
        seed = (self.seed + 1) % 2**32
        return accepted_at(self.sampler.mcmc, self.model, self.configurations, seed)

    @property
    def notes(self) -> dict[str, str]:
        """Return what numbers of a table mean, and what the move accepts where that is known."""
        found = super().notes
        if self.acceptance is not None:
            found["acceptance"] = f"{self.acceptance:.2f}"
        return found

    def on_the_way(self, walkers: int, frames: int) -> Moving | None:
        """Return the first walkers on their way along the path, drawn again from their seed."""
        sampler = self.sampler
        first = self.portion.first * sampler.block
        times, pictures = walk(sampler, self.seed, walkers, frames, first)
        captions = [f"t = {t:.2f}, β = {float(sampler.path.beta(t)):.3f}" for t in times]
        if couplings_of(self.model):
            # A field has no temperature on its way.
            captions = [f"t = {t:.2f}" for t in times]
        return Moving(captions, pictures)


@dataclass(frozen=True, repr=False)
class ChainRun(Chain, Stored):
    """The finished draws of a file, as a :class:`~leaps_triton.Chain`.

    Attributes:
        manifest: model, move, settings of the run (``manifest["chain"]``), versions and commit;
            plain JSON.
    """

    manifest: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Return whether all draws that were asked for are there."""
        return self.recorded * self.thin == int(self.manifest["chain"]["sweeps"])

    @property
    def progress(self) -> str:
        """Return how much of what was asked for is there, in words."""
        asked = self.manifest["chain"]["sweeps"] // self.thin
        count = f"chain, {self.recorded} of {asked} draws of {self.walkers} walkers"
        if not self.by_beta:
            return count
        kind = "temperatures"
        if self.parameter != BETA:
            kind = f"values of {self.parameter}"
        return f"{count} at {len(self.varied.values)} {kind}"

    def on_the_way(self, walkers: int, frames: int) -> Moving | None:
        """Return draws of the first walkers; None if their configurations were not stored."""
        if self.kept is None:
            return None
        # Rounded up, so that there are no more than `frames` of them.
        stride = -(-self.draws // frames)
        state = f"β = {self.model.beta:.4g}"
        if couplings_of(self.model):
            values = [f"{name} = {value:.4g}" for name, value in couplings_of(self.model).items()]
            state = ", ".join(values)
        captions = []
        for draw in range(0, self.draws, stride):
            # The first draw comes after `thin` steps, not before.
            step = self.burn_in + (draw + 1) * self.thin
            captions.append(f"{state}, step {step}")
        # Draws come first, as the frames of a film.
        return Moving(captions, self.kept[:walkers, ::stride].transpose(0, 1))


def walk(
    sampler: Sampler, seed: int, walkers: int, most: int, first: int = 0
) -> tuple[list[float], Tensor]:
    """Return walkers on entering every interval of a sampler and at the end.

    Args:
        sampler: what moves them.
        seed: theirs.
        walkers: their number.
        most: frames at most; some are left out where there are more intervals.
        first: global index of the first of them.

    Returns:
        Times, and configurations ``(frames, walkers, *shape)``.
    """
    indices = torch.arange(first, first + walkers)
    count = sampler.integrator.intervals + 1
    start = sampler.path.start.sample(indices, seed)
    # On the host, where frames gather from whatever device the sampler has.
    frames = torch.zeros(count, *start.shape, dtype=start.dtype)

    def observe(state: Any, entered: Tensor) -> None:
        rows = entered.nonzero().squeeze(1)
        intervals = state.interval[rows].cpu()
        frames[intervals, rows.cpu()] = state.configurations[rows].cpu()

    with torch.no_grad():
        sampler.run_block(indices, seed, observe)
    # The start itself, as it is before anything has moved it.
    frames[0] = start.cpu()
    # Rounded up, so that there are at most `most` frames.
    stride = -(-count // most)
    chosen = list(range(0, count, stride))
    times = sampler.integrator.times.tolist()
    return [times[index] for index in chosen], frames[chosen]


def lay_out_beginning(file: h5py.File, burn_in: Any) -> None:
    """Make room for where the chain begins, if that is to be found.

    Args:
        file: a new one.
        burn_in: of the run, a number or ``"auto"``.
    """
    if burn_in == "auto":
        file.attrs["beginning"] = np.full(2, _UNKNOWN, dtype=np.int64)


def record_beginning(file: Path, run: ChainRun) -> None:
    """Write where a complete chain begins, if that was found and does not stand there yet.

    Args:
        file: of the run.
        run: what the file holds.
    """
    if run.beginning is None or not run.complete:
        return
    names = list(run.values)
    index = _UNKNOWN
    if run.beginning.observable:
        index = names.index(run.beginning.observable)
    wanted = np.array([run.beginning.draw, index], dtype=np.int64)
    with opened(file) as source:
        if np.array_equal(source.attrs["beginning"], wanted):
            return
    with edited(file) as (out, sync):
        # In place, so that a file has the same bytes however often it was stopped.
        out.attrs.modify("beginning", wanted)
        out.flush()
        sync()


def recorded_beginning(file: h5py.File, observables: list[str]) -> Beginning | None:
    """Return where the chain of an open file begins; None if that does not stand there.

    Args:
        file: of a chain.
        observables: names of those that were measured.
    """
    if "beginning" not in file.attrs:
        return None
    draw, index = (int(number) for number in file.attrs["beginning"])
    if draw == _UNKNOWN:
        return None
    name = ""
    if index != _UNKNOWN:
        name = observables[index]
    return Beginning(draw, name)
