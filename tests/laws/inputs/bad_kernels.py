"""Bad values into the ops of kernels."""

from typing import Any

import torch
from bad_values import (
    INF,
    MODEL,
    NAN,
    NO_BOOLS,
    NO_NAMES,
    NO_OBJECTS,
    NO_RESTS,
    NO_SEEDS,
    NO_TENSORS,
    THINGS,
    WALKERS,
    A,
    Bad,
    Entry,
    X,
    among,
    below,
    numbers,
    tensors,
)
from torch import Tensor

from leaps_triton import kernels
from leaps_triton.kernels.parity_maps.cases import passing

EYE = torch.eye(3)

PASSING = passing((4, 6), 2, width=5, reach=1)
PASSED = PASSING["configurations"]

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

ENTRIES: dict[str, Entry] = {
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
