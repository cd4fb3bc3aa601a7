"""The ``leaps-triton`` command."""

import inspect
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import tyro

import leaps_triton as lt

from . import checkpoint, table
from .bench.report import present
from .bench.run import run as run_benchmarks
from .commands import Chain, Measure, Plot
from .kernels.checks import as_device
from .options import ModelOptions, check_folders, config, device_name, write
from .provenance import provenance

__all__ = ["Bench", "Demo", "Info", "Sample", "Train", "main"]

_NETWORKS: dict[str, Any] = {
    "hollow-conv": lt.HollowConv,
    "lem": lt.LEM,
    "lea": lt.LEA,
    "lec": lt.LEC,
    "le-transformer": lt.LETransformer,
    "local-rates": lt.LocalRates,
}


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
        sampler = lt.Sampler(path, network, integrator=lt.Jump(self.intervals), device=as_device(self.device))
        backend = _announce(sampler)

        settings = lt.TrainingConfig(
            steps=self.steps, learning_rate=2e-2, evaluate_every=max(1, self.steps // 5), seed=self.seed
        )
        begin = time.perf_counter()
        history = lt.Trainer(sampler, settings).run(progress=True)
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


@dataclass(frozen=True)
class Bench:
    """Measure kernels, their twins, compiled twins, and what the device can do.

    A kernel that disagrees with its twin is not timed, and the command fails.
    """

    ops: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[OP...]", help_behavior_hint="")] = ()
    """Names of ops; all by default."""
    smoke: bool = False
    """One small lattice and no compiled twins, in seconds."""
    no_compiled: bool = False
    """Leave out the compiled twins, which on a CPU need a C++ compiler."""
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
        report = run_benchmarks(
            self.ops, self.device, self.smoke, self.seed, not self.no_compiled, self.output, progress=True
        )
        present(report, self.json)


@dataclass(frozen=True, kw_only=True)
class Train(ModelOptions):
    """Train a sampler of a lattice model, for `leaps-triton sample`.

    With --resume and the same other options a stopped run goes on, to --steps.
    """

    checkpoint: Path
    """File to keep the sampler and the state of training in (.safetensors)."""
    intervals: int = 40
    """Intervals of the jump process."""
    sweeps: int = 0
    """Heat-bath sweeps at the start of every interval of sampling."""
    network: Literal["hollow-conv", "lem", "lea", "lec", "le-transformer", "local-rates"] = "hollow-conv"
    """Locally equivariant network."""
    kernel_size: int | None = None
    """Size of the convolution of hollow-conv, odd; by default 7, or what fits."""
    kernel_sizes: tuple[int, ...] = ()
    """Sizes of the convolutions of lec, odd; by default 3, 5 and 7, or what fits of these."""
    channels: int | None = None
    """Channels of the network; by default the network's own."""
    heads: int | None = None
    """Heads of attention of lea and le-transformer; 4 by default."""
    layers: int | None = None
    """Layers of each stream of le-transformer; 2 by default."""
    shells: int | None = None
    """Shells of neighbours that local-rates reads; by default 3 on a chain or a plane."""
    width: int | None = None
    """Hidden width of the network; by default the network's own."""
    modes: int | None = None
    """Wave vectors that hollow-conv reads; 4 by default."""
    steps: int = 1500
    """Training steps in total."""
    learning_rate: float = 2e-2
    """Peak learning rate."""
    loss: Literal["physics_informed", "log_variance", "squared_residual"] = "physics_informed"
    """Loss; the last two are of exact weights of tau-leaping."""
    baseline: Literal["batch_mean", "learned"] = "batch_mean"
    """What residuals are measured from: their mean at each time, or a free energy learned along."""
    huber_steps: int = 0
    """First steps that take Huber's loss, in which outliers count less."""
    ema: float = 0.0
    """Decay a step of the parameters' moving average, which the sampler gets, such as 0.999; 0 for none."""
    evaluate_every: int = 0
    """Steps between evaluations with exact weights; 0 for none."""
    every: int = 100
    """Steps between writes of the checkpoint."""
    resume: bool = False
    """Go on with the checkpoint, if there is one."""
    seed: int = 0
    """Seed of everything random in training, 0 to 4294967295."""
    device: str | None = None
    """"cpu" or "cuda"; CUDA by default where there is a CUDA device."""
    json: Path | None = None
    """Where to save the training history as JSON."""

    def run(self) -> None:
        """Train, and write checkpoints."""
        check_folders(self.checkpoint, self.json)
        if self.checkpoint.exists() and not self.resume:
            raise ValueError(f"{self.checkpoint} exists; go on with it by --resume, or choose another file")
        model = self.make()
        network = self._network(model)
        if self.sweeps < 0:
            raise ValueError(f"sweeps must be at least 0, got {self.sweeps}")
        sampler = lt.Sampler(
            lt.AnnealingPath(model),
            network,
            lt.Jump(self.intervals),
            lt.HeatBath(self.sweeps) if self.sweeps else None,
            device=as_device(self.device),
        )
        settings = lt.TrainingConfig(
            steps=self.steps,
            learning_rate=self.learning_rate,
            loss=self.loss,
            baseline=self.baseline,
            huber_steps=self.huber_steps,
            ema=self.ema,
            evaluate_every=self.evaluate_every,
            seed=self.seed,
        )
        trainer = lt.Trainer(sampler, settings)
        if self.checkpoint.exists():
            trainer.resume(self.checkpoint)
        _announce(sampler)
        if trainer.step:
            print(f"going on at step {trainer.step}")
        received: list[int] = []

        def stop(number: int, frame: FrameType | None) -> None:
            # A second signal ends the process at once.
            signal.signal(number, signal.SIG_DFL)
            received.append(number)
            trainer.stop()

        handlers = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        begin = time.perf_counter()
        try:
            history = trainer.run(progress=True, checkpoint=self.checkpoint, every=self.every)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        loss = f", loss {history.loss[-1]:.4g}" if history.loss else ""
        print(f"step {trainer.step} of {self.steps}{loss}; checkpoint: {self.checkpoint}")
        result = {"step": trainer.step, "seconds": time.perf_counter() - begin, "history": history.as_dict()}
        write(self.json, {**result, "config": config(self), "versions": provenance()})
        if received:
            print("stopped by a signal; --resume goes on", file=sys.stderr)
            sys.exit(128 + received[0])

    def _network(self, model: lt.PairModel) -> lt.networks.Equivariant:
        maker = _NETWORKS[self.network]
        takes = inspect.signature(maker).parameters
        options = ("kernel_size", "kernel_sizes", "channels", "heads", "layers", "shells", "width", "modes")
        given = {name: value for name in options if (value := getattr(self, name)) not in (None, ())}
        for name in given:
            if name not in takes:
                option = name.replace("_", "-")
                raise ValueError(
                    f"--{option} is no option of --network {self.network}; leave it out, or choose another network"
                )
        largest = _kernel_size(model)
        if "kernel_size" in takes:
            given.setdefault("kernel_size", largest)
        if "kernel_sizes" in takes:
            given.setdefault("kernel_sizes", tuple(min(size, largest) for size in (3, 5, 7)))
        made: lt.networks.Equivariant = maker(model, seed=self.seed, **given)
        return made


@dataclass(frozen=True)
class Sample:
    """Draw weighted walkers into an HDF5 file, and print physics with errors.

    With --resume and the same other options a stopped run goes on.
    """

    output: Path
    """HDF5 file for log-weights and observables."""
    checkpoint: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")] = None
    """File of `leaps-triton train`, or of lt.save."""
    published: Path | None = None
    """Instead of it, a network of the LEAPS paper: ising_final.ckpt or potts_final.ckpt."""
    walkers: int = 4096
    """Walkers to sample."""
    configurations: bool = False
    """Store the configurations too, one byte a site and walker."""
    resume: bool = False
    """Go on with the output file, if there is one."""
    seed: int = 0
    """Seed of everything random, 0 to 4294967295."""
    device: str | None = None
    """"cpu" or "cuda"; CUDA by default where there is a CUDA device."""
    json: Path | None = None
    """Where to save the table as JSON."""

    def run(self) -> None:
        """Sample, print, and save."""
        if self.walkers < 2:
            raise ValueError(f"walkers must be at least 2, for error bars, got {self.walkers}")
        check_folders(self.output, self.json)
        if (self.checkpoint is None) == (self.published is None):
            raise ValueError("give either a CHECKPOINT or --published with a file of the LEAPS paper")
        place = as_device(self.device)
        if self.checkpoint is not None:
            sampler = lt.load(self.checkpoint, place)
        elif self.published is not None:
            sampler = lt.load_published_leaps(self.published, place)
        _announce(sampler)
        begin = time.perf_counter()
        run = lt.io.sample(
            sampler,
            self.walkers,
            self.output,
            self.seed,
            configurations=self.configurations,
            resume=self.resume,
            progress=True,
        )
        result = table.measure(run)
        print(table.render(result))
        print(f"walkers: {self.output}")
        seconds = time.perf_counter() - begin
        write(self.json, {**result, "seconds": seconds, "config": config(self), "versions": provenance()})


@dataclass(frozen=True)
class Info:
    """Say what a file holds: a checkpoint, weighted walkers or chains."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """File of `leaps-triton train`, `sample` or `chain`."""
    json: Path | None = None
    """Where to save the same as JSON."""

    def run(self) -> None:
        """Read the file as a whole, and print its manifest."""
        with self.file.open("rb") as stream:
            is_run = stream.read(8) == b"\x89HDF\r\n\x1a\n"
        if is_run:
            run = lt.io.read(self.file)
            if isinstance(run, lt.io.ChainRun):
                asked = run.manifest["chain"]["sweeps"] // run.thin
                kind = f"chain, {run.draws} of {asked} draws of {run.walkers} walkers"
            else:
                kind = f"{len(run.log_weights)} of {run.manifest['run']['walkers']} walkers"
            kind += ", complete" if run.complete else ", incomplete: --resume goes on"
            manifest, model = run.manifest, run.model
        else:
            contents = checkpoint.read(self.file)
            model = checkpoint.rebuild(contents, self.file.name, "cpu").path.model
            manifest = contents.manifest
            training = manifest.get("training")
            kind = (
                "sampler" if training is None else f"training, step {training['step']} of {training['config']['steps']}"
            )
        print(f"{self.file.name}: {kind}; {model}")
        for name, part in manifest.items():
            words = ", ".join(f"{k} {v}" for k, v in part.items()) if isinstance(part, dict) else part
            print(f"{name + ':':12} {words}")
        write(self.json, {"kind": kind, **manifest})


def _announce(sampler: lt.Sampler) -> str:
    backend = lt.kernels.backend(sampler.device)
    print(f"leaps_triton {lt.__version__}: {sampler.path.model}")
    print(f"device {device_name(sampler.device)}; {backend}")
    return backend


def _kernel_size(model: lt.PairModel) -> int:
    """7, or the largest that fits the lattice."""
    return min(7, 2 * ((min(model.lattice.shape) - 1) // 2) + 1)


def _yield(result: dict[str, Any], prefix: str) -> float:
    """Effective walkers a second of sampling."""
    return result["config"]["walkers"] * result[f"{prefix}ess"] / result["ais_seconds" if prefix else "sample_seconds"]


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a bad option or value ends in one sentence and a non-zero status."""
    chosen = tyro.extras.subcommand_cli_from_dict(
        {
            "demo": Demo,
            "train": Train,
            "sample": Sample,
            "chain": Chain,
            "measure": Measure,
            "plot": Plot,
            "info": Info,
            "bench": Bench,
        },
        prog="leaps-triton",
        description="Samples and free energies of lattice models, with exact weights.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        chosen.run()
    except (ValueError, RuntimeError, OSError) as error:
        reason = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            reason = f"{error.filename}: {error.strerror}"
        sys.exit(f"leaps-triton: {' '.join(reason.split())}")
    except KeyboardInterrupt:
        sys.exit("leaps-triton: interrupted")
