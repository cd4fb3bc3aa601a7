"""Weights along drifts and curves that were trained in the plane, against quadrature."""

from typing import Any

import pytest
import torch

import leaps_triton as lt
from curve_cases import StraightWeights, plane, pull
from dense_cases import Grid, excess_of

MODEL = plane()
START = lt.Gaussian(1.5)
# Six widths of the start, beyond which is 1e-10 of it. Its sums err by 2e-5 of trained maps, which
# bend what stands under them, and by half a millionth on 241².
GRID = Grid.of(2, 10.0, 181)
# Beyond 3.5 sigma by chance once in 2100 seeds, each of them.
SIGMA = 3.5
KINDS = ("annealed", "free", "flow")

SMALL: dict[str, Any] = {
    "steps": 88,
    "adam_steps": 80,
    "bins": 8,
    "buffer": 128,
    "times": 4,
    "walkers": 32,
    "learning_rate": 3e-2,
    "warmup": 5,
    "box": 5.0,
    "seed": 4,
}


def trained(kind: str) -> Any:
    """The sampler after a training of a moment: drifts lose most of their residual in it."""
    energy = lt.LearnedEnergy(MODEL, width=6, seed=1)
    drift: Any = lt.DenseDrift(MODEL, width=6, seed=1)
    path: Any = lt.AnnealingPath(MODEL, start=START)
    if kind == "free":
        path = lt.AnnealingPath(MODEL, start=START, correction=energy)
    if kind == "flow":
        path = lt.GradientFlowPath(MODEL, energy, start=START)
        new = lt.GradientFlowPath(MODEL, lt.LearnedEnergy(MODEL, width=6, seed=1), start=START)
        drift = None
    sampler = lt.Sampler(path, drift, lt.PathRatio(4), device="cpu")
    history = lt.Trainer(sampler, lt.TrainingConfig.gauss_newton(**SMALL)).run()
    if kind == "flow":
        # Gradient flows learn slowly, and the curve has moved all the same.
        x = MODEL.sample(256, seed=0)
        moved = path.log_density(x, 0.5) - new.log_density(x, 0.5)
        assert float(moved.detach().std()) > 0.1
    else:
        assert history.test_residual[-1] < 0.3 * history.test_residual[0]
    return sampler


@pytest.fixture(scope="module")
def samplers() -> dict[str, Any]:
    return {kind: trained(kind) for kind in KINDS}


def off(path: Any, drift: Any, integrator: Any, mcmc: Any = None, walkers: int = 4096) -> float:
    """By how many standard errors ``E[e^A]`` is off."""
    sampler = lt.Sampler(path, drift, integrator, mcmc, block=walkers, device="cpu")
    found = sampler.sample(walkers, seed=5)
    return pull(found.log_weights, MODEL.log_z - path.start.log_z)


@pytest.mark.parametrize("kind", ["annealed", "free"])
def test_maps_along_trained_drifts_are_exact(kind: str, samplers: dict[str, Any]) -> None:
    """Without noise: the flow of Runge and Kutta misses by ten times as much at least."""
    made = samplers[kind]
    with torch.no_grad():
        assert abs(excess_of(made.path, lt.MapStep(3), made.transport, GRID)) < 2e-5
        assert abs(excess_of(made.path, lt.RungeKutta(2), made.transport, GRID)) > 2e-4


@pytest.mark.parametrize("kind", KINDS)
def test_noisy_steps_along_what_was_trained_are_exact(kind: str, samplers: dict[str, Any]) -> None:
    made = samplers[kind]
    assert abs(off(made.path, made.transport, lt.PathRatio(10, diffusion=0.6))) < SIGMA


@pytest.mark.parametrize("kind", ["free", "flow"])
def test_annealing_along_trained_curves_is_exact(kind: str, samplers: dict[str, Any]) -> None:
    path = samplers[kind].path
    assert abs(off(path, None, lt.MapStep(6), lt.HMC(leapfrogs=3, step=0.5))) < SIGMA


def test_a_trained_curve_that_weights_leave_out_is_seen(samplers: dict[str, Any]) -> None:
    path = samplers["free"].path
    wrong = StraightWeights(MODEL, START, correction=path.learned)
    assert abs(off(wrong, None, lt.MapStep(6), lt.HMC(leapfrogs=3, step=0.5))) > SIGMA
