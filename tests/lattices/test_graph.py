"""Graphs: edges that are checked, colours, incidence, and the makers of lattices with names."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.models.base import SweepPlan

MAKERS = {
    "triangular": (lt.Graph.triangular, 1, 3),
    "honeycomb": (lt.Graph.honeycomb, 2, 1.5),
    "kagome": (lt.Graph.kagome, 3, 2),
    "king": (lt.Graph.king, 1, 4),
}
"""Maker, sites per cell, bonds per site of a torus."""


def lengths_of_bonds(graph: lt.Graph) -> torch.Tensor:
    """Distances of neighbours, the shortest way round a torus."""
    assert graph.positions is not None
    apart = graph.positions[graph.edges[:, 1]] - graph.positions[graph.edges[:, 0]]
    if graph.box is None:
        return apart.norm(dim=1)
    steps = torch.arange(-1.0, 2.0, dtype=torch.float64)
    images = torch.cartesian_prod(steps, steps) @ graph.box
    return (apart.unsqueeze(1) + images).norm(dim=2).min(1).values


@pytest.mark.parametrize("name", list(MAKERS))
@pytest.mark.parametrize("shape", [(6, 6), (3, 4), (2, 3)])
@pytest.mark.parametrize("periodic", [True, False])
def test_neighbours_stand_side_by_side(name: str, shape: tuple[int, int], periodic: bool) -> None:
    make, places, per_site = MAKERS[name]
    graph = make(shape, periodic=periodic)
    assert graph.sites == places * shape[0] * shape[1]
    assert graph.shape == (graph.sites,)
    if periodic:
        assert graph.bonds == per_site * graph.sites
        assert bool((graph.degrees == 2 * per_site).all())
    expected = torch.ones(graph.bonds, dtype=torch.float64)
    if name == "king":
        expected[graph.classes >= 2] = 2.0**0.5
    torch.testing.assert_close(lengths_of_bonds(graph), expected)
    colours = graph.colours()
    assert bool((colours[graph.edges[:, 0]] != colours[graph.edges[:, 1]]).all())


def test_named_lattices_have_few_colours_and_their_sublattices() -> None:
    few = {"triangular": 3, "honeycomb": 2, "kagome": 3, "king": 4}
    for name, colours in few.items():
        graph = MAKERS[name][0]((6, 6))
        assert graph.num_colours == colours
        assert graph.sublattice is not None
    assert lt.Graph.triangular((4, 6)).sublattice is None
    assert lt.Graph.bipartite(4, 3).num_colours == 2
    assert lt.Graph.complete(7).num_colours == 7
    ladder = lt.Graph.with_neighbours((8, 2), [(1, 0), (0, 1)])
    assert ladder.num_colours == 2
    # A periodic length of 2 has two bonds between the same sites, as on a lattice.
    assert ladder.bonds == 32


def test_colours_of_random_graphs_are_few() -> None:
    """At a mean degree of 12 seven colours are enough in saturation order."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.combinations(torch.arange(200))
    chosen = pairs[torch.rand(len(pairs), generator=generator) < 0.06]
    graph = lt.Graph(chosen, 200)
    colours = graph.colours()
    assert bool((colours[chosen[:, 0]] != colours[chosen[:, 1]]).all())
    assert graph.num_colours <= 7


@pytest.mark.parametrize("shape", [7, (4, 6), (2, 3), (3, 2, 4)])
def test_a_lattice_by_offsets_is_the_lattice(shape: Any) -> None:
    """Edges in the order of couplings, neighbours in that of the lattice, the same energies."""
    lattice = lt.Lattice(shape)
    steps = [tuple(int(a == axis) for a in range(lattice.ndim)) for axis in range(lattice.ndim)]
    graph = lt.Graph.with_neighbours(lattice.shape, steps)
    near = lattice.incidence()
    ahead = near.neighbours[::2].flatten().long()
    first = torch.arange(lattice.sites).repeat(lattice.ndim)
    assert torch.equal(graph.edges, torch.stack([first, ahead], 1))
    assert torch.equal(graph.classes, torch.arange(lattice.ndim).repeat_interleave(lattice.sites))
    assert torch.equal(near.neighbours.sort(0).values, graph.incidence().neighbours.sort(0).values)
    generator = torch.Generator().manual_seed(0)
    coupling = torch.randn(lattice.ndim, *lattice.shape, generator=generator, dtype=torch.float64)
    table = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    x = torch.randint(0, 3, (5, lattice.sites), generator=generator).to(torch.int8)
    on_lattice = lt.PairModel(lattice, 0.7, table, coupling=coupling)
    on_graph = lt.PairModel(graph, 0.7, table, coupling=coupling.flatten())
    expected = on_lattice.energy(x.view(-1, *lattice.shape))
    torch.testing.assert_close(on_graph.energy(x), expected, rtol=1e-12, atol=1e-12)
    changes = on_lattice.energy_change(x.view(-1, *lattice.shape)).flatten(2)
    torch.testing.assert_close(on_graph.energy_change(x), changes, rtol=1e-12, atol=1e-12)


def test_incidence_leads_from_every_site_to_its_edges() -> None:
    graph = lt.Graph([(0, 1), (2, 0), (2, 1), (3, 2)], sites=5)
    neighbours, bond, behind = graph.incidence()
    assert graph.degree == 3
    assert neighbours.T.tolist() == [[1, 2, 0], [0, 2, 1], [0, 1, 3], [2, 3, 3], [4, 4, 4]]
    assert bond.T.tolist() == [[0, 1, 4], [0, 2, 4], [1, 2, 3], [3, 4, 4], [4, 4, 4]]
    assert behind.T.int().tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert graph.neighbours()[:, 3].tolist() == [2, -1, -1]
    assert graph == lt.Graph(graph.edges, 5)
    assert hash(graph) == hash(lt.Graph(graph.edges, 5))
    assert graph != lt.Graph(graph.edges, 6)
    assert graph != lt.Graph(graph.edges.flip(1), 5)


def test_incidence_of_a_lattice_is_in_the_order_of_its_neighbours() -> None:
    lattice = lt.Lattice((3, 4), periodic=(True, False))
    neighbours, bond, behind = lattice.incidence()
    expected = lattice.neighbours()
    missing = expected < 0
    assert torch.equal(neighbours[~missing].long(), expected[~missing])
    assert bool((bond[missing] == 24).all()) and not bool(behind[missing].any())
    # Each bond is met by both its ends, by one of them from behind.
    assert torch.bincount(bond[~missing].flatten()).unique().tolist() == [0, 2]
    assert int(behind.sum()) == int((~missing).sum()) // 2


RULES = {
    "gathered": lt.Graph.complete(33),
    "energies and log-ratios by matrix product, sweeps gathered": lt.Graph.complete(40),
    "by matrix product": lt.Graph.bipartite(40, 36),
    # A star has few edges.
    "log-ratios and sweeps by matrix product, energies gathered": lt.Graph.bipartite(1, 37),
}


@pytest.mark.parametrize("words", list(RULES))
def test_wide_graphs_say_what_is_done(words: str) -> None:
    graph = RULES[words]
    assert graph.rule == words
    assert graph.wide == (words != "gathered")


def test_graphs_of_many_colours() -> None:
    """Where 127 numbers of colours do not do, they are no bytes, and sweeps take them."""
    assert lt.Graph.complete(127).colours().dtype == torch.int8
    graph = lt.Graph.complete(260)
    assert graph.num_colours == 260 and graph.colours().dtype == torch.int32
    assert graph.colours().unique().tolist() == list(range(260))
    generator = torch.Generator().manual_seed(0)
    couplings = torch.randn(graph.bonds, generator=generator, dtype=torch.float64)
    model = lt.Ising(graph, beta=1.0, coupling=couplings / graph.sites**0.5)
    start = torch.randint(0, 2, (8, 260), generator=generator).to(torch.int8)
    one = torch.ones(1, dtype=torch.float64)
    after = model.heat_bath(start, one, SweepPlan(torch.arange(8), 0, 40, seed=1))
    before = SweepPlan(torch.arange(8), 0, 1, seed=2, backward=True)
    assert not torch.equal(model.heat_bath(after, one, before), after)
    # Sites are redrawn one after another: energies per site are near those of an infinite glass.
    energies = model.energy(after) / graph.sites
    assert -0.65 < float(energies.mean()) < -0.35


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "loop": (lambda: lt.Graph([(0, 1), (2, 2)]), "edge 1 joins site 2 with itself"),
    "twice": (lambda: lt.Graph([(0, 1), (1, 0)]), "edges 0 and 1 join the same sites"),
    "outside": (lambda: lt.Graph([(0, 5)], sites=4), "numbered from 0 to 3"),
    "shape": (lambda: lt.Graph([0, 1]), r"integers of shape \(bonds, 2\)"),
    "real": (lambda: lt.Graph([(0.0, 1.0)]), r"integers of shape \(bonds, 2\)"),
    "classes": (lambda: lt.Graph([(0, 1)], classes=[0, 1]), "classes must be 1 integers"),
    "colours": (lambda: lt.Graph([(0, 1)], colours=[1, 1]), "colours must differ"),
    "box": (lambda: lt.Graph([(0, 1)], box=[[1.0]]), "box must be None"),
    "torus": (lambda: lt.Graph.kagome((1, 3)), "shape must be an integer of at least 2"),
    "lengths": (lambda: lt.Graph.king((4,)), "shape must be 2 integers"),
    "offsets": (lambda: lt.Graph.with_neighbours((4, 4), [(1, 0), (-1, 0)]), "backward too"),
    "flat": (lambda: lt.Graph.with_neighbours((4, 4), [(1,)]), "offsets of 2 integers each"),
    "round": (lambda: lt.Graph.with_neighbours((4, 4), [(4, 0)]), "joins site 0 with itself"),
    "periodic": (lambda: lt.Ising(lt.Graph.complete(4), 1.0, periodic=False), "leave it out"),
    "coupling": (lambda: lt.Ising(lt.Graph.king((4, 4)), 1.0, [1.0] * 5), "its 4 classes"),
    "field": (lambda: lt.Ising(lt.Graph.complete(4), 1.0, field=torch.ones(5)), "field must"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_what_is_no_graph_is_refused(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        make()
