"""Bad values into lattices, models, paths, exact values and observables."""

from typing import Any

import torch
from bad_values import (
    BAD_X,
    INF,
    MODEL,
    NAN,
    NO_BETAS,
    NO_COUPLINGS,
    NO_FUNCTIONS,
    NO_MODELS,
    NO_NAMES,
    NO_OBJECTS,
    NO_PERIODIC,
    NO_SEEDS,
    NO_SHAPES,
    PATH,
    WORDS,
    Entry,
    X,
    among,
    below,
    numbers,
    shaped,
)
from hypothesis import strategies as st
from torch import Tensor

import leaps_triton as lt

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


def _floats(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


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
}
