"""Measure how fast moves forget, and what they cost: where the default of chains comes from.

    python experiments/benchmarks/default_moves.py            # about two minutes on one core
    python experiments/benchmarks/default_moves.py --smoke    # a few seconds

Autocorrelation times of energy and m² (of glasses also the overlap) in steps of each move, on
models below, at and above their transitions, begun in equilibrium: by cluster updates where there
are clusters, else after a long burn-in. Seconds a step are medians of stretches that all moves take
in turns. What counts is the slowest time in seconds, ``τ × seconds a step``: the less, the less
error a second. The regret of a move is that in units of the best move's. Draws cost time too, the
same for all moves, so that regrets in a run are smaller than these.

A quench from random configurations to low temperature shows what local sweeps never mend: domains
with straight walls, as energy per site above the exact one and as the share of walkers in them.
"""

import json
import math
import statistics
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

import leaps_triton as lt
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance


@dataclass(frozen=True)
class DefaultMoves:
    """Compare moves on models of every kind."""

    walkers: int = 32
    """Of every chain."""
    sweeps: int = 2000
    """Steps of moves without clusters."""
    updates: int = 500
    """Steps of moves with clusters."""
    burn_in: int = 500
    """Steps of glasses and in a field, which begin at random."""
    quench: int = 200
    """Steps after a quench; the second half is measured."""
    repeats: int = 5
    """Timed stretches."""
    stretch: float = 0.02
    """Seconds of each."""
    seed: int = 0
    """Of everything random."""
    smoke: bool = False
    """Two models and short chains."""
    json: Path = Path("experiments/results/default_moves.json")
    """Where to save the result."""


def models() -> dict[str, Any]:
    """Return the models by name."""
    found: dict[str, Any] = {}
    for beta in (0.2, 0.35, 0.4407, 0.5, 0.7):
        found[f"Ising 16², β = {beta}"] = lt.Ising((16, 16), beta)
    found["Ising 64², β = 0.4407"] = lt.Ising((64, 64), 0.4407)
    for beta in (0.15, 0.2217, 0.3):
        found[f"Ising 8³, β = {beta}"] = lt.Ising((8, 8, 8), beta)
    found["Ising 16², β = 0.4407, h = 0.05"] = lt.Ising((16, 16), 0.4407, field=0.05)
    for beta in (0.5, 1.0):
        found[f"±J 8², β = {beta}"] = lt.EdwardsAnderson((8, 8), beta=beta, seed=1)
    for beta in (0.4, 0.8):
        found[f"±J 6³, β = {beta}"] = lt.EdwardsAnderson((6, 6, 6), beta=beta, seed=1)
    for q, length in ((3, 12), (5, 12), (10, 8)):
        critical = math.log(1.0 + math.sqrt(q))
        for factor in (0.9, 1.0, 1.1):
            name = f"Potts q = {q}, {length}², β = {factor} β_c"
            found[name] = lt.Potts((length, length), q, factor * critical)
    for beta in (0.8, 1.1, 1.6):
        found[f"clock q = 6, 12², β = {beta}"] = lt.Clock((12, 12), 6, beta)
    return found


def orders(model: Any) -> bool:
    """Return whether the default of a model has clusters."""
    return isinstance(lt.default_move(model), lt.Compose)


def moves_for(model: Any) -> dict[str, Any]:
    """Return the moves that are compared on a model, the default among them."""
    found: dict[str, Any] = {"heat bath": lt.HeatBath(), "Metropolis": lt.Metropolis()}
    if not orders(model):
        return found
    found["Wolff"] = lt.Wolff()
    found["Swendsen-Wang"] = lt.SwendsenWang()
    local: Any = lt.Metropolis if model.q == 2 else lt.HeatBath
    for sweeps in (1, 4, 8):
        name = f"{sweeps} sweeps + Swendsen-Wang"
        found[name] = lt.Compose(local(sweeps), lt.SwendsenWang())
    return found


def equilibrated(model: Any, settings: DefaultMoves) -> Tensor | None:
    """Return configurations after many cluster updates; None where there are no clusters."""
    if not orders(model):
        return None
    path = lt.AnnealingPath(model)
    walkers = torch.arange(settings.walkers)
    move = lt.SwendsenWang(sweeps=min(200, settings.updates))
    # Another seed than that of the chains.
    state = move.init(path.start.sample(walkers, settings.seed + 1), walkers)
    state, _ = move.step(state, path, 1.0, settings.seed + 1)
    return state.configurations


def times(
    model: Any, move: Any, start: Tensor | None, settings: DefaultMoves
) -> dict[str, float | None]:
    """Return the autocorrelation time of each observable in steps of a move."""
    names = ["energy", "magnetization_squared"]
    burn_in = 0
    if start is None:
        names.append("overlap")
        burn_in = settings.burn_in
    steps = settings.sweeps
    if "Swendsen" in repr(move) or "Wolff" in repr(move):
        steps = settings.updates
    chain = lt.run_chain(
        model, move, settings.walkers, steps, seed=settings.seed, burn_in=burn_in,
        observables=names, start=start, device="cpu",
    )  # fmt: skip
    found: dict[str, float | None] = {}
    for name in names:
        tau = chain.estimate(name).tau
        found[name] = round(tau, 3) if math.isfinite(tau) else None
    return found


def spent(move: Any, state: Any, path: Any, steps: int) -> float:
    """Return processor seconds a step."""
    begin = time.process_time()
    for _ in range(steps):
        state, _ = move.step(state, path, 1.0, 0)
    return (time.process_time() - begin) / steps


def costs(model: Any, moves: Mapping[str, Any], settings: DefaultMoves) -> dict[str, float]:
    """Return seconds a step of each move, medians of stretches taken in turns."""
    path = lt.AnnealingPath(model)
    walkers = torch.arange(settings.walkers)
    states = {}
    counts = {}
    for name, move in moves.items():
        state = move.init(path.start.sample(walkers, settings.seed), walkers)
        # The first step compiles what is to be compiled; the second tells how many fit.
        states[name], _ = move.step(state, path, 1.0, 0)
        once = spent(move, states[name], path, 1)
        counts[name] = max(1, int(settings.stretch / max(once, 1e-6)))
    seconds: dict[str, list[float]] = {name: [] for name in moves}
    for _ in range(settings.repeats):
        for name, move in moves.items():
            seconds[name].append(spent(move, states[name], path, counts[name]))
    return {name: statistics.median(each) for name, each in seconds.items()}


def rows_of(name: str, model: Any, settings: DefaultMoves) -> list[dict[str, Any]]:
    """Return a row for each move on one model."""
    moves = moves_for(model)
    start = equilibrated(model, settings)
    seconds = costs(model, moves, settings)
    default = lt.default_move(model)
    rows = []
    for title, move in moves.items():
        tau = times(model, move, start, settings)
        known = [each for each in tau.values() if each is not None]
        slowest = max(known, default=math.inf)
        row: dict[str, Any] = {"model": name, "move": title, "default": move == default}
        row["tau"] = tau
        row["microseconds_per_step"] = round(1e6 * seconds[title], 1)
        row["slowest_microseconds"] = round(1e6 * slowest * seconds[title], 1)
        rows.append(row)
    best = min(row["slowest_microseconds"] for row in rows)
    for row in rows:
        row["regret"] = round(row["slowest_microseconds"] / best, 2)
    return rows


def quenched(settings: DefaultMoves) -> list[dict[str, Any]]:
    """Return what each move makes of a random start at low temperature."""
    length = 8 if settings.smoke else 32
    model = lt.Ising((length, length), 0.7)
    exact = lt.exact.ising_energy((length, length), 0.7)
    rows = []
    for title, move in moves_for(model).items():
        half = settings.quench // 2
        chain = lt.run_chain(
            model, move, settings.walkers, half, seed=settings.seed, burn_in=half,
            observables=["energy", "abs_magnetization"], device="cpu",
        )  # fmt: skip
        above = float(chain.values["energy"].mean()) - exact
        # At this temperature |m| is 0.99 in equilibrium, and about 0 with two walls.
        walled = chain.values["abs_magnetization"].mean(1) < 0.8
        row = {"move": title, "energy_above": round(above, 5)}
        rows.append({**row, "walkers_with_walls": round(float(walled.double().mean()), 3)})
    return rows


def main(settings: DefaultMoves) -> None:
    """Measure, print, and save."""
    torch.set_num_threads(1)
    # Chains are short where moves are slow, and that is what is compared.
    warnings.simplefilter("ignore")
    chosen = settings
    known = models()
    if settings.smoke:
        chosen = replace(
            settings, walkers=8, sweeps=100, updates=60, burn_in=20, quench=20, repeats=2,
            stretch=0.005,
        )  # fmt: skip
        known = dict(list(known.items())[2::14])
    begin = time.process_time()
    rows = []
    for name, model in known.items():
        rows += rows_of(name, model, chosen)
        for row in rows[-len(moves_for(model)) :]:
            print(json.dumps(row, ensure_ascii=False), flush=True)
    quench = quenched(chosen)
    result = {
        "rows": rows,
        "quench": quench,
        "seconds": round(time.process_time() - begin, 1),
        "device": device_name(torch.device("cpu")),
        "ops": lt.kernels.backend(torch.device("cpu")),
        "config": {**asdict(chosen), "json": settings.json.name},
        "versions": provenance(),
    }
    for row in quench:
        print(json.dumps(row, ensure_ascii=False))
    settings.json.parent.mkdir(parents=True, exist_ok=True)
    write_text(settings.json, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(tyro.cli(DefaultMoves, description=__doc__))
