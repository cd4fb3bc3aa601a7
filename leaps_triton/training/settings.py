"""What the settings of a training may be, and the recipes made of them."""

import math

from ..kernels.checks import is_positive

__all__ = ["DRIFT", "GAUSS_NEWTON", "LEAST", "NUMBERS", "SPRING"]


LEAST = {
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
    "bins": 1,
    "held_out": 0,
    "held_out_times": 1,
    "shares": 1,
    "adam_steps": 0,
}
"""The least value of each setting that is an integer."""


def _is_not_negative(value: float) -> bool:
    return 0.0 <= value < math.inf


def _is_below_one(value: float) -> bool:
    return 0.0 <= value < 1.0


def _is_share(value: float) -> bool:
    return 0.0 <= value <= 1.0


def _is_time(value: float) -> bool:
    return 0.0 < value <= 1.0


_POSITIVE = ("a positive number", is_positive)

_NOT_NEGATIVE = ("0 or a positive number", _is_not_negative)

NUMBERS = {
    "learning_rate": _POSITIVE,
    "clip": _POSITIVE,
    "divergence": _POSITIVE,
    "huber_delta": _POSITIVE,
    "ema": ("a number in [0, 1), such as 0.999", _is_below_one),
    "momentum": ("a number in [0, 1)", _is_below_one),
    "damping": _POSITIVE,
    "norm_cap": _NOT_NEGATIVE,
    "time_power": _POSITIVE,
    "time_density": _NOT_NEGATIVE,
    "first_time": ("a number in [0, 1)", _is_below_one),
    "row_power": _NOT_NEGATIVE,
    "curriculum": ("a number in [0, 1]", _is_share),
    "curriculum_start": ("a number in (0, 1]", _is_time),
    "box": _NOT_NEGATIVE,
    "diffusion": _NOT_NEGATIVE,
    "hamilton_jacobi": _NOT_NEGATIVE,
}
"""What each setting that is a number must be, and whether it is."""

SPRING = {
    "optimizer": "spring",
    "learning_rate": 0.15,
    "warmup": 20,
    "ema": 0.98,
    "time_power": 0.4,
    "refresh": "swendsen_wang",
    "held_out": 256,
}
"""Settings of the recipe."""

DRIFT = {
    "optimizer": "spring",
    "learning_rate": 0.1,
    "warmup": 50,
    "ema": 0.98,
    "damping": 1e-3,
    "times": 8,
    "walkers": 32,
    "buffer": 256,
    "rollout": 256,
    "refresh": "hmc",
    "held_out": 256,
}
"""Settings of the recipe for drifts."""

GAUSS_NEWTON = {
    "optimizer": "gauss_newton",
    "refresh": "nodes",
    "steps": 400,
    "learning_rate": 1e-2,
    "warmup": 0,
    "clip": 10.0,
    "times": 16,
    "walkers": 32,
    "bins": 32,
    "buffer": 256,
    "damping": 1e-2,
}
"""Settings of the recipe for small networks in low dimension."""
