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

WALKERS = 6144
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


def off(
    path: Any,
    integrator: Any,
    mcmc: Any = None,
    transport: Any = None,
    walkers: int = WALKERS,
) -> float:
    """Return by how many standard errors ``E[e^A]`` is off."""
    sampler = lt.Sampler(path, transport, integrator, mcmc, block=walkers, device="cpu")
    found = sampler.sample(walkers, seed=1)
    ratio = LOG_RATIO
    # Of a field it is known by quadrature alone.
    if not isinstance(path.model, lt.PhiFour):
        ratio = path.model.log_z - path.start.log_z
    return pull(found.log_weights, ratio)


def annealed(path: lt.AnnealingPath, walkers: int = WALKERS) -> float:
    return off(path, lt.MapStep(6), lt.HMC(leapfrogs=3, step=0.5), walkers=walkers)


def by_ratios(path: lt.AnnealingPath) -> float:
    return off(path, lt.PathRatio(10, diffusion=0.4))


# Beyond 3.5 sigma by chance once in 2100 seeds, each of them.
SIGMA = 3.5


@pytest.mark.parametrize("name", DENSITIES)
def test_weights_are_exact_whatever_the_energy_is(name: str) -> None:
    assert abs(annealed(to_density(name))) < SIGMA
    assert abs(by_ratios(to_density(name))) < SIGMA


@pytest.mark.parametrize("name", ["two", "plane"])
def test_weights_of_gradient_flows_are_exact(name: str) -> None:
    ratio = lt.PathRatio(10, diffusion=0.6)
    assert abs(off(flow(name), ratio)) < SIGMA
    assert abs(annealed(flow(name))) < SIGMA


@pytest.mark.parametrize("integrator", [lt.MapStep(4), lt.PathRatio(4)])
def test_weights_of_drifts_along_curved_paths_are_exact(integrator: Any) -> None:
    assert abs(off(field(), integrator, None, FixedDrift())) < SIGMA
    move = lt.HMC(leapfrogs=2, step=0.4, fourier=False)
    assert abs(off(field(), integrator, move, FixedDrift())) < SIGMA


def test_weights_of_dense_maps_along_curved_paths_are_exact() -> None:
    path = to_density("plane")
    drift = lt.DenseDrift(path.model, width=8, seed=3)
    with torch.no_grad():
        # A drift that was just made is almost 0 and would test nothing.
        for parameter in drift.parameters():
            parameter.mul_(1.5)
    assert abs(off(path, lt.MapStep(4), None, drift)) < SIGMA


def test_moves_of_the_straight_path_are_seen() -> None:
    # Found at 9.6 sigma: missed with a probability of 1e-9.
    assert abs(annealed(to_density("well", StraightMoves), walkers=16384)) > SIGMA


def test_weights_of_the_straight_path_are_seen() -> None:
    # Found at 12 sigma.
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
    ratio = lt.PathRatio(4)
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
    deviations = []
    for intervals in (8, 16):
        sampler = lt.Sampler(path, integrator=lt.RungeKutta(intervals), block=256, device="cpu")
        found = sampler.sample(256, seed=0)
        assert sampler.transport is path.velocity
        deviations.append(float(found.log_weights.std()))
    # 0.026 and 0.005: the length of the steps is all that makes them vary.
    assert deviations[1] < 0.01
    assert deviations[1] < deviations[0] / 3.0


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
