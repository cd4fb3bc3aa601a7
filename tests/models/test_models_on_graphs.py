"""Models of pairs on graphs: couplings by class and edge, at other temperatures, by sweeps."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.lattices import require_hypercubic

SQUARE = [(1, 0), (0, 1)]
DIAGONALS = [(1, 1), (1, -1)]


def states(sites: int, q: int) -> Tensor:
    """All configurations, int8."""
    return torch.tensor(list(itertools.product(range(q), repeat=sites)), dtype=torch.int8)


def test_couplings_are_a_number_one_per_class_or_one_per_edge() -> None:
    graph = lt.Graph.with_neighbours((4, 4), [SQUARE, DIAGONALS])
    assert lt.Ising(graph, 0.3).coupling.shape == (1, 1)
    by_class = lt.Ising(graph, 0.3, coupling=[1.0, -0.5])
    assert by_class.coupling.shape == (1, graph.bonds)
    assert by_class.coupling[0].tolist() == [1.0] * 32 + [-0.5] * 32
    by_edge = lt.Ising(graph, 0.3, coupling=by_class.coupling[0])
    x = torch.randint(0, 2, (4, 16), generator=torch.Generator().manual_seed(0)).to(torch.int8)
    assert torch.equal(by_edge.energy(x), by_class.energy(x))
    assert torch.equal(by_class.at(0.5).energy(x), by_class.energy(x))
    assert by_class.at(0.5).lattice == graph
    assert "Graph.with_neighbours((4, 4), classes=2)" in repr(by_class)
    assert "coupling=2" in repr(lt.Ising(graph, 0.3, coupling=2.0).at(0.1))


def test_a_field_has_a_value_per_site() -> None:
    graph = lt.Graph([(0, 1), (1, 2)])
    field = torch.tensor([0.5, 0.0, -1.0])
    model = lt.Ising(graph, 0.7, coupling=[1.0, -2.0], field=field)
    spins = 2.0 * states(3, 2).double() - 1.0
    energy = -spins[:, 0] * spins[:, 1] + 2.0 * spins[:, 1] * spins[:, 2] - spins @ field.double()
    torch.testing.assert_close(model.energy(states(3, 2)), energy)
    potts = lt.Potts(graph, q=3, beta=1.0, field=[0.0, 0.1, 0.2])
    assert potts.at(0.2).energy(states(3, 3)).shape == (27,)


def test_disorder_is_drawn_edge_by_edge() -> None:
    graph = lt.Graph.triangular((6, 6))
    glass = lt.EdwardsAnderson(graph, 1.0, disorder="pm1", seed=3)
    assert glass.coupling.shape == (1, 108)
    assert glass.coupling.abs().unique().tolist() == [1.0]
    # A sum of 108 signs beyond 4 sigma has a false-alarm rate of 6e-5; the seed is fixed.
    assert abs(float(glass.coupling.sum())) < 4.0 * 108**0.5
    other = lt.EdwardsAnderson(graph, 1.0, disorder="pm1", seed=4)
    assert not torch.equal(glass.coupling, other.coupling)


CHAINS = [(lt.HeatBath(), lt.Graph.complete(5)), (lt.Metropolis(), lt.Graph.triangular((3, 2)))]


@pytest.mark.parametrize(("move", "graph"), CHAINS, ids=repr)
def test_chains_have_the_energies_of_enumeration(move: Any, graph: lt.Graph) -> None:
    model = lt.Ising(graph, 0.2, field=0.1)
    every = states(graph.sites, 2)
    energy = model.energy(every)
    weights = (-0.2 * energy).softmax(0)
    chain = lt.run_chain(model, move, walkers=64, sweeps=120, thin=1, seed=0)
    found = chain.estimate("energy")
    exact = float((weights * energy).sum()) / graph.sites
    # 4 sigma of an error that is itself estimated: 1 in 10⁴ would fail; the seed is fixed.
    assert abs(found.value - exact) < 4.0 * found.error


def test_annealing_has_log_z_of_enumeration() -> None:
    graph = lt.Graph.triangular((3, 3))
    model = lt.Ising(graph, 0.3, coupling=-1.0)
    exact = float((-0.3 * model.energy(states(9, 2))).logsumexp(0))
    sampler = lt.Sampler(
        lt.AnnealingPath(model), None, integrator=lt.Jump(intervals=20), mcmc=lt.HeatBath(sweeps=1)
    )
    found = sampler.sample(1024, seed=0)
    # 4 sigma, as above.
    assert abs(found.log_z - exact) < 4.0 * found.log_z_error


def test_an_energy_of_ones_own_may_stand_on_a_graph() -> None:
    class Pairs:
        lattice, q, beta = lt.Graph.complete(4), 2, 0.5

        def energy(self, configurations: Tensor) -> Tensor:
            return -(configurations.double().sum(1) ** 2)

    chain = lt.run_chain(Pairs(), lt.HeatBath(), walkers=4, sweeps=10, seed=0)
    assert chain.configurations.shape[1:] == (4,)


def test_what_needs_directions_refuses_a_graph_by_name() -> None:
    message = "LEC needs a hypercubic lattice, and this model stands on a graph of 5 sites"
    with pytest.raises(ValueError, match=message):
        require_hypercubic(lt.Graph.complete(5), "LEC")
    require_hypercubic(lt.Lattice((3, 3)), "LEC")
