"""The ``leaps-triton`` command."""

import dataclasses
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

import leaps_triton as lt

from . import benchmark

__all__ = ["Bench", "Demo", "main"]

_OBSERVABLES = {
    "energy": ("energy / site", lt.observables.energy),
    "abs_magnetization": ("|m|", lt.observables.abs_magnetization),
    "susceptibility": ("susceptibility", lt.observables.susceptibility),
    "specific_heat": ("specific heat", lt.observables.specific_heat),
    "binder": ("Binder cumulant", lt.observables.binder),
}


@dataclass(frozen=True)
class Demo:
    """Train a sampler on a critical Ising lattice, sample it with exact weights, and print physics with error bars.

    A locally equivariant network learns the jump rates that carry independent spins to the Ising model on a periodic
    square lattice. Sampled walkers carry exact weights; the table compares with Kaufman's solution and with classical
    annealed importance sampling (AIS) that may evaluate as many energy changes.
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
        for file in filter(None, (self.figure, self.json)):
            if not file.parent.is_dir():
                raise ValueError(f"there is no folder {file.parent} to save {file.name} in; make it, or choose another")
        model = lt.Ising((self.length, self.length), self.beta)
        path = lt.AnnealingPath(model)
        kernel_size = min(7, 2 * ((self.length - 1) // 2) + 1)
        network = lt.HollowConv(model, kernel_size=kernel_size, seed=self.seed)
        sampler = lt.Sampler(path, network, integrator=lt.Jump(self.intervals), device=self.device)
        backend = lt.kernels.backend(sampler.device)
        print(f"leaps_triton {lt.__version__}: {model}")
        print(f"device {_device_name(sampler.device)}; {backend}")

        config = lt.TrainingConfig(
            steps=self.steps, learning_rate=2e-2, evaluate_every=max(1, self.steps // 5), seed=self.seed
        )
        begin = time.perf_counter()
        history = lt.Trainer(sampler, config).run(progress=True)
        train_seconds = time.perf_counter() - begin

        begin = time.perf_counter()
        ensemble = sampler.sample(self.walkers, seed=self.seed, progress=True)
        sample_seconds = time.perf_counter() - begin

        sweeps = max(1, round(ensemble.evaluations))
        classical = lt.Sampler(path, None, lt.Jump(sweeps), lt.HeatBath(sweeps=1), device=sampler.device)
        begin = time.perf_counter()
        ais = classical.sample(self.walkers, seed=self.seed, progress=True)
        ais_seconds = time.perf_counter() - begin

        result: dict[str, Any] = {
            "ess": ensemble.ess,
            "log_weight_variance": ensemble.log_weight_variance,
            "log_z": ensemble.log_z,
            "log_z_error": ensemble.log_z_error,
            "log_z_exact": lt.exact.log_z(model),
            "evaluations": ensemble.evaluations,
            "ais_ess": ais.ess,
            "ais_log_weight_variance": ais.log_weight_variance,
            "ais_log_z": ais.log_z,
            "ais_log_z_error": ais.log_z_error,
            "ais_evaluations": ais.evaluations,
            "train_seconds": train_seconds,
            "sample_seconds": sample_seconds,
            "ais_seconds": ais_seconds,
            "device": _device_name(sampler.device),
            "backend": backend,
            "observables": _measure(ensemble),
            "config": {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()},
            "versions": {
                "leaps_triton": lt.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        print(_table(result))
        if self.json:
            self.json.write_text(json.dumps(result, indent=2) + "\n")
            print(f"results: {self.json}")
        labels = {f"learned rates, {ensemble.evaluations:.0f} evaluations": ensemble}
        labels[f"AIS, {ais.evaluations:.0f} sweeps"] = ais
        title = f"{self.length} × {self.length} Ising model, β = {self.beta}"
        figure = lt.plotting.overview(labels, history, title)
        figure.savefig(self.figure, dpi=120)
        print(f"figure: {self.figure}")


@dataclass(frozen=True)
class Bench:
    """Measure the ops on this machine: kernel, compiled twin and twin, set against what the device can do at most.

    No time is shown of a kernel that disagrees with its twin: the command says so and fails.
    """

    ops: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of ops; none for all."""
    smoke: bool = False
    """One small lattice and no compiled twins, in seconds."""
    compiled: bool = True
    """Measure the compiled twins too; on a CPU they need a C++ compiler."""
    seed: int = 0
    """Seed of the inputs, 0 to 4294967295."""
    device: str | None = None
    """"cpu" or "cuda"; CUDA by default where there is a CUDA device."""
    output: Path | None = None
    """CSV table to add the rows to; a row of the same case on the same device is replaced."""
    json: Path | None = None
    """Where to save the results as JSON."""

    def run(self) -> None:
        """Measure, print, and save."""
        for file in filter(None, (self.output, self.json)):
            if not file.parent.is_dir():
                raise ValueError(f"there is no folder {file.parent} to save {file.name} in; make it, or choose another")
        report = benchmark.run(self.ops, self.device, self.smoke, self.seed, self.compiled, self.output, progress=True)
        benchmark.present(report, self.json)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({torch.get_num_threads()} threads)"


def _measure(ensemble: lt.WeightedEnsemble) -> dict[str, dict[str, float | None]]:
    model = ensemble.model
    shape, beta = model.lattice.shape, model.beta
    exact = {
        "energy": lt.exact.ising_energy(shape, beta),
        "specific_heat": lt.exact.ising_specific_heat(shape, beta),
    }
    measured: dict[str, dict[str, float | None]] = {}
    for name, (_, observable) in _OBSERVABLES.items():
        estimate = ensemble.estimate(observable)
        reference = exact.get(name)
        pull = None if reference is None else estimate.pull(reference)
        measured[name] = {"value": estimate.value, "error": estimate.error, "exact": reference, "pull": pull}
    return measured


def _yield(result: dict[str, Any], prefix: str) -> float:
    """Effective walkers a second of sampling."""
    return result["config"]["walkers"] * result[f"{prefix}ess"] / result["ais_seconds" if prefix else "sample_seconds"]


def _table(result: dict[str, Any]) -> str:
    log_z = lt.Estimate(result["log_z"], result["log_z_error"])
    exact = result["log_z_exact"]
    rows = [("log Z", {"value": log_z.value, "error": log_z.error, "exact": exact, "pull": log_z.pull(exact)})]
    rows += [(label, result["observables"][name]) for name, (label, _) in _OBSERVABLES.items()]
    lines = ["", f"{'':17}{'value ± error':>22}{'exact':>12}{'pull':>8}"]
    for label, row in rows:
        known = "" if row["exact"] is None else f"{row['exact']:12.5f}{row['pull']:+7.1f}σ"
        lines.append(f"{label:17}{lt.Estimate(row['value'], row['error'])!s:>22}{known}")
    lines += [
        "",
        f"{'':17}{'learned rates':>22}{'AIS':>12}",
        f"{'ESS':17}{result['ess']:22.4f}{result['ais_ess']:12.4f}",
        f"{'Var[A]':17}{result['log_weight_variance']:22.4f}{result['ais_log_weight_variance']:12.4f}",
        f"{'evaluations':17}{result['evaluations']:22.1f}{result['ais_evaluations']:12.1f}",
        f"{'effective/s':17}{_yield(result, ''):22.0f}{_yield(result, 'ais_'):12.0f}",
        f"{'sampling, s':17}{result['sample_seconds']:22.1f}{result['ais_seconds']:12.1f}",
        f"{'training, s':17}{result['train_seconds']:22.1f}{0.0:12.1f}",
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a bad option or value ends in one sentence and a non-zero status."""
    chosen = tyro.extras.subcommand_cli_from_dict(
        {"demo": Demo, "bench": Bench},
        prog="leaps-triton",
        description="Samples and free energies of lattice models by learned jump processes with exact weights.",
        args=arguments,
    )
    try:
        chosen.run()
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"leaps-triton: {error}")
    except KeyboardInterrupt:
        sys.exit("leaps-triton: interrupted")
