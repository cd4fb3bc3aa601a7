"""Measure how often Metropolis and Wolff should rest: autocorrelation times at several rests.

    python experiments/benchmarks/metropolis_rest.py            # about five minutes on one core
    python experiments/benchmarks/metropolis_rest.py --smoke    # a few seconds

A move that rests with probability ε does less, but its sweeps no longer undo one another. Measured
are autocorrelation times of energy, |m| and the parity of spins up on the Ising model, in sweeps
(Wolff: updates), drawn at every second one, since a state of period two looks well mixed from one
to the next. What counts at a temperature is the slowest of the three. The cost of a rest is that
time in units of the best rest's, at the worst temperature; the default has the least cost.
"""

import json
import math
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

import leaps_triton as lt
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance


@dataclass(frozen=True)
class MetropolisRest:
    """Compare rests of Metropolis and Wolff."""

    length: int = 8
    """Of the lattice, square and periodic."""
    betas: tuple[float, ...] = (0.0, 0.2, 0.4, 0.44, 0.6)
    """Inverse temperatures of Metropolis; 0.4407 is critical."""
    cluster_betas: tuple[float, ...] = (0.0, 0.1, 0.44)
    """Inverse temperatures of Wolff."""
    powers: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    """Rests are these powers of 1/2, and 0."""
    walkers: int = 128
    """Of every chain."""
    sweeps: int = 1000
    """Of every chain; Wolff makes as many updates."""
    seed: int = 0
    """Of all chains."""
    device: str = "cpu"
    """Where it runs."""
    smoke: bool = False
    """Two temperatures, three rests and short chains."""
    json: Path = Path("experiments/results/metropolis_rest.json")
    """Where to save the result."""


def parity(configurations: Tensor, model: Any) -> Tensor:
    """Return 1 where the number of spins up is even, else -1, ``(walkers,)``."""
    up = configurations.flatten(1).sum(1, dtype=torch.int64)
    return 1.0 - 2.0 * (up % 2).double()


OBSERVABLES = {
    "energy": lt.observables.energy,
    "abs_magnetization": lt.observables.abs_magnetization,
    "parity": parity,
}


def times(settings: MetropolisRest, move: Any, beta: float) -> dict[str, float]:
    """Return the autocorrelation time of each observable in steps of the move."""
    model = lt.Ising((settings.length, settings.length), beta)
    # From random starts: at β = 0 that is equilibrium, elsewhere a fifth is left out.
    with warnings.catch_warnings():
        # A rest of 0 is asked for on purpose, and then chains are too short by construction.
        warnings.simplefilter("ignore")
        chain = lt.run_chain(
            model,
            move,
            settings.walkers,
            settings.sweeps,
            thin=2,
            seed=settings.seed,
            burn_in=settings.sweeps // 5,
            observables=OBSERVABLES,
            device=settings.device,
        )
        found = {name: chain.estimate(name).tau for name in OBSERVABLES}
    # Draws are every second step.
    return {name: 2.0 * tau for name, tau in found.items()}


def measured(settings: MetropolisRest, name: str, rest: float, beta: float) -> dict[str, Any]:
    """Return one row of the table; a time that is not known is None."""
    if name == "Metropolis":
        move: Any = lt.Metropolis(rest=rest)
    else:
        move = lt.Wolff(rest=rest)
    row: dict[str, Any] = {"move": name, "beta": beta, "rest": rest}
    for observable, tau in times(settings, move, beta).items():
        row[observable] = None
        # Where nothing changes, or nothing but the sign, there is no time.
        if math.isfinite(tau):
            row[observable] = round(tau, 3)
    return row


def costs(rows: list[dict[str, Any]], name: str) -> dict[str, float]:
    """Return rest → the slowest time in units of the best rest's, at the worst temperature."""
    slowest = {}
    for row in rows:
        if row["move"] == name:
            # A time that is not known is one that no chain of this length has seen.
            known = [row[observable] or math.inf for observable in OBSERVABLES]
            slowest[row["beta"], row["rest"]] = max(known)
    best: dict[float, float] = {}
    for (beta, _), tau in slowest.items():
        best[beta] = min(tau, best.get(beta, math.inf))
    found: dict[str, float] = {}
    for (beta, rest), tau in slowest.items():
        ratio = round(tau / best[beta], 2)
        found[str(rest)] = max(ratio, found.get(str(rest), 1.0))
    return found


def main(settings: MetropolisRest) -> None:
    torch.set_num_threads(1)
    small = settings
    if settings.smoke:
        small = MetropolisRest(
            length=4,
            betas=(0.0, 0.4),
            cluster_betas=(0.0,),
            powers=(1, 3),
            walkers=16,
            sweeps=200,
            device=settings.device,
        )
    rests = [0.0, *(2.0**-power for power in small.powers)]
    cases = [("Metropolis", beta) for beta in small.betas]
    cases += [("Wolff", beta) for beta in small.cluster_betas]
    rows = []
    for name, beta in cases:
        for rest in rests:
            rows.append(measured(small, name, rest, beta))
            print(json.dumps(rows[-1]), flush=True)
    result = {
        "rows": rows,
        "costs": {name: costs(rows, name) for name in ("Metropolis", "Wolff")},
        "device": device_name(torch.device(settings.device)),
        "config": {**asdict(small), "json": settings.json.name},
        "versions": provenance(),
    }
    print(json.dumps(result["costs"]))
    settings.json.parent.mkdir(parents=True, exist_ok=True)
    write_text(settings.json, json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(MetropolisRest, description=__doc__))
