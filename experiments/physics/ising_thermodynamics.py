"""Measure the Ising model through its critical point and compare with Kaufman's formula.

    python experiments/physics/ising_thermodynamics.py            # about 4 minutes on one CPU core
    python experiments/physics/ising_thermodynamics.py --smoke

On tori of several lengths: energy, specific heat, |m|, susceptibility and Binder cumulant over β.
Energy and specific heat are compared with the exact finite-lattice values at every β; at β = 0.4407
they must agree within three standard errors, that of the energy being at most 0.001, or the exit
status is 1. From the chains there, reweighted in β, come the crossings of the Binder cumulants of
neighbouring lengths, to be compared with β_c = ½ ln(1 + √2).
"""

import json
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import tyro
from reports.ising import CRITICAL, EXACT, UNIVERSAL, draw, table

import leaps_triton as lt
from leaps_triton.estimators import reweight
from leaps_triton.files import write_text
from leaps_triton.observables.spins import binder
from leaps_triton.provenance import provenance

OBSERVABLES = (
    "energy",
    "specific_heat",
    "abs_magnetization",
    "susceptibility",
    "susceptibility_full",
    "binder",
)


@dataclass(frozen=True)
class IsingThermodynamics:
    """Measure Ising tori around the critical point, and compare with exact values."""

    lengths: tuple[int, ...] = (16, 32, 64)
    """Of the square tori."""
    walkers: tuple[int, ...] = (256, 64, 16)
    """Chains, for each length."""
    sweeps: tuple[int, ...] = (300, 400, 500)
    """Swendsen–Wang updates of each chain after burn-in, for each length."""
    gate_sweeps: tuple[int, ...] = (1200, 2000, 3500)
    """The same at the β of the gate."""
    burn_in: int = 100
    """Updates before, from random configurations."""
    gate_beta: float = 0.4407
    """Where the result must agree, and from where the Binder cumulants are reweighted."""
    betas: tuple[float, ...] = (0.38, 0.40, 0.42, 0.43, 0.436, 0.445, 0.45, 0.46, 0.48, 0.50)
    """The others."""
    seed: int = 0
    """Of the first chain; each of the others has the next one."""
    device: str = "cpu"
    """Where the chains run."""
    smoke: bool = False
    """Two small lattices, short chains."""
    results: Path = Path("experiments/results")
    """Folder for ising_thermodynamics.json and ising_thermodynamics.png."""


def estimates(chain: lt.Chain) -> dict[str, Any]:
    """Return every observable with its error and autocorrelation time.

    Where the exact value is known, its distance is there too.
    """
    model: Any = chain.model
    row: dict[str, Any] = {}
    for name in OBSERVABLES:
        found = chain.estimate(name)
        row |= {name: found.value, f"{name}_error": found.error, f"{name}_tau": found.tau}
        if name in EXACT:
            exact = EXACT[name](model.lattice.shape, model.beta)
            row |= {f"{name}_exact": exact, f"{name}_pull": found.pull(exact)}
    return row


def binder_at(chain: lt.Chain, beta: float) -> lt.Estimate:
    """Binder cumulant at another β."""
    model: Any = chain.model
    energies = chain.values["energy"] * model.lattice.sites
    found = reweight(energies, chain.values["binder"], model.beta, beta, binder.function)  # type: ignore[attr-defined]
    return lt.Estimate(found.value, found.error)


def crossing(small: lt.Chain, large: lt.Chain, reach: float = 0.01) -> lt.Estimate | None:
    """Return β at which the two Binder cumulants are equal.

    It is None if that is farther from β_c than ``reach``.
    """

    def excess(beta: float) -> float:
        return binder_at(large, beta).value - binder_at(small, beta).value

    low, high = CRITICAL - reach, CRITICAL + reach
    if not excess(low) < 0.0 < excess(high):
        return None
    while high - low > 1e-6:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) < 0.0 else (low, middle)
    beta = 0.5 * (low + high)
    slope = (excess(beta + 0.0005) - excess(beta - 0.0005)) / 0.001
    return lt.Estimate(
        beta, math.hypot(binder_at(small, beta).error, binder_at(large, beta).error) / slope
    )


def power(rows: list[dict[str, Any]], name: str) -> lt.Estimate:
    """Exponent of the length in an observable, by weighted least squares of the logarithms."""
    x = torch.tensor([math.log(row["length"]) for row in rows], dtype=torch.float64)
    y = torch.tensor([math.log(row[name]) for row in rows], dtype=torch.float64)
    weight = torch.tensor(
        [(row[name] / row[f"{name}_error"]) ** 2 for row in rows], dtype=torch.float64
    )
    centred = x - (weight * x).sum() / weight.sum()
    spread = (weight * centred**2).sum()
    return lt.Estimate(float((weight * centred * y).sum() / spread), float(spread.rsqrt()))


def small(settings: IsingThermodynamics) -> IsingThermodynamics:
    """The settings of ``--smoke``."""
    return replace(
        settings, lengths=(4, 8), walkers=(16, 16), sweeps=(200, 200), gate_sweeps=(200, 200),
        burn_in=20, betas=(0.40, 0.43, 0.48),
    )  # fmt: skip


def measure(settings: IsingThermodynamics) -> tuple[list[dict[str, Any]], dict[int, lt.Chain]]:
    """Return a row per length and β, and the chains at the β of the gate."""
    rows = []
    anchors = {}
    seed = settings.seed
    per_length = zip(
        settings.lengths, settings.walkers, settings.sweeps, settings.gate_sweeps, strict=True
    )
    for length, walkers, sweeps, gate_sweeps in per_length:
        for beta in sorted({*settings.betas, settings.gate_beta}):
            gate = beta == settings.gate_beta
            chain = lt.run_chain(
                lt.Ising((length, length), beta=beta),
                lt.SwendsenWang(),
                walkers,
                gate_sweeps if gate else sweeps,
                seed=seed,
                burn_in=settings.burn_in,
                device=settings.device,
                observables=OBSERVABLES,
            )
            seed += 1
            row = {"length": length, "beta": beta, "draws": chain.draws * walkers}
            rows.append(row | estimates(chain))
            if gate:
                anchors[length] = chain
    return rows, anchors


def crossings(anchors: dict[int, lt.Chain]) -> list[dict[str, Any]]:
    """Return where the Binder cumulants of neighbouring lengths cross, if near ``β_c``."""
    rows = []
    for pair in pairwise(anchors):
        found = crossing(anchors[pair[0]], anchors[pair[1]])
        if found is None:
            continue
        row = {
            "lengths": pair,
            "beta": found.value,
            "beta_error": found.error,
            "pull": found.pull(CRITICAL),
            "binder": binder_at(anchors[pair[1]], found.value).value,
        }
        rows.append(row)
    return rows


def binder_curves(anchors: dict[int, lt.Chain]) -> dict[str, Any]:
    """Return the Binder cumulant of every length around ``β_c``, with errors."""
    curves = {}
    grid = (CRITICAL + torch.linspace(-0.005, 0.005, 21, dtype=torch.float64)).tolist()
    for length, chain in anchors.items():
        value, error = zip(*(binder_at(chain, beta) for beta in grid), strict=True)
        curves[str(length)] = {"beta": grid, "value": value, "error": error}
    return curves


def gate_of(at_gate: list[dict[str, Any]], beta: float) -> dict[str, Any]:
    """Return whether energies and specific heats agree where they must."""
    worst = max(abs(row[f"{name}_pull"]) for row in at_gate for name in EXACT)
    error = max(row["energy_error"] for row in at_gate)
    passed = worst < 3 and error <= 1e-3
    return {"beta": beta, "worst_pull": worst, "worst_energy_error": error, "passed": passed}


def main(settings: IsingThermodynamics) -> None:
    """Measure, compare, and save."""
    chosen = small(settings) if settings.smoke else settings
    settings.results.mkdir(parents=True, exist_ok=True)
    begin = time.process_time()
    rows, anchors = measure(chosen)
    seconds = time.process_time() - begin
    at_gate = [row for row in rows if row["beta"] == chosen.gate_beta]
    pulls = torch.tensor([row[f"{name}_pull"] for row in rows for name in EXACT])
    exponent = power(at_gate, "susceptibility_full")
    result: dict[str, Any] = {
        "rows": rows,
        "gate": gate_of(at_gate, chosen.gate_beta),
        "pulls": {
            "number": len(pulls),
            "mean": float(pulls.mean()),
            "mean_square": float(pulls.square().mean()),
            "worst": float(pulls.abs().max()),
        },
        "beta_critical": CRITICAL,
        "binder_crossings": crossings(anchors),
        "binder_curves": binder_curves(anchors),
        "binder_universal": UNIVERSAL,
        "susceptibility_exponent": {
            "value": exponent.value,
            "error": exponent.error,
            "infinite": 1.75,
        },
        "seconds_of_chains": round(seconds, 1),
        "config": {**asdict(chosen), "results": chosen.results.name},
        "versions": provenance(torch.device(chosen.device)),
    }
    print(table(result))
    text = json.dumps(result, indent=1) + "\n"
    write_text(settings.results / "ising_thermodynamics.json", text)
    draw(result, settings.results / "ising_thermodynamics.png")
    sys.exit(0 if settings.smoke or result["gate"]["passed"] else 1)


if __name__ == "__main__":
    main(tyro.cli(IsingThermodynamics, description=__doc__))
