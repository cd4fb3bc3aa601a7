"""``leaps-triton train``: train a sampler into a checkpoint."""

import inspect
import shlex
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import leaps_triton as lt

from ... import registry
from ...kernels.checks import as_device
from ...parallel import ALONE, Ranks
from ...provenance import provenance
from ...report import summary
from ..interrupts import going_on, stopped
from ..options import choices, choose, config, kernel_size, option
from ..recipes import RecipeOptions, Stored, intervals_of, is_drift, network_of, recipe_of
from ..results import announce, check_folders, write
from ..targets.densities import refuse

__all__ = ["Train"]

_EVALUATED = 128
"""Walkers of an evaluation on the way. Every 500 steps they added 3.3 % to the time of training an
8 × 8 lattice with the default network, and 4.3 % for 16 × 16, on one core of a CPU."""

_REPORTED = 512
"""Walkers of the report at the end: 4 and 5 % of the time of 1500 steps on the two lattices."""

_LOW = 0.1
"""ESS below which the report says how to train longer."""

_OPTIONS = (
    "kernel_size",
    "kernel_sizes",
    "channels",
    "heads",
    "layers",
    "shells",
    "width",
    "widths",
    "window",
    "modes",
)
"""Options that are arguments of some networks."""


_OTHERS = ("LinearResponse", "LearnedEnergy")
"""Networks that are fitted, not trained, and those that are no transport."""


def _names() -> list[str]:
    """Return the names of all networks that can be trained."""
    return [name for name in registry.names("network") if name not in _OTHERS]


_NETWORKS = (
    f"Locally equivariant network, or drift of a field: {choices(_names())}; by default "
    f"symmetric-conv for ferromagnets and for several models together, hollow-drift for fields, "
    f"lem on graphs, else hollow-conv."
)

_INTEGRATORS = (
    f"What follows the network: {choices(registry.names('integrator'))}; by default jump, of a "
    f"drift map-step."
)


@dataclass(frozen=True, kw_only=True)
class Train(RecipeOptions):
    """Train a sampler of a lattice model, for `leaps-triton sample`.

    With --resume and the same other options a stopped run goes on, to --steps.

    With other --steps the learning rate rises and falls once more, from there on.

    Many processes: torchrun --nproc-per-node=N -m leaps_triton train ...
    """

    checkpoint: Path
    """File to keep the sampler and the state of training in (.safetensors)."""
    intervals: int | None = None
    """Intervals of the jump process; by default 16 with symmetric-conv, else 40. Of a drift 20."""
    integrator: Annotated[str | None, tyro.conf.arg(help=_INTEGRATORS)] = None
    """What follows the network."""
    diffusion: float | None = None
    """Noise of path-ratio; 0.3 by default."""
    sweeps: int | None = None
    """Moves at the start of every interval of sampling: heat-bath sweeps, none by default; of a
    field trajectories of HMC, 1 by default."""
    leapfrogs: int | None = None
    """Steps (leapfrogs) of these trajectories; 1 by default."""
    network: Annotated[str | None, tyro.conf.arg(help=_NETWORKS)] = None
    """Locally equivariant network."""
    kernel_size: int | None = None
    """Size of the convolution of hollow-conv or symmetric-conv, odd; by default 7, or what fits."""
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
    widths: tuple[int, ...] = ()
    """Hidden widths of the layers of symmetric-conv; 64 and 32 by default."""
    window: int | None = None
    """Sites a side of what symmetric-conv takes means over, odd; by default the whole lattice. A
    network with a window can be moved to larger lattices."""
    modes: int | None = None
    """Wave vectors that hollow-conv reads; 4 by default."""
    steps: int | None = None
    """Training steps in total; by default 400 with spring, 1500 with adam, of drifts 600 and
    3000."""
    learning_rate: float | None = None
    """Peak learning rate; by default 0.02 with adam and 0.15 with spring, of drifts 0.005 and 0.1,
    or that of the checkpoint that goes on."""
    loss: Literal["physics_informed", "log_variance", "squared_residual", "action_matching"] = (
        "physics_informed"
    )
    """Loss; the second and third are of exact weights of tau-leaping, the last is of
    gradient-drift."""
    baseline: Literal["batch_mean", "learned"] = "batch_mean"
    """What residuals are measured from: their mean at each time, or a free energy learned along."""
    huber_steps: int = 0
    """First steps that take Huber's loss, in which outliers count less."""
    evaluate_every: int | None = None
    """Steps between evaluations with exact weights; 0 for none. By default 100 with spring, 500
    with adam, about 4 % of the time."""
    shares: int | None = None
    """Parts of a batch, summed in order; by default as many as processes, which must divide it."""
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

    def run(self, ranks: Ranks = ALONE) -> None:
        """Train, and write checkpoints.

        Args:
            ranks: the processes that share every batch.
        """
        refuse(self.model, "train", "lt.Trainer does, as the guide to densities shows")
        if ranks.first:
            check_folders(self.checkpoint, self.json)
        if self.checkpoint.exists() and not self.resume:
            raise ValueError(
                f"{self.checkpoint} exists; go on with it by --resume, or choose another file"
            )
        stored = Stored(self.checkpoint)
        sampler = self._sampler(stored, ranks)
        settings = self._settings(sampler, stored, ranks)
        trainer = lt.Trainer(sampler, settings, ranks, self.family()[1:])
        if self.checkpoint.exists():
            trainer.resume(self.checkpoint)
        announce(trainer.sampler.path.model, trainer.sampler.device)
        if trainer.step:
            print(f"going on at step {trainer.step}{_new_leg(trainer)}")
        begin = time.perf_counter()
        with going_on(self.checkpoint, trainer.stop) as received:
            history = trainer.run(
                progress=True,
                checkpoint=self.checkpoint,
                every=self.every,
                tensorboard=self.tensorboard,
            )
        # A signal to one process has stopped all.
        number = ranks.largest(*received)
        if not ranks.first:
            if number:
                raise stopped(number, self.checkpoint)
            return
        seconds = time.perf_counter() - begin
        loss = ""
        if history.loss:
            loss = f", loss {history.loss[-1]:.4g}"
        last = trainer.config.steps
        print(f"step {trainer.step} of {last}{loss}; checkpoint: {self.checkpoint}")
        # Also after a signal: what was trained so far has a history.
        result = {"step": trainer.step, "seconds": seconds, "history": history.as_dict()}
        if not number:
            result["fresh_walkers"] = self._report(trainer)
        write(self.json, {**result, "config": config(self), "versions": provenance()})
        if number:
            raise stopped(number, self.checkpoint)

    def _sampler(self, stored: Stored, ranks: Ranks) -> lt.Sampler:
        """Return the sampler to train."""
        model = self.family()[0]
        network = self._network(model, stored)
        device = ranks.placed(as_device(self.device))
        mcmc = self._mcmc(model)
        path = lt.AnnealingPath(model)
        integrator = self._integrator(network)
        sampler = lt.Sampler(path, network, integrator, mcmc, device=device)
        # Wrong options are told before the fit of the response, which may take minutes.
        self._settings(sampler, stored, ranks)
        self.stand(network, model, stored, ranks, seed=self.seed, device=device)
        # A network on a response may have other rates, by which a sampler settles its weights.
        return lt.Sampler(path, network, integrator, mcmc, device=device)

    def _mcmc(self, model: Any) -> Any:
        """Return the moves between intervals; None for none."""
        field = model.dtype.is_floating_point
        if self.leapfrogs is not None and not field:
            raise ValueError("--leapfrogs is of fields alone; leave it out")
        sweeps = self.sweeps
        if sweeps is None:
            sweeps = int(field)
        if sweeps < 0:
            raise ValueError(f"sweeps must be at least 0, got {sweeps}")
        if not sweeps:
            return None
        if field:
            return lt.HMC(leapfrogs=self.leapfrogs or 1, sweeps=sweeps)
        return lt.HeatBath(sweeps)

    def _integrator(self, network: Any) -> Any:
        """Return what follows the network along the path."""
        intervals = self.intervals
        if intervals is None:
            intervals = intervals_of(network)
        word = self.integrator
        if word is None:
            word = "jump"
            if is_drift(network):
                word = "map-step"
        name = choose("integrator", word, registry.names("integrator"))
        maker = registry.find("integrator", name)
        if self.diffusion is None:
            return maker(intervals)
        if "diffusion" not in inspect.signature(maker).parameters:
            raise ValueError(f"--diffusion is of path-ratio alone, got --integrator {word}")
        return maker(intervals, diffusion=self.diffusion)

    def _settings(self, sampler: lt.Sampler, stored: Stored, ranks: Ranks) -> lt.TrainingConfig:
        """Return the settings of training."""
        optimizer = self.optimizer_of(stored, sampler)
        recipe = recipe_of(optimizer, sampler.path.model)
        steps = self.steps
        if steps is None:
            steps = recipe.steps
        evaluate_every = self.evaluate_every
        if evaluate_every is None:
            evaluate_every = recipe.evaluate_every
        # One part a process, unless told otherwise.
        shares = self.shares or stored.config.get("shares", ranks.world)
        # Large lattices have small blocks, since their walkers take long.
        walkers = min(_EVALUATED, sampler.block)
        return self.recipe(
            sampler,
            optimizer,
            stored,
            steps=steps,
            learning_rate=self._learning_rate(recipe.learning_rate),
            loss=self.loss,
            baseline=self.baseline,
            huber_steps=self.huber_steps,
            evaluate_every=evaluate_every,
            evaluation_walkers=walkers,
            evaluation_block=walkers,
            seed=self.seed,
            shares=shares,
        )

    def _learning_rate(self, default: float) -> float:
        """Return the peak learning rate, by default that of the training that goes on."""
        if self.learning_rate is not None:
            return self.learning_rate
        if self.checkpoint.exists():
            return lt.training.read_history(self.checkpoint).legs[-1].learning_rate
        return default

    def _report(self, trainer: lt.Trainer) -> dict[str, Any]:
        """Print how good the sampler is by fresh walkers, and what to type next."""
        walkers = min(_REPORTED, trainer.sampler.block)
        ensemble = trainer.fresh_walkers(walkers)
        with warnings.catch_warnings():
            # The same is said below, in lines of their own.
            warnings.simplefilter("ignore", lt.estimators.CautionWarning)
            table = summary.measure(ensemble, ())
        log_z = lt.Estimate(table["log_z"], table["log_z_error"])
        exact = ""
        if table["log_z_exact"] is not None:
            pull = log_z.pull(table["log_z_exact"])
            exact = f" (exact {table['log_z_exact']:.5f}, {pull:+.1f}σ)"
        print(
            f"ESS {ensemble.ess:.3f}, log Z {log_z}{exact}: exact weights of {walkers} fresh "
            f"walkers, seed {ensemble.seed}"
        )
        for caution in table["cautions"]:
            print(f"caution: {caution}")
        if ensemble.ess < _LOW:
            print(f"the ESS is low; train longer by --resume --steps {2 * trainer.config.steps}")
        output = self.checkpoint.with_suffix(".h5")
        if output.exists():
            # Walkers of the same sampler before it was trained on.
            output = output.with_stem(f"{output.stem}-{trainer.step}")
        words = ["leaps-triton", "sample", str(self.checkpoint), "--output", str(output)]
        print(f"next: {shlex.join(words)}")
        return {"walkers": walkers, "seed": ensemble.seed, **table}

    def _network(self, model: lt.PairModel, stored: Stored) -> Any:
        """Return the network that the options describe."""
        word = self.network
        if word is None and self.several and not stored.network:
            word = "symmetric-conv"
        if word is None:
            word = network_of(model, stored)
        maker = registry.find("network", choose("network", word, _names()))
        takes = inspect.signature(maker).parameters
        given = {}
        for name in _OPTIONS:
            value = getattr(self, name)
            # Not given: the default of the network counts.
            if value in (None, ()):
                continue
            if name not in takes:
                raise ValueError(
                    f"{option(name)} is no option of --network {word}; leave it out, or "
                    f"choose another network"
                )
            given[name] = value
        if "fields" in takes and self.fields:
            # The first of them may be 0.
            given["fields"] = True
        if "gauge" in takes and stored.network:
            # A network of an earlier version goes on as it was.
            given["gauge"] = stored.network["settings"].get("gauge", "plain")
        largest = kernel_size(model)
        if "kernel_size" in takes:
            given.setdefault("kernel_size", largest)
        if "kernel_sizes" in takes:
            # A convolution must not be larger than the lattice.
            sizes = tuple(min(size, largest) for size in (3, 5, 7))
            given.setdefault("kernel_sizes", sizes)
        return maker(model, seed=self.seed, **given)


def _new_leg(trainer: lt.Trainer) -> str:
    """Return what is to be said of a leg that begins where training stands; empty for none."""
    leg = trainer.history.legs[-1]
    if leg.first < trainer.step:
        return ""
    return f", in a new leg to step {leg.last} with learning rate {leg.learning_rate:g}"
