"""Train drifts of densities by Adam and by Gauss-Newton, at equal seconds of a processor.

    python experiments/densities/gauss_newton.py            # about ten minutes on one core
    python experiments/densities/gauss_newton.py --targets line    # the other's rows stay
    python experiments/densities/gauss_newton.py --seeds 11        # rows of other seeds stay
    python experiments/densities/gauss_newton.py --smoke    # under a minute

Two targets with a given path, of which the drift alone is learned: a double well on a line, and
four modes in the plane. A pilot on a seed of its own gives every learning rate of Adam all seconds,
and the best one is taken for all seeds that are reported. There Adam has all seconds; Gauss-Newton
has an eighth of Adam's steps first, and goes on until it has had the same seconds. Both take the
same nodes and the same initial drift. Judged is the root mean square of the residual over ``∫ dt
ρ_t``, by quadrature on a grid that none has seen, beside the library's own on fresh nodes and on
those that were trained on.

Then walkers are drawn with both drifts: by a Runge-Kutta rule, whose weights have the bias of its
steps, and by maps with exact weights at 30 and at 120 intervals.

Reference: Sun et al., arXiv:2407.07873, for Gauss-Newton on log-density equations.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.timing import Clock
from leaps_triton.files import replacing, write_text
from leaps_triton.provenance import device_name, provenance
from leaps_triton.training.residuals import residual

PILOT = 60
"""Steps that tell how many Adam makes in a second."""

ADAM_SHARE = 8
"""Gauss-Newton begins with Adam's steps over this number."""

EXACT_STEPS = (30, 120)
"""Intervals of maps with exact weights."""

PILOT_SEED = 77
"""Of the trainings that choose Adam's rate; none that is reported has it."""

POINTS = 12
"""Times at which a training is looked at."""

WAYS = {"adam": ("Adam", "C0"), "gauss_newton": ("Gauss–Newton", "C3")}
"""Key of a row → name and colour."""


@dataclass(frozen=True)
class Comparison:
    """Train both ways, and judge."""

    targets: tuple[str, ...] = ("line", "plane")
    """Those that are run; rows of the other stay as they are in the file."""
    seconds_line: float = 8.0
    """For each training of the double well."""
    seconds_plane: float = 30.0
    """For each training of the four modes."""
    seeds: tuple[int, ...] = (10, 11, 12)
    """Of nodes, initial drifts and walkers; none for the pilot alone."""
    rates: tuple[float, ...] = (3e-3, 1e-2, 2e-2, 5e-2)
    """Learning rates of Adam, of which the pilot chooses one."""
    batch: int = 32
    """Nodes that Adam takes at each of 16 times."""
    walkers: int = 4000
    """Drawn with every drift."""
    smoke: bool = False
    """A second for everything, and one seed."""
    results: Path = Path("experiments/results")
    """Folder for gauss_newton.json."""


@dataclass(frozen=True)
class Case:
    """A target, its start, and how its drift is made."""

    name: str
    model: Any
    scale: float
    """Of the start"""
    box: float
    """Half the width of the box of nodes"""
    width: int
    """Of the drift's layers"""
    bins: int
    """Times of the nodes"""
    nodes: int
    """Nodes at each time"""
    end_times: bool
    """Whether the first and the last of the times are the ends"""
    seconds: float
    grid: tuple[int, int]
    """Points of a quadrature along a coordinate, and in time"""
    log_z: float

    def path(self) -> lt.AnnealingPath:
        """Return the path from the start."""
        return lt.AnnealingPath(self.model, start=lt.Gaussian(self.scale))


def double_well(x: Tensor) -> Tensor:
    """Return the log-density of the well on a line."""
    return -(2.0 * (x.square() - 1.0).square() - 0.3 * x).sum(1)


def cases(settings: Comparison) -> list[Case]:
    """Return both targets."""
    x = torch.linspace(-5.0, 5.0, 20001, dtype=torch.float64)
    well_z = math.log(float(torch.trapezoid(double_well(x.unsqueeze(1)).exp(), x)))
    line = lt.Density(double_well, dim=1, extent=2.0)
    means = [[1.5, 1.5], [-1.5, 1.5], [1.5, -1.5], [-1.5, -1.5]]
    plane = lt.GaussianMixture(means, 0.7, [0.1, 0.2, 0.3, 0.4])
    well = Case(
        name="double well, 1D",
        model=line,
        scale=0.8,
        box=2.8,
        width=14,
        bins=64,
        nodes=64,
        end_times=True,
        seconds=settings.seconds_line,
        grid=(151, 37),
        log_z=well_z,
    )
    modes = Case(
        name="four modes, 2D",
        model=plane,
        scale=1.5,
        box=4.6,
        width=14,
        bins=32,
        nodes=256,
        end_times=False,
        seconds=settings.seconds_plane,
        grid=(41, 13),
        log_z=0.0,
    )
    both = {"line": well, "plane": modes}
    return [both[name] for name in settings.targets]


def legendre(points: int, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return points and weights of a quadrature by Gauss and Legendre."""
    x, weight = np.polynomial.legendre.leggauss(points)
    half = 0.5 * (high - low)
    return torch.tensor(low + half * (x + 1.0)), torch.tensor(half * weight)


@torch.no_grad()
def on_grid(case: Case, drift: Any) -> float:
    """Return the root mean square of the residual by quadrature."""
    path = case.path()
    across, along = case.grid
    x, weight = legendre(across, -case.box, case.box)
    dim = case.model.dim
    places = torch.cartesian_prod(*[x] * dim).view(-1, dim)
    logs = torch.cartesian_prod(*[weight.log()] * dim).view(-1, dim).sum(1)
    times, durations = legendre(along, 0.0, 1.0)
    total = 0.0
    for t, duration in zip(times, durations, strict=True):
        here = t.expand(len(places))
        share = torch.softmax(path.log_density(places, here) + logs, dim=0)
        xi = residual(path, drift, places, here)
        total += float(duration * ((xi - share @ xi).square() @ share))
    return total**0.5


def trainer_of(case: Case, seed: int, **changes: Any) -> lt.Trainer:
    """Return a training of a new drift."""
    drift = lt.DenseDrift(case.model, width=case.width, scale=case.scale, seed=seed)
    sampler = lt.Sampler(case.path(), drift, integrator=lt.RungeKutta(30), device="cpu")
    settings: dict[str, Any] = {"box": case.box, "bins": case.bins, "buffer": case.nodes}
    settings |= {"end_times": case.end_times, "seed": seed, **changes}
    return lt.Trainer(sampler, lt.TrainingConfig.gauss_newton(**settings))


def told(case: Case, trainer: lt.Trainer, seconds: float) -> dict[str, Any]:
    """Return what a training has reached."""
    test = trainer.test_nodes
    assert test is not None
    test.enter(trainer.history, trainer.step, trainer.buffer)
    return {
        "seconds": round(seconds, 2),
        "steps": trainer.step,
        "grid_residual": on_grid(case, trainer.sampler.transport),
        "test_residual": trainer.history.test_residual[-1],
        "node_residual": trainer.history.node_residual[-1],
    }


class Watch:
    """Counts the seconds of a training, and keeps the residual as it goes down.

    Args:
        case: what is trained for.
        trainer: of it.

    Attributes:
        seconds: of training alone.
        trace: pairs of seconds and the residual by quadrature.
    """

    def __init__(self, case: Case, trainer: lt.Trainer) -> None:
        self.case = case
        self.trainer = trainer
        self.seconds = 0.0
        self.trace: list[tuple[float, float]] = []

    def run(self, steps: int) -> None:
        """Train up to so many steps."""
        clock = Clock("cpu")
        self.trainer.run(steps)
        self.seconds += clock()

    def look(self) -> None:
        """Measure the residual; that takes none of the seconds."""
        found = on_grid(self.case, self.trainer.sampler.transport)
        self.trace.append((round(self.seconds, 3), found))

    def result(self) -> dict[str, Any]:
        """Return what the training has reached."""
        return told(self.case, self.trainer, self.seconds) | {"trace": self.trace}


def by_adam(case: Case, seed: int, rate: float, batch: int) -> tuple[lt.Trainer, dict[str, Any]]:
    """Train by Adam alone; so many steps as a pilot says that the seconds suffice for."""
    given = {"optimizer": "adam", "learning_rate": rate, "adam_steps": 0, "walkers": batch}
    pilot = trainer_of(case, seed, steps=PILOT, **given)
    pilot.run(PILOT // 2)
    clock = Clock("cpu")
    pilot.run(PILOT)
    steps = max(POINTS, int(case.seconds * (PILOT - PILOT // 2) / clock()))
    watch = Watch(case, trainer_of(case, seed, steps=steps, **given))
    for point in range(1, POINTS + 1):
        watch.run(steps * point // POINTS)
        watch.look()
    return watch.trainer, watch.result() | {"learning_rate": rate}


def by_gauss_newton(
    case: Case, seed: int, adam: dict[str, Any], batch: int
) -> tuple[lt.Trainer, dict[str, Any]]:
    """Train by Adam first, then by Gauss-Newton, for as many seconds as Adam has had."""
    first = max(1, adam["steps"] // ADAM_SHARE)
    given = {"learning_rate": adam["learning_rate"], "walkers": batch}
    watch = Watch(case, trainer_of(case, seed, steps=10**6, adam_steps=first, **given))
    watch.run(first)
    watch.look()
    pause = adam["seconds"] / POINTS
    while watch.seconds < adam["seconds"]:
        watch.run(watch.trainer.step + 1)
        if watch.seconds > watch.trace[-1][0] + pause:
            watch.look()
    watch.look()
    return watch.trainer, watch.result() | {"adam_steps": first}


def drawn(case: Case, drift: Any, settings: Comparison, seed: int) -> dict[str, Any]:
    """Return effective sample sizes and log Z of walkers that follow a drift."""
    rules: dict[str, Any] = {"RK4, 30 steps, biased by them": lt.RungeKutta(30)}
    for count in EXACT_STEPS:
        rules[f"maps, {count} intervals, exact"] = lt.MapStep(count)
    found: dict[str, Any] = {}
    for name, integrator in rules.items():
        # Few walkers are not to take the time of a whole block.
        block = min(1024, settings.walkers)
        sampler = lt.Sampler(case.path(), drift, integrator, block=block, device="cpu")
        ensemble = sampler.sample(settings.walkers, seed=seed)
        found[name] = {
            "one_minus_ess": 1.0 - ensemble.ess,
            "log_z_off": ensemble.log_z - case.log_z,
            "log_z_error": ensemble.log_z_error,
        }
    return found


def chosen(case: Case, settings: Comparison) -> dict[str, Any]:
    """Return what every rate of Adam reaches on the pilot's seed, and the best one."""
    tried: dict[str, float] = {}
    if len(settings.rates) == 1:
        return {"seed": None, "grid_residuals": tried, "learning_rate": settings.rates[0]}
    for rate in settings.rates:
        found = by_adam(case, PILOT_SEED, rate, settings.batch)[1]
        tried[f"{rate:g}"] = found["grid_residual"]
        print(f"{case.name}, rate {rate:g}: {found['grid_residual']:.4g}", flush=True)
    best = min(tried, key=tried.__getitem__)
    return {"seed": PILOT_SEED, "grid_residuals": tried, "learning_rate": float(best)}


def compared(case: Case, settings: Comparison, seed: int, rate: float) -> dict[str, Any]:
    """Return both trainings of one seed."""
    trainer, adam = by_adam(case, seed, rate, settings.batch)
    other, newton = by_gauss_newton(case, seed, adam, settings.batch)
    adam["drawn"] = drawn(case, trainer.sampler.transport, settings, seed + 100)
    newton["drawn"] = drawn(case, other.sampler.transport, settings, seed + 100)
    ratio = adam["grid_residual"] / newton["grid_residual"]
    print(
        f"{case.name}, seed {seed}: Adam {adam['grid_residual']:.4g} in {adam['seconds']} s, "
        f"Gauss-Newton {newton['grid_residual']:.4g} in {newton['seconds']} s: {ratio:.1f} x; "
        f"test {newton['test_residual']:.4g}, nodes {newton['node_residual']:.4g}",
        flush=True,
    )
    return {"seed": seed, "adam": adam, "gauss_newton": newton, "ratio": ratio}


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw residuals over the seconds of training, a panel for each target.

    Args:
        result: what the script has found.
        file: of the figure.
    """
    cases = result["cases"]
    figure = Figure(figsize=(4.6 * len(cases), 3.8), layout="constrained")
    panels = figure.subplots(1, len(cases), squeeze=False)[0]
    for axes, name in zip(panels, sorted(cases), strict=True):
        trainings(axes, cases[name]["rows"])
        axes.set(title=name, xlabel="seconds of a processor", ylabel="residual, by quadrature")
        axes.set_yscale("log")
    figure.supxlabel(result["device"], fontsize=8)
    with replacing(file) as place:
        figure.savefig(place, dpi=120)


def trainings(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Draw every training of a target."""
    for row in rows:
        for key, (name, colour) in WAYS.items():
            seconds, residuals = zip(*row[key]["trace"], strict=True)
            label = None
            # One entry in the legend for all seeds.
            if row is rows[0]:
                label = name
            axes.plot(seconds, residuals, "o-", markersize=3, color=colour, label=label)
    if rows:
        axes.legend()


def known(file: Path) -> dict[str, Any]:
    """Return the cases that a file has."""
    if not file.exists():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["cases"]
    return found


def enter(case: Case, settings: Comparison, part: dict[str, Any]) -> None:
    """Write a part of a case into the file, whose other parts stay, and draw all."""
    file = settings.results / "gauss_newton.json"
    # Read anew: another process may have written its own part meanwhile.
    cases_found = known(file)
    own = cases_found.setdefault(case.name, {"pilot": {}, "rows": []})
    if "pilot" in part:
        own["pilot"] = part["pilot"]
    added = part.get("rows", [])
    replaced = {row["seed"] for row in added}
    kept = [row for row in own["rows"] if row["seed"] not in replaced]
    own["rows"] = sorted(kept + added, key=lambda row: row["seed"])
    config = {**asdict(settings), "results": settings.results.name}
    # All rows have the same settings, whichever were run last.
    config.pop("targets")
    config.pop("seeds")
    device = torch.device("cpu")
    result: dict[str, Any] = {"device": device_name(device), "versions": provenance(device)}
    result |= {"config": config, "cases": cases_found}
    write_text(file, json.dumps(result, indent=2) + "\n")
    draw(result, settings.results / "gauss_newton.png")


def main(settings: Comparison) -> None:
    """Run all, and write the table."""
    if settings.smoke:
        settings = replace(settings, rates=(1e-2,), seeds=(10,), walkers=64)
        settings = replace(settings, seconds_line=0.2, seconds_plane=0.2)
    torch.set_num_threads(1)
    settings.results.mkdir(parents=True, exist_ok=True)
    for case in cases(settings):
        pilot = known(settings.results / "gauss_newton.json").get(case.name, {}).get("pilot")
        if not pilot:
            pilot = chosen(case, settings)
            enter(case, settings, {"pilot": pilot})
        for seed in settings.seeds:
            row = compared(case, settings, seed, pilot["learning_rate"])
            enter(case, settings, {"rows": [row]})


if __name__ == "__main__":
    main(tyro.cli(Comparison, description=__doc__))
