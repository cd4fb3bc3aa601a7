"""Learn restricted Boltzmann machines of scikit-learn's digits, with exact test log-likelihoods.

    python experiments/learning/rbm_digits.py            # about a minute on one core
    python experiments/learning/rbm_digits.py --smoke    # seconds

Images of 8 × 8 pixels, 1 where a pixel is at least 8 of 16. The first 1500 train, the last 297
test. Twelve hidden units leave 4096 states to sum over: log Z is exact. Negative phases: the
exact gradient, persistent chains (PCD), Jarzynski's weights, chains from the data (CD-1) and mean
field to first and second order. All have as many steps; seconds are of one processor.

Mean field tells no log Z of what was learned: its value and whether it converged stand beside that
of annealed walkers, which start from the means of the data.
"""

import json
import sys
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

TRAINED = 1500
"""Rows, the first ones."""


@dataclass(frozen=True)
class Digits:
    """Learn machines of digits."""

    hidden: int = 12
    """Units."""
    epochs: int = 250
    """Passes through the training rows."""
    batch: int = 100
    """Rows of a step."""
    learning_rate: float = 0.1
    """At the beginning."""
    walkers: int = 100
    """Persistent chains."""
    weighed: int = 400
    """Learners of Jarzynski's weights, and witnesses."""
    annealed: int = 1024
    """Walkers of log Z from the means of the data."""
    intervals: int = 200
    """Temperatures that these go through."""
    seed: int = 0
    """Of everything random."""
    smoke: bool = False
    """A moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for rbm_digits.json and rbm_digits.png."""


def images() -> Tensor:
    """Return all images as 0 and 1, int8 ``(1797, 64)``."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit("this needs scikit-learn: pip install leaps_triton[learning]")
    return (torch.from_numpy(load_digits().data) >= 8.0).to(torch.int8)


def independent(train: Tensor, test: Tensor) -> float:
    """Return the test log-likelihood of independent pixels."""
    means = train.double().mean(0).clamp(1e-3, 1.0 - 1e-3)
    own = test.double()
    return float((own * means.log() + (1.0 - own) * torch.log1p(-means)).sum(1).mean())


def annealed(model: lt.RBM, train: Tensor, settings: Digits) -> dict[str, Any]:
    """Return log Z of walkers annealed from the means of the data, beside the exact one."""
    exact = lt.exact.log_z(model)
    path = lt.AnnealingPath(model, start=lt.Independent(model.data_means(train)))
    intervals = lt.Jump(settings.intervals)
    sampler = lt.Sampler(path, None, intervals, lt.HeatBath(), block=256, device="cpu")
    found = sampler.sample(settings.annealed, settings.seed)
    told: dict[str, Any] = {
        "log_z": exact,
        "annealed_off": round(found.log_z - exact, 4),
        "annealed_error": round(found.log_z_error, 4),
    }
    for order in (1, 2, 3):
        theory = lt.tap(model, order=order)
        told[f"tap_{order}"] = {
            "off": round(float(theory.log_z) - exact, 4),
            "converged": bool(theory.converged),
        }
    return told


def row_of(name: str, negative: Any, train: Tensor, test: Tensor, plan: Plan, hidden: int) -> Any:
    """Return a row of one negative phase, and its machine."""
    start = machine(train, hidden, 0.01, plan.seed)
    found, seconds = learned(start, train, negative, plan)
    model = found.model
    exact = lt.exact.log_z(model)
    row: dict[str, Any] = {
        "negative": name,
        "test": round(float(model.log_likelihood(test, exact).mean()), 4),
        "train": round(float(model.log_likelihood(train, exact).mean()), 4),
        "weights": round(float(model.weights.square().mean().sqrt()), 4),
        "seconds": round(seconds, 2),
        **witnessed(found, exact),
    }
    print(
        f"{name:<20} test {row['test']:.3f}  train {row['train']:.3f}  {seconds:.1f} s", flush=True
    )
    return row, model


def draw(result: dict[str, Any], drawn: Tensor, weights: Tensor, file: Path) -> None:
    """Draw log-likelihoods, exact samples and the weights of hidden units."""
    figure = Figure(figsize=(12.0, 4.0), layout="constrained")
    # An array, whose type would also allow one axes alone.
    every: Any = figure.subplots(1, 3, width_ratios=(1.3, 1.0, 1.0))
    bars, samples, units = every
    rows = result["rows"]
    places = range(len(rows))
    bars.barh(places, [row["test"] - result["independent"] for row in rows], color="C0")
    bars.set_yticks(places, [row["negative"] for row in rows], fontsize=8)
    bars.invert_yaxis()
    bars.set_xlabel("test log-likelihood above that of independent pixels")
    for axes, tiles, title in (
        (samples, drawn.double(), "exact samples, Jarzynski"),
        (units, weights, "its weights"),
    ):
        whole = tiles.view(-1, 4, 8, 8).transpose(1, 2).reshape(-1, 32)
        axes.imshow(whole, cmap="gray_r")
        axes.set_axis_off()
        axes.set_title(title, fontsize=9)
    figure.supxlabel(result["device"], fontsize=8)
    with replacing(file) as part:
        figure.savefig(part, dpi=120)


def main(settings: Digits) -> None:
    """Learn, compare, draw and save."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    data = images()
    train = data[:TRAINED]
    test = data[TRAINED:]
    if settings.smoke:
        settings = replace(settings, epochs=1, weighed=100, annealed=256, intervals=10)
    plan = Plan(settings.epochs, settings.batch, settings.learning_rate, settings.seed)
    negatives = {
        "exact gradient": Exact(),
        "PCD": Persistent(settings.walkers),
        "Jarzynski": Jarzynski(settings.weighed, witnesses=settings.weighed),
        "CD-1": FromData(1, walkers=settings.walkers),
        "mean field": MeanField(1),
        "mean field, order 2": MeanField(2),
    }
    rows = []
    models = {}
    for name, negative in negatives.items():
        row, models[name] = row_of(name, negative, train, test, plan, settings.hidden)
        rows.append(row)
    own = models["Jarzynski"]
    result = {
        "independent": round(independent(train, test), 4),
        "rows": rows,
        "theories": annealed(own, train, settings),
        "device": device_name(torch.device("cpu")),
        "config": {**asdict(settings), "results": settings.results.name},
        "versions": provenance(torch.device("cpu")),
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(settings.results / "rbm_digits.json", text)
    drawn, _ = own.split(lt.exact.sample(own, 12, seed=settings.seed))
    draw(result, drawn, own.weights.T[:12], settings.results / "rbm_digits.png")


if __name__ == "__main__":
    main(tyro.cli(Digits, description=__doc__))
