"""Laws of the φ⁴ model: action, force, conventions, couplings, and what it refuses."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.models.fields import CONVENTIONS, fields_in, log_z_in

SHAPES = [(5,), (2, 2), (4, 3), (2, 3, 4), (2, 3, 2, 3)]


def field_of(shape: tuple[int, ...], walkers: int = 3, seed: int = 0) -> Tensor:
    """Return random fields, float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(walkers, *shape, generator=generator, dtype=torch.float64)


def double(shape: tuple[int, ...], mass_squared: float, quartic: float) -> lt.PhiFour:
    return lt.PhiFour(shape, mass_squared, quartic, torch.float64)


def action_by_sites(x: Tensor, mass_squared: float, quartic: float) -> float:
    """Return the action of one configuration, site after site and bond after bond."""
    total = 0.0
    for site in np.ndindex(*x.shape):
        here = float(x[site])
        for axis, length in enumerate(x.shape):
            there = list(site)
            there[axis] = (site[axis] + 1) % length
            total -= 2.0 * here * float(x[tuple(there)])
        total += (2 * x.ndim + mass_squared) * here**2 + quartic * here**4
    return total


@pytest.mark.parametrize("shape", SHAPES)
def test_action_is_that_of_its_sites_and_bonds(shape: tuple[int, ...]) -> None:
    model = double(shape, -1.3, 0.8)
    x = field_of(shape)
    expected = [action_by_sites(each, -1.3, 0.8) for each in x]
    assert model.energy(x).tolist() == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_force_is_minus_the_gradient(shape: tuple[int, ...]) -> None:
    model = double(shape, -1.3, 0.8)
    x = field_of(shape).requires_grad_()
    (gradient,) = torch.autograd.grad(model.energy(x).sum(), x)
    # What autograd makes of the formula itself, written with rolls.
    square = x * x
    bonds = sum(x * x.roll(-1, axis) for axis in range(1, x.ndim))
    plain = (2 * len(shape) - 1.3) * square + 0.8 * square**2 - 2.0 * bonds
    (expected,) = torch.autograd.grad(plain.sum(), x)
    torch.testing.assert_close(gradient, expected, rtol=1e-13, atol=1e-13)
    force = model.force(x.detach())
    torch.testing.assert_close(force, -expected, rtol=1e-13, atol=1e-13)


def test_autograd_follows_action_and_force_twice() -> None:
    model = double((2, 3), -1.3, 0.8)
    x = field_of((2, 3), 2).requires_grad_()
    assert torch.autograd.gradcheck(model.energy, (x,))
    assert torch.autograd.gradcheck(model.action_and_force, (x,))


def test_force_in_float32_is_near_that_in_float64() -> None:
    x = field_of((4, 4))
    exact = double((4, 4), -4.0, 6.0).action_and_force(x)
    found = lt.PhiFour((4, 4), -4.0, 6.0).action_and_force(x.float())
    assert found.force.dtype == torch.float32
    assert found.action.dtype == torch.float64
    torch.testing.assert_close(found.force.double(), exact.force, rtol=2e-6, atol=2e-5)
    # The sum itself is in float64: what differs is the rounding of the field.
    rounded = double((4, 4), -4.0, 6.0).energy(x.float().double())
    torch.testing.assert_close(found.action, rounded, rtol=1e-14, atol=0.0)


def actions(x: Tensor, kappa: float, own: float) -> Tensor:
    """Return the action of the hopping convention."""
    square = x * x
    terms = (1.0 - 2.0 * own) * square + own * square**2
    for axis in range(1, x.ndim):
        terms = terms - 2.0 * kappa * x * x.roll(-1, axis)
    return terms.flatten(1).sum(1)


def continuum(x: Tensor, mass_squared: float, own: float, share: float) -> Tensor:
    """Return the action with differences, and a quartic term of ``own / share``."""
    square = x * x
    terms = 0.5 * mass_squared * square + own / share * square**2
    for axis in range(1, x.ndim):
        terms = terms + 0.5 * (x.roll(-1, axis) - x) ** 2
    return terms.flatten(1).sum(1)


@pytest.mark.parametrize("shape", [(6,), (4, 4), (2, 3, 4)])
def test_three_conventions_agree(shape: tuple[int, ...]) -> None:
    x = field_of(shape, walkers=5)
    hopping = lt.PhiFour.from_kappa_lambda(shape, 0.27, 0.022, torch.float64)
    expected = actions(fields_in(x, hopping, "kappa"), 0.27, 0.022)
    torch.testing.assert_close(hopping.energy(x), expected, rtol=1e-12, atol=1e-12)
    assert hopping.kappa == pytest.approx(0.27, rel=1e-14)
    for convention, share in (("lambda/4", 4.0), ("lambda/24", 24.0)):
        model = lt.PhiFour.from_continuum(shape, -0.7, 1.9, convention, torch.float64)
        scaled = fields_in(x, model, convention)
        expected = continuum(scaled, -0.7, 1.9, share)
        torch.testing.assert_close(model.energy(x), expected, rtol=1e-12, atol=1e-12)


def test_kappa_is_the_positive_root_for_every_sign_of_the_mass() -> None:
    for mass_squared in (-9.0, -4.0, 0.5):
        model = double((4, 4), mass_squared, 3.0)
        kappa = model.kappa
        own = 3.0 * kappa**2
        again = lt.PhiFour.from_kappa_lambda((4, 4), kappa, own)
        assert again.mass_squared == pytest.approx(mass_squared, rel=1e-13)
        assert again.quartic == pytest.approx(3.0, rel=1e-13)


def log_z_of(action: Callable[[Tensor], Tensor], most: float) -> float:
    """Return log Z of a chain of two sites, by quadrature over fields up to ``most``."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    line = torch.from_numpy(nodes) * most
    weight = torch.from_numpy(np.outer(weights, weights)).flatten() * most**2
    x = torch.cartesian_prod(line, line)
    return math.log(float((weight * torch.exp(-action(x))).sum()))


def test_log_z_in_every_convention() -> None:
    model = double((2,), -0.6, 0.9)
    log_z = log_z_of(model.energy, 3.5)
    kappa = model.kappa
    own: dict[str, Callable[[Tensor], Tensor]] = {
        "kappa": lambda x: actions(x, kappa, 0.9 * kappa**2),
        "lambda/4": lambda x: continuum(x, -0.6, 0.9, 4.0),
        "lambda/24": lambda x: continuum(x, -0.6, 5.4, 24.0),
    }
    assert tuple(own) == CONVENTIONS
    for convention, action in own.items():
        assert log_z_in(log_z, model, convention) == pytest.approx(log_z_of(action, 6.0), abs=1e-10)


def test_ratio_of_a_two_by_two_lattice_by_quadrature() -> None:
    model = double((2, 2), -1.0, 0.9)
    # Sums at equal steps converge exponentially for what decays like this. Half of the first axis
    # stands for all, since the action is even.
    points = 28
    step = 5.0 / points
    line = (torch.arange(points, dtype=torch.float64) + 0.5) * step - 2.5
    x = torch.cartesian_prod(line[points // 2 :], line, line, line).view(-1, 2, 2)
    total = 2.0 * step**4 * float(torch.exp(-model.energy(x)).sum())
    log_z = math.log(total) - lt.FreeField(1.0).on(model).log_z
    # By a transfer matrix with Gauss-Legendre points.
    assert log_z == pytest.approx(1.5557159682, abs=5e-9)


def test_couplings_can_be_told_and_changed() -> None:
    model = double((4, 4), -4.0, 6.0)
    assert model.couplings == {"mass_squared": -4.0, "quartic": 6.0}
    assert list(model.couplings) == ["mass_squared", "quartic"]
    other = model.with_couplings(quartic=5.0)
    assert other.couplings == {"mass_squared": -4.0, "quartic": 5.0}
    assert other.dtype == model.dtype and other.shape == model.shape
    assert type(model)(**model.settings).settings == model.settings
    assert model.at(1.0) is model
    assert model.symmetry == "sign"
    x = field_of((4, 4))
    assert torch.equal(model.energy(x), model.energy(-x))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mass_squared": 0.0, "quartic": 0.0}, "without a quartic term"),
        ({"mass_squared": 1.0, "quartic": -1.0}, "quartic must be finite, 0 or above, got -1.0"),
        ({"mass_squared": math.inf, "quartic": 1.0}, "mass_squared must be finite"),
        ({"mass_squared": 1.0, "quartic": 1.0, "dtype": torch.int8}, "dtype must be torch.float32"),
        ({"mass_squared": 1.0, "quartic": 1.0, "shape": (1, 4)}, "periodic with length 1"),
    ],
)
def test_models_that_are_none_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        lt.PhiFour(**{"shape": (4, 4), **given})


def test_what_does_not_fit_is_refused() -> None:
    model = lt.PhiFour((4, 4), -4.0, 6.0)
    with pytest.raises(ValueError, match=r"beta of PhiFour must be 1.*with_couplings"):
        model.at(0.5)
    with pytest.raises(ValueError, match="couplings of PhiFour are mass_squared, quartic"):
        model.with_couplings(kappa=1.0)
    with pytest.raises(ValueError, match="must be finite"):
        model.energy(torch.full((1, 4, 4), math.nan))
    with pytest.raises(ValueError, match=r"tensor of torch\.float32"):
        model.energy(torch.zeros(1, 4, 4, dtype=torch.int8))
    with pytest.raises(ValueError, match="convention must be"):
        lt.PhiFour.from_continuum((4, 4), 1.0, 1.0, convention="lambda")
    with pytest.raises(ValueError, match="convention must be"):
        log_z_in(1.0, model, "lambda")
    with pytest.raises(ValueError, match="kappa must be a positive number"):
        lt.PhiFour.from_kappa_lambda((4, 4), 0.0, 0.1)
