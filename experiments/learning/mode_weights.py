"""Learn the field that parts two modes which no move joins, by three negative phases.

    python experiments/learning/mode_weights.py            # three minutes on one core
    python experiments/learning/mode_weights.py --smoke    # seconds

Data are 5000 exact samples of an Ising torus of 4 × 4 at K = 0.7 in a field h = 0.03: magnetised up
or down, and hardly ever between. First the field alone is learned, from 0, then the field and one
coupling of all bonds together, from 0 and 0.2, with one sweep a step. Weights of Jarzynski move
mass between the modes with the parameters. Persistent walkers stay where they are, so that the
gradient drives the field to and fro; walkers from the data (CD-1) say little of it. The probability
of being up and the divergence from the truth are exact, by enumeration. log Z comes from witnesses,
walkers that enter no gradient.
"""

import json
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from matplotlib.figure import Figure
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.timing import Clock
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.exact.enumeration import enumerate_model
from leaps_triton.files import replacing, write_text
from leaps_triton.learning import Exact, FromData, Jarzynski, MaximumLikelihood, Persistent
from leaps_triton.provenance import device_name, provenance

K = 0.7
"""βJ of all bonds."""

H = 0.03
"""βh, which is to be learned."""


@dataclass(frozen=True)
class ModeWeights:
    """Learn the weights of two modes."""

    samples: int = 5000
    """Of the truth."""
    walkers: int = 1000
    """Of every negative phase, and witnesses."""
    steps: int = 2000
    """Of learning."""
    exact_steps: int = 500
    """Of the exact gradient, which is without noise and has come to rest then."""
    learning_rate: float = 0.05
    """Of the field, per site, and of the coupling, per bond."""
    looks: int = 100
    """Parameters along the way whose models are enumerated."""
    seed: int = 1
    """Of everything random."""
    smoke: bool = False
    """A moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for mode_weights.json and mode_weights.png."""


@dataclass(frozen=True)
class Part:
    """What is learned, and from where."""

    coupling: str | None
    """Which couplings are learned."""
    first: float
    """βJ of all bonds at the beginning."""


PARTS = {"h": Part(None, K), "K and h": Part("uniform", 0.2)}
"""What is learned → how."""


def truth() -> lt.Ising:
    """Return the model of the data."""
    return lt.Ising((4, 4), beta=1.0, coupling=K, field=H)


def up_of(configurations: Tensor, model: Any) -> Tensor:
    """Return 1 for configurations magnetised up, ½ for those without a magnetisation."""
    return 0.5 + 0.5 * torch.sign(configurations.double().mean((1, 2)) - 0.5)


def told(model: Any) -> tuple[float, float]:
    """Return the probability of being up, and the divergence of the truth from a model."""
    own = enumerate_model(model)
    exact = enumerate_model(truth())
    apart = exact.log_probabilities - own.log_probabilities
    divergence = float((exact.log_probabilities.exp() * apart).sum())
    return float(own.mean(up_of, model)), divergence


def row_of(
    part: Part, name: str, negative: Any, data: Tensor, settings: ModeWeights
) -> dict[str, Any]:
    """Return what a negative phase learns, and where it went on the way."""
    clock = Clock(torch.device("cpu"))
    steps = settings.steps
    if name == "exact":
        steps = min(steps, settings.exact_steps)
    learner = lt.Learner(
        lt.Ising((4, 4), beta=1.0, coupling=part.first),
        data,
        MaximumLikelihood(negative),
        coupling=part.coupling,
        field="uniform",
        start="model",
        steps=steps,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
    )
    found = learner.run()
    seconds = clock()
    last = len(found.thetas) - 1
    places = torch.linspace(0, last, min(settings.looks, last) + 1).long().tolist()
    track = [told(found.family.at(found.thetas[place]))[0] for place in places]
    late = track[len(track) // 2 :]
    up, divergence = told(found.model)
    row: dict[str, Any] = {
        "negative": name,
        "up": round(up, 5),
        "least": round(min(late), 5),
        "most": round(max(late), 5),
        "divergence": float(f"{divergence:.4g}"),
        "coupling": float(found.model.coupling.flatten()[0]),
        "field": found.thetas[-1].tolist()[-1],
        "seconds": round(seconds, 2),
        "steps": places,
        "track": [round(value, 5) for value in track],
    }
    if found.witnesses is not None:
        exact = lt.exact.log_z(found.model)
        row["log_z_off"] = round(found.witnesses.log_z - exact, 5)
        row["log_z_error"] = round(found.witnesses.log_z_error, 5)
    print(
        f"{name:<12} P(up) {up:.3f}, last half {min(late):.3f} to {max(late):.3f}, "
        f"KL {divergence:.2g}, {seconds:.1f} s",
        flush=True,
    )
    return row


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw the probability of being up along every learning."""
    figure = Figure(figsize=(11.0, 4.2), layout="constrained")
    every: Any = figure.subplots(1, len(result["parts"]), sharey=True)
    for axes, (words, rows) in zip(every, result["parts"].items(), strict=True):
        for place, row in enumerate(rows):
            axes.plot(row["steps"], row["track"], color=f"C{place}", label=row["negative"])
        axes.axhline(result["up"], color="grey", linestyle="--", linewidth=1.0, label="truth")
        axes.set(title=f"learned: {words}", xlabel="step", ylim=(-0.03, 1.03))
    every[0].set_ylabel("P(up) of the model, exactly")
    every[0].legend(fontsize=8)
    figure.supxlabel(result["device"], fontsize=8)
    with replacing(file) as part:
        figure.savefig(part, dpi=120)


def main(settings: ModeWeights) -> None:
    """Learn, compare, draw and save."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    if settings.smoke:
        settings = replace(settings, samples=200, walkers=50, steps=20, looks=4)
    data = lt.exact.sample(truth(), settings.samples, seed=settings.seed)
    count = settings.walkers
    negatives = {
        "exact": Exact(),
        "Jarzynski": Jarzynski(count, witnesses=count),
        "PCD": Persistent(count),
        "CD-1": FromData(1, walkers=count),
    }
    parts: dict[str, list[dict[str, Any]]] = {}
    for words, part in PARTS.items():
        print(f"learned: {words}")
        parts[words] = []
        for name, negative in negatives.items():
            parts[words].append(row_of(part, name, negative, data, settings))
    result = {
        "up": told(truth())[0],
        "up_in_data": float(up_of(data, None).mean()),
        "parts": parts,
        "device": device_name(torch.device("cpu")),
        "config": {**asdict(settings), "results": settings.results.name},
        "versions": provenance(torch.device("cpu")),
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(settings.results / "mode_weights.json", text)
    draw(result, settings.results / "mode_weights.png")


if __name__ == "__main__":
    main(tyro.cli(ModeWeights, description=__doc__))
