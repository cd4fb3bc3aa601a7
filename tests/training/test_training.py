"""Training: losses, repetition, continuation, failures that lose nothing, and that it learns."""

import functools
import math
from typing import Any

import pytest
import torch

import leaps_triton as lt
from helpers import random_network, small_models, states
from leaps_triton import exact, objectives
from leaps_triton.integrators.tau_leap import leap_increment
from leaps_triton.training.data.draws import Draws, Use
from leaps_triton.training.data.trajectories import leap_trajectories
from leaps_triton.training.optimizers.guard import snapshot

MODEL = lt.Ising((4, 4), beta=0.4)


def make(steps: int = 12, seed: int = 0, **options: Any) -> lt.Trainer:
    path = lt.AnnealingPath(MODEL)
    network = lt.HollowConv(MODEL, kernel_size=3, channels=8, width=16, modes=1, seed=0)
    sampler = lt.Sampler(path, network, integrator=lt.Jump(6), block=64, device="cpu")
    settings: dict[str, Any] = {
        "times": 6,
        "walkers": 8,
        "buffer": 32,
        "rollout": 16,
        "rollout_every": 5,
        "warmup": 4,
    }
    return lt.Trainer(sampler, lt.TrainingConfig(steps=steps, seed=seed, **{**settings, **options}))


def parameters(trainer: lt.Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.network.parameters()])


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


def test_the_average_follows_the_parameters() -> None:
    """At every step average ← d average + (1 - d) parameters.

    At first d is (1 + step) / (10 + step).
    """
    trainer = make(ema=0.5)
    start = average = parameters(trainer)
    for step in range(11):
        trainer.run(step + 1)
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * parameters(trainer)
        transport = trainer.sampler.transport
        assert isinstance(transport, lt.HollowConv)
        now = torch.cat([p.detach().flatten() for p in transport.parameters()])
        torch.testing.assert_close(now, average)
    assert not torch.allclose(now, parameters(trainer))
    assert not torch.allclose(now, start)


def test_the_average_leaves_training_alone() -> None:
    plain, averaged = make(), make(ema=0.9)
    plain.run()
    averaged.run()
    assert torch.equal(parameters(plain), parameters(averaged))
    assert plain.network is plain.sampler.transport
    assert averaged.network is not averaged.sampler.transport


def test_evaluations_are_of_the_average() -> None:
    trainer = make(steps=6, evaluate_every=6, evaluation_walkers=64, ema=0.9)
    history = trainer.run()
    seed = Draws(trainer.config.seed, trainer.step).own_seed(Use.EVALUATION_SEED)
    assert history.evaluation_log_z == [trainer.sampler.sample(64, seed=seed).log_z]


def test_a_learned_baseline_finds_the_free_energy() -> None:
    """It trains as well as the batch mean does, and F_1 is log Z_1 / Z_0 to 2 %."""
    trainer = make(
        steps=250,
        walkers=16,
        learning_rate=2e-2,
        rollout_every=100,
        warmup=20,
        baseline="learned",
        huber_steps=50,
    )
    trainer.run()
    assert trainer.sampler.sample(512, seed=9).ess > 0.9
    assert trainer.free_energy is not None
    change = exact.log_z(MODEL) - trainer.sampler.path.start.log_z
    assert trainer.free_energy(torch.ones(())).item() == pytest.approx(change, rel=0.02)


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


@pytest.mark.parametrize(
    ("loss", "baseline"), [("log_variance", "learned"), ("squared_residual", "batch_mean")]
)
def test_it_learns_on_exact_increments(loss: str, baseline: str) -> None:
    """It learns from a fixed seed.

    It learns less than by the loss at single times in as many steps, since paths are noisier.
    """
    trainer = make(
        steps=120, walkers=16, learning_rate=2e-2, rollout_every=40, warmup=20, loss=loss,
        baseline=baseline, leaps=40, segment=2,
    )  # fmt: skip
    before = trainer.sampler.sample(512, seed=9)
    trainer.run()
    after = trainer.sampler.sample(512, seed=9)
    assert before.ess < 0.1
    assert after.ess > 3 * before.ess
    assert abs(after.log_z - exact.log_z(MODEL)) < 4 * after.log_z_error


def test_training_is_reproducible() -> None:
    one, two, other = make(), make(), make(seed=1)
    assert one.run().loss == two.run().loss
    assert torch.equal(parameters(one), parameters(two))
    assert other.run().loss != one.history.loss


def test_training_goes_on_bit_for_bit_where_it_stopped() -> None:
    whole, halves = make(), make()
    whole.run()
    halves.run(7)
    assert halves.step == 7
    halves.run()
    assert torch.equal(parameters(whole), parameters(halves))
    assert whole.history == halves.history
    assert len(halves.run().loss) == 12


def test_training_does_not_depend_on_the_global_generator() -> None:
    one, two = make(), make()
    torch.manual_seed(1)
    one.run()
    torch.manual_seed(2)
    two.run()
    assert torch.equal(parameters(one), parameters(two))


def test_it_learns() -> None:
    """A small network learns in a few seconds.

    The ESS rises from far below to above 0.9, and log Z is within four errors.
    """
    trainer = make(
        steps=250, walkers=16, learning_rate=2e-2, evaluate_every=250, rollout_every=100, warmup=20
    )
    before = trainer.sampler.sample(512, seed=9).ess
    history = trainer.run()
    after = trainer.sampler.sample(512, seed=9)
    assert before < 0.6
    assert after.ess > 0.9
    assert history.evaluation_step == [250]
    assert history.evaluation_ess[0] > 0.9
    assert abs(after.log_z - exact.log_z(MODEL)) < 4 * after.log_z_error
    assert (
        abs(history.evaluation_log_z[0] - exact.log_z(MODEL))
        < 4 * history.evaluation_log_z_error[0]
    )


def test_learning_rate_rises_and_falls() -> None:
    rates = make(steps=20, warmup=5).run().learning_rate
    assert rates[0] < rates[2] < rates[4]
    assert rates[4] > rates[10] > rates[19] > 0
    assert max(rates) <= 1e-2


def test_evaluations_use_fresh_seeds() -> None:
    history = make(steps=9, evaluate_every=3, evaluation_walkers=64, learning_rate=1e-12).run()
    assert history.evaluation_step == [3, 6, 9]
    assert len(set(history.evaluation_log_z)) == 3
    assert set(history.as_dict()) == set(vars(history))


def test_a_loss_that_is_not_finite_stops_before_it_harms() -> None:
    trainer = make(steps=12)
    trainer.run(3)
    good = parameters(trainer)
    trainer.guard.good = snapshot(trainer.network)
    with torch.no_grad():
        trainer.network.get_parameter("readout.weight")[0, 0] = math.nan
    with pytest.raises(
        lt.TrainingDiverged, match=r"diverged at step 3 \(loss nan.*lower learning_rate"
    ) as caught:
        trainer.run()
    assert torch.equal(parameters(trainer), good)
    assert len(caught.value.history.loss) == 3


def test_a_loss_that_explodes_stops() -> None:
    trainer = make(steps=60, divergence=5.0)
    trainer.run(25)
    with torch.no_grad():
        trainer.network.get_parameter("readout.weight").mul_(300.0)
    with pytest.raises(lt.TrainingDiverged, match=r"mean loss .* times its lowest"):
        trainer.run()
    assert parameters(trainer).isfinite().all()
    assert math.isfinite(trainer.sampler.sample(64, seed=0).log_z)


def test_a_loss_that_is_lost_within_the_first_steps_stops() -> None:
    """Bounded features keep such a loss finite, and it never was low over 20 steps."""
    network = lt.SymmetricConv(MODEL)
    sampler = lt.Sampler(lt.AnnealingPath(MODEL), network, lt.Jump(5), block=64, device="cpu")
    config = lt.TrainingConfig(steps=30, learning_rate=1e5, rollout=16, warmup=20)
    with pytest.raises(lt.TrainingDiverged, match=r"at step 19 .* learning_rate \(now 100000\)"):
        lt.Trainer(sampler, config).run()


def test_the_error_of_a_divergence_names_settings_of_its_optimizer() -> None:
    for optimizer, setting in {"adam": "clip", "spring": "norm_cap"}.items():
        trainer = make(optimizer=optimizer)
        with pytest.raises(lt.TrainingDiverged, match=rf"learning_rate .* or {setting} \(now"):
            trainer.guard.check(trainer.network, math.inf, 1.0, trainer.history)


def test_after_a_failure_the_average_too_is_good() -> None:
    trainer = make(steps=12, ema=0.9)
    trainer.run(3)
    good = {name: value.clone() for name, value in trainer.guard.good.items()}
    with torch.no_grad():
        trainer.network.get_parameter("readout.weight")[0, 0] = math.nan
    with pytest.raises(lt.TrainingDiverged):
        trainer.run()
    transport = trainer.sampler.transport
    assert isinstance(transport, lt.HollowConv)
    assert all(torch.equal(value, good[name]) for name, value in transport.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
        ({"walkers": 1}, "walkers must be an integer of at least 2"),
        ({"learning_rate": math.nan}, "learning_rate must be a positive number"),
        ({"learning_rate": -1.0}, "learning_rate must be"),
        ({"rollout": 65}, "rollout must be at most the buffer of 32"),
        ({"seed": -1}, "seed must be an integer"),
        ({"warmup": 1.5}, "warmup must be an integer"),
        ({"steps": True}, "steps must be an integer"),
        ({"ema": 1.0}, r"ema must be a number in \[0, 1\)"),
        ({"huber_steps": -1}, "huber_steps must be an integer of at least 0"),
        ({"segment": 51}, "segment must be at most the 50 leaps of a path, got 51"),
        (
            {"loss": "mse"},
            "loss must be one of physics_informed, log_variance, squared_residual, "
            "action_matching, got 'mse'",
        ),
        ({"huber_delta": 0.0}, "huber_delta must be a positive number"),
        ({"baseline": "mean"}, "baseline must be one of batch_mean, learned, got 'mean'"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_transport_without_parameters_is_refused() -> None:
    sampler = lt.Sampler(lt.AnnealingPath(MODEL), None, mcmc=lt.HeatBath(), device="cpu")
    with pytest.raises(ValueError, match=r"must be an nn\.Module with parameters"):
        lt.Trainer(sampler)
