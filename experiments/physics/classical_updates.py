"""Time local and cluster updates of the critical Ising model on one CPU core.

This library runs beside mcising and peapods.

    pip install mcising==1.1.0 peapods==0.2.0    # needed by this script alone
    python experiments/physics/classical_updates.py            # about two minutes on one core
    python experiments/physics/classical_updates.py --smoke    # under a minute

Without the two packages it measures the library alone. An update is one site that is redrawn,
tried, or given the coin of its cluster, so a sweep is as many as the lattice has sites, and one of
Wolff as many as its cluster has; medians of several timed stretches, taken in turns. Independent
samples of m² are sweeps / (2 τ), τ in sweeps by the Γ-method from the series of each
implementation, begun in equilibrium. That of cluster updates is measured on the lattice itself,
that of local ones, which would take too long, on a smaller lattice, and scaled with ``L^2.1667``.

mcising has no heat bath, so its Metropolis stands beside the others'. Metropolis is the library's
own, which rests now and then, and so is the default move: sweeps, then an update of clusters. The
cluster updates of peapods follow a sweep of heat bath each: both are counted. peapods measures
energy and magnetisation after each sweep and cannot be asked not to, nor be seeded. Each of the two
moves one chain a call on one thread, this library the walkers of the table together, as it is meant
to be used, and one walker for comparison. Calls before the timed ones warm up; times are of the
processor. The mean energy of each series is compared with Kaufman's: who misses by four errors is
in no verdict. Two threads, and other vectors, are in experiments/benchmarks/cpu_states.py.

References:
    Nightingale, Blöte, *Dynamic exponent of the two-dimensional Ising model and Monte Carlo
    computation of the subdominant eigenvalue from the stochastic matrix*, Phys. Rev. Lett. 76, 4548
    (1996).
"""

import importlib
import importlib.util
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import torch
import tyro
from reports.updates import draw, ratios, table, verdicts
from torch import Tensor

import leaps_triton as lt
from leaps_triton.estimators import ShortChainWarning, chain_estimate
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance, vectors

BETA = 0.44068679350977147
EXPONENT = 2.1667
PACKAGES = ("mcising", "peapods")


@dataclass(frozen=True)
class ClassicalUpdates:
    """Time local and cluster updates beside those of other packages."""

    lengths: tuple[int, ...] = (64, 128, 256)
    """Lattices, square and periodic, at the critical point."""
    small: int = 32
    """The lattice on which autocorrelation times of local updates are measured."""
    sites: int = 2**16
    """Of all chains of this library together; the other packages have one chain each."""
    repeats: int = 5
    """Timed stretches, whose median counts."""
    seconds: float = 0.2
    """Of each stretch."""
    series: float = 2.5
    """Seconds of each series for an autocorrelation time."""
    packages: tuple[str, ...] = PACKAGES
    """Packages beside this library, where they are installed."""
    seed: int = 0
    """Of everything random."""
    smoke: bool = False
    """Small lattices and short times."""
    results: Path = Path("experiments/results")
    """Folder for classical_updates.json and classical_updates.png."""


class Chains(Protocol):
    """Chains of one implementation."""

    walkers: int

    def sweep(self, sweeps: int) -> None:
        """Move on, measuring nothing that need not be measured."""
        ...

    def measure(self) -> Tensor:
        """Return energy a site and m² of every walker, float64 ``(walkers, 2)``."""
        ...


def measured(configurations: Tensor, model: Any) -> Tensor:
    energy = lt.observables.energy(configurations, model)
    squared = lt.observables.magnetization_squared(configurations, model)
    return torch.stack([energy, squared], 1)


def equilibrated(length: int, walkers: int, seed: int) -> Tensor:
    """Return configurations after 100 cluster updates, int8 0 and 1."""
    path = lt.AnnealingPath(lt.Ising((length, length), BETA))
    indices = torch.arange(walkers)
    move = lt.SwendsenWang(sweeps=100)
    state = move.init(path.start.sample(indices, seed), indices)
    state, _ = move.step(state, path, 1.0, seed + 1)
    return state.configurations


def default(sweeps: int) -> Any:
    """Return so many steps of the default move as one."""
    once = lt.default_move(lt.Ising((4, 4), BETA))
    return lt.Compose(*([once] * sweeps))


MOVES: dict[str, Callable[[int], Any]] = {
    "heat bath": lt.HeatBath,
    "Metropolis": lt.Metropolis,
    "Swendsen-Wang": lt.SwendsenWang,
    "Wolff": lt.Wolff,
    "default": default,
}
"""Moves of this library by the number of their sweeps."""


class Library:
    """Chains of this library."""

    def __init__(self, move: Callable[[int], Any], length: int, walkers: int, seed: int) -> None:
        self.move = move
        self.walkers = walkers
        self.seed = seed
        self.path = lt.AnnealingPath(lt.Ising((length, length), BETA))
        start = equilibrated(length, walkers, seed)
        self.state = move(1).init(start, torch.arange(walkers))

    def sweep(self, sweeps: int) -> None:
        # As in a chain of so many walkers: where it pays, words hold 32 spins.
        move = self.move(sweeps).settled(self.path.model, None, self.walkers)
        self.state, _ = move.step(self.state, self.path, 1.0, self.seed)

    def measure(self) -> Tensor:
        return measured(self.state.configurations, self.path.model)


class Mcising:
    """One chain of mcising."""

    walkers = 1

    def __init__(self, algorithm: str, length: int, seed: int) -> None:
        core = importlib.import_module("mcising._core")
        self.simulation = core.IsingSimulation(
            length, 1.0, 0.0, 0.0, 0.0, seed, algorithm, "square"
        )
        self.simulation.set_spins((2 * equilibrated(length, 1, seed)[0] - 1).numpy())

    def sweep(self, sweeps: int) -> None:
        self.simulation.sweep(sweeps, temperature=1.0 / BETA)

    def measure(self) -> Tensor:
        # Each bond is counted once, as here.
        energy = self.simulation.energy()
        squared = self.simulation.magnetization() ** 2
        return torch.tensor([[energy, squared]], dtype=torch.float64)


class Peapods:
    """One chain of peapods, which cannot be given a start.

    It is brought to equilibrium by its own cluster updates.
    """

    walkers = 1

    def __init__(self, mode: str, clusters: str, length: int) -> None:
        numpy: Any = importlib.import_module("numpy")
        made = importlib.import_module("peapods").Ising(
            (length, length), temperatures=numpy.array([1.0 / BETA])
        )
        self.model = made
        self.lattice = lt.Ising((length, length), BETA)
        plain: dict[str, Any] = {"warmup_ratio": 0.0, "sequential": True}
        made.sample(200, "gibbs", cluster_update_interval=1, cluster_mode="sw", **plain)
        self.options = {"sweep_mode": mode, **plain}
        if clusters:
            self.options |= {"cluster_update_interval": 1, "cluster_mode": clusters}

    def sweep(self, sweeps: int) -> None:
        self.model.sample(sweeps, **self.options)

    def measure(self) -> Tensor:
        spins = torch.as_tensor(self.model._sim.get_spins()).view(1, *self.lattice.lattice.shape)
        return measured((spins > 0).to(torch.int8), self.lattice)


@dataclass(frozen=True)
class Case:
    """An implementation of an algorithm."""

    package: str
    algorithm: str
    make: Callable[[int, int], Chains]
    """Of length and walkers."""
    sweeps: int = 1
    """Sweeps of local updates in what the package calls a sweep."""
    clusters: str = ""
    """``"all"`` or ``"one"`` in what the package calls a sweep; empty for none"""

    @property
    def own(self) -> bool:
        """Whether it is one of this library's."""
        return self.package == "leaps_triton"

    def updates(self, squared: float) -> float:
        """Return updates of each site in what the package calls a sweep.

        Args:
            squared: mean of m², which is that of the share of the lattice in Wolff's clusters.
        """
        return self.sweeps + {"": 0.0, "all": 1.0, "one": squared}[self.clusters]


def cases(settings: ClassicalUpdates, packages: list[str]) -> list[Case]:
    seed = settings.seed

    def own(name: str) -> Callable[[int, int], Chains]:
        return lambda length, walkers: Library(MOVES[name], length, walkers, seed)

    def mcising(name: str) -> Callable[[int, int], Chains]:
        return lambda length, _: Mcising(name, length, seed)

    def peapods(mode: str, clusters: str = "") -> Callable[[int, int], Chains]:
        return lambda length, _: Peapods(mode, clusters, length)

    found = [
        Case("leaps_triton", "heat bath", own("heat bath")),
        Case("leaps_triton", "Metropolis", own("Metropolis")),
        Case("leaps_triton", "Swendsen-Wang", own("Swendsen-Wang"), 0, "all"),
        Case("leaps_triton", "Wolff", own("Wolff"), 0, "one"),
        Case("leaps_triton", "default", own("default"), 4, "all"),
    ]
    if "mcising" in packages:
        found += [
            Case("mcising", "Metropolis", mcising("metropolis")),
            Case("mcising", "Swendsen-Wang", mcising("swendsen_wang"), 0, "all"),
            Case("mcising", "Wolff", mcising("wolff"), 0, "one"),
        ]
    if "peapods" in packages:
        found += [
            Case("peapods", "heat bath", peapods("gibbs")),
            Case("peapods", "Metropolis", peapods("metropolis")),
            Case("peapods", "heat bath + Swendsen-Wang", peapods("gibbs", "sw"), 1, "all"),
            Case("peapods", "heat bath + Wolff", peapods("gibbs", "wolff"), 1, "one"),
        ]
    return found


def stretch(chains: Chains, seconds: float) -> float:
    """Return sweeps of all walkers together a second."""
    # What is compiled at the first call is no part of it.
    chains.sweep(1)
    sweeps = 1
    spent = swept(chains, sweeps)
    # Stretches in one call each: none pays for calls.
    while spent < seconds / 10:
        sweeps *= 2
        spent = swept(chains, sweeps)
    count = max(1, round(sweeps * seconds / spent))
    return chains.walkers * count / swept(chains, count)


def swept(chains: Chains, sweeps: int) -> float:
    """Return the processor's seconds of some sweeps."""
    begin = time.process_time()
    chains.sweep(sweeps)
    return time.process_time() - begin


def series(chains: Chains, thin: int, seconds: float, length: int) -> dict[str, float]:
    """Return τ of m² in sweeps, and how far the mean energy is from the exact one."""
    begin = time.process_time()
    values = list[Tensor]()
    while time.process_time() - begin < seconds or len(values) < 8:
        chains.sweep(thin)
        values.append(chains.measure())
    both = torch.stack(values, 1)
    energy = chain_estimate(both[..., 0])
    squared = chain_estimate(both[..., 1])
    exact = lt.exact.ising_energy((length, length), BETA)
    return {
        "tau": squared.tau * thin,
        "tau_error": squared.tau_error * thin,
        "sweeps": thin * squared.draws,
        "squared": squared.value,
        "energy_pull": energy.pull(exact),
    }


def installed(wanted: tuple[str, ...]) -> list[str]:
    return [name for name in wanted if importlib.util.find_spec(name) is not None]


@dataclass(frozen=True)
class Speeds:
    """Sweeps a second of one implementation, a number for each stretch."""

    chains: Chains
    one: Chains | None
    together: list[float]
    alone: list[float]


def timed(known: list[Case], length: int, settings: ClassicalUpdates) -> list[Speeds]:
    """Return the speeds of all implementations, in turns."""
    walkers = max(1, settings.sites // length**2)
    found = []
    for case in known:
        one = case.make(length, 1) if case.own else None
        found.append(Speeds(case.make(length, walkers), one, [], []))
    for _ in range(settings.repeats):
        for each in found:
            each.together.append(stretch(each.chains, settings.seconds))
            if each.one is not None:
                each.alone.append(stretch(each.one, settings.seconds / 2))
    return found


def row(
    case: Case, length: int, speeds: Speeds, found: dict[str, float], small: int
) -> dict[str, Any]:
    """Return one implementation on one lattice."""
    scale = 1.0
    source = "this lattice"
    if not case.clusters:
        scale = (length / small) ** EXPONENT
        source = f"{small} × {small}, scaled"
    tau = max(0.5, found["tau"] * scale)
    sites = case.updates(found["squared"]) * length**2 / 1e6
    updates = [speed * sites for speed in speeds.together]
    sweeps = statistics.median(speeds.together)
    made: dict[str, Any] = {
        "length": length,
        "algorithm": case.algorithm,
        "package": case.package,
        "clusters": bool(case.clusters),
        "walkers": speeds.chains.walkers,
        "million_updates_per_second": round(statistics.median(updates), 2),
        "slowest_and_fastest": [round(min(updates), 2), round(max(updates), 2)],
        "one_walker": None,
        "tau_in_sweeps": round(tau, 2),
        "tau_relative_error": round(found["tau_error"] / found["tau"], 3),
        "tau_from": source,
        "tau_series_sweeps": found["sweeps"],
        "energy_pull": round(found["energy_pull"], 2),
        "independent_samples_per_second": float(f"{sweeps / (2.0 * tau):.4g}"),
    }
    if speeds.alone:
        made["one_walker"] = round(statistics.median(speeds.alone) * sites, 2)
    return made


def measure(settings: ClassicalUpdates, packages: list[str]) -> list[dict[str, Any]]:
    """Return a row for each implementation and lattice."""
    rows = []
    known = cases(settings, packages)
    # Series of local updates, on the small lattice.
    local: dict[str, dict[str, float]] = {}
    for case in known:
        if not case.clusters:
            chains = case.make(settings.small, max(1, settings.sites // settings.small**2))
            name = f"{case.package} {case.algorithm}"
            local[name] = series(chains, 20, settings.series, settings.small)
    for length in settings.lengths:
        for case, speeds in zip(known, timed(known, length, settings), strict=True):
            name = f"{case.package} {case.algorithm}"
            found = local.get(name)
            if found is None:
                found = series(speeds.chains, 1, settings.series, length)
            rows.append(row(case, length, speeds, found, settings.small))
    return rows


def main(settings: ClassicalUpdates) -> None:
    """Measure, print, and save."""
    # Before the packages make their pools of threads.
    os.environ["RAYON_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ShortChainWarning)
    # Its Binder cumulant of a stretch that is too short to have one.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="peapods")
    begin = time.process_time()
    versions = provenance()
    chosen = settings
    if settings.smoke:
        chosen = replace(
            settings, lengths=(8, 16), small=8, sites=2**10, repeats=2, seconds=0.03, series=0.2
        )
    packages = installed(chosen.packages)
    for name in chosen.packages:
        if name not in packages:
            print(f"without {name}, which is not installed")
    rows = measure(chosen, packages)
    result = {
        "rows": rows,
        "ratios": ratios(rows),
        "verdicts": verdicts(rows),
        "beta": BETA,
        "seconds": round(time.process_time() - begin, 1),
        "device": f"{device_name(torch.device('cpu'))}, {vectors()}",
        "ops": lt.kernels.backend(torch.device("cpu")),
        "config": {**asdict(chosen), "results": chosen.results.name},
        "versions": {**versions, **{name: metadata.version(name) for name in packages}},
    }
    print("\n".join([table(rows), *verdicts(rows)]))
    chosen.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(chosen.results / "classical_updates.json", text)
    draw(result, chosen.results / "classical_updates.png")


if __name__ == "__main__":
    main(tyro.cli(ClassicalUpdates, description=__doc__))
