"""Bad values into chains, their estimates, exports and observables of replicas."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bad_values import (
    BAD_X,
    INF,
    MODEL,
    NAN,
    NO_BOOLS,
    NO_DEVICES,
    NO_FILES,
    NO_FUNCTIONS,
    NO_MODEL,
    NO_MODELS,
    NO_MOVES,
    NO_NAMES,
    NO_OBJECTS,
    NO_SEEDS,
    NO_TENSORS,
    PATH,
    WORDS,
    A,
    Entry,
    X,
    among,
    below,
    numbers,
    sampler,
    some,
)
from torch import Tensor

import leaps_triton as lt


def quiet(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call without its warnings of short chains."""

    def called(**given: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", lt.estimators.CautionWarning)
            return call(**given)

    return called


def new(name: str) -> Path:
    return Path(tempfile.mkdtemp()) / name


FUNCTION = some(NO_FUNCTIONS)
WRONG_MEANS = among(lambda means: 1.0, lambda means: torch.ones(9), lambda means: None)
NO_OBSERVABLE = NO_FUNCTIONS | among(
    None, lambda x, model: 1.0, lambda x, model: torch.ones(3), lambda x, model: None
)
NO_OBSERVABLES = among(
    3, None, True, 1.5, "energy", b"energy", ["spin"], [3], ["of_means"], ["replica_energies"],
    ["energy", None], [["energy"]], ["energy", "energy"],
)  # fmt: skip
BY_FUNCTION = among(
    {"a": 3},
    {1: lt.observables.energy},
    [lambda x, model: 1.0],
    {"a": lambda x, model: torch.ones(9)},
)
CHAIN = {
    "model": MODEL,
    "move": lt.HeatBath(),
    "walkers": 4,
    "sweeps": 5,
    "thin": 1,
    "seed": 0,
    "burn_in": 1,
    "observables": ["energy"],
    "start": None,
    "device": "cpu",
    "progress": False,
}
NO_CHAIN = {
    "model": NO_MODELS,
    "move": some(NO_MOVES),
    "walkers": below(1),
    "sweeps": below(1),
    "thin": below(1) | among(6),
    "seed": NO_SEEDS,
    "burn_in": some(below(0)),
    "observables": NO_OBSERVABLES | BY_FUNCTION,
    "start": some(BAD_X),
    "device": NO_DEVICES,
    "progress": NO_BOOLS,
}
NAMES = {"model": NO_MODEL, "observables": "observable", "start": "start|configurations"}
MEASURED = lt.run_chain(**{**CHAIN, "observables": ["energy", "binder"]}, keep_configurations=True)  # type: ignore[arg-type]
ENSEMBLE = sampler().sample(8)
TABLE = torch.arange(40, dtype=torch.float64).view(2, 20).sin()
LADDER = {"energies": TABLE.view(2, 10, 2), "betas": [0.1, 0.2], "together": 2}
RUNS, BETAS = [TABLE, TABLE.cos()], [0.1, 0.2]
REAL = NO_TENSORS | among(TABLE * 1j, TABLE > 0, TABLE[0, 0], TABLE.view(2, 2, 2, 5))
NO_RUNS = NO_OBJECTS.filter(lambda value: not isinstance(value, Tensor)) | among(
    TABLE[0, 0], RUNS[:1], [*RUNS, TABLE], [TABLE, None], [TABLE, TABLE * 1j], [TABLE, TABLE > 0],
    [TABLE, 3], [TABLE, TABLE * NAN], [TABLE, TABLE[:0]], (), "ab",
)  # fmt: skip
NO_GRID = NO_OBJECTS.filter(lambda value: value != [1, 2]) | among(
    BETAS[:1], [0.1, 0.1], [0.1, NAN], [0.1, INF], [0.1, "0.2"], [0.1, True], [0.1, 1j],
    torch.ones(2), torch.tensor(1), torch.tensor([0.1, 0.2j]), "ab",
)  # fmt: skip
NO_LADDER = {
    "energies": NO_TENSORS
    | among(TABLE, TABLE.view(2, 5, 4), TABLE.view(2, 20, 1), LADDER["energies"] * NAN),  # type: ignore[operator]
    "betas": NO_OBJECTS.filter(lambda value: value != [1, 2])
    | among([0.1], [0.1, NAN], [0.1, "0.2"], [0.1, True], "ab"),
    "together": below(1) | among(3),
}
LADDER_NAMES = {"energies": "energies|betas"}
Q = lt.observables.overlap(X, X, MODEL)

ENTRIES: dict[str, Entry] = {
    "run_chain": Entry(
        lt.run_chain,
        {**CHAIN, "keep_configurations": False},
        {**NO_CHAIN, "keep_configurations": NO_BOOLS},
        NAMES,
    ),
    "io.run_chain": Entry(
        lambda file=None, **given: lt.io.run_chain(file=file or new("c.h5"), **given),
        {**CHAIN, "configurations": False, "every": 2, "resume": False},
        {
            **NO_CHAIN,
            "model": NO_MODELS,
            "observables": NO_OBSERVABLES,
            "file": NO_FILES.filter(bool),
            "configurations": NO_BOOLS,
            "every": below(1),
            "resume": NO_BOOLS,
        },
        NAMES,
    ),
    "chain.estimate": Entry(
        quiet(MEASURED.estimate),
        {"observable": lt.observables.magnetization_squared, "function": None},
        {
            "observable": NO_OBSERVABLE | among("spin", "of_means"),
            "function": FUNCTION | WRONG_MEANS,
        },
        {"observable": "observable|measured"},
    ),
    "chain_estimate": Entry(
        quiet(lt.estimators.chain_estimate),
        {"values": TABLE, "function": None, "window_factor": 1.5, "together": 2, "least_window": 3},
        {
            "values": REAL | among(TABLE[0], TABLE[:, :3], TABLE[:0], TABLE.unsqueeze(2)),
            "function": FUNCTION | WRONG_MEANS,
            "window_factor": numbers(0.0, -1.0, INF),
            "together": below(1) | among(3, 4),
            "least_window": below(0),
        },
    ),
    "reweight": Entry(
        quiet(lt.estimators.reweight),
        {
            "energies": TABLE,
            "values": TABLE,
            "beta_from": 0.1,
            "beta_to": 0.2,
            "function": None,
            "together": 2,
        },
        {
            "energies": REAL | among(TABLE[0], TABLE[:, :3], TABLE * NAN, TABLE * INF),
            "values": REAL | among(TABLE[0], TABLE[:, :3], TABLE.unsqueeze(2)),
            "beta_from": numbers(INF, -INF),
            "beta_to": numbers(INF, -INF),
            "function": FUNCTION | WRONG_MEANS,
            "together": below(1) | among(3),
        },
    ),
    "stepping_stones": Entry(quiet(lt.estimators.stepping_stones), LADDER, NO_LADDER, LADDER_NAMES),
    "exchange_rates": Entry(quiet(lt.estimators.exchange_rates), LADDER, NO_LADDER, LADDER_NAMES),
    "overlap_distribution": Entry(
        quiet(lt.estimators.overlap_distribution),
        {"overlaps": TABLE, "bins": 3, "log_weights": None, "together": 2},
        {
            "overlaps": REAL | among(TABLE * 2, TABLE * NAN, TABLE[:, :3], TABLE[:0]),
            "bins": below(1) | among(TABLE, TABLE[0], TABLE[0] > 0),
            "log_weights": some(NO_OBJECTS) | among(TABLE, TABLE[:, 0]),
            "together": below(1) | among(3),
        },
        {"overlaps": "overlaps|values"},
    ),
    "overlap_distribution.weighted": Entry(
        lt.estimators.overlap_distribution,
        {"overlaps": TABLE[0], "bins": 3, "log_weights": TABLE[0]},
        {
            "log_weights": some(NO_TENSORS)
            | among(TABLE, TABLE[0] * 1j, TABLE[0] > 0, TABLE[0, :3], TABLE[0] * NAN)
        },
        {"log_weights": "log_weights|values"},
    ),
    "mbar_error": Entry(
        lt.estimators.mbar_error,
        {"energies": RUNS, "betas": BETAS, "blocks": 2, "together": 2},
        {
            "energies": NO_RUNS,
            "betas": NO_GRID,
            "blocks": below(2) | among(41),
            "together": below(1) | among(3),
        },
        {"energies": "energies|betas|every run|together"},
    ),
    "mbar": Entry(
        lt.estimators.mbar,
        {"energies": RUNS, "betas": BETAS},
        {"energies": NO_RUNS, "betas": NO_GRID},
        {"energies": "energies|betas|every run"},
    ),
    "multi_reweight": Entry(
        lt.estimators.multi_reweight,
        {
            "energies": RUNS,
            "values": RUNS,
            "betas": BETAS,
            "beta_to": 0.15,
            "function": None,
            "blocks": 2,
        },
        {
            "energies": NO_RUNS,
            "values": NO_RUNS.filter(lambda runs: not (isinstance(runs, list) and len(runs) == 2))
            | among([TABLE, 3], [TABLE, TABLE * 1j], [TABLE, TABLE[0]], [TABLE.unsqueeze(2)] * 2),
            "betas": NO_GRID,
            "beta_to": numbers(INF, -INF),
            "function": FUNCTION | WRONG_MEANS,
            "blocks": below(2) | among(41),
        },
        {"energies": "energies|betas|every run"},
    ),
    **{
        name: Entry(
            getattr(lt.estimators, name),
            {"ensemble": ENSEMBLE},
            {"ensemble": NO_OBJECTS | among(MODEL, PATH)},
        )
        for name in ("free_energy", "entropy")
    },
    "load_published_leaps": Entry(lt.load_published_leaps, {}, {"file": NO_FILES}),
    "export.to_npz": Entry(
        lambda run, file=None: lt.export.to_npz(run, new("c.npz") if file is None else file),
        {"run": MEASURED},
        {"run": NO_OBJECTS | among(MODEL), "file": NO_FILES},
    ),
    "export.to_arviz": Entry(
        lt.export.to_arviz, {}, {"chain": NO_OBJECTS | among(MODEL, ENSEMBLE)}
    ),
    "export.to_pyerrors": Entry(
        lambda **given: lt.export.to_pyerrors(**{"run": MEASURED, "name": "energy", **given}),
        {},
        {
            "run": NO_OBJECTS | among(MODEL),
            "name": NO_NAMES,
            "function": FUNCTION,
        },
        {"name": "name|observable"},
    ),
    **{
        f"observables.{name}": Entry(
            getattr(lt.observables, name),
            {"first": X, "second": X, "model": MODEL},
            {"first": BAD_X, "second": BAD_X, "model": NO_OBJECTS},
            dict.fromkeys(("first", "second"), "replicas|configurations"),
        )
        for name in ("overlap", "link_overlap")
    },
    "observables.overlap_histogram": Entry(
        lt.observables.overlap_histogram,
        {"overlaps": Q, "log_weights": A, "bins": 3},
        {
            "overlaps": NO_TENSORS | among(Q + 1j, Q > 0, Q[:3], Q[:0], Q * NAN, Q * 2),
            "log_weights": some(NO_TENSORS)
            | among(A + 1j, A > 0, A[:3], A[:0], A * NAN, A * INF, A - INF),
            "bins": below(1),
        },
    ),
    "observables.along": Entry(
        lambda observable, direction: lt.observables.along(observable, direction)(X, MODEL),
        {"observable": lt.observables.correlation, "direction": 1},
        {
            "observable": WORDS | among(None, 0, 1.0, True, torch.ones(2)),
            "direction": below(0) | among(2),
        },
    ),
}
