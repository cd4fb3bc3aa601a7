"""Give AIS, SMC and learned transports of densities the same seconds on every target.

    python experiments/densities/densities.py                     # about half an hour on one core
    python experiments/densities/densities.py --targets two four  # rows of others stay as they are
    python experiments/densities/densities.py --methods drift     # likewise of methods
    python experiments/densities/densities.py --smoke             # under a minute

Paths begin with a Gaussian, the scale of which is told. Six methods go along three kinds of curves.
On the linear one: AIS and SMC, by trajectories of hybrid Monte Carlo alone, and a learned drift
with trajectories between its maps. On curves whose energy is learned along with the drift: the free
path, whose constant is the mean of a batch, and that of Máté and Fleuret, whose constant is
learned too. And the gradient flow, where the energy alone is learned and the drift follows from it.

Trainings take as many steps as ``known_targets.py`` says, on nodes of a box where there are one or
two dimensions and modes are few, else on chains.

Each has the same seconds of one processor to draw walkers in. A pilot chooses integrator,
intervals and leapfrogs by effective walkers a second; pilots, and the burn-in that finds the step
of trajectories, are charged to nobody. Training has seconds of its own, and is charged in
``training_included``: the rate if these walkers were all that it is ever used for. All weights are
exact, whatever was learned; ``log_z_pull`` and the masses of modes say so. What could not be made
has a row that says why.

References: Máté, Fleuret, arXiv:2301.07388, for learned energies along the curve; Sun et al.,
arXiv:2407.07873, for free paths.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from drawing_densities import draw, one_line
from known_targets import TARGETS, Known
from learned_curves import LEARNED, Trained, samplers_of, train
from weighing import (
    LEAST_BLOCKS,
    drawn,
    finite,
    masses_told,
    pilot,
    wasserstein_told,
    weights_told,
)

import leaps_triton as lt
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance

RATES = ("effective_walkers_per_second", "inverse_variance_of_log_z_per_second")
"""What a training is charged to."""


@dataclass(frozen=True)
class Densities:
    """Train, choose, draw and compare."""

    targets: tuple[str, ...] = tuple(TARGETS)
    """Those that are run."""
    methods: tuple[str, ...] = ("AIS", "SMC", *LEARNED)
    """Likewise."""
    seconds: float = 8.0
    """Of drawing, for every method."""
    block: int = 1024
    """Walkers of a block."""
    seed: int = 7
    """Of everything random."""
    smoke: bool = False
    """A moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for densities.json and densities.png."""


def moves_of(known: Known, model: Any, settings: Densities) -> dict[int, Any]:
    """Return trajectories by leapfrogs, each with the step that a burn-in finds."""
    counts = known.leapfrogs
    if settings.smoke:
        counts = counts[:1]
    return {count: lt.HMC(leapfrogs=count).settled(model) for count in counts}


def annealed(
    method: str, known: Known, path: Any, moves: dict[int, Any], settings: Densities
) -> dict[str, lt.Sampler]:
    """Return the samplers without a drift among which a pilot chooses."""
    below = 0.0
    if method == "SMC":
        below = 0.5
    counts: Sequence[int] = known.annealings
    if settings.smoke:
        counts = counts[:1]
    found = {}
    for count in counts:
        for leapfrogs, move in moves.items():
            found[f"{count} intervals, {leapfrogs} leapfrogs"] = lt.Sampler(
                path,
                None,
                lt.MapStep(count),
                move,
                below,
                block=settings.block,
                device="cpu",
            )
    return found


def chosen(tried: dict[str, lt.Sampler], settings: Densities) -> tuple[str, dict[str, Any]]:
    """Return the name of the fastest sampler, and the rates of all; None for those that failed."""
    rates: dict[str, Any] = {}
    for name, sampler in tried.items():
        try:
            # Compiles what it runs, which no pilot is to pay for.
            sampler.with_block(64).sample(64, settings.seed)
            rate = pilot(sampler, settings.seed + 1, settings.seconds / 20.0)
            rates[name] = finite(rate)
        except (ValueError, RuntimeError) as error:
            print(f"  {name}: {error}", flush=True)
            rates[name] = None
    able = {name: rate for name, rate in rates.items() if rate is not None}
    if not able:
        raise ValueError("none of the samplers that were tried can draw here")
    best = max(able, key=lambda name: able[name])
    return best, rates


def row_of(
    method: str,
    known: Known,
    tried: dict[str, lt.Sampler],
    trained: Trained | None,
    settings: Densities,
) -> dict[str, Any]:
    """Return what a method reaches, at the best that its pilot has found."""
    best, rates = chosen(tried, settings)
    sampler = tried[best]
    path = sampler.path
    model = path.model
    run = drawn(sampler, settings.seed + 2, settings.seconds, LEAST_BLOCKS)
    row: dict[str, Any] = {"method": method, "chosen": best, "pilot": rates}
    row["start"] = repr(path.start)
    row |= weights_told(run, path)
    if row["ess"] is None or row["log_z"] is None:
        raise ValueError(f"weights blew up along the best sampler, {best}")
    if known.modes:
        row |= masses_told(run, model)
    row |= wasserstein_told(run, model, settings.seed + 3)
    if trained is not None:
        row["training"] = trained.told
        share = run.seconds / (run.seconds + trained.seconds)
        included: dict[str, Any] = {}
        for key in RATES:
            if row[key] is not None:
                included[key] = finite(row[key] * share)
        row["training_included"] = included
    return row


def rows_of(name: str, settings: Densities) -> list[dict[str, Any]]:
    """Return the rows of all methods on one target."""
    known = TARGETS[name]
    model = known.make()
    path = lt.AnnealingPath(model, start=known.start())
    moves = moves_of(known, model, settings)
    rows = []
    for method in settings.methods:
        try:
            trained = None
            if method in LEARNED:
                trained = train(method, known, settings.seed, settings.smoke)
                tried = samplers_of(trained, moves, settings.block, settings.smoke)
            else:
                tried = annealed(method, known, path, moves, settings)
            row = row_of(method, known, tried, trained, settings)
        except (ValueError, RuntimeError) as error:
            row = {"method": method, "refused": str(error)}
        rows.append(row)
        print(f"{name:<8}{one_line(row)}", flush=True)
    return rows


def smaller(settings: Densities) -> Densities:
    """Return the settings of a run of a moment."""
    return replace(settings, targets=("two",), seconds=0.1, block=128)


def before(file: Path) -> dict[str, Any]:
    """Return the cases of a file that was written before, if there is one."""
    if not file.exists():
        return {}
    cases: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["cases"]
    return cases


def joined(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return new rows, and old ones of the methods that were not run, in the order of methods."""
    found = {row["method"]: row for row in (*old, *new)}
    return [found[method] for method in ("AIS", "SMC", *LEARNED) if method in found]


def main(settings: Densities) -> None:
    """Measure, print, and save after every target."""
    torch.set_num_threads(1)
    # Short pilots say so: the table does too.
    warnings.simplefilter("ignore", CautionWarning)
    if settings.smoke:
        settings = smaller(settings)
    settings.results.mkdir(parents=True, exist_ok=True)
    file = settings.results / "densities.json"
    cases = before(file)
    config = {**asdict(settings), "results": settings.results.name}
    for name in settings.targets:
        model = TARGETS[name].make()
        versions = provenance(torch.device("cpu"))
        # Rows of one case may be of several runs: each says which.
        made = {"config": config, "versions": versions}
        case = cases.get(name, {"rows": []})
        old = [{"config": case.get("config"), **row} for row in case["rows"]]
        new = [row | made for row in rows_of(name, settings)]
        cases[name] = {
            "title": TARGETS[name].title,
            "model": repr(model),
            "log_z": model.log_z,
            "rows": joined(old, new),
            "config": config,
            "versions": versions,
        }
        result = {
            "cases": {each: cases[each] for each in TARGETS if each in cases},
            "device": device_name(torch.device("cpu")),
            "config": config,
            "versions": provenance(torch.device("cpu")),
        }
        write_text(file, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        draw(result, file.with_suffix(".png"))


if __name__ == "__main__":
    main(tyro.cli(Densities, description=__doc__))
