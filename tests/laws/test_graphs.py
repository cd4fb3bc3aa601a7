"""Laws of models on graphs: moves leave their law and reach all states, weights give log Z.

Statistical tests have fixed seeds; of sums of squares a threshold of five sigma is passed by chance
with a probability below 1e-4, of values one of 3.5 sigma with 5e-4.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import index_of, states
from leaps_triton import observables as obs

ASYMMETRIC = [[0.4, -0.2, 0.1], [0.7, 0.0, -0.5], [-0.3, 0.2, 0.6]]
"""A bond table that tells its two ends apart."""
WALKERS = 20000


def signs(graph: lt.Graph) -> Tensor:
    """Return couplings of both signs, one per edge."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(graph.bonds, generator=generator, dtype=torch.float64)


TRIANGULAR = lt.Graph.triangular((3, 3))
KAGOME = lt.Graph.kagome((1, 2), periodic=False)
COMPLETE = lt.Graph.complete(5)
BIPARTITE = lt.Graph.bipartite(3, 2)
MODELS: dict[str, Any] = {
    "triangular": lt.Ising(TRIANGULAR, 0.4, coupling=-1.0, field=0.2),
    "kagome": lt.Ising(KAGOME, 0.7, coupling=signs(KAGOME)),
    "complete": lt.Potts(COMPLETE, 3, 0.3, coupling=signs(COMPLETE)),
    "bipartite": lt.Clock(BIPARTITE, 3, 0.8, field=[0.2, 0.0, -0.1]),
    "asymmetric": lt.PairModel(BIPARTITE, 0.8, ASYMMETRIC, coupling=signs(BIPARTITE)),
    "asymmetric, complete": lt.PairModel(lt.Graph.complete(4), 0.8, ASYMMETRIC),
}
LOCAL = {
    "heat bath": lt.HeatBath(),
    "backward": lt.HeatBath(backward=True),
    "Metropolis": lt.Metropolis(),
}
REVERSIBLE = {
    "Swendsen-Wang": lt.SwendsenWang(),
    "Wolff": lt.Wolff(),
    "kinetic": lt.KineticMonteCarlo(0.3),
    "kinetic, Metropolis": lt.KineticMonteCarlo(0.3, reversible="metropolis"),
}
CASES = [
    (name, move)
    for name in MODELS
    for move in (*LOCAL, *REVERSIBLE)
    if not (name.startswith("asymmetric") and move in ("Swendsen-Wang", "Wolff"))
]


def stepped(model: Any, move: Any, x: Tensor, seed: int = 3) -> Tensor:
    """Return configurations after one step."""
    state = move.init(x, torch.arange(len(x)))
    return move.step(state, lt.AnnealingPath(model), 1.0, seed)[0].configurations


def excess(counts: Tensor, expected: Tensor) -> float:
    """Return by how many sigma the sum of squares exceeds what chance makes of it."""
    some = expected > 5.0
    squares = (counts[some] - expected[some]) ** 2 / expected[some]
    number = int(some.sum())
    return float((squares.sum() - number) / (2.0 * number) ** 0.5)


@pytest.mark.parametrize(("name", "move"), CASES)
def test_moves_leave_the_law(name: str, move: str) -> None:
    """Exact samples stay such; a reversible move goes there and back equally often."""
    model = MODELS[name]
    x = lt.exact.sample(model, WALKERS, seed=1)
    y = stepped(model, (LOCAL | REVERSIBLE)[move], x)
    law = lt.exact.enumerate_model(model).log_probabilities.exp()
    after = index_of(y, model.q)
    counts = torch.bincount(after, minlength=len(law)).double()
    assert excess(counts, WALKERS * law) < 5.0
    if move in REVERSIBLE:
        before = index_of(x, model.q)
        there = torch.bincount(before * len(law) + after, minlength=len(law) ** 2)
        there = there.view(len(law), len(law)).double()
        both = (there + there.T).triu(1)
        apart = (there - there.T).triu(1).square()
        some = both > 10.0
        squares = apart[some] / both[some]
        number = max(1, int(some.sum()))
        assert float(squares.sum() - number) < 5.0 * (2.0 * number) ** 0.5


@pytest.mark.parametrize("move", [*LOCAL, *REVERSIBLE])
@pytest.mark.parametrize("q", [2, 3])
def test_moves_reach_all_states(q: int, move: str) -> None:
    """At a small β nothing is rare: two steps from any state lead to any."""
    graph = lt.Graph([(0, 1), (1, 2), (2, 0), (2, 3)])
    model: Any = lt.Ising(graph, 0.1, field=0.1)
    if q == 3:
        model = lt.Potts(lt.Graph([(0, 1), (1, 2), (2, 0)]), 3, 0.1)
    x = states(model)
    chosen = (LOCAL | REVERSIBLE)[move]
    seen = torch.zeros(len(x), len(x), dtype=torch.bool)
    rows = torch.arange(len(x)).repeat_interleave(400)
    seen[rows, index_of(stepped(model, chosen, x[rows]), q)] = True
    steps = seen.float()
    for _ in range(4):
        steps = (steps @ steps > 0).float()
    assert bool((steps > 0).all())


@pytest.mark.parametrize("move", ["heat bath", "Metropolis", "Swendsen-Wang", "kinetic"])
def test_a_graph_of_high_degree(move: str) -> None:
    """Of 40 neighbours four are coupled: the law of those sites is that of a small graph."""
    wide = lt.Graph.complete(41)
    assert wide.wide
    coupled = wide.edges.max(1).values < 5
    coupling = torch.zeros(wide.bonds, dtype=torch.float64)
    coupling[coupled] = signs(COMPLETE)
    model = lt.Ising(wide, 0.5, coupling=coupling)
    small = lt.Ising(COMPLETE, 0.5, coupling=signs(COMPLETE))
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 2, (1000, 41), generator=generator, dtype=torch.int8)
    x[:, :5] = lt.exact.sample(small, 1000, seed=1)
    y = stepped(model, (LOCAL | REVERSIBLE)[move], x)
    law = lt.exact.enumerate_model(small).log_probabilities.exp()
    counts = torch.bincount(index_of(y[:, :5].contiguous(), 2), minlength=32).double()
    assert excess(counts, 1000 * law) < 5.0
    assert bool((x != y).any(0).all())


@pytest.mark.parametrize("move", [lt.HeatBath(), lt.Metropolis()], ids=["heat bath", "Metropolis"])
def test_walkers_do_not_depend_on_how_many_there_are(move: Any) -> None:
    """Many lie side by side on a CPU, more than there are sites in a block of one."""
    model = MODELS["complete"]
    x = states(model)[:200]
    indices = torch.arange(200)
    path = lt.AnnealingPath(model)
    whole = move.step(move.init(x, indices), path, 1.0, 3)[0].configurations
    for part in (slice(0, 40), slice(40, 120), slice(120, 200)):
        state = move.init(x[part], indices[part])
        assert torch.equal(move.step(state, path, 1.0, 3)[0].configurations, whole[part])


def test_houdayer_keeps_the_sum_of_energies() -> None:
    model = MODELS["kagome"]
    x = lt.exact.sample(model, 400, seed=2)
    y = stepped(model, lt.Houdayer(), x)
    before = model.energy(x).view(-1, 2).sum(1)
    torch.testing.assert_close(model.energy(y).view(-1, 2).sum(1), before)
    assert bool((x != y).any())


TABLE = {
    "triangular": (lt.Graph.triangular((12, 12)), 0.274653072, 1.0),
    "frustrated": (lt.Graph.triangular((12, 12)), 0.5, -1.0),
    "frustrated, cold": (lt.Graph.triangular((12, 12)), 1.0, -1.0),
    "honeycomb": (lt.Graph.honeycomb((8, 8)), 0.658478948, 1.0),
    "kagome": (lt.Graph.kagome((6, 6)), 0.466566145, 1.0),
}


@pytest.mark.parametrize("name", TABLE)
def test_chains_and_annealing_against_the_exact_tori(name: str) -> None:
    graph, beta, coupling = TABLE[name]
    model = lt.Ising(graph, beta, coupling=coupling)
    path = lt.AnnealingPath(model)
    # Blocks of their own are resampled, and the error is that of their spread.
    sampler = lt.Sampler(
        path, None, lt.Jump(intervals=60), lt.HeatBath(), resample_below=0.5, block=32
    )
    ensemble = sampler.sample(walkers=256, seed=0)
    assert abs(ensemble.log_z - lt.exact.log_z(model)) < 3.5 * ensemble.log_z_error
    chain = lt.run_chain(model, walkers=16, sweeps=400, burn_in=40, seed=0)
    energy = chain.estimate("energy")
    assert abs(energy.value - lt.exact.energy(model)) < 3.5 * energy.error


def test_tempering_on_a_graph() -> None:
    model = MODELS["kagome"]
    move = lt.ParallelTempering([0.3, 0.6, 1.0])
    chain = lt.run_chain(model, move, walkers=16, sweeps=200, burn_in=20, seed=0)
    energy = chain.estimate("energy")
    assert abs(energy.value - lt.exact.energy(model)) < 3.5 * energy.error


NETWORKS = {
    "LEM": lambda model: lt.LEM(model, channels=4, width=8),
    "LEA": lambda model: lt.LEA(model, channels=8, heads=2, width=16),
    "LETransformer": lambda model: lt.LETransformer(model, channels=8, heads=2, layers=1, width=16),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", ["triangular", "complete", "asymmetric"])
def test_networks_are_equivariant_and_their_weights_exact(name: str, network: str) -> None:
    """Without training, with frozen and with running weights."""
    model = MODELS[name]
    made = NETWORKS[network](model)
    path = lt.AnnealingPath(model)
    x = path.start.sample(torch.arange(6), seed=0)
    conditions = path.conditions(0.5)
    with torch.no_grad():
        rates = made(x, conditions)
        for site in range(model.lattice.sites):
            for k in range(1, model.q):
                y = x.clone()
                y[:, site] = (y[:, site] + k) % model.q
                back = made(y, conditions)[:, model.q - k - 1, site]
                assert torch.equal(back, -rates[:, k - 1, site])
    for weights in ("frozen", "running"):
        jump = lt.Jump(intervals=6, weights=weights)
        ensemble = lt.Sampler(path, made, jump, lt.HeatBath()).sample(256, seed=2)
        assert abs(ensemble.log_z - lt.exact.log_z(model)) < 3.5 * ensemble.log_z_error


@pytest.mark.parametrize("name", ["HollowConv", "LocalRates", "LEC", "SymmetricConv"])
def test_networks_of_directions_refuse_graphs(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} needs a hypercubic lattice.*graph of 9 sites"):
        getattr(lt, name)(MODELS["triangular"])


MODEL = MODELS["triangular"]
PATH = lt.AnnealingPath(MODEL)
NO_SHAPE: Any = TRIANGULAR
REFUSED = {
    "transfer matrix": lambda x: lt.exact.transfer_moments(MODEL),
    "correlation": lambda x: obs.correlation(x, MODEL),
    "structure factor": lambda x: obs.structure_factor(x, MODEL),
    "domains": lambda x: lt.Sampler(
        PATH, None, lt.Jump(intervals=4, reversible="barker", domain=3), block=4
    ).sample(4, seed=0),
    "linear response": lambda x: lt.linear_response(PATH, (x.view(1, 4, 9), torch.ones(1))),
    "fields": lambda x: lt.PhiFour(NO_SHAPE, mass_squared=-1.0, quartic=1.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_directions_refuses_graphs(name: str) -> None:
    x = lt.exact.sample(MODEL, 4)
    with pytest.raises(ValueError, match="hypercubic lattice, and this model stands on a graph"):
        REFUSED[name](x)


def test_what_serves_graphs_is_named() -> None:
    with pytest.raises(ValueError, match="correlation_by_distance and structure_factor_at serve"):
        obs.correlation(lt.exact.sample(MODEL, 4), MODEL)


def test_a_network_is_for_one_graph() -> None:
    other = lt.Ising(lt.Graph.complete(9), 0.3)
    with pytest.raises(ValueError, match="was made for"):
        lt.Sampler(lt.AnnealingPath(other), NETWORKS["LEM"](MODEL), lt.Jump(4))
