"""Temper the ±J spin glass in two dimensions, with Houdayer's clusters and without.

    python experiments/physics/spin_glass.py            # about 4 minutes on one CPU core
    python experiments/physics/spin_glass.py --smoke

One draw of the couplings of a 12 × 12 cylinder, with both moves: energies and specific heats at all
temperatures, log Z and the law of the overlap, against the transfer matrix and independent exact
samples. If they miss by four standard errors the exit status is 1. One draw of a 64 × 64 torus,
with and without Houdayer's move: energies and squared overlaps of the two and of the two halves of
each, which agree where both have settled, acceptance of exchanges, replicas that come from the
highest temperature to the lowest, and autocorrelation times. Replicas start at random and are
cooled together during the first half of the burn-in.
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
from reports.glass import METHODS, draw, table
from torch import Tensor

import leaps_triton as lt
from leaps_triton.estimators import ChainEstimate, chain_estimate, mbar, weighted_estimate
from leaps_triton.files import write_text
from leaps_triton.observables.pairs import overlap
from leaps_triton.observables.spins import specific_heat
from leaps_triton.provenance import provenance

SMALL_BINS, LARGE_BINS = 25, 75
"""Of the overlap."""
WINDOW = 4.0
"""``S`` of the Γ-method: replicas that wander among temperatures leave a slow tail, which the usual
1.5 cuts off."""
MANY = 16
"""Pairs from which errors are those between pairs, which need no window."""


@dataclass(frozen=True)
class SpinGlass:
    """Temper spin glasses, and compare with exact values and with one another."""

    small: int = 12
    """Side of the lattice that is compared with exact values, open in one direction."""
    small_betas: tuple[float, ...] = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05, 1.25, 1.5)
    """Its inverse temperatures, from 0."""
    small_walkers: int = 64
    """Independent temperings there, of which two make a pair."""
    small_steps: int = 1000
    """Steps there after burn-in: a sweep of every replica, a cluster exchange of every pair, a
    round of exchanges."""
    exact_samples: int = 20000
    """Independent exact samples, for the law of the overlap."""
    large: int = 64
    """Side of the torus on which the methods are compared."""
    lowest_beta: float = 0.5
    """Its smallest inverse temperature."""
    highest_beta: float = 1.2
    """Its largest one."""
    temperatures: int = 23
    """Their number, in geometric sequence."""
    large_walkers: int = 4
    """Independent temperings, of which two make a pair."""
    large_steps: int = 3000
    """Steps after burn-in, one measurement every second."""
    large_burn_in: int = 3000
    """Steps before, in the first half of which β rises from 0."""
    small_burn_in: int = 400
    """The same on the small lattice."""
    seed: int = 0
    """Of the small lattice's couplings and walkers; the large one has the next."""
    device: str = "cpu"
    """Where they run."""
    smoke: bool = False
    """Small lattices, few steps."""
    results: Path = Path("experiments/results")
    """Folder for spin_glass.json and spin_glass.png."""


@dataclass(frozen=True)
class Tempered:
    """What a run of parallel tempering measured."""

    model: lt.EdwardsAnderson
    betas: list[float]
    energies: Tensor
    """H, float64 ``(walkers, draws, K)``"""
    overlaps: Tensor
    """Of the pairs, float64 ``(walkers / 2, draws, K)``"""
    settling: list[float]
    """H a site at the lowest temperature in tenths of the steps after cooling"""
    acceptance: list[float]
    arrivals: int
    thin: int
    seconds: float

    def estimates(self) -> list[dict[str, Any]]:
        """Energy, specific heat and ``q²`` at every β, times in steps.

        The moves exchange clusters within a pair, so that its walkers are correlated at different
        steps, and an error from each alone would be too small: a pair counts as one chain. Many
        pairs give the errors by themselves.
        """
        rows, sites = [], self.model.lattice.sites
        for k, beta in enumerate(self.betas):
            h, q = self.energies[..., k], self.overlaps[..., k]
            heat = torch.stack([beta * h / sites**0.5, beta**2 * h**2 / sites], dim=2)
            half = h.shape[1] // 2
            columns = {
                "energy": measured(of_pairs(h / sites)),
                "specific_heat": measured(of_pairs(heat), specific_heat.function),  # type: ignore[attr-defined]
                "overlap_squared": measured(q**2),
            }
            row: dict[str, Any] = {"beta": beta, "overlap": float(q.mean())}
            for name, (found, error) in columns.items():
                row |= {name: found.value, f"{name}_error": error}
                # The specific heat is 0 at β = 0, and has no time.
                row[f"{name}_tau"] = found.tau * self.thin if error > 0.0 else None
            # Draws of chains that have settled have one law in both halves.
            for name, values in (("energy", of_pairs(h / sites)), ("overlap_squared", q**2)):
                (first, error), (second, other) = (
                    measured(values[:, :half]),
                    measured(values[:, half:]),
                )
                row[f"{name}_halves_pull"] = (first.value - second.value) / math.hypot(error, other)
            rows.append(row)
        return rows

    def law(self, k: int, bins: int) -> dict[str, list[float]]:
        """``P(q)`` at temperature ``k``, in bins of equal width."""
        rows = []
        for bin_, centre in enumerate(centres(bins)):
            inside = (index(self.overlaps[..., k], bins) == bin_).double()
            found, error = measured(inside) if bool(inside.any()) else (lt.Estimate(0.0, 0.0), 0.0)
            rows.append((centre, found.value * bins / 2, error * bins / 2))
        return columns_of(rows)


def measured(values: Tensor, function: Any = None) -> tuple[ChainEstimate, float]:
    """Return the Γ-method's estimate of pairs ``(pairs, draws, …)``, and the error.

    The error is that between pairs, where they are many.
    """
    found = chain_estimate(values, function, WINDOW)
    if len(values) < MANY or not found.error > 0.0:
        return found, found.error
    return found, weighted_estimate(values.mean(1), torch.zeros(len(values)), function).error


def of_pairs(values: Tensor) -> Tensor:
    """Means over the walkers of each pair, ``(walkers / 2, …)``."""
    return values.unflatten(0, (-1, 2)).mean(1)


def centres(bins: int) -> list[float]:
    """Middles of the bins of an overlap."""
    return [(bin_ + 0.5) * 2.0 / bins - 1.0 for bin_ in range(bins)]


def index(overlaps: Tensor, bins: int) -> Tensor:
    """Bins of overlaps."""
    return ((overlaps + 1.0) * (bins / 2.0)).long().clamp(0, bins - 1)


def columns_of(rows: list[tuple[float, float, float]]) -> dict[str, list[float]]:
    """A law for JSON."""
    return {
        key: [round(value, 6) for value in column]
        for key, column in zip(
            ("overlap", "density", "error"), zip(*rows, strict=True), strict=True
        )
    }


def temper(
    model: lt.EdwardsAnderson, betas: list[float], houdayer: bool, walkers: int, burn_in: int,
    steps: int, thin: int, seed: int, settings: SpinGlass,
) -> Tempered:  # fmt: skip
    """Parallel tempering, measured at all temperatures."""
    moves = lt.Compose(lt.HeatBath(), lt.Houdayer()) if houdayer else lt.HeatBath()
    kernel = lt.ParallelTempering([beta / model.beta for beta in betas], moves)
    path = lt.AnnealingPath(model)
    indices = torch.arange(walkers, device=settings.device)
    state = kernel.init(path.start.sample(indices, seed), indices)
    tried = accepted = torch.zeros(len(betas) - 1)
    energies, overlaps, coldest, cooling = [], [], [], burn_in // 2
    for step in range(1, burn_in + steps + 1):
        state, info = kernel.step(state, path, min(1.0, step / cooling), seed)
        if step > cooling and step % thin == 0:
            coldest.append(
                model.energy(state.configurations).double().mean().cpu() / model.lattice.sites
            )
        if step == burn_in:
            begin, before = time.process_time(), state.arrivals.clone()
        if step <= burn_in:
            continue
        tried, accepted = tried + info.tried.cpu(), accepted + info.accepted.float().mean(0).cpu()
        if step % thin == 0:
            energies.append(
                model.energy(state.replicas.flatten(0, 1)).view(walkers, -1).double().cpu()
            )
            first, second = (state.replicas[side::2].flatten(0, 1) for side in (0, 1))
            overlaps.append(overlap(first, second, model).view(walkers // 2, -1).cpu())
    return Tempered(
        model, betas, torch.stack(energies, dim=1), torch.stack(overlaps, dim=1),
        [float(part.mean()) for part in torch.stack(coldest).tensor_split(10)],
        (accepted / tried).tolist(),
        int((state.arrivals - before).sum()), thin, time.process_time() - begin,
    )  # fmt: skip


def small_model(settings: SpinGlass, beta: float) -> lt.EdwardsAnderson:
    """Return the model of the small lattice, open in one direction."""
    shape = (settings.small, settings.small)
    return lt.EdwardsAnderson(shape, beta=beta, seed=settings.seed, periodic=(False, True))


def add_exact(rows: list[dict[str, Any]], settings: SpinGlass) -> None:
    """Add exact energies and specific heats to the rows, and the distances in errors."""
    for row in rows:
        exact = small_model(settings, row["beta"])
        row["energy_exact"] = lt.exact.energy(exact)
        row["specific_heat_exact"] = lt.exact.specific_heat(exact)
        for name in ("energy", "specific_heat"):
            if row[f"{name}_error"] > 0.0:
                row[f"{name}_pull"] = (row[name] - row[f"{name}_exact"]) / row[f"{name}_error"]


def add_log_z(rows: list[dict[str, Any]], energies: Tensor, settings: SpinGlass) -> None:
    """Add log Z by MBAR to the rows, with jackknife errors, and the distances in errors."""
    betas = list(settings.small_betas)
    thinned = energies[:, ::10].unbind(2)
    values = settings.small**2 * math.log(2.0) + mbar(thinned, betas)
    # Pairs share clusters, so they stay or go together.
    pairs = torch.arange(settings.small_walkers) // 2
    left_out = torch.stack(
        [mbar([e[pairs != pair] for e in thinned], betas) for pair in pairs.unique()]
    )
    errors = ((len(left_out) - 1) * left_out.var(0, correction=0)).sqrt()
    for row, value, error in zip(rows, values.tolist(), errors.tolist(), strict=True):
        row["log_z"] = value
        row["log_z_error"] = error
        row["log_z_exact"] = lt.exact.log_z(small_model(settings, row["beta"]))
        if error > 0.0:
            row["log_z_pull"] = (value - row["log_z_exact"]) / error


def exact_law(overlaps: Tensor) -> dict[str, list[float]]:
    """Return the law of independent overlaps, with binomial errors."""
    counts = torch.bincount(index(overlaps, SMALL_BINS), minlength=SMALL_BINS)
    share = counts / len(overlaps)
    density = share * SMALL_BINS / 2
    error = (share * (1 - share) / len(overlaps)).sqrt() * SMALL_BINS / 2
    rows = zip(centres(SMALL_BINS), density.tolist(), error.tolist(), strict=True)
    return columns_of(list(rows))


def small_lattice(settings: SpinGlass) -> dict[str, Any]:
    """Compare parallel tempering with Houdayer's move with exact values and exact samples."""
    betas = list(settings.small_betas)
    model = small_model(settings, betas[-1])
    run = temper(
        model, betas, True, settings.small_walkers, settings.small_burn_in, settings.small_steps,
        1, settings.seed, settings,
    )  # fmt: skip
    rows = run.estimates()
    add_exact(rows, settings)
    add_log_z(rows, run.energies, settings)
    x = lt.exact.sample(model, settings.exact_samples, settings.seed)
    q = overlap(x[::2], x[1::2], model)
    squared = lt.Estimate(float((q**2).mean()), float((q**2).std()) / len(q) ** 0.5)
    last = rows[-1]
    both = math.hypot(squared.error, last["overlap_squared_error"])
    names = ("energy_pull", "specific_heat_pull")
    pulls = [row[name] for row in rows for name in names if name in row]
    return {
        "shape": model.lattice.shape, "periodic": (False, True), "rows": rows,
        "acceptance": run.acceptance, "arrivals": run.arrivals, "draws": run.energies.shape[1],
        "seconds": round(run.seconds, 1), "law": run.law(-1, SMALL_BINS), "law_exact": exact_law(q),
        "overlap_squared_exact": squared.value, "overlap_squared_exact_error": squared.error,
        "overlap_squared_pull": (last["overlap_squared"] - squared.value) / both,
        "mean_square_pull": sum(pull**2 for pull in pulls) / len(pulls),
        "worst_pull": max(map(abs, [*pulls, last["log_z_pull"]])),
    }  # fmt: skip


def differences(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how far the two methods differ at every temperature, in their errors."""
    rows = []
    for first, second in zip(one, two, strict=True):
        row: dict[str, Any] = {"beta": first["beta"]}
        for name in ("energy", "overlap_squared"):
            error = math.hypot(first[f"{name}_error"], second[f"{name}_error"])
            row[f"{name}_pull"] = (first[name] - second[name]) / error
        rows.append(row)
    return rows


def mean_squares(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the mean squares of the differences up to β = 1 and above.

    Without Houdayer's move the coldest replicas settle last, if they do.
    """
    parts = {
        "up to β = 1": [row for row in rows if row["beta"] <= 1.0],
        "above β = 1": [row for row in rows if row["beta"] > 1.0],
    }
    result = {}
    for name, part in parts.items():
        if part:
            result[name] = {
                key: sum(row[f"{key}_pull"] ** 2 for row in part) / len(part)
                for key in ("energy", "overlap_squared")
            }
    return result


def large_lattice(settings: SpinGlass) -> dict[str, Any]:
    """Compare parallel tempering with and without Houdayer's move."""
    count = settings.temperatures
    ratio = settings.highest_beta / settings.lowest_beta
    betas = [settings.lowest_beta * ratio ** (k / (count - 1)) for k in range(count - 1)]
    betas.append(settings.highest_beta)
    shape = (settings.large, settings.large)
    model = lt.EdwardsAnderson(shape, beta=betas[-1], seed=settings.seed + 1)
    methods: dict[str, Any] = {}
    for seed, name in enumerate(METHODS, settings.seed + 1):
        run = temper(
            model, betas, name == METHODS[1], settings.large_walkers, settings.large_burn_in,
            settings.large_steps, 2, seed, settings,
        )  # fmt: skip
        methods[name] = {
            "rows": run.estimates(), "law": run.law(-1, LARGE_BINS), "acceptance": run.acceptance,
            "arrivals": run.arrivals, "settling": run.settling,
            "energies_of_walkers": (run.energies[..., -1].mean(1) / model.lattice.sites).tolist(),
            "milliseconds_a_step": round(1e3 * run.seconds / settings.large_steps, 2),
        }  # fmt: skip
    compared = differences(*(methods[name]["rows"] for name in METHODS))
    return {
        "shape": model.lattice.shape,
        "walkers": settings.large_walkers,
        "methods": methods,
        "differences": compared,
        "mean_square_differences": mean_squares(compared),
    }


def rehearsal(settings: SpinGlass) -> SpinGlass:
    """The settings of ``--smoke``."""
    return replace(
        settings, small=5, small_betas=(0.0, 0.4, 0.8, 1.2), small_walkers=16, small_steps=200,
        exact_samples=2000,
        large=8, temperatures=5, large_steps=120, large_burn_in=40, small_burn_in=40,
    )  # fmt: skip


def main(settings: SpinGlass) -> None:
    """Measure, compare, and save."""
    chosen = rehearsal(settings) if settings.smoke else settings
    # Times of overlaps at low temperature are part of the result, long as they are.
    warnings.simplefilter("ignore", lt.ShortChainWarning)
    settings.results.mkdir(parents=True, exist_ok=True)
    begin = time.process_time()
    small = small_lattice(chosen)
    result: dict[str, Any] = {
        "small": small,
        "large": large_lattice(chosen),
        "gate": {"worst_pull": small["worst_pull"], "passed": small["worst_pull"] < 4.0},
        "seconds": round(time.process_time() - begin, 1),
        "config": {**asdict(chosen), "results": chosen.results.name},
        "versions": provenance(torch.device(chosen.device)),
    }
    print(table(result))
    text = json.dumps(result, indent=1) + "\n"
    write_text(settings.results / "spin_glass.json", text)
    draw(result, settings.results / "spin_glass.png")
    sys.exit(0 if result["gate"]["passed"] else 1)


if __name__ == "__main__":
    main(tyro.cli(SpinGlass, description=__doc__))
