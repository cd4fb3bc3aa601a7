"""Starts of independent coordinates: their laws, their log Z, and what they are told on."""

import math
from typing import Any

import pytest
import torch

import leaps_triton as lt

DOUBLE = torch.float64
STARTS = [lt.Gaussian(1.5), lt.Laplace(0.7)]
MODEL = lt.GaussianMixture.nine()


@pytest.mark.parametrize("start", STARTS)
def test_log_z_is_that_of_the_energy(start: Any) -> None:
    own = start.on(MODEL)
    # 0 is a point of the grid, where the second has its kink.
    x = torch.linspace(-20.0, 20.0, 40001, dtype=DOUBLE).unsqueeze(1)
    line = float((-own.energy(x)).exp().sum()) * 0.001
    assert own.log_z == pytest.approx(2.0 * math.log(line), abs=1e-6)


@pytest.mark.parametrize("start", STARTS)
def test_samples_are_of_the_energy(start: Any) -> None:
    """``⟨-x·∇log ρ⟩ = d`` and the mean square: four sigma of four, once in 4000 seeds."""
    own = start.on(MODEL)
    x = own.sample(torch.arange(20000), seed=4)
    assert x.shape == (20000, 2) and x.dtype == DOUBLE
    squares = x.square().flatten()
    for values, mean in (
        (-(x * own.force(x)).sum(1), 2.0),
        (squares, start.scale**2 * (1.0 + (type(start) is lt.Laplace))),
        (x.flatten().sign(), 0.0),
        (x[:, 0] * x[:, 1], 0.0),
    ):
        error = float(values.std()) / math.sqrt(len(values))
        assert abs(float(values.mean()) - mean) < 4.0 * error
    assert torch.equal(own.sample(torch.tensor([5, 9]), seed=4), x[[5, 9]])


@pytest.mark.parametrize("start", STARTS)
def test_a_force_is_the_gradient_of_the_energy(start: Any) -> None:
    x = torch.randn(6, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(-start.energy(x).sum(), x)
    torch.testing.assert_close(start.force(x), gradient)


def test_both_ends_of_a_path_are_exact() -> None:
    path = lt.AnnealingPath(MODEL, start=lt.Gaussian(2.0))
    x = MODEL.sample(4, seed=0)
    torch.testing.assert_close(path.log_density(x, 0.0), -path.start.energy(x))
    torch.testing.assert_close(path.log_density(x, 1.0), -MODEL.energy(x))
    torch.testing.assert_close(path.score(x, 1.0), MODEL.force(x))
    middle = 0.25 * MODEL.force(x) + 0.75 * path.start.force(x)
    torch.testing.assert_close(path.score(x, 0.25), middle)
    # A field may start from it too.
    field = lt.AnnealingPath(lt.PhiFour((3, 3), -1.0, 2.0), start=lt.Gaussian(1.0))
    assert field.start.sample(torch.arange(2), 0).dtype == torch.float32
    assert not field.has_couplings


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lt.Gaussian(0.0), "scale of Gaussian must be a positive number, got 0.0"),
        (lambda: lt.Laplace(float("inf")), "scale of Laplace must be a positive number"),
        (lambda: lt.Gaussian().sample(torch.arange(3), 0), "has no shape yet; give it that of a"),
        (lambda: lt.Gaussian().log_z, "has no shape yet; give it that of a model with .on"),
        (lambda: lt.Gaussian().on(lt.Ising((3, 3), 0.4)), "a model of real numbers, got Ising"),
        (lambda: lt.AnnealingPath(MODEL, STARTS[0], lambda t: 0.5 + t / 2), r"schedule\(0\) = 0"),
    ],
)  # fmt: skip
def test_bad_starts(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
