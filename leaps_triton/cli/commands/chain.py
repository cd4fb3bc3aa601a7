"""``leaps-triton chain``: Markov chains into a file."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

import leaps_triton as lt

from ...kernels.checks import as_device
from ...parallel import ALONE, Ranks
from ...provenance import provenance
from ..interrupts import going_on
from ..moves import AUTO, MOVES, as_move
from ..options import ModelOptions, config, with_check
from ..results import announce, check_folders, write
from .info import measured

__all__ = ["Chain"]


@dataclass(frozen=True, kw_only=True)
class Chain(ModelOptions):
    """Run Markov chains into an HDF5 file, and print physics with errors.

    With --resume and the same other options a stopped run goes on.

    A finished run goes on too: with more --sweeps it grows.

    Many processes: torchrun --nproc-per-node=N -m leaps_triton chain ...
    """

    output: Path
    """HDF5 file for the observables of every draw."""
    move: Annotated[tuple[str, ...], tyro.conf.arg(help=MOVES)] = (AUTO,)
    """What moves the walkers."""
    walkers: int = 64
    """Independent chains."""
    sweeps: int = 10000
    """Steps of the move after the burn-in."""
    thin: int = 10
    """Steps from one draw to the next."""
    burn_in: int | Literal["auto"] | None = None
    """Steps before, not measured; by default a tenth of the sweeps. auto: all steps are measured,
    and the chain begins where most effective draws are left."""
    observables: tuple[str, ...] = lt.io.OBSERVABLES
    """Names in lt.observables, such as correlation; of phi4 others by default."""
    configurations: bool = False
    """Store the configurations too, one byte a site, draw and walker; of a field 4 bytes."""
    every: int = 100
    """Draws from one write to the next; a crash loses no more."""
    resume: bool = False
    """Go on with the output file, if there is one."""
    seed: int = 0
    """Seed of everything random, 0 to 4294967295."""
    device: str | None = None
    """"cpu" or "cuda"; CUDA by default where there is a CUDA device."""
    json: Path | None = None
    """Where to save the table as JSON."""

    def run(self, ranks: Ranks = ALONE) -> None:
        """Run, print, and save.

        Args:
            ranks: the processes that share the walkers.
        """
        if ranks.first:
            check_folders(self.output, self.json)
        place = ranks.placed(as_device(self.device))
        move = as_move(self.move)
        model = self.make()
        announce(model, place)
        begin = time.perf_counter()
        with going_on(self.output):
            run = lt.io.run_chain(
                model,
                move,
                self.walkers,
                self.sweeps,
                self.output,
                thin=self.thin,
                seed=self.seed,
                burn_in=self.burn_in,
                observables=with_check(model, self.observables),
                device=place,
                configurations=self.configurations,
                every=self.every,
                resume=self.resume,
                progress=True,
                ranks=ranks,
            )
        if not ranks.first:
            return
        table = {**measured(run, self.output), "lowest_energy": run.lowest_energy}
        if run.lowest is not None and run.lowest_energy is not None:
            unit = "coordinate" if table.get("density") else "site"
            there = int((run.lowest.energies == run.lowest_energy).sum())
            print(
                f"lowest energy {run.lowest_energy:.10g}, "
                f"{run.lowest_energy / run.model.lattice.sites:.6g} per {unit}, "
                f"in {there} of {run.walkers} walkers"
            )
        print(f"chain: {self.output}")
        seconds = time.perf_counter() - begin
        about = {"seconds": seconds, "config": config(self), "versions": provenance()}
        write(self.json, {**table, **about})
