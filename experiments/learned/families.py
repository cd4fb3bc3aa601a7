"""One network for a family of models: uniform fields of an Ising model, instances of a glass.

Each part trains one network on several models together, and weighs walkers of others that it never
saw, whose log Z is known exactly.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import measuring
import recipes
import torch
from matplotlib.figure import Figure

import leaps_triton as lt

__all__ = ["Fields", "Instances", "Part", "part_of"]


@dataclass(frozen=True)
class Fields:
    """An Ising model at one temperature, in uniform fields."""

    length: int = 8
    """Of the lattice."""
    beta: float = 0.4407
    """Inverse temperature."""
    trained: tuple[float, ...] = (0.0, 0.02, 0.06, 0.12, 0.2, 0.35, 0.5)
    """Fields of the training."""
    weighed: tuple[float, ...] = (0.0, 0.01, 0.04, 0.09, 0.15, 0.25, 0.35, 0.5, 0.6, 0.75, 1.0)
    """Fields in which walkers are weighed: those of the training, between them and beyond."""
    intervals: int = 12
    """Of the jump process."""
    walkers: int = 2048
    """In each field."""
    recipe: recipes.Recipe = recipes.FIELDS
    """How the network is trained."""

    def model(self, field: float) -> lt.Ising:
        """Return the model in a field."""
        return lt.Ising((self.length, self.length), self.beta, field=field)

    def models(self) -> list[lt.Ising]:
        """Return the models of the training."""
        return [self.model(field) for field in self.trained]

    def rows(self, network: Any, seed: int, block: int) -> Iterator[dict[str, Any]]:
        """Yield what fresh walkers say in every field."""
        for number, field in enumerate(self.weighed):
            sampler = _sampler(self.model(field), network, self.intervals, block)
            row = _row(sampler, seed + number, self.walkers, f"field {field}")
            yield {**row, "field": field, "trained": field in self.trained}

    def draw(self, figure: Figure, networks: list[dict[str, Any]]) -> None:
        """Draw ESS and the pull of log Z by field."""
        quality, pulls = figure.subplots(1, 2)
        for network in networks:
            label = f"seed {network['seed']}"
            x = [row["field"] for row in network["rows"]]
            (line,) = quality.plot(x, [row["ess"] for row in network["rows"]], "o-", label=label)
            own = [row for row in network["rows"] if row["trained"]]
            at = [row["field"] for row in own]
            ess = [row["ess"] for row in own]
            quality.plot(at, ess, "s", color=line.get_color(), label="trained here")
            pulls.plot(x, [row["log_z_pull"] for row in network["rows"]], "o")
        quality.set(xlabel="field", ylabel="ESS", ylim=(0.0, 1.02), title="one network")
        quality.legend(frameon=False, fontsize=8)
        _pulls(pulls, "field")


@dataclass(frozen=True)
class Instances:
    """Edwards-Anderson glasses of one size."""

    length: int = 8
    """Of the lattice."""
    beta: float = 1.0
    """The largest inverse temperature."""
    disorder: str = "pm1"
    """Law of the couplings."""
    members: int = 12
    """Instances of the training, of the seed 0 and those from 101 on."""
    betas: tuple[float, ...] = (0.5, 0.7, 1.0)
    """At which walkers are weighed."""
    unseen: int = 4
    """Instances that the network never saw, of seeds from 1 on; half as many of the training are
    weighed too."""
    intervals: int = 25
    """Of the jump process, to each β."""
    sweeps: int = 32
    """Heat-bath sweeps at the end of each interval, of the sampler that has some."""
    walkers: int = 2048
    """Of each instance at each β."""
    pilots: tuple[int, ...] = (50, 100, 200, 400)
    """Intervals of annealing, four heat-bath sweeps in each, among which the first instance chooses
    at each β."""
    recipe: recipes.Recipe = recipes.INSTANCES
    """How the network is trained."""

    def model(self, seed: int, beta: float) -> lt.EdwardsAnderson:
        """Return an instance."""
        shape = (self.length, self.length)
        return lt.EdwardsAnderson(shape, beta=beta, disorder=self.disorder, seed=seed)

    def models(self) -> list[lt.EdwardsAnderson]:
        """Return the models of the training."""
        return [self.model(seed, self.beta) for seed in self._seeds()]

    def _seeds(self) -> list[int]:
        """Return the seeds of the instances of the training."""
        return [0, *range(101, 100 + self.members)]

    def rows(self, network: Any, seed: int, block: int) -> Iterator[dict[str, Any]]:
        """Yield what fresh walkers say of instances of either kind, and annealing beside them.

        Annealing has the seconds that the network took for its walkers; its training is apart.
        """
        known = self._seeds()[: max(1, self.unseen // 2)]
        for beta in self.betas:
            best: int | None = None
            for instance in [*range(1, self.unseen + 1), *known]:
                model = self.model(instance, beta)
                about = {"beta": beta, "instance": instance, "trained": instance in known}
                own = seed + 1000 * instance
                name = f"β = {beta}, instance {instance}"
                alone = _sampler(model, network, self.intervals, block)
                row = _row(alone, own, self.walkers, name)
                yield {**row, **about, "sampler": "network"}
                swept = _sampler(model, network, self.intervals, block, self.sweeps)
                row = _row(swept, own, self.walkers, f"{name}, sweeps")
                yield {**row, **about, "sampler": "network with sweeps"}
                without = _sampler(model, None, self.intervals, block, self.sweeps)
                same = _row(without, own, self.walkers, f"{name}, AIS")
                yield {**same, **about, "sampler": "AIS of the same sweeps"}
                if best is None:
                    best = self._pilot(model, row["seconds"], own, block)
                rival = _sampler(model, None, best, block, 4)
                row = _row(rival, own, block, f"{name}, AIS", row["seconds"])
                yield {**row, **about, "sampler": "AIS of equal seconds"}

    def _pilot(self, model: Any, seconds: float, seed: int, block: int) -> int:
        """Return the intervals with which annealing tells most of log Z a second."""
        found: dict[int, float] = {}
        for intervals in self.pilots:
            sampler = _sampler(model, None, intervals, block, 4)
            # Compiles what it runs, which no pilot is to pay for.
            sampler.sample(block, seed)
            run = measuring.drawn(sampler, seed + 1, block, seconds / 4)
            # Few walkers flatter: that of a log-normal weight holds for any number of them.
            spread = math.expm1(min(float(run.log_weights.var()), 600.0))
            found[intervals] = len(run.log_weights) / (spread * run.seconds)
        return max(found, key=lambda intervals: found[intervals])

    def draw(self, figure: Figure, networks: list[dict[str, Any]]) -> None:
        """Draw ESS, what a second tells of log Z, and the pull of log Z by β."""
        quality, speed, pulls = figure.subplots(1, 3)
        rows = [row for network in networks for row in network["rows"]]
        # In the order in which they first come.
        names = list(dict.fromkeys(row["sampler"] for row in rows))
        for shift, name in enumerate(names):
            for trained, fill in ((False, "full"), (True, "none")):
                own = [row for row in rows if row["sampler"] == name and row["trained"] == trained]
                # Side by side, so that points are not hidden by others.
                x = [row["beta"] + 0.012 * (shift - 1.5) for row in own]
                style: dict[str, Any] = {"color": f"C{shift}", "fillstyle": fill, "ms": 5}
                quality.plot(x, [row["ess"] for row in own], "o", **style)
                rate = [row["inverse_variance_of_log_z_per_second"] for row in own]
                speed.semilogy(x, rate, "o", **style)
                pulls.plot(x, [row["log_z_pull"] for row in own], "o", **style)
            quality.plot([], [], "o", color=f"C{shift}", label=name)
        quality.plot([], [], "o", color="grey", fillstyle="none", label="trained instances")
        quality.set(xlabel="β", ylabel="ESS", ylim=(0.0, 1.02), title="instances")
        speed.set(xlabel="β", ylabel="1/σ² of log Z a second", title="training apart")
        _pulls(pulls, "β")
        figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=8)


Part: TypeAlias = Fields | Instances


def _sampler(model: Any, network: Any, intervals: int, block: int, sweeps: int = 0) -> lt.Sampler:
    """Return a sampler of a model with a network, with sweeps, or both."""
    path = lt.AnnealingPath(model)
    move: lt.HeatBath | None = None
    if sweeps:
        move = lt.HeatBath(sweeps)
    return lt.Sampler(path, network, lt.Jump(intervals), move, block=block, device="cpu")


def _row(
    sampler: lt.Sampler, seed: int, walkers: int | None, name: str, seconds: float = 0.0
) -> dict[str, Any]:
    """Return what fresh walkers of a sampler say."""
    model: Any = sampler.path.model
    nobody = torch.zeros(0, *model.shape, dtype=torch.int8)
    known = measuring.Known(measuring.exact_log_z(model), nobody, "")
    run = measuring.drawn(sampler, seed, walkers, seconds)
    row = {"method": name, **measuring.numbers(sampler, run, known)}
    print(measuring.one_line(row), flush=True)
    return row


def _pulls(axes: Any, label: str) -> None:
    """Name the axes of pulls, with lines at three standard errors."""
    for level in (-3, 3):
        axes.axhline(level, color="grey", linewidth=0.8)
    axes.set(xlabel=label, ylabel="(log Z - exact) / σ", title="log Z")


_SMOKE_FIELDS = Fields(4, 0.3, (0.0, 0.4), (0.0, 0.2, 0.6), 8, 256, recipes.SMOKE_FIELDS)
_SMOKE_INSTANCES = Instances(
    4, 0.5, "pm1", 2, (0.3, 0.5), 2, 4, 1, 256, (4, 8), recipes.SMOKE_INSTANCES
)


def part_of(what: str, smoke: bool) -> Part:
    """Return a part by its name, or its short form."""
    if what == "fields":
        return _SMOKE_FIELDS if smoke else Fields()
    return _SMOKE_INSTANCES if smoke else Instances()
