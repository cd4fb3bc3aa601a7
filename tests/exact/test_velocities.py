"""Velocities of curves on a line, against closed forms and published quadratures."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.exact import (
    laplace_velocity_norm,
    ornstein_uhlenbeck,
    velocity_norm,
    velocity_on_line,
)

DOUBLE = torch.float64

LAPLACE = {4: 33.348979862564, 8: 1308.4339924879, 12: 24272.918924739, 16: 334993.60715666}
LINEAR = {0.1: 4.122167, 0.5: 5.809158, 0.9: 51.572967}
DIFFUSION = {0.1: 1.473938, 0.5: 2.471055, 0.9: 5.034214}


def edges_of(m: float) -> tuple[float, ...]:
    return (-60.0, 0.0, m / 2.0, m, m + 60.0)


def linear_path(m: float) -> lt.AnnealingPath:
    return lt.AnnealingPath(lt.GaussianMixture.two(m), start=lt.Gaussian(1.0))


@pytest.mark.parametrize("m", LAPLACE)
def test_the_laplace_pair_by_closed_form_and_quadrature(m: int) -> None:
    assert laplace_velocity_norm(m) == pytest.approx(LAPLACE[m], rel=1e-12)
    path = lt.AnnealingPath(lt.LaplacePair(m), start=lt.Laplace(1.0))
    found = velocity_norm(path.log_density, 1.0, edges_of(m), panels=400)
    assert found == pytest.approx(LAPLACE[m], rel=1e-10)
    # It grows as m²/2 e^{m/2}.
    assert laplace_velocity_norm(60.0) == pytest.approx(1800.0 * math.exp(30.0), rel=0.1)


def test_the_laplace_pair_on_the_way() -> None:
    path = lt.AnnealingPath(lt.LaplacePair(4.0), start=lt.Laplace(1.0))
    for t, expected in ((0.0, 0.70346607146), (0.5, 6.67775940339)):
        found = velocity_norm(path.log_density, t, edges_of(4.0), panels=400)
        assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("t", "linear"), LINEAR.items())
def test_two_modes_along_both_curves(t: float, linear: float) -> None:
    path = linear_path(2.0)
    assert velocity_norm(path.log_density, t, panels=800) == pytest.approx(linear, rel=1e-6)
    curve = ornstein_uhlenbeck(path.model, 1.0)
    assert velocity_norm(curve, t, panels=800) == pytest.approx(DIFFUSION[t], rel=1e-6)


@pytest.mark.parametrize(("m", "linear", "diffusion"), [(2.0, 17.184, 2.887), (4.0, 3.3e10, 13.52)])
def test_integrals_over_both_curves(m: float, linear: float, diffusion: float) -> None:
    path = linear_path(m)
    curve = ornstein_uhlenbeck(path.model, 1.0)
    nodes, weights = np.polynomial.legendre.leggauss(64)
    times = [float(node) for node in (nodes + 1.0) / 2.0]

    def integral(density: Any) -> float:
        norms = [velocity_norm(density, t, panels=320) for t in times]
        return float(np.dot(weights, norms)) / 2.0

    assert integral(path.log_density) == pytest.approx(linear, rel=1e-2 if m == 4.0 else 5e-5)
    assert integral(curve) == pytest.approx(diffusion, rel=4e-4)


def test_mass_is_teleported_by_the_linear_path_alone() -> None:
    for m, shares in ((2.0, (0.584, 0.666, 0.739)), (4.0, (0.586, 0.667, 0.739))):
        for t, share in zip((0.25, 0.5, 0.75), shares, strict=True):
            found = velocity_on_line(linear_path(m).log_density, t)
            mass = found.weights * found.density
            assert float(mass.sum()) == pytest.approx(1.0, abs=1e-12)
            assert float(mass[found.points > 0].sum()) == pytest.approx(share, abs=5e-4)


def test_a_gaussian_that_moves_and_widens() -> None:
    """Mean ``3t`` and width ``1 + t``: ``v = 3 + (x - 3t) / (1 + t)``, and ``‖v‖² = 10``."""

    def moving(x: Tensor, t: Tensor) -> Tensor:
        return -0.5 * ((x[:, 0] - 3.0 * t) / (1.0 + t)) ** 2

    found = velocity_on_line(moving, 0.5)
    near = (found.points - 1.5).abs() < 8.0
    expected = 3.0 + (found.points - 1.5) / 1.5
    torch.testing.assert_close(found.velocity[near], expected[near], rtol=1e-9, atol=1e-9)
    assert velocity_norm(moving, 0.5) == pytest.approx(10.0, rel=1e-12)


def test_the_diffusion_curve_has_its_ends_and_its_velocity() -> None:
    """``v_t = (x + s² ∇log ρ_t) / t`` along the curve, in any dimension exact at ``t = 1``."""
    model = lt.GaussianMixture.two(2.0)
    curve = ornstein_uhlenbeck(model, 1.5)
    x = torch.linspace(-3.0, 3.0, 7, dtype=DOUBLE).unsqueeze(1)
    torch.testing.assert_close(curve(x, torch.ones(1)), -model.energy(x))
    start = lt.Gaussian(1.5).on(model)
    torch.testing.assert_close(curve(x, torch.zeros(1)), -start.energy(x) - start.log_z)
    time = torch.tensor([0.6], dtype=DOUBLE)
    found = velocity_on_line(curve, 0.6)
    near = found.points.abs() < 4.0
    points = found.points[near].unsqueeze(1)
    score = torch.func.grad(lambda y: curve(y, time).sum())(points)
    expected = ((points + 1.5**2 * score) / 0.6)[:, 0]
    torch.testing.assert_close(found.velocity[near], expected, rtol=1e-8, atol=1e-8)
    nine = lt.GaussianMixture.nine()
    y = nine.sample(4, seed=0)
    torch.testing.assert_close(ornstein_uhlenbeck(nine, 4.0)(y, torch.ones(1)), -nine.energy(y))


def flat(x: Tensor, t: Tensor) -> Tensor:
    return -x.square() + t


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: velocity_norm(flat, 0.5, panels=9), "must be a function to finite numbers"),
        (lambda: velocity_norm(flat, float("nan")), "t must be a finite number"),
        (lambda: velocity_norm(flat, 0.5, (1.0, 0.0)), "edges must be two rising numbers or more"),
        (lambda: velocity_norm(flat, 0.5, (1.0,)), "edges must be two rising numbers or more"),
        (lambda: velocity_norm(flat, 0.5, panels=0), "panels must be an integer of at least 1"),
        (lambda: laplace_velocity_norm(0.0), "separation must be a positive number"),
        (lambda: ornstein_uhlenbeck(lt.GaussianMixture.two(), 0.0), "scale must be a positive"),
    ],
)
def test_bad_arguments_of_curves(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
