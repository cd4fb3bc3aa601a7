"""Ops on graphs: those of a lattice bit for bit through its neighbours, and sums over edges."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from leaps_triton import Graph, Ising, Lattice, kernels
from leaps_triton.kernels import reference
from leaps_triton.kernels.energies.cases import model, without_beta
from leaps_triton.kernels.gathered import products
from leaps_triton.kernels.gathered.cases import around, edges_of, energy_arguments
from leaps_triton.kernels.gathered_sweeps.cases import sweep as graph_sweep
from leaps_triton.kernels.gathered_sweeps.reference import GraphSweeps
from leaps_triton.kernels.site_sweeps.cases import sweep

FLOAT64 = torch.float64
OPS = ("heat_bath", "metropolis", "overrelaxation")
LATTICES = [
    Lattice(7),
    Lattice((2, 3)),
    Lattice((4, 6)),
    Lattice((5, 3), periodic=(True, False)),
    Lattice((3, 2, 4), periodic=(False, True, True)),
]


def as_graph(lattice: Lattice, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``graph_local_energy`` for those of ``local_energy`` of one coupling."""
    sites = lattice.sites
    bonds = lattice.ndim * sites
    index = torch.arange(sites)
    near = lattice.neighbours()
    rows = []
    for slot, there in enumerate(near):
        # A bond belongs to its lower end, the site behind.
        owner = there if slot % 2 else index
        rows.append(torch.where(there < 0, bonds, slot // 2 * sites + owner))
    coupling = given["coupling"].expand(1, lattice.ndim, *lattice.shape).flatten()
    ahead = near[::2].flatten()
    first = index.repeat(lattice.ndim)
    coupling = torch.where(ahead < 0, 0.0, coupling)
    behind = torch.zeros(near.shape, dtype=torch.bool)
    behind[1::2] = near[1::2] >= 0
    return {
        "configurations": given["configurations"].flatten(1),
        "coupling": torch.cat([coupling, torch.zeros(1, dtype=FLOAT64)]),
        "bond_table": given["bond_table"],
        "site_table": given["site_table"].flatten(2),
        "beta": given["beta"],
        "neighbours": torch.where(near < 0, index, near).int(),
        "bond": torch.stack(rows).int(),
        "behind": behind,
        "edges": torch.stack([first, torch.where(ahead < 0, first, ahead)], 1).int(),
    }


def pair(lattice: Lattice, q: int, tables: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments of ``local_energy`` on a lattice, and of its twin on the graph it is."""
    given = model(lattice.shape, lattice.periodic, q, 5, tables, seed=seed)
    given["beta"] = given["beta"].expand(5).contiguous()
    return given, as_graph(lattice, given)


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
@pytest.mark.parametrize("q", [2, 3])
def test_a_lattice_as_a_graph_has_the_same_numbers(lattice: Lattice, q: int) -> None:
    for seed, tables in enumerate(("shared", "uniform", "directions")):
        given, graph = pair(lattice, q, tables, 10 * seed)
        for dtype in (torch.float32, FLOAT64):
            expected = reference.local_energy(**given, dtype=dtype)
            for ops in (kernels, reference):
                found = ops.graph_local_energy(**graph, dtype=dtype)
                assert torch.equal(found.log_ratios.view_as(expected.log_ratios), expected[1])
                torch.testing.assert_close(found.energy, expected.energy, rtol=1e-12, atol=1e-12)
        whole = given["coupling"].mul(3).round()
        plain = without_beta(given | {"coupling": whole})
        plain["bond_table"] = plain["bond_table"].mul(2).round()
        plain["site_table"] = plain["site_table"].mul(2).round()
        sums = reference.energy(**plain)
        small = energy_arguments(as_graph(lattice, given | plain))
        for ops in (kernels, reference):
            energy, counts = ops.graph_energy(**small)
            assert torch.equal(energy, sums.energy)
            assert torch.equal(counts, sums.counts)


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("q", [2, 3])
def test_a_lattice_as_a_graph_is_swept_alike(lattice: Lattice, q: int, op: str) -> None:
    for seed, tables in enumerate(("shared", "uniform", "directions")):
        given, graph = pair(lattice, q, tables, 10 * seed)
        on_lattice = sweep(given, 3)
        rest = {}
        if op == "metropolis":
            rest = {"rest": 0.125}
        expected = getattr(reference, f"{op}_sweeps")(**on_lattice, **rest).flatten(1)
        swept = {name: value for name, value in graph.items() if name != "edges"}
        for name in ("num_colours", "walkers", "first_sweep", "sweeps", "seed"):
            swept[name] = on_lattice[name]
        swept["colours"] = on_lattice["colours"].flatten()
        before = swept["configurations"].clone()
        for ops in (kernels, reference):
            found = getattr(ops, f"graph_{op}_sweeps")(**swept, **rest)
            assert torch.equal(found, expected)
        assert torch.equal(swept["configurations"], before)


@pytest.mark.parametrize("op", OPS)
def test_many_walkers_side_by_side_are_swept_as_each_alone(op: str) -> None:
    """More of them than a block of one walker's sites, by fields: a coupling for each bond."""
    given, graph = pair(Lattice((3, 3)), 3, "shared", 7)
    walkers = 200
    swept = {name: value for name, value in graph.items() if name != "edges"}
    index = torch.arange(walkers) % 5
    swept["configurations"] = swept["configurations"][index].contiguous()
    swept["beta"] = swept["beta"][index].contiguous()
    on_lattice = sweep(given, 2)
    for name in ("num_colours", "first_sweep", "sweeps", "seed"):
        swept[name] = on_lattice[name]
    swept["walkers"] = torch.arange(walkers)
    swept["colours"] = on_lattice["colours"].flatten()
    found = getattr(kernels, f"graph_{op}_sweeps")(**swept)
    assert torch.equal(found, getattr(reference, f"graph_{op}_sweeps")(**swept))


def bipartite(first: int, second: int) -> Tensor:
    ends = [[i, first + j] for i in range(first) for j in range(second)]
    return torch.tensor(ends, dtype=torch.int32)


def complete(sites: int) -> Tensor:
    return torch.combinations(torch.arange(sites)).int()


GRAPHS = {
    "bipartite": (bipartite(40, 35), 75),
    "complete": (complete(40), 40),
    "star": (bipartite(1, 37), 38),
    "bonds in both directions": (torch.cat([bipartite(2, 3), bipartite(2, 3).flip(1)]), 5),
    "sites without bonds": (torch.tensor([[0, 3], [3, 1]], dtype=torch.int32), 6),
}


def energies_by_edges(given: dict[str, Any], x: Tensor) -> Tensor:
    first, second = given["edges"].long().unbind(1)
    values = given["bond_table"][x[:, first].long(), x[:, second].long()]
    site_table = given["site_table"].expand(len(x), -1, x.shape[1])
    field = site_table.gather(1, x.long().unsqueeze(1)).sum((1, 2))
    return -(values * given["coupling"][:-1]).sum(1) - field


@pytest.mark.parametrize("name", list(GRAPHS))
@pytest.mark.parametrize("q", [2, 3])
def test_energies_and_their_changes_are_sums_over_edges(name: str, q: int) -> None:
    """By matrix products too, for tables that are not symmetric."""
    edges, sites = GRAPHS[name]
    given = around(edges, sites, q, 4, seed=3)
    x = given["configurations"]
    energy = energies_by_edges(given, x)
    for ops in (kernels, reference):
        found = ops.graph_local_energy(**given, dtype=FLOAT64)
        torch.testing.assert_close(found.energy, energy, rtol=1e-12, atol=1e-11)
        torch.testing.assert_close(ops.graph_energy(**energy_arguments(given))[0], found.energy)
        for site in (0, sites // 2, sites - 1):
            for k in range(1, q):
                moved = x.clone()
                moved[:, site] = (moved[:, site] + k) % q
                change = -given["beta"] * (energies_by_edges(given, moved) - energy)
                ratios = found.log_ratios[:, k - 1, site]
                torch.testing.assert_close(ratios, change, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("op", "q"), [*itertools.product(OPS[:2], (2, 3)), (OPS[2], 3)])
def test_sweeps_by_matrix_products_are_the_gathered_ones(op: str, q: int) -> None:
    """The same random words: some 10⁴ draws do not meet a difference in the last digits."""
    edges, sites = GRAPHS["bipartite"]
    given = graph_sweep(around(edges, sites, q, 12, own=True), 6)
    assert GraphSweeps(**given).by_product
    # Colours that no site has: too many for matrix products.
    gathered = given | {"num_colours": 10}
    assert not GraphSweeps(**gathered).by_product
    found = getattr(kernels, f"graph_{op}_sweeps")(**given)
    expected = getattr(reference, f"graph_{op}_sweeps")(**gathered)
    assert torch.equal(found, expected)
    assert not torch.equal(found, given["configurations"])


def test_matrices_that_are_kept_follow_their_tables() -> None:
    edges, sites = GRAPHS["bipartite"]
    given = graph_sweep(around(edges, sites, 2, 8), 2)
    first = kernels.graph_metropolis_sweeps(**given)
    assert torch.equal(kernels.graph_metropolis_sweeps(**given), first)
    given["coupling"].neg_()
    found = kernels.graph_metropolis_sweeps(**given)
    assert torch.equal(found, reference.graph_metropolis_sweeps(**given | {"num_colours": 10}))
    assert not torch.equal(found, first)


def test_matrices_of_a_model_are_kept_until_its_couplings_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    initial = products.Dense.__init__

    def counted(self: products.Dense, *arguments: Any) -> None:
        made.append(self)
        initial(self, *arguments)

    monkeypatch.setattr(products.Dense, "__init__", counted)
    graph = Graph.complete(40)
    couplings = torch.randn(graph.bonds, generator=torch.Generator().manual_seed(3), dtype=FLOAT64)
    model = Ising(graph, beta=0.7, coupling=couplings)
    x = torch.randint(2, (5, 40), generator=torch.Generator().manual_seed(4)).to(torch.int8)
    beta = torch.ones(1, dtype=FLOAT64)
    energy = model.energy(x)
    ratios = model.local_energy(x, beta)
    # The same numbers as without what is kept.
    interactions: Any = model.interactions
    around = interactions.around(x.device)
    tables = model.tables(x.device)
    given = (x, around.coupling, tables.bond_table, tables.site_table)
    fresh = kernels.graph_local_energy(*given, beta, *around[1:])
    assert torch.equal(fresh.energy, energy) and torch.equal(ratios.energy, energy)
    assert torch.equal(fresh.log_ratios, ratios.log_ratios)
    # One of the model, one of the op.
    assert len(made) == 2
    around.coupling.mul_(2.0)
    assert torch.equal(model.energy(x), 2.0 * energy)
    assert torch.equal(model.local_energy(x, beta).log_ratios, 2.0 * ratios.log_ratios)
    assert len(made) == 3
    other = model.with_tables(0.7, model.site_table, -model.coupling)
    assert torch.equal(other.energy(x), -energy)


def test_many_small_colours_are_gathered() -> None:
    edges, sites = GRAPHS["complete"]
    given = graph_sweep(around(edges, sites, 2, 3), 1)
    assert given["num_colours"] == sites and not GraphSweeps(**given).by_product


@pytest.mark.parametrize(("op", "q"), [(OPS[0], 2), (OPS[1], 3), (OPS[2], 3)])
def test_more_colours_than_a_byte_has_numbers(op: str, q: int) -> None:
    edges, sites = GRAPHS["complete"]
    given = graph_sweep(around(edges, sites, q, 2, own=True), 2)
    given["colours"] = given["colours"].int() + 100
    given["num_colours"] += 100
    found = getattr(kernels, f"graph_{op}_sweeps")(**given)
    expected = getattr(reference, f"graph_{op}_sweeps")(**given)
    assert torch.equal(found, expected)
    # Negative bytes are sites of no colour, though 200 would be one as a byte.
    given["num_colours"] = 201
    given["colours"][0] = -56
    expected = getattr(reference, f"graph_{op}_sweeps")(**given)
    given["colours"] = torch.where(given["colours"] < 0, -56, given["colours"] - 100).to(torch.int8)
    found = getattr(kernels, f"graph_{op}_sweeps")(**given)
    assert torch.equal(found, expected)


def test_a_coupling_of_each_walkers_own() -> None:
    edges = edges_of((4, 3), (True, True))
    for chosen, sites in ((edges, 12), (bipartite(34, 40), 74)):
        given = around(chosen, sites, 3, 3)
        own = torch.stack([given["coupling"] * factor for factor in (1.0, -0.5, 2.0)])
        given["coupling"] = own
        together = kernels.graph_local_energy(**given, dtype=FLOAT64)
        swept = kernels.graph_heat_bath_sweeps(**graph_sweep(given, 2))
        for walker in range(3):
            row = slice(walker, walker + 1)
            one = given | {"coupling": own[walker], "beta": given["beta"][row]}
            one["configurations"] = given["configurations"][row]
            alone = kernels.graph_local_energy(**one, dtype=FLOAT64)
            torch.testing.assert_close(together.energy[row], alone.energy)
            torch.testing.assert_close(together.log_ratios[row], alone.log_ratios)
            arguments = graph_sweep(one, 2) | {"walkers": graph_sweep(given, 2)["walkers"][row]}
            assert torch.equal(swept[row], kernels.graph_heat_bath_sweeps(**arguments))


WRONG = {
    "configurations": (torch.zeros(2, 3, 4, dtype=torch.int8), r"\(walkers, sites\) on a graph"),
    "coupling": (torch.zeros(23), "coupling must be float64|edges must have shape"),
    "site_table": (torch.zeros(1, 3, 5, dtype=FLOAT64), r"site_table must have shape \(1 \| 2, 3"),
    "beta": (torch.zeros(3, dtype=FLOAT64), "beta must have shape"),
    "neighbours": (torch.zeros(4, 12, dtype=torch.int64), "neighbours must be torch.int32"),
    "bond": (torch.zeros(3, 12, dtype=torch.int32), r"bond must have shape \(4, 12\)"),
    "behind": (torch.zeros(4, 12), "behind must be a tensor of bools or int8"),
    "edges": (torch.zeros(7, 2, dtype=torch.int32), r"edges must have shape \(24, 2\)"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_what_does_not_fit_is_refused(name: str) -> None:
    given = around(edges_of((4, 3), (True, True)), 12, 3, 2)
    value, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        kernels.graph_local_energy(**given | {name: value})


@pytest.mark.parametrize(
    ("name", "index", "message"),
    [
        ("neighbours", 12, "neighbours must be of sites 0 to 11, got 12"),
        ("neighbours", -1, "neighbours must be of sites 0 to 11, got -1"),
        ("bond", 25, "bond must be of edges 0 to 24, got 25"),
        ("edges", 12, "edges must be of sites 0 to 11, got 12"),
    ],
)
def test_indices_out_of_range_are_refused(name: str, index: int, message: str) -> None:
    """Loops would read beyond their tables: they are looked at once, and when written into."""
    given = around(edges_of((4, 3), (True, True)), 12, 3, 2)
    kernels.graph_local_energy(**given)
    table = given[name]
    assert isinstance(table, torch.Tensor)
    table[-1, -1] = index
    with pytest.raises(ValueError, match=message):
        kernels.graph_local_energy(**given)


def test_sweeps_and_energies_look_at_indices_too() -> None:
    given = around(edges_of((4, 3), (True, True)), 12, 3, 2)
    outside = torch.full_like(given["neighbours"], 12)
    with pytest.raises(ValueError, match="neighbours must be of sites 0 to 11, got 12"):
        kernels.graph_heat_bath_sweeps(**graph_sweep(given | {"neighbours": outside}, 1))
    outside = torch.full_like(given["edges"], -1)
    with pytest.raises(ValueError, match="edges must be of sites 0 to 11, got -1"):
        kernels.graph_energy(**energy_arguments(given | {"edges": outside}))


def test_colours_that_do_not_fit_are_refused() -> None:
    given = graph_sweep(around(edges_of((4, 3), (True, True)), 12, 3, 2), 1)
    with pytest.raises(ValueError, match=r"colours must have shape \(12,\)"):
        kernels.graph_heat_bath_sweeps(**given | {"colours": torch.zeros(4, 3)})
    with pytest.raises(ValueError, match="colours must be a tensor of integers"):
        kernels.graph_heat_bath_sweeps(**given | {"colours": torch.zeros(12)})
