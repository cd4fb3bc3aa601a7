"""``leaps-triton demo``: train, sample and measure a critical Ising lattice."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import leaps_triton as lt

from ...files import claimed, replacing
from ...kernels.checks import as_device
from ...provenance import provenance
from ...report import summary
from ..options import config, kernel_size
from ..recipes import RECIPES, RecipeOptions, Stored, intervals_of, is_ferromagnet
from ..results import announce, check_figure, check_folders, device_name, write

__all__ = ["Demo"]

Made = TypeVar("Made")


@dataclass(frozen=True)
class Demo:
    """Train a sampler of a critical Ising lattice, and print physics with errors.

    A network learns the jump rates that carry independent spins to the model.

    The table compares with exact values, and annealed importance sampling (AIS).
    """

    length: int = 8
    """Length of the square lattice."""
    beta: float = 0.4407
    """Inverse temperature, coupling 1."""
    steps: int | None = None
    """Training steps; by default 400, or 1500 of an antiferromagnet."""
    intervals: int | None = None
    """Intervals of the jump process; by default 16, or 40 of an antiferromagnet."""
    walkers: int = 4096
    """Walkers to sample."""
    seed: int = 0
    """Seed of everything random, 0 to 4294967295."""
    device: str | None = None
    """"cpu" or "cuda"; CUDA by default where there is a CUDA device."""
    figure: Path = Path("leaps-triton-demo.png")
    """Where to save the figure: .png, .pdf or .svg."""
    json: Path | None = None
    """Where to save the results as JSON."""

    def run(self) -> None:
        """Train, sample, print, and save."""
        if self.walkers < 2:
            raise ValueError(f"walkers must be at least 2, for error bars, got {self.walkers}")
        check_figure(self.figure)
        check_folders(self.figure, self.json)
        with claimed(self.figure):
            self._run()

    def _run(self) -> None:
        """Do all of it, while no other process writes the figure."""
        sampler, fit_seconds = _timed(self._sampler)
        backend = announce(sampler.path.model, sampler.device)
        trainer = lt.Trainer(sampler, self._settings(sampler))
        history, train_seconds = _timed(lambda: trainer.run(progress=True))
        ensemble, sample_seconds = _timed(lambda: self._sample(sampler))
        # As many sweeps for each walker as the network had evaluations.
        sweeps = max(1, round(ensemble.evaluations))
        jump = lt.Jump(sweeps)
        bath = lt.HeatBath(sweeps=1)
        classical = lt.Sampler(sampler.path, None, jump, bath, device=sampler.device)
        ais, ais_seconds = _timed(lambda: self._sample(classical))
        with warnings.catch_warnings():
            # The table itself has its cautions.
            warnings.simplefilter("ignore", lt.estimators.CautionWarning)
            measured = summary.measure(ensemble)
        result: dict[str, Any] = {
            **measured,
            **{f"ais_{name}": value for name, value in ais.diagnostics.items()},
            # The response is fitted, not trained, but it takes its time before as well.
            "train_seconds": fit_seconds + train_seconds,
            "sample_seconds": sample_seconds,
            "ais_seconds": ais_seconds,
            "device": device_name(sampler.device),
            "backend": backend,
            "config": {
                **config(self),
                "steps": trainer.config.steps,
                "intervals": self._intervals(sampler.transport),
            },
            "versions": provenance(),
        }
        print(f"{summary.render(result)}{_costs(result)}\n")
        write(self.json, result)
        self._draw(ensemble, ais, history)

    def _sampler(self) -> lt.Sampler:
        """Return the sampler to train."""
        model = lt.Ising((self.length, self.length), self.beta)
        path = lt.AnnealingPath(model)
        device = as_device(self.device)
        network: Any
        if is_ferromagnet(model):
            response = lt.training.fit_response(path, seed=self.seed, progress=True, device=device)
            network = lt.SymmetricConv(model, kernel_size=kernel_size(model), seed=self.seed)
            network.stand_on(response)
        else:
            network = lt.HollowConv(model, kernel_size=kernel_size(model), seed=self.seed)
        jump = lt.Jump(self._intervals(network))
        return lt.Sampler(path, network, integrator=jump, device=device)

    def _intervals(self, network: Any) -> int:
        """Return the intervals of the jump process."""
        if self.intervals is None:
            return intervals_of(network)
        return self.intervals

    def _settings(self, sampler: lt.Sampler) -> lt.TrainingConfig:
        """Return the settings of training."""
        options = RecipeOptions()
        new = Stored(None)
        optimizer = options.optimizer_of(new, sampler)
        recipe = RECIPES[optimizer]
        steps = self.steps
        if steps is None:
            steps = recipe.steps
        return options.recipe(
            sampler,
            optimizer,
            new,
            steps=steps,
            learning_rate=recipe.learning_rate,
            # About five points make a curve of the ESS; with fewer than five steps, one at each.
            evaluate_every=max(1, steps // 5),
            seed=self.seed,
        )

    def _sample(self, sampler: lt.Sampler) -> lt.WeightedEnsemble:
        """Return weighted walkers of a sampler."""
        return sampler.sample(self.walkers, seed=self.seed, progress=True)

    def _draw(
        self, ensemble: lt.WeightedEnsemble, ais: lt.WeightedEnsemble, history: lt.TrainingHistory
    ) -> None:
        """Save the figure."""
        labels = {
            f"learned rates, {ensemble.evaluations:.0f} evaluations": ensemble,
            f"AIS, {ais.evaluations:.0f} sweeps": ais,
        }
        title = f"{self.length} × {self.length} Ising model, β = {self.beta}"
        figure = lt.plotting.overview(labels, history, title)
        with replacing(self.figure) as part:
            figure.savefig(part, dpi=120)
        print(f"figure: {self.figure}")


def _timed(work: Callable[[], Made]) -> tuple[Made, float]:
    """Return what ``work`` returns, and the seconds it took."""
    # This clock never goes back, as that of the day may.
    begin = time.perf_counter()
    made = work()
    return made, time.perf_counter() - begin


def _costs(result: dict[str, Any]) -> str:
    """Return the demo's table of weights and costs."""
    walkers = result["config"]["walkers"]
    # Walkers that count, per second: this weighs quality against cost.
    learned_yield = walkers * result["ess"] / result["sample_seconds"]
    ais_yield = walkers * result["ais_ess"] / result["ais_seconds"]
    rows = [
        ("ESS", result["ess"], result["ais_ess"], 4),
        ("Var[A]", result["log_weight_variance"], result["ais_log_weight_variance"], 4),
        ("evaluations", result["evaluations"], result["ais_evaluations"], 1),
        ("effective/s", learned_yield, ais_yield, 0),
        ("sampling, s", result["sample_seconds"], result["ais_seconds"], 1),
        # AIS has nothing to train.
        ("training, s", result["train_seconds"], 0.0, 1),
    ]
    lines = ["", f"{'':17}{'learned rates':>22}{'AIS':>12}"]
    for name, learned, classical, digits in rows:
        lines.append(f"{name:17}{learned:22.{digits}f}{classical:12.{digits}f}")
    return "\n".join(lines)
