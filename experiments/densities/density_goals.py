"""Weigh forty modes in the plane, thirty-two coordinates of wells, and a drift learned to digits.

    python experiments/densities/density_goals.py                   # about five minutes on one core
    python experiments/densities/density_goals.py --parts forty     # other parts stay as they are
    python experiments/densities/density_goals.py --smoke           # seconds

- ``forty``: GMM-40 from N(0, 25²), by AIS, by SMC, and along a learned free path: the masses of all
  modes, which are 1/40 each, with weights and without.
- ``pairs``: the many-well of 32 coordinates, whose log Z is 164.695675313, by AIS and SMC.
- ``four``: four modes in the plane from N(0, 1.5²). A drift is trained by steps of Gauss and Newton
  on nodes. Walkers follow it by a method of Runge and Kutta, which is biased by its steps, and by
  maps with exact weights at the same number of steps and at four times as many.

Seconds are of one processor. Trainings and burn-ins are told, and not within the seconds of a row.
"""

import json
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from drawing_goals import draw
from known_targets import TARGETS
from learned_curves import train
from weighing import Drawn, drawn, finite, masses_told, weights_told

import leaps_triton as lt
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance

PARTS = ("forty", "pairs", "four")
"""What is run."""

SHOWN = 3000
"""Points of a scatter."""


@dataclass(frozen=True)
class Goals:
    """Draw walkers of three targets, and compare with what is known."""

    parts: tuple[str, ...] = PARTS
    """Those that are run."""
    forty_blocks: int = 12
    """Blocks of 1024 walkers in 40 modes, 200 intervals and 3 leapfrogs each."""
    pairs_blocks: int = 16
    """Blocks of 256 walkers in wells, 200 intervals and 10 leapfrogs each."""
    four_blocks: int = 10
    """Blocks of 2048 walkers along the learned drift."""
    seed: int = 3
    """Of everything random."""
    smoke: bool = False
    """A moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for density_goals.json and density_goals.png."""


def row_of(
    name: str, sampler: lt.Sampler, blocks: int, seed: int, masses: bool
) -> tuple[dict[str, Any], Drawn]:
    """Return what walkers of one sampler say, of the masses of modes too, and the walkers."""
    run = drawn(sampler, seed, 0.0, blocks)
    model = sampler.path.model
    row = {"method": name, "start": repr(sampler.path.start)}
    row |= weights_told(run, sampler.path)
    text = f"{name:<24} ESS {row['ess']:.6f}  log Z {row['log_z']:.6f} ± {row['log_z_error']:.2g}"
    print(text, flush=True)
    if masses:
        row |= masses_told(run, model)
        print(f"  masses off {row['total_variation']:.4f}, {row['worst_relative_mass']:.3f}")
    return row, run


def annealing(path: Any, intervals: int, move: Any, below: float, block: int) -> lt.Sampler:
    """Return a sampler by trajectories alone."""
    return lt.Sampler(path, None, lt.MapStep(intervals), move, below, block=block, device="cpu")


def forty(settings: Goals) -> dict[str, Any]:
    """Return the masses of 40 modes, and some walkers."""
    known = TARGETS["forty"]
    path = lt.AnnealingPath(known.make(), start=known.start())
    intervals = 200
    block = 1024
    if settings.smoke:
        intervals = 20
        block = 128
    blocks = settings.forty_blocks
    move = lt.HMC(leapfrogs=3).settled(path.model)
    rows = []
    shown: dict[str, Any] = {}
    for name, below in (("AIS", 0.0), ("SMC", 0.5)):
        sampler = annealing(path, intervals, move, below, block)
        row, run = row_of(name, sampler, blocks, settings.seed, True)
        rows.append(row | {"chosen": f"{intervals} intervals, 3 leapfrogs"})
        shown[name] = some(run)
    made = train("free path", known, settings.seed, settings.smoke)
    curved = lt.Sampler(
        made.path, made.transport, lt.PathRatio(intervals, 0.3), move, block=block, device="cpu"
    )
    row, run = row_of("free path", curved, blocks, settings.seed, True)
    chosen = f"{intervals} noisy steps, ε = 0.3, 3 leapfrogs"
    rows.append(row | {"chosen": chosen, "training": made.told})
    shown["free path"] = some(run)
    means = path.model.means
    return {"rows": rows, "means": means.tolist(), "walkers": shown}


def some(run: Drawn) -> dict[str, Any]:
    """Return places of walkers drawn in proportion to their weights, for the figure."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.softmax(run.log_weights, 0)
    chosen = torch.multinomial(shares, SHOWN, replacement=True, generator=generator)
    # Half a pixel of the figure is more than a digit.
    places = run.configurations[chosen].mul(10.0).round().div(10.0)
    return {"x": places[:, 0].tolist(), "y": places[:, 1].tolist()}


def pairs(settings: Goals) -> dict[str, Any]:
    """Return log Z of 16 wells with 16 Gaussian partners."""
    known = TARGETS["pairs"]
    path = lt.AnnealingPath(known.make(), start=known.start())
    intervals = 200
    leapfrogs = 10
    if settings.smoke:
        intervals = 10
        leapfrogs = 1
    move = lt.HMC(leapfrogs=leapfrogs).settled(path.model)
    rows = []
    for name, below in (("AIS", 0.0), ("SMC", 0.5)):
        sampler = annealing(path, intervals, move, below, 256)
        row, _ = row_of(name, sampler, settings.pairs_blocks, settings.seed, False)
        rows.append(row | {"chosen": f"{intervals} intervals, {leapfrogs} leapfrogs"})
    return {"rows": rows, "log_z": path.model.log_z}


def four(settings: Goals) -> dict[str, Any]:
    """Return ESS and log Z along a drift that was learned to digits."""
    known = replace(TARGETS["four"], newton=40, adam=600)
    made = train("drift", known, settings.seed, settings.smoke)
    steps = (30, 120)
    block = 2048
    if settings.smoke:
        steps = (8, 16)
        block = 128
    few, many = steps
    integrators: dict[str, Any] = {
        f"RungeKutta({few}), biased": lt.RungeKutta(few),
        f"MapStep({few})": lt.MapStep(few),
        f"MapStep({many})": lt.MapStep(many),
    }
    rows = []
    for name, integrator in integrators.items():
        sampler = lt.Sampler(made.path, made.transport, integrator, block=block, device="cpu")
        row, run = row_of(name, sampler, settings.four_blocks, settings.seed, True)
        # Six digits of an ESS near 1 say little of what is missing.
        row["one_minus_ess"] = finite(1.0 - run.ess)
        rows.append(row)
    return {"rows": rows, "training": made.told, "log_z": made.path.model.log_z}


def main(settings: Goals) -> None:
    """Measure, print, and save after every part."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    if settings.smoke:
        settings = replace(settings, forty_blocks=2, pairs_blocks=2, four_blocks=1)
    settings.results.mkdir(parents=True, exist_ok=True)
    file = settings.results / "density_goals.json"
    result: dict[str, Any] = {}
    if file.exists():
        result = json.loads(file.read_text(encoding="utf-8"))
    runs = {"forty": forty, "pairs": pairs, "four": four}
    walkers: dict[str, Any] = {}
    for part in settings.parts:
        result[part] = runs[part](settings)
        walkers |= result[part].pop("walkers", {})
        result["device"] = device_name(torch.device("cpu"))
        result["config"] = {**asdict(settings), "results": settings.results.name}
        result["versions"] = provenance(torch.device("cpu"))
        write_text(file, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if walkers:
        draw(result, walkers, file.with_suffix(".png"))


if __name__ == "__main__":
    main(tyro.cli(Goals, description=__doc__))
