"""Times from pilot walkers.

Equal ESS losses, and equal steps of a thermodynamic length that is known.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import random_network
from leaps_triton import exact
from leaps_triton.samplers.schedules import (
    _levelled,
    constant_ess,
    equal_steps,
    thermodynamic_length,
)

FLOAT64 = torch.float64
FREE = lt.Ising((3, 3), beta=1.5, coupling=0.0, field=1.2)
MODEL = lt.Ising((4, 4), beta=0.6, field=0.1)


def make(model: Any, kind: str = "ais", intervals: int = 20, **options: Any) -> lt.Sampler:
    path = lt.AnnealingPath(model, schedule=options.pop("schedule", None))
    network = random_network(path.model, scale=0.3).float() if kind == "learned" else None
    mcmc = None if kind == "learned" else lt.HeatBath()
    return lt.Sampler(path, network, lt.Jump(intervals), mcmc, device="cpu", **options)


def free_times(intervals: int) -> Tensor:
    """Independent sites.

    ``Var H = N h² / cosh²(βh)``, length ``√N gd(βh)``, ``gd⁻¹(u) = asinh(tan u)``.
    """
    x = FREE.beta * 1.2
    share = torch.linspace(0.0, 1.0, intervals + 1, dtype=FLOAT64)
    return torch.asinh(torch.tan(share * 2.0 * math.atan(math.tanh(x / 2.0)))) / x


def free_speed(times: Tensor) -> Tensor:
    """From enumeration."""
    speeds = []
    for t in times.tolist():
        rho = exact.enumerate_model(FREE, beta=t * FREE.beta)
        energy = FREE.energy(rho.configurations)
        mean = rho.log_probabilities.exp() @ energy
        speeds.append(FREE.beta * (rho.log_probabilities.exp() @ (energy - mean) ** 2).sqrt())
    return torch.stack(speeds)


def test_equal_steps_of_a_known_length() -> None:
    """With variances from enumeration: the analytic times, to second order in the grid."""
    errors = []
    for points in (26, 101):
        grid = torch.linspace(0.0, 1.0, points, dtype=FLOAT64)
        made = equal_steps(grid, free_speed(grid), 8)
        errors.append(float((made - free_times(8)).abs().max()))
    assert errors[1] < 1e-4
    assert errors[0] / errors[1] == pytest.approx(16.0, rel=0.15)
    assert float((free_times(8) - torch.linspace(0.0, 1.0, 9)).abs().max()) > 0.1


def test_equal_steps_may_stand_still() -> None:
    """Where the speed is 0 there is no length."""
    grid = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=FLOAT64)
    made = equal_steps(grid, torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=FLOAT64), 2)
    assert made.tolist() == pytest.approx([0.0, 0.25 * (1.0 - math.sqrt(0.5)), 1.0], abs=1e-4)
    made = equal_steps(grid, torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=FLOAT64), 1)
    assert made.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("kind", ["ais", "smc", "curved"])
def test_thermodynamic_length_from_pilot_walkers(kind: str) -> None:
    """The analytic times to 0.01; a curved schedule passes the same temperatures."""
    schedule = (lambda t: t**2) if kind == "curved" else None
    options: dict[str, Any] = {"resample_below": 0.8} if kind == "smc" else {}
    sampler = make(FREE, intervals=50, schedule=schedule, **options)
    made = thermodynamic_length(sampler, 8, walkers=4000, seed=1)
    assert made.dtype == FLOAT64 and made.shape == (9,)
    expected = free_times(8).sqrt() if kind == "curved" else free_times(8)
    assert float((made - expected).abs().max()) < 0.01
    assert torch.equal(made, thermodynamic_length(sampler, 8, walkers=4000, seed=1))
    assert not torch.equal(made, thermodynamic_length(sampler, 8, walkers=4000, seed=2))


def losses(model: Any, times: Tensor, seed: int) -> Tensor:
    """``1 - ESS`` from each frozen time to the next, by SMC that resamples at every boundary."""
    sampler = lt.Sampler(
        lt.AnnealingPath(model), None, lt.Jump(times), lt.HeatBath(), 1.0, block=8000, device="cpu"
    )
    return 1.0 - sampler.sample(8000, seed).ess_trace[1:-1]


@pytest.mark.parametrize("model", [FREE, MODEL], ids=["free", "ising"])
def test_losses_are_equal(model: Any) -> None:
    """To 20 % of their mean, after 4000 pilot walkers, in a run of its own.

    On uniform times they are not.
    """
    times = constant_ess(make(model), 0.97, walkers=4000, seed=1)
    assert times[0] == 0.0 and times[-1] == 1.0 and (times.diff() > 0).all()
    adapted = losses(model, times, seed=2)
    uniform = losses(model, torch.linspace(0.0, 1.0, len(times), dtype=FLOAT64), seed=2)
    assert len(adapted) >= 10
    assert float((adapted / adapted.mean() - 1.0).abs().max()) < 0.2
    assert float((uniform / uniform.mean() - 1.0).abs().max()) > 0.5


def test_the_last_interval_of_running_weights_is_levelled_too() -> None:
    """Its loss is 0.92 of the mean, of a standard error of 0.02; left to its neighbour, 0.61."""
    jump = lt.Jump(10, weights="running")
    path = lt.AnnealingPath(FREE)
    sampler = lt.Sampler(path, None, jump, lt.HeatBath(), 1.0, block=4000, device="cpu")
    times = jump.times
    for _ in range(2):
        times = _levelled(sampler, times, torch.arange(2000), seed=1)
    made = sampler.with_integrator(lt.Jump(times, weights="running")).sample(4000, seed=2)
    lost = 1.0 - made.ess_trace[1:]
    # Four standard errors away: a false alarm once in 10⁴ seeds.
    assert float(lost[-1] / lost.mean()) > 0.83


def test_the_ladder_has_the_ess_asked_for() -> None:
    """Free sites, redrawn exactly at ``τ``.

    ``E[w]² / E[w²] = Z(β + δ)² / (Z(β) Z(β + 2δ))`` of a half; to 10 %.
    """
    for ess in (0.97, 0.9):
        times = constant_ess(make(FREE), ess, walkers=3000, seed=3, rounds=0)

        def log_z(t: Tensor) -> Tensor:
            return 9.0 * torch.log(2.0 * torch.cosh(1.2 * FREE.beta * t))

        low, high = times[:-1], times[1:]
        middle = (low + high) / 2
        first = 2.0 * log_z(middle) - log_z(low) - log_z(2.0 * middle - low)
        second = 2.0 * log_z(high) - log_z(middle) - log_z(2.0 * high - middle)
        loss = 1.0 - torch.exp(first + second)
        assert float((loss[:-1] / (1.0 - ess) - 1.0).abs().max()) < 0.1
        assert loss[-1] < 1.1 * (1.0 - ess)


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
@pytest.mark.parametrize("kind", ["ais", "smc", "learned"])
@pytest.mark.parametrize("how", ["ess", "length"])
def test_every_sampler_takes_the_times(kind: str, how: str) -> None:
    options: dict[str, Any] = {"resample_below": 0.5, "block": 32} if kind == "smc" else {}
    sampler = make(MODEL, kind, intervals=5, **options)
    if how == "ess":
        times = constant_ess(sampler, 0.8, walkers=128, seed=1)
        assert torch.equal(times, constant_ess(sampler, 0.8, walkers=128, seed=1))
        assert not torch.equal(times, constant_ess(sampler, 0.8, walkers=128, seed=2))
    else:
        times = thermodynamic_length(sampler, 6, walkers=128, seed=1)
    assert times[0] == 0.0 and times[-1] == 1.0 and (times.diff() > 0).all()
    run = sampler.with_integrator(sampler.integrator.with_times(times)).sample(256, seed=4)
    assert abs(run.log_z - exact.log_z(MODEL)) < 5 * run.log_z_error
    assert sampler.integrator.intervals == 5


def test_other_times_keep_the_rest_of_the_integrator() -> None:
    jump = lt.Jump(3, reversible="barker", scale=2.0, max_events=77).with_times([0.0, 0.3, 1.0])
    assert (jump.intervals, jump.reversible, jump.scale, jump.max_events) == (2, "barker", 2.0, 77)


def test_an_ess_that_one_interval_has_needs_no_more() -> None:
    assert constant_ess(make(lt.Ising((2, 2), beta=1e-3)), 0.9, walkers=64).tolist() == [0.0, 1.0]


def test_what_is_refused() -> None:
    sampler = make(MODEL)
    for ess in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="ess must be between 0 and 1"):
            constant_ess(sampler, ess)
    with pytest.raises(ValueError, match="walkers must be an integer of at least 2, got 1"):
        constant_ess(sampler, 0.9, walkers=1)
    with pytest.raises(ValueError, match="seed must be"):
        constant_ess(sampler, 0.9, seed=-1)
    with pytest.raises(
        RuntimeError, match=r"an ESS of 0.999 an interval needs more than 2 intervals"
    ):
        constant_ess(sampler, 0.999, walkers=64, max_intervals=2)
    with pytest.raises(ValueError, match="intervals must be an integer of at least 1, got 0"):
        thermodynamic_length(sampler, 0, walkers=16)
    with pytest.raises(ValueError, match="walkers must be"):
        thermodynamic_length(sampler, 3, walkers=0)
    still = make(lt.Ising((2, 2), beta=1.0, coupling=0.0))
    with pytest.raises(ValueError, match=r"speed must be finite, >= 0 and somewhere > 0"):
        thermodynamic_length(still, 3, walkers=16)
