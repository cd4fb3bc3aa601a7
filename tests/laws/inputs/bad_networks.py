"""Bad values into exact results, moves, networks and objectives."""

import functools
from typing import Any

import torch
from bad_values import (
    INF,
    MODEL,
    NAN,
    NO_BETAS,
    NO_BOOLS,
    NO_DEVICES,
    NO_MODEL,
    NO_MODELS,
    NO_MOVES,
    NO_NAMES,
    NO_OBJECTS,
    NO_RESTS,
    NO_SEEDS,
    NO_TENSORS,
    PATH,
    THINGS,
    Bad,
    Entry,
    X,
    among,
    below,
    numbers,
    sampler,
    some,
    tensors,
)
from torch import Tensor

import leaps_triton as lt
from leaps_triton import kernels, objectives


def _is_x(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 3 and value.shape[1:] == (2, 3)


STRENGTH = {"beta": 0.4, "coupling": 1.0}
NO_STRENGTH = {"beta": NO_BETAS, "coupling": NO_BETAS}
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
