"""Time local and cluster updates of the critical Ising model on one CPU core.

This library runs beside mcising and peapods.

    pip install mcising==1.1.0 peapods==0.2.0    # needed by this script alone
    python experiments/physics/classical_updates.py            # about three minutes on one core
    python experiments/physics/classical_updates.py --smoke    # under a minute

Without the two packages it measures the library alone. An update is one site that is redrawn,
tried, or given the coin of its cluster, so a sweep is as many as the lattice has sites; medians of
several timed stretches, taken in turns. Independent samples of m² are sweeps / (2 τ), τ in sweeps
by the Γ-method from the series of each implementation, begun in equilibrium. That of cluster
updates is measured on the lattice itself, that of local ones, which would take too long, on a
smaller lattice, and scaled with ``L^2.1667``.

mcising has no heat bath, so its Metropolis stands beside the others'. The cluster updates of
peapods follow a sweep of heat bath each: both are counted. peapods measures energy and
magnetisation after each sweep and cannot be asked not to, nor be seeded. Each of the two moves one
chain a call on one thread, this library the walkers of the table together, as it is meant to be
used, and one walker for comparison. Calls before the timed ones warm up; times are of the
processor. The mean energy of each series is compared with Kaufman's: who misses by four errors is
in no verdict.

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
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import torch
import tyro
from reports.updates import draw, table, verdicts
from torch import Tensor

import leaps_triton as lt
from leaps_triton.estimators import ShortChainWarning, chain_estimate
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance

BETA = 0.44068679350977147
EXPONENT = 2.1667
PACKAGES = ("mcising", "peapods")


@dataclass(frozen=True)
class ClassicalUpdates:
    """Time local and cluster updates beside those of other packages."""

    lengths: tuple[int, ...] = (64, 128)
    """Lattices, square and periodic, at the critical point."""
    small: int = 32
    """The lattice on which autocorrelation times of local updates are measured."""
    sites: int = 2**16
    """Of all chains of this library together; the other packages have one chain each."""
    repeats: int = 5
    """Timed stretches, whose median counts."""
    seconds: float = 0.6
    """Of each stretch."""
    series: float = 6.0
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
        """Energy a site and m² of every walker, float64 ``(walkers, 2)``."""
        ...


def measured(configurations: Tensor, model: Any) -> Tensor:
    return torch.stack(
        [
            lt.observables.energy(configurations, model),
            lt.observables.magnetization_squared(configurations, model),
        ],
        1,
    )


def equilibrated(length: int, walkers: int, seed: int) -> Tensor:
    """Configurations after 100 cluster updates, int8 0 and 1."""
    path, indices = lt.AnnealingPath(lt.Ising((length, length), BETA)), torch.arange(walkers)
    kernel = lt.SwendsenWang(sweeps=100)
    state, _ = kernel.step(
        kernel.init(path.start.sample(indices, seed), indices), path, 1.0, seed + 1
    )
    return state.configurations


class Library:
    """Chains of this library."""

    def __init__(self, kernel: Callable[..., Any], length: int, walkers: int, seed: int) -> None:
        self.kernel, self.walkers, self.seed = kernel, walkers, seed
        self.path = lt.AnnealingPath(lt.Ising((length, length), BETA))
        self.state = kernel().init(equilibrated(length, walkers, seed), torch.arange(walkers))

    def sweep(self, sweeps: int) -> None:
        self.state, _ = self.kernel(sweeps=sweeps).step(self.state, self.path, 1.0, self.seed)

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
        return torch.tensor(
            [[self.simulation.energy(), self.simulation.magnetization() ** 2]], dtype=torch.float64
        )


class Peapods:
    """One chain of peapods, which cannot be given a start.

    It is brought to equilibrium by its own cluster updates.
    """

    walkers = 1

    def __init__(self, clusters: bool, mode: str, length: int) -> None:
        numpy: Any = importlib.import_module("numpy")
        made = importlib.import_module("peapods").Ising(
            (length, length), temperatures=numpy.array([1.0 / BETA])
        )
        self.model, self.lattice = made, lt.Ising((length, length), BETA)
        made.sample(
            200,
            "gibbs",
            cluster_update_interval=1,
            cluster_mode="sw",
            warmup_ratio=0.0,
            sequential=True,
        )
        self.options = {"sweep_mode": mode, "warmup_ratio": 0.0, "sequential": True}
        self.options |= {"cluster_update_interval": 1, "cluster_mode": "sw"} if clusters else {}

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
    local: bool
    per_sweep: int
    """Updates of each site in what the package calls a sweep."""
    make: Callable[[int, int], Chains]
    """Of length and walkers."""


def cases(settings: ClassicalUpdates, packages: list[str]) -> list[Case]:
    def ours(kernel: Callable[..., Any]) -> Callable[[int, int], Chains]:
        return lambda length, walkers: Library(kernel, length, walkers, settings.seed)

    found = [
        Case("leaps_triton", "heat bath", True, 1, ours(lt.HeatBath)),
        # As the other programs', it never rests.
        Case("leaps_triton", "Metropolis", True, 1, ours(partial(lt.Metropolis, rest=0.0))),
        Case("leaps_triton", "Swendsen-Wang", False, 1, ours(lt.SwendsenWang)),
    ]
    if "mcising" in packages:
        found += [
            Case(
                "mcising",
                "Metropolis",
                True,
                1,
                lambda n, _: Mcising("metropolis", n, settings.seed),
            ),
            Case(
                "mcising",
                "Swendsen-Wang",
                False,
                1,
                lambda n, _: Mcising("swendsen_wang", n, settings.seed),
            ),
        ]
    if "peapods" in packages:
        found += [
            Case("peapods", "heat bath", True, 1, lambda n, _: Peapods(False, "gibbs", n)),
            Case("peapods", "Metropolis", True, 1, lambda n, _: Peapods(False, "metropolis", n)),
            Case(
                "peapods",
                "heat bath + Swendsen-Wang",
                False,
                2,
                lambda n, _: Peapods(True, "gibbs", n),
            ),
        ]
    return found


def stretch(chains: Chains, seconds: float) -> float:
    """Sweeps of all walkers together a second."""
    sweeps, begin = 1, time.process_time()
    chains.sweep(sweeps)
    # Stretches in one call each: none pays for calls.
    while (spent := time.process_time() - begin) < seconds / 20:
        sweeps *= 2
        begin = time.process_time()
        chains.sweep(sweeps)
    count = max(1, round(sweeps * seconds / spent))
    begin = time.process_time()
    chains.sweep(count)
    return chains.walkers * count / (time.process_time() - begin)


def series(chains: Chains, thin: int, seconds: float, length: int) -> dict[str, float]:
    """τ of m² in sweeps, and how far the mean energy is from the exact one."""
    begin, values = time.process_time(), list[Tensor]()
    while time.process_time() - begin < seconds or len(values) < 8:
        chains.sweep(thin)
        values.append(chains.measure())
    both = torch.stack(values, 1)
    energy, squared = chain_estimate(both[..., 0]), chain_estimate(both[..., 1])
    return {
        "tau": squared.tau * thin,
        "tau_error": squared.tau_error * thin,
        "sweeps": thin * squared.draws,
        "energy_pull": energy.pull(lt.exact.ising_energy((length, length), BETA)),
    }


def installed(wanted: tuple[str, ...]) -> list[str]:
    return [name for name in wanted if importlib.util.find_spec(name) is not None]


def measure(settings: ClassicalUpdates, packages: list[str]) -> list[dict[str, Any]]:
    """A row for each implementation and lattice."""
    rows = []
    known = cases(settings, packages)
    small: dict[int, dict[str, float]] = {}
    for index, case in enumerate(known):
        if case.local:
            chains = case.make(settings.small, max(1, settings.sites // settings.small**2))
            small[index] = series(chains, 20, settings.series, settings.small)
    for length in settings.lengths:
        walkers = max(1, settings.sites // length**2)
        every = [case.make(length, walkers) for case in known]
        single = [
            case.make(length, 1) if case.package == "leaps_triton" else None for case in known
        ]
        speeds: list[list[float]] = [[] for _ in known]
        alone: list[list[float]] = [[] for _ in known]
        for _ in range(settings.repeats):
            for index, chains in enumerate(every):
                speeds[index].append(stretch(chains, settings.seconds))
                one = single[index]
                if one is not None:
                    alone[index].append(stretch(one, settings.seconds / 2))
        for index, case in enumerate(known):
            found = small[index] if case.local else series(every[index], 1, settings.series, length)
            scale = (length / settings.small) ** EXPONENT if case.local else 1.0
            tau, sweeps = max(0.5, found["tau"] * scale), statistics.median(speeds[index])
            updates = [speed * case.per_sweep * length**2 / 1e6 for speed in speeds[index]]
            rows.append(
                {
                    "length": length,
                    "algorithm": case.algorithm,
                    "package": case.package,
                    "walkers": every[index].walkers,
                    "million_updates_per_second": round(statistics.median(updates), 2),
                    "slowest_and_fastest": [round(min(updates), 2), round(max(updates), 2)],
                    "one_walker": round(statistics.median(alone[index]) * length**2 / 1e6, 2)
                    if alone[index]
                    else None,
                    "tau_in_sweeps": round(tau, 2),
                    "tau_relative_error": round(found["tau_error"] / found["tau"], 3),
                    "tau_from": f"{settings.small} × {settings.small}, scaled"
                    if case.local
                    else "this lattice",
                    "tau_series_sweeps": found["sweeps"],
                    "energy_pull": round(found["energy_pull"], 2),
                    "independent_samples_per_second": float(f"{sweeps / (2.0 * tau):.4g}"),
                }
            )
    return rows


def main(settings: ClassicalUpdates) -> None:
    """Measure, print, and save."""
    # Before the packages make their pools of threads.
    os.environ["RAYON_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ShortChainWarning)
    # Its Binder cumulant of a stretch that is too short to have one.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="peapods")
    begin, versions, chosen = time.process_time(), provenance(), settings
    if settings.smoke:
        chosen = ClassicalUpdates(
            (8, 16),
            8,
            2**10,
            2,
            0.05,
            0.2,
            settings.packages,
            settings.seed,
            True,
            settings.results,
        )
    packages = installed(chosen.packages)
    for name in chosen.packages:
        if name not in packages:
            print(f"without {name}, which is not installed")
    rows = measure(chosen, packages)
    result = {
        "rows": rows,
        "verdicts": verdicts(rows),
        "beta": BETA,
        "seconds": round(time.process_time() - begin, 1),
        "device": device_name(torch.device("cpu")),
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
