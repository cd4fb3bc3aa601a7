"""Time the moves of real fields: fused on a CPU beside plain torch, and beside one another.

    python experiments/benchmarks/bench_field_moves.py            # about two minutes on one core
    python experiments/benchmarks/bench_field_moves.py --smoke    # a few seconds

Moves are hybrid Monte Carlo of three leapfrogs, a Langevin step, an update of the clusters of one
sign, and the map of one interval of twenty along a HollowDrift, the one that
``experiments/fields/phi4_training.py`` trains; an untrained one takes the same time. Each state is
a process of its own, and both take turns at each move: ``numba``, CPU kernels; ``twin``, plain
torch (``LEAPS_TRITON_CPU=twin``). Times are of the processor, for a step of all walkers; medians of
several stretches. ``in_trajectories`` is the time of a step in units of the one of hybrid Monte
Carlo on the same lattice in the same state.
"""

import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from cpu_states import Work, asked, begun, rate

import leaps_triton as lt
from leaps_triton.files import write_text
from leaps_triton.integrators import as_transport
from leaps_triton.integrators.flows.maps import factors_of, push
from leaps_triton.mcmc.fields.masses import orbits
from leaps_triton.provenance import device_name, provenance, vectors

QUARTIC = {4: 6.975, 8: 6.008, 12: 5.276, 20: 4.807}
"""λ on each lattice, near the transition at m² = -4."""

STATES = {"twin": {"LEAPS_TRITON_CPU": "twin"}, "numba": {"LEAPS_TRITON_CPU": "numba"}}
"""What is different in the environment of each process."""


@dataclass(frozen=True)
class FieldMoves:
    """Compare moves of fields, fused and in plain torch."""

    lengths: tuple[int, ...] = (8, 12, 20)
    """Of square lattices, among 4, 8, 12 and 20."""
    walkers: int = 512
    """Of each move."""
    repeats: int = 5
    """Timed stretches, whose median counts."""
    seconds: float = 0.2
    """Of each stretch; at least one step."""
    seed: int = 0
    """Of everything random."""
    smoke: bool = False
    """One lattice, small and short."""
    json: Path = Path("experiments/results/field_moves.json")
    """Where to save the result."""


def target(length: int) -> lt.PhiFour:
    """Return the model of a lattice."""
    return lt.PhiFour((length, length), -4.0, QUARTIC[length])


def stepped(length: int, move: Any, settings: FieldMoves) -> Work:
    """Return steps of a move in the middle of the path."""
    model = target(length)
    path = lt.AnnealingPath(model, start=lt.FreeField(1.0))
    index = torch.arange(settings.walkers)
    state = [move.init(path.start.sample(index, settings.seed), index)]

    def work(count: int) -> float:
        for _ in range(count):
            state[0], _ = move.step(state[0], path, 0.5, settings.seed)
        return float(count)

    return work


def mapped(length: int, settings: FieldMoves) -> Work:
    """Return maps of one interval of twenty, along a drift."""
    model = target(length)
    path = lt.AnnealingPath(model, start=lt.FreeField(1.0))
    size = min(7, length - 1)
    answers = as_transport(lt.HollowDrift(model, size, seed=settings.seed))
    factors = factors_of(answers, 0.5, 0.55, 1)
    x = path.start.sample(torch.arange(settings.walkers), settings.seed)

    def work(count: int) -> float:
        for _ in range(count):
            push(answers, x, factors)
        return float(count)

    return work


def cases(settings: FieldMoves) -> dict[str, Callable[[], Work]]:
    """Return what makes the work of each case, by name."""
    found: dict[str, Callable[[], Work]] = {}
    for length in settings.lengths:
        for name, maker in on_lattice(length, settings).items():
            found[f"{name} {length}²"] = maker
    return found


def on_lattice(length: int, settings: FieldMoves) -> dict[str, Callable[[], Work]]:
    """Return what makes the work of each move on a lattice, hybrid Monte Carlo first."""
    # Masses of 1, since which they are does not change what a transform of the modes costs.
    masses = (1.0,) * orbits((length, length))[1]
    return {
        "HMC": lambda: stepped(length, lt.HMC(3, 0.1, masses=masses), settings),
        "Langevin": lambda: stepped(length, lt.Langevin(0.1, masses=masses), settings),
        "SignCluster": lambda: stepped(length, lt.SignCluster(), settings),
        "MapStep": lambda: mapped(length, settings),
    }


def serve(settings: FieldMoves) -> None:
    """Run cases that come as lines of input, and answer with steps a second in a line."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    known = cases(settings)
    made: dict[str, Work] = {}
    with torch.no_grad():
        for line in sys.stdin:
            name = line.rstrip("\n")
            if name not in made:
                made.clear()
                made[name] = known[name]()
                # What is compiled at the first call is no part of the time.
                made[name](1)
            steps = rate(made[name], settings.seconds, time.process_time)
            print(json.dumps(steps), flush=True)


def measured(settings: FieldMoves) -> list[dict[str, Any]]:
    """Return a row for each lattice and move."""
    processes: dict[str, subprocess.Popen[str]] = {}
    rows: list[dict[str, Any]] = []
    try:
        for state, changes in STATES.items():
            processes[state] = begun(changes, settings, __file__)
        for length in settings.lengths:
            rows += of_lattice(length, processes, settings)
    finally:
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
    return rows


def of_lattice(
    length: int, processes: dict[str, subprocess.Popen[str]], settings: FieldMoves
) -> list[dict[str, Any]]:
    """Return the rows of one lattice."""
    rows: list[dict[str, Any]] = []
    first: dict[str, float] = {}
    for name in on_lattice(length, settings):
        times: dict[str, list[float]] = {state: [] for state in processes}
        for _ in range(settings.repeats):
            for state, process in processes.items():
                steps = asked(process, f"{name} {length}²")
                times[state].append(1e3 / steps)
        spent = {state: statistics.median(each) for state, each in times.items()}
        if not first:
            first = spent
        row = {
            "length": length,
            "move": name,
            "milliseconds": {state: rounded(value) for state, value in spent.items()},
            "twin_over_numba": rounded(spent["twin"] / spent["numba"]),
            "in_trajectories": {
                state: rounded(value / first[state]) for state, value in spent.items()
            },
        }
        rows.append(row)
        print(json.dumps(row, ensure_ascii=False), flush=True)
    return rows


def rounded(value: float) -> float:
    """Return a number in three digits."""
    return float(f"{value:.3g}")


def main(settings: FieldMoves) -> None:
    """Measure, print, and save."""
    torch.set_num_threads(1)
    versions = provenance()
    chosen = settings
    if settings.smoke:
        chosen = replace(settings, lengths=(4,), walkers=16, repeats=1, seconds=1e-3)
    result = {
        "rows": measured(chosen),
        "device": f"{device_name(torch.device('cpu'))}, {vectors()}",
        "config": {**asdict(chosen), "json": settings.json.name},
        "versions": versions,
    }
    settings.json.parent.mkdir(parents=True, exist_ok=True)
    write_text(settings.json, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        given = json.loads(sys.argv[2])
        lengths = tuple(given["lengths"])
        serve(FieldMoves(**{**given, "lengths": lengths, "json": Path(given["json"])}))
    else:
        main(tyro.cli(FieldMoves, description=__doc__))
