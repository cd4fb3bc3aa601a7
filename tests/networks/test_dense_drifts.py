"""Drifts of vectors: exact Jacobians and potentials, hollow halves, bounds, sizes, refusals."""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from dense_cases import awake, conditions, quartic
from leaps_triton.networks import Drift
from leaps_triton.networks.drift.bounds import steepest_gradient, steepest_layers
from leaps_triton.training.optimizers import per_sample_gradients

DRIFTS: dict[str, Any] = {
    "one layer": lambda dim: lt.DenseDrift(quartic(dim), width=5, depth=1),
    "dense": lambda dim: lt.DenseDrift(quartic(dim), width=5, scale=1.7),
    "deep": lambda dim: lt.DenseDrift(quartic(dim), width=5, depth=3),
    "gradient of one layer": lambda dim: lt.DenseDrift(
        quartic(dim), width=5, depth=1, potential=True
    ),
    "gradient": lambda dim: lt.DenseDrift(quartic(dim), width=5, scale=1.7, potential=True),
    "deep gradient": lambda dim: lt.DenseDrift(quartic(dim), width=5, depth=3, potential=True),
    "halves": lambda dim: lt.HollowDenseDrift(quartic(dim), width=5, units=3, scale=1.7),
}
DENSE = [name for name in DRIFTS if name != "halves"]
GRADIENTS = [name for name in DRIFTS if "gradient" in name]


def vectors(walkers: int, dim: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(walkers, dim, generator=generator, dtype=torch.float64)


def jacobians(drift: Drift, x: Tensor, t: float) -> Tensor:
    """``∂b_i/∂x_j`` by autograd, ``(walkers, dim, dim)``."""

    def of(each: Tensor) -> Tensor:
        return drift(each.unsqueeze(0), conditions(t))[0][0]

    return torch.stack([torch.autograd.functional.jacobian(of, each) for each in x])


@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize("name", DRIFTS)
def test_divergences_and_jacobians_are_those_of_autograd(name: str, dim: int) -> None:
    drift = awake(DRIFTS[name](dim))
    x = vectors(3, dim)
    found = jacobians(drift, x, 0.3)
    b, divergence = drift(x, conditions(0.3))
    traces = found.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(divergence, traces, rtol=1e-12, atol=1e-12)
    if name in DENSE:
        torch.testing.assert_close(drift.jacobian(x, 0.3), found, rtol=0.0, atol=1e-12)
        torch.testing.assert_close(drift.linearised(x, 0.3)[0], b, rtol=0.0, atol=1e-14)
        torch.testing.assert_close(drift.alone(x, conditions(0.3)), b, rtol=0.0, atol=1e-14)
    # Each walker at its own time.
    times = torch.tensor([0.3, 0.3, 0.8], dtype=torch.float64)
    apart, trace = drift(x, conditions(times))
    torch.testing.assert_close(apart[:2], b[:2], rtol=0.0, atol=1e-14)
    torch.testing.assert_close(trace[:2], divergence[:2], rtol=0.0, atol=1e-14)
    assert not torch.equal(apart[2], b[2])


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_gradient_is_that_of_its_potential(name: str) -> None:
    drift = awake(DRIFTS[name](3))
    x = vectors(4, 3).requires_grad_()
    t = torch.tensor([0.4], dtype=torch.float64, requires_grad=True)
    values = drift.potential(x, conditions(t))
    gradient, rate = torch.autograd.grad(values.sum(), (x, t))
    b, _ = drift(x, conditions(0.4))
    torch.testing.assert_close(gradient, b.detach(), rtol=0.0, atol=1e-12)
    # A Hamilton–Jacobi equation asks for the other derivative.
    later = drift.potential(x, conditions(0.4 + 1e-6)) - drift.potential(x, conditions(0.4 - 1e-6))
    assert float(rate) == pytest.approx(float(later.detach().sum()) / 2e-6, rel=1e-6)
    with pytest.raises(ValueError, match="potential=True"):
        lt.DenseDrift(quartic(3), width=4).potential(x, conditions(0.4))


def test_a_half_has_a_diagonal_jacobian_bit_for_bit() -> None:
    drift = awake(DRIFTS["halves"](5))
    x = vectors(1, 5)
    for parity in (0, 1):
        places = drift.sublattice(parity)
        assert places.tolist() == list(range(parity, 5, 2))
        before, slope = drift.active(x, 0.6, parity)
        whole, _ = drift(x, conditions(0.6))
        assert torch.equal(before, whole[:, places])
        for number, place in enumerate(places.tolist()):
            moved = x.clone()
            moved[0, place] += 1e-6
            after, _ = drift.active(moved, 0.6, parity)
            change = (after - before)[0]
            assert abs(float(change[number] / 1e-6 - slope[0, number])) < 1e-4
            change[number] = 0.0
            assert torch.equal(change, torch.zeros_like(change))


def steepest_of(drift: Any, x: Tensor, t: float) -> Tensor:
    """What the bound is one on, of each walker."""
    if isinstance(drift, lt.DenseDrift):
        # Under the decorator that turns the graph off.
        linearised: Any = type(drift).linearised
        found: Tensor = linearised.__wrapped__(drift, x, t)[1]
        return torch.linalg.matrix_norm(found, 2)
    slopes = [drift.active.__wrapped__(drift, x, t, parity)[1] for parity in (0, 1)]
    return torch.cat(slopes, 1).abs().amax(1)


@pytest.mark.parametrize("name", DRIFTS)
def test_bounds_are_never_exceeded(name: str) -> None:
    """Random weights, and vectors of all sizes; then those that climb to the steepest place."""
    for seed in range(3):
        drift = awake(DRIFTS[name](3), 0.3 * (seed + 1), seed)
        for t in (0.0, 0.35, 1.0):
            bound = drift.steepest(t)
            for size in (0.01, 0.3, 1.0, 5.0, 50.0):
                assert float(steepest_of(drift, size * vectors(100, 3, seed), t).max()) <= bound
        x = vectors(16, 3, seed)
        climber = torch.optim.Adam([x.requires_grad_()], lr=0.1)
        for _ in range(20):
            found = steepest_of(drift, x, 1.0)
            climber.zero_grad()
            (-found.sum()).backward()
            climber.step()
        assert float(found.detach().max()) <= bound
        if seed == 0:
            assert float(found.detach().max()) > bound / 40.0


def test_bounds_are_reached_where_all_slopes_are_one() -> None:
    """One hidden unit is steepest where it is 0; one coordinate of a half too."""
    first = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    second = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    nothing = torch.zeros(2, 2, dtype=torch.float64)
    exact = 5.0 * 5.0**0.5
    assert exact <= steepest_layers([first, second], nothing) < 1.0001 * exact
    linear = torch.diag(torch.tensor([-3.0, 1.0], dtype=torch.float64))
    assert steepest_layers([0.0 * first, second], linear) == pytest.approx(3.0, rel=1e-4)
    # tanh'' is largest where tanh is 1/√3.
    readout = torch.ones(1, 1, dtype=torch.float64)
    most = 25.0 * 4.0 / 27.0**0.5
    assert most <= steepest_gradient([first, readout], nothing) < 1.0001 * most


@pytest.mark.parametrize("name", DRIFTS)
def test_per_sample_gradients_of_vectors_come_from_their_layers(name: str) -> None:
    drift = awake(DRIFTS[name](3)).requires_grad_(True)
    x = vectors(3, 3)
    times = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    pull = vectors(3, 3, seed=1)

    def values() -> Tensor:
        b, divergence = drift(x, conditions(times))
        return (b * pull).sum(1) + divergence

    found = per_sample_gradients(drift, values)
    parameters = list(drift.parameters())
    for sample in range(3):
        # What a potential is shifted by at a time has no gradient.
        gradients = torch.autograd.grad(values()[sample], parameters, materialize_grads=True)
        expected = torch.cat([gradient.flatten() for gradient in gradients])
        torch.testing.assert_close(found.jacobian[sample], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", DRIFTS)
def test_new_drifts_of_vectors_are_small_and_of_their_seed(name: str) -> None:
    drift = DRIFTS[name](4)
    x = vectors(50, 4)
    b, _ = drift(x, conditions(0.5))
    assert 1e-3 < float(b.detach().abs().mean()) < 0.5
    again, _ = DRIFTS[name](4)(x, conditions(0.5))
    assert torch.equal(b, again)
    other, _ = type(drift)(quartic(4), **{**drift.settings, "seed": 1})(x, conditions(0.5))
    assert not torch.equal(b, other)


def test_scales_follow_from_the_model_unless_told() -> None:
    model = lt.GaussianMixture.nine()
    assert lt.DenseDrift(model).settings["scale"] == 0.5 * model.extent
    assert lt.HollowDenseDrift(model, scale=3.0).settings["scale"] == 3.0
    # Fields have no such length, and are vectors if they are taken for such.
    field = lt.PhiFour((2, 2), mass_squared=-1.0, quartic=0.9)
    drift = lt.DenseDrift(field, width=4)
    x = torch.zeros(3, 2, 2)
    b, divergence = drift(x, conditions(0.5))
    assert b.shape == x.shape and b.dtype == torch.float32 and divergence.shape == (3,)
    assert drift.settings["scale"] == 1.0


def test_no_walkers_are_no_error() -> None:
    for name in DRIFTS:
        b, divergence = DRIFTS[name](3)(torch.zeros(0, 3, dtype=torch.float64), conditions(0.4))
        assert b.shape == (0, 3) and divergence.shape == (0,)


def test_drifts_of_vectors_refuse_what_they_are_not_for() -> None:
    with pytest.raises(ValueError, match="take DenseDrift"):
        lt.HollowDenseDrift(quartic(1))
    with pytest.raises(ValueError, match="scale"):
        lt.DenseDrift(quartic(2), scale=0.0)
    with pytest.raises(ValueError, match="width"):
        lt.DenseDrift(quartic(2), width=0)
    with pytest.raises(ValueError, match="units"):
        lt.HollowDenseDrift(quartic(2), units=0)
    with pytest.raises(ValueError, match="floating-point"):
        lt.DenseDrift(lt.Ising((4, 4), beta=0.3))
    drift = lt.DenseDrift(quartic(2), width=4)
    with pytest.raises(ValueError, match="for_model"):
        drift(vectors(2, 3), conditions(0.5))
    with pytest.raises(ValueError, match=r"for shape .* alone"):
        drift.for_model(quartic(3))
    moved = drift.for_model(lt.GaussianMixture.nine())
    x = vectors(2, 2)
    assert torch.equal(moved(x, conditions(0.5))[0], drift(x, conditions(0.5))[0])
