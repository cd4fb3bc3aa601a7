"""Mean-field theories of machines: stationary points, gradients, orders, and where they fail."""

from functools import cache
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.learning import TapResult
from leaps_triton.learning.plefka import MachineEquations

DOUBLE = torch.float64


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=DOUBLE)


def machine(size: float) -> lt.RBM:
    biases = 0.5 * drawn(14, seed=1)
    return lt.RBM(size * drawn(8, 6), biases[:8], biases[8:])


@cache
def learned(steps: int = 800) -> lt.RBM:
    """Return a machine trained on 4 × 4 bars and stripes by exact steps.

    After 150, 400 and 800 of them weights have an RMS of 1.0, 2.2 and 3.2.
    """
    bits = lt.exact.enumerate_configurations((4,), 2).double()
    bars = bits.repeat_interleave(4, dim=1)
    data = torch.cat([bars, bits.repeat(1, 4)[1:-1]])
    states = lt.exact.enumerate_configurations((8,), 2).double()
    weights = 0.1 * drawn(16, 8)
    first = torch.zeros(16, dtype=DOUBLE)
    second = torch.zeros(8, dtype=DOUBLE)
    for _ in range(steps):
        hidden = torch.sigmoid(second + data @ weights)
        fields = first + states @ weights.T
        terms = states @ second + torch.logaddexp(fields, torch.zeros_like(fields)).sum(1)
        law = terms.softmax(0)
        visible = torch.sigmoid(fields)
        weights += 0.5 * (data.T @ hidden / len(data) - (visible.T * law) @ states)
        first += 0.5 * (data.mean(0) - law @ visible)
        second += 0.5 * (hidden.mean(0) - law @ states)
    return lt.RBM(weights, first, second)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_solutions_are_stationary(order: int) -> None:
    """The published map of third order, which is not, would miss by 1e-3."""
    model = machine(0.3)
    found = lt.tap(model, order=order, tolerance=1e-13)
    assert found.converged and found.order == order
    assert torch.equal(found.means, torch.cat([found.visible, found.hidden]))
    means = found.means.unsqueeze(0).requires_grad_()
    log_z = MachineEquations(model, order).log_z(means)
    (slope,) = torch.autograd.grad(log_z.sum(), means)
    assert float(slope.abs().max()) < 1e-11


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gradients_are_those_of_the_solution(order: int) -> None:
    model = machine(0.3)
    gradient = lt.tap(model, order=order, tolerance=1e-13).gradient
    step = 1e-4

    def log_z(of: str, change: torch.Tensor) -> float:
        parts = {
            "weights": model.weights,
            "visible_bias": model.visible_bias,
            "hidden_bias": model.hidden_bias,
        }
        parts[of] = parts[of] + change
        moved = lt.RBM(parts["weights"], parts["visible_bias"], parts["hidden_bias"])
        return lt.tap(moved, order=order, tolerance=1e-13).log_z

    for of, place in (("weights", (1, 2)), ("visible_bias", (3,)), ("hidden_bias", (5,))):
        told = getattr(gradient, of)
        change = torch.zeros_like(told)
        change[place] = step
        slope = (log_z(of, change) - log_z(of, -change)) / (2.0 * step)
        assert slope == pytest.approx(float(told[place]), abs=1e-8)


def test_errors_fall_with_the_power_of_the_order() -> None:
    """Halving all weights divides the error by 2², 2³ and 2⁴."""

    def error(size: float, order: int) -> float:
        model = machine(size)
        found = lt.tap(model, order=order, tolerance=1e-13)
        return found.log_z - lt.exact.log_z(model)

    for order, low, high in ((1, 3.8, 4.2), (3, 15.0, 17.0)):
        assert low < error(0.1, order) / error(0.05, order) < high
    assert abs(error(0.1, 2)) < 2e-5
    assert abs(error(0.1, 1)) > 1e-2


def test_beta_is_absorbed() -> None:
    model = machine(0.3)
    same = lt.RBM(2.0 * model.weights, 2.0 * model.visible_bias, 2.0 * model.hidden_bias, beta=0.5)
    first = lt.tap(model, order=3)
    second = lt.tap(same, order=3)
    assert second.log_z == pytest.approx(first.log_z, abs=1e-12)
    torch.testing.assert_close(second.gradient, first.gradient)


def test_weights_of_a_short_learning_have_solutions_that_are_off() -> None:
    model = learned(150)
    assert 0.8 < float(model.weights.square().mean().sqrt()) < 1.1
    exact = lt.exact.log_z(model)
    for order, off in ((1, -2.4), (2, 0.14), (3, 0.13)):
        found = lt.tap(model, order=order, starts=12)
        assert found.converged
        assert found.log_z - exact == pytest.approx(off, abs=0.1)


@pytest.mark.parametrize(("steps", "least"), [(400, 2.0), (800, 3.0)])
def test_learned_weights_are_beyond_it(steps: int, least: float) -> None:
    model = learned(steps)
    exact = lt.exact.log_z(model)
    assert float(model.weights.square().mean().sqrt()) > least
    naive = lt.tap(model, order=1, starts=12)
    assert naive.log_z < exact - 1.0
    for order in (2, 3):
        found = lt.tap(model, order=order, starts=12, iterations=500)
        assert not found.converged and found.iterations == 500
        assert bool((found.residual_of_starts > 1e-3).all())
        assert abs(found.log_z - exact) > 1.0


def test_starts_are_independent_and_go_on() -> None:
    model = machine(0.5)
    data = lt.exact.enumerate_configurations((8,), 2)[::37].double()
    whole = lt.tap(model, starts=data, iterations=10, tolerance=1e-15)
    alone = lt.tap(model, starts=data[2:3], iterations=10, tolerance=1e-15)
    torch.testing.assert_close(whole.means_of_starts[2:3], alone.means_of_starts)
    half = lt.tap(model, starts=data, iterations=5, tolerance=1e-15)
    rest = lt.tap(model, starts=half.means_of_starts, iterations=5, tolerance=1e-15)
    assert torch.equal(rest.means_of_starts, whole.means_of_starts)
    assert torch.equal(rest.log_z_of_starts, whole.log_z_of_starts)
    # A random start does not depend on their number.
    several = lt.tap(model, starts=4, iterations=3, tolerance=1e-15)
    fewer = lt.tap(model, starts=2, iterations=3, tolerance=1e-15)
    torch.testing.assert_close(several.means_of_starts[:2], fewer.means_of_starts)


def test_solutions_come_before_larger_values() -> None:
    model = learned()
    bits = lt.exact.enumerate_configurations((4,), 2).double()
    starts = torch.cat([torch.full((1, 16), 0.5, dtype=DOUBLE), bits.repeat_interleave(4, dim=1)])
    found: TapResult = lt.tap(model, starts=starts)
    converged = found.residual_of_starts <= 1e-10
    assert found.converged and not bool(converged.all())
    assert found.log_z == float(found.log_z_of_starts[converged].max())
    assert found.log_z < float(found.log_z_of_starts.max())


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"order": 4}, "order must be"),
        ({"iterations": 0}, "iterations must be"),
        ({"damping": 1.0}, "damping must be a number from 0 to below 1"),
        ({"tolerance": 0.0}, "tolerance must be a positive number"),
        ({"starts": torch.zeros(3, 5)}, r"of shape \(starts, 8\) or \(starts, 14"),
        ({"starts": torch.full((3, 8), 2.0)}, "means from 0 to 1"),
    ],
)  # fmt: skip
def test_bad_arguments_of_tap(named: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lt.tap(machine(0.1), **named)
    with pytest.raises(ValueError, match="model must be an RBM or another pair model of two"):
        lt.tap(lt.Potts((3, 3), 3, 0.5))
