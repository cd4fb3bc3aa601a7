"""Learn couplings and fields of a Potts model in the zero-sum gauge, by likelihood and by its peer.

    python experiments/learning/potts_couplings.py            # about a minute on one core
    python experiments/learning/potts_couplings.py --smoke    # seconds

Three states on an open 5 × 5 lattice, couplings ``J δ(x, y)`` of every bond and fields of every
site and state drawn at random. A constant added to the fields of a site changes nothing: fields are
compared in the zero-sum gauge, in which those of a site have mean 0. Data are exact samples.
Pseudo-likelihood needs no walkers. Maximum likelihood by Jarzynski's weights starts from
independent sites, and its witnesses tell log Z, beside the transfer matrix.

Beside it stands the one coupling of the critical 3-state model on a 6 × 6 torus, for several sets.
"""

import json
import math
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
from leaps_triton.files import replacing, write_text
from leaps_triton.learning import Jarzynski, MaximumLikelihood, PseudoLikelihood
from leaps_triton.provenance import device_name, provenance

CRITICAL = math.log(1.0 + math.sqrt(3.0))
"""βJ of the transition of three states."""


@dataclass(frozen=True)
class PottsCouplings:
    """Learn Potts models from exact samples."""

    length: int = 5
    """Of the open lattice."""
    torus: int = 6
    """Of the critical one."""
    samples: int = 2000
    """Of every set."""
    sets: int = 5
    """Of samples of the critical model."""
    walkers: int = 1000
    """Learners, and witnesses."""
    steps: int = 400
    """Of maximum likelihood."""
    learning_rate: float = 0.5
    """Likewise."""
    seed: int = 2
    """Of everything random."""
    smoke: bool = False
    """A moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for potts_couplings.json and potts_couplings.png."""


def truth(settings: PottsCouplings) -> lt.Potts:
    """Return a model with couplings and fields drawn at random."""
    generator = torch.Generator().manual_seed(settings.seed)
    shape = (settings.length, settings.length)
    coupling = 0.6 + 0.4 * torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    field = 0.5 * torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    return lt.Potts(shape, 3, 1.0, coupling, field, periodic=False)


def bonds_of(model: lt.Potts) -> Tensor:
    """Return the couplings of the bonds that an open lattice has, in one row."""
    coupling = model.coupling.expand(2, *model.shape)
    return torch.cat([coupling[0, :-1, :].flatten(), coupling[1, :, :-1].flatten()])


def zero_sum(model: lt.Potts) -> Tensor:
    """Return the fields of every site with mean 0, ``(3, sites)``."""
    fields = model.site_table.expand(3, *model.shape).flatten(1)
    return fields - fields.mean(0)


def compared(name: str, found: Any, exact: lt.Potts, seconds: float) -> dict[str, Any]:
    """Return how far couplings and fields are from the true ones."""
    bonds = bonds_of(found.model) - bonds_of(exact)
    fields = zero_sum(found.model) - zero_sum(exact)
    row: dict[str, Any] = {
        "method": name,
        "couplings_off": round(float(bonds.square().mean().sqrt()), 5),
        "fields_off": round(float(fields.square().mean().sqrt()), 5),
        "seconds": round(seconds, 2),
        "couplings": [round(value, 5) for value in bonds_of(found.model).tolist()],
        "fields": [round(value, 5) for value in zero_sum(found.model).flatten().tolist()],
    }
    if found.witnesses is not None:
        log_z = lt.exact.log_z(found.model)
        row["log_z_off"] = round(found.witnesses.log_z - log_z, 5)
        row["log_z_error"] = round(found.witnesses.log_z_error, 5)
    print(
        f"{name:<20} couplings off {row['couplings_off']:.4f}, fields {row['fields_off']:.4f}, "
        f"{seconds:.1f} s",
        flush=True,
    )
    return row


def random_couplings(settings: PottsCouplings) -> dict[str, Any]:
    """Return rows of both objectives on couplings and fields drawn at random."""
    exact = truth(settings)
    data = lt.exact.sample(exact, settings.samples, seed=settings.seed)
    likelihood = MaximumLikelihood(Jarzynski(settings.walkers, witnesses=settings.walkers))
    objectives: dict[str, tuple[Any, dict[str, Any]]] = {
        "pseudo-likelihood": (PseudoLikelihood(), {}),
        "maximum likelihood": (
            likelihood,
            {"steps": settings.steps, "learning_rate": settings.learning_rate, "decay": True},
        ),
    }
    rows = []
    for name, (objective, more) in objectives.items():
        clock = Clock(torch.device("cpu"))
        learner = lt.Learner(
            exact, data, objective, coupling="bond", field="site", seed=settings.seed, **more
        )
        rows.append(compared(name, learner.run(), exact, clock()))
    return {
        "couplings": bonds_of(exact).tolist(),
        "fields": zero_sum(exact).flatten().tolist(),
        "rows": rows,
    }


def critical(settings: PottsCouplings) -> dict[str, Any]:
    """Return the coupling that pseudo-likelihood finds of the critical model, of several sets."""
    model = lt.Potts((settings.torus, settings.torus), 3, CRITICAL)
    values = []
    for number in range(settings.sets):
        data = lt.exact.sample(model, settings.samples, seed=number)
        found = lt.Learner(model, data, PseudoLikelihood(), coupling="uniform").run()
        values.append(float(found.theta[0]))
    spread = torch.tensor(values, dtype=torch.float64)
    return {
        "exact": CRITICAL,
        "values": values,
        "mean": float(spread.mean()),
        "scatter": float(spread.std(correction=min(1, len(values) - 1))),
    }


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw what was learned over what is true."""
    figure = Figure(figsize=(9.0, 4.4), layout="constrained")
    # An array, whose type would also allow one axes alone.
    every: Any = figure.subplots(1, 2)
    part = result["random"]
    for axes, key in zip(every, ("couplings", "fields"), strict=True):
        low = min(part[key])
        high = max(part[key])
        axes.plot([low, high], [low, high], color="grey", linewidth=1.0)
        for place, row in enumerate(part["rows"]):
            label = f"{row['method']}, off {row[key + '_off']:.3f}"
            axes.plot(part[key], row[key], "o+"[place], color=f"C{place}", label=label, alpha=0.7)
        axes.set(xlabel=f"{key}, true", ylabel=f"{key}, learned")
        axes.legend(fontsize=8)
    figure.supxlabel(result["device"], fontsize=8)
    with replacing(file) as made:
        figure.savefig(made, dpi=120)


def main(settings: PottsCouplings) -> None:
    """Learn, compare, draw and save."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    if settings.smoke:
        settings = replace(settings, length=3, torus=3, samples=200, sets=1, walkers=100, steps=20)
    result = {
        "random": random_couplings(settings),
        "critical": critical(settings),
        "device": device_name(torch.device("cpu")),
        "config": {**asdict(settings), "results": settings.results.name},
        "versions": provenance(torch.device("cpu")),
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(settings.results / "potts_couplings.json", text)
    draw(result, settings.results / "potts_couplings.png")


if __name__ == "__main__":
    main(tyro.cli(PottsCouplings, description=__doc__))
