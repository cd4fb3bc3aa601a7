"""Measure Potts models through their transition: continuous for q = 3, first-order for q = 10.

    python experiments/physics/potts_transition.py            # about 4 minutes on one CPU core
    python experiments/physics/potts_transition.py --smoke

Half of the chains start ordered and half random, and the two halves are compared. Energy and order
parameter over β, the law of the energy, and autocorrelation times, which grow with the length as a
power for q = 3 and exponentially for q = 10. Checks: log Z and energies of small lattices against
the transfer matrix; for q = 10, of the larger ones, the β at which the ordered phases weigh q times
the disordered one, against β_c = ln(1 + √q), and the mean energies of the phases there against
Baxter's (J. Phys. C 6, L445, 1973); for q = 3, how order parameter and energy at β_c change with
the length, against the known dimensions (Wu, Rev. Mod. Phys. 54, 235, 1982). If the small lattices
miss by four standard errors the exit status is 1.
"""

import json
import math
import sys
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from reports.potts import draw, table
from torch import Tensor

import leaps_triton as lt
from leaps_triton.estimators import chain_estimate, mbar, reweight
from leaps_triton.files import write_text
from leaps_triton.provenance import provenance

OBSERVABLES = ("energy", "potts_order", "specific_heat")
BINS = 56
RANGE = (-1.95, -0.55)
"""Energies a site of the histogram."""


@dataclass(frozen=True)
class PottsTransition:
    """Measure Potts tori through their transition, and compare with exact values."""

    states: tuple[int, ...] = (3, 10)
    """q, of at most 4 for a continuous transition."""
    lengths: tuple[tuple[int, ...], ...] = ((16, 32), (16, 24))
    """Of the square tori, for each q."""
    critical_sweeps: tuple[tuple[int, ...], ...] = ((1500, 1500), (8000, 12000))
    """Updates of each chain at β_c after burn-in, for each q and length."""
    sweeps: tuple[int, ...] = (300, 1000)
    """The same elsewhere, for each q."""
    burn_in: tuple[int, ...] = (100, 800)
    """Updates before, at least, for each q, and a quarter of those after."""
    offsets: tuple[tuple[float, ...], ...] = (
        (-0.06, -0.04, -0.02, -0.01, 0.01, 0.02, 0.04),
        (-0.06, -0.03, 0.03, 0.06),
    )
    """Where, for each q: β/β_c - 1."""
    walkers: int = 64
    """Chains at each β."""
    small_lengths: tuple[int, ...] = (6, 5)
    """Of the lattices of the exact check, for each q; open in one direction beyond q = 4."""
    small_sweeps: int = 500
    """Updates of each chain there."""
    seed: int = 0
    """Of the first chain; each of the others has the next one."""
    device: str = "cpu"
    """Where the chains run."""
    smoke: bool = False
    """One small lattice for each q, short chains."""
    results: Path = Path("experiments/results")
    """Folder for potts_transition.json and potts_transition.png."""


def critical(q: int) -> float:
    """``β_c = ln(1 + √q)``, by self-duality."""
    return math.log1p(math.sqrt(q))


def phases(q: int) -> tuple[float, float]:
    """Energies a site of the ordered and the disordered phase at ``β_c``, equal for q ≤ 4.

    Their mean is ``-(1 + 1/√q)``, their difference ``2 (1 + 1/√q) tanh(Θ/2) Π_n tanh²(nΘ)``, ``2
    cosh Θ = √q``.
    """
    mean, latent = -(1.0 + 1.0 / math.sqrt(q)), 0.0
    if q > 4:
        theta = math.acosh(math.sqrt(q) / 2.0)
        product = math.prod(math.tanh(n * theta) ** 2 for n in range(1, 200))
        latent = -2.0 * mean * math.tanh(theta / 2.0) * product
    return mean - latent / 2.0, mean + latent / 2.0


def run(
    model: lt.Potts, sweeps: int, burn_in: int, seed: int, settings: PottsTransition
) -> lt.Chain:
    """Chains of which the even ones start with all sites in one state, the odd ones at random."""
    walkers = torch.arange(settings.walkers)
    start = lt.AnnealingPath(model).start.sample(walkers, seed)
    start[::2] = (walkers[::2] // 2 % model.q).to(start.dtype).view(-1, 1, 1)
    return lt.run_chain(
        model, lt.SwendsenWang(), settings.walkers, sweeps, seed=seed, burn_in=max(burn_in,
        sweeps // 4), observables=OBSERVABLES, start=start, device=settings.device,
    )  # fmt: skip


def estimates(chain: lt.Chain) -> dict[str, Any]:
    """Return every observable with its error and autocorrelation time.

    The distance of the two halves is in their errors.
    """
    row: dict[str, Any] = {}
    for name in OBSERVABLES:
        found = chain.estimate(name)
        row |= {name: found.value, f"{name}_error": found.error, f"{name}_tau": found.tau}
        row[f"{name}_tau_error"] = found.tau_error
    ordered, random = (chain_estimate(chain.values["energy"][half::2]) for half in (0, 1))
    return {
        **row,
        "energy_from_order": ordered.value, "energy_from_order_error": ordered.error,
        "energy_from_random": random.value, "energy_from_random_error": random.error,
        "halves_pull": (ordered.value - random.value) / math.hypot(ordered.error, random.error),
    }  # fmt: skip


def at(chain: lt.Chain, values: Tensor, beta: float) -> lt.Estimate:
    """Mean of ``values (walkers, draws)`` at another β."""
    model: Any = chain.model
    found = reweight(chain.values["energy"] * model.lattice.sites, values, model.beta, beta)
    return lt.Estimate(found.value, found.error)


def histogram(chain: lt.Chain, beta: float) -> dict[str, list[float]]:
    """Density of the energy a site at ``β``, in bins of at least one level."""
    model: Any = chain.model
    bins = min(BINS, int((RANGE[1] - RANGE[0]) * model.lattice.sites / 4))
    # Edges lie between two levels, so that no bin has more levels for a reason of rounding.
    levels = max(1, round((RANGE[1] - RANGE[0]) * model.lattice.sites / bins))
    width = levels / model.lattice.sites
    edges = [-2.0 - 0.5 / model.lattice.sites + n * width for n in range(round(1.6 / width))]
    e, rows = chain.values["energy"], []
    for edge in edges:
        inside = (e > edge) & (e <= edge + width)
        if not bool(inside.any()):
            continue
        found = at(chain, inside.double(), beta)
        rows.append((edge + width / 2, found.value / width, found.error / width))
    return {
        key: list(column)
        for key, column in zip(("energy", "density", "error"), zip(*rows, strict=True), strict=True)
    }


def beta_of_share(chain: lt.Chain, ordered: Tensor, share: float) -> lt.Estimate:
    """Return β at which the ordered phases have a share of the weight, by bisection."""
    model: Any = chain.model
    beta_c = critical(model.q)
    low = 0.98 * beta_c
    high = 1.02 * beta_c
    while high - low > 1e-7:
        middle = 0.5 * (low + high)
        if at(chain, ordered, middle).value < share:
            low = middle
        else:
            high = middle
    beta = 0.5 * (low + high)
    # The error of the share becomes that of β by the slope, a central difference.
    rise = at(chain, ordered, beta + 1e-4).value - at(chain, ordered, beta - 1e-4).value
    slope = rise / 2e-4
    return lt.Estimate(beta, at(chain, ordered, beta).error / slope)


def peak_over_valley(law: dict[str, list[float]], exact: tuple[float, float]) -> float:
    """Return the lower peak of a law of two phases over the least density between them."""
    middle = sum(exact) / 2.0
    pairs = list(zip(law["energy"], law["density"], strict=True))
    ordered = max(density for energy, density in pairs if energy < middle)
    disordered = max(density for energy, density in pairs if energy >= middle)
    between = [density for energy, density in pairs if exact[0] < energy < exact[1]]
    return min(ordered, disordered) / min(between)


def coexistence(chain: lt.Chain) -> dict[str, Any]:
    """Return where the ordered phases weigh q times the disordered one, and where as much.

    The phases' energies at ``β_c`` are there too. Phases are told apart by the energy half way
    between Baxter's. The first β differs from ``β_c`` by terms that fall exponentially with the
    length: Borgs, Janke, Phys. Rev. Lett. 68, 1738 (1992).
    """
    model: Any = chain.model
    exact = phases(model.q)
    e = chain.values["energy"]
    ordered = (e < sum(exact) / 2.0).double()
    weighted = beta_of_share(chain, ordered, model.q / (model.q + 1.0))
    equal = beta_of_share(chain, ordered, 0.5)
    result: dict[str, Any] = {
        "beta_q_to_one": weighted.value,
        "beta_q_to_one_error": weighted.error,
        "beta_q_to_one_pull": weighted.pull(critical(model.q)),
        "beta_equal": equal.value,
        "beta_equal_error": equal.error,
        "changes_of_phase": int((ordered[:, 1:] != ordered[:, :-1]).sum()),
    }
    both = {"ordered": ordered, "disordered": 1.0 - ordered}
    for (name, inside), value in zip(both.items(), exact, strict=True):
        columns = torch.stack([e * inside, inside], dim=2)
        found = chain_estimate(columns, lambda means: means[..., 0] / means[..., 1])
        result[f"energy_{name}"] = found.value
        result[f"energy_{name}_error"] = found.error
        result[f"energy_{name}_infinite"] = value
    law = histogram(chain, equal.value)
    result["peak_over_valley"] = peak_over_valley(law, exact)
    result["law_at_equal"] = law
    return result


def finite_size(q: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return dimensions of order parameter and energy for q ≤ 4.

    They come from the smallest and the largest torus at ``β_c``.

    ``⟨order⟩ ~ L^{-x_σ}``, ``e(L) - e(∞) ~ L^{-x_ε}``; with ``√q = 2 cos(πu/2)``, ``x_σ = (1 -
    u²)/(8 - 4u)`` and ``x_ε = (1 + u)/(2 - u)``. Two lengths say nothing of corrections, so this is
    no gate.
    """
    u = 2.0 / math.pi * math.acos(math.sqrt(q) / 2.0)
    found = {}
    laws = (
        ("potts_order", 0.0, (1.0 - u**2) / (8.0 - 4.0 * u)),
        ("energy", phases(q)[0], (1.0 + u) / (2.0 - u)),
    )
    for name, infinite, exact in laws:
        first, last = (
            (row[name] - infinite, row[f"{name}_error"], row["length"])
            for row in (rows[0], rows[-1])
        )
        scale = math.log(last[2] / first[2])
        value = math.log(first[0] / last[0]) / scale
        error = math.hypot(first[1] / first[0], last[1] / last[0]) / scale
        found[name] = {
            "dimension": value,
            "error": error,
            "exact": exact,
            "pull": (value - exact) / error,
        }
    return found


def small_lattice(q: int, length: int, seed: int, settings: PottsTransition) -> dict[str, Any]:
    """Return energies and log Z of a small lattice at ``0, …, β_c``.

    They come from chains, and by the transfer matrix.
    """
    betas = [critical(q) * part for part in (0.0, 0.25, 0.5, 0.75, 1.0)]
    models = [lt.Potts((length, length), q=q, beta=beta, periodic=(q <= 4, True)) for beta in betas]
    chains = [
        run(model, settings.small_sweeps, settings.small_sweeps // 5, seed + k, settings)
        for k, model in enumerate(models)
    ]
    rows = []
    for model, chain in zip(models, chains, strict=True):
        energy, heat = chain.estimate("energy"), chain.estimate("specific_heat")
        row = {"beta": model.beta, "energy": energy.value, "energy_error": energy.error}
        row["energy_pull"] = energy.pull(lt.exact.energy(model))
        if model.beta > 0.0:
            row["specific_heat_pull"] = heat.pull(lt.exact.specific_heat(model))
        rows.append(row)
    energies = [chain.values["energy"] * length**2 for chain in chains]
    groups, walkers = 16, torch.arange(settings.walkers)
    start = length**2 * math.log(q)
    value = start + float(mbar(energies, betas)[-1])
    left_out = torch.stack(
        [mbar([e[walkers % groups != g] for e in energies], betas)[-1] for g in range(groups)]
    )
    log_z = lt.Estimate(value, math.sqrt((groups - 1) * float(left_out.var(correction=0))))
    exact = lt.exact.log_z(models[-1])
    return {
        "shape": (length, length), "periodic": (q <= 4, True), "energies": rows, "beta": betas[-1],
        "log_z": log_z.value, "log_z_error": log_z.error, "log_z_exact": exact,
        "log_z_pull": log_z.pull(exact),
    }  # fmt: skip


def measure(index: int, seed: int, settings: PottsTransition) -> dict[str, Any]:
    """All of one q."""
    q, lengths = settings.states[index], settings.lengths[index]
    beta_c = critical(q)
    rows, laws, curves, coexistences = [], {}, {}, {}
    for length, sweeps in zip(lengths, settings.critical_sweeps[index], strict=True):
        for offset in sorted({*settings.offsets[index], 0.0}):
            model = lt.Potts((length, length), q=q, beta=beta_c * (1.0 + offset))
            updates = settings.sweeps[index] if offset else sweeps
            chain = run(model, updates, settings.burn_in[index], seed, settings)
            seed += 1
            rows.append(
                {"length": length, "beta": model.beta, "draws": chain.draws, **estimates(chain)}
            )
            if offset:
                continue
            laws[str(length)] = histogram(chain, beta_c)
            grid = [beta_c * (1.0 + 0.001 * n) for n in range(-8, 9)]
            curves[str(length)] = {
                "beta": grid,
                **{
                    n: [at(chain, chain.values[n], b).value for b in grid]
                    for n in ("energy", "potts_order")
                },
            }
            if q > 4:
                coexistences[str(length)] = coexistence(chain)
    return {
        "q": q, "beta_critical": beta_c, "energies_infinite": phases(q), "rows": rows,
        "laws": laws, "curves": curves, "finite_size": finite_size(q,
        [r for r in rows if r["beta"] == beta_c]) if q <= 4 and len(lengths) > 1 else {},
        "coexistence": coexistences, "small": small_lattice(q, settings.small_lengths[index], seed,
        settings),
    }  # fmt: skip


def small(settings: PottsTransition) -> PottsTransition:
    """The settings of ``--smoke``."""
    return replace(
        settings, lengths=((6,), (6,)), critical_sweeps=((200,), (400,)), sweeps=(100, 100),
        burn_in=(20, 50), offsets=((-0.04, 0.04), (-0.08, 0.08)),
        walkers=32, small_lengths=(4, 4), small_sweeps=150,
    )  # fmt: skip


def main(settings: PottsTransition) -> None:
    """Measure, compare, and save."""
    chosen = small(settings) if settings.smoke else settings
    # At a transition of first order no chain on a CPU is as long as that: the halves are compared
    # instead.
    warnings.simplefilter("ignore", lt.ShortChainWarning)
    settings.results.mkdir(parents=True, exist_ok=True)
    begin = time.process_time()
    results = [
        measure(index, chosen.seed + 1000 * index, chosen) for index in range(len(chosen.states))
    ]
    worst = max(
        max(
            abs(r["small"]["log_z_pull"]),
            *(abs(row["energy_pull"]) for row in r["small"]["energies"]),
        )
        for r in results
    )
    result: dict[str, Any] = {
        "models": results,
        "gate": {"worst_pull_of_small_lattices": worst, "passed": worst < 4.0},
        "seconds": round(time.process_time() - begin, 1),
        "config": {**asdict(chosen), "results": chosen.results.name},
        "versions": provenance(torch.device(chosen.device)),
    }
    print(table(results))
    text = json.dumps(result, indent=1) + "\n"
    write_text(settings.results / "potts_transition.json", text)
    draw(results, settings.results / "potts_transition.png")
    sys.exit(0 if result["gate"]["passed"] else 1)


if __name__ == "__main__":
    main(tyro.cli(PottsTransition, description=__doc__))
