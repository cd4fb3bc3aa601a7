"""Drive oscillators from noise to a target by forces learned locally, with exact weights.

    python experiments/learning/oscillators.py                  # about three minutes on one core
    python experiments/learning/oscillators.py --parts pair     # other parts stay as they are
    python experiments/learning/oscillators.py --smoke          # seconds

- ``pair``: two oscillators and two Gaussians at ±(1.2, 1.2), masses 0.7 and 0.3; log Z is 0.
- ``phi4``: the φ⁴ field on 6 × 6, m² = −4 and λ = 6.975, once with bonds of neighbours and once
  with bonds of all distances. log Z and ``V⟨M²⟩`` are those of annealed walkers.
- ``digits``: 8 × 8 images of 0 and 1 of scikit-learn, if it is installed: pixels and pairs of
  pixels beside the data. They have no density that could be weighed.

The rule of learning is local, and needs no more than forces; what a network of few bonds cannot
represent its walkers lack, and the weights say so.
"""

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from drawing_oscillators import draw
from oscillator_network import Protocol, Wiring, follow, learn, steps_of
from score_matching import contrasted, score_matched
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.timing import Clock
from leaps_triton.estimators import weighted_estimate
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.estimators.weights import effective_sample_size, log_mean_exp, log_mean_exp_error
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance

PARTS = ("pair", "phi4", "digits")
"""What is run."""

END = 3.0
"""Time of noise, after which data are normal numbers but for 5 %."""

SLICES = 40
"""Of time, each with parameters of its own."""

FIRST = 4e-3
"""End of the first slice where they grow from the data on."""

MODES = ((1.2, 1.2), (-1.2, -1.2))
"""Of the pair."""


@dataclass(frozen=True)
class Oscillators:
    """Learn protocols, follow them, and weigh the walkers."""

    parts: tuple[str, ...] = PARTS
    """Those that are run."""
    walkers: int = 20_000
    """Of the pair, and samples of a slice."""
    seeds: int = 3
    """Of the pair's learnings."""
    field_walkers: int = 8000
    """Of the field."""
    field_samples: int = 12_000
    """Of the field's chains, from which all slices draw."""
    images: int = 4000
    """Walkers that become images."""
    seed: int = 5
    """Of everything random."""
    smoke: bool = False
    """A moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for oscillators.json and oscillators.png."""


def generator_of(settings: Oscillators, part: int) -> torch.Generator:
    """Return random numbers of a part."""
    return torch.Generator().manual_seed(settings.seed + 1000 * part)


def even(slices: int) -> Tensor:
    """Return edges of slices that are as long as one another."""
    return torch.linspace(0.0, END, slices + 1, dtype=torch.float64)


def growing(slices: int, first: float = FIRST) -> Tensor:
    """Return edges of slices that grow with the time of noise."""
    ratios = torch.linspace(0.0, 1.0, slices, dtype=torch.float64)
    later = first * (END / first) ** ratios
    return torch.cat([torch.zeros(1, dtype=torch.float64), later])


def rounded(value: float) -> float:
    """Return a number in six digits."""
    return float(f"{value:.6g}")


def told(values: Tensor, log_weights: Tensor) -> dict[str, Any]:
    """Return a mean with weights and without, log Z and what the weights are worth."""
    weighted = weighted_estimate(values, log_weights)
    walkers = len(values)
    return {
        "walkers": walkers,
        "unweighted": rounded(float(values.mean())),
        "unweighted_error": rounded(float(values.std()) / walkers**0.5),
        "weighted": rounded(weighted.value),
        "weighted_error": rounded(weighted.error),
        "log_z": rounded(float(log_mean_exp(log_weights))),
        "log_z_error": rounded(float(log_mean_exp_error(log_weights))),
        "ess": rounded(float(effective_sample_size(log_weights))),
        "log_weight_variance": rounded(float(log_weights.var())),
    }


def shown(name: str, row: dict[str, Any]) -> None:
    """Print a row."""
    means = f"{row['unweighted']:.3f} → {row['weighted']:.3f} ± {row['weighted_error']:.3f}"
    log_z = f"log Z {row['log_z']:.4f} ± {row['log_z_error']:.4f}"
    print(f"{name:<34} {row['steps']:>4} steps  {means}  {log_z}  ESS {row['ess']:.3f}", flush=True)


def pair(settings: Oscillators) -> dict[str, Any]:
    """Return rows of two oscillators, learned and followed once for each seed."""
    model = lt.GaussianMixture(MODES, 0.35, (0.7, 0.3))
    wiring = Wiring.of_bonds(2, [(0, 1)])

    def data(samples: int, randomness: torch.Generator) -> Tensor:
        # A seed of its own for every slice, of the model's own random numbers.
        seed = int(torch.randint(2**31, (1,), generator=randomness))
        return model.sample(samples, seed)

    rows = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        generator = torch.Generator().manual_seed(seed)
        clock = Clock(torch.device("cpu"))
        protocol = learn(data, wiring, even(SLICES), settings.walkers, generator)
        seconds = clock()
        for steps in (2, 5, 20):
            counts = [steps] * SLICES
            x, weights = follow(protocol, counts, settings.walkers, generator)
            log_weights = weights + model.log_density(x)
            row: dict[str, Any] = {"seed": seed, "steps": sum(counts)}
            row |= told((x.sum(1) > 0.0).double(), log_weights)
            row["between"] = rounded(float((x.sum(1).abs() < 1.0).double().mean()))
            row["log_z_pull"] = rounded(row["log_z"] / row["log_z_error"])
            row["largest_share"] = rounded(float(torch.softmax(log_weights, 0).max()))
            row |= {"fit_seconds": round(seconds, 2), "update_left": rounded(protocol.left)}
            rows.append(row)
            shown("pair, mass of the mode at +", row)
    own = model.sample(settings.walkers, settings.seed)
    return {
        "model": repr(model),
        "mass": 0.7,
        "log_z": 0.0,
        "between_in_data": rounded(float((own.sum(1).abs() < 1.0).double().mean())),
        "rows": rows,
        "walkers": x[:2000].tolist(),
        "chances": torch.softmax(log_weights, 0)[:2000].tolist(),
    }


def annealed(model: lt.PhiFour, walkers: int, seed: int) -> dict[str, Any]:
    """Return log Z and ``V⟨M²⟩`` of annealed walkers."""
    path = lt.AnnealingPath(model)
    block = min(walkers, 1000)
    move = lt.HMC(leapfrogs=5)
    sampler = lt.Sampler(path, None, lt.MapStep(100), move, block=block, device="cpu")
    ensemble = sampler.sample(walkers, seed)
    squares = ensemble.estimate(lambda x, m: m.lattice.sites * x.double().mean((1, 2)).square())
    return {
        "log_z": rounded(ensemble.log_z),
        "log_z_error": rounded(ensemble.log_z_error),
        "squares": rounded(squares.value),
        "squares_error": rounded(squares.error),
        "ess": rounded(ensemble.ess),
    }


def chain(model: lt.PhiFour, samples: int, seed: int) -> Tensor:
    """Return fields of chains, float64 ``(samples, sites)``."""
    kept = 10
    walkers = max(2, samples // kept)
    run = lt.run_chain(model, lt.HMC(leapfrogs=8), walkers, 60 + 20 * kept, 20, 60, seed)
    return run.configurations.double().reshape(-1, model.lattice.sites)


def fields(settings: Oscillators) -> dict[str, Any]:
    """Return rows of the field by bonds of neighbours, and by bonds of all distances."""
    model = lt.PhiFour((6, 6), mass_squared=-4.0, quartic=6.975, dtype=torch.float64)
    data = chain(model, settings.field_samples, settings.seed)
    generator = generator_of(settings, 2)
    scale = float(data.std())
    sites = model.lattice.sites

    def drawn(samples: int, randomness: torch.Generator) -> Tensor:
        return data[torch.randint(len(data), (samples,), generator=randomness)] / scale

    reference = annealed(model, settings.field_walkers, settings.seed + 1)
    edges = growing(SLICES)
    rows = []
    for name, farthest in (("neighbours", 1.0), ("all distances", 6.0)):
        wiring = Wiring.invariant(6, farthest)
        clock = Clock(torch.device("cpu"))
        protocol = learn(drawn, wiring, edges, len(data), generator)
        seconds = clock()
        for share in (0.1, 0.03):
            row = field_row(protocol, steps_of(edges, share), model, scale, settings, generator)
            gap = row["log_z"] - reference["log_z"]
            error = (row["log_z_error"] ** 2 + reference["log_z_error"] ** 2) ** 0.5
            row |= {"bonds": name, "parameters": wiring.parameters, "log_z_pull": gap / error}
            row |= {"fit_seconds": round(seconds, 2), "update_left": rounded(protocol.left)}
            rows.append(row)
            shown(f"φ⁴, V⟨M²⟩, {name}", row)
    squares = sites * data.mean(1).square()
    return {
        "model": repr(model),
        "reference": reference,
        "data_squares": rounded(float(squares.mean())),
        "rows": rows,
        "score_matching": score_matched(model, data),
        "contrast": contrasted(model, data, generator),
    }


def field_row(
    protocol: Protocol,
    counts: list[int],
    model: lt.PhiFour,
    scale: float,
    settings: Oscillators,
    generator: torch.Generator,
) -> dict[str, Any]:
    """Return what walkers along a protocol of the field say; the network's unit is ``scale``."""
    sites = model.lattice.sites
    x, weights = follow(protocol, counts, settings.field_walkers, generator)
    own = (scale * x).reshape(-1, *model.shape)
    # Of the change of units.
    volume = sites * torch.log(torch.tensor(scale, dtype=torch.float64))
    log_weights = weights - model.energy(own) + volume
    row = told(sites * own.mean((1, 2)).square(), log_weights)
    row["steps"] = sum(counts)
    return row


def images_of() -> Tensor | None:
    """Return images of 0 and 1, ``(images, 64)`` in [-1, 1]; None without scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        print("digits: not run, since scikit-learn is not installed", flush=True)
        return None
    found = load_digits()
    kept = torch.from_numpy(found.target) < 2
    return torch.from_numpy(found.data)[kept].double() / 8.0 - 1.0


def square_bonds(length: int) -> list[tuple[int, int]]:
    """Return bonds of neighbours on an open square."""
    bonds = []
    for site in range(length * length):
        if (site + 1) % length != 0:
            bonds.append((site, site + 1))
        if site + length < length * length:
            bonds.append((site, site + length))
    return bonds


def pairs_of(x: Tensor) -> Tensor:
    """Return covariances of all pairs of pixels."""
    covariance = torch.cov(x.T)
    first, second = torch.triu_indices(len(covariance), len(covariance), 1)
    return covariance[first, second]


def compared(x: Tensor, data: Tensor) -> dict[str, Any]:
    """Return how far pixels and pairs are from those of data."""
    pixels = x.mean(0) - data.mean(0)
    pairs = pairs_of(x) - pairs_of(data)
    return {
        "pixels_off": rounded(float(pixels.square().mean().sqrt())),
        "pairs_off": rounded(float(pairs.square().mean().sqrt())),
        "pairs_correlate": rounded(
            float(torch.corrcoef(torch.stack([pairs_of(x), pairs_of(data)]))[0, 1])
        ),
    }


def digits(settings: Oscillators) -> dict[str, Any] | None:
    """Return how near images of two networks are to the data; None without scikit-learn."""
    data = images_of()
    if data is None:
        return None
    generator = generator_of(settings, 3)

    def drawn(samples: int, randomness: torch.Generator) -> Tensor:
        return data[torch.randint(len(data), (samples,), generator=randomness)]

    everybody = [(i, j) for i in range(64) for j in range(i + 1, 64)]
    slices = SLICES
    if settings.smoke:
        slices = 2
    edges = growing(slices, 0.02)
    # As many images as there are, drawn again from them: no network can be nearer.
    again = drawn(len(data), generator)
    rows: list[dict[str, Any]] = [{"bonds": "data, drawn again", **compared(again, data)}]
    shades = [data[:8].tolist()]
    for name, bonds in (("neighbours", square_bonds(8)), ("all pairs", everybody)):
        wiring = Wiring.of_bonds(64, bonds)
        clock = Clock(torch.device("cpu"))
        protocol = learn(drawn, wiring, edges, settings.images, generator)
        seconds = clock()
        counts = steps_of(edges, 0.03)
        x, _ = follow(protocol, counts, settings.images, generator)
        row = {"bonds": name, "parameters": wiring.parameters, "steps": sum(counts)}
        row |= compared(x, data) | {"fit_seconds": round(seconds, 2)}
        rows.append(row)
        shades.append(x[:8].tolist())
        print(f"digits, {name}: {row}", flush=True)
    return {"images": len(data), "rows": rows, "shades": shades}


RUN: dict[str, Callable[[Oscillators], dict[str, Any] | None]] = {
    "pair": pair,
    "phi4": fields,
    "digits": digits,
}
"""Part → what runs it."""


def smaller(settings: Oscillators) -> Oscillators:
    """Return the settings of a run of a moment."""
    return replace(settings, walkers=500, seeds=1, field_walkers=256, field_samples=400, images=100)


def main(settings: Oscillators) -> None:
    """Learn, follow, print and save."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    if settings.smoke:
        settings = smaller(settings)
    settings.results.mkdir(parents=True, exist_ok=True)
    file = settings.results / "oscillators.json"
    found: dict[str, Any] = {}
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))["parts"]
    for name in settings.parts:
        made = RUN[name](settings)
        if made is not None:
            found[name] = made
    result: dict[str, Any] = {
        "parts": {name: found[name] for name in PARTS if name in found},
        "device": device_name(torch.device("cpu")),
        "config": {**asdict(settings), "results": settings.results.name},
        "versions": provenance(torch.device("cpu")),
    }
    draw(result, file.with_suffix(".png"))
    # What was drawn needs no place in the file.
    for part in result["parts"].values():
        for key in ("walkers", "chances", "shades"):
            part.pop(key, None)
    write_text(file, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Oscillators, description=__doc__))
