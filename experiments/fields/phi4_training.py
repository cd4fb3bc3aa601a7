"""Train drifts of the φ⁴ field, and compare with annealed importance sampling by seconds.

    python experiments/fields/phi4_training.py            # 8 x 8, then 12 x 12, then 20 x 20
    python experiments/fields/phi4_training.py --smoke    # 4 x 4 and 6 x 6, a few seconds

One HollowDrift is trained on the smallest lattice, and goes on for a while on the next ones. Adam
is given the same seconds as SPRING on the smallest. Walkers follow the drift by MapStep, with
trajectories of hybrid Monte Carlo (Fourier-accelerated, settled by the library) between the maps.
Annealed importance sampling makes the same trajectories without a drift, on as many intervals as
take the same time. Seconds are of processor time on one core, so that other work on the machine
does not count. References: log Z by long runs of annealing, V⟨M²⟩ by hybrid Monte Carlo, both of
other programs; chains of this library's own (HMC with updates of sign clusters) stand beside.
"""

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro

import leaps_triton as lt
from leaps_triton.files import write_text
from leaps_triton.provenance import provenance

REFERENCES: dict[int, dict[str, tuple[float, float]]] = {
    8: {"log_z_ratio": (27.611, 0.004)},
    12: {"log_z_ratio": (69.906, 0.011), "magnetisation": (4.12, 0.03)},
    20: {"magnetisation": (10.46, 0.14)},
}
"""``log Z_1 / Z_0`` and ``V⟨M²⟩`` with their errors, by length."""


@dataclass(frozen=True)
class Settings:
    """Train drifts, and compare with AIS."""

    lengths: tuple[int, ...] = (8, 12, 20)
    """Square lattices, the smallest first."""
    quartic: tuple[float, ...] = (6.008, 5.276, 4.807)
    """λ on each."""
    mass_squared: float = -4.0
    """m²."""
    steps: tuple[int, ...] = (1200, 1500, 3000)
    """Training steps on each lattice, by SPRING."""
    schemes: tuple[tuple[int, int], ...] = ((20, 0), (20, 1), (50, 3))
    """Intervals, and leapfrogs of a trajectory between them; 0 for no trajectories."""
    walkers: tuple[int, ...] = (2048, 2048, 4096)
    """Walkers on each lattice."""
    sweeps: int = 2000
    """Steps of 64 chains on each lattice, after the burn-in."""
    annealing: int = 100
    """Intervals with which the seconds of AIS are measured."""
    adam: bool = True
    """Whether Adam has its turn on the smallest lattice."""
    seed: int = 0
    """Of training; samples have the next one."""
    save: Path | None = None
    """Folder for the trained samplers."""
    smoke: bool = False
    """Less than a minute."""
    json: Path = Path("experiments/results/phi4_training.json")
    """Where to save the result."""


SMOKE: dict[str, Any] = {
    "lengths": (4, 6),
    "quartic": (6.975, 6.975),
    "steps": (20, 10),
    "schemes": ((5, 0), (5, 1)),
    "walkers": (256, 256),
    "annealing": 10,
    "sweeps": 60,
}


class Bench:
    """One lattice: its path, its trainings and its rows."""

    def __init__(self, settings: Settings, place: int) -> None:
        self.settings = settings
        self.place = place
        self.length = settings.lengths[place]
        shape = (self.length, self.length)
        self.model = lt.PhiFour(shape, settings.mass_squared, settings.quartic[place])
        self.path = lt.AnnealingPath(self.model, start=lt.FreeField(1.0))

    def kernel_size(self) -> int:
        """Return 7, or what fits the lattice."""
        return min(7, self.length - 1)

    def trained(self, drift: lt.HollowDrift, optimizer: str, steps: int) -> dict[str, Any]:
        """Train a drift in place, and return what it took."""
        sampler = lt.Sampler(self.path, drift, integrator=lt.MapStep(20), device="cpu")
        changes: dict[str, Any] = {"steps": steps, "seed": self.settings.seed}
        if optimizer == "adam":
            changes |= {"optimizer": "adam", "learning_rate": 5e-3, "clip": 50.0}
        config = lt.TrainingConfig.drift(**changes)
        trainer = lt.Trainer(sampler, config)
        begin = time.process_time()
        history = trainer.run(progress=True)
        seconds = time.process_time() - begin
        # Held-out samples are judged before the first step and where walkers are weighed.
        assert trainer.held_out
        judged = trainer.held_out[0].judge(drift)
        return {
            "length": self.length,
            "optimizer": optimizer,
            "steps": steps,
            "seconds": round(seconds, 1),
            "loss": sum(history.loss[-100:]) / len(history.loss[-100:]),
            "held_out_before": history.held_out_integral[0],
            "held_out_after": judged.integral,
            "held_out_t": judged.t,
            "held_out_variance": judged.variance,
            "steepest": max(drift.steepest(t) for t in (0.0, 0.25, 0.5, 0.75, 1.0)),
        }

    def chains(self) -> dict[str, Any]:
        """Return V⟨M²⟩ by chains, and how far the Schwinger-Dyson identity is off."""
        begin = time.process_time()
        chain = lt.run_chain(
            self.model,
            lt.Compose(lt.HMC(), lt.SignCluster()),
            64,
            self.settings.sweeps,
            seed=self.settings.seed + 2,
            observables=("susceptibility_full", "schwinger_dyson"),
            device="cpu",
        )
        found = chain.estimate("susceptibility_full")
        told = {
            "length": self.length,
            "quartic": self.model.quartic,
            "magnetisation": float(found.value),
            "magnetisation_error": float(found.error),
            "schwinger_dyson_pull": chain.estimate("schwinger_dyson").pull(1.0),
            "seconds": round(time.process_time() - begin, 1),
        }
        print(json.dumps(told), flush=True)
        return told

    def kept(self, drift: lt.HollowDrift) -> None:
        """Save a sampler with the drift where a folder was named."""
        if self.settings.save is None:
            return
        sampler = lt.Sampler(self.path, drift, lt.MapStep(50), lt.HMC(leapfrogs=3), device="cpu")
        file = self.settings.save / f"phi4-{self.length}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        lt.save(sampler, file)

    def row(
        self, name: str, drift: lt.HollowDrift | None, intervals: int, leapfrogs: int
    ) -> dict[str, Any]:
        """Return what fresh walkers say."""
        move = None
        if leapfrogs:
            move = lt.HMC(leapfrogs=leapfrogs)
        integrator = lt.MapStep(intervals)
        sampler = lt.Sampler(self.path, drift, integrator, move, device="cpu")
        walkers = self.settings.walkers[self.place]
        # Compiles what it runs, and settles the move, which no seconds are to hold.
        sampler.with_block(64).sample(64, seed=self.settings.seed)
        begin = time.process_time()
        ensemble = sampler.sample(walkers, seed=self.settings.seed + 1)
        seconds = time.process_time() - begin
        squares = ensemble.estimate(magnetisation)
        ratio = ensemble.log_z - self.path.start.log_z
        row = {
            "length": self.length,
            "sampler": name,
            "intervals": intervals,
            "leapfrogs": leapfrogs,
            "walkers": walkers,
            "seconds": seconds,
            "ess": ensemble.ess,
            "log_weight_variance": ensemble.log_weight_variance,
            "effective_walkers_a_second": ensemble.ess * walkers / seconds,
            "log_z_ratio": ratio,
            "log_z_error": ensemble.log_z_error,
            "magnetisation": float(squares.value),
            "magnetisation_error": float(squares.error),
        }
        row |= pulls(row)
        print(json.dumps(row), flush=True)
        return row

    def rows(self, drift: lt.HollowDrift, name: str) -> list[dict[str, Any]]:
        """Return rows of all schemes, each with AIS of as many seconds."""
        found: list[dict[str, Any]] = []
        for intervals, leapfrogs in self.settings.schemes:
            learned = self.row(name, drift, intervals, leapfrogs)
            found.append(learned)
            if leapfrogs:
                found.append(self.rival(learned["seconds"], leapfrogs))
        return found

    def rival(self, seconds: float, leapfrogs: int) -> dict[str, Any]:
        """Return AIS with the same trajectories, on intervals that take so many seconds."""
        pilot = self.row("AIS, to measure", None, self.settings.annealing, leapfrogs)
        longer = self.settings.annealing * seconds / pilot["seconds"]
        return self.row("AIS", None, max(1, round(longer)), leapfrogs)


def magnetisation(configurations: torch.Tensor, model: Any) -> torch.Tensor:
    """Return ``V M²``."""
    mean = configurations.double().flatten(1).mean(1)
    return configurations[0].numel() * mean.square()


def pulls(row: dict[str, Any]) -> dict[str, float]:
    """Return how many standard errors a row is off its references."""
    found: dict[str, float] = {}
    known = REFERENCES.get(row["length"], {})
    errors = {"log_z_ratio": "log_z_error", "magnetisation": "magnetisation_error"}
    for name, (value, error) in known.items():
        width = (row[errors[name]] ** 2 + error**2) ** 0.5
        found[f"{name}_pull"] = (row[name] - value) / width
    return found


def main(settings: Settings) -> None:
    """Train on every lattice, and write what was found."""
    if settings.smoke:
        settings = replace(settings, **SMOKE)
    torch.set_num_threads(1)
    versions = provenance(torch.device("cpu"))
    trainings: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    chains: list[dict[str, Any]] = []
    drift: lt.HollowDrift | None = None
    for place, steps in enumerate(settings.steps):
        bench = Bench(settings, place)
        chains.append(bench.chains())
        if drift is None:
            kernel_size = bench.kernel_size()
            drift = lt.HollowDrift(bench.model, kernel_size, seed=settings.seed)
            fresh = lt.HollowDrift(bench.model, kernel_size, seed=settings.seed)
        else:
            drift = drift.for_model(bench.model)
            rows.append(bench.row("drift of the smaller lattice", drift, *settings.schemes[-1]))
        told = bench.trained(drift, "spring", steps)
        trainings.append(told)
        print(json.dumps(told), flush=True)
        bench.kept(drift)
        rows += bench.rows(drift, "drift")
        if place == 0 and settings.adam:
            # A step of Adam takes about 0.6 of the time of one of SPRING.
            other = bench.trained(fresh, "adam", round(steps / 0.6))
            trainings.append(other)
            print(json.dumps(other), flush=True)
            rows.append(bench.row("drift, by Adam", fresh, *settings.schemes[-1]))
    config = {**asdict(settings), "json": settings.json.name, "save": settings.save is not None}
    result = {
        "trainings": trainings,
        "rows": rows,
        "chains": chains,
        "references": {str(length): known for length, known in REFERENCES.items()},
        "config": config,
        "versions": versions,
    }
    settings.json.parent.mkdir(parents=True, exist_ok=True)
    write_text(settings.json, json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
