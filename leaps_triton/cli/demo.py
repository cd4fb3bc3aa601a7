"""``leaps-triton demo``: train, sample and measure a critical Ising lattice."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import leaps_triton as lt

from ..kernels.checks import as_device
from ..provenance import provenance
from ..report import summary as table
from .options import announce, check_folders, config, device_name, write

__all__ = ["Demo"]


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
    steps: int = 1500
    """Training steps."""
    intervals: int = 40
    """Intervals of the jump process."""
    walkers: int = 4096
    """Walkers to sample."""
    seed: int = 0
    """Seed of everything random, 0 to 4294967295."""
    device: str | None = None
    """"cpu" or "cuda"; CUDA by default where there is a CUDA device."""
    figure: Path = Path("leaps-triton-demo.png")
    """Where to save the figure."""
    json: Path | None = None
    """Where to save the results as JSON."""

    def run(self) -> None:
        """Train, sample, print, and save."""
        if self.walkers < 2:
            raise ValueError(f"walkers must be at least 2, for error bars, got {self.walkers}")
        check_folders(self.figure, self.json)
        model = lt.Ising((self.length, self.length), self.beta)
        path = lt.AnnealingPath(model)
        network = lt.HollowConv(model, kernel_size=_kernel_size(model), seed=self.seed)
        sampler = lt.Sampler(
            path, network, integrator=lt.Jump(self.intervals), device=as_device(self.device)
        )
        backend = announce(sampler)

        settings = lt.TrainingConfig(
            steps=self.steps,
            learning_rate=2e-2,
            evaluate_every=max(1, self.steps // 5),
            seed=self.seed,
        )
        begin = time.perf_counter()
        history = lt.Trainer(sampler, settings).run(progress=True)
        train_seconds = time.perf_counter() - begin

        begin = time.perf_counter()
        ensemble = sampler.sample(self.walkers, seed=self.seed, progress=True)
        sample_seconds = time.perf_counter() - begin

        sweeps = max(1, round(ensemble.evaluations))
        classical = lt.Sampler(
            path, None, lt.Jump(sweeps), lt.HeatBath(sweeps=1), device=sampler.device
        )
        begin = time.perf_counter()
        ais = classical.sample(self.walkers, seed=self.seed, progress=True)
        ais_seconds = time.perf_counter() - begin

        result: dict[str, Any] = {
            **table.measure(ensemble),
            "ais_ess": ais.ess,
            "ais_log_weight_variance": ais.log_weight_variance,
            "ais_log_z": ais.log_z,
            "ais_log_z_error": ais.log_z_error,
            "ais_evaluations": ais.evaluations,
            "train_seconds": train_seconds,
            "sample_seconds": sample_seconds,
            "ais_seconds": ais_seconds,
            "device": device_name(sampler.device),
            "backend": backend,
            "config": config(self),
            "versions": provenance(),
        }
        print(f"{table.render(result)}{_costs(result)}\n")
        write(self.json, result)
        labels = {f"learned rates, {ensemble.evaluations:.0f} evaluations": ensemble}
        labels[f"AIS, {ais.evaluations:.0f} sweeps"] = ais
        title = f"{self.length} × {self.length} Ising model, β = {self.beta}"
        figure = lt.plotting.overview(labels, history, title)
        figure.savefig(self.figure, dpi=120)
        print(f"figure: {self.figure}")


def _kernel_size(model: lt.PairModel) -> int:
    """7, or the largest that fits the lattice."""
    return min(7, 2 * ((min(model.lattice.shape) - 1) // 2) + 1)


def _yield(result: dict[str, Any], prefix: str) -> float:
    """Effective walkers a second of sampling."""
    return (
        result["config"]["walkers"]
        * result[f"{prefix}ess"]
        / result["ais_seconds" if prefix else "sample_seconds"]
    )


def _costs(result: dict[str, Any]) -> str:
    """The demo's table of weights and costs."""
    return "\n".join(
        [
            "",
            f"{'':17}{'learned rates':>22}{'AIS':>12}",
            f"{'ESS':17}{result['ess']:22.4f}{result['ais_ess']:12.4f}",
            f"{'Var[A]':17}{result['log_weight_variance']:22.4f}{result['ais_log_weight_variance']:12.4f}",
            f"{'evaluations':17}{result['evaluations']:22.1f}{result['ais_evaluations']:12.1f}",
            f"{'effective/s':17}{_yield(result, ''):22.0f}{_yield(result, 'ais_'):12.0f}",
            f"{'sampling, s':17}{result['sample_seconds']:22.1f}{result['ais_seconds']:12.1f}",
            f"{'training, s':17}{result['train_seconds']:22.1f}{0.0:12.1f}",
        ]
    )
