"""Models on graphs in files: samplers, chains and weighted walkers come back as they were."""

import copy
from pathlib import Path

import pytest
import torch

import leaps_triton as lt
from leaps_triton.io import parts
from leaps_triton.io.packing import differences

GRAPHS = [
    lt.Graph.triangular((3, 3)),
    lt.Graph.with_neighbours((4, 2), [[(1, 0), (0, 1)], [(1, 1)]]),
    lt.Graph([(0, 1), (2, 1), (3, 0)], sites=5, colours=[0, 1, 2, 1, 0]),
]


def sampler_of(model: lt.PairModel) -> lt.Sampler:
    integrator = lt.Jump(intervals=3)
    return lt.Sampler(lt.AnnealingPath(model), None, integrator, mcmc=lt.HeatBath(sweeps=1))


@pytest.mark.parametrize("graph", GRAPHS, ids=repr)
def test_a_sampler_on_a_graph_comes_back(graph: lt.Graph, tmp_path: Path) -> None:
    disordered = lt.EdwardsAnderson(graph, 0.4, disorder="gaussian", field=0.1)
    for model in (lt.Potts(graph, q=3, beta=0.3), disordered):
        sampler = sampler_of(model)
        lt.save(sampler, tmp_path / "sampler.safetensors")
        found = lt.load(tmp_path / "sampler.safetensors")
        again = found.path.model.lattice
        assert again == graph
        assert again.origin == graph.origin
        assert repr(found.path.model) == repr(model)
        expected = sampler.sample(8, seed=1)
        assert torch.equal(found.sample(8, seed=1).log_weights, expected.log_weights)


def test_words_of_other_versions_are_no_difference() -> None:
    """How neighbours are summed is told in a file, and follows from its graph."""
    rbm = lt.RBM(torch.ones(40, 36))
    now = parts.describe_model(rbm)
    assert now.manifest["graph"]["neighbours"] == rbm.interactions.rule
    assert rbm.interactions.rule.startswith("energies, log-ratios and heat bath layer by layer")
    before = copy.deepcopy(now.manifest)
    before["graph"]["neighbours"] = "by matrix product"
    old = now._replace(manifest={"model": before})
    new = now._replace(manifest={"model": now.manifest})
    assert differences(old, new) == []
    before["graph"]["degree"] = 7
    assert differences(old, new) == ["model.graph.degree 7 (now 40)"]


def test_a_chain_on_a_graph_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    model = lt.Ising(lt.Graph.kagome((2, 2)), 0.3, coupling=[1.0, 0.5, -0.5])
    found = []
    for name, lengths in (("whole.h5", [12]), ("parts.h5", [6, 12])):
        for sweeps in lengths:
            run = lt.io.run_chain(
                model,
                lt.HeatBath(),
                4,
                sweeps,
                tmp_path / name,
                thin=1,
                burn_in=0,
                configurations=True,
                resume=True,
            )
        found.append(run)
    whole, parts = found
    assert parts.model.lattice == model.lattice
    assert torch.equal(parts.model.coupling, model.coupling)
    assert torch.equal(parts.configurations, whole.configurations)
