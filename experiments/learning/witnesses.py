"""Measure how biased log Z is by walkers that are learned from, and that witnesses are not.

    python experiments/learning/witnesses.py            # about two minutes on one core
    python experiments/learning/witnesses.py --smoke    # a few seconds

First, a short learning of two parameters is made many times with few walkers, and the mean of the
estimated Z over the exact one is taken: by the learners themselves, and by fresh walkers along the
same parameters. Then the 200 bonds of a 10 × 10 Ising model are learned once, and log Z
of learners and witnesses is followed beside that of the transfer matrix. What learners miss is
about ``(1/W) Σ_k η_k tr Cov(φ)``, ``η`` the learning rate.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
import tyro

import leaps_triton as lt
from leaps_triton.estimators.weights import log_mean_exp
from leaps_triton.files import write_text
from leaps_triton.learning import Jarzynski
from leaps_triton.learning.families import family_of
from leaps_triton.learning.negatives.exactly import exact_moments
from leaps_triton.learning.replay import replayed
from leaps_triton.provenance import device_name, provenance


@dataclass(frozen=True)
class Witnesses:
    """Compare log Z of learners and witnesses."""

    few: tuple[int, ...] = (2, 4, 16, 64)
    """Numbers of walkers of the short learnings."""
    repeats: tuple[int, ...] = (80, 80, 60, 40)
    """How often each is made."""
    fresh: int = 64
    """Walkers along the parameters of each, once they are learned."""
    short_steps: int = 20
    """Updates of a short learning."""
    short_rate: float = 0.05
    """Its learning rate, per site."""
    strengths: tuple[float, ...] = (0.1, 0.2)
    """``σ`` of the 10 × 10 model, whose coupling is ``2σ``."""
    rates: tuple[float, ...] = (0.1, 0.03)
    """Learning rate at each, which falls to 0 in proportion."""
    samples: int = 2000
    """Exact samples that are learned from."""
    walkers: int = 1000
    """Learners, and as many witnesses."""
    steps: int = 400
    """Updates of the long learnings."""
    every: int = 40
    """Updates from one comparison with the transfer matrix to the next."""
    seed: int = 0
    """Of all random numbers."""
    smoke: bool = False
    """Few and short learnings."""
    results: Path = Path("experiments/results")
    """Where to save the result."""


SMALL: dict[str, Any] = {
    "few": (4,),
    "repeats": (5,),
    "fresh": 16,
    "strengths": (0.1,),
    "rates": (0.1,),
    "samples": 200,
    "walkers": 100,
    "steps": 20,
    "every": 10,
}
"""What a smoke run has less of."""


def own_log_z(state: Any) -> float:
    """Return what the learners would say of log Z, which the library never tells."""
    return state.log_z_start + float(log_mean_exp(state.learners.log_weights))


def short(settings: Witnesses) -> list[dict[str, Any]]:
    """Return the mean of the estimated Z over the exact one, for each number of walkers."""
    model = lt.Ising((4, 4), 1.0, coupling=0.0)
    family = family_of(model, "uniform", "uniform")
    truth = family_of(lt.Ising((4, 4), 1.0, coupling=0.3, field=0.03), "uniform", "uniform")
    wanted = exact_moments(truth, truth.theta)
    rate = settings.short_rate / model.lattice.sites
    rows = []
    for walkers, repeats in zip(settings.few, settings.repeats, strict=True):
        ratios = []
        for repeat in range(repeats):
            seed = settings.seed + repeat
            negative = Jarzynski(walkers, resample_below=0.0).settled(family, family.theta)
            theta = family.theta
            state = negative.begin(family, theta, torch.empty(0), seed)
            thetas = [theta]
            for _ in range(settings.short_steps):
                before = theta
                theta = before + rate * (wanted - negative.moments(family, before, state))
                state = negative.step(family, before, theta, state)
                thetas.append(theta)
            exact = lt.exact.log_z(family.at(theta))
            path = torch.stack(thetas)
            fresh = replayed(family, path, settings.fresh, resample_below=0.0, seed=seed)
            own = math.exp(own_log_z(state) - exact)
            ratios.append([own, math.exp(fresh.log_z - exact)])
        table = torch.tensor(ratios, dtype=torch.float64)
        errors = table.std(0) / math.sqrt(repeats)
        rows.append(
            {
                "walkers": walkers,
                "repeats": repeats,
                "learners": round(float(table[:, 0].mean()), 4),
                "learners_error": round(float(errors[0]), 4),
                "fresh": round(float(table[:, 1].mean()), 4),
                "fresh_error": round(float(errors[1]), 4),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def long(settings: Witnesses, strength: float, rate: float) -> dict[str, Any]:
    """Return log Z less the exact one along a learning of all bonds of a 10 × 10 model."""
    shape = (10, 10)
    truth = lt.Ising(shape, 1.0, coupling=2.0 * strength)
    data = lt.exact.sample(truth, settings.samples, seed=settings.seed)
    family = family_of(lt.Ising(shape, 1.0, coupling=torch.zeros(2, *shape)), "bond", None)
    theta = family.theta
    wanted = family.moments(data, theta)
    negative = Jarzynski(settings.walkers, settings.walkers).settled(family, theta)
    state = negative.begin(family, theta, data, settings.seed)
    formula = 0.0
    said: lt.WeightedEnsemble | None = None
    trace = []
    for step in range(settings.steps):
        means = negative.moments(family, theta, state)
        eta = rate * (1.0 - step / settings.steps)
        # Each statistic is ±1, so that its variance is 1 less the square of its mean.
        formula -= eta * float((1.0 - means.square()).sum()) / settings.walkers
        before = theta
        theta = before + eta * (wanted - means)
        state = negative.step(family, before, theta, state)
        if (step + 1) % settings.every == 0:
            exact = lt.exact.log_z(family.at(theta))
            said = negative.witnessed(family, theta, state)
            assert said is not None
            row = {
                "step": step + 1,
                "learners": round(own_log_z(state) - exact, 3),
                "formula": round(formula, 3),
                "witnesses": round(said.log_z - exact, 4),
                "witnesses_error": round(said.log_z_error, 4),
                "learners_ess": round(float(state.learners.ess_trace[-1]), 3),
            }
            trace.append(row)
            print(json.dumps(row), flush=True)
    assert said is not None and state.witnesses is not None
    return {
        "sigma": strength,
        "trace": trace,
        "learners_resampled": int(state.learners.resampled.sum()),
        "blocks_of_witnesses_resampled": int(state.witnesses.resampled.sum()),
        "witnesses_ess": round(said.ess, 3),
    }


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw both comparisons."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.4), layout="constrained")
    rows = result["short"]
    counts = [row["walkers"] for row in rows]
    for name, colour in (("learners", "tab:red"), ("fresh", "tab:blue")):
        means = [row[name] for row in rows]
        errors = [row[f"{name}_error"] for row in rows]
        left.errorbar(counts, means, errors, marker="o", color=colour, label=name, capsize=2)
    left.axhline(1.0, color="black", linewidth=0.8)
    left.set_xscale("log", base=2)
    left.set_xlabel("walkers")
    left.set_ylabel("mean of estimated Z / exact Z")
    left.legend()
    for case, style in zip(result["long"], ("-", "--", ":"), strict=False):
        steps = [row["step"] for row in case["trace"]]
        for name, colour in (
            ("learners", "tab:red"),
            ("formula", "tab:orange"),
            ("witnesses", "tab:blue"),
        ):
            values = [row[name] for row in case["trace"]]
            label = f"{name}, σ = {case['sigma']}"
            right.plot(steps, values, style, color=colour, label=label)
    right.axhline(0.0, color="black", linewidth=0.8)
    right.set_xlabel("updates of 200 bonds")
    right.set_ylabel("log Z less the exact one")
    right.legend(fontsize=7)
    figure.savefig(file, dpi=150)
    plt.close(figure)


@torch.no_grad()
def main(settings: Witnesses) -> None:
    torch.set_num_threads(1)
    small = settings
    if settings.smoke:
        small = Witnesses(**SMALL, seed=settings.seed, results=settings.results)
    versions = provenance()
    cases = zip(small.strengths, small.rates, strict=True)
    result = {
        "short": short(small),
        "long": [long(small, strength, rate) for strength, rate in cases],
        "device": device_name(torch.device("cpu")),
        "config": {**asdict(small), "results": settings.results.name},
        "versions": versions,
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    write_text(settings.results / "witnesses.json", json.dumps(result, indent=2) + "\n")
    draw(result, settings.results / "witnesses.png")


if __name__ == "__main__":
    main(tyro.cli(Witnesses, description=__doc__))
