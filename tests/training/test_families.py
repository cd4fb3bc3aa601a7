"""Training on several models together: fields and instances, those of the family and others."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.training.data.draws import Draws
from leaps_triton.training.data.family import Family
from leaps_triton.training.equilibrium import samples
from leaps_triton.training.evaluation import HeldOut
from leaps_triton.training.optimizers import per_sample_gradients

SMALL: dict[str, Any] = {
    "times": 4,
    "walkers": 8,
    "buffer": 16,
    "rollout": 8,
    "rollout_every": 3,
    "bins": 4,
    "warmup": 2,
}


def ising(field: float | Tensor, beta: float = 0.4) -> lt.Ising:
    return lt.Ising((4, 4), beta=beta, field=field)


def glass(seed: int, disorder: str = "pm1") -> lt.EdwardsAnderson:
    return lt.EdwardsAnderson((4, 4), beta=0.7, disorder=disorder, seed=seed)


def make(models: list[Any], widths: tuple[int, ...] = (8,), **settings: Any) -> lt.Trainer:
    network = lt.SymmetricConv(models[0], kernel_size=3, widths=widths)
    path = lt.AnnealingPath(models[0])
    sampler = lt.Sampler(path, network, lt.Jump(4), block=64, device="cpu")
    config = lt.TrainingConfig(**{"refresh": "exact", **SMALL, **settings})
    return lt.Trainer(sampler, config, family=models[1:])


def random_fields(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.5 * torch.randn(4, 4, generator=generator)


FAMILIES: dict[str, Any] = {
    # A uniform field and one of every site are of one family.
    "fields": lambda: [ising(0.3), ising(0.0), ising(random_fields(0))],
    "instances": lambda: [glass(0), glass(1), glass(2, "gaussian")],
}


@pytest.mark.parametrize("name", FAMILIES)
def test_residuals_of_a_batch_are_those_of_each_model(name: str) -> None:
    models = FAMILIES[name]()
    trainer = make(models)
    draws = Draws(0, 0)
    trainer.buffer.prepare(trainer.network, draws)
    batch = trainer.buffer.batch(draws, 1.0, None)
    assert batch.members is not None
    assert set(batch.members.tolist()) == {0, 1, 2}
    x = batch.configurations.flatten(0, 1)
    t = batch.t.repeat_interleave(8)
    network = trainer.network

    def mixed() -> Tensor:
        return lt.objectives.residual(trainer.family.along(batch), network, x, t)

    found = per_sample_gradients(network, mixed)
    for row, number in enumerate(batch.members.tolist()):
        rows = slice(8 * row, 8 * row + 8)
        path = lt.AnnealingPath(models[number])

        def alone(path: Any = path, rows: slice = rows) -> Tensor:
            return lt.objectives.residual(path, network, x[rows], t[rows])

        own = per_sample_gradients(network, alone)
        torch.testing.assert_close(found.values[rows], own.values, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.jacobian[rows], own.jacobian, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_a_batch_is_the_mean_of_the_models() -> None:
    models = [ising(0.3), ising(random_fields(1))]
    trainer = make(models)
    draws = Draws(0, 5)
    trainer.buffer.prepare(trainer.network, Draws(0, 0))
    batch = trainer.buffer.batch(draws, 1.0, None)
    assert batch.members is not None
    network = trainer.network
    parameters = list(network.parameters())
    whole = lt.objectives.physics_informed(
        trainer.family.along(batch), network, batch.configurations, batch.t
    )
    parts = []
    for number, model in enumerate(models):
        rows = batch.members == number
        # Each has the same share of the four times.
        assert int(rows.sum()) == 2
        own = lt.objectives.physics_informed(
            lt.AnnealingPath(model), network, batch.configurations[rows], batch.t[rows]
        )
        parts.append(torch.autograd.grad(own, parameters, allow_unused=True))
    gradient = torch.autograd.grad(whole, parameters, allow_unused=True)
    for mixed, one, two in zip(gradient, *parts, strict=True):
        torch.testing.assert_close(mixed, (one + two) / 2, rtol=1e-4, atol=1e-6)


def test_models_take_turns() -> None:
    family = Family([lt.AnnealingPath(glass(seed)) for seed in range(3)])
    turns = torch.stack([family.dealt(Draws(0, step), 4) for step in range(6)])
    assert turns.flatten().bincount().tolist() == [8, 8, 8]
    # None is at the same places of every batch.
    assert not (turns == turns[0]).all()


@pytest.mark.parametrize(("optimizer", "refresh"), [("spring", "tempering"), ("adam", "exact")])
def test_a_family_goes_on_bit_for_bit(
    optimizer: str, refresh: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Short ladders: equilibrium is not what is tested here.
    monkeypatch.setattr(samples, "_STEPS", 5)
    settings: dict[str, Any] = {
        "steps": 6,
        "optimizer": optimizer,
        "refresh": refresh,
        "ema": 0.9,
        "held_out": 8,
        "row_power": 0.5,
        "evaluate_every": 3,
        "evaluation_walkers": 8,
        "evaluation_block": 8,
        "shares": 2,
    }
    models = [glass(seed) for seed in range(3)]
    whole = make(models, **settings)
    whole.run()
    file = tmp_path / "family.safetensors"
    make(models, **settings).run(4, checkpoint=file)
    again = make(models, **settings)
    again.resume(file)
    again.run()
    assert again.history == whole.history
    assert torch.equal(again.buffer.configurations, whole.buffer.configurations)
    pairs = zip(again.network.parameters(), whole.network.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    # The mean is what all else follows, and each model has its own.
    history = whole.history
    assert [len(row) for row in history.held_out_members] == [3, 3, 3]
    for row, mean in zip(history.held_out_members, history.held_out_integral, strict=True):
        assert sum(row) / 3 == pytest.approx(mean)
    with pytest.raises(ValueError, match=r"made with other settings.*family"):
        make([*models[:2], glass(7)], **settings).resume(file)
    with pytest.raises(ValueError, match=r"made with other settings.*family"):
        make(models[:1], **settings).resume(file)


def test_parts_of_a_batch_give_the_same_step() -> None:
    losses = []
    for shares in (1, 2):
        trainer = make([ising(0.2), ising(0.5)], steps=3, optimizer="spring", shares=shares)
        losses.append(trainer.run().loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize(
    ("other", "settings", "message"),
    [
        (lambda: lt.Ising((4, 6), beta=0.4), {}, r"family\[0\] must have the lattice"),
        (lambda: lt.Ising((4, 4), 0.4, periodic=False), {}, r"family\[0\] must have the lattice"),
        (lambda: lt.Potts((4, 4), 3, 0.4), {}, r"family\[0\] must have q = 2"),
        (lambda: lt.Potts((4, 4), 2, 0.4), {}, "made for another bond_table"),
        (lambda: ising(0.0), {"refresh": "rollout"}, "trained on samples of equilibrium"),
        (lambda: ising(0.0), {"loss": "log_variance"}, "so loss must be 'physics_informed'"),
        (lambda: ising(0.0), {"baseline": "learned"}, "so baseline must be 'batch_mean'"),
    ],
)
def test_other_families_are_refused(other: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make([ising(0.1), other()], **settings)


def test_a_family_begins_at_the_uniform_start() -> None:
    model = ising(0.1)
    start = lt.paths.Uniform(model.lattice, 2)

    class Other:
        log_z = start.log_z

        def sample(self, walker_index: Tensor, seed: int) -> Tensor:
            return start.sample(walker_index, seed)

    network = lt.SymmetricConv(model, kernel_size=3, widths=(4,))
    sampler = lt.Sampler(lt.AnnealingPath(model, Other()), network, lt.Jump(4), device="cpu")
    config = lt.TrainingConfig(refresh="exact", **SMALL)
    with pytest.raises(ValueError, match="begin at the uniform start"):
        lt.Trainer(sampler, config, family=[ising(0.2)])


LEARNED: dict[str, Any] = {
    "fields": ([ising(0.1), ising(0.5)], ising(0.3)),
    "instances": ([glass(seed) for seed in range(4)], glass(17)),
}


@pytest.mark.parametrize("name", LEARNED)
def test_a_family_serves_a_model_it_never_saw(name: str) -> None:
    """In 24 steps from a fixed seed the spread of residuals of another model falls to a third.

    Its weights are exact: log Z within four standard errors, a false alarm once in 10⁴ seeds.
    """
    models, unseen = LEARNED[name]
    trainer = make(
        models,
        (16,),
        steps=24,
        times=12,
        walkers=12,
        buffer=48,
        optimizer="spring",
        learning_rate=0.2,
        ema=0.9,
    )
    path = lt.AnnealingPath(unseen)
    judge = HeldOut(path, lt.TrainingConfig(refresh="exact", held_out=64), torch.device("cpu"))
    before = judge.judge(trainer.network).integral
    trainer.run()
    network: Any = trainer.sampler.transport
    after = judge.judge(network).integral
    assert after < before / 3.0
    ensemble = lt.Sampler(path, network, lt.Jump(8), block=256, device="cpu").sample(256, seed=3)
    error = ensemble.log_z - lt.exact.log_z(unseen)
    assert abs(error) < 4.0 * ensemble.log_z_error
