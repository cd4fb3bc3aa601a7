"""Benchmark of whole runs of LocalRates on kernel and twin: its op is ``local_jump_steps``.

The op makes the events of the run.

At the critical temperature, of an untrained network whose weight of the local field makes it move.
Walkers of both must end in the same configurations before times are reported.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

import leaps_triton as lt
from leaps_triton import kernels
from leaps_triton.bench.agreement import Disagreement
from leaps_triton.bench.run import main_of
from leaps_triton.bench.timing import Row
from leaps_triton.kernels import reference

BETA = 0.44068679
INTERVALS = 50
FIELD = 2.0
"""Weight of the local field, which makes events of a quarter of the sites."""
SAME = 0.99
"""Least fraction of walkers that agree; the others met a logarithm that rounds otherwise."""


@contextmanager
def on_twin() -> Iterator[None]:
    """Events in torch alone, on every device."""
    public = kernels.local_jump_steps
    kernels.local_jump_steps = reference.local_jump_steps
    try:
        yield
    finally:
        kernels.local_jump_steps = public


def measured(device: torch.device, smoke: bool, seed: int) -> Iterator[tuple[list[Row], list[str]]]:
    """Rows of each lattice."""
    if smoke:
        sizes = [(8, 64)]
    elif device.type == "cuda":
        sizes = [(16, 16384), (32, 4096), (64, 1024)]
    else:
        sizes = [(16, 512), (32, 128), (64, 32)]
    for length, walkers in sizes:
        yield case(length, walkers, device, seed, 1 if smoke else 3), []


def case(length: int, walkers: int, device: torch.device, seed: int, repetitions: int) -> list[Row]:
    """Medians of runs of all walkers, in one block."""
    model = lt.Ising((length, length), beta=BETA)
    network = lt.LocalRates(model)
    with torch.no_grad():
        network.skip.fill_(FIELD)
    jump = lt.Jump(INTERVALS, tables=True)
    sampler = lt.Sampler(lt.AnnealingPath(model), network, jump, block=walkers, device=device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter

    def run() -> tuple[float, lt.WeightedEnsemble]:
        begin = clock()
        ensemble = sampler.sample(walkers, seed=seed)
        return clock() - begin, ensemble

    with on_twin():
        runs = {"twin": [run() for _ in range(repetitions)]}
    if not kernels.backend(device).startswith("plain torch"):
        run()
        runs["kernel"] = [run() for _ in range(repetitions)]
        one, two = (runs[variant][0][1].configurations.flatten(1) for variant in ("twin", "kernel"))
        same = float((one == two).all(1).double().mean())
        if same < SAME:
            raise Disagreement(
                f"local_rates {length}: kernel and twin agree on {same:.1%} of the walkers only"
            )
    metric, shape = (
        "cpu_seconds_run" if device.type == "cpu" else "seconds_run",
        f"{length}x{length}",
    )
    seconds = {
        variant: statistics.median(made[0] for made in several) for variant, several in runs.items()
    }
    rows = []
    for variant, value in seconds.items():
        compared = ("twin", seconds["twin"] / value) if variant != "twin" else ()
        rows.append(Row("LocalRates", variant, "ising", shape, walkers, metric, value, *compared))
    evaluations = runs["twin"][0][1].evaluations
    return [*rows, Row("LocalRates", "twin", "ising", shape, walkers, "evaluations", evaluations)]


if __name__ == "__main__":
    main_of("Measures runs of LocalRates: kernel, and twin.", measured)
