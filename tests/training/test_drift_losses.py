"""Losses of drifts: the residual by brute force, free fields, and action matching."""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.training import losses


def small(quartic: float = 6.0, mass_squared: float = -4.0) -> lt.AnnealingPath:
    model = lt.PhiFour((4, 4), mass_squared, quartic, dtype=torch.float64)
    return lt.AnnealingPath(model, start=lt.FreeField(1.0))


def awake(drift: torch.nn.Module) -> torch.nn.Module:
    """A drift in float64 whose parameters are all far from zero."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in drift.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return drift.double()


def flow_of_density(path: lt.AnnealingPath, drift: torch.nn.Module, x: Tensor, t: float) -> Tensor:
    """``(∂_t + b·∇) log ρ̃ + ∇·b`` of each walker, by differences and autograd."""
    step = 1e-4
    change = (path.log_density(x, t + step) - path.log_density(x, t - step)) / (2.0 * step)
    conditions = path.conditions(torch.tensor([t], dtype=torch.float64))
    found: list[Tensor] = []
    for walker in x:
        y = walker.unsqueeze(0)
        b = drift(y, conditions)[0]
        there = path.log_density(y + step * b, t) - path.log_density(y - step * b, t)

        def of(flat: Tensor) -> Tensor:
            return drift(flat.view(1, 4, 4), conditions)[0].flatten()

        trace = torch.autograd.functional.jacobian(of, walker.flatten()).trace()
        found.append(there[0] / (2.0 * step) + trace)
    return change + torch.stack(found)


@pytest.mark.parametrize("name", ["hollow", "gaussian", "gradient"])
def test_the_residual_of_a_drift_by_brute_force(name: str) -> None:
    path = small()
    if name == "hollow":
        drift = awake(lt.HollowDrift(path.model, kernel_size=3, channels=4, width=6))
    elif name == "gradient":
        drift = awake(lt.GradientDrift(path.model, kernel_size=3, width=6))
    else:
        drift = lt.GaussianDrift(path.model, path.start)
    x = path.start.sample(torch.arange(4), seed=1)
    t = torch.tensor([0.4], dtype=torch.float64)
    with torch.no_grad():
        found = losses.residual(path, drift, x, t)
        expected = flow_of_density(path, drift, x, 0.4)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_between_free_fields_the_gaussian_drift_leaves_no_residual() -> None:
    """ξ is ∂_t log Z_t at every configuration, to 1e-10."""
    path = small(quartic=0.0, mass_squared=0.05)
    drift = lt.GaussianDrift(path.model, path.start)
    x = path.start.sample(torch.arange(20), seed=2)
    for t in (0.0, 0.3, 1.0):
        xi = losses.residual(path, drift, x, torch.tensor([t], dtype=torch.float64))
        assert float(xi.max() - xi.min()) < 1e-10
        step = 1e-5
        masses = [1.0 - 0.95 * each for each in (t - step, t + step)]
        log_z = [lt.FreeField(mass).on(path.model).log_z for mass in masses]
        slope = (log_z[1] - log_z[0]) / (2.0 * step)
        assert abs(float(xi[0]) - slope) < 1e-6


def test_action_matching_is_least_at_the_drift_of_a_free_field() -> None:
    """For ϕ = ½ a φ² of one wave the best ``a`` is K(k), within 4 sigma of the samples."""
    path = small(quartic=0.0, mass_squared=0.05)
    best = lt.GaussianDrift(path.model, path.start)

    class Uniform(torch.nn.Module):
        """A drift that pulls the mean of the field alone."""

        kind = "drift"

        def __init__(self) -> None:
            super().__init__()
            self.a = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

        def potential(self, x: Tensor, conditions: lt.Conditions) -> Tensor:
            return 0.5 * self.a * 16.0 * x.mean((1, 2)).square()

        def forward(self, x: Tensor, conditions: lt.Conditions) -> tuple[Tensor, Tensor]:
            b = (self.a * x.mean((1, 2))).view(-1, 1, 1).expand_as(x)
            return b, self.a.expand(len(x))

    drift = Uniform()
    walkers = 2000
    t = torch.tensor([0.5], dtype=torch.float64)
    # The exact law at t = 1/2 is that of a free field between the two.
    between = lt.FreeField(0.525).on(path.model)
    x = between.sample(torch.arange(walkers), seed=3)
    loss = losses.action_matching(path, drift, x.unsqueeze(0), t)
    slope = torch.autograd.grad(loss, drift.a)[0]
    expected = float(best.modes(0.5)[0, 0])
    # d loss / da = a ⟨s⟩ - Cov, with s = φ_0²: both are known but for noise of 1/√walkers.
    square = 16.0 * x.mean((1, 2)).square()
    found = -float(slope) / float(square.mean())
    error = expected * (2.0 / walkers) ** 0.5 * 2.0
    assert abs(found - expected) < 4.0 * error


def test_action_matching_refuses_a_drift_without_potential() -> None:
    path = small()
    drift: Any = lt.HollowDrift(path.model, kernel_size=3)
    x = path.start.sample(torch.arange(4), seed=0).unsqueeze(0)
    with pytest.raises(ValueError, match="GradientDrift"):
        losses.action_matching(path, drift, x, torch.tensor([0.5]))
    drift = lt.GradientDrift(path.model, kernel_size=3)
    with pytest.raises(ValueError, match="two walkers"):
        losses.action_matching(path, drift, x[:, :1], torch.tensor([0.5]))
    with pytest.raises(ValueError, match="batch_mean"):
        lt.TrainingConfig(loss="action_matching", baseline="learned")
