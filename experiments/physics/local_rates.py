"""Compare LocalRates with annealed importance sampling by effective walkers a second.

The model is the critical Ising model.

    python experiments/physics/local_rates.py            # 16 x 16, 32 x 32 and 64 x 64
    python experiments/physics/local_rates.py --smoke    # 8 x 8

One network is trained on the smallest lattice, and its training goes on for a little on each larger
one; what the network of the smallest lattice does there by itself is shown too. Every sampler has
one heat-bath sweep at each interval boundary. AIS runs with as many sweeps as the network has
intervals, and with as many as take the same time. Seconds are of processor time, so that other work
on the machine does not count; log Z is exact by Kaufman's formula.
"""

import copy
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

import leaps_triton as lt
from leaps_triton.files import replacing, write_text
from leaps_triton.provenance import provenance


@dataclass(frozen=True)
class LocalRatesExperiment:
    """Train LocalRates, and compare with AIS."""

    lengths: tuple[int, ...] = (16, 32, 64)
    """Square lattices, the smallest first."""
    beta: float = 0.4407
    """Inverse temperature."""
    steps: tuple[int, ...] = (2500, 700, 300)
    """Training steps on each lattice."""
    batch: tuple[int, ...] = (16, 16, 8)
    """Configurations at each of 16 times of a training step."""
    learning_rate: tuple[float, ...] = (1e-2, 4e-3, 2e-3)
    """At its peak, on each lattice."""
    intervals: tuple[int, ...] = (50, 100, 200)
    """Intervals of the sampler."""
    walkers: tuple[int, ...] = (4096, 512, 128)
    """Walkers on each lattice."""
    block: tuple[int, ...] = (1024, 256, 128)
    """Walkers computed together."""
    seed: int = 0
    """Of training; samples have the next one."""
    smoke: bool = False
    """Less than a minute."""
    json: Path = Path("experiments/results/local_rates.json")
    """Where to save the result; the figure goes beside it."""


SMOKE = {
    "lengths": (8,), "steps": (150,), "batch": (16,), "learning_rate": (1e-2,), "intervals": (10,
    20), "walkers": (512,), "block": (512,),
}  # fmt: skip


def train(settings: LocalRatesExperiment, network: lt.LocalRates, place: int) -> dict[str, Any]:
    path = lt.AnnealingPath(lt.Ising((settings.lengths[place],) * 2, beta=settings.beta))
    sampler = lt.Sampler(
        path, network, lt.Jump(25), lt.HeatBath(), block=settings.block[place], device="cpu"
    )
    config = lt.TrainingConfig(
        steps=settings.steps[place], walkers=settings.batch[place],
        learning_rate=settings.learning_rate[place],
        buffer=min(512, settings.walkers[place]), rollout=128, rollout_every=250,
        seed=settings.seed,
    )  # fmt: skip
    begin = time.process_time()
    history = lt.Trainer(sampler, config).run(progress=True)
    last = history.loss[-100:]
    return {
        "seconds": round(time.process_time() - begin, 1),
        "loss": round(sum(last) / len(last), 3),
    }


def run(
    settings: LocalRatesExperiment,
    network: lt.LocalRates | None,
    name: str,
    place: int,
    intervals: int,
) -> dict[str, Any]:
    length, walkers = settings.lengths[place], settings.walkers[place]
    path = lt.AnnealingPath(lt.Ising((length, length), beta=settings.beta))
    sampler = lt.Sampler(
        path, network, lt.Jump(intervals), lt.HeatBath(), block=settings.block[place], device="cpu"
    )
    begin = time.process_time()
    ensemble = sampler.sample(walkers, seed=settings.seed + 1)
    seconds = time.process_time() - begin
    row = {
        "sampler": name,
        "length": length,
        "intervals": intervals,
        "walkers": walkers,
        "seconds": round(seconds, 3),
        "ess": ensemble.ess,
        "log_weight_variance": ensemble.log_weight_variance,
        "log_z_defect": ensemble.log_z - lt.exact.ising_log_z((length, length), beta=settings.beta),
        "log_z_error": ensemble.log_z_error,
        "evaluations": ensemble.evaluations,
        "effective_walkers_a_second": ensemble.ess * walkers / seconds,
    }
    print(json.dumps(row), flush=True)
    return row


def figure(rows: list[dict[str, Any]], file: Path) -> None:
    lengths = sorted({row["length"] for row in rows})
    canvas = Figure(figsize=(4.2 * len(lengths), 3.6), layout="constrained")
    for column, length in enumerate(lengths):
        axes = canvas.add_subplot(1, len(lengths), column + 1)
        for name in dict.fromkeys(row["sampler"] for row in rows):
            own = sorted(
                (1e3 * row["seconds"] / row["walkers"], row["log_weight_variance"])
                for row in rows
                if row["length"] == length and row["sampler"] == name
            )
            if own:
                axes.plot(*zip(*own, strict=True), "o-", label=name, markersize=4)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("processor time a walker in ms")
        axes.set_ylabel("Var[A]")
        axes.set_title(f"critical Ising, {length} × {length}", fontsize=9)
        axes.legend(fontsize=8)
    with replacing(file) as part:
        canvas.savefig(part, dpi=110)


def main(settings: LocalRatesExperiment) -> None:
    if settings.smoke:
        settings = replace(settings, **SMOKE)  # type: ignore[arg-type]
    torch.set_num_threads(1)
    versions = provenance(torch.device("cpu"))
    settings.json.parent.mkdir(parents=True, exist_ok=True)
    network = lt.LocalRates(
        lt.Ising((settings.lengths[0],) * 2, beta=settings.beta), seed=settings.seed
    )
    rows, training, first = [], [], network
    for place in range(len(settings.lengths)):
        training.append(train(settings, network, place))
        print(json.dumps(training[-1]), flush=True)
        if place == 0:
            first = copy.deepcopy(network)
        contenders = {"LocalRates": network} | (
            {"LocalRates, not trained here": first} if place else {}
        )
        for name, contender in contenders.items():
            for intervals in (
                settings.intervals if contender is network else settings.intervals[1:2]
            ):
                rows.append(run(settings, contender, name, place, intervals))
        for learned in rows[-len(settings.intervals) - bool(place) :][: len(settings.intervals)]:
            plain = run(settings, None, "AIS", place, learned["intervals"])
            longer = round(learned["intervals"] * learned["seconds"] / plain["seconds"])
            rows += [plain, run(settings, None, "AIS", place, longer)]
    result = {
        "rows": rows,
        "training": training,
        "config": {**asdict(settings), "json": settings.json.name},
        "versions": versions,
    }
    write_text(settings.json, json.dumps(result, indent=2) + "\n")
    figure(rows, settings.json.with_suffix(".png"))


if __name__ == "__main__":
    main(tyro.cli(LocalRatesExperiment, description=__doc__))
