"""The settings of a training run."""

import math
from dataclasses import dataclass

from ..kernels.checks import as_integer, as_number, as_seed, expect
from .losses import LOSSES

__all__ = ["BASELINES", "TrainingConfig"]


BASELINES = ("batch_mean", "learned")
"""Names of what a loss measures deviations from."""


@dataclass(frozen=True)
class TrainingConfig:
    """Holds the settings of a :class:`~leaps_triton.Trainer`, checked when it is made.

    Attributes:
        steps: optimiser steps in total. A training that has been made, or begun, can be given other
            ones: :meth:`~leaps_triton.Trainer.extend` says what becomes of the learning rate.
        times: times per batch, stratified over [0, 1].
        walkers: configurations at each time.
        learning_rate: of Adam (β₁ = 0.9, β₂ = 0.99) at its peak; in every leg of a training it
            rises over ``warmup`` steps and falls to 0 as a cosine.
        warmup: steps.
        clip: largest norm of the gradient.
        buffer: configurations kept for each interval of the sampler.
        rollout_every: steps between rollouts of the current sampler; each replaces ``rollout`` of
            the buffer.
        rollout: walkers per rollout.
        sweeps: heat-bath sweeps that refresh the configurations, at every boundary of a rollout and
            at every use.
        evaluate_every: steps between evaluations with exact weights on fresh seeds; 0 for none.
            What is trained does not depend on them.
        evaluation_walkers: of each evaluation.
        evaluation_block: walkers per block of an evaluation; 0 for the sampler's own blocks, of
            which a whole one is computed for few walkers too.
        loss: ``"physics_informed"``, at single times; or, on exact steps of tau-leaping from the
            buffer on, ``"squared_residual"`` of each step or ``"log_variance"`` of their sum. See
            :mod:`~leaps_triton.training.losses`.
        leaps: steps of tau-leaping from 0 to 1, for the two.
        segment: how many of them a walker of the batch makes; ``leaps`` for whole paths. Such a
            batch costs ``segment + 1`` evaluations per walker, and as many without gradient.
        baseline: what residuals are measured from: ``"batch_mean"``, their mean at each time, or
            ``"learned"``, the derivative of a :class:`~leaps_triton.training.losses.FreeEnergy`
            that is trained along.
        huber_steps: first steps of every leg that take Huber's loss in place of the square, so that
            single walkers with large residuals count less; 0 for none.
        huber_delta: standard deviations from which on it is linear.
        ema: decay per step of an exponential moving average of the parameters, in [0, 1), reached
            from ``(1 + step) / (10 + step)``; 0 for none. With it the sampler's transport holds the
            average.
        divergence: training stops if the mean loss of 20 steps exceeds its lowest value in this leg
            by this factor.
        seed: of everything random in training.
    """

    steps: int = 2000
    times: int = 16
    walkers: int = 16
    learning_rate: float = 1e-2
    warmup: int = 100
    clip: float = 1.0
    buffer: int = 1024
    rollout_every: int = 200
    rollout: int = 256
    sweeps: int = 1
    evaluate_every: int = 0
    evaluation_walkers: int = 1024
    evaluation_block: int = 0
    loss: str = "physics_informed"
    leaps: int = 50
    segment: int = 4
    baseline: str = "batch_mean"
    huber_steps: int = 0
    huber_delta: float = 2.0
    ema: float = 0.0
    divergence: float = 100.0
    seed: int = 0

    def __post_init__(self) -> None:
        checked: dict[str, float] = {}
        for name, least in _LEAST.items():
            checked[name] = as_integer(name, getattr(self, name), least)
        for name in ("learning_rate", "clip", "divergence", "huber_delta"):
            checked[name] = as_number(name, getattr(self, name), "a positive number", _is_positive)
        checked["ema"] = as_number("ema", self.ema, "a number in [0, 1), such as 0.999", _is_decay)
        checked["seed"] = as_seed(self.seed)
        for name, value in checked.items():
            # Plain numbers, as a file keeps them.
            object.__setattr__(self, name, value)
        if self.rollout > self.buffer:
            raise ValueError(
                f"rollout must be at most the buffer of {self.buffer}, got {self.rollout}"
            )
        if self.segment > self.leaps:
            raise ValueError(
                f"segment must be at most the {self.leaps} leaps of a path, got {self.segment}"
            )
        _check_name("loss", self.loss, LOSSES)
        _check_name("baseline", self.baseline, BASELINES)


_LEAST = {
    "steps": 1,
    "times": 1,
    # The mean over walkers takes a degree of freedom.
    "walkers": 2,
    "warmup": 0,
    "buffer": 1,
    "rollout_every": 1,
    "rollout": 1,
    "sweeps": 1,
    "evaluate_every": 0,
    # Errors need two walkers.
    "evaluation_walkers": 2,
    "evaluation_block": 0,
    "huber_steps": 0,
    "leaps": 1,
    "segment": 1,
}
"""The least value of each setting that is an integer."""


def _is_positive(value: float) -> bool:
    # NaN fails either comparison.
    return 0.0 < value < math.inf


def _is_decay(value: float) -> bool:
    return 0.0 <= value < 1.0


def _check_name(name: str, value: object, names: tuple[str, ...]) -> None:
    known = isinstance(value, str) and value in names
    expect(known, name, f"one of {', '.join(names)}", value)
