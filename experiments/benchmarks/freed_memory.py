"""Benchmark of an evaluation on a CPU, where the C library keeps freed memory and where not.

    OMP_NUM_THREADS=1 python experiments/benchmarks/freed_memory.py

The first evaluation of a process lets it keep the memory that later ones free
(``leaps_triton.networks.base.keep_freed_memory``). Each time is taken in a process of its own, with
or without that, in turn; it is that of the processor, system calls included.
"""

import multiprocessing
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache

import torch

import leaps_triton as lt
from leaps_triton.bench.run import main_of
from leaps_triton.bench.timing import Row
from leaps_triton.networks import base

BETA = 0.44068679
ROUNDS = 3
"""Processes of each kind."""


@cache
def leave() -> None:
    """Leave the C library as it is."""


def seconds(keep: bool, length: int, walkers: int, repetitions: int, seed: int) -> float:
    """Return the median time of an evaluation, in a fresh process."""
    if not keep:
        base.keep_freed_memory = leave
    model = lt.Ising((length, length), beta=BETA)
    path = lt.AnnealingPath(model)
    network = lt.HollowConv(model)
    configurations = path.start.sample(torch.arange(walkers), seed)
    conditions = path.conditions(0.5)
    times: list[float] = []
    with torch.no_grad():
        # The first two calls fill caches and the allocator.
        for call in range(repetitions + 2):
            begin = time.process_time()
            network(configurations, conditions)
            if call >= 2:
                times.append(time.process_time() - begin)
    return statistics.median(times)


def measured(device: torch.device, smoke: bool, seed: int) -> Iterator[tuple[list[Row], list[str]]]:
    """Yield the rows of each lattice."""
    if device.type != "cpu":
        raise ValueError("this is about memory of a CPU; choose device cpu")
    lengths = (8,) if smoke else (8, 16, 32)
    context = multiprocessing.get_context("spawn")
    for length in lengths:
        walkers = 16 if smoke else 2**17 // length**2
        repetitions = 3 if smoke else 15
        found: dict[bool, list[float]] = {True: [], False: []}
        with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
            for _ in range(1 if smoke else ROUNDS):
                for keep, times in found.items():
                    task = pool.submit(seconds, keep, length, walkers, repetitions, seed)
                    times.append(task.result())
        freed = statistics.median(found[False])
        kept = statistics.median(found[True])
        shape = f"{length}x{length}"
        names = ("ising", shape, walkers, "cpu_seconds")
        yield (
            [
                Row("HollowConv", "memory freed", *names, freed),
                Row("HollowConv", "memory kept", *names, kept, "memory freed", freed / kept),
            ],
            [],
        )


if __name__ == "__main__":
    main_of("Measures evaluations with and without memory that the process keeps.", measured)
