"""Bad values into networks, integrators, moves, samplers, schedules and weights."""

from typing import Any

import numpy as np
import torch
from bad_values import (
    BAD_A,
    BAD_X,
    INF,
    MODEL,
    NAN,
    NO_BOOLS,
    NO_DEVICES,
    NO_FUNCTIONS,
    NO_NAMES,
    NO_OBJECTS,
    NO_RESTS,
    NO_SEEDS,
    NO_TENSORS,
    PATH,
    THINGS,
    A,
    Entry,
    X,
    among,
    below,
    network,
    numbers,
    sampler,
    tensors,
)
from torch import Tensor

import leaps_triton as lt

SAMPLER = sampler()
TIMES = torch.linspace(0, 1, 5, dtype=torch.float64)
NO_TIMES = THINGS | among(
    0, -1, 2.0, True, NAN, 1.0, [0.0], [0.0, 0.5], [0.0, 0.7, 0.7, 1.0], [0.0, NAN, 1.0],
    [1.0, 0.0], ["0", "1"], [0.0, [0.5], 1.0], [-1.0, 1.0], [[0.0, 1.0]],
    torch.tensor([0.0, 1.0 + 1j]), torch.tensor(1.5), (0.0, INF),
)  # fmt: skip


def _like_x(value: Any) -> bool:
    return (
        isinstance(value, Tensor) and value.ndim == 3 and value.dtype in (torch.int8, torch.int32)
    )


ENTRIES: dict[str, Entry] = {
    "HollowConv": Entry(
        lt.HollowConv,
        {"model": MODEL, "kernel_size": 3, "channels": 2, "width": 4, "modes": 1, "seed": 0},
        {
            "model": NO_OBJECTS,
            "kernel_size": below(1) | among(2, 4, 5, 99, 10**9 + 1),
            "channels": below(1),
            "width": below(1),
            "modes": below(0),
            "seed": NO_SEEDS,
            "global_features": NO_BOOLS,
            "precision": NO_NAMES,
            "incremental": NO_BOOLS,
        },
    ),
    "LocalRates": Entry(
        lt.LocalRates,
        {"model": MODEL, "shells": 1, "width": 4, "seed": 0},
        {
            "model": NO_OBJECTS,
            "shells": below(1).filter(lambda value: value is not None),
            "width": below(1),
            "seed": NO_SEEDS,
        },
    ),
    "TauLeap": Entry(
        lt.TauLeap,
        {"steps": 3, "weights": "exact", "floor": 0.5, "reversible": "barker"},
        {
            "steps": NO_TIMES,
            "weights": NO_NAMES,
            "floor": numbers(0.0, -1.0, INF).filter(lambda value: value is not None),
            "reversible": NO_NAMES,
        },
    ),
    "MapStep": Entry(
        lt.MapStep,
        {"intervals": 3, "weights": "exact", "substeps": 2},
        {
            "intervals": NO_TIMES,
            "weights": NO_NAMES,
            "substeps": below(1).filter(lambda value: value is not None),
        },
    ),
    "RungeKutta": Entry(lt.RungeKutta, {"intervals": 3}, {"intervals": NO_TIMES}),
    "PathRatio": Entry(
        lt.PathRatio,
        {
            "intervals": 3,
            "diffusion": 0.3,
            "momentum": 2.0,
            "preconditioner": "fourier",
            "weights": "exact",
            "mass_squared": 1.0,
        },
        {
            "intervals": NO_TIMES,
            "diffusion": numbers(0.0, -1.0, INF),
            "momentum": numbers(0.0, -1.0, INF).filter(lambda value: value is not None),
            "preconditioner": NO_NAMES.filter(lambda value: value is not None),
            "weights": NO_NAMES,
            "mass_squared": numbers(0.0, -1.0, INF).filter(lambda value: value is not None),
        },
    ),
    "Jump": Entry(
        lt.Jump,
        {"intervals": 3, "reversible": None, "scale": 1.0, "max_events": None},
        {
            "intervals": NO_TIMES,
            "reversible": NO_NAMES.filter(lambda value: value is not None),
            "scale": numbers(0.0, -1.0, INF),
            "max_events": below(1).filter(lambda value: value is not None),
            "domain": (below(1) | among((0, 1), (1.5,), ())).filter(
                lambda value: value is not None and not isinstance(value, list | np.ndarray)
            ),
            "tables": NO_BOOLS.filter(lambda value: value is not None),
        },
    ),
    "jump.with_times": Entry(
        lt.Jump().with_times,
        {"times": [0.0, 1.0]},
        {"times": NO_TIMES},
        {"times": "intervals|times"},
    ),
    "HeatBath": Entry(
        lt.HeatBath, {"sweeps": 1, "backward": False}, {"sweeps": below(1), "backward": NO_BOOLS}
    ),
    "Metropolis": Entry(
        lt.Metropolis,
        {"sweeps": 1, "backward": False, "rest": 0.25},
        {"sweeps": below(1), "backward": NO_BOOLS, "rest": NO_RESTS},
    ),
    "Sampler": Entry(
        lt.Sampler,
        {
            "path": PATH,
            "transport": None,
            "integrator": lt.Jump(2),
            "mcmc": lt.HeatBath(),
            "resample_below": 0.5,
            "block": 8,
            "device": "cpu",
            "resampling": "residual",
        },
        {
            "path": NO_OBJECTS | among(MODEL),
            "transport": NO_FUNCTIONS | among(MODEL),
            "integrator": NO_OBJECTS.filter(lambda value: value is not None)
            | among(lt.Jump, lt.HeatBath()),
            "mcmc": NO_OBJECTS.filter(lambda value: value is not None)
            | among(lt.HeatBath, lt.Jump()),
            "resample_below": numbers(-0.1, 1.1, INF),
            "block": below(1).filter(lambda value: value is not None),
            "device": NO_DEVICES,
            "resampling": NO_NAMES,
        },
    ),
    "sampler.sample": Entry(
        SAMPLER.sample,
        {"walkers": 9, "seed": 0, "first_block": 0},
        {
            "walkers": below(1) | among(2**31 + 1, 10**30),
            "seed": NO_SEEDS,
            "first_block": below(0) | among(2**31, 10**30),
        },
        {"walkers": "walkers"},
    ),
    "ensemble.estimate": Entry(
        SAMPLER.sample(8).estimate,
        {"observable": lt.observables.energy, "function": None},
        {
            "observable": NO_FUNCTIONS
            | among(
                None, lambda x, model: 1.0, lambda x, model: torch.ones(3), lambda x, model: None
            )
            | among(lt.observables.overlap),
            "function": NO_FUNCTIONS | among(lambda means: 1.0, lambda means: torch.ones(9)),
        },
        {"observable": "observable|values"},
    ),
    "weighted_estimate": Entry(
        lt.estimators.weighted_estimate,
        {"values": A, "log_weights": A, "function": None, "block": 1},
        {
            "values": NO_TENSORS | among(A[:3], A[0], A.view(2, 2), A + 1j),
            "log_weights": BAD_A | among(A[:3], A[:1]),
            "function": NO_FUNCTIONS | among(lambda means: 1.0, lambda means: torch.ones(9)),
            "block": below(1),
        },
        {"log_weights": "log_weights|values|walkers"},
    ),
    "effective_sample_size": Entry(
        lt.weights.effective_sample_size, {"log_weights": A}, {"log_weights": BAD_A}
    ),
    "normalised": Entry(lt.weights.normalised, {"log_weights": A}, {"log_weights": BAD_A}),
    "log_mean_exp": Entry(
        lt.weights.log_mean_exp,
        {"log_weights": A},
        {"log_weights": NO_TENSORS | among(A[0], A * NAN, A + INF, A + 1j, A[:0])},
    ),
    "log_mean_exp_error": Entry(
        lt.weights.log_mean_exp_error,
        {"log_weights": A, "block": 2},
        {"log_weights": BAD_A, "block": below(1)},
    ),
    "block_sums": Entry(
        lt.weights.block_sums,
        {"values": A, "block": 2},
        {"values": NO_TENSORS | among(A[0]), "block": below(1)},
    ),
    "leave_one_out_sums": Entry(
        lt.weights.leave_one_out_sums, {"values": A}, {"values": NO_TENSORS | among(A[0])}
    ),
    "ancestors": Entry(
        lt.weights.ancestors,
        {"log_weights": A, "uniform": torch.full((4,), 0.5), "scheme": "systematic"},
        {
            "log_weights": BAD_A | among(A[:3], A.view(2, 2)),
            "uniform": NO_TENSORS | among(A[:3], A.view(2, 2), A * NAN, A + 5, A - 5, A + 1j),
            "scheme": NO_NAMES,
        },
        {"scheme": "resampling"},
    ),
    "equal_steps": Entry(
        lt.schedules.equal_steps,
        {"times": TIMES, "speed": TIMES, "intervals": 3},
        {
            "times": NO_TENSORS
            | among(
                TIMES[:3], TIMES.flip(0), TIMES * NAN, TIMES * 2, TIMES.unsqueeze(0), TIMES * 0
            ),
            "speed": NO_TENSORS
            | among(TIMES[:3], -TIMES, TIMES * 0, TIMES * NAN, TIMES * INF, TIMES.unsqueeze(0)),
            "intervals": below(1),
        },
        {"times": "times|speed", "speed": "speed"},
    ),
    "thermodynamic_length": Entry(
        lt.schedules.thermodynamic_length,
        {"sampler": SAMPLER, "intervals": 2, "walkers": 8, "seed": 0},
        {"sampler": NO_OBJECTS, "intervals": below(1), "walkers": below(2), "seed": NO_SEEDS},
    ),
    "constant_ess": Entry(
        lt.schedules.constant_ess,
        {
            "sampler": SAMPLER,
            "ess": 0.2,
            "walkers": 8,
            "seed": 0,
            "rounds": 1,
            "max_intervals": 100,
        },
        {
            "sampler": NO_OBJECTS,
            "ess": numbers(0.0, 1.0, -1.0, INF),
            "walkers": below(2),
            "seed": NO_SEEDS,
            "rounds": below(0),
            "max_intervals": below(1),
        },
    ),
    "reverse_ess": Entry(
        lt.reverse_ess,
        {"sampler": SAMPLER, "samples": X, "seed": 0},
        {"sampler": NO_OBJECTS, "samples": BAD_X | among(X[:0]), "seed": NO_SEEDS},
        {"samples": "samples|configurations"},
    ),
    "networks.HollowConv": Entry(
        lambda configurations: network()(configurations, PATH.conditions(0.5)),
        {"configurations": X},
        {"configurations": tensors(X, X.double(), X[:, :1, :1]).filter(lambda v: not _like_x(v))},
        {"configurations": "configurations|shape"},
    ),
}
