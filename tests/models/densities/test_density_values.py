"""Log Z, forces, samples and masses of densities, against quadratures that share no code."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import leaps_triton as lt

DOUBLE = torch.float64

FAMILIES: dict[str, Any] = {
    "two": lt.GaussianMixture.two(1.5),
    "nine": lt.GaussianMixture.nine(),
    "forty": lt.GaussianMixture.forty(),
    "three widths": lt.GaussianMixture(
        [[0.0, 1.0, 2.0], [-1.0, 0.0, 1.0], [2.0, 2.0, 0.0]], [0.5, 1.0, 2.0], [1.0, 2.0, 3.0]
    ),
    "pairs": lt.ManyWell(6),
    "squares": lt.ManyWell.squares(dim=5, wells=3, delta=2.0),
    "funnel": lt.Funnel(dim=4, scale=1.0),
    "laplace": lt.LaplacePair(4.0),
}
each = pytest.mark.parametrize("name", FAMILIES)


def on_a_line(energy: Callable[[Any], Any], low: float, high: float) -> float:
    """``log ∫ e^{-U}`` by the trapezoid rule, which converges exponentially for smooth ``U``."""
    x = np.linspace(low, high, 40001)
    values = energy(x)
    least = values.min()
    return math.log(np.trapezoid(np.exp(least - values), x)) - least


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (lt.ManyWell.squares(dim=5, wells=5, delta=4.0), -0.541055512879),
        (lt.ManyWell.squares(dim=50, wells=5, delta=2.0), 42.8172426775),
        (lt.ManyWell(2), 10.2934797071),
        (lt.ManyWell.pairs(32), 164.695675313),
    ],
)
def test_log_z_of_many_wells_is_the_published_one(model: Any, told: float) -> None:
    # As many digits as were told.
    assert model.log_z == pytest.approx(told, abs=1e-9)


def test_log_z_of_wells_is_that_of_another_quadrature() -> None:
    gauss = 0.5 * math.log(2.0 * math.pi)
    one = on_a_line(lambda y: (y**2 - 4.0) ** 2, -5.0, 5.0)
    assert lt.ManyWell.squares(5, 5, 4.0).log_z == pytest.approx(5.0 * one, abs=1e-11)
    two = on_a_line(lambda y: (y**2 - 2.0) ** 2, -5.0, 5.0)
    found = lt.ManyWell.squares(50, 5, 2.0).log_z
    assert found == pytest.approx(5.0 * two + 45.0 * gauss, abs=1e-10)
    pair = on_a_line(lambda y: y**4 - 6.0 * y**2 - 0.5 * y, -6.0, 6.0) + gauss
    assert lt.ManyWell(32).log_z == pytest.approx(16.0 * pair, abs=1e-10)
    # A single well, far from the middle.
    steep = on_a_line(lambda y: y**4 + 3.0 * y**2 - 60.0 * y + 1.0, -6.0, 6.0)
    model = lt.ManyWell(1, 1, quadratic=-3.0, linear=60.0, constant=1.0)
    assert model.log_z == pytest.approx(steep, abs=1e-11)


@pytest.mark.parametrize("name", ["two", "laplace"])
def test_energies_on_a_line_have_their_log_z(name: str) -> None:
    model = FAMILIES[name]
    # The kinks of the second, at 0, 2 and 4, are points of the grid.
    found = on_a_line(
        lambda x: model.energy(torch.as_tensor(x, dtype=DOUBLE).unsqueeze(1)).numpy(), -40.0, 40.0
    )
    # A grid of h = 0.002 has an error of h²/12 at a kink, where the slope jumps by 2.
    tolerance = 1e-11 if name == "two" else 2e-6
    assert model.log_z == pytest.approx(found, abs=tolerance)


@pytest.mark.parametrize(("name", "width"), [("nine", 9.0), ("forty", 50.0)])
def test_energies_on_a_plane_have_their_log_z(name: str, width: float) -> None:
    model = FAMILIES[name]
    # Half a width of a mode apart, points make the trapezoid rule exact to 1e-17.
    step = 0.5 * float(model.scales.min())
    line = torch.arange(-width, width, step, dtype=DOUBLE)
    points = torch.cartesian_prod(line, line)
    total = sum(float((-model.energy(part)).exp().sum()) for part in points.split(20000))
    assert total * step**2 == pytest.approx(math.exp(model.log_z), abs=1e-9)


def test_the_funnel_is_a_product_of_normal_laws() -> None:
    model = lt.Funnel(dim=3, scale=2.0)
    x = torch.tensor([[0.5, -1.0, 2.0], [-3.0, 0.1, 0.2]], dtype=DOUBLE)

    def normal(value: Tensor, width: Any) -> Tensor:
        width = torch.as_tensor(width, dtype=DOUBLE)
        return -0.5 * (value / width) ** 2 - width.log() - 0.5 * math.log(2.0 * math.pi)

    width = (0.5 * x[:, 0]).exp()
    expected = normal(x[:, 0], 2.0) + normal(x[:, 1], width) + normal(x[:, 2], width)
    torch.testing.assert_close(-model.energy(x), expected)
    assert model.log_z == 0.0 and lt.Funnel().scale == 3.0 and lt.Funnel().dim == 10


def test_constants_of_the_mixtures() -> None:
    nine = lt.GaussianMixture.nine()
    assert nine.means.shape == (9, 2) and nine.scales.square().tolist() == pytest.approx([0.3] * 9)
    forty = lt.GaussianMixture.forty()
    assert forty.means.shape == (40, 2) and float(forty.scales[0]) == pytest.approx(1.3132616875)
    # The first two of the published list.
    expected = torch.tensor([[-0.29947281, 21.45774460], [-32.92180634, -29.43756104]])
    torch.testing.assert_close(forty.means[:2].float(), expected, rtol=0.0, atol=1e-5)
    two = lt.GaussianMixture.two(2.0)
    assert two.means.tolist() == [[-2.0], [2.0]] and two.mode_weights.tolist() == [0.2, 0.8]


@each
def test_a_force_is_the_gradient(name: str) -> None:
    model = FAMILIES[name]
    x = model.sample(20, seed=3).requires_grad_()
    (gradient,) = torch.autograd.grad(-model.energy(x).sum(), x)
    torch.testing.assert_close(model.force(x), gradient, rtol=1e-9, atol=1e-9)
    single = type(model)(**{**model.settings, "dtype": "float32"})
    assert single.force(x.detach().float()).dtype == torch.float32
    assert single.energy(x.detach().float()).dtype == DOUBLE


@each
def test_samples_are_those_of_the_density(name: str) -> None:
    """``⟨-x·∇log ρ⟩ = d`` and ``⟨|∇log ρ|²⟩ = ⟨-Δ log ρ⟩``: by parts, for the right law alone.

    Four sigma of sixteen numbers: once in 1000 seeds.
    """
    model = FAMILIES[name]
    x = model.sample(20000, seed=5)
    force = model.force(x)
    first = -(x * force).sum(1)
    assert abs(float(first.mean()) - model.dim) < 4.0 * float(first.std()) / math.sqrt(len(x))
    if name == "laplace":
        # Kinks have no second derivative; the mean distance to the nearer peak is in closed form.
        away = model.energy(x)
        gone = math.exp(-2.0)
        mean = (1.0 + (1.0 - 3.0 * gone)) / (2.0 - gone)
        assert abs(float(away.mean()) - mean) < 4.0 * float(away.std()) / math.sqrt(len(x))
        return
    laplacian = torch.zeros(len(x), dtype=DOUBLE)
    y = x.clone().requires_grad_()
    forces = model.force(y)
    for axis in range(model.dim):
        (row,) = torch.autograd.grad(forces[:, axis].sum(), y, retain_graph=True)
        laplacian += row[:, axis]
    second = force.square().sum(1) + laplacian
    assert abs(float(second.mean())) < 4.0 * float(second.std()) / math.sqrt(len(x))


@each
def test_samples_do_not_depend_on_their_number(name: str) -> None:
    model = FAMILIES[name]
    many = model.sample(50, seed=2)
    assert many.dtype == DOUBLE and many.shape == (50, model.dim)
    assert torch.equal(many[:7], model.sample(7, seed=2))
    assert torch.equal(many[[3, 40]], model.sample(torch.tensor([3, 40]), seed=2))
    assert not torch.equal(many, model.sample(50, seed=3))
    assert torch.equal(many, lt.exact.sample(model, 50, seed=2))


@pytest.mark.parametrize("name", ["two", "nine", "forty", "pairs", "squares", "laplace"])
def test_modes_have_their_masses(name: str) -> None:
    """Chi-squared of the counts of 20000 samples; beyond five sigma once in 10⁶ seeds."""
    model = FAMILIES[name]
    count = len(model.mode_weights)
    assert float(model.mode_weights.sum()) == pytest.approx(1.0)
    found = model.modes(model.sample(20000, seed=7)).bincount(minlength=count).double()
    expected = 20000.0 * model.mode_weights
    chi = float(((found - expected).square() / expected).sum())
    # Modes overlap little, by much less than the noise of counts.
    assert abs(chi - (count - 1)) < 5.0 * math.sqrt(2.0 * max(count - 1, 1)) + 2.0


def test_wells_are_told_apart() -> None:
    model = lt.ManyWell(6)
    x = torch.tensor([[1.0, -9.0, -1.0, 9.0, 1.0, 0.0]], dtype=DOUBLE)
    assert model.sides(x).tolist() == [[True, False, True]]
    assert model.modes(x).tolist() == [5]
    right = model.right
    assert float(model.mode_weights[5]) == pytest.approx(right**2 * (1.0 - right))
    y = np.linspace(0.0, 6.0, 200001)
    weight = np.exp(-(y**4) + 6.0 * y**2 + 0.5 * y - 10.0)
    other = np.exp(-(y**4) + 6.0 * y**2 - 0.5 * y - 10.0)
    share = np.trapezoid(weight, y) / np.trapezoid(weight + other, y)
    assert right == pytest.approx(share, abs=1e-9)


@each
def test_settings_make_the_density_again(name: str) -> None:
    model = FAMILIES[name]
    again = type(model)(**model.settings)
    x = model.sample(5, seed=1)
    assert torch.equal(again.energy(x), model.energy(x)) and again.log_z == model.log_z
    assert repr(again) == repr(model) and again.at(1.0) is again
    assert lt.exact.log_z(model) == model.log_z


def test_a_density_may_be_differentiated_before_it_is_evaluated() -> None:
    """What it keeps for later does not belong to the first derivative."""
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = lt.GaussianMixture([[1.0, 0.5], [-1.0, 0.0]], 0.7)

    def total(places: Tensor) -> Tensor:
        return model.log_density(places).sum()

    force = torch.func.grad(total)(x)
    torch.testing.assert_close(force, model.force(x))
