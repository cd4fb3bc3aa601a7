"""Benchmark of measuring: draws of heat-bath chains with the default observables, and with none.

``shared`` is what :func:`leaps_triton.run_chain` does: one pass over the configurations a draw.
``alone`` has each observable find its own sums and check its configurations, as a call from outside
does. The three alternate in one process. On a CPU their times are those of the processor; take one
thread (``OMP_NUM_THREADS=1``).
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.agreement import Disagreement
from leaps_triton.bench.cases import MODELS
from leaps_triton.bench.run import main_of
from leaps_triton.bench.timing import Row
from leaps_triton.mcmc import ChainSettings, March
from leaps_triton.observables import OBSERVABLES


def measured(device: torch.device, smoke: bool, seed: int) -> Iterator[tuple[list[Row], list[str]]]:
    """Rows of each model and number of sweeps from draw to draw."""
    length, walkers = (8, 4) if smoke else (64, 64 if device.type == "cpu" else 4096)
    for name, make in MODELS.items():
        for thin in (1, 10):
            rows = case(
                name, make((length, length)), walkers, thin, 2 if smoke else 11, device, seed
            )
            yield rows, []


def alone(name: str, model: lt.PairModel) -> Callable[[Tensor, Any], Tensor]:
    return lambda configurations, _: getattr(lt.observables, name)(configurations, model)


def clock(march: March, draws: int, device: torch.device) -> tuple[float, dict[str, Tensor]]:
    """Seconds a draw, and the values; the copy to the host waits for the device."""
    now = time.process_time if device.type == "cpu" else time.perf_counter
    begin = now()
    values, _ = march.draw(draws)
    if device.type != "cpu":
        torch.cuda.synchronize(device)
    return (now() - begin) / draws, values


def case(
    name: str,
    model: lt.PairModel,
    walkers: int,
    thin: int,
    repetitions: int,
    device: torch.device,
    seed: int,
) -> list[Row]:
    """Seconds a draw, and the share of them that measuring takes."""
    draws = 10 // thin
    variants: dict[str, Any] = {
        "sweeps": [],
        "alone": {observable: alone(observable, model) for observable in OBSERVABLES},
        "shared": OBSERVABLES,
    }
    marches = {
        variant: March(
            model,
            lt.HeatBath(),
            ChainSettings(walkers, thin * draws, thin, seed, burn_in=0),
            observables=observables,
            device=device,
        )
        for variant, observables in variants.items()
    }
    times: dict[str, list[float]] = {variant: [] for variant in variants}
    # The first time warms up.
    for _ in range(1 + repetitions):
        found = {}
        for variant, march in marches.items():
            taken, found[variant] = clock(march, draws, device)
            times[variant].append(taken)
        if any(not torch.equal(found["alone"][key], found["shared"][key]) for key in OBSERVABLES):
            raise Disagreement(
                f"{name}: shared observables differ from those found alone; no times are reported"
            )
    seconds = {variant: statistics.median(each[1:]) for variant, each in times.items()}
    metric = "cpu_seconds" if device.type == "cpu" else "seconds"
    about = (name, "x".join(map(str, model.lattice.shape)), walkers)
    rows = []
    for variant, value in seconds.items():
        compared = ("alone", seconds["alone"] / value) if variant == "shared" else ()
        rows.append(Row(f"draw after {thin}", variant, *about, metric, value, *compared))
        if variant != "sweeps":
            share = 1.0 - seconds["sweeps"] / value
            rows.append(Row(f"draw after {thin}", variant, *about, "measuring_share", share))
    return rows


if __name__ == "__main__":
    main_of(
        "Measures draws of Markov chains: sweeps alone, and with the default observables.", measured
    )
