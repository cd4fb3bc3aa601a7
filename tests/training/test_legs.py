"""Training that is extended: legs, each with a schedule of its own, bit for bit in files too."""

from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
from going_on import FILES
from helpers import same_training
from leaps_triton.io import checkpoint
from leaps_triton.training import Leg, read_history
from leaps_triton.training.data.draws import Draws, Use

MODEL = lt.Ising((4, 4), beta=0.4)


def make(steps: int = 6, weights: str | None = None, **settings: Any) -> lt.Trainer:
    path = lt.AnnealingPath(MODEL)
    network = lt.HollowConv(MODEL, kernel_size=3, channels=2, width=4, modes=0)
    sampler = lt.Sampler(path, network, lt.Jump(4, weights=weights), device="cpu")
    small = {"times": 2, "walkers": 4, "buffer": 8, "rollout": 4, "rollout_every": 4, "warmup": 2}
    return lt.Trainer(sampler, lt.TrainingConfig(steps, **{**small, **settings}))


EXTRAS = {"ema": 0.9, "baseline": "learned", "huber_steps": 3}


@pytest.mark.parametrize("settings", [{}, EXTRAS], ids=["plain", "extras"])
def test_extension_is_the_same_at_once_by_a_file_and_by_pieces(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "c.safetensors"
    at_once = make(6, **settings)
    at_once.run()
    at_once.run(13)
    make(6, **settings).run(checkpoint=file)
    by_file = make(13, **settings)
    by_file.resume(file)
    by_file.run(9, checkpoint=file)
    by_pieces = make(13, **settings)
    by_pieces.resume(file)
    assert same_training(by_file, by_pieces)
    by_pieces.run(checkpoint=file)
    assert at_once.history.legs == [Leg(0, 6, 0.01), Leg(6, 7, 0.01)]
    assert same_training(at_once, by_pieces)
    assert read_history(file) == at_once.history


def test_frozen_weights_of_a_file_are_those_of_rollouts_too(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    at_once = make(9, "frozen")
    at_once.run(3, checkpoint=file)
    at_once.run()
    unasked = make(9)
    assert unasked.sampler.integrator.settings["weights"] == "running"
    unasked.resume(file)
    unasked.run()
    assert same_training(at_once, unasked)


def test_a_new_leg_rises_and_falls_as_the_first() -> None:
    trainer = make(6)
    first = list(trainer.run().learning_rate)
    both = list(trainer.run(12).learning_rate)
    assert both == first + first
    trainer.extend(18, learning_rate=0.005)
    halved = [rate / 2 for rate in first]
    assert trainer.run().learning_rate == pytest.approx(both + halved, rel=1e-15)


def test_an_unfinished_training_begins_its_new_leg_where_it_stands() -> None:
    trainer = make(20)
    trainer.run(5)
    trainer.extend(11)
    rates = trainer.run().learning_rate
    assert trainer.history.legs == [Leg(0, 20, 0.01), Leg(5, 6, 0.01)]
    assert rates[5:] == make(6).run().learning_rate


def test_steps_that_change_before_any_step_leave_no_trace() -> None:
    planned, changed = make(9), make(4)
    changed.extend(20)
    changed.extend(9)
    planned.run()
    changed.run()
    assert same_training(planned, changed)


def test_the_same_steps_begin_no_leg(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    whole, halves = make(12), make(12)
    whole.run()
    halves.run(6, checkpoint=file)
    # A plan that ends here makes no step, so the old one can still be taken up.
    stopped = make(6)
    stopped.resume(file)
    stopped.run(checkpoint=file)
    assert stopped.step == 6
    again = make(12)
    again.resume(file)
    again.run()
    assert same_training(whole, again)


def test_fewer_steps_than_are_done_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    trainer = make(6)
    trainer.run(checkpoint=file)
    with pytest.raises(ValueError, match="steps must be at least the 6 that are done, got 5"):
        trainer.extend(5)
    with pytest.raises(ValueError, match=r"c.safetensors is at step 6 already, got steps=5"):
        make(5).resume(file)
    with pytest.raises(ValueError, match="learning_rate must be a positive number"):
        trainer.extend(9, learning_rate=0.0)
    assert trainer.history.legs == [Leg(0, 6, 0.01)]


def test_a_learning_rate_of_its_own_takes_a_new_leg(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    make(6).run(checkpoint=file)
    with pytest.raises(ValueError, match=r"training.learning_rate 0.01 \(now 0.005\)"):
        make(6, learning_rate=0.005).resume(file)
    trainer = make(9, learning_rate=0.005)
    trainer.resume(file)
    trainer.run(checkpoint=file)
    assert read_history(file).legs == [Leg(0, 6, 0.01), Leg(6, 3, 0.005)]
    with pytest.raises(ValueError, match=r"training.learning_rate 0.005 \(now 0.01\)"):
        make(9).resume(file)


def test_huber_counts_the_steps_of_a_leg(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = lt.objectives.physics_informed

    def watched(*given: Any) -> Any:
        seen.append(given[5] is not None)
        return original(*given)

    monkeypatch.setattr("leaps_triton.training.optimizers.steps.physics_informed", watched)
    trainer = make(4, huber_steps=2)
    trainer.run()
    trainer.run(7)
    assert seen == [True, True, False, False, True, True, False]


def test_the_watch_over_divergence_begins_anew_with_a_leg() -> None:
    trainer = make(3)
    trainer.run()
    # The loss at the small learning rates of an end is no measure for those of a beginning.
    trainer.guard.lowest = 1e-9
    trainer.extend(40)
    trainer.run(25)
    recent = trainer.history.loss[3:]
    windows = [sum(recent[end - 20 : end]) / 20 for end in range(20, 23)]
    assert trainer.guard.lowest == min(windows)


@pytest.mark.parametrize("name", ["training", "training-extras", "old-training"])
def test_trainings_of_before_have_one_leg_and_are_extended(name: str, tmp_path: Path) -> None:
    old = FILES / f"{name}.safetensors"
    stored = checkpoint.read(old).manifest["training"]
    sampler = lt.load(old, device="cpu")
    config = {**stored["config"], "steps": stored["step"] + 1}
    trainer = lt.Trainer(sampler, lt.TrainingConfig(**config))
    trainer.resume(old)
    legs = trainer.run(checkpoint=None).legs
    rate = stored["config"]["learning_rate"]
    assert legs == [Leg(0, stored["config"]["steps"], rate), Leg(stored["step"], 1, rate)]


def test_evaluations_change_nothing_that_is_trained(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    without, often = make(6), make(6, evaluate_every=2, evaluation_walkers=4, evaluation_block=2)
    without.run()
    often.run(checkpoint=file)
    assert often.history.evaluation_step == [2, 4, 6]
    assert without.history.loss == often.history.loss
    # So they may differ from the file's, without a leg.
    without.resume(file)
    assert without.history == often.history


def test_small_blocks_of_evaluations_have_the_same_walkers() -> None:
    one = make(2, evaluate_every=2, evaluation_walkers=4).run()
    two = make(2, evaluate_every=2, evaluation_walkers=4, evaluation_block=2).run()
    # Batches of another size may round in another way.
    assert one.evaluation_log_z == pytest.approx(two.evaluation_log_z, rel=1e-5)


def test_fresh_walkers_have_a_seed_of_their_own() -> None:
    trainer = make(3)
    trainer.run()
    walkers = trainer.fresh_walkers(8)
    draws = Draws(0, 3)
    others = {draws.own_seed(use) for use in (Use.ROLLOUT_SEED, Use.EVALUATION_SEED)}
    assert walkers.seed not in {0, *others}
    assert walkers.log_z == trainer.sampler.sample(8, seed=walkers.seed).log_z


def test_a_file_without_training_has_no_history(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    lt.save(make().sampler, file)
    with pytest.raises(ValueError, match=r"c.safetensors holds a sampler without the state"):
        read_history(file)


@pytest.mark.parametrize(
    "legs",
    [
        [],
        [[1.0, 5.0, 0.1]],
        [[0.0, 5.0, 0.1], [0.0, 5.0, 0.1]],
        [[0.0, 5.0, 0.1], [9.0, 5.0, 0.1]],
        [[0.0, 0.0, 0.1]],
        [[0.0, float("nan"), 0.1]],
        [[0.0, float("inf"), 0.1]],
        [[0.0, 1.0]],
        [0.0, 1.0],
    ],
)
def test_legs_that_cannot_be_are_refused(legs: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    trainer = make(6)
    trainer.save(file)
    contents = checkpoint.read(file)
    contents.tensors["history.legs"] = torch.tensor(legs, dtype=torch.float64)
    checkpoint.write(file, contents)
    with pytest.raises(ValueError, match=r"c.safetensors does not describe a training"):
        trainer.resume(file)
