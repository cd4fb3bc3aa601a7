"""LearnedEnergy: derivatives, size, and what it is made for."""

from typing import Any

import pytest
import torch

import leaps_triton as lt
from curve_cases import plane


def test_derivatives_by_differences() -> None:
    energy = lt.LearnedEnergy(plane(), width=8, depth=3, seed=4)
    path = lt.AnnealingPath(plane(), lt.Gaussian(1.5), correction=energy)
    x = path.start.sample(torch.arange(4), seed=1)
    conditions = path.conditions(torch.tensor([0.1, 0.4, 0.8, 1.0], dtype=torch.float64))
    gradient = energy.gradient(x, conditions)
    step = 1e-4
    total = torch.zeros(4, dtype=torch.float64)
    for axis in range(2):
        unit = torch.zeros_like(x)
        unit[:, axis] = step
        there = energy(x + unit, conditions)
        back = energy(x - unit, conditions)
        slope = (there - back) / (2.0 * step)
        torch.testing.assert_close(gradient[:, axis], slope, rtol=1e-6, atol=1e-9)
        total = total + (there + back - 2.0 * energy(x, conditions)) / step**2
    torch.testing.assert_close(energy.laplacian(x, conditions), total, rtol=1e-4, atol=1e-6)


def test_it_is_small_at_first_and_follows_from_its_settings() -> None:
    model = plane()
    energy = lt.LearnedEnergy(model, width=16, seed=2)
    path = lt.AnnealingPath(model, lt.Gaussian(1.5), correction=energy)
    x = path.start.sample(torch.arange(100), seed=1)
    values = energy(x, path.conditions(0.5)).detach()
    assert values.dtype == torch.float64
    assert 0.0 < float(values.abs().max()) < 0.5
    settings: dict[str, Any] = energy.settings
    again = lt.LearnedEnergy(model, **settings)
    assert torch.equal(again(x, path.conditions(0.5)), values)
    other = lt.LearnedEnergy(model, width=16, seed=3)
    assert not torch.equal(other(x, path.conditions(0.5)), values)
    # Of a density its extent, of a field 1.
    assert energy.scale == model.extent
    assert lt.LearnedEnergy(lt.PhiFour((2, 2), -1.0, 0.9)).scale == 1.0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="energy of floating-point configurations"):
        lt.LearnedEnergy(lt.Ising((4, 4), 0.4))
    with pytest.raises(ValueError, match="scale must be None or a positive number"):
        lt.LearnedEnergy(plane(), scale=0.0)
    with pytest.raises(ValueError, match="depth must be"):
        lt.LearnedEnergy(plane(), depth=0)
    energy = lt.LearnedEnergy(plane())
    path = lt.AnnealingPath(plane(), lt.Gaussian(1.5))
    with pytest.raises(ValueError, match=r"is for shape \(2,\), got \(3,\)"):
        energy(torch.zeros(4, 3), path.conditions(0.5))
