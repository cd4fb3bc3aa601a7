"""Weights along curved paths: exact whatever the energy is, and wrong variants that are seen."""

from typing import Any

import pytest
import torch

import leaps_triton as lt
from curve_cases import (
    Bent,
    Diffused,
    StraightMoves,
    StraightWeights,
    bent,
    double_well,
    plane,
    pull,
)
from flow_cases import LOG_RATIO, SHAPE, FixedDrift
from leaps_triton.paths import corrections

WALKERS = 8192
DENSITIES = {"well": (double_well, 1.2), "plane": (plane, 1.5)}


def to_density(name: str, kind: type[lt.AnnealingPath] = lt.AnnealingPath) -> lt.AnnealingPath:
    model, scale = DENSITIES[name]
    return kind(model(), lt.Gaussian(scale), correction=bent)


def flow(name: str) -> lt.GradientFlowPath:
    model = {"two": lt.GaussianMixture.two(1.5), "plane": plane()}[name]
    return lt.GradientFlowPath(model, Diffused(model, 1.5, 0.5), start=lt.Gaussian(1.5))


def field() -> lt.AnnealingPath:
    model = lt.PhiFour(SHAPE, mass_squared=-1.0, quartic=0.9, dtype=torch.float64)
    return lt.AnnealingPath(model, start=lt.FreeField(1.0), correction=bent)


def off(path: Any, integrator: Any, mcmc: Any = None, transport: Any = None) -> float:
    """Return by how many standard errors ``E[e^A]`` is off."""
    sampler = lt.Sampler(path, transport, integrator, mcmc, block=WALKERS, device="cpu")
    found = sampler.sample(WALKERS, seed=1)
    ratio = LOG_RATIO
    if transport is None:
        ratio = path.model.log_z - path.start.log_z
    return pull(found.log_weights, ratio)


def annealed(path: lt.AnnealingPath) -> float:
    return off(path, lt.MapStep(6), lt.HMC(leapfrogs=3, step=0.5))


def by_ratios(path: lt.AnnealingPath) -> float:
    return off(path, lt.PathRatio(10, diffusion=0.4, preconditioner=None))


# Beyond 3.5 sigma by chance once in 2100 seeds, each of them.
SIGMA = 3.5


@pytest.mark.parametrize("name", DENSITIES)
def test_weights_are_exact_whatever_the_energy_is(name: str) -> None:
    assert abs(annealed(to_density(name))) < SIGMA
    assert abs(by_ratios(to_density(name))) < SIGMA


@pytest.mark.parametrize("name", ["two", "plane"])
def test_weights_of_gradient_flows_are_exact(name: str) -> None:
    ratio = lt.PathRatio(10, diffusion=0.6, preconditioner=None)
    assert abs(off(flow(name), ratio)) < SIGMA
    assert abs(annealed(flow(name))) < SIGMA


@pytest.mark.parametrize("integrator", [lt.MapStep(4), lt.PathRatio(4)])
def test_weights_of_drifts_along_curved_paths_are_exact(integrator: Any) -> None:
    assert abs(off(field(), integrator, None, FixedDrift())) < SIGMA
    move = lt.HMC(leapfrogs=2, step=0.4, fourier=False)
    assert abs(off(field(), integrator, move, FixedDrift())) < SIGMA


def test_moves_of_the_straight_path_are_seen() -> None:
    # Found at 6.8 sigma: seen with a probability above 99.9 %.
    assert abs(annealed(to_density("well", StraightMoves))) > SIGMA


def test_weights_of_the_straight_path_are_seen() -> None:
    # Found at 14 sigma.
    assert abs(annealed(to_density("plane", StraightWeights))) > SIGMA


def test_an_energy_that_is_there_at_the_end_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "_bump", lambda times: times)
    # All of these were found beyond 15 sigma.
    assert abs(annealed(to_density("well"))) > SIGMA
    assert abs(by_ratios(to_density("plane"))) > SIGMA
    for integrator in (lt.MapStep(4), lt.PathRatio(4)):
        assert abs(off(field(), integrator, None, FixedDrift())) > SIGMA


def test_blocks_and_resampling_of_a_curved_path() -> None:
    path = to_density("plane")
    move = lt.HMC(step=0.5)
    options: dict[str, Any] = {"resample_below": 0.9, "block": 512, "device": "cpu"}
    sampler = lt.Sampler(path, None, lt.MapStep(6), move, **options)
    found = sampler.sample(4096, seed=2)
    assert int(found.resamplings.sum()) > 0
    # Eight blocks: a t distribution of seven degrees, beyond 5 once in 640 seeds.
    assert abs(found.log_z - path.model.log_z) < 5.0 * found.log_z_error
    later = sampler.sample(512, seed=2, first_block=3)
    assert torch.equal(later.configurations, found.configurations[3 * 512 : 4 * 512])


def test_a_sampler_without_transport_follows_the_velocity_of_its_path() -> None:
    path = flow("plane")
    ratio = lt.PathRatio(4, preconditioner=None)
    sampler = lt.Sampler(path, integrator=ratio, block=64, device="cpu")
    assert sampler.transport is path.velocity
    told = lt.Sampler(path, path.velocity, ratio, block=64, device="cpu")
    assert torch.equal(sampler.sample(64).log_weights, told.sample(64).log_weights)
    assert isinstance(lt.Sampler(path, device="cpu").integrator, lt.PathRatio)
    # A map needs a bound on the slope, which no velocity has: moves alone.
    annealing = lt.Sampler(path, None, lt.MapStep(4), lt.HMC(step=0.5), device="cpu")
    assert annealing.transport is None
    with pytest.raises(ValueError, match="the walkers would never move"):
        lt.Sampler(path, None, lt.MapStep(4), device="cpu")
    assert sampler.with_block(32).transport is path.velocity


def test_the_exact_curve_has_almost_constant_weights() -> None:
    model = lt.GaussianMixture.two(1.5)
    path = lt.GradientFlowPath(model, Diffused(model, 1.5), start=lt.Gaussian(1.5))
    ratio = lt.PathRatio(40, diffusion=0.6, preconditioner=None)
    found = lt.Sampler(path, integrator=ratio, block=512, device="cpu").sample(512, seed=0)
    # 0.87, less than 1 by the length of the steps.
    assert found.ess > 0.75


def test_what_is_learned_goes_to_the_device_of_the_sampler() -> None:
    class Watched(Bent):
        moved = ""

        def to(self, *args: Any, **options: Any) -> Any:
            self.moved = str(args[0])
            return super().to(*args, **options)

    energy = Watched(plane())
    path = lt.AnnealingPath(plane(), lt.Gaussian(1.5), correction=energy)
    lt.Sampler(path, None, lt.MapStep(4), lt.HMC(step=0.5), device="cpu")
    assert energy.moved == "cpu"
