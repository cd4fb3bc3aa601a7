"""Training: repetition, continuation, averages, failures that lose nothing, and that it learns."""

import math
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton import exact
from leaps_triton.training.data.draws import Draws, Use
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
