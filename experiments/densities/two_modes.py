"""Follow three kinds of curves from one Gaussian to two unequal modes, and see mass teleport.

    python experiments/densities/two_modes.py            # some minutes on one core
    python experiments/densities/two_modes.py --smoke    # seconds

The target is 0.2 N(-2, ½²) + 0.8 N(2, ½²), the start N(0, 1). Along the linear curve
``f_t = (1-t) f_0 + t f_1`` the masses of the modes go as ``wᵗ`` once the modes are apart: mass has
to cross where there is next to none, and the least velocity that carries it is large. The curve of
Ornstein and Uhlenbeck, noise taken from the target again with ``e^{-s} = t``, splits once and moves
modes whole. Learned curves are between: an energy ``t (1-t) ψ`` is trained together with a drift
(free path; Máté and Fleuret), or alone (gradient flow).

``‖v_t‖² = ∫ (∂_t F_t)² / ρ_t`` is that of the least velocity of a curve, by quadrature, whatever
drift was learned. Walkers follow learned drifts without moves, so that masses without weights tell
what the drift does alone; with weights they are right whatever was learned. AIS has trajectories
of hybrid Monte Carlo and no drift.

References: Máté, Fleuret, *Learning interpolations between Boltzmann densities*, arXiv:2301.07388;
Chemseddine et al., arXiv:2410.03282, for the velocity along the linear curve.
"""

import json
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from drawing_modes import draw
from known_targets import TARGETS
from learned_curves import LEARNED, followed, train
from torch import Tensor
from weighing import drawn, finite, masses_told, weights_told

import leaps_triton as lt
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.exact.velocities import Curve
from leaps_triton.files import write_text
from leaps_triton.provenance import device_name, provenance

WALL = 9.0
"""Half the width of the line: 14 σ of a mode at 2, 9 of the start."""

EDGES = (-16.0, 16.0)
"""Of integrals of velocities."""

PANELS = 400
"""Of Gauss's rule between them."""

FRAMES = 81
"""Times of the densities in the figure."""


@dataclass(frozen=True)
class TwoModes:
    """Train curves, follow them, and compare them."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Of trainings."""
    block: int = 4096
    """Walkers of a block."""
    blocks: int = 8
    """Of every row."""
    points: int = 2001
    """Of the line."""
    times: int = 24
    """Of integrals over time."""
    smoke: bool = False
    """A moment for everything."""
    results: Path = Path("experiments/results")
    """Folder for two_modes.json and two_modes.png."""


def line(points: int) -> Tensor:
    """Return the points of the line, float64."""
    return torch.linspace(-WALL, WALL, points, dtype=torch.float64)


def law(curve: Curve, x: Tensor, t: float) -> Tensor:
    """Return the density of a curve at a time, normalised on the line."""
    time = torch.tensor([t], dtype=torch.float64)
    with torch.no_grad():
        logarithm = curve(x.unsqueeze(1), time)
    density = (logarithm - logarithm.max()).exp()
    return density / torch.trapezoid(density, x)


def right(curve: Curve, x: Tensor, t: float) -> float:
    """Return the mass at x > 0."""
    density = law(curve, x, t)
    # The middle point counts half.
    half = torch.where(x == 0.0, 0.5, (x > 0.0).double())
    step = float(x[1] - x[0])
    return float((density * half).sum()) * step


def along(curve: Curve, settings: TwoModes) -> dict[str, Any]:
    """Return squared norms of the least velocity of a curve, and the mass of a mode on the way."""
    nodes, weights = np.polynomial.legendre.leggauss(settings.times)
    times = [float(each) for each in 0.5 * (nodes + 1.0)]
    x = line(settings.points)
    norms = [norm(curve, t) for t in times]
    integral = float(np.dot(0.5 * weights, norms))
    return {
        "times": [finite(t) for t in times],
        "norms": [finite(each) for each in norms],
        "integral": finite(integral),
        "mass_right": [finite(right(curve, x, t)) for t in times],
        "at_tenths": [finite(norm(curve, t)) for t in (0.1, 0.5, 0.9)],
    }


def norm(curve: Curve, t: float) -> float:
    """Return ``‖v_t‖²`` of a curve."""
    return lt.exact.velocity_norm(curve, t, EDGES, PANELS)


def fall(curve: Curve, settings: TwoModes) -> list[list[float]]:
    """Return densities of a curve for the figure, a row for each time."""
    x = torch.linspace(-4.0, 4.0, 161, dtype=torch.float64)
    rows = []
    for t in torch.linspace(0.0, 1.0, FRAMES).tolist():
        rows.append(law(curve, x, t).tolist())
    return rows


def row_of(name: str, sampler: lt.Sampler, seed: int, settings: TwoModes) -> dict[str, Any]:
    """Return what walkers of one sampler say of the masses."""
    run = drawn(sampler, 100 + seed, 0.0, settings.blocks)
    row: dict[str, Any] = {"curve": name, "integrator": repr(sampler.integrator), "seed": seed}
    row |= weights_told(run, sampler.path)
    row |= masses_told(run, sampler.path.model)
    masses = f"{row['masses'][0]:.4f} ({row['unweighted_masses'][0]:.4f})"
    print(f"{name:<14} {seed}  ESS {row['ess']:.4f}  left {masses}", flush=True)
    return row


def learned(settings: TwoModes) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Curve]]:
    """Return rows of all trainings, and of each kind the numbers and the curve of the first."""
    known = TARGETS["two"]
    rows = []
    numbers: dict[str, Any] = {}
    curves: dict[str, Curve] = {}
    for method in LEARNED:
        for seed in settings.seeds:
            made = train(method, known, seed, settings.smoke)
            row = row_of(method, followed(made, settings.block), seed, settings)
            row["training"] = made.told
            curve: Curve = made.path.log_density
            row["along"] = along(curve, settings)
            rows.append(row)
            if method != "drift" and method not in curves:
                curves[method] = curve
                numbers[method] = row["along"]
    return rows, numbers, curves


def analytic(separation: float) -> dict[str, Curve]:
    """Return the curves that nothing is learned of, to modes at ± a separation."""
    model = lt.GaussianMixture.two(separation=separation)
    path = lt.AnnealingPath(model, start=lt.Gaussian(1.0))
    noised = lt.exact.ornstein_uhlenbeck(model, 1.0)
    return {"linear": path.log_density, "Ornstein–Uhlenbeck": noised}


def main(settings: TwoModes) -> None:
    """Measure, print, and save."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    if settings.smoke:
        settings = replace(settings, seeds=(0,), block=256, blocks=2, points=401, times=4)
    curves = analytic(2.0)
    numbers = {name: along(curve, settings) for name, curve in curves.items()}
    far = {name: along(curve, settings) for name, curve in analytic(4.0).items()}
    rows, more, others = learned(settings)
    numbers |= more
    curves |= others
    path = lt.AnnealingPath(lt.GaussianMixture.two(), start=lt.Gaussian(1.0))
    annealing = lt.Sampler(
        path, None, lt.MapStep(50), lt.HMC(leapfrogs=3), block=settings.block, device="cpu"
    )
    rows.insert(0, row_of("linear, AIS", annealing, settings.seeds[0], settings))
    result = {
        "curves": numbers,
        "curves_to_modes_at_4": far,
        "exact_masses": [0.2, 0.8],
        "rows": rows,
        "device": device_name(torch.device("cpu")),
        "config": {**asdict(settings), "results": settings.results.name},
        "versions": provenance(torch.device("cpu")),
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_text(settings.results / "two_modes.json", text)
    shades = {name: fall(curve, settings) for name, curve in curves.items()}
    draw(result, shades, settings.results / "two_modes.png")


if __name__ == "__main__":
    main(tyro.cli(TwoModes, description=__doc__))
