"""``leaps-triton chain``: Markov chains into a file."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import leaps_triton as lt

from ..kernels.checks import as_device
from ..provenance import provenance
from .options import ModelOptions, check_folders, config, device_name, write
from .plot import _measured

__all__ = ["Chain"]


_KERNELS: dict[str, Callable[[], Any]] = {
    "heat-bath": lt.HeatBath,
    "metropolis": lt.Metropolis,
    "swendsen-wang": lt.SwendsenWang,
    "wolff": lt.Wolff,
}


@dataclass(frozen=True, kw_only=True)
class Chain(ModelOptions):
    """Run Markov chains into an HDF5 file, and print physics with errors.

    With --resume and the same other options a stopped run goes on.

    A finished run goes on too: with more --sweeps it grows.
    """

    output: Path
    """HDF5 file for the observables of every draw."""
    kernel: Literal["heat-bath", "metropolis", "swendsen-wang", "wolff"] = "heat-bath"
    """What moves the walkers."""
    walkers: int = 64
    """Independent chains."""
    sweeps: int = 10000
    """Steps of the kernel after the burn-in."""
    thin: int = 10
    """Steps from one draw to the next."""
    burn_in: int | None = None
    """Steps before, not measured; by default a tenth of the sweeps."""
    observables: tuple[str, ...] = lt.io.OBSERVABLES
    """Names in lt.observables, such as correlation."""
    configurations: bool = False
    """Store the configurations too, one byte a site, draw and walker."""
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

    def run(self) -> None:
        """Run, print, and save."""
        check_folders(self.output, self.json)
        place = as_device(self.device)
        model = self.make()
        print(f"leaps_triton {lt.__version__}: {model}")
        print(f"device {device_name(place)}; {lt.kernels.backend(place)}")
        begin = time.perf_counter()
        run = lt.io.run_chain(
            model,
            _KERNELS[self.kernel](),
            self.walkers,
            self.sweeps,
            self.output,
            thin=self.thin,
            seed=self.seed,
            burn_in=self.burn_in,
            observables=self.observables,
            device=place,
            configurations=self.configurations,
            every=self.every,
            resume=self.resume,
            progress=True,
        )
        result = _measured(run, self.output)
        print(f"chain: {self.output}")
        seconds = time.perf_counter() - begin
        write(
            self.json,
            {**result, "seconds": seconds, "config": config(self), "versions": provenance()},
        )
