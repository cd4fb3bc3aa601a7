"""Benchmark of ops on graphs: a lattice as a graph against the lattice itself, and other graphs.

``shifts`` are the ops of lattices, ``gather`` those of graphs on the same couplings; the two
alternate in one process. Other graphs are measured alone: triangular, an RBM of 784 and 500 units,
Sherrington and Kirkpatrick's model of 100 spins. On a CPU times are those of the processor; take
one thread (``OMP_NUM_THREADS=1``).
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.agreement import Disagreement
from leaps_triton.bench.run import main_of
from leaps_triton.bench.timing import Row
from leaps_triton.kernels.gathered.cases import edges_of
from leaps_triton.models.base import SweepPlan

SWEEPS = 4
"""Sweeps of one call."""
OPS = ("energy", "local_energy", "heat_bath", "metropolis")
REPETITIONS = 9


def measured(device: torch.device, smoke: bool, seed: int) -> Iterator[tuple[list[Row], list[str]]]:
    """Rows of each model."""
    sizes = [(16, 1024), (64, 64), (64, 1)]
    if smoke:
        sizes = [(4, 8)]
    for length, walkers in sizes:
        for disorder in ("uniform", "gaussian"):
            shifts, gather = pair(length, disorder, seed)
            forms = {"shifts": shifts, "gather": gather}
            yield rows_of(disorder, (length, length), forms, walkers, device, seed), []
    for name, model, walkers in others(smoke, seed):
        alone = {"gather": model}
        yield rows_of(name, model.shape, alone, walkers, device, seed), []


def pair(length: int, disorder: str, seed: int) -> tuple[lt.Ising, lt.Ising]:
    """Return a model on a square lattice, and the same on its edges."""
    shape = (length, length)
    coupling: Any = 1.0
    by_edge: Any = 1.0
    if disorder == "gaussian":
        generator = torch.Generator().manual_seed(seed)
        coupling = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
        # Edges come direction after direction, as the couplings of a lattice do.
        by_edge = coupling.flatten()
    lattice = lt.Ising(shape, beta=0.44, coupling=coupling)
    edges = edges_of(shape, (True, True)).long()
    graph = lt.Graph(edges, colours=lattice.lattice.colours().flatten())
    return lattice, lt.Ising(graph, beta=0.44, coupling=by_edge)


def others(smoke: bool, seed: int) -> Iterator[tuple[str, lt.PairModel, int]]:
    """Yield models on graphs that are no lattices."""
    generator = torch.Generator().manual_seed(seed)
    side = 6 if smoke else 48
    walkers = 8 if smoke else 64
    yield "triangular", lt.Ising(lt.Graph.triangular((side, side)), beta=0.3), walkers
    visible, hidden = (40, 36) if smoke else (784, 500)
    graph = lt.Graph.bipartite(visible, hidden)
    weights = 0.01 * torch.randn(graph.bonds, generator=generator, dtype=torch.float64)
    # Both units on: the table of an RBM of values 0 and 1.
    table = [[0.0, 0.0], [0.0, 1.0]]
    yield "rbm", lt.PairModel(graph, 1.0, table, coupling=weights), walkers
    spins = 12 if smoke else 100
    graph = lt.Graph.complete(spins)
    couplings = torch.randn(graph.bonds, generator=generator, dtype=torch.float64)
    yield "sk", lt.Ising(graph, beta=1.0, coupling=couplings / spins**0.5), walkers


def call_of(model: Any, op: str, configurations: Tensor, index: Tensor) -> Callable[[], Any]:
    """Return a call of an op on a model."""
    beta = torch.full((1,), model.beta, dtype=torch.float64, device=configurations.device)
    plan = SweepPlan(walker_index=index, first=0, count=SWEEPS, seed=1)
    calls = {
        "energy": lambda: model.energy(configurations, check=False),
        "local_energy": lambda: model.local_energy(configurations, beta),
        "heat_bath": lambda: model.heat_bath(configurations, beta, plan),
        "metropolis": lambda: model.metropolis(configurations, beta, plan),
    }
    return calls[op]


def clock(call: Callable[[], Any], device: torch.device) -> float:
    """Return the seconds of one call."""
    if device.type == "cpu":
        begin = time.process_time()
        call()
        return time.process_time() - begin
    begin = time.perf_counter()
    call()
    torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def check_alike(name: str, op: str, results: dict[str, Any]) -> None:
    """Refuse forms that disagree: sweeps in any bit, sums beyond rounding."""
    flat = []
    for found in results.values():
        values = found[1] if op == "local_energy" else found
        flat.append(values.flatten())
    for other in flat[1:]:
        same = torch.equal(flat[0], other)
        if op in ("energy", "local_energy"):
            same = torch.allclose(flat[0], other, rtol=1e-5, atol=1e-4)
        if not same:
            raise Disagreement(f"{op} {name}: shifts and gather differ; no times are reported")


def rows_of(
    name: str,
    shape: tuple[int, ...],
    forms: dict[str, Any],
    walkers: int,
    device: torch.device,
    seed: int,
) -> list[Row]:
    """Return the least seconds of each op and form, in nanoseconds per site and walker."""
    index = torch.arange(walkers, device=device)
    sites = torch.Size(shape).numel()
    states = torch.randint(2, (walkers, sites), generator=torch.Generator().manual_seed(seed))
    x = states.to(torch.int8).to(device)
    rows = []
    for op in OPS:
        calls = {
            form: call_of(model, op, x.view(walkers, *model.shape), index)
            for form, model in forms.items()
        }
        # The first call compiles, and tells whether the forms agree.
        check_alike(name, op, {form: call() for form, call in calls.items()})
        seconds = dict.fromkeys(calls, float("inf"))
        for _ in range(REPETITIONS):
            for form, call in calls.items():
                seconds[form] = min(seconds[form], clock(call, device))
        visits = walkers * sites
        if op in ("heat_bath", "metropolis"):
            visits *= SWEEPS
        metric = "cpu_ns_per_site"
        if device.type != "cpu":
            metric = "ns_per_site"
        about = (name, "x".join(map(str, shape)), walkers, metric)
        for form, value in seconds.items():
            compared: tuple[Any, ...] = ()
            if form == "gather" and "shifts" in seconds:
                compared = ("shifts", seconds["shifts"] / value)
            rows.append(Row(op, form, *about, 1e9 * value / visits, *compared))
    return rows


if __name__ == "__main__":
    main_of("Measures ops on graphs: by gathered neighbours, beside those of lattices.", measured)
