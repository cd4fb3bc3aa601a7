"""Bad values into chains, their moves and estimates, exact results, networks and exports."""

import functools
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

import leaps_triton as lt
from bad_values import (
    BAD_X,
    INF,
    MODEL,
    NAN,
    NO_BETAS,
    NO_BOOLS,
    NO_DEVICES,
    NO_FILES,
    NO_FUNCTIONS,
    NO_MODELS,
    NO_NAMES,
    NO_OBJECTS,
    NO_RESTS,
    NO_SEEDS,
    NO_TENSORS,
    PATH,
    THINGS,
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
    numbers,
    refuses_a_bad_value,
    sampler,
    takes_integers_of_numpy_and_torch,
    tensors,
)
from leaps_triton import kernels, objectives


def some(bad: Bad) -> Bad:
    """All but None, where that is the default."""
    return bad.filter(lambda value: value is not None)


def quiet(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call without its warnings of short chains."""

    def called(**given: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", lt.estimators.CautionWarning)
            return call(**given)

    return called


def new(name: str) -> Path:
    return Path(tempfile.mkdtemp()) / name


def _is_x(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 3 and value.shape[1:] == (2, 3)


NO_MOVES = NO_OBJECTS | among(lt.HeatBath, lt.Jump(), MODEL)
NO_MODEL = "model|lattice|energy|beta|states"
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
STRENGTH = {"beta": 0.4, "coupling": 1.0}
NO_STRENGTH = {"beta": NO_BETAS, "coupling": NO_BETAS}
Q = lt.observables.overlap(X, X, MODEL)
CONDITIONS = PATH.conditions(0.5)
NO_CONDITIONS = among(
    MODEL, PATH, PATH.conditions(torch.linspace(0, 1, 5)), PATH.conditions(torch.linspace(0, 1, 3)),
    CONDITIONS._replace(t=torch.tensor(0.5)), CONDITIONS._replace(beta=torch.ones(5)),
    CONDITIONS._replace(coupling=torch.ones(1, 1, 3, 2)), CONDITIONS._replace(field=torch.ones(2)),
    lt.AnnealingPath(lt.Potts((2, 3), 3, 0.4)).conditions(0.5),
)  # fmt: skip
TRAJECTORIES = torch.stack([X, 1 - X]).unsqueeze(0)
STEPS = torch.tensor([[0.2, 0.4]], dtype=torch.float64)
BATCH: dict[str, Any] = {
    "path": PATH,
    "transport": lt.HollowConv(MODEL, kernel_size=3, channels=2, width=4, modes=0),
}
HUBER = some(numbers(0.0, -1.0, INF))
NETWORK = {"model": MODEL, "channels": 2, "width": 2, "local_field": True, "seed": 0}
NO_NETWORK = {
    "model": NO_OBJECTS,
    "channels": below(1),
    "width": below(1),
    "local_field": NO_BOOLS,
    "seed": NO_SEEDS,
}
HEADS, NO_HEADS = {**NETWORK, "heads": 1}, {**NO_NETWORK, "heads": below(1) | among(3)}
NETWORKS: dict[str, tuple[type, dict[str, Any], dict[str, Bad]]] = {
    "SymmetricConv": (
        lt.SymmetricConv,
        {
            "model": MODEL,
            "kernel_size": 3,
            "widths": (2, 2),
            "rings": True,
            "window": 3,
            "seed": 0,
            "beta": 0.4,
            "fields": True,
            "incremental": False,
            "gauge": "heat_bath",
        },
        {
            "model": NO_OBJECTS,
            "kernel_size": below(1) | among(2, 4, 99, 10**9 + 1),
            "widths": among(
                None, "a", b"3", 3, True, (), (0,), (-1,), (True,), (1.5,), (3, "3"), "3"
            ),
            "rings": NO_BOOLS,
            "window": below(3).filter(lambda value: value is not None) | among(4),
            "seed": NO_SEEDS,
            "beta": some(numbers(0.0, -1.0, INF)),
            "fields": some(NO_BOOLS),
            "incremental": NO_BOOLS,
            "gauge": NO_NAMES,
        },
    ),
    "LEM": (lt.LEM, NETWORK, NO_NETWORK),
    "LEA": (lt.LEA, HEADS, NO_HEADS),
    "LETransformer": (lt.LETransformer, {**HEADS, "layers": 1}, {**NO_HEADS, "layers": below(1)}),
    "LEC": (
        lt.LEC,
        {**NETWORK, "kernel_sizes": (3,), "zero_edges": False, "precision": "float32"},
        {
            **NO_NETWORK,
            "kernel_sizes": THINGS
            | among(3, True, (), (2,), (3, 4), (0,), (-1,), (True,), (1.5,), (3, "3"), (5,), "3"),
            "zero_edges": NO_BOOLS,
            "precision": NO_NAMES,
        },
    ),
}
BONDS = torch.zeros(2, 2, 2, 3, dtype=torch.bool)
CONV: dict[str, Any] = {
    "activations": torch.ones(2, 3, 2, 3),
    "weight": torch.ones(4, 9, 3),
    "bias": torch.ones(4, 9),
    "offset": torch.ones(4, 9),
    "time_offset": torch.ones(1, 9),
    "source": torch.ones(2, 1, 2, 3),
    "kernel_size": 3,
    "periodic": (True, True),
    "precision": "float32",
}

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
    **{
        f"exact.{name}": Entry(
            getattr(lt.exact, name),
            {"model": MODEL, "updates": 1000},
            {"model": NO_MODELS, "updates": below(0)},
            {"model": NO_MODEL},
        )
        for name in ("log_z", "energy", "specific_heat")
    },
    "exact.sample": Entry(
        lt.exact.sample,
        {"model": MODEL, "n": 2, "seed": 0},
        {"model": NO_MODELS, "n": below(1) | among(2**31 + 1), "seed": NO_SEEDS},
        {"model": NO_MODEL},
    ),
    "exact.coupling_from_the_past": Entry(
        lt.exact.coupling_from_the_past,
        {"model": MODEL, "n": 2, "seed": 0, "max_sweeps": 1024, "device": "cpu"},
        {
            "model": NO_OBJECTS
            | among(lt.Potts((2, 3), 3, 0.4), lt.Ising((2, 3), 0.4, -1.0), PATH),
            "n": below(1) | among(2**31 + 1),
            "seed": NO_SEEDS,
            "max_sweeps": below(1) | among(2**30 + 1),
            "device": NO_DEVICES,
        },
        {"model": "PairModel|ferromagnet"},
    ),
    **{
        f"exact.{name}": Entry(getattr(lt.exact, name), STRENGTH, NO_STRENGTH)
        for name in (
            "onsager_log_z",
            "onsager_energy",
            "onsager_specific_heat",
            "yang_magnetization",
        )
    },
    "SwendsenWang": Entry(lt.SwendsenWang, {"sweeps": 1}, {"sweeps": below(1)}),
    "Wolff": Entry(
        lt.Wolff, {"clusters": 1, "rest": 0.25}, {"clusters": below(1), "rest": NO_RESTS}
    ),
    "Houdayer": Entry(lt.Houdayer, {"clusters": 1}, {"clusters": below(1)}),
    "Overrelaxation": Entry(
        lt.Overrelaxation,
        {"sweeps": 1, "backward": False},
        {"sweeps": below(1), "backward": NO_BOOLS},
    ),
    "KineticMonteCarlo": Entry(
        lt.KineticMonteCarlo,
        {"time": 1, "reversible": "barker", "max_events": 5},
        {"time": numbers(0.0, -1.0, INF), "reversible": NO_NAMES, "max_events": some(below(1))},
    ),
    "ParallelTempering": Entry(
        lt.ParallelTempering,
        {"fractions": [0.5, 1.0], "move": lt.HeatBath()},
        {
            "fractions": NO_OBJECTS
            | among(
                [1.0],
                [0.5, 0.9],
                [0.5, 1.1],
                [1.0, 0.5],
                [-0.5, 1.0],
                [0.5, 0.5, 1.0],
                [NAN, 1.0],
                [0, True],
                "01",
                ["0", "1"],
                [0.5, 1j],
                [0.5, None],
                torch.eye(2),
            ),
            "move": some(NO_MOVES),
        },
    ),
    "ParallelTempering of betas": Entry(
        lambda betas, exchange: lt.ParallelTempering(betas=betas, exchange=exchange),
        {"betas": [0.2, 0.4], "exchange": True},
        {
            "betas": among([0.4], [0.4, 0.2], [-0.1, 0.4], [0.2, 0.2], [NAN, 1.0], "01", 0.4, []),
            "exchange": NO_BOOLS,
        },
        {"betas": "betas|fractions"},
    ),
    "Compose": Entry(
        lambda move: lt.Compose(lt.HeatBath(), move),
        {"move": lt.Wolff()},
        {"move": NO_MOVES},
    ),
    "Compose of a list": Entry(
        lambda moves: lt.Compose(moves),
        {"moves": lt.Wolff()},
        {"moves": among([], [lt.Wolff()], (lt.HeatBath(),))},
    ),
    **{
        name: Entry(*arguments, {"kernel_sizes": "kernel_size"})
        for name, arguments in NETWORKS.items()
    },
    **{
        f"networks.{name}": Entry(
            maker(**arguments).forward,
            {"configurations": X, "conditions": CONDITIONS},
            {
                "configurations": tensors(X, X.double(), X[:, :1, 0]).filter(
                    lambda value: not _is_x(value)
                ),
                "conditions": NO_OBJECTS | NO_CONDITIONS,
            },
            {"configurations": "configurations|shape"},
        )
        for name, (maker, arguments, _) in NETWORKS.items()
    },
    "objectives.mean_square": Entry(
        objectives.mean_square,
        {"deviations": torch.ones(2, 3), "huber": 1.0},
        {"deviations": NO_TENSORS | among(torch.ones(3), torch.ones(2, 3) > 0), "huber": HUBER},
    ),
    "objectives.physics_informed": Entry(
        functools.partial(objectives.physics_informed, **BATCH),
        {
            "configurations": X.unsqueeze(0),
            "t": torch.tensor([0.5], dtype=torch.float64),
            "huber": 1.0,
        },
        {"configurations": among(X[:1].unsqueeze(0)), "huber": HUBER},
        {"configurations": "walkers"},
    ),
    **{
        f"objectives.{loss.__name__}": Entry(
            functools.partial(loss, **BATCH),
            {"trajectories": TRAJECTORIES, "t": STEPS, "huber": 1.0, "floor": 0.3},
            {
                "trajectories": NO_TENSORS
                | among(X[:1], TRAJECTORIES[:, :1], TRAJECTORIES[:, :, :1]),
                "t": NO_TENSORS
                | among(STEPS[0], STEPS.flip(1), STEPS * NAN, STEPS * 0, STEPS.expand(2, 2)),
                "huber": HUBER,
                "floor": numbers(0.0, -1.0, INF),
            },
            {"trajectories": "trajectories|times|walkers", "t": "t must|times"},
        )
        for loss in (objectives.log_variance, objectives.squared_residual)
    },
    "objectives.FreeEnergy": Entry(
        objectives.FreeEnergy,
        {"sites": 6, "width": 3, "seed": 0},
        {"sites": below(1), "width": below(1), "seed": NO_SEEDS},
    ),
    "Sampler.run_block": Entry(
        lambda **given: sampler().run_block(**given),
        {"walkers": torch.arange(3), "seed": 0, "wanted": 2},
        {
            "walkers": NO_TENSORS | among(torch.arange(0), torch.ones(3), torch.tensor(1)),
            "seed": NO_SEEDS,
            "wanted": below(1).filter(lambda value: value is not None) | among(4),
        },
    ),
    "Sampler.with_integrator": Entry(
        lambda **given: sampler().with_integrator(**given),
        {"integrator": lt.Jump(3)},
        {"integrator": NO_OBJECTS | among(lt.HeatBath(), lt.Jump)},
    ),
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
    "kernels.cluster_labels": Entry(
        kernels.cluster_labels,
        {"bonds": BONDS},
        {
            "bonds": NO_TENSORS
            | among(BONDS.int(), BONDS[0], BONDS[:, :1], BONDS[None], BONDS.double())
        },
    ),
    "kernels.hollow_conv": Entry(
        kernels.hollow_conv,
        CONV,
        {
            **{name: tensors(value) for name, value in CONV.items() if isinstance(value, Tensor)},
            "kernel_size": below(1) | among(2, 5, 7),
            "periodic": THINGS | among(True, (True,), (1, 0), (True,) * 3, "ab"),
            "precision": NO_NAMES,
        },
        # Of two tensors that do not fit each other, one is named.
        dict.fromkeys(CONV, "|".join(CONV)),
    ),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_the_valid_arguments_are_accepted(name: str) -> None:
    accepts_the_valid(ENTRIES[name])


@pytest.mark.parametrize(("name", "argument"), cases(ENTRIES))
@settings(max_examples=60, phases=[Phase.generate], deadline=None)
@given(data=st.data())
def test_a_bad_value_is_refused(name: str, argument: str, data: st.DataObject) -> None:
    refuses_a_bad_value(ENTRIES[name], argument, data)


@pytest.mark.parametrize(("name", "argument"), integers(ENTRIES))
def test_integers_of_numpy_and_torch_are_integers(name: str, argument: str) -> None:
    takes_integers_of_numpy_and_torch(ENTRIES[name], argument)
