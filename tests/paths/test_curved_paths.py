"""Laws of paths that a learned energy curves: derivatives, exact ends, what they refuse."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import leaps_triton as lt
from curve_cases import Bent, bent, double_well, plane
from leaps_triton.paths.base import change_of, learned_of, velocity_of

TIMES = torch.tensor([0.0, 0.2, 0.5, 0.7, 1.0], dtype=torch.float64)


def squared(t: Tensor) -> Tensor:
    return t**2


def phi_four() -> lt.PhiFour:
    return lt.PhiFour((2, 2), -1.0, 0.9, dtype=torch.float64)


def curved(kind: str, **options: Any) -> lt.AnnealingPath:
    if kind == "well":
        return lt.AnnealingPath(double_well(), lt.Gaussian(1.2), correction=bent, **options)
    if kind == "plane":
        energy = lt.LearnedEnergy(plane(), width=8, seed=1)
        return lt.AnnealingPath(plane(), lt.Gaussian(1.5), correction=energy, **options)
    module = Bent(phi_four(), 0.7).double()
    return lt.AnnealingPath(phi_four(), lt.FreeField(1.0), correction=module, **options)


def straight(path: lt.AnnealingPath) -> lt.AnnealingPath:
    return lt.AnnealingPath(path.model, path.start, path.schedule)


KINDS = ("well", "plane", "field")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedule", [None, squared])
def test_derivatives_are_those_of_the_density(kind: str, schedule: Any) -> None:
    path = curved(kind, schedule=schedule)
    x = path.start.sample(torch.arange(len(TIMES)), seed=2)
    density = path.log_density(x, TIMES)
    both, score = path.log_density_and_score(x, TIMES)
    torch.testing.assert_close(both, density, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(score, path.score(x, TIMES), rtol=1e-13, atol=1e-13)
    step = 1e-5
    change = path.log_density(x, TIMES + step) - path.log_density(x, TIMES - step)
    torch.testing.assert_close(path.change(x, TIMES), change / (2.0 * step), rtol=1e-7, atol=1e-7)
    for site in range(x[0].numel()):
        unit = torch.zeros_like(x).flatten(1)
        unit[:, site] = step
        there = path.log_density(x + unit.view_as(x), TIMES)
        back = path.log_density(x - unit.view_as(x), TIMES)
        slope = (there - back) / (2.0 * step)
        torch.testing.assert_close(score.flatten(1)[:, site], slope, rtol=1e-7, atol=1e-7)
    gained = path.log_increment(x, TIMES, 0.4)
    expected = path.log_density(x, 0.4) - density
    torch.testing.assert_close(gained, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_both_ends_are_exact_and_between_they_differ(kind: str) -> None:
    path = curved(kind)
    x = path.start.sample(torch.arange(3), seed=2)
    plain = straight(path)
    for end in (0.0, 1.0):
        torch.testing.assert_close(
            path.log_density(x, end), plain.log_density(x, end), rtol=1e-14, atol=1e-14
        )
    gained = path.log_increment(x, 0.0, 1.0)
    torch.testing.assert_close(gained, plain.log_increment(x, 0.0, 1.0), rtol=1e-14, atol=1e-14)
    apart = (path.log_density(x, 0.5) - plain.log_density(x, 0.5)).detach()
    assert float(apart.abs().min()) > 1e-4


def test_a_straight_path_changes_as_its_energy_tells() -> None:
    path = straight(curved("field"))
    x = path.start.sample(torch.arange(len(TIMES)), seed=2)
    expected = path.time_derivative(path.excess(x), TIMES)
    assert torch.equal(path.change(x, TIMES), expected)
    assert torch.equal(change_of(path, x, TIMES), expected)
    assert path.linear
    assert path.learned is None
    assert path.correction is None
    assert path.has_couplings


def test_paths_of_a_users_own_need_not_say_more() -> None:
    class Own:
        def excess(self, configurations: Tensor) -> Tensor:
            return configurations.sum(1)

        def time_derivative(self, energy: Tensor, t: Tensor) -> Tensor:
            return -2.0 * t * energy

    x = torch.ones(2, 3, dtype=torch.float64)
    own = Own()
    assert change_of(own, x, TIMES[1:2]).tolist() == pytest.approx([-1.2, -1.2])
    assert learned_of(own) is None
    assert velocity_of(own) is None


def test_what_is_learned_is_told() -> None:
    path = curved("plane")
    assert not path.linear
    assert isinstance(path.learned, lt.LearnedEnergy)
    assert path.correction is path.learned
    # A function has nothing to train.
    assert curved("well").learned is None


class Residual(nn.Module):
    """What depends on the parameters of a path in all orders."""

    def __init__(self, path: lt.AnnealingPath) -> None:
        super().__init__()
        self.energy = path.learned
        self.path = path

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.path.change(x, t) + self.path.score(x, t).square().sum(1)


def test_gradients_of_parameters_by_both_ways_of_torch() -> None:
    path = curved("plane")
    module = Residual(path)
    x = path.start.sample(torch.arange(3), seed=2)
    t = TIMES[1:4]
    values = module(x, t)
    parameters = {name: each.detach() for name, each in module.named_parameters()}

    def single(given: dict[str, Tensor], one: Tensor, time: Tensor) -> Tensor:
        arguments = (one.unsqueeze(0), time.unsqueeze(0))
        found: Tensor = torch.func.functional_call(module, given, arguments)
        return found[0]

    jacobian = torch.func.vmap(torch.func.grad(single), (None, 0, 0))(parameters, x, t)
    own = dict(module.named_parameters())
    for row, value in enumerate(values):
        gradients = torch.autograd.grad(value, list(own.values()), retain_graph=True)
        for name, gradient in zip(own, gradients, strict=True):
            torch.testing.assert_close(jacobian[name][row], gradient, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        assert not module(x, t).requires_grad


def test_a_network_in_float32_gives_densities_in_float64() -> None:
    path = lt.AnnealingPath(plane(), lt.Gaussian(1.5), correction=Bent(plane()))
    x = path.start.sample(torch.arange(3), seed=2)
    density, score = path.log_density_and_score(x, 0.5)
    assert density.dtype == score.dtype == path.change(x, 0.5).dtype == torch.float64
    double = lt.AnnealingPath(plane(), lt.Gaussian(1.5), correction=bent)
    torch.testing.assert_close(density, double.log_density(x, 0.5), rtol=1e-5, atol=1e-5)


def test_what_needs_one_energy_refuses_a_curved_path_by_name() -> None:
    path = curved("field")
    x = path.start.sample(torch.arange(2), seed=2)
    named = "linear in one energy, and this AnnealingPath is curved by Bent"
    with pytest.raises(ValueError, match=named):
        path.excess(x)
    with pytest.raises(ValueError, match=named):
        path.increment_of(torch.zeros(2), 0.0, 1.0)
    with pytest.raises(ValueError, match=named):
        path.time_derivative(torch.zeros(2), 0.5)
    with pytest.raises(ValueError, match=named):
        path.couplings(0.5)
    assert not path.has_couplings
    sampler = lt.Sampler(path, None, lt.MapStep(2), lt.HMC(step=0.3, fourier=False), device="cpu")
    with pytest.raises(ValueError, match=r"curved by Bent; leave out along="):
        sampler.sample(2, along=True)
    with pytest.raises(ValueError, match=named):
        lt.schedules.thermodynamic_length(sampler, intervals=2, walkers=4)
    with pytest.raises(ValueError, match="path must be linear in one energy"):
        lt.Sampler(path, None, lt.Jump(2, weights="running"), sampler.mcmc, device="cpu")
    state = lt.SignCluster().init(x, torch.arange(2))
    with pytest.raises(ValueError, match="SignCluster joins neighbours"):
        lt.SignCluster().step(state, path, 0.5, seed=0)


def test_corrections_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="correction must be None for Ising"):
        lt.AnnealingPath(lt.Ising((4, 4), 0.4), correction=bent)
    with pytest.raises(ValueError, match="correction must be None or a network"):
        lt.AnnealingPath(plane(), lt.Gaussian(1.0), correction=3.0)  # type: ignore[arg-type]
    energy = lt.LearnedEnergy(plane())
    with pytest.raises(ValueError, match=r"is for shape \(2,\), got \(1,\)"):
        lt.AnnealingPath(double_well(), lt.Gaussian(1.0), correction=energy)
    path = lt.AnnealingPath(plane(), lt.Gaussian(1.0), correction=lambda x, conditions: x)
    x = path.start.sample(torch.arange(2), seed=2)
    with pytest.raises(ValueError, match="what a learned energy returns must be a number"):
        path.log_density(x, 0.5)
