"""CPU kernels of the ops on graphs: the twins' numbers, and which loops run."""

from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("numba")

from leaps_triton import Graph, kernels
from leaps_triton.kernels import reference
from leaps_triton.kernels.gathered.cases import around, edges_of, energy_arguments
from leaps_triton.kernels.gathered_sweeps import cpu_tables
from leaps_triton.kernels.gathered_sweeps.cases import sweep
from leaps_triton.kernels.gathered_sweeps.reference import GraphSweeps

FLOAT64 = torch.float64
OPS = ("heat_bath", "metropolis", "overrelaxation")
SQUARE = edges_of((4, 8), (True, True))
# Degrees from 0 to 4, and two edges of one pair.
DISORDERED = torch.tensor([[5, 0], [0, 3], [3, 5], [1, 4], [4, 1], [5, 1], [5, 2]]).int()
COMPLETE = torch.combinations(torch.arange(9)).int()
GRAPHS: dict[str, tuple[Tensor, int]] = {
    "square": (SQUARE, 32),
    "disordered": (DISORDERED, 7),
    "complete": (COMPLETE, 9),
    "without edges": (torch.zeros(0, 2, dtype=torch.int32), 3),
}
PLAIN = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=FLOAT64)


@pytest.mark.parametrize("name", list(GRAPHS))
@pytest.mark.parametrize("q", [2, 3, 5])
def test_energies_are_the_twins(name: str, q: int) -> None:
    """For a walker alone, some of them, and more than lie side by side."""
    edges, sites = GRAPHS[name]
    for walkers, own in ((1, False), (40, True), (70, False)):
        given = around(edges, sites, q, walkers, own, seed=walkers)
        for dtype in (torch.float32, FLOAT64):
            found = kernels.graph_local_energy(**given, dtype=dtype)
            expected = reference.graph_local_energy(**given, dtype=dtype)
            assert torch.equal(found.energy, expected.energy)
            assert torch.equal(found.log_ratios, expected.log_ratios)
        sums = kernels.graph_energy(**energy_arguments(given))
        expected_counts = reference.graph_energy(**energy_arguments(given)).counts
        assert torch.equal(sums.counts, expected_counts)


def uniform(given: dict[str, Any]) -> dict[str, Any]:
    """Couplings of one strength, as most models have."""
    coupling = torch.full_like(given["coupling"], 0.3)
    coupling[-1] = 0.0
    return given | {"coupling": coupling, "beta": torch.full((1,), 0.9, dtype=FLOAT64)}


def compare(op: str, given: dict[str, Any]) -> None:
    found = getattr(kernels, f"graph_{op}_sweeps")(**given)
    assert torch.equal(found, getattr(reference, f"graph_{op}_sweeps")(**given))


@pytest.mark.parametrize("name", list(GRAPHS))
@pytest.mark.parametrize("q", [2, 3, 5])
def test_sweeps_are_the_twins(name: str, q: int) -> None:
    """By limits where they are few, by fields elsewhere; walkers alone and side by side."""
    edges, sites = GRAPHS[name]
    for walkers, own in ((1, False), (3, True), (13, False), (70, True)):
        given = around(edges, sites, q, walkers, own, seed=walkers)
        for chosen in (given, uniform(given)):
            for op in OPS:
                arguments = sweep(chosen, 6)
                if op == "metropolis":
                    arguments["rest"] = 0.125
                compare(op, arguments)


def test_two_states_and_few_limits_are_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a field too, whose sums depend on the order of their terms."""
    ranked = []
    made = cpu_tables.ranked_of

    def watched(*arguments: Any) -> Any:
        found = made(*arguments)
        ranked.append(len(found[0]))
        return found

    monkeypatch.setattr(cpu_tables, "ranked_of", watched)
    # An odd torus has three colours.
    edges = edges_of((3, 6), (True, True))
    for field in (0.0, 0.1):
        given = uniform(around(edges, 18, 2, 64, own=False))
        given["bond_table"] = PLAIN
        given["site_table"] = torch.tensor([-field, field], dtype=FLOAT64).view(1, 2, 1)
        for op in OPS[:2]:
            compare(op, sweep(given, 20))
    assert ranked == [4] * 4


LIKE_LATTICES: dict[str, tuple[Tensor, int]] = {
    "square": (SQUARE, 32),
    "open": (edges_of((3, 4), (False, False)), 12),
    "honeycomb": (Graph.honeycomb((2, 3)).edges.int(), 12),
}


def plan_of(given: dict[str, Any]) -> cpu_tables.Plan:
    return cpu_tables.plan_of(GraphSweeps(**sweep(given, 1)), torch.float32)


@pytest.mark.parametrize("name", list(LIKE_LATTICES))
def test_what_is_like_a_lattice_is_swept_by_bytes(name: str) -> None:
    """With couplings of both signs too, and where rounding decides at a huge β."""
    edges, sites = LIKE_LATTICES[name]
    for signs, beta in ((False, 0.9), (True, 0.9), (False, 1e6), (True, -3e7)):
        given = uniform(around(edges, sites, 2, 40, own=False)) | {"bond_table": PLAIN}
        given["beta"] = torch.full((1,), beta, dtype=FLOAT64)
        if signs:
            given["coupling"][::3] *= -1.0
            given["coupling"][-1] = 0.0
        assert plan_of(given).in_bytes is not None
        for op in OPS[:2]:
            arguments = sweep(given, 12)
            compare(op, arguments)
            alone = {key: arguments[key][:1] for key in ("configurations", "walkers")}
            compare(op, arguments | alone)
        compare("metropolis", sweep(given, 12) | {"rest": 0.125})


def test_what_is_not_like_a_lattice_is_not() -> None:
    given = uniform(around(SQUARE, 32, 2, 8, own=False)) | {"bond_table": PLAIN}
    index = torch.arange(100)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    far = torch.stack([2 * index, 2 * order + 1], 1).int()
    for other in (
        {"coupling": torch.linspace(0.1, 1.0, 65, dtype=FLOAT64)},
        {"bond_table": torch.tensor([[1.0, -1.0], [-1.0, 0.5]], dtype=FLOAT64)},
        {"site_table": torch.ones(1, 2, 32, dtype=FLOAT64)},
    ):
        assert plan_of(given | other).in_bytes is None
    assert (
        plan_of(uniform(around(far, 200, 2, 8, own=False)) | {"bond_table": PLAIN}).in_bytes is None
    )


def test_limits_are_made_once_a_chain_has_asked_for_long_enough() -> None:
    given = sweep(around(SQUARE, 32, 2, 8, own=False), 1)
    plan = cpu_tables.plan_of(GraphSweeps(**given), torch.float32)
    made = []
    # Limits of 32 kinds, 16 patterns and 4 entries pay after 64 sweeps of 8 walkers.
    for first in range(80):
        compare("metropolis", given | {"first_sweep": first})
        made.append(len(plan._limits))
    assert made[0] == 0 and made[-1] == 1
    compare("metropolis", given | {"beta": 1.5 * given["beta"]})


def test_a_plan_is_kept_until_the_model_changes() -> None:
    given = sweep(uniform(around(SQUARE, 32, 2, 8, own=False)), 2)
    first = cpu_tables.plan_of(GraphSweeps(**given), torch.float32)
    assert cpu_tables.plan_of(GraphSweeps(**given), torch.float32) is first
    # Written in place, as a learner may do.
    given["coupling"][0] = -1.0
    assert cpu_tables.plan_of(GraphSweeps(**given), torch.float32) is not first
    compare("heat_bath", given)
