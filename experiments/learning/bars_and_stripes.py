"""Learn bars and stripes, thirty patterns apart from one another, by several negative phases.

    python experiments/learning/bars_and_stripes.py            # about 18 minutes on one core
    python experiments/learning/bars_and_stripes.py --smoke    # seconds

Patterns of 4 × 4 pixels in which all rows are alike or all columns are, each as often as any other:
the best log-likelihood is −log 30 = −3.401. A machine of ten hidden units is learned. A step moves
walkers once, between patterns hardly ever: negative phases differ in whether all patterns become
alike. The probability of the rarest and of the commonest is told in units of 1/30, exactly.
"""

import itertools
import json
import math
import statistics
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from machines import Plan, learned, machine, witnessed
from matplotlib.figure import Figure
from torch import Tensor

import leaps_triton as lt
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.files import replacing, write_text
from leaps_triton.learning import Exact, FromData, Jarzynski, MeanField, Persistent
from leaps_triton.provenance import device_name, provenance

LENGTH = 4
"""Of a pattern."""

COPIES = 50
"""Of every pattern in the data."""


@dataclass(frozen=True)
class BarsAndStripes:
    """Learn machines of bars and stripes."""

    hidden: int = 10
    """Units."""
    epochs: int = 600
    """Passes through the data."""
    batch: int = 100
    """Rows of a step."""
    learning_rate: float = 0.2
    """At the beginning."""
    walkers: int = 500
    """Of every negative phase."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of learnings."""
    smoke: bool = False
    """A moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for bars_and_stripes.json and bars_and_stripes.png."""


def patterns() -> Tensor:
    """Return all bars and stripes, int8 ``(30, 16)``."""
    found = set()
    for row in itertools.product((0, 1), repeat=LENGTH):
        found.add(tuple(value for value in row for _ in range(LENGTH)))
        found.add(tuple(value for _ in range(LENGTH) for value in row))
    return torch.tensor(sorted(found), dtype=torch.int8)


def row_of(name: str, negative: Any, seed: int, settings: BarsAndStripes) -> dict[str, Any]:
    """Return what one negative phase has learned."""
    own = patterns()
    data = own.repeat_interleave(COPIES, 0)
    plan = Plan(settings.epochs, settings.batch, settings.learning_rate, seed)
    found, seconds = learned(machine(data, settings.hidden, 0.1, seed), data, negative, plan)
    exact = lt.exact.log_z(found.model)
    logs = found.model.log_likelihood(own, exact)
    shares = logs.exp() * len(own)
    row: dict[str, Any] = {
        "negative": name,
        "seed": seed,
        "log_likelihood": round(float(logs.mean()), 4),
        "rarest": round(float(shares.min()), 4),
        "commonest": round(float(shares.max()), 4),
        "mass": round(float(shares.mean()), 4),
        "shares": [round(value, 4) for value in sorted(shares.tolist())],
        "seconds": round(seconds, 2),
        **witnessed(found, exact),
    }
    print(
        f"{name:<12} {seed}  {row['log_likelihood']:.3f}  {row['rarest']:.2f} to "
        f"{row['commonest']:.2f}  {seconds:.1f} s",
        flush=True,
    )
    return row


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw the probabilities of all patterns, from the rarest on."""
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(row["negative"] for row in result["rows"]))
    for row in result["rows"]:
        colour = f"C{names.index(row['negative'])}"
        label = None
        if row["seed"] == result["rows"][0]["seed"]:
            label = row["negative"]
        axes.plot(row["shares"], color=colour, label=label, linewidth=1.2)
    axes.axhline(1.0, color="grey", linestyle="--", linewidth=1.0)
    axes.set(xlabel="pattern, from the rarest on", ylabel="probability × 30", ylim=(0.0, 5.0))
    axes.legend(fontsize=8)
    figure.supxlabel(result["device"], fontsize=8)
    with replacing(file) as part:
        figure.savefig(part, dpi=120)


def main(settings: BarsAndStripes) -> None:
    """Learn, compare, draw and save."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    if settings.smoke:
        settings = replace(settings, epochs=2, walkers=100, seeds=(0,))
    count = settings.walkers
    negatives = {
        "exact": Exact(),
        "PCD-1": Persistent(count),
        "PCD-10": Persistent(count, lt.HeatBath(sweeps=10)),
        "Jarzynski-1": Jarzynski(count, witnesses=count),
        "CD-1": FromData(1, walkers=count),
        "mean field": MeanField(2),
    }
    rows = []
    for name, negative in negatives.items():
        for seed in settings.seeds:
            rows.append(row_of(name, negative, seed, settings))
    medians = {}
    for name in negatives:
        own = [row["log_likelihood"] for row in rows if row["negative"] == name]
        medians[name] = statistics.median(own)
    result = {
        "best": -math.log(len(patterns())),
        "medians": medians,
        "rows": rows,
        "device": device_name(torch.device("cpu")),
        "config": {**asdict(settings), "results": settings.results.name},
        "versions": provenance(torch.device("cpu")),
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(settings.results / "bars_and_stripes.json", text)
    draw(result, settings.results / "bars_and_stripes.png")


if __name__ == "__main__":
    main(tyro.cli(BarsAndStripes, description=__doc__))
