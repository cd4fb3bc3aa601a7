"""Learn the couplings of an Ising torus from 2000 exact samples, beside nothing learned at all.

    python experiments/learning/inverse_ising.py            # about half an hour on one core
    python experiments/learning/inverse_ising.py --smoke    # seconds

A standard benchmark of discrete samplers: ``log p = xᵀ J x`` with ``x = ±1`` and ``J = σ A``, ``A``
the adjacency of a 10 × 10 torus. Each bond counts twice, so that ``K = βJ = 2σ`` here, critical at
σ = 0.2203. The score is ``−log RMSE`` over all 100² entries of ``J``, zeros and diagonal included;
that of ``J = 0`` is printed beside all others, since above the transition most methods do not reach
it. Samples are exact, at σ = 0.3 too, where local moves would stay in one phase.

- ``known bonds``: the 200 bonds are told, and their couplings learned.
- all others learn 4950 couplings. The strength of ``L1`` is fixed, or chosen by the
  pseudo-likelihood of a tenth of the samples.
- ``ED`` is energy discrepancy with uniform noise. It stops after a number of steps, from J = 0,
  which keeps its noise out of the couplings as a penalty does. Its settings and those of walkers on
  all pairs were found on the set of seed 0, which is not among those that are told.

``log Z`` of what Jarzynski's weights have learned comes from witnesses, beside the transfer matrix.
"""

import json
import math
import warnings
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import tyro
from drawing_inverse import draw
from torch import Tensor

import leaps_triton as lt
from leaps_triton.bench.timing import Clock
from leaps_triton.estimators.trust.cautions import CautionWarning
from leaps_triton.files import write_text
from leaps_triton.learning import (
    EnergyDiscrepancy,
    Jarzynski,
    MaximumLikelihood,
    Persistent,
    PseudoLikelihood,
)
from leaps_triton.provenance import device_name, provenance


@dataclass(frozen=True)
class InverseIsing:
    """Learn couplings of an Ising torus from exact samples."""

    length: int = 10
    """Of the torus."""
    sigmas: tuple[float, ...] = (0.1, 0.2, 0.3)
    """Couplings of the benchmark, half of ours."""
    sets: tuple[int, ...] = (1, 2, 3)
    """Seeds of sets of samples."""
    samples: int = 2000
    """Of each set."""
    strengths: tuple[float, ...] = (0.03, 0.06, 0.1)
    """Of ``L1``."""
    descent: int = 1500
    """Steps of pseudo-likelihood at most: above the transition it has not settled then."""
    walkers: int = 1000
    """Of persistent chains, and learners and witnesses of Jarzynski's weights each; twice as many
    learn all pairs, in twice as many steps."""
    steps: int = 400
    """Of these."""
    walked: tuple[float, ...] = (0.1, 0.2)
    """σ at which walkers and noise learn, too."""
    walked_l1: float = 0.03
    """Strength of ``L1`` where walkers learn all pairs."""
    noise_time: float = 0.04
    """Of energy discrepancy: a site is turned with a probability of 0.02."""
    noise_draws: int = 16
    """Negatives of a row of data."""
    noise_l1: float = 0.006
    """Strength of ``L1`` there: its loss is flatter than that of pseudo-likelihood."""
    noise_batch: int = 500
    """Rows of a step."""
    noise_steps: int = 100
    """Of these, by Adam."""
    smoke: bool = False
    """A small torus, a moment."""
    results: Path = Path("experiments/results")
    """Folder for inverse_ising.json and inverse_ising.png."""


SMOKE: dict[str, Any] = {
    "length": 4,
    "sigmas": (0.1,),
    "sets": (1,),
    "samples": 200,
    "strengths": (0.06,),
    "walkers": 100,
    "steps": 20,
    "walked": (0.1,),
    "noise_batch": 50,
    "noise_steps": 5,
}
"""What a run of a moment has in place of the settings."""


@dataclass(frozen=True)
class Truth:
    """What is to be found."""

    model: lt.Ising
    """The torus"""
    strengths: Tensor
    """``K`` between all pairs of sites, ``(sites, sites)``"""

    @classmethod
    def of(cls, length: int, sigma: float) -> "Truth":
        """Return a torus with the benchmark's coupling."""
        # β is 1 where couplings are learned.
        model = lt.Ising((length, length), beta=1.0, coupling=2.0 * sigma)
        return cls(model, between(model))

    @cached_property
    def complete(self) -> lt.Ising:
        """The model of all pairs of sites, without couplings that are told."""
        return lt.Ising(lt.Graph.complete(self.model.lattice.sites), beta=1.0)

    def score(self, found: Tensor) -> float:
        """Return ``−log RMSE`` of ``J = K/2`` over all entries."""
        apart = 0.5 * (found - self.strengths)
        return -0.5 * math.log(float(apart.square().mean()))


def between(model: Any) -> Tensor:
    """Return couplings between all pairs of sites, float64 ``(sites, sites)``."""
    sites = model.lattice.sites
    matrix = torch.zeros(sites, sites, dtype=torch.float64)
    if model.lattice.hypercubic:
        coupling = model.coupling.flatten(1).expand(2, sites)
        behind = model.lattice.neighbours()
        for direction in (0, 1):
            # Rows of neighbours: one ahead, one behind, for each direction.
            ends = behind[2 * direction].long()
            matrix[torch.arange(sites), ends] += coupling[direction]
    else:
        first, second = model.lattice.edges.T
        matrix[first, second] = model.coupling.flatten().expand(model.lattice.bonds)
    return matrix + matrix.T


def naive(data: Tensor) -> Tensor:
    """Return the couplings of naive mean field, ``−C⁻¹`` without its diagonal."""
    inverse = -torch.linalg.inv(torch.cov((2.0 * data.double() - 1.0).T))
    return inverse - torch.diag(inverse.diagonal())


class Table:
    """Scores and seconds of methods, over couplings and sets."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, sigma: float, number: int, method: str, score: float, **more: Any) -> None:
        """Note a row, and print it."""
        row = {"sigma": sigma, "set": number, "method": method, "score": round(score, 4), **more}
        self.rows.append(row)
        print(f"σ {sigma}, set {number}, {method:<34} {score:.3f}  {more}", flush=True)


def learned(model: Any, data: Tensor, objective: Any, **settings: Any) -> tuple[Any, float]:
    """Return what was learned, and the seconds that it took."""
    clock = Clock(torch.device("cpu"))
    found = lt.Learner(model, data, objective, record=False, **settings).run()
    return found, round(clock(), 2)


def by_pseudo_likelihood(
    table: Table, truth: Truth, data: Tensor, sigma: float, number: int, settings: InverseIsing
) -> None:
    """Add rows of pseudo-likelihood."""
    flat = data.flatten(1)
    found, seconds = learned(truth.complete, flat, PseudoLikelihood(), steps=settings.descent)
    table.add(sigma, number, "PL", truth.score(between(found.model)), seconds=seconds)
    scores = []
    for strength in settings.strengths:
        for refit in (False, True):
            objective = PseudoLikelihood(l1=strength, refit=refit)
            found, seconds = learned(truth.complete, flat, objective, steps=settings.descent)
            name = f"PL, L1 {strength:g}"
            if refit:
                name += ", refit"
            kept = int(found.support().sum())
            score = truth.score(between(found.model))
            table.add(sigma, number, name, score, seconds=seconds, bonds=kept)
            if not refit:
                scores.append(score)
    told = []
    for strength in settings.strengths:
        objective = PseudoLikelihood(l1=strength)
        found, _ = learned(truth.complete, flat, objective, held_out=0.1, steps=settings.descent)
        told.append(found.history.held_out[-1])
    best = min(range(len(told)), key=told.__getitem__)
    chosen = settings.strengths[best]
    table.add(sigma, number, "PL, L1 chosen by held-out samples", scores[best], chosen=chosen)
    found, seconds = learned(truth.model, data, PseudoLikelihood())
    score = truth.score(between(found.model))
    table.add(sigma, number, "known bonds, PL", score, seconds=seconds)


def by_walkers(
    table: Table, truth: Truth, data: Tensor, sigma: float, number: int, settings: InverseIsing
) -> None:
    """Add rows of persistent chains and of Jarzynski's weights, for bonds that are told."""
    walk: dict[str, Any] = {
        "steps": settings.steps, "learning_rate": rate_at(sigma), "seed": number,
    }  # fmt: skip
    chains = MaximumLikelihood(Persistent(settings.walkers))
    found, seconds = learned(truth.model, data, chains, **walk)
    score = truth.score(between(found.model))
    table.add(sigma, number, "known bonds, PCD", score, seconds=seconds)
    weighed = MaximumLikelihood(Jarzynski(settings.walkers, witnesses=settings.walkers))
    found, seconds = learned(truth.model, data, weighed, **walk)
    score = truth.score(between(found.model))
    exact = lt.exact.log_z(found.model)
    told = found.witnesses
    row = {
        "log_z_off": round(told.log_z - exact, 4),
        "log_z_error": round(told.log_z_error, 4),
        "witnesses_ess": round(told.ess, 4),
    }
    table.add(sigma, number, "known bonds, Jarzynski", score, seconds=seconds, **row)


def by_noise(
    table: Table, truth: Truth, data: Tensor, sigma: float, number: int, settings: InverseIsing
) -> None:
    """Add rows of energy discrepancy on all pairs."""
    for strength, name in ((0.0, "ED"), (settings.noise_l1, f"ED, L1 {settings.noise_l1:g}")):
        objective = EnergyDiscrepancy(
            time=settings.noise_time,
            negatives=settings.noise_draws,
            l1=strength,
            batch=settings.noise_batch,
        )
        found, seconds = learned(
            truth.complete,
            data.flatten(1),
            objective,
            steps=settings.noise_steps,
            # Adam goes no further than the sum of its rates, whatever the gradient.
            learning_rate=0.08 * sigma,
            optimizer="adam",
            decay=True,
            seed=number,
        )
        kept = int(found.support().sum())
        score = truth.score(between(found.model))
        table.add(sigma, number, name, score, seconds=seconds, bonds=kept)


def by_walkers_on_all_pairs(
    table: Table, truth: Truth, data: Tensor, sigma: float, number: int, settings: InverseIsing
) -> None:
    """Add rows of persistent chains and of Jarzynski's weights, with a penalty, on all pairs."""
    count = 2 * settings.walkers
    for name, negative in (("PCD", Persistent(count)), ("Jarzynski", Jarzynski(count))):
        objective = MaximumLikelihood(negative, l1=settings.walked_l1)
        found, seconds = learned(
            truth.complete,
            data.flatten(1),
            objective,
            steps=2 * settings.steps,
            learning_rate=rate_at(sigma),
            decay=True,
            seed=number,
        )
        kept = int(found.support().sum())
        score = truth.score(between(found.model))
        name = f"{name}, L1 {settings.walked_l1:g}"
        table.add(sigma, number, name, score, seconds=seconds, bonds=kept)


def rate_at(sigma: float) -> float:
    """Return the learning rate of walkers."""
    # Near the transition the energy is the stiffest direction: longer steps diverge.
    return min(0.05, 0.008 / sigma)


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return means over sets, with all scores."""
    found: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["sigma"], row["method"]), []).append(row)
    made = []
    for (sigma, method), own in found.items():
        scores = [row["score"] for row in own]
        mean = round(sum(scores) / len(scores), 4)
        made.append({"sigma": sigma, "method": method, "mean": mean, "scores": scores})
    return made


def main(settings: InverseIsing) -> None:
    """Learn, print and save after every set."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", CautionWarning)
    if settings.smoke:
        settings = replace(settings, **SMOKE)
    settings.results.mkdir(parents=True, exist_ok=True)
    file = settings.results / "inverse_ising.json"
    table = Table()
    for sigma in settings.sigmas:
        truth = Truth.of(settings.length, sigma)
        for number in settings.sets:
            data = lt.exact.sample(truth.model, settings.samples, seed=number)
            nothing = torch.zeros_like(truth.strengths)
            table.add(sigma, number, "J = 0", truth.score(nothing))
            table.add(sigma, number, "−C⁻¹", truth.score(naive(data.flatten(1))))
            by_pseudo_likelihood(table, truth, data, sigma, number, settings)
            if sigma in settings.walked:
                by_noise(table, truth, data, sigma, number, settings)
                by_walkers_on_all_pairs(table, truth, data, sigma, number, settings)
                by_walkers(table, truth, data, sigma, number, settings)
            result = {
                "summary": summary(table.rows),
                "rows": table.rows,
                "device": device_name(torch.device("cpu")),
                "config": {**asdict(settings), "results": settings.results.name},
                "versions": provenance(torch.device("cpu")),
            }
            text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
            write_text(file, text)
            draw(result, file.with_suffix(".png"))


if __name__ == "__main__":
    main(tyro.cli(InverseIsing, description=__doc__))
