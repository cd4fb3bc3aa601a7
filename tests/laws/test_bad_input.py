"""Bad values into every public entry, one argument at a time, raise a ValueError that names it."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

import leaps_triton as lt
from bad_values import (
    BAD_A,
    BAD_X,
    INF,
    MODEL,
    NAN,
    NO_BETAS,
    NO_BOOLS,
    NO_COUPLINGS,
    NO_DEVICES,
    NO_FILES,
    NO_FUNCTIONS,
    NO_MODELS,
    NO_NAMES,
    NO_OBJECTS,
    NO_PERIODIC,
    NO_RESTS,
    NO_SEEDS,
    NO_SHAPES,
    NO_TENSORS,
    PATH,
    THINGS,
    WALKERS,
    WORDS,
    A,
    Bad,
    Entry,
    X,
    accepts_the_valid,
    among,
    below,
    cases,
    integers,
    network,
    numbers,
    refused,
    refuses_a_bad_value,
    sampler,
    shaped,
    takes_integers_of_numpy_and_torch,
    tensors,
)
from leaps_triton import kernels
from leaps_triton.io import checkpoint
from leaps_triton.kernels.parity_maps.cases import passing


def trainer() -> lt.Trainer:
    return lt.Trainer(LEARNED, lt.TrainingConfig(steps=1, times=2, walkers=2, buffer=2, rollout=2))


SAMPLER, LEARNED = sampler(), sampler(transport=network())
TIMES = torch.linspace(0, 1, 5, dtype=torch.float64)
NO_TIMES = THINGS | among(
    0, -1, 2.0, True, NAN, 1.0, [0.0], [0.0, 0.5], [0.0, 0.7, 0.7, 1.0], [0.0, NAN, 1.0],
    [1.0, 0.0], ["0", "1"], [0.0, [0.5], 1.0], [-1.0, 1.0], [[0.0, 1.0]],
    torch.tensor([0.0, 1.0 + 1j]), torch.tensor(1.5), (0.0, INF),
)  # fmt: skip
NO_FIELDS = NO_COUPLINGS.filter(lambda value: not shaped(value, (2, 3)))
NO_TABLES = NO_COUPLINGS.filter(
    lambda value: value is not None and not shaped(value, (3, 2, 3))
) | among(0, 1.5, [NAN, 0.0, 1.0], [1, 2, 3, 4], ["a", "b", "c"])
GRAPH: dict[str, Any] = {"shape": (2, 3), "beta": 0.4, "coupling": 1.0, "periodic": True}
NO_GRAPH = {"shape": NO_SHAPES, "beta": NO_BETAS, "coupling": NO_COUPLINGS, "periodic": NO_PERIODIC}
EYE = torch.eye(3)
NO_BONDS = NO_COUPLINGS | among(
    0.5, EYE[0], EYE[:2], EYE * NAN, EYE.unsqueeze(0), [[1.0]], torch.eye(128), "abc"
)
NO_SPINS = WORDS | among(
    0, True, torch.ones(3), torch.ones(2, 2), torch.ones(3, 2) * NAN, [[1], [2, 3], [4]], "abc"
)
NO_STATES = below(2) | st.integers(min_value=128)

MEASURED = (
    "abs_magnetization", "binder", "correlation", "correlation_length", "energy", "magnetization",
    "magnetization_squared", "potts_order", "specific_heat", "structure_factor", "susceptibility",
    "susceptibility_full",
)  # fmt: skip

PASSING = passing((4, 6), 2, width=5, reach=1)
PASSED = PASSING["configurations"]

ENTRIES: dict[str, Entry] = {
    "Lattice": Entry(
        lt.Lattice,
        {"shape": (2, 3), "periodic": True},
        {"shape": NO_SHAPES, "periodic": NO_PERIODIC},
    ),
    "PairModel": Entry(
        lt.PairModel,
        {**GRAPH, "bond_table": EYE, "site_table": None, "spins": None},
        {**NO_GRAPH, "bond_table": NO_BONDS, "site_table": NO_TABLES, "spins": NO_SPINS},
        {"bond_table": "bond_table|number of states"},
    ),
    "Ising": Entry(lt.Ising, {**GRAPH, "field": 0.1}, {**NO_GRAPH, "field": NO_FIELDS}),
    "EdwardsAnderson": Entry(
        lt.EdwardsAnderson,
        {
            "shape": (2, 3),
            "beta": 0.4,
            "disorder": "pm1",
            "seed": 0,
            "field": 0.0,
            "periodic": True,
        },
        {
            "shape": NO_SHAPES,
            "beta": NO_BETAS,
            "disorder": NO_NAMES,
            "seed": NO_SEEDS,
            "coupling": NO_COUPLINGS.filter(lambda value: value is not None),
            "field": NO_FIELDS,
            "periodic": NO_PERIODIC,
        },
    ),
    "Potts": Entry(
        lt.Potts,
        {**GRAPH, "q": 3, "field": None},
        {**NO_GRAPH, "q": NO_STATES, "field": NO_TABLES},
        {"field": "site_table"},
    ),
    "Clock": Entry(
        lt.Clock,
        {**GRAPH, "q": 3, "field": None},
        {**NO_GRAPH, "q": NO_STATES, "field": NO_TABLES},
        {"field": "site_table"},
    ),
    "model.energy": Entry(MODEL.energy, {"configurations": X}, {"configurations": BAD_X}),
    "model.energy_change": Entry(
        MODEL.energy_change, {"configurations": X}, {"configurations": BAD_X}
    ),
    "AnnealingPath": Entry(
        lt.AnnealingPath,
        {"model": MODEL, "start": None, "schedule": None},
        {
            "model": NO_MODELS,
            "start": NO_OBJECTS.filter(lambda value: value is not None),
            "schedule": NO_FUNCTIONS
            | among(
                lambda t: 0.5 * t,
                lambda t: t * NAN,
                lambda t: 1.0,
                lambda t: t[:1],
                lambda t: None,
                lambda t: t.round(),
                lambda t: 1 - t,
            ),
        },
        {"model": "model|lattice|energy|beta|states", "start": "start"},
    ),
    "path.conditions": Entry(
        PATH.conditions, {"t": 0.5}, {"t": numbers(INF).filter(lambda v: not _floats(v))}
    ),
    "path.beta": Entry(PATH.beta, {"t": 0.5}, {"t": numbers(INF).filter(lambda v: not _floats(v))}),
    "path.log_density": Entry(
        PATH.log_density,
        {"configurations": X, "t": 0.5},
        {"configurations": BAD_X, "t": numbers(INF).filter(lambda v: not _floats(v))},
    ),
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
    "TrainingConfig": Entry(
        lt.TrainingConfig,
        {
            "steps": 5,
            "buffer": 1024,
            "rollout": 256,
            "seed": 3,
            "ema": 0.5,
            "clip": 1,
            "baseline": "learned",
        },
        {
            **{
                name: below(1)
                for name in ("steps", "times", "buffer", "rollout_every", "rollout", "sweeps")
            },
            **{name: below(2) for name in ("walkers", "evaluation_walkers")},
            **{
                name: below(0)
                for name in ("warmup", "evaluate_every", "evaluation_block", "huber_steps")
            },
            "leaps": below(1) | among(3),
            "segment": below(1) | among(51),
            "loss": NO_NAMES,
            **{
                name: numbers(0.0, -1.0, INF)
                for name in ("learning_rate", "clip", "divergence", "huber_delta")
            },
            "rollout": below(1) | among(1025),
            "baseline": NO_NAMES,
            "ema": numbers(-0.1, 1.0, INF),
            "seed": NO_SEEDS,
        },
    ),
    "Trainer": Entry(
        lt.Trainer,
        {"sampler": LEARNED, "config": None},
        {
            "sampler": NO_OBJECTS | among(SAMPLER, PATH),
            "config": NO_OBJECTS.filter(lambda value: value is not None) | among(lt.TrainingConfig),
        },
    ),
    "trainer.run": Entry(
        lambda **given: trainer().run(**given),
        {"steps": 0, "every": 5},
        {
            "steps": below(0).filter(lambda value: value is not None),
            "every": below(1),
            "checkpoint": NO_FILES,
        },
        {"checkpoint": "file"},
    ),
    "trainer.save": Entry(trainer().save, {}, {"file": NO_FILES}),
    "trainer.resume": Entry(trainer().resume, {}, {"file": NO_FILES}),
    "save": Entry(
        lambda sampler, file: lt.save(sampler, file or Path(tempfile.mkdtemp()) / "s.safetensors"),
        {"sampler": SAMPLER, "file": None},
        {"sampler": NO_OBJECTS | among(PATH), "file": NO_FILES.filter(bool)},
    ),
    "load": Entry(lt.load, {}, {"file": NO_FILES}),
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
    **{
        f"exact.{name}": Entry(
            getattr(lt.exact, name),
            {"shape": (2, 3), "beta": 0.4, "coupling": 1.0},
            {
                "shape": NO_SHAPES | among(3, (2, 2, 2)),
                "beta": NO_BETAS | among(-1.0),
                "coupling": NO_BETAS | among(-1.0),
            },
            {"beta": "beta", "coupling": "coupling"},
        )
        for name in ("ising_log_z", "ising_energy", "ising_specific_heat")
    },
    "exact.enumerate_configurations": Entry(
        lt.exact.enumerate_configurations,
        {"shape": (2, 3), "q": 2, "limit": 100},
        {
            "shape": NO_SHAPES.filter(lambda v: v not in (1, (1, 2))) | among((9, 9)),
            "q": NO_STATES | among(9),
            "limit": below(1) | among(63),
        },
        {
            "shape": "shape|length|enumeration|sites",
            "q": "states|enumeration",
            "limit": "limit|enumeration",
        },
    ),
    "exact.enumerate_model": Entry(
        lt.exact.enumerate_model,
        {"model": MODEL, "beta": 0.3, "limit": 100},
        {
            "model": NO_MODELS,
            "beta": NO_BETAS.filter(lambda value: value is not None),
            "limit": below(1),
        },
        {"model": "model|lattice|energy|beta|states", "limit": "limit|enumeration"},
    ),
    "exact.expectation": Entry(
        lt.exact.expectation,
        {"model": MODEL, "observable": lt.observables.energy},
        {
            "model": NO_MODELS,
            "observable": NO_FUNCTIONS
            | among(None, lambda x, model: 1.0, lambda x, model: torch.ones(3)),
        },
        {"model": "model|lattice|energy|beta|states"},
    ),
    "exact.log_z": Entry(
        lt.exact.log_z,
        {"model": MODEL},
        {"model": NO_MODELS},
        {"model": "model|lattice|energy|beta|states"},
    ),
    "reverse_ess": Entry(
        lt.reverse_ess,
        {"sampler": SAMPLER, "samples": X, "seed": 0},
        {"sampler": NO_OBJECTS, "samples": BAD_X | among(X[:0]), "seed": NO_SEEDS},
        {"samples": "samples|configurations"},
    ),
    **{
        f"observables.{name}": Entry(
            getattr(lt.observables, name),
            {"configurations": X, "model": MODEL},
            {"configurations": BAD_X, "model": NO_OBJECTS},
        )
        for name in lt.observables.__all__
        if name in MEASURED
    },
    "of_means": Entry(
        lt.observables.of_means, {"function": torch.sum}, {"function": NO_FUNCTIONS | among(None)}
    ),
    "io.sample": Entry(
        lambda file=None, **given: lt.io.sample(
            file=file or Path(tempfile.mkdtemp()) / "r.h5", **given
        ),
        {
            "sampler": SAMPLER,
            "walkers": 9,
            "seed": 0,
            "observables": ["energy"],
            "configurations": True,
            "resume": False,
        },
        {
            "sampler": NO_OBJECTS | among(PATH),
            "walkers": below(1) | among(2**31 + 1),
            "file": NO_FILES.filter(bool),
            "seed": NO_SEEDS,
            "observables": among(
                3,
                None,
                True,
                1.5,
                "energy",
                ["spin"],
                [3],
                ["of_means"],
                ["energy", None],
                [["energy"]],
            ),
            "configurations": NO_BOOLS,
            "resume": NO_BOOLS,
        },
    ),
    "io.read": Entry(lt.io.read, {}, {"file": NO_FILES}),
    "run.estimate": Entry(
        lt.io.sample(SAMPLER, 8, Path(tempfile.mkdtemp()) / "r.h5").estimate,
        {"observable": "energy"},
        {"observable": NO_NAMES | among(lt.observables.overlap)},
        {"observable": "observable"},
    ),
    "networks.HollowConv": Entry(
        lambda configurations: network()(configurations, PATH.conditions(0.5)),
        {"configurations": X},
        {"configurations": tensors(X, X.double(), X[:, :1, :1]).filter(lambda v: not _like_x(v))},
        {"configurations": "configurations|shape"},
    ),
}

TABLES: dict[str, Any] = {
    "configurations": X,
    "coupling": MODEL.coupling.unsqueeze(0),
    "bond_table": MODEL.bond_table,
    "site_table": MODEL.site_table.unsqueeze(0),
    "beta": A[:1],
    "periodic": (True, True),
}
RATES = torch.rand(4, 1, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CLASS_RATES, SITES = torch.ones(7, 2, dtype=torch.float64), torch.arange(6).unsqueeze(1)
HOLLOW: dict[str, Any] = {
    "configurations": X,
    "coupling": MODEL.coupling.unsqueeze(0),
    "field": MODEL.site_table.unsqueeze(0),
    "time": torch.ones(1, 2, dtype=torch.float64),
    "conv": torch.ones(3, 1, 3, 3, dtype=torch.float64),
    "first": torch.ones(4, 8, dtype=torch.float64),
    "hidden_weight": torch.ones(4, 4, dtype=torch.float64),
    "hidden_bias": torch.ones(4, dtype=torch.float64),
    "readout_weight": torch.ones(2, 4, dtype=torch.float64),
    "readout_bias": torch.ones(2, dtype=torch.float64),
    "skip": torch.ones((), dtype=torch.float64),
    "periodic": (True, True),
    "magnetization": True,
    "modes": 0,
    "precision": "float32",
}
COUNTS = {"walkers": WALKERS, "events": WALKERS}
NO_COUNTS = tensors(WALKERS, WALKERS.double(), WALKERS[:3])
NO_COLUMN = tensors(A, A.float(), A[:3])
NO_TABLES_OF_OPS: dict[str, Bad] = {
    "configurations": tensors(X, X.double(), X.long()),
    "coupling": NO_TENSORS
    | among(A, MODEL.coupling, torch.ones(1, 3, 1, 1).double(), torch.ones(1, 1, 1, 1)),
    "bond_table": NO_TENSORS | among(A, EYE.double()[:2], torch.eye(2), torch.eye(3).double()),
    "site_table": NO_TENSORS | among(A, MODEL.site_table, MODEL.site_table.unsqueeze(0).float()),
    "beta": NO_TENSORS | among(A[:2], A[0], A[:1].float(), A[:1] * 1j),
    "periodic": THINGS | among(True, (True,), (1, 0), (True,) * 3, "ab"),
}
SWEEP = {
    **TABLES,
    "colours": MODEL.lattice.colours(),
    "num_colours": 3,
    "walkers": WALKERS,
    "first_sweep": 0,
    "sweeps": 1,
    "seed": 0,
}
NO_SWEEP = {
    **NO_TABLES_OF_OPS,
    "colours": NO_TENSORS
    | among(torch.zeros(2), torch.zeros(2, 3), torch.zeros(3, 2, dtype=torch.int8)),
    "num_colours": below(1) | among(128),
    "walkers": NO_COUNTS,
    "first_sweep": below(0),
    "sweeps": below(0),
    "seed": NO_SEEDS,
}
CLUSTERED = SWEEP | {"reflection": False}
NO_CLUSTERED = NO_SWEEP | {"reflection": NO_BOOLS, "sweeps": below(1)}
for name in ("colours", "num_colours"):
    del CLUSTERED[name]
    del NO_CLUSTERED[name]
RUNNING = kernels.Running(RATES, RATES, A, A)
# One that says of any two tables which of them does not fit.
FITS = dict.fromkeys(TABLES, "bond_table|site_table|coupling|configurations|periodic|beta")

ENTRIES |= {
    "kernels.energy": Entry(
        kernels.energy,
        {name: value for name, value in TABLES.items() if name != "beta"},
        {name: value for name, value in NO_TABLES_OF_OPS.items() if name != "beta"},
        FITS,
    ),
    "kernels.local_energy": Entry(
        kernels.local_energy,
        {**TABLES, "dtype": torch.float32},
        {
            **NO_TABLES_OF_OPS,
            "dtype": NO_OBJECTS | among(torch.int8, torch.float16, torch.complex64),
        },
        FITS,
    ),
    "kernels.enter_intervals": Entry(
        kernels.enter_intervals,
        {
            **{name: value for name, value in TABLES.items() if name != "beta"},
            "log_weights": A,
            "interval": WALKERS * 0,
            "remaining": A,
            "betas": torch.zeros(4, dtype=torch.float64),
            "lengths": torch.ones(3, dtype=torch.float64),
            "backward": False,
        },
        {
            **{name: value for name, value in NO_TABLES_OF_OPS.items() if name != "beta"},
            **dict.fromkeys(("log_weights", "remaining"), NO_COLUMN),
            "interval": NO_COUNTS,
            "betas": NO_TENSORS | among(torch.zeros(3).double(), torch.zeros(4)),
            "lengths": NO_TENSORS | among(torch.zeros(()).double(), torch.ones(3)),
            "backward": NO_BOOLS,
        },
        FITS | {"lengths": "lengths|betas"},
    ),
    "kernels.proposal_rates": Entry(
        kernels.proposal_rates,
        {
            "network_output": RATES,
            "log_ratios": RATES,
            "reversible": "barker",
            "scale": 1.0,
            "gauge": "heat_bath",
            "inward": True,
        },
        {
            "network_output": NO_TENSORS.filter(lambda value: value is not None)
            | among(RATES[:3], RATES[0], RATES * 1j),
            "log_ratios": NO_TENSORS | among(RATES[:3], RATES[0], RATES[0, 0, 0], RATES * 1j),
            "reversible": NO_NAMES.filter(lambda value: value is not None),
            "scale": numbers(-1.0, INF),
            "gauge": NO_NAMES,
            "inward": NO_BOOLS,
        },
    ),
    "kernels.hold_correction": Entry(
        kernels.hold_correction,
        {"running": RUNNING, "remaining": A, "elapsed": A},
        {"running": NO_OBJECTS, "remaining": NO_COLUMN, "elapsed": NO_COLUMN},
    ),
    "kernels.jump_step": Entry(
        kernels.jump_step,
        {
            **COUNTS,
            "configurations": X,
            "log_weights": A,
            "remaining": A,
            "rates": RATES,
            "corrector": A,
            "seed": 0,
            "running": RUNNING,
        },
        {
            "configurations": tensors(X, X.double(), X.long()),
            "rates": NO_TENSORS
            | among(RATES[:3], RATES[0], RATES.half(), RATES.long(), RATES * 1j),
            **dict.fromkeys(("log_weights", "remaining", "corrector"), NO_COLUMN),
            **dict.fromkeys(COUNTS, NO_COUNTS),
            "seed": NO_SEEDS,
            "running": NO_OBJECTS.filter(lambda value: value is not None),
        },
        {"configurations": "configurations|rates"},
    ),
    "kernels.hollow_values": Entry(
        kernels.hollow_values,
        HOLLOW,
        {
            "configurations": tensors(X, X.double(), X.long()),
            **{
                name: tensors(value)
                for name, value in HOLLOW.items()
                if isinstance(value, Tensor) and name not in ("configurations", "skip")
            },
            "skip": NO_TENSORS | among(A, A[0] * 1j),
            "periodic": THINGS | among(True, (True,), (1, 0), (True,) * 3, "ab"),
            "magnetization": NO_BOOLS,
            "modes": below(0),
            "precision": NO_NAMES,
        },
        # Of two tensors that do not fit each other, one is named.
        dict.fromkeys(HOLLOW, "|".join(HOLLOW)),
    ),
    "kernels.local_jump_steps": Entry(
        kernels.local_jump_steps,
        {
            **{**COUNTS, "configurations": X, "log_weights": A, "remaining": A.abs()},
            **{
                "rates": CLASS_RATES,
                "corrector": CLASS_RATES,
                "neighbours": SITES,
                "strides": SITES[1],
            },
            **{"first_row": 0, "seed": 0, "steps": 2, "running": None},
        },
        {
            "configurations": tensors(X, X.double(), X.long(), X[0], X[:, :1], shapes=False),
            **dict.fromkeys(("log_weights", "remaining"), NO_COLUMN),
            **dict.fromkeys(COUNTS, NO_COUNTS),
            **dict.fromkeys(
                ("rates", "corrector"),
                tensors(CLASS_RATES, CLASS_RATES[:, :0], CLASS_RATES.float()),
            ),
            "neighbours": tensors(SITES, SITES[:5], SITES.double()),
            "strides": tensors(SITES[1], SITES[:2, 0], SITES[1].double()),
            "first_row": below(0),
            "seed": NO_SEEDS,
            "steps": below(1),
            "running": NO_OBJECTS.filter(lambda value: value is not None),
        },
        {"configurations": "configurations|log_weights|neighbours"},
    ),
    "kernels.parity_map": Entry(
        kernels.parity_map,
        PASSING,
        {
            "configurations": NO_TENSORS
            | among(PASSED.long(), PASSED.half(), PASSED[0, 0, 0], PASSED[:, :2]),
            **{
                name: tensors(PASSING[name], PASSING[name].double())
                for name in ("taps", "mean", "hidden", "readout")
            },
            "own": NO_TENSORS | among(PASSING["own"].long(), PASSING["own"][:2]),
            "sublattices": tensors(PASSING["sublattices"], PASSING["sublattices"].int()),
            "windows": NO_TENSORS
            | among(
                PASSING["windows"].int(),
                PASSING["windows"][:1],
                PASSING["windows"] + 1,
                PASSING["windows"] - 1,
            ),
            "parities": among(0, None, "01", [0, 2, 0], [0, 1], [0.5, 1, 0], [[0], 1, 0]),
            "steps": among(0.1, None, "0.1", [0.1, NAN, 0.1], ["a", 0.1, 0.1], [0.1]),
        },
        {
            "configurations": "configurations|sublattices|windows",
            "own": "own|taps|mean",
            "steps": "steps|parities",
        },
    ),
    "kernels.tau_leap_step": Entry(
        kernels.tau_leap_step,
        {**COUNTS, "configurations": X, "rates": RATES, "duration": A.abs(), "seed": 0},
        {
            "configurations": tensors(X, X.double(), X.long()),
            "rates": NO_TENSORS
            | among(RATES[:3], RATES[0], RATES.half(), RATES.long(), RATES * 1j),
            "duration": NO_COLUMN,
            **dict.fromkeys(COUNTS, NO_COUNTS),
            "seed": NO_SEEDS,
        },
        {"configurations": "configurations|rates"},
    ),
    "kernels.tau_leap_log_probability": Entry(
        kernels.tau_leap_log_probability,
        {"configurations": X, "after": 1 - X, "rates": RATES, "duration": A.abs()},
        {
            "configurations": tensors(X, X.double(), X.long()),
            "after": tensors(X, X.double(), X.long()),
            "rates": NO_TENSORS
            | among(RATES[:3], RATES[0], RATES.half(), RATES.long(), RATES * 1j),
            "duration": NO_COLUMN,
        },
        {"configurations": "configurations|rates", "after": "after|configurations"},
    ),
    **{
        f"kernels.{name}": Entry(getattr(kernels, name), SWEEP, NO_SWEEP, FITS)
        for name in ("heat_bath_sweeps", "overrelaxation_sweeps")
    },
    "kernels.swendsen_wang_sweeps": Entry(
        kernels.swendsen_wang_sweeps, CLUSTERED, NO_CLUSTERED, FITS
    ),
    "kernels.wolff_sweeps": Entry(
        kernels.wolff_sweeps, CLUSTERED | {"rest": 0.25}, NO_CLUSTERED | {"rest": NO_RESTS}, FITS
    ),
    "kernels.metropolis_sweeps": Entry(
        kernels.metropolis_sweeps, SWEEP | {"rest": 0.25}, NO_SWEEP | {"rest": NO_RESTS}, FITS
    ),
}


def _floats(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _like_x(value: Any) -> bool:
    return (
        isinstance(value, Tensor) and value.ndim == 3 and value.dtype in (torch.int8, torch.int32)
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_the_valid_arguments_are_accepted(name: str) -> None:
    accepts_the_valid(ENTRIES[name])


@pytest.mark.parametrize(("name", "argument"), cases(ENTRIES))
@settings(max_examples=14, phases=[Phase.generate])
@given(data=st.data())
def test_a_bad_value_is_refused(name: str, argument: str, data: st.DataObject) -> None:
    refuses_a_bad_value(ENTRIES[name], argument, data)


@pytest.mark.parametrize(("name", "argument"), integers(ENTRIES))
def test_integers_of_numpy_and_torch_are_integers(name: str, argument: str) -> None:
    takes_integers_of_numpy_and_torch(ENTRIES[name], argument)


def file_of(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    trainer().save(folder / "good.safetensors")
    lt.io.sample(SAMPLER, 9, folder / "good.h5")
    return folder


LOADERS: dict[str, Callable[[Path], Any]] = {
    "good.safetensors": lambda file: lt.load(file, "cpu"),
    "good.h5": lt.io.read,
}


@pytest.mark.parametrize("good", LOADERS)
@settings(max_examples=30, phases=[Phase.generate])
@given(data=st.data())
def test_no_damaged_or_foreign_file_is_read(files: Path, good: str, data: st.DataObject) -> None:
    """Cut short, preceded, filled with zeros, or other bytes altogether.

    Single bytes are changed in the tests of each format.
    """
    whole = (files / good).read_bytes()
    kind = data.draw(st.sampled_from(["cut", "shifted", "zeros", "foreign"]))
    size = data.draw(st.integers(1, len(whole) - 1))
    bad = {
        "cut": whole[:size],
        "shifted": whole[size:],
        "zeros": bytes(len(whole)),
        "foreign": data.draw(st.binary(max_size=300)),
    }
    file = file_of(files, "bad", bad[kind])
    refused(lambda: LOADERS[good](file), "bad")


def outcome(read: Callable[[Path], Any], file: Path) -> Any:
    """What comes back, or the ValueError, which names the file."""
    try:
        return read(file)
    except ValueError as error:
        return error if file.name in str(error) else None


def resumed(file: Path) -> str:
    trainer().resume(file)
    return "resumed"


READERS: tuple[Callable[[Path], Any], ...] = (lambda file: lt.load(file, "cpu"), resumed)

JUNK = among(None, -1, 0, 10**400, NAN, "junk", "", [], {}, [[]], {"class": "Jump"}, True, 1.5)


def leaves(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value inside nested dictionaries is, they themselves included."""
    inner = (
        [leaf for key in value for leaf in leaves(value[key], (*place, key))]
        if isinstance(value, dict)
        else []
    )
    return [place, *inner] if place else inner


def changed(
    contents: checkpoint.Contents, place: tuple[Any, ...], value: Any, drop: bool
) -> checkpoint.Contents:
    manifest = json.loads(json.dumps(contents.manifest))
    part = manifest
    for key in place[:-1]:
        part = part[key]
    if drop:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return contents._replace(manifest=manifest)


@settings(max_examples=50, phases=[Phase.generate])
@given(data=st.data())
def test_a_manifest_of_junk_is_refused_or_means_a_sampler(files: Path, data: st.DataObject) -> None:
    """Files with a correct SHA-256, so that only what they say is wrong.

    They are loaded, and training goes on from them.
    """
    contents = checkpoint.read(files / "good.safetensors")
    place = data.draw(st.sampled_from(leaves(contents.manifest)))
    bad = changed(contents, place, data.draw(JUNK), data.draw(st.booleans()))
    checkpoint.write(files / "junk.safetensors", bad)
    for read in READERS:
        result = outcome(read, files / "junk.safetensors")
        assert isinstance(result, ValueError | lt.Sampler) or result == "resumed"


@settings(max_examples=40, phases=[Phase.generate])
@given(data=st.data())
def test_tensors_of_junk_are_refused_or_mean_a_sampler(files: Path, data: st.DataObject) -> None:
    contents = checkpoint.read(files / "good.safetensors")
    name = data.draw(st.sampled_from(sorted(contents.tensors)))
    good = contents.tensors[name]
    bad = data.draw(
        among(
            None,
            good.new_zeros(0),
            good[None],
            good.to(torch.int8),
            torch.full_like(good, -1),
            A * NAN,
        )
    )
    tensors = {
        key: value for key, value in contents.tensors.items() if key != name or bad is not None
    }
    checkpoint.write(
        files / "junk.safetensors",
        contents._replace(tensors=tensors if bad is None else tensors | {name: bad}),
    )
    for read in READERS:
        result = outcome(read, files / "junk.safetensors")
        assert isinstance(result, ValueError | lt.Sampler) or result == "resumed"


@settings(max_examples=30, phases=[Phase.generate])
@given(data=st.data())
def test_a_run_whose_checkpoint_is_junk_is_refused_or_the_same(
    files: Path, data: st.DataObject
) -> None:
    whole: Any = lt.io.read(files / "good.h5")
    (files / "junk.h5").write_bytes((files / "good.h5").read_bytes())
    with h5py.File(files / "junk.h5", "r+") as file:
        contents = checkpoint.unpack(file["checkpoint"][:].tobytes(), "junk.h5")
        place = data.draw(st.sampled_from(leaves(contents.manifest)))
        bad = checkpoint.pack(changed(contents, place, data.draw(JUNK), data.draw(st.booleans())))
        del file["checkpoint"]
        file["checkpoint"] = np.frombuffer(bad, dtype=np.uint8)
    run = outcome(lt.io.read, files / "junk.h5")
    assert isinstance(run, ValueError) or torch.equal(
        run.log_weights, whole.log_weights[: len(run.log_weights)]
    )


TRAIN = ["train", "--checkpoint", "never.safetensors"]
NO_WHOLE = ["x", "1.5", "nan", "inf", "", "-1", "1e3", "None", "True"]
NO_REAL = ["x", "nan", "inf", "-inf", "1e999", "", "None", "True"]
# None is the choice of the recipe.
NO_CHOSEN = [value for value in NO_WHOLE if value != "None"]
OPTIONS: list[tuple[list[str], str, list[str]]] = [
    (TRAIN, "--every", [*NO_WHOLE, "0"]),
    *((TRAIN, f"--{name}", [*NO_CHOSEN, "0"]) for name in ("steps", "intervals")),
    (TRAIN, "--huber-steps", NO_WHOLE),
    *((TRAIN, f"--{name}", NO_CHOSEN) for name in ("sweeps", "evaluate-every")),
    # None of these is the network's own choice.
    *(
        (TRAIN, f"--{name}", ["x", "1.5", "nan", "", "-1", "1e3", "0"])
        for name in ("channels", "width")
    ),
    (TRAIN, "--modes", ["x", "1.5", "nan", "", "-1", "1e3"]),
    (TRAIN, "--seed", [*NO_WHOLE, "4294967296"]),
    (TRAIN, "--kernel-size", ["x", "1.5", "", "-1", "0", "2", "99", "-3"]),
    (TRAIN, "--shape", ["x", "0", "-4", "1", "2.5", "nan", ""]),
    (TRAIN, "--field", NO_REAL),
    (TRAIN, "--beta", [value for value in NO_REAL if value != "None"]),
    (TRAIN, "--coupling", [value for value in NO_REAL if value != "None"]),
    (TRAIN, "--learning-rate", [*(value for value in NO_REAL if value != "None"), "0", "-1"]),
    (TRAIN, "--ema", [*(value for value in NO_REAL if value != "None"), "1", "-0.5"]),
    *(
        (TRAIN, f"--{name}", ["x", "", "3"])
        for name in ("model", "loss", "baseline", "disorder", "device")
    ),
    *(
        (["demo"], f"--{name}", [*NO_CHOSEN, "0"])
        for name in ("length", "steps", "intervals", "walkers")
    ),
    (["demo"], "--beta", NO_REAL),
    (["demo"], "--seed", [*NO_WHOLE, "4294967296"]),
    (["sample", "c.safetensors", "--output", "never.h5"], "--walkers", [*NO_WHOLE, "0", "1"]),
    (["sample", "c.safetensors", "--output", "never.h5"], "--seed", [*NO_WHOLE, "4294967296"]),
    (["sample"], "--output", ["never.h5"]),
    (["info"], "--json", ["never.json"]),
    (["bench"], "--seed", [*NO_WHOLE, "4294967296"]),
]


@pytest.mark.parametrize(
    ("command", "option", "values"), OPTIONS, ids=[f"{c[0]} {o}" for c, o, _ in OPTIONS]
)
def test_a_bad_option_ends_in_a_sentence_and_a_status(
    command: list[str],
    option: str,
    values: list[str],
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("tyro")
    from leaps_triton import cli

    monkeypatch.chdir(tmp_path)
    file_of(tmp_path, "c.safetensors", (files / "good.safetensors").read_bytes())
    for value in values:
        with pytest.raises(SystemExit) as caught:
            cli.main([*command, option, value])
        code = caught.value.code
        assert code not in (0, None), value
        assert isinstance(code, int) or (code.startswith("leaps-triton: ") and "\n" not in code), (
            value
        )
        assert "Traceback" not in capsys.readouterr().err
        assert [file.name for file in tmp_path.iterdir()] == ["c.safetensors"], value
