"""Laws of gradient flows: the exact diffusion of two modes, its velocity, its divergence."""

import numpy as np
import pytest
import torch

import leaps_triton as lt
from curve_cases import Bent, Diffused, bent, double_well, plane
from leaps_triton.training.residuals import residual


def two_modes() -> lt.GradientFlowPath:
    """The exact Ornstein-Uhlenbeck curve of 0.2 N(-2, 1/4) + 0.8 N(2, 1/4)."""
    model = lt.GaussianMixture.two()
    return lt.GradientFlowPath(model, Diffused(model, 1.0), start=lt.Gaussian(1.0))


def test_the_exact_curve_has_no_residual_and_its_known_action() -> None:
    path = two_modes()
    x = torch.linspace(-7.0, 7.0, 1401, dtype=torch.float64).unsqueeze(1)
    nodes, weights = np.polynomial.legendre.leggauss(16)
    action = 0.0
    for node, weight in zip((nodes + 1.0) / 2.0, weights / 2.0, strict=True):
        t = torch.tensor([node], dtype=torch.float64)
        found = residual(path, path.velocity, x, t)
        # Densities are normalised but for the constants of their ends.
        assert float((found - found.mean()).abs().max()) < 1e-9
        share = torch.softmax(path.log_density(x, t), 0)
        velocity = path.velocity.alone(x, path.conditions(t))
        action += weight * float((share * velocity.squeeze(1).square()).sum())
    assert action == pytest.approx(2.887, abs=5e-4)


def test_another_energy_has_a_residual() -> None:
    model = lt.GaussianMixture.two()
    path = lt.GradientFlowPath(model, Diffused(model, 1.0, 0.1), start=lt.Gaussian(1.0))
    x = torch.linspace(-3.0, 3.0, 61, dtype=torch.float64).unsqueeze(1)
    t = torch.tensor([0.5], dtype=torch.float64)
    assert float(residual(path, path.velocity, x, t).std()) > 0.05


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_velocity_is_that_of_its_formula_and_finite_at_both_ends(t: float) -> None:
    path = lt.GradientFlowPath(plane(), bent, start=lt.Gaussian(1.5))
    x = path.start.sample(torch.arange(4), seed=3)
    time = torch.tensor([t], dtype=torch.float64)
    conditions = path.conditions(time)
    velocity, divergence = path.velocity(x, conditions)
    assert torch.equal(velocity, path.velocity.alone(x, conditions))
    assert bool(velocity.isfinite().all())
    if t > 0.0:
        expected = (x + 1.5**2 * path.score(x, time)) / t
        torch.testing.assert_close(velocity, expected, rtol=1e-12, atol=1e-12)
    step = 1e-5
    total = torch.zeros_like(divergence)
    for axis in range(2):
        unit = torch.zeros_like(x)
        unit[:, axis] = step
        there = path.velocity.alone(x + unit, conditions)
        back = path.velocity.alone(x - unit, conditions)
        total = total + (there - back)[:, axis] / (2.0 * step)
    torch.testing.assert_close(divergence, total, rtol=1e-7, atol=1e-7)


def test_velocity_has_the_parameters_of_the_energy_and_the_energy_is_learned() -> None:
    energy = lt.LearnedEnergy(plane(), width=4)
    path = lt.GradientFlowPath(plane(), energy, start=lt.Gaussian(1.0))
    assert path.learned is energy
    own = [each.data_ptr() for each in energy.parameters()]
    assert [each.data_ptr() for each in path.velocity.parameters()] == own
    x = path.start.sample(torch.arange(3), seed=0)
    loss = residual(path, path.velocity, x, torch.tensor([0.4], dtype=torch.float64)).var()
    loss.backward()
    for parameter in energy.parameters():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0.0


def test_energies_of_a_users_own_may_be_float32() -> None:
    path = lt.GradientFlowPath(plane(), Bent(plane()), start=lt.Gaussian(1.0))
    x = path.start.sample(torch.arange(3), seed=0)
    velocity, divergence = path.velocity(x, path.conditions(torch.tensor([0.5])))
    assert velocity.dtype == divergence.dtype == torch.float64


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lt\.Gaussian"):
        lt.GradientFlowPath(plane(), bent)
    with pytest.raises(ValueError, match="starts from a Gaussian, such as"):
        lt.GradientFlowPath(lt.PhiFour((2, 2), -1.0, 0.9), bent, start=lt.FreeField())
    with pytest.raises(ValueError, match="energy must be a network"):
        lt.GradientFlowPath(plane(), None, start=lt.Gaussian(1.0))  # type: ignore[arg-type]
    path = lt.GradientFlowPath(plane(), bent, start=lt.Gaussian(1.0))
    other = lt.AnnealingPath(double_well(), lt.Gaussian(1.0))
    with pytest.raises(ValueError, match=r"configurations of shape \(2,\), got \(1,\)"):
        lt.Sampler(other, path.velocity, lt.PathRatio(4), device="cpu")
