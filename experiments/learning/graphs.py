"""Thermodynamics on triangular, honeycomb and kagome lattices beside their exact tori.

    python experiments/learning/graphs.py            # about three minutes on one core
    python experiments/learning/graphs.py --smoke    # seconds

- ``cases``: the ferromagnets at the critical points of the infinite lattices, and the triangular
  antiferromagnet: the energy by chains, and log Z by annealed walkers, beside the closed forms.
- ``scans``: energies of the ferromagnets through their transitions.
- ``residual``: the entropy per site that the triangular antiferromagnet keeps in its ground states,
  from log Z at a low temperature: 0.3231 on the infinite lattice.

References: Wannier, Phys. Rev. 79, 357 (1950); Houtappel, Physica 16, 425 (1950); Kanô, Naya, Prog.
Theor. Phys. 10, 158 (1953).
"""

import json
import math
import sys
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from drawing_graphs import draw

import leaps_triton as lt
from leaps_triton.bench.timing import Clock
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance

CRITICAL = {
    "triangular": 0.25 * math.log(3.0),
    "honeycomb": 0.5 * math.log(2.0 + math.sqrt(3.0)),
    "kagome": 0.25 * math.log(3.0 + 2.0 * math.sqrt(3.0)),
}
"""β of the transition at J = 1, on infinite lattices."""

ENTROPY = 0.3230659472
"""Of the triangular antiferromagnet's ground states per site, on the infinite lattice."""

COLD = 6.0
"""β at which excitations are less than a digit in a million."""


@dataclass(frozen=True)
class Graphs:
    """Measure models on graphs, and compare with exact values."""

    triangular: int = 12
    """Cells along both directions."""
    honeycomb: int = 8
    """Likewise."""
    kagome: int = 6
    """Likewise."""
    walkers: int = 64
    """Chains of each."""
    sweeps: int = 2000
    """Moves of each chain after burn-in."""
    scanned: int = 400
    """Likewise of a scan."""
    factors: tuple[float, ...] = (0.6, 0.75, 0.88, 0.96, 1.0, 1.04, 1.12, 1.25, 1.45)
    """β of a scan, in units of the critical one."""
    curve: int = 60
    """Points of an exact curve."""
    annealed: int = 4096
    """Walkers of log Z."""
    intervals: int = 200
    """Temperatures that these go through."""
    lengths: tuple[int, ...] = (6, 9, 12)
    """Of tori of which the residual entropy is found."""
    seed: int = 3
    """Of everything random."""
    smoke: bool = False
    """A moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for graphs.json and graphs.png."""


SMOKE: dict[str, Any] = {
    "triangular": 3,
    "honeycomb": 3,
    "kagome": 2,
    "walkers": 16,
    "sweeps": 60,
    "scanned": 40,
    "factors": (0.8, 1.0),
    "curve": 3,
    "annealed": 128,
    "intervals": 20,
    "lengths": (3,),
}
"""What a run of a moment has in place of the settings."""


def graph_of(name: str, settings: Graphs) -> lt.Graph:
    """Return the torus of a name."""
    makers = {
        "triangular": lt.Graph.triangular,
        "honeycomb": lt.Graph.honeycomb,
        "kagome": lt.Graph.kagome,
    }
    cells = asdict(settings)[name]
    return makers[name]((cells, cells))


def rounded(value: float, digits: int = 8) -> float:
    """Return a number in so many digits."""
    return float(f"{value:.{digits}g}")


def log_z_of(model: Any, settings: Graphs, seed: int) -> tuple[lt.WeightedEnsemble, float]:
    """Return annealed walkers, and their seconds."""
    clock = Clock(torch.device("cpu"))
    path = lt.AnnealingPath(model)
    sampler = lt.Sampler(
        path, None, lt.Jump(settings.intervals), lt.HeatBath(), block=256, device="cpu"
    )
    ensemble = sampler.sample(settings.annealed, seed)
    return ensemble, clock()


def case(name: str, coupling: float, beta: float, settings: Graphs) -> dict[str, Any]:
    """Return energy and log Z per site, each beside its exact value."""
    graph = graph_of(name, settings)
    model = lt.Ising(graph, beta=beta, coupling=coupling)
    clock = Clock(torch.device("cpu"))
    chain = lt.run_chain(
        model,
        None,
        settings.walkers,
        settings.sweeps,
        seed=settings.seed,
        burn_in=settings.sweeps // 5,
        observables=["energy"],
    )
    energy = chain.estimate("energy")
    seconds = clock()
    ensemble, annealing = log_z_of(model, settings, settings.seed + 1)
    exact = lt.exact.log_z(model)
    row: dict[str, Any] = {
        "graph": name,
        "model": repr(model),
        "sites": graph.sites,
        "coupling": coupling,
        "beta": rounded(beta),
        "move": repr(chain.move),
        "energy": rounded(energy.value),
        "energy_error": rounded(energy.error, 3),
        "energy_exact": lt.exact.energy(model),
        "log_z": rounded(ensemble.log_z / graph.sites),
        "log_z_error": rounded(ensemble.log_z_error / graph.sites, 3),
        "log_z_exact": exact / graph.sites,
        "ess": rounded(ensemble.ess, 4),
        "seconds": [round(seconds, 2), round(annealing, 2)],
    }
    for key in ("energy", "log_z"):
        row[f"{key}_pull"] = rounded((row[key] - row[f"{key}_exact"]) / row[f"{key}_error"], 3)
    print(
        f"{name:<11} J {coupling:+.0f} β {beta:.4f}  energy {energy} ({row['energy_pull']:+.1f} σ)"
        f"  log Z/N {row['log_z']:.5f} ({row['log_z_pull']:+.1f} σ)  ESS {row['ess']:.2f}",
        flush=True,
    )
    return row


def scan(name: str, settings: Graphs) -> dict[str, Any]:
    """Return energies of a ferromagnet through its transition."""
    graph = graph_of(name, settings)
    points = []
    for number, factor in enumerate(settings.factors):
        model = lt.Ising(graph, beta=factor * CRITICAL[name])
        chain = lt.run_chain(
            model,
            lt.SwendsenWang(),
            settings.walkers,
            settings.scanned,
            seed=settings.seed + 10 + number,
            burn_in=settings.scanned // 5,
            observables=["energy", "specific_heat"],
        )
        point: dict[str, Any] = {"beta": rounded(model.beta)}
        exact = {"energy": lt.exact.energy(model), "specific_heat": lt.exact.specific_heat(model)}
        for key, value in exact.items():
            found = chain.estimate(key)
            point[key] = rounded(found.value)
            point[f"{key}_error"] = rounded(found.error, 3)
            point[f"{key}_exact"] = value
        points.append(point)
    curve = []
    low = min(settings.factors)
    high = max(settings.factors)
    for factor in torch.linspace(low, high, settings.curve).tolist():
        model = lt.Ising(graph, beta=factor * CRITICAL[name])
        curve.append([model.beta, lt.exact.energy(model), lt.exact.specific_heat(model)])
    return {"graph": name, "critical": CRITICAL[name], "points": points, "curve": curve}


def residual(length: int, settings: Graphs) -> dict[str, Any]:
    """Return the entropy of ground states of the triangular antiferromagnet per site."""
    graph = lt.Graph.triangular((length, length))
    model = lt.Ising(graph, beta=COLD, coupling=-1.0)
    ensemble, seconds = log_z_of(model, settings, settings.seed + 2)
    # In a ground state every triangle has one bond that is not satisfied: the energy is -1 a site.
    found = ensemble.log_z / graph.sites - COLD
    error = ensemble.log_z_error / graph.sites
    exact = lt.exact.log_z(model) / graph.sites - COLD
    print(f"entropy per site, {length} × {length}: {found:.5f} ± {error:.5f}, exact {exact:.8f}")
    return {
        "length": length,
        "entropy": rounded(found),
        "error": rounded(error, 3),
        "exact": exact,
        "pull": rounded((found - exact) / error, 3),
        "ess": rounded(ensemble.ess, 4),
        "seconds": round(seconds, 2),
    }


def shown(name: str, coupling: float, beta: float, settings: Graphs) -> dict[str, Any]:
    """Return one configuration with the positions of its sites."""
    graph = graph_of(name, settings)
    assert graph.positions is not None
    model = lt.Ising(graph, beta=beta, coupling=coupling)
    chain = lt.run_chain(
        model, None, 2, 200, seed=settings.seed + 4, burn_in=0, observables=["energy"]
    )
    return {
        "title": f"{name}, J = {coupling:+.0f}, β = {beta:.3g}",
        "positions": graph.positions.tolist(),
        "edges": graph.edges.tolist(),
        "spins": chain.configurations[-1].flatten().tolist(),
    }


def main(settings: Graphs) -> None:
    """Measure, compare, draw and save; the exit status is 1 if a value is off by 4σ."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    warnings.simplefilter("ignore", lt.ShortChainWarning)
    if settings.smoke:
        settings = replace(settings, **SMOKE)
    cases = [case(name, 1.0, beta, settings) for name, beta in CRITICAL.items()]
    cases += [case("triangular", -1.0, beta, settings) for beta in (0.5, 1.0)]
    scans = [scan(name, settings) for name in CRITICAL]
    entropies = [residual(length, settings) for length in settings.lengths]
    pictures = [
        shown("triangular", 1.0, CRITICAL["triangular"], settings),
        shown("triangular", -1.0, 1.5, settings),
        shown("honeycomb", 1.0, CRITICAL["honeycomb"], settings),
        shown("kagome", 1.0, CRITICAL["kagome"], settings),
    ]
    pulls = [row[key] for row in cases for key in ("energy_pull", "log_z_pull")]
    pulls += [row["pull"] for row in entropies]
    result: dict[str, Any] = {
        "cases": cases,
        "scans": scans,
        "residual": {"rows": entropies, "infinite": ENTROPY, "beta": COLD},
        "gate": {"worst_pull": max(map(abs, pulls)), "number": len(pulls)},
        "device": device_name(torch.device("cpu")),
        "config": {**asdict(settings), "results": settings.results.name},
        "versions": provenance(torch.device("cpu")),
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(settings.results / "graphs.json", text)
    draw(result, pictures, settings.results / "graphs.png")
    # Of thirteen values one is beyond 4σ with probability 8e-4; short chains have rough errors.
    if result["gate"]["worst_pull"] > 4.0 and not settings.smoke:
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(Graphs, description=__doc__))
