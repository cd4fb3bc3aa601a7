"""Measure every move of Markov chains against Kaufman: energy and specific heat of critical tori.

    python experiments/gpu/kernel_gates.py            # about an hour on one CPU core
    python experiments/gpu/kernel_gates.py --smoke
    python experiments/gpu/kernel_gates.py --kernels wolff metropolis

The last measures two moves again and keeps the other rows.

At β = 0.4407 both must lie within three standard errors of the exact values, that of the energy
being at most 0.001, or the exit status is 1. The walkers begin at equilibrium, by Swendsen–Wang
updates. Chains are estimated by the Γ-method. Kinetic Monte Carlo makes one step of many
independent walkers, which shows that it leaves equilibrium as it is, and not how it gets there; on
a CPU a short one at L = 32 and 64, where its events are dear. Over-relaxation has no move for two
states. All cases have one seed, so that their errors are not quite independent.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from tqdm import tqdm

import leaps_triton as lt
from leaps_triton.estimators import weighted_estimate
from leaps_triton.files import write_text
from leaps_triton.provenance import provenance

KERNELS: dict[str, Any] = {
    "heat-bath": lt.HeatBath(sweeps=10),
    "metropolis": lt.Metropolis(sweeps=10),
    "swendsen-wang": lt.SwendsenWang(),
    "wolff": lt.Wolff(clusters=4),
    "tempering": lt.ParallelTempering((0.95, 1.0), lt.HeatBath(sweeps=10)),
    "houdayer": lt.Compose(lt.HeatBath(sweeps=10), lt.Houdayer()),
    "kinetic": lt.KineticMonteCarlo(time=1.0, reversible="metropolis"),
}
WALKERS = {16: 256, 32: 128, 64: 32}
STEPS = {
    "heat-bath": {16: 600, 32: 1600, 64: 9000},
    "metropolis": {16: 320, 32: 800, 64: 4500},
    "swendsen-wang": {16: 1200, 32: 1600, 64: 3600},
    "wolff": {16: 400, 32: 800, 64: 1600},
    "tempering": {16: 600, 32: 1600, 64: 7200},
    "houdayer": {16: 600, 32: 1600, 64: 9000},
}
INDEPENDENT = {16: 36864, 32: 12288, 64: 4096}
"""Walkers of kinetic Monte Carlo."""
TIMES = {16: 1.0, 32: 0.1, 64: 0.02}
"""That each of them goes on for, on a CPU; on a GPU 1 everywhere."""
EXACT = {"energy": lt.exact.ising_energy, "specific_heat": lt.exact.ising_specific_heat}


@dataclass(frozen=True)
class KernelGates:
    """Measure energy and specific heat with every kernel, and compare with exact values."""

    kernels: tuple[str, ...] = tuple(KERNELS)
    """Those to be measured; rows of the others are kept as the file has them."""
    lengths: tuple[int, ...] = (16, 32, 64)
    """Of the square tori: 16, 32 and 64."""
    beta: float = 0.4407
    """Inverse temperature."""
    burn_in: int = 100
    """Swendsen–Wang updates before, from random configurations."""
    seed: int = 0
    """Of everything random."""
    device: str = "cpu"
    """Where the walkers are."""
    smoke: bool = False
    """The smallest lattice, a fortieth of the walkers, a quarter of the steps, and errors as they
    come."""
    json: Path = Path("experiments/results/kernel_gates.json")
    """Where to save the rows, after each of them."""


def equilibrium(model: lt.Ising, walkers: int, settings: KernelGates) -> torch.Tensor:
    """Configurations of independent walkers."""
    path, kernel, pieces = lt.AnnealingPath(model), lt.SwendsenWang(), []
    # In pieces that fit a cache; walkers do not notice.
    for index in torch.arange(walkers, device=settings.device).split(2**16 // model.lattice.sites):
        state = kernel.init(path.start.sample(index, settings.seed), index)
        for _ in range(settings.burn_in):
            state, _ = kernel.step(state, path, 1.0, settings.seed)
        pieces.append(state.configurations)
    return torch.cat(pieces)


def of_chain(
    name: str, kernel: Any, model: lt.Ising, settings: KernelGates, shrink: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return estimates from Markov chains, and what they took."""
    (length, _) = model.lattice.shape
    # Houdayer's move needs pairs.
    walkers = WALKERS[length] // shrink // 2 * 2
    steps = STEPS[name][length]
    if settings.smoke:
        steps //= 4
    chain = lt.run_chain(
        model,
        kernel,
        walkers,
        steps,
        seed=settings.seed + 1,
        burn_in=0,
        observables=list(EXACT),
        start=equilibrium(model, walkers, settings),
        device=settings.device,
    )
    found = {key: chain.estimate(key) for key in EXACT}
    draws = walkers * chain.draws
    return found, {"walkers": walkers, "draws": draws, "tau_of_energy": found["energy"].tau}


def of_walkers(
    kernel: Any, model: lt.Ising, settings: KernelGates, shrink: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return estimates from independent walkers after one step, and what they took."""
    walkers = INDEPENDENT[model.lattice.shape[0]] // shrink
    index = torch.arange(walkers, device=settings.device)
    path = lt.AnnealingPath(model)
    state = kernel.init(equilibrium(model, walkers, settings), index)
    pieces = []
    # In pieces, to bound the memory of the log-ratios of all moves.
    for part in index.split(2**19 // model.lattice.sites):
        piece = type(state)(state.configurations[part], part, 0)
        pieces.append(kernel.step(piece, path, 1.0, settings.seed + 1)[0].configurations)
    x = torch.cat(pieces)
    weights = torch.zeros(walkers, dtype=torch.float64)
    found: dict[str, Any] = {}
    for key in EXACT:
        observable = getattr(lt.observables, key)
        function = getattr(observable, "function", None)
        found[key] = weighted_estimate(observable(x, model).cpu(), weights, function)
    return found, {"walkers": walkers, "draws": walkers, "tau_of_energy": None}


def measure(name: str, length: int, settings: KernelGates) -> dict[str, Any]:
    """Return energy and specific heat of one move on one lattice, with errors and pulls."""
    model = lt.Ising((length, length), beta=settings.beta)
    kernel = KERNELS[name]
    if name == "kinetic" and torch.device(settings.device).type == "cpu":
        kernel = replace(kernel, time=TIMES[length])
    shrink = 40 if settings.smoke else 1
    begin = time.process_time()
    row: dict[str, Any] = {"kernel": name, "description": repr(kernel), "length": length}
    if name in STEPS:
        found, taken = of_chain(name, kernel, model, settings, shrink)
    else:
        found, taken = of_walkers(kernel, model, settings, shrink)
    row |= taken
    for key, formula in EXACT.items():
        exact = formula((length, length), settings.beta)
        row[key] = found[key].value
        row[f"{key}_error"] = found[key].error
        row[f"{key}_exact"] = exact
        row[f"{key}_pull"] = (found[key].value - exact) / found[key].error
    within = all(abs(row[f"{key}_pull"]) < 3.0 for key in EXACT) and row["energy_error"] <= 1e-3
    row["seconds"] = round(time.process_time() - begin, 1)
    row["passed"] = within
    row["versions"] = provenance(torch.device(settings.device))
    return row


def line(row: dict[str, Any]) -> str:
    """A row of the printed table."""
    energy, heat = (lt.Estimate(row[key], row[f"{key}_error"]) for key in EXACT)
    return (
        f"{row['kernel']:14}{row['length']:4}{energy!s:>20}{row['energy_pull']:6.1f}{heat!s:>18}"
        f"{row['specific_heat_pull']:6.1f}{row['seconds']:9.1f}"
    )


def main(settings: KernelGates) -> None:
    """Measure, save, and print."""
    unknown = sorted({*settings.kernels} - {*KERNELS}), sorted({*settings.lengths} - {*WALKERS})
    if any(unknown):
        sys.exit(
            f"kernel_gates: kernels are {', '.join(KERNELS)}, "
            f"lengths {', '.join(map(str, WALKERS))}, got {unknown}"
        )
    chosen = replace(settings, lengths=settings.lengths[:1]) if settings.smoke else settings
    settings.json.parent.mkdir(parents=True, exist_ok=True)
    rows = json.loads(settings.json.read_text())["rows"] if settings.json.exists() else []
    work = [(k, n) for k in chosen.kernels for n in chosen.lengths]
    print(
        f"{'kernel':14}{'L':>4}{'energy / site':>20}{'pull':>6}"
        f"{'specific heat':>18}{'pull':>6}{'seconds':>9}"
    )
    for name, length in tqdm(work, disable=None):
        row = measure(name, length, chosen)
        rows = [old for old in rows if (old["kernel"], old["length"]) != (name, length)] + [row]
        rows.sort(key=lambda row: (list(KERNELS).index(row["kernel"]), row["length"]))
        config = {**asdict(chosen), "kernels": list(KERNELS), "json": settings.json.name}
        text = json.dumps({"rows": rows, "config": config}, indent=1)
        write_text(settings.json, text + "\n")
        tqdm.write(line(row))
    missed = [f"{row['kernel']} at {row['length']}" for row in rows if not row["passed"]]
    if settings.smoke:
        print("gate: not asked of a rehearsal")
        return
    print(f"gate: {'missed by ' + ', '.join(missed) if missed else 'passed'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main(tyro.cli(KernelGates, description=__doc__))
