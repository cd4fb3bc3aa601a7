"""How networks of the zoo and of the tables are trained: one recipe, with what differs by model.

A network stands on a linear response that is fitted first. It is trained by SPRING on samples of
equilibrium, at times that are dense where its residual is large, and then grown: a larger network
with the same function goes on where the smaller one has stalled.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

import leaps_triton as lt
from leaps_triton.bench.timing import Clock
from leaps_triton.files import write_text
from leaps_triton.training import fit_response, transfer

GATE = (0.3, 0.45)
"""Of critical models: below the first share of β the network is the linear response alone."""


@dataclass(frozen=True)
class Stage:
    """One training of one size of the network."""

    kernel_size: int = 7
    """Sites across the window whose states are read one by one."""
    widths: tuple[int, ...] = (64, 32)
    """Of the layers."""
    steps: int = 500
    """Of the optimiser."""
    learning_rate: float = 0.15
    """At its peak."""
    walkers: int = 16
    """At each time of a batch."""
    damping: float = 1e-2
    """Relative to the mean diagonal."""
    row_power: float = 0.0
    """Rows of a batch are divided by this power of the root of v(t)."""
    times: int = 16
    """Of a batch."""
    whole: bool = False
    """Whether mean and energy of the whole lattice are read beside those of the window."""


@dataclass(frozen=True)
class Recipe:
    """All that makes a trained network."""

    stages: tuple[Stage, ...]
    """One after the other, each at least as large as the one before."""
    refresh: str = "swendsen_wang"
    """How samples of equilibrium are made and kept fresh."""
    window: int | None = None
    """Sites across the window of means over the lattice; None for all of it."""
    focus: float | None = None
    """β about which functions of the time are dense; None for the end of the path."""
    gate: tuple[float, float] = GATE
    """Shares of the last β between which the network joins the linear response."""
    time_power: float = 0.4
    """Times of a batch are ``u`` to this power: small powers are late."""
    time_density: float = 0.0
    """Three quarters of the times follow the measured v(t) to this power."""
    held_out_times: int = 8
    """At which v is measured."""
    buffer: int = 512
    """Samples at each of 64 times."""
    response_walkers: int = 1024
    """Samples that the linear response is fitted to, at each time."""
    response_times: int = 64
    """At which it is."""
    response: bool = True
    """Whether there is one: it is of one model, so that a family is trained without."""
    fields: bool | None = None
    """Whether the network reads fields; None for whether the model has one."""
    held_out: int = 256
    """Held-out samples at each time, of each model."""
    bins: int = 64
    """Times at which samples are kept."""


class Trained(NamedTuple):
    """A trained sampler, and what it cost."""

    sampler: lt.Sampler
    about: dict[str, Any]
    """Seconds, steps, parameters, seed and recipe, as plain data"""
    curve: list[dict[str, Any]]
    """What held-out samples said on the way: seconds, step, ``∫v dt`` and ``v`` by time"""


def late(intervals: int, power: float = 1.7) -> lt.Jump:
    """Return a jump process whose intervals are shorter the later they are.

    Rates change fastest near the transition, at the end of the path; early on they are nearly
    those of the linear response, and long intervals do no harm.
    """
    left = 1.0 - torch.linspace(0.0, 1.0, intervals + 1, dtype=torch.float64)
    return lt.Jump((1.0 - left**power).tolist())


def config_of(recipe: Recipe, stage: Stage, seed: int) -> lt.TrainingConfig:
    """Return the settings of a stage."""
    return lt.TrainingConfig(
        optimizer="spring",
        steps=stage.steps,
        learning_rate=stage.learning_rate,
        warmup=20,
        times=stage.times,
        walkers=stage.walkers,
        damping=stage.damping,
        row_power=stage.row_power,
        time_power=recipe.time_power,
        time_density=recipe.time_density,
        held_out_times=recipe.held_out_times,
        first_time=recipe.gate[0] if recipe.response else 0.0,
        refresh=recipe.refresh,
        buffer=recipe.buffer,
        rollout=min(256, recipe.buffer),
        ema=0.98,
        # The curve comes from held-out samples alone; walkers are weighed at the end.
        evaluate_every=max(1, min(100, stage.steps // 4)),
        evaluation_walkers=2,
        evaluation_block=2,
        held_out=recipe.held_out,
        bins=recipe.bins,
        seed=seed,
    )


def begun(model: Any, recipe: Recipe, seed: int) -> Any:
    """Return a network for a model, that stands on a linear response of it if so wanted."""
    path = lt.AnnealingPath(model)
    first = recipe.stages[0]
    network = lt.SymmetricConv(
        model,
        kernel_size=first.kernel_size,
        widths=first.widths,
        window=recipe.window,
        seed=seed,
        focus=recipe.focus,
        fields=recipe.fields,
    )
    if not recipe.response:
        return network
    response = fit_response(
        path,
        recipe.refresh,
        recipe.response_walkers,
        recipe.response_times,
        seed=seed + 1000,
        device="cpu",
    )
    return network.stand_on(response, recipe.gate)


def grown(network: Any, stage: Stage) -> Any:
    """Return a network as large as a stage asks, with the same function."""
    same = network.kernel_size == stage.kernel_size and network.widths == stage.widths
    if same and network.whole == stage.whole:
        return network
    return network.grow(stage.kernel_size, stage.widths, whole=stage.whole)


def trained(
    model: Any,
    recipe: Recipe,
    seed: int,
    intervals: int = 12,
    beginning: Any = None,
    progress: bool = True,
    family: Sequence[Any] = (),
) -> Trained:
    """Train a network on a model, or on several.

    Args:
        model: the target.
        recipe: how.
        seed: of parameters and samples.
        intervals: of the sampler that is returned.
        beginning: a trained network of a smaller lattice to begin with; None for a new one.
        progress: show how far it is.
        family: other models that it is trained on too.
    """
    clock = Clock("cpu")
    path = lt.AnnealingPath(model)
    if beginning is None:
        network = begun(model, recipe, seed)
    else:
        network = transfer(
            beginning,
            path,
            recipe.refresh,
            recipe.response_walkers,
            recipe.response_times,
            seed=seed + 1000,
            window=recipe.window,
        )
    curve: list[dict[str, Any]] = []
    done = 0
    for number, stage in enumerate(recipe.stages):
        network = grown(network, stage)
        sampler = lt.Sampler(path, network, late(intervals), device="cpu")
        config = config_of(recipe, stage, seed + 100 * number)
        trainer = lt.Trainer(sampler, config, family=family)
        for quarter in range(1, 5):
            history = trainer.run(max(1, stage.steps * quarter // 4), progress=progress)
            curve.append(_point(history, clock(), done + trainer.step))
        done += trainer.step
        print(f"  stage {number + 1}: {_told(curve[-1])}", flush=True)
    about = {
        "train_seconds": round(clock(), 1),
        "steps": done,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "seed": seed,
        "recipe": asdict(recipe),
        "transferred": beginning is not None,
        "models": 1 + len(family),
    }
    return Trained(sampler, about, curve)


def _point(history: lt.TrainingHistory, seconds: float, step: int) -> dict[str, Any]:
    """Return what held-out samples said last."""
    recent = history.loss[-50:]
    point: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "step": step,
        "loss": float(f"{sum(recent) / len(recent):.4g}"),
    }
    if history.held_out_integral:
        point["integral"] = float(f"{history.held_out_integral[-1]:.4g}")
        point["t"] = [round(t, 4) for t in history.held_out_t]
        point["variance"] = [float(f"{v:.4g}") for v in history.held_out_variance[-1]]
        # The mean of κ over samples of equilibrium vanishes: the health of the data.
        pulls: list[float] = []
        means = history.held_out_corrector[-1]
        errors = history.held_out_corrector_error[-1]
        for mean, error in zip(means, errors, strict=True):
            if error > 0.0:
                pulls.append(mean / error)
        point["largest_corrector_pull"] = round(max(map(abs, pulls), default=math.nan), 2)
    return point


def _told(point: dict[str, Any]) -> str:
    """Return a point of the curve in words."""
    integral = point.get("integral", math.nan)
    return (
        f"step {point['step']}, {point['seconds']:.0f} s, loss {point['loss']:.3g}, "
        f"∫v dt {integral:.3g} on held-out samples"
    )


def kept(made: Trained, file: Path) -> None:
    """Store a sampler and what its training cost, so that other scripts need not train it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lt.save(made.sampler, file)
    text = json.dumps({"about": made.about, "curve": made.curve}, indent=2) + "\n"
    write_text(file.with_suffix(".json"), text)


def read(file: Path) -> Trained:
    """Return what :func:`kept` stored."""
    found = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    return Trained(lt.load(file, "cpu"), found["about"], found["curve"])


def of_local_rates(model: Any, seed: int, steps: int, progress: bool = True) -> Trained:
    """Train rates that read near neighbours and the magnetisation: their events cost next to none.

    Without a response, since tables hold what a site's class and the magnetisation tell alone.
    """
    clock = Clock("cpu")
    network = lt.LocalRates(model, seed=seed)
    sampler = lt.Sampler(lt.AnnealingPath(model), network, lt.Jump(25), device="cpu")
    config = lt.TrainingConfig(
        steps=steps,
        learning_rate=2e-2,
        refresh="swendsen_wang",
        buffer=min(512, 16 * steps),
        rollout=1,
        ema=0.99,
        evaluate_every=max(1, steps // 4),
        evaluation_walkers=2,
        evaluation_block=2,
        held_out=256,
        seed=seed,
    )
    trainer = lt.Trainer(sampler, config)
    curve: list[dict[str, Any]] = []
    for quarter in range(1, 5):
        history = trainer.run(max(1, steps * quarter // 4), progress=progress)
        curve.append(_point(history, clock(), trainer.step))
    print(f"  local rates: {_told(curve[-1])}", flush=True)
    about = {
        "train_seconds": round(clock(), 1),
        "steps": steps,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "seed": seed,
        "recipe": {"network": "LocalRates", "optimizer": "adam", "steps": steps},
    }
    return Trained(sampler, about, curve)


SMOKE = Recipe(
    stages=(Stage(3, (8, 4), 8), Stage(3, (12, 8), 8)),
    buffer=32,
    response_walkers=256,
    response_times=8,
)
"""A moment's training."""

ISING: dict[int, Recipe] = {
    8: Recipe((Stage(7, (64, 32), 400),)),
    16: Recipe(
        (
            Stage(7, (64, 32), 900),
            Stage(11, (96, 64), 900, 0.1),
            Stage(11, (96, 64), 400, 0.1, 32),
        )
    ),
    32: Recipe(
        (
            Stage(11, (96, 64), 500, 0.1, 12, 3e-2, 0.375, whole=True),
            Stage(11, (96, 64), 500, 0.06, 12, 3e-2, 0.375, whole=True),
        ),
        window=15,
        time_power=1.0,
        time_density=0.5,
        held_out_times=24,
        buffer=256,
    ),
}
"""Critical Ising models by length."""

WINDOWED = Recipe((Stage(11, (96, 64), 700, 0.1),), window=15)
"""The critical Ising model of 16 x 16 sites anew, with means over windows as larger ones have."""

CONDITIONED = Recipe(
    (
        Stage(7, (64, 32), 900),
        Stage(11, (96, 64), 900, 0.1),
        Stage(11, (96, 64), 500, 0.1, 32),
    ),
    window=15,
    focus=0.4407,
    gate=(0.2, 0.32),
    # The residual is largest at the transition, three quarters of the way.
    time_power=1.0,
    time_density=0.5,
    held_out_times=24,
)
"""Ising models from the disordered to the ordered phase, by one network."""

GLASS = Recipe(
    (Stage(9, (64, 32), 600, 0.1),),
    refresh="exact",
    gate=(0.1, 0.25),
    time_power=0.8,
    buffer=1024,
    response_walkers=4000,
    response_times=32,
)
"""An Edwards-Anderson instance so small that exact samples are drawn at every β."""

FIELDS = Recipe(
    (Stage(7, (64, 32), 500),),
    refresh="exact",
    response=False,
    fields=True,
    time_power=1.0,
    time_density=0.5,
    held_out_times=16,
    held_out=64,
    bins=24,
    buffer=256,
)
"""Ising models in uniform fields, by one network."""

INSTANCES = Recipe(
    (Stage(13, (96, 64), 500, 0.15, 24),),
    refresh="exact",
    response=False,
    time_power=1.0,
    time_density=0.5,
    held_out=64,
    bins=24,
    buffer=256,
)
"""Edwards-Anderson instances of one size, by one network."""

SMOKE_FIELDS = replace(
    FIELDS, stages=SMOKE.stages, bins=8, buffer=32, held_out=16, held_out_times=4
)
SMOKE_INSTANCES = replace(
    INSTANCES, stages=SMOKE.stages, bins=8, buffer=32, held_out=16, held_out_times=4
)

POTTS = Recipe((Stage(7, (64, 32), 350), Stage(9, (96, 48), 260, 0.05, 48)))
"""The Potts model of three states near its transition."""
