"""``leaps-triton train``: train a sampler into a checkpoint."""

import inspect
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import leaps_triton as lt

from ..kernels.checks import as_device
from ..provenance import provenance
from .demo import _kernel_size
from .options import ModelOptions, announce, check_folders, config, write

__all__ = ["Train"]


_NETWORKS: dict[str, Any] = {
    "hollow-conv": lt.HollowConv,
    "lem": lt.LEM,
    "lea": lt.LEA,
    "lec": lt.LEC,
    "le-transformer": lt.LETransformer,
    "local-rates": lt.LocalRates,
}


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
    network: Literal["hollow-conv", "lem", "lea", "lec", "le-transformer", "local-rates"] = (
        "hollow-conv"
    )
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
    """Decay a step of the parameters' moving average, which the sampler gets, such as 0.999; 0 for
    none."""
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
            raise ValueError(
                f"{self.checkpoint} exists; go on with it by --resume, or choose another file"
            )
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
        announce(sampler)
        if trainer.step:
            print(f"going on at step {trainer.step}")
        received: list[int] = []

        def stop(number: int, frame: FrameType | None) -> None:
            # A second signal ends the process at once.
            signal.signal(number, signal.SIG_DFL)
            received.append(number)
            trainer.stop()

        handlers = {
            number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)
        }
        begin = time.perf_counter()
        try:
            history = trainer.run(progress=True, checkpoint=self.checkpoint, every=self.every)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        loss = f", loss {history.loss[-1]:.4g}" if history.loss else ""
        print(f"step {trainer.step} of {self.steps}{loss}; checkpoint: {self.checkpoint}")
        result = {
            "step": trainer.step,
            "seconds": time.perf_counter() - begin,
            "history": history.as_dict(),
        }
        write(self.json, {**result, "config": config(self), "versions": provenance()})
        if received:
            print("stopped by a signal; --resume goes on", file=sys.stderr)
            sys.exit(128 + received[0])

    def _network(self, model: lt.PairModel) -> lt.networks.Equivariant:
        maker = _NETWORKS[self.network]
        takes = inspect.signature(maker).parameters
        options = (
            "kernel_size",
            "kernel_sizes",
            "channels",
            "heads",
            "layers",
            "shells",
            "width",
            "modes",
        )
        given = {
            name: value for name in options if (value := getattr(self, name)) not in (None, ())
        }
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
