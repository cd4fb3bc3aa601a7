"""Labels and cluster updates of a CPU: those of the twins, bit for bit, on every kind of model."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("numba")

import leaps_triton as lt
from leaps_triton import kernels
from leaps_triton.kernels import reference
from leaps_triton.kernels.clusters import cpu
from leaps_triton.kernels.clusters.cases import symmetric
from leaps_triton.kernels.clusters.reference import Clusters

SHAPES = {
    (1,): (True,),
    (2,): (True,),
    (3,): (False,),
    (67,): (True,),
    (1, 1): (True, True),
    (2, 2): (True, True),
    (1, 5): (True, False),
    (6, 1): (True, True),
    (9, 7): (False, True),
    (17, 19): (True, True),
    (3, 2, 5): (True, True, False),
    (4, 1, 3): (False, True, True),
    (6, 6, 6): (True, True, True),
    (2, 3, 1, 3): (True, False, True, True),
    (4, 3, 3, 2): (True, True, True, True),
}
KINDS = ("uniform", "axes", "antiferromagnet", "signs", "normal", "walkers")
FIELDS = ("", "uniform", "sites")
STATES = ((2, False), (3, False), (4, True), (5, True))
OPS = ("swendsen_wang_sweeps", "wolff_sweeps")


def compare(op: str, given: dict[str, Any]) -> None:
    before = given["configurations"].clone()
    found = getattr(kernels, op)(**given)
    expected = getattr(reference, op)(**given)
    for name, one, other in zip(found._fields, found, expected, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other), name
    assert torch.equal(given["configurations"], before)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_labels_are_the_twins(shape: tuple[int, ...], share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    for walkers in (0, 1, 4):
        bonds = torch.rand(walkers, len(shape), *shape, generator=generator) < share
        assert torch.equal(kernels.cluster_labels(bonds), reference.cluster_labels(bonds))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("shape", list(SHAPES))
def test_updates_are_the_twins(shape: tuple[int, ...], op: str) -> None:
    """All kinds of couplings and states, fields in turn, an inverse temperature per walker."""
    turn = len(shape) + max(shape)
    for number, (kind, (q, reflection)) in enumerate(itertools.product(KINDS, STATES)):
        # Seven is coprime to three: each kind and each number of states meets every field.
        field = FIELDS[(turn + number + number // 7) % 3]
        given = symmetric(shape, SHAPES[shape], 3, q, reflection, kind, field)
        if op == "wolff_sweeps":
            given["rest"] = 0.25
        compare(op, given)


@pytest.mark.parametrize("op", OPS)
def test_one_temperature_and_many_sweeps(op: str) -> None:
    given = symmetric((16, 16), (True, True), 5)
    given |= {"beta": torch.tensor([0.44], dtype=torch.float64), "sweeps": 40}
    compare(op, given)
    compare(op, given | {"configurations": given["configurations"].transpose(1, 2)})
    compare(op, given | {"configurations": given["configurations"][:0], "walkers": torch.arange(0)})


@pytest.mark.parametrize("op", OPS)
def test_extreme_gains(op: str) -> None:
    """Probabilities to join of 0 and 1, gains beyond float32, and no gain at all."""
    for scale in (0.0, 1e-30, 50.0, 1e5, 1e37):
        given = symmetric((5, 4), (True, False), 3, kind="normal", field="sites")
        given["beta"] = torch.tensor([scale], dtype=torch.float64)
        compare(op, given)
        compare(op, given | {"coupling": torch.ones(1, 1, 1, 1, dtype=torch.float64)})


@pytest.mark.parametrize("op", OPS)
def test_tables_that_are_symmetric_to_rounding_only(op: str) -> None:
    """Each bond keeps its own orientation: φ(R x_i, x_j) is not φ(x_i, R x_j) to the last bit."""
    given = symmetric((6, 5), (True, True), 4, q=3, kind="signs")
    table = given["bond_table"].clone()
    table[0, 1] += 3e-7
    table[2, 2] -= 3e-7
    compare(op, given | {"bond_table": table})
    two = symmetric((6, 5), (True, True), 4, kind="axes")
    table = two["bond_table"].clone()
    table[0, 1] += 3e-7
    compare(op, two | {"bond_table": table})


@pytest.mark.parametrize("op", OPS)
def test_threads_change_nothing(op: str) -> None:
    given = symmetric((64, 64), (True, True), 5, kind="signs", field="sites")
    given["sweeps"] = 4
    before = torch.get_num_threads()
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(getattr(kernels, op)(**given))
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def updated(op: str, model: Any, walkers: int, sweeps: int) -> tuple[Any, Any]:
    path = lt.AnnealingPath(model)
    index = torch.arange(walkers)
    tables = model.tables(torch.device("cpu"))
    given = Clusters(
        path.start.sample(index, seed=1), tables.coupling, tables.bond_table, tables.site_table,
        path.beta(1.0), model.lattice.periodic, model.symmetry == "reflection", index, 0, sweeps, 2,
    )  # fmt: skip
    twin = getattr(reference, op)(*given)
    return getattr(cpu, op)(given), twin


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    "model",
    [
        lt.Ising((64, 64), beta=0.4407),
        lt.Ising((12, 12, 12), beta=0.2217),
        lt.Potts((20, 20), q=3, beta=1.005),
        lt.Potts((10, 10), q=10, beta=1.42, field=[0.01] + [0.0] * 9),
        lt.EdwardsAnderson((24, 24), beta=1.0, seed=0),
        lt.Clock((16, 16), q=6, beta=0.9),
    ],
    ids=repr,
)
def test_models_of_the_library_over_many_sweeps(model: Any, op: str) -> None:
    found, twin = updated(op, model, 3, 12)
    for one, other in zip(found, twin, strict=True):
        assert torch.equal(one, other)


def test_labels_of_bonds_that_are_not_contiguous() -> None:
    bonds = torch.rand(3, 2, 5, 4, generator=torch.Generator().manual_seed(1)) < 0.5
    turned: Tensor = bonds.transpose(2, 3)
    assert torch.equal(kernels.cluster_labels(turned), reference.cluster_labels(turned))
