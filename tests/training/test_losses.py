"""Losses: gradients, baselines and Huber's limit, exact solutions, paths of leaps."""

import functools
from typing import Any

import pytest
import torch

import leaps_triton as lt
from helpers import random_network, small_models, states
from leaps_triton import exact, objectives
from leaps_triton.integrators.tau_leap import leap_increment
from leaps_triton.training.data.draws import Draws
from leaps_triton.training.data.trajectories import leap_trajectories

MODEL = lt.Ising((4, 4), beta=0.4)


def test_residual_has_the_mean_of_the_energy_derivative_under_the_law() -> None:
    """E_ρ[κ] = 0, so E_ρ[ξ] = ∂_t log Z_t for every network.

    Here by enumeration against a finite difference.
    """
    for model in small_models().values():
        path, t, h = lt.AnnealingPath(model), 0.6, 1e-5
        law = exact.enumerate_model(model, beta=t * model.beta).log_probabilities.exp()
        with torch.no_grad():
            time = torch.tensor([t], dtype=torch.float64)
            xi = objectives.residual(path, random_network(model), states(model), time)
        above, below = (
            exact.enumerate_model(model, beta=s * model.beta).log_z for s in (t + h, t - h)
        )
        assert float(law @ xi) == pytest.approx((above - below) / (2 * h), abs=1e-6)
        assert float(xi.std()) > 0.1


def test_physics_informed_is_the_mean_variance_at_equal_times() -> None:
    path, network = lt.AnnealingPath(MODEL), random_network(MODEL)
    x = path.start.sample(torch.arange(10), seed=0).view(2, 5, 4, 4)
    t = torch.tensor([0.2, 0.9], dtype=torch.float64)
    with torch.no_grad():
        loss = float(objectives.physics_informed(path, network, x, t))
        each = [objectives.residual(path, network, x[i], t[i : i + 1]) for i in range(2)]
    assert loss == pytest.approx(
        sum(float(((xi - xi.mean()) ** 2).sum() / 4) for xi in each) / 2, rel=1e-12
    )


def test_gradient_of_the_loss() -> None:
    path, network = lt.AnnealingPath(MODEL), random_network(MODEL)
    x = path.start.sample(torch.arange(12), seed=0).view(3, 4, 4, 4)
    t = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    weight = network.readout.weight

    def loss_of(value: torch.Tensor) -> torch.Tensor:
        state = {"readout.weight": value}

        def transport(configurations: torch.Tensor, conditions: lt.Conditions) -> torch.Tensor:
            out: torch.Tensor = torch.func.functional_call(
                network, state, (configurations, conditions)
            )
            return out.double()

        return objectives.physics_informed(path, _Double(transport), x, t)

    assert torch.autograd.gradcheck(
        loss_of, (weight.detach().clone().requires_grad_(),), atol=1e-5, rtol=1e-4
    )


class _Double(torch.nn.Module):
    """A transport whose precision is float64."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.unused = (
            function,
            torch.nn.Parameter(torch.zeros((), dtype=torch.float64)),
        )

    def forward(self, configurations: torch.Tensor, conditions: lt.Conditions) -> torch.Tensor:
        out: torch.Tensor = self.function(configurations, conditions)
        return out


def test_a_given_baseline_is_best_at_the_batch_mean() -> None:
    """E (ξ - c)² = E (ξ - mean)² + (mean - c)², so the gradient of c pulls it to the mean."""
    path, network = lt.AnnealingPath(MODEL), random_network(MODEL)
    x = path.start.sample(torch.arange(10), seed=0).view(2, 5, 4, 4)
    t = torch.tensor([0.2, 0.9], dtype=torch.float64)
    with torch.no_grad():
        xi = objectives.residual(path, network, x.flatten(0, 1), t.repeat_interleave(5)).view(2, 5)
        variance = objectives.physics_informed(path, network, x, t) * 4 / 5
    c = torch.tensor([1.0, -3.0], dtype=torch.float64, requires_grad=True)
    loss = objectives.physics_informed(path, network, x, t, baseline=c)
    torch.testing.assert_close(
        loss.detach(), (variance + (xi.mean(1) - c).square().mean()).detach()
    )
    (gradient,) = torch.autograd.grad(loss, c)
    torch.testing.assert_close(gradient, (c - xi.mean(1)).detach())


def test_the_rate_of_a_free_energy_is_its_derivative() -> None:
    free_energy = objectives.FreeEnergy(sites=9, seed=2)
    with torch.no_grad():
        free_energy.readout.copy_(torch.linspace(-1, 1, 17))
    t, h = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64), 1e-6
    with torch.no_grad():
        slope = (free_energy(t + h) - free_energy(t - h)) / (2 * h)
    torch.testing.assert_close(free_energy.rate(t).detach(), slope, atol=1e-7, rtol=1e-7)
    assert free_energy(t)[0].item() == 0.0

    def of(*parameters: torch.Tensor) -> torch.Tensor:
        names = [name for name, _ in free_energy.named_parameters()]
        state = dict(zip(names, parameters, strict=True))
        call = torch.func.grad(lambda s: torch.func.functional_call(free_energy, state, (s,)).sum())
        out: torch.Tensor = call(t)
        return out

    values = tuple(p.detach().clone().requires_grad_() for p in free_energy.parameters())
    assert torch.autograd.gradcheck(of, values)
    loss = free_energy.rate(t).square().sum()
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(loss, list(free_energy.parameters())))


def test_huber_is_the_square_of_what_is_small_and_linear_in_what_is_large() -> None:
    r = torch.randn(3, 101, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    square = objectives.mean_square(r)
    assert float(objectives.mean_square(r, huber=50.0)) == float(square)
    assert float(objectives.mean_square(7.0 * r, huber=1.0)) == pytest.approx(
        49 * float(objectives.mean_square(r, 1.0))
    )
    assert 0.5 * square < objectives.mean_square(r, huber=1.0) < square
    r[0, 0] = 1e6
    r.requires_grad_()
    (gradient,) = torch.autograd.grad(objectives.mean_square(r, huber=2.0), r)
    (plain,) = torch.autograd.grad(objectives.mean_square(r), r)
    scale = r.detach().abs().median(1).values / 0.6745
    assert torch.all(gradient.abs().amax(1) <= 2.0 * 2.0 * 1.001 * scale / r.numel())
    # Continuous in value and slope where one becomes the other.
    small = r.detach().abs() < 2.0 * scale.unsqueeze(1)
    assert torch.equal(gradient[small], plain[small])
    assert 0.9 < float(small.double().mean()) < 1.0


def test_huber_keeps_a_row_without_spread() -> None:
    r = torch.zeros(2, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(objectives.mean_square(r, huber=1.0), r)
    assert torch.equal(gradient, torch.zeros_like(r))


def paths_of(
    path: lt.AnnealingPath, network: Any, steps: int, walkers: int, groups: int = 1
) -> Any:
    """Return tau-leaps of the network's own rates, and their times.

    Their shape is ``(groups, steps + 1, walkers, *shape)``.
    """
    sampler = lt.Sampler(path, network, lt.Jump(2), device="cpu")
    config = lt.TrainingConfig(
        steps=1, times=groups, walkers=walkers, loss="log_variance", leaps=steps, segment=steps
    )
    draws = Draws(config.seed, 0)
    grid = torch.linspace(0, 1, steps + 1, dtype=torch.float64).expand(groups, -1)
    x = path.start.sample(torch.arange(groups * walkers), seed=1).unflatten(0, (groups, walkers))
    leap = lt.TauLeap(steps, reversible="barker")
    made = leap_trajectories(sampler.path, network, x, grid, leap, draws)
    return made.configurations, grid


def test_increments_are_those_of_the_integrator() -> None:
    path, network = lt.AnnealingPath(MODEL), random_network(MODEL)
    with torch.no_grad():
        trajectories, t = paths_of(path, network, 3, 4, groups=2)
        found = objectives.increments(path, network, trajectories, t, 0.3, "barker")
        for step in range(3):
            x, y = trajectories[1, step], trajectories[1, step + 1]
            single = leap_increment(
                path, network, x, y, float(t[1, step]), float(t[1, step + 1]), 0.3, "barker"
            )
            torch.testing.assert_close(found[1, step], single)


PATH_LOSSES = [objectives.log_variance, objectives.squared_residual]


@pytest.mark.parametrize("loss", PATH_LOSSES)
def test_gradient_of_path_losses(loss: Any) -> None:
    path, network = lt.AnnealingPath(MODEL), random_network(MODEL)
    trajectories, t = paths_of(path, network, 3, 4)
    weight = network.readout.weight
    free_energy = torch.linspace(0, 2, 4, dtype=torch.float64).view(1, 4).requires_grad_()

    def loss_of(value: torch.Tensor, baseline: torch.Tensor | None) -> torch.Tensor:
        def transport(configurations: torch.Tensor, conditions: lt.Conditions) -> torch.Tensor:
            state = {"readout.weight": value}
            out: torch.Tensor = torch.func.functional_call(
                network, state, (configurations, conditions)
            )
            return out.double()

        out: torch.Tensor = loss(path, _Double(transport), trajectories, t, baseline)
        return out

    value = weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: loss_of(v, None), (value,), atol=1e-5, rtol=1e-4)
    assert torch.autograd.gradcheck(loss_of, (value, free_energy), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("loss", PATH_LOSSES)
def test_path_losses_do_not_see_a_constant_in_the_weights(loss: Any) -> None:
    """A learned F_t cancels the constant of an energy that it knows of.

    The shift adds a constant to A at every step.
    """
    one, two = (lt.PairModel((3, 4), 0.4, torch.eye(2), [h, h + 0.2]) for h in (0.0, 3.0))
    paths = [lt.AnnealingPath(model) for model in (one, two)]
    network = random_network(one)
    trajectories, t = paths_of(paths[0], network, 4, 6)
    with torch.no_grad():
        losses = [float(loss(path, network, trajectories, t)) for path in paths]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        given = [
            float(loss(p, network, trajectories, t, s * 12 * 3.0 * 0.4 * t))
            for s, p in enumerate(paths)
        ]
    assert given[0] == pytest.approx(given[1], rel=1e-5)
    assert given[0] > losses[0] * 0.5


class _Independent(torch.nn.Module):
    """The rates that carry independent spins in a field exactly.

    ``G = -s 2βh σ(2βht)``, which is ``p'(t)/(1-p)`` upwards.
    """

    def __init__(self, model: lt.Ising) -> None:
        super().__init__()
        self.strength = torch.nn.Parameter(2 * model.beta * model.site_table[1].double())

    def forward(self, configurations: torch.Tensor, conditions: lt.Conditions) -> torch.Tensor:
        t = conditions.t.view(-1, 1, 1)
        up = self.strength * torch.sigmoid(self.strength * t)
        down = self.strength * torch.sigmoid(-self.strength * t)
        rate = torch.where(self.strength > 0, up, down)
        return ((1 - 2 * configurations) * rate).unsqueeze(1)


def test_losses_of_an_exact_solution_are_zero() -> None:
    """At single times losses vanish to rounding; for tau-leaping they fall like h² and h.

    The rates of a tau-leap stand still in a step h.
    """
    model = lt.Ising((2, 3), beta=0.7, coupling=0.0, field=torch.linspace(-0.8, 0.9, 6).view(2, 3))
    path, network = lt.AnnealingPath(model), _Independent(model)
    with torch.no_grad():
        t = torch.tensor([0.3, 0.8], dtype=torch.float64)
        x = states(model).unsqueeze(0).expand(2, *states(model).shape)
        assert float(objectives.physics_informed(path, network, x, t)) < 1e-20
        assert float(objectives.physics_informed(path, random_network(model), x, t)) > 0.1
        for objective, order in ((objectives.log_variance, 2), (objectives.squared_residual, 1)):
            loss: Any = functools.partial(objective, reversible="barker")
            coarse, fine = (
                float(loss(path, network, *paths_of(path, network, n, 400))) for n in (10, 80)
            )
            other = random_network(model, gauge="plain")
            wrong = float(loss(path, other, *paths_of(path, other, 80, 400)))
            assert 0.6 < coarse / fine / 8**order < 1.7
            assert wrong > 1000 * fine


def test_without_rates_and_without_a_change_of_density_the_losses_of_leaps_are_zero() -> None:
    """At β = 0 the floor's moves are their own way back, so A = 0 for every path."""
    model = lt.Potts((3, 3), q=3, beta=0.0)
    path = lt.AnnealingPath(model)
    network = random_network(model)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        trajectories, t = paths_of(path, network, 5, 20)
        assert (trajectories[:, 1:] != trajectories[:, :-1]).any()
        for loss in PATH_LOSSES:
            assert float(loss(path, network, trajectories, t)) < 1e-25
