"""Benchmark of networks with incremental=True: one evaluation after moves, and a whole run.

Every walker makes one move before an evaluation.

Full and incremental evaluations alternate in one process. On a CPU their times are those of the
processor, so that what else the machine does counts little; take one thread
(``OMP_NUM_THREADS=1``). ``ising`` is a HollowConv that has the magnetisation and four waves as
features, all sites of whose pointwise network change with every move; ``ising-local`` has none, so
that only the sites around a move do. ``symmetric`` is a SymmetricConv that reads the whole lattice,
``symmetric-window`` one that reads 15 × 15 sites.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.agreement import Disagreement
from leaps_triton.bench.run import main_of
from leaps_triton.bench.timing import Row

BETA = 0.44068679
INTERVALS = 25
LARGE = {"kernel_size": 11, "widths": (96, 64)}
NETWORKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ising": (lt.HollowConv, {}),
    "ising-local": (lt.HollowConv, {"global_features": False}),
    "symmetric": (lt.SymmetricConv, LARGE),
    "symmetric-window": (lt.SymmetricConv, {**LARGE, "window": 15}),
}
RATES = {"HollowConv": 40.0, "SymmetricConv": 300.0}
"""Readout weights times this give about half as many events as sites, as a trained network does."""


def measured(device: torch.device, smoke: bool, seed: int) -> Iterator[tuple[list[Row], list[str]]]:
    """Rows of each lattice."""
    lengths = (8,) if smoke else (8, 16, 32, 64)
    for length in lengths:
        walkers = 16 if smoke else min(512, max(32, 2**17 // length**2))
        for name in NETWORKS:
            rows = after_a_move(name, length, walkers, device, 5 if smoke else 21, seed)
            # Whole runs of larger lattices take minutes on a CPU.
            if length <= 32:
                rows += whole_run(
                    name, length, 16 if smoke else 1024 // length, device, 1 if smoke else 3, seed
                )
            yield rows, []


def network_of(name: str, length: int) -> tuple[lt.AnnealingPath, list[Any]]:
    """A path, and the network without and with memory."""
    model = lt.Ising((length, length), beta=BETA)
    kind = NETWORKS[name]
    make = kind[0]
    options = kind[1]
    networks: list[Any] = []
    for flag in (False, True):
        network = make(model, incremental=flag, **options)
        if make is lt.HollowConv:
            readout = network.readout
        else:
            readout = network.stack.readout
        with torch.no_grad():
            readout.weight.mul_(RATES[make.__name__])
        networks.append(network)
    return lt.AnnealingPath(model), networks


def now(device: torch.device) -> float:
    """Seconds of the processor, or of the wall once a device has finished."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def clock(
    transport: Callable[..., Tensor], device: torch.device, *arguments: object
) -> tuple[float, Tensor]:
    """Seconds of one call, and its result."""
    begin = now(device)
    result = transport(*arguments)
    return now(device) - begin, result


def metric_of(device: torch.device) -> str:
    return "cpu_seconds" if device.type == "cpu" else "seconds"


def pair(
    name: str, length: int, walkers: int, metric: str, full: list[float], other: list[float]
) -> list[Row]:
    """Medians of both."""
    one = statistics.median(full)
    two = statistics.median(other)
    shape = f"{length}x{length}"
    kind = NETWORKS[name][0].__name__
    return [
        Row(kind, "full", name, shape, walkers, metric, one),
        Row(kind, "incremental", name, shape, walkers, metric, two, "full", one / two),
    ]


@torch.no_grad()
def after_a_move(
    name: str, length: int, walkers: int, device: torch.device, repetitions: int, seed: int
) -> list[Row]:
    """Seconds of one evaluation of all walkers, each of which has moved once since the last."""
    path, (full, network) = network_of(name, length)
    full = full.to(device)
    network = network.to(device)
    follower = network.follow(walkers)
    assert follower is not None
    indices = torch.arange(walkers, device=device)
    x = path.start.sample(indices, seed)
    conditions = path.conditions(torch.tensor(0.5, device=device))
    follower(x, conditions)
    times: tuple[list[float], list[float]] = ([], [])
    for step in range(repetitions):
        sites = (
            lt.kernels.philox(seed, lt.kernels.Stream.TRAIN, 0, step, 0, indices, device)[0]
            * length**2
            >> 32
        )
        flat = x.flatten(1).clone()
        flat[indices, sites] = 1 - flat[indices, sites]
        x = flat.view_as(x)
        made = [clock(transport, device, x, conditions) for transport in (full, follower)]
        for own, (seconds, _) in zip(times, made, strict=True):
            own.append(seconds)
        distance = float((made[0][1] - made[1][1]).abs().max() / made[0][1].abs().max())
        if not distance <= 1e-5:
            raise Disagreement(
                f"{name} {length}: incremental differs from full by {distance:.3g} "
                f"after {step} moves"
            )
    return pair(name, length, walkers, metric_of(device), *times)


def whole_run(
    name: str, length: int, walkers: int, device: torch.device, repetitions: int, seed: int
) -> list[Row]:
    """Return seconds of a run of all walkers.

    The network is untrained and makes as many events as a trained one.
    """
    path, networks = network_of(name, length)
    samplers = [
        lt.Sampler(path, one, lt.Jump(INTERVALS), block=walkers, device=device) for one in networks
    ]
    times: tuple[list[float], list[float]] = ([], [])
    evaluations = 0.0
    for _ in range(repetitions):
        for sampler, own in zip(samplers, times, strict=True):
            begin = now(device)
            evaluations = sampler.sample(walkers, seed=seed).evaluations
            own.append(now(device) - begin)
    shape = f"{length}x{length}"
    kind = NETWORKS[name][0].__name__
    count = Row(kind, "full", name, shape, walkers, "evaluations", evaluations)
    return [*pair(name, length, walkers, f"{metric_of(device)}_run", *times), count]


if __name__ == "__main__":
    main_of("Measures networks with and without memory of the last event.", measured)
