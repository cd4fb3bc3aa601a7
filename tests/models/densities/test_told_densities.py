"""What densities say of themselves: masses of modes that overlap, wells too narrow, errors."""

import math
from typing import Any

import pytest
import torch

import leaps_triton as lt

ROUGH: list[Any] = [
    lt.RungeKutta(3),
    lt.MapStep(3, weights="continuous"),
    lt.PathRatio(3, diffusion=0.1, weights="continuous"),
]


def sampler(model: Any, integrator: Any, drift: Any = None, move: Any = None) -> lt.Sampler:
    path = lt.AnnealingPath(model, start=lt.Gaussian(1.0))
    return lt.Sampler(path, drift, integrator, move, block=64, device="cpu")


def test_shares_of_modes_that_overlap_have_the_mean_of_the_weights() -> None:
    """By quadrature: the modes themselves miss it by two thousandths."""
    model = lt.GaussianMixture.two(separation=1.0)
    x = torch.linspace(-6.0, 6.0, 4001, dtype=torch.float64).unsqueeze(1)
    density = model.log_density(x).exp() * (12.0 / 4000)
    torch.testing.assert_close(density @ model.shares(x), model.mode_weights, rtol=0, atol=1e-12)
    first = density @ (model.modes(x) == 0).double()
    assert 0.0015 < 0.2 - float(first) < 0.003
    # Others are in one mode alone.
    wells = lt.ManyWell(4)
    assert wells.shares(torch.ones(1, 4).double()).tolist() == [[0.0, 0.0, 0.0, 1.0]]


def test_wells_too_narrow_for_their_bins_are_refused() -> None:
    # Laplace's method: the exact value but for 1e-7.
    narrow = lt.ManyWell(1, 1, quadratic=1e3, linear=0.0)
    about = 1e6 / 4.0 + 0.5 * math.log(2.0 * math.pi / 4e3)
    assert narrow.log_z is not None
    assert abs(narrow.log_z - about - math.log(2.0)) < 1e-4
    with pytest.raises(ValueError, match=r"quadratic=10000, linear=0 .* too narrow"):
        lt.ManyWell(2, 1, quadratic=1e4, linear=0.0)


@pytest.mark.parametrize("integrator", ROUGH, ids=["flow", "map", "ratio"])
def test_biased_weights_are_told_where_they_are_read(integrator: Any) -> None:
    model = lt.GaussianMixture.two()
    drift = lt.DenseDrift(model, width=4)
    found = sampler(model, integrator, drift).sample(64, seed=0)
    assert integrator.bias.startswith("biased by ")
    assert ", weights=biased by " in repr(found)
    assert "no error bar shows" in found.notes["bias"]
    exact = sampler(model, lt.MapStep(3), drift).sample(64, seed=0)
    assert "biased" not in repr(exact)
    assert "bias" not in exact.notes


def test_evaluations_of_runge_kutta_are_all_counted() -> None:
    model = lt.GaussianMixture.two()
    found = sampler(model, lt.RungeKutta(3), lt.DenseDrift(model, width=4)).sample(64, seed=0)
    assert found.evaluations == 12.0


def logarithm(x: torch.Tensor) -> torch.Tensor:
    return torch.log(1.0 + x.sum(1))


def wall(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x[:, 0] > 0.0, -x.square().sum(1), -torch.inf)


def test_a_density_of_0_is_named() -> None:
    said = r"log_density, or the energy, of Density\(dim=2\) is not finite where"
    with pytest.raises(RuntimeError, match=said):
        sampler(lt.Density(wall, dim=2), lt.MapStep(4), move=lt.HMC(step=0.1)).sample(64, seed=0)


def test_a_density_that_is_not_finite_is_named() -> None:
    model = lt.Density(logarithm, dim=2)
    said = r"log_density, or the energy, of Density\(dim=2\) is not finite where"
    with pytest.raises(RuntimeError, match=said):
        sampler(model, lt.MapStep(4), move=lt.HMC(step=0.1)).sample(64, seed=0)
    with pytest.raises(RuntimeError, match=said):
        sampler(model, lt.PathRatio(4), lt.DenseDrift(model, width=4)).sample(64, seed=0)


@pytest.mark.parametrize("integrator", [lt.TauLeap(4), lt.Jump(4, reversible="barker")])
def test_reversible_rates_need_states(integrator: Any) -> None:
    name = type(integrator).__name__
    with pytest.raises(ValueError, match=rf"{name} moves sites between q states, .* take MapStep"):
        sampler(lt.GaussianMixture.two(), integrator)
