"""Clusters of graphs: those of lattices bit for bit, and of a CPU those of the twins."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("numba")

from leaps_triton import kernels
from leaps_triton.kernels import reference
from leaps_triton.kernels.clusters.cases import symmetric
from leaps_triton.kernels.graph_clusters.cases import edges_of, on_edges

KINDS = ("uniform", "axes", "antiferromagnet", "signs", "normal")
FIELDS = ("", "uniform", "sites")
STATES = ((2, False), (3, False), (4, True))
OPS = ("swendsen_wang_sweeps", "wolff_sweeps")
EDGES = torch.tensor([[0, 1], [4, 1], [2, 4], [5, 3], [0, 2], [5, 6], [6, 3], [1, 2]]).int()
"""Two parts and a site alone, edges of either direction."""


def same(found: Any, expected: Any) -> None:
    for name, one, other in zip(found._fields, found, expected, strict=True):
        assert one.dtype == other.dtype and torch.equal(one.flatten(), other.flatten()), name


def irregular(kind: str, q: int, reflection: bool, field: str) -> dict[str, Any]:
    """Return arguments on :data:`EDGES` in eight sites."""
    given = on_edges(symmetric((8,), (True,), 5, q, reflection, kind, field))
    return given | {"edges": EDGES}


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("shape", [(2,), (7,), (2, 2), (6, 5), (16, 20), (3, 2, 5), (3, 3, 2, 3)])
def test_periodic_lattices_are_graphs(shape: tuple[int, ...], op: str) -> None:
    """The op of lattices and that of their edges give the same walkers, twins and CPU kernels."""
    turn = len(shape) + max(shape)
    for number, (kind, (q, reflection)) in enumerate(itertools.product(KINDS, STATES)):
        field = FIELDS[(turn + number + number // 3) % 3]
        given = symmetric(shape, (True,) * len(shape), 3, q, reflection, kind, field)
        if op == "wolff_sweeps":
            given["rest"] = 0.25
        expected = getattr(kernels, op)(**given)
        as_graph = on_edges(given)
        same(getattr(kernels, f"graph_{op}")(**as_graph), expected)
        same(getattr(reference, f"graph_{op}")(**as_graph), expected)


@pytest.mark.parametrize("op", OPS)
def test_a_graph_of_several_parts(op: str) -> None:
    for kind, (q, reflection), field in itertools.product(KINDS, STATES, FIELDS):
        given = irregular(kind, q, reflection, field) | {"sweeps": 9}
        before = given["configurations"].clone()
        found = getattr(kernels, f"graph_{op}")(**given)
        same(found, getattr(reference, f"graph_{op}")(**given))
        assert torch.equal(given["configurations"], before)
        assert bool((found.changed > 0).any())


def by_search(joined: Tensor, edges: Tensor, sites: int) -> list[int]:
    """Return the least site that each can reach, found by walking from each in turn."""
    near: list[list[int]] = [[] for _ in range(sites)]
    for bond, (i, j) in enumerate(edges.tolist()):
        if bool(joined[bond]):
            near[i].append(j)
            near[j].append(i)
    label = [-1] * sites
    for start in range(sites):
        heap = [start]
        while heap:
            site = heap.pop()
            if label[site] < 0:
                label[site] = start
                heap += near[site]
    return label


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_labels(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, 40, (60, 2), generator=generator).int()
    edges = edges[edges[:, 0] != edges[:, 1]]
    joined = torch.rand(4, len(edges), generator=generator) < share
    found = kernels.graph_cluster_labels(joined, edges, 40)
    assert found.tolist() == [by_search(row, edges, 40) for row in joined]
    assert torch.equal(found, reference.graph_cluster_labels(joined, edges, 40))
    assert kernels.graph_cluster_labels(joined[:0], edges, 40).shape == (0, 40)
    assert kernels.graph_cluster_labels(joined[:, :0], edges[:0], 3).tolist() == [[0, 1, 2]] * 4


def test_what_is_refused() -> None:
    given = irregular("uniform", 2, False, "")
    for name, value in {
        "edges": EDGES.long(),
        "coupling": given["coupling"].expand(5, -1),
        "configurations": given["configurations"].view(5, 2, 4),
        "site_table": torch.zeros(1, 3, 1, dtype=torch.float64),
        "beta": given["beta"].float(),
        "bond_table": torch.tensor(1.0),
    }.items():
        with pytest.raises(ValueError, match=name):
            kernels.graph_swendsen_wang_sweeps(**given | {name: value})
    with pytest.raises(ValueError, match=r"edges must have shape \(7, 2\)"):
        kernels.graph_swendsen_wang_sweeps(**given | {"coupling": given["coupling"][:-1]})
    with pytest.raises(ValueError, match="sites 0 to 7"):
        kernels.graph_wolff_sweeps(**given | {"edges": EDGES + 2})
    with pytest.raises(ValueError, match="rest"):
        kernels.graph_wolff_sweeps(**given, rest=0.3)
    with pytest.raises(ValueError, match=r"edges must have shape \(3, 2\)"):
        kernels.graph_cluster_labels(torch.zeros(1, 3, dtype=torch.bool), edges_of((2, 2)), 4)
    with pytest.raises(ValueError, match="joined must be bool"):
        kernels.graph_cluster_labels(torch.zeros(1, 8), edges_of((2, 2)), 4)
