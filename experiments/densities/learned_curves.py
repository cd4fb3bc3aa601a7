"""Curves of densities that are learned, with the drifts that follow them."""

from dataclasses import dataclass
from typing import Any

from known_targets import Known

import leaps_triton as lt
from leaps_triton.bench.timing import Clock

LEARNED = ("drift", "free path", "Máté–Fleuret", "gradient flow")
"""Methods that are trained."""

MAPS = (10, 20)
"""Intervals of maps along a drift, among which a pilot chooses."""

NODES: dict[str, Any] = {"refresh": "nodes", "bins": 48, "buffer": 128, "learning_rate": 1e-2}
"""Trainings in one or two dimensions: points of a box."""

CHAINS: dict[str, Any] = {
    "refresh": "hmc",
    "bins": 32,
    "times": 8,
    "walkers": 64,
    "buffer": 256,
    "rollout": 256,
    "learning_rate": 5e-3,
    "clip": 10.0,
}
"""Trainings in more dimensions: chains that keep the densities of the curve."""

SMALL: dict[str, Any] = {"bins": 8, "buffer": 32, "rollout": 32}
"""What a run of a moment has of both."""


@dataclass(frozen=True)
class Trained:
    """A training: what it made, and what it took."""

    path: Any
    transport: Any
    seconds: float
    told: dict[str, Any]
    noisy: tuple[tuple[int, float], ...]


def untrained(method: str, known: Known, seed: int) -> tuple[Any, Any]:
    """Return path and transport of a method before its training.

    Args:
        method: one of ``LEARNED``.
        known: the target.
        seed: of initial parameters.
    """
    model = known.make()
    start = known.start()
    if method == "gradient flow":
        energy = lt.LearnedEnergy(model, width=known.width, seed=seed)
        return lt.GradientFlowPath(model, energy, start=start), None
    correction = None
    if method != "drift":
        correction = lt.LearnedEnergy(model, width=known.width, seed=seed)
    path = lt.AnnealingPath(model, start=start, correction=correction)
    if known.dense:
        return path, lt.DenseDrift(model, width=known.width, seed=seed)
    return path, lt.HollowDenseDrift(model, width=known.width, seed=seed)


def config_of(method: str, known: Known, seed: int, smoke: bool) -> Any:
    """Return the settings of a training.

    On nodes Adam makes first steps, and those of Gauss and Newton follow; a learned constant, and
    chains, take Adam alone.
    """
    given: dict[str, Any] = {"seed": seed}
    adam = known.adam
    if smoke:
        adam = 20
    if known.nodes:
        given |= NODES
        if method != "Máté–Fleuret":
            newton = known.newton
            if smoke:
                newton = 1
                given |= SMALL
            given |= {"adam_steps": adam, "steps": adam + newton}
            return lt.TrainingConfig.gauss_newton(**given)
        # A step of Gauss and Newton costs about 20 of Adam.
        adam = adam + 20 * known.newton
        if smoke:
            adam = 20
    else:
        given |= CHAINS
    given |= {"optimizer": "adam", "steps": adam}
    if smoke:
        given |= SMALL
    if method == "Máté–Fleuret":
        given["baseline"] = "learned"
    return lt.TrainingConfig(**given)


def train(method: str, known: Known, seed: int, smoke: bool) -> Trained:
    """Return what a method has learned.

    Args:
        method: one of ``LEARNED``.
        known: the target.
        seed: of parameters and training.
        smoke: whether to stop after a moment.
    """
    path, transport = untrained(method, known, seed)
    sampler = lt.Sampler(path, transport, lt.PathRatio(20), device="cpu")
    config = config_of(method, known, seed, smoke)
    clock = Clock("cpu")
    history = lt.Trainer(sampler, config).run()
    seconds = clock()
    told: dict[str, Any] = {
        "optimizer": config.optimizer,
        "refresh": config.refresh,
        "steps": len(history.loss),
        "seconds": round(seconds, 2),
    }
    if history.test_residual:
        told["residual"] = [history.node_residual[0], history.node_residual[-1]]
        told["test_residual"] = [history.test_residual[0], history.test_residual[-1]]
    print(f"  {method}: {told}", flush=True)
    return Trained(path, transport, seconds, told, known.noisy)


def samplers_of(
    trained: Trained, moves: dict[int, Any], block: int, smoke: bool
) -> dict[str, lt.Sampler]:
    """Return the samplers among which the pilot of a learned method chooses.

    Args:
        trained: path and transport.
        moves: trajectories to be made between steps, by their leapfrogs.
        block: walkers of a block.
        smoke: whether there is only one to choose.
    """
    integrators: dict[str, Any] = {}
    # The velocity of a gradient flow has no proven slope, and so no maps.
    if trained.transport is not None:
        for count in MAPS:
            integrators[f"{count} maps"] = lt.MapStep(count)
    for count, diffusion in trained.noisy:
        name = f"{count} noisy steps, ε = {diffusion}"
        integrators[name] = lt.PathRatio(count, diffusion=diffusion)
    between: dict[str, Any] = {"": None}
    if moves:
        least = min(moves)
        between[f", {least} leapfrogs"] = moves[least]
    if smoke:
        first = next(iter(integrators))
        integrators = {first: integrators[first]}
        between = {"": None}
    found = {}
    for name, integrator in integrators.items():
        for words, move in between.items():
            found[name + words] = lt.Sampler(
                trained.path, trained.transport, integrator, move, block=block, device="cpu"
            )
    return found


def followed(trained: Trained, block: int) -> lt.Sampler:
    """Return the sampler in which the drift alone moves walkers, or the least noise that can be."""
    integrator: Any = lt.MapStep(20)
    if trained.transport is None:
        integrator = lt.PathRatio(80, diffusion=0.1)
    return lt.Sampler(trained.path, trained.transport, integrator, block=block, device="cpu")
