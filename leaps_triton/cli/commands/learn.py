"""``leaps-triton learn``: parameters of a model from data, into a file."""

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

import leaps_triton as lt

from ...io import checkpoint
from ...provenance import provenance
from ..interrupts import going_on
from ..options import ModelOptions, config, is_field, option
from ..results import announce, check_folders, write
from ..targets.data import laid_out, read_rows
from ..targets.graphs import GRAPHS
from ..targets.learned import measured, render

__all__ = ["Learn"]


_OBJECTIVES: dict[str, Callable[..., Any]] = {
    "pseudo-likelihood": lt.PseudoLikelihood,
    "maximum-likelihood": lt.MaximumLikelihood,
    "energy-discrepancy": lt.EnergyDiscrepancy,
}

_NEGATIVES: dict[str, Callable[..., Any]] = {
    "exact": lt.Exact,
    "data": lt.FromData,
    "persistent": lt.Persistent,
    "jarzynski": lt.Jarzynski,
    "mean-field": lt.MeanField,
    "annealed": lt.Annealed,
}

_OF_OBJECTIVES = {
    "l1": "l1",
    "l2": "l2",
    "refit": "refit",
    "batch": "batch",
    "noise": "kernel",
    "noise_time": "time",
    "noise_draws": "negatives",
}
"""Option → argument of some objectives."""

_OF_NEGATIVES = {
    "walkers": "walkers",
    "witnesses": "witnesses",
    "intervals": "intervals",
    "order": "order",
}
"""Option → argument of some negative phases."""

_HELD_OUT = "held-out"
"""Word for a penalty chosen by held-out data."""

_PART = 0.2
"""Data held out to choose a penalty, unless told."""

_NOT_OF_MACHINES = (
    "shape",
    "graph",
    "q",
    "couplings",
    "first_site",
    "mass_squared",
    "quartic",
)
"""Options that a machine has not."""

_SMALL = 0.01
"""Standard deviation of the first weights of a machine: units must differ to grow apart."""


@dataclass(frozen=True, kw_only=True)
class Learn:
    """Learn couplings and fields of a model from data, into a file for lt.load.

    With --resume and the same other options a stopped run goes on.

    A finished run goes on too, to more --steps.

    Log Z is exact where that takes seconds, else it comes from --witnesses.
    """

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Array .npy of shape (samples, …) with states 0 … q-1, or a file of `leaps-triton chain` or
    `sample` with --configurations."""
    output: Path
    """File for the model, its history and the state of learning (.safetensors)."""
    model: str = "ising"
    """Among which models: ising, potts, clock, edwards-anderson, phi4; or rbm, a restricted
    Boltzmann machine with --hidden units."""
    shape: tuple[int, ...] = ()
    """Length of the lattice in each direction; by default the lattice or graph of the data."""
    graph: Annotated[str | None, tyro.conf.arg(help=f"In place of --shape: {GRAPHS}, or FILE.")] = (
        None
    )
    """Graph in place of a lattice."""
    beta: float | None = None
    """Inverse temperature that the new model has; 1 by default, of phi4 none."""
    q: int | None = None
    """Number of states of potts and clock."""
    mass_squared: float | None = None
    """Mass squared of phi4, to start from."""
    quartic: float | None = None
    """Quartic coupling of phi4, to start from."""
    hidden: int | None = None
    """Hidden units of rbm."""
    couplings: Path | None = None
    """File of the couplings that --coupling none leaves and --start model starts from."""
    first_site: Literal[0, 1] | None = None
    """Number of the first site in lines `i j J` of a file; else 0, or 1 in max-cut files."""
    open_boundaries: bool = False
    """Open boundaries in every direction, instead of periodic ones."""
    coupling: Literal["bond", "class", "uniform", "none"] = "bond"
    """Which couplings are learned: of each bond, of each direction or class of edges, one, none."""
    field: Literal["site", "uniform", "none"] = "none"
    """Which fields are learned: of each site, one, none."""
    start: Literal["independent", "model"] = "independent"
    """Where parameters start: no couplings and the fields of the means of the data, or the model's
    own."""
    objective: Literal["pseudo-likelihood", "maximum-likelihood", "energy-discrepancy"] = (
        "pseudo-likelihood"
    )
    """What is minimised; pseudo-likelihood needs no walkers."""
    negative: (
        Literal["exact", "data", "persistent", "jarzynski", "mean-field", "annealed"] | None
    ) = None
    """Where means under the model come from, of maximum-likelihood; persistent by default."""
    walkers: int | None = None
    """Walkers of the negative phase; 1000 by default."""
    witnesses: int | None = None
    """Walkers of jarzynski that enter no gradient and tell log Z; none by default."""
    sweeps: int | None = None
    """Moves of the walkers between two steps: heat-bath sweeps, of phi4 trajectories of HMC."""
    intervals: int | None = None
    """Densities that annealed goes through; 100 by default."""
    order: int | None = None
    """Order of mean-field, 1 to 3; 2 by default."""
    l1: float | Literal["held-out"] | None = None
    """Penalty that sets couplings to 0; held-out: chosen by held-out data, of
    pseudo-likelihood."""
    l2: float | None = None
    """Quadratic penalty on couplings."""
    refit: bool = False
    """Go on without the penalty among the couplings that it has left, of pseudo-likelihood."""
    batch: int | None = None
    """Rows of data of each step; all by default."""
    noise: Literal["uniform", "cyclic", "ordinal", "grid"] | None = None
    """Noise of energy-discrepancy; uniform by default."""
    noise_time: float | None = None
    """For how long the noise acts; 0.05 by default."""
    noise_draws: int | None = None
    """Negatives per row of data of energy-discrepancy; 16 by default."""
    steps: int | None = None
    """Steps in all, at most; by default 5000 of pseudo-likelihood, else 400."""
    learning_rate: float = 0.02
    """Length of a step along a noisy gradient; of no effect with pseudo-likelihood."""
    optimizer: Literal["gradient", "adam"] = "gradient"
    """How noisy gradients are followed."""
    decay: bool = False
    """Let the learning rate fall to 0 over the steps."""
    held_out: float = 0.0
    """Part of the data, its last rows, that no step sees and that tells how well others are met."""
    record: bool = False
    """Keep the parameters of every step in the file, as lt.load(FILE).replay() needs them."""
    every: int = 100
    """Steps from one write of the file to the next; a crash loses no more."""
    resume: bool = False
    """Go on with the output file, if there is one."""
    seed: int = 0
    """Seed of everything random, 0 to 4294967295."""
    json: Path | None = None
    """Where to save the table and the history as JSON."""

    def run(self) -> None:
        """Learn, print, and save."""
        check_folders(self.output, self.json)
        if self.output.exists() and not self.resume:
            raise ValueError(
                f"{self.output} exists; go on with it by --resume, or choose another file"
            )
        model, rows = self._problem()
        announce(model, torch.device("cpu"))
        print(f"data: {len(rows)} rows of {self.data.name}")
        begin = time.perf_counter()
        learner = self._learner(model, rows)
        if self.output.exists():
            learner.resume(self.output)
        if learner.step:
            print(f"going on at step {learner.step} of {learner.steps}")
        with going_on(self.output):
            learned = learner.run(progress=True, checkpoint=self.output, every=self.every)
        table = measured(learned, learner.data, learner.held_out)
        print(render(table))
        print(f"learned: {self.output}; lt.load reads it, leaps-triton info tells of it")
        history = learned.history.as_dict()
        seconds = time.perf_counter() - begin
        about = {"seconds": seconds, "config": config(self), "versions": provenance()}
        write(self.json, {**table, "history": history, **about})

    def _problem(self) -> tuple[Any, torch.Tensor]:
        """Return one of the models, and the data as its configurations.

        Raises:
            ValueError: options that do not go together, or not with the data.
        """
        rows, lattice = read_rows(self.data)
        if self.model == "rbm":
            rows = rows.flatten(1)
            return self._machine(rows), rows
        if self.hidden is not None:
            raise ValueError(f"--hidden is of --model rbm alone, got --model {self.model}")
        shape = self.shape
        told = bool(shape or self.graph or self.couplings or self.open_boundaries)
        if told or self.first_site is not None or is_field(self.model):
            # Options say where the sites stand.
            lattice = None
        if lattice is None and not shape and self.graph is None:
            shape = tuple(rows.shape[1:])
        model = self._options(shape).make(lattice)
        return model, laid_out(rows, model.lattice.sites, model.shape)

    def _options(self, shape: tuple[int, ...]) -> ModelOptions:
        """Return the options of a model on a lattice or graph, none of what is learned."""
        beta = self.beta
        if beta is None and self.model != "phi4":
            beta = 1.0
        given: dict[str, Any] = {}
        if shape:
            given["shape"] = shape
        return ModelOptions(
            model=self.model,
            graph=self.graph,
            beta=beta,
            mass_squared=self.mass_squared,
            quartic=self.quartic,
            q=self.q,
            couplings=self.couplings,
            first_site=self.first_site,
            open_boundaries=self.open_boundaries,
            **given,
        )

    def _machine(self, rows: torch.Tensor) -> Any:
        """Return the machine to start from: small weights, and biases of the means of the data."""
        if self.hidden is None or self.hidden < 1:
            raise ValueError("--model rbm needs --hidden, the number of its hidden units")
        for name in _NOT_OF_MACHINES:
            if getattr(self, name) not in (None, ()):
                raise ValueError(f"{option(name)} is no option of --model rbm; leave it out")
        beta = self.beta
        if beta is None:
            beta = 1.0
        generator = torch.Generator().manual_seed(self.seed)
        size = (rows.shape[1], self.hidden)
        weights = _SMALL * torch.randn(size, generator=generator, dtype=torch.float64)
        # Half a row of each state more: no unit is certain.
        ones = rows.double().sum(0) + 0.5
        bias = torch.log(ones / (len(rows) + 1.0 - ones)) / beta
        return lt.RBM(weights, visible_bias=bias, beta=beta)

    def _learner(self, model: Any, rows: torch.Tensor) -> lt.Learner:
        """Return what learns, its penalty chosen."""
        settings: dict[str, Any] = {"seed": self.seed, "start": self.start}
        for name in ("coupling", "field"):
            word = getattr(self, name)
            settings[name] = word
            if word == "none":
                settings[name] = None
        objective = self._objective(model, rows, settings)
        return lt.Learner(
            model,
            rows,
            objective,
            steps=self.steps,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,
            decay=self.decay,
            held_out=self.held_out,
            record=self.record,
            **settings,
        )

    def _objective(self, model: Any, rows: torch.Tensor, settings: dict[str, Any]) -> Any:
        """Return what is minimised.

        Args:
            model: one of the models.
            rows: the data.
            settings: of the learner.
        """
        word = self.objective
        maker = _OBJECTIVES[word]
        given = self._given(_OF_OBJECTIVES, maker, f"--objective {word}")
        if word == "maximum-likelihood":
            given["negative"] = self._negative(model.dtype.is_floating_point)
        else:
            for name in ("negative", "sweeps", *_OF_NEGATIVES):
                if getattr(self, name) is not None:
                    raise ValueError(f"{option(name)} is of --objective maximum-likelihood alone")
        if given.get("l1") == _HELD_OUT:
            given["l1"] = self._chosen(model, rows, settings)
        return maker(**given)

    def _negative(self, real: bool) -> Any:
        """Return where means under the model come from; real of fields."""
        word = self.negative or "persistent"
        maker = _NEGATIVES[word]
        given = self._given(_OF_NEGATIVES, maker, f"--negative {word}")
        if self.sweeps is None:
            return maker(**given)
        takes = inspect.signature(maker).parameters
        if "sweeps" in takes:
            given["sweeps"] = self.sweeps
        elif "mcmc" not in takes:
            raise ValueError(f"--sweeps is no option of --negative {word}; leave it out")
        elif real:
            given["mcmc"] = lt.HMC(sweeps=self.sweeps)
        else:
            given["mcmc"] = lt.HeatBath(self.sweeps)
        return maker(**given)

    def _given(self, names: dict[str, str], maker: Callable[..., Any], of: str) -> dict[str, Any]:
        """Return the options that were given as arguments.

        Args:
            names: option → argument.
            maker: takes some of them.
            of: the option that has chosen it.

        Raises:
            ValueError: an option was given that it does not take.
        """
        takes = inspect.signature(maker).parameters
        given = {}
        for name, argument in names.items():
            value = getattr(self, name)
            # Not given: the default counts.
            if value is None or value is False:
                continue
            if argument not in takes:
                raise ValueError(f"{option(name)} is no option of {of}; leave it out")
            given[argument] = value
        return given

    def _chosen(self, model: Any, rows: torch.Tensor, settings: dict[str, Any]) -> float:
        """Return the penalty that predicts held-out data best; of a file that goes on its own."""
        if self.objective != "pseudo-likelihood":
            raise ValueError(
                f"--l1 held-out is of --objective pseudo-likelihood alone; give a number to "
                f"{self.objective}"
            )
        if self.output.exists():
            stored = checkpoint.read(self.output).manifest.get("learner", {})
            return float(stored.get("objective", {}).get("l1", 0.0))
        found = lt.learning.choose_l1(
            model, rows, held_out=self.held_out or _PART, refit=self.refit, **settings
        )
        for strength, score, kept in zip(found.strengths, found.held_out, found.kept, strict=True):
            print(f"l1 {strength:g}: {score:.6g} on held-out rows, {kept} couplings kept")
        print(f"l1 {found.l1:g} is taken")
        return found.l1
