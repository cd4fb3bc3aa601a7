"""Measure sweeps of 32 spins a word beside those of a byte a spin, and beside mcising.

    python experiments/benchmarks/packed_sweeps.py            # about a minute on one core
    python experiments/benchmarks/packed_sweeps.py --smoke    # a few seconds
    pip install mcising==1.1.0                                # for its column alone

The two forms alternate in one process, and medians are reported, in spins per nanosecond. Calls of
one sweep count packing and unpacking; they are what decides whether words pay, since a chain that
is measured after every sweep makes no others. mcising has one walker and Metropolis alone.
"""

import importlib
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

import leaps_triton as lt
from leaps_triton.files import write_text
from leaps_triton.models.base import SweepPlan
from leaps_triton.provenance import device_name, provenance

CRITICAL = 0.4406867935097715
REST = 0.125


@dataclass(frozen=True)
class PackedSweeps:
    """Compare words and bytes."""

    lengths: tuple[int, ...] = (16, 32, 64, 128, 256, 1024)
    """Of square lattices."""
    walkers: tuple[int, ...] = (1, 8, 64, 1024)
    """Of each lattice, as far as they have at most 2²² spins."""
    sweeps: tuple[int, ...] = (1, 20)
    """Of a call."""
    repeats: int = 7
    """Of which the median is taken."""
    device: str = "cpu"
    """Where it runs."""
    smoke: bool = False
    """One small lattice."""
    json: Path = Path("experiments/results/packed_sweeps.json")
    """Where to save the result."""


def layouts(length: int, walkers: int) -> list[str]:
    """Return what words may hold, where few of their bits are idle."""
    found = []
    if walkers >= 32:
        found.append("walkers")
    if length % 64 == 0:
        found.append("rows")
    return found


def rates(runs: dict[str, Callable[[], object]], spins: int, repeats: int) -> dict[str, float]:
    """Return spins per nanosecond of each, which alternate."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            # The first call compiles.
            if repeat:
                times[name].append(time.perf_counter() - begun)
    return {name: spins / statistics.median(each) / 1e9 for name, each in times.items()}


def measured(settings: PackedSweeps, length: int, walkers: int, sweeps: int) -> dict[str, Any]:
    """Return the rates of one lattice."""
    model = lt.Ising((length, length), CRITICAL)
    index = torch.arange(walkers, device=settings.device)
    x: Tensor = lt.AnnealingPath(model).start.sample(index, seed=0)
    beta = torch.tensor([CRITICAL], dtype=torch.float64, device=settings.device)
    runs: dict[str, Callable[[], object]] = {}
    for layout in ("", *layouts(length, walkers)):
        plan = SweepPlan(index, 0, sweeps, 0, packed=layout)
        resting = plan._replace(rest=REST)
        name = layout or "bytes"
        runs[f"heat_bath {name}"] = partial(model.heat_bath, x, beta, plan)
        runs[f"metropolis {name}"] = partial(model.metropolis, x, beta, resting)
    other = mcising(length)
    # As many spins as the others visit.
    if other is not None:
        runs["mcising"] = partial(other.sweep, sweeps * walkers, temperature=1.0 / CRITICAL)
    found = rates(runs, x.numel() * sweeps, settings.repeats)
    return {"length": length, "walkers": walkers, "sweeps": sweeps, "spins_per_ns": found}


def mcising(length: int) -> Any:
    """Return a chain of mcising's; None where it is missing."""
    if importlib.util.find_spec("mcising") is None:
        return None
    core = importlib.import_module("mcising._core")
    return core.IsingSimulation(length, 1.0, 0.0, 0.0, 0.0, 0, "metropolis", "square")


def main(settings: PackedSweeps) -> None:
    """Measure all, print a table and save it."""
    lengths = settings.lengths
    walkers = settings.walkers
    if settings.smoke:
        lengths = (16,)
        walkers = (64,)
    torch.set_num_threads(1)
    rows = []
    for length in lengths:
        for number in walkers:
            if number * length**2 > 2**22 or not layouts(length, number):
                continue
            for sweeps in settings.sweeps:
                row = measured(settings, length, number, sweeps)
                rows.append(row)
                told = ", ".join(f"{k} {v:.3g}" for k, v in row["spins_per_ns"].items())
                print(f"{length}² {number} walkers, {sweeps} sweeps a call: {told}", flush=True)
    result = {
        "settings": {**asdict(settings), "json": settings.json.name},
        "rows": rows,
        "device": device_name(torch.device(settings.device)),
        "provenance": provenance(),
    }
    write_text(settings.json, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(PackedSweeps))
