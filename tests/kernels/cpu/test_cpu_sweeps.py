"""CPU kernels of sweeps: the configurations of the twins, bit for bit, and which loops run."""

from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("numba")

import leaps_triton as lt
from leaps_triton import kernels
from leaps_triton.kernels import reference
from leaps_triton.kernels.energies.cases import model
from leaps_triton.kernels.site_sweeps import cpu, cpu_tables
from leaps_triton.kernels.site_sweeps.cases import sweep
from leaps_triton.kernels.site_sweeps.reference import Sweeps

FLOAT64 = torch.float64
OPS = ("heat_bath", "metropolis", "overrelaxation")
TABLES = ("own", "shared", "uniform", "directions", "partial")
SHAPES = [
    ((1,), (True,)),
    ((2,), (True,)),
    ((7,), (False,)),
    ((1, 4), (True, True)),
    ((3, 5), (True, True)),
    ((4, 4), (False, False)),
    ((3, 4, 5), (False, True, False)),
    ((2, 3, 2, 1), (True, False, False, True)),
]


def compare(op: str, given: dict[str, Any]) -> Tensor:
    before = given["configurations"].clone()
    found: Tensor = getattr(kernels, f"{op}_sweeps")(**given)
    assert torch.equal(given["configurations"], before)
    assert torch.equal(found, getattr(reference, f"{op}_sweeps")(**given))
    return found


@pytest.mark.parametrize(("shape", "periodic"), SHAPES)
@pytest.mark.parametrize("q", [2, 3, 5])
def test_any_tables_and_shapes(shape: tuple[int, ...], periodic: tuple[bool, ...], q: int) -> None:
    for seed, tables in enumerate(TABLES):
        given = sweep(model(shape, periodic, q, 3, tables, seed=7 * seed), 2)
        back = given | {"colours": given["num_colours"] - 1 - given["colours"]}
        for op in OPS:
            compare(op, given)
        compare("heat_bath", back)
        compare("metropolis", back | {"rest": 0.125})


def arguments(made: Any, walkers: int, beta: Any, sweeps: int = 3, seed: int = 0) -> dict[str, Any]:
    """The arguments of sweeps of a pair model, from random configurations."""
    index = torch.arange(walkers)
    return {
        "configurations": lt.AnnealingPath(made).start.sample(index, seed=seed),
        "coupling": made.coupling.unsqueeze(0),
        "bond_table": made.bond_table,
        "site_table": made.site_table.unsqueeze(0),
        "beta": torch.as_tensor(beta, dtype=FLOAT64).view(-1),
        "periodic": made.lattice.periodic,
        "colours": made.lattice.colours(),
        "num_colours": made.lattice.num_colours,
        "walkers": index * 7 + 2**31 - 8,
        "first_sweep": 2**31 - 2,
        "sweeps": sweeps,
        "seed": 2**32 - 9,
    }


SIGNS = torch.tensor([[[2.0, -1.0, 0.0, 1.0], [1.0, 1.0, -2.0, 1.0]]] * 2, dtype=FLOAT64)
FEW: list[Any] = [
    lt.Ising((8,), 1.0),
    lt.Ising((6,), 1.0, periodic=False, field=0.3),
    lt.Ising((2, 2), 1.0, field=-0.2),
    lt.Ising((4, 6), 1.0, coupling=0.3),
    lt.Ising((6, 10), 1.0, field=0.3, periodic=(True, False)),
    lt.Ising((5, 4), 1.0, coupling=-2.0, periodic=(False, True)),
    lt.Ising((4, 5), 1.0, periodic=(True, False)),
    lt.Ising((34, 66), 1.0, coupling=-0.7, field=0.1),
    lt.Ising((32, 32), 1.0),
    lt.Ising((4, 6, 2), 1.0, coupling=[1.0, 2.0, 3.0]),
    lt.Ising((2, 3, 4), 1.0, periodic=(True, False, True), field=0.5),
    lt.Ising((2, 2, 4, 2), 1.0),
    lt.Ising((2, 4), 1.0, coupling=SIGNS[:, :2]),
    lt.Ising((4, 4), 1.0, coupling=0.0, field=0.4),
    lt.EdwardsAnderson((8, 6), 1.0, disorder="pm1", seed=1),
    lt.EdwardsAnderson((3, 4, 4), 1.0, disorder="pm1", seed=1, periodic=(False, True, True)),
    lt.Potts((4, 4), q=2, beta=1.0),
]
PER_WALKER = [0.44, -0.5, 2.0, 0.0, 1e4, -1e4, 0.1]


@pytest.mark.parametrize("made", FEW, ids=str)
def test_models_with_few_local_fields(made: Any) -> None:
    """They go through loops over bytes; with each walker's own β, and with one for all."""
    for beta, walkers, sweeps in ((0.44, 5, 2), (PER_WALKER, 7, 12)):
        given = arguments(made, walkers, beta, sweeps)
        assert cpu_tables.plan_of(Sweeps(**given)) is not None
        back = given | {"colours": 1 - given["colours"]}
        for order in (given, back):
            compare("heat_bath", order)
            for rest in (0.0, 0.125):
                compare("metropolis", order | {"rest": rest})


@pytest.mark.parametrize("made", [lt.Ising((8, 8), 1.0, 0.3), lt.Ising((40, 34), 1.0, 0.7, 0.1)])
def test_where_rounding_decides_a_site_asks_its_neighbours(made: Any) -> None:
    """At a huge β fields that differ in their last bit have thresholds far apart."""
    for beta in (1e6, -3e6, 3e7):
        given = arguments(made, 40, beta, sweeps=2)
        # Walkers side by side, then one by one.
        for chosen in (given, given | {"beta": given["beta"].expand(40).contiguous()}):
            compare("heat_bath", chosen)
            compare("metropolis", chosen | {"rest": 0.5})


@pytest.mark.parametrize(
    "made",
    [
        lt.Ising((3, 3), 1.0),
        lt.Ising((4, 4), 1.0, coupling=[1.0, 0.61]),
        lt.Ising((4, 4), 1.0, coupling=40.0 * SIGNS.view(2, 4, 2).repeat(1, 1, 2) + 1.0),
        lt.Ising((4, 4), 1.0, field=torch.linspace(0.0, 1.0, 16).view(4, 4)),
        lt.EdwardsAnderson((4, 4), 1.0, disorder="gaussian", seed=1),
        lt.PairModel((4, 4), 1.0, [[1.0, 0.0], [0.0, 2.0]], [0.1, 0.2]),
        lt.Potts((4, 4), q=3, beta=1.0),
    ],
    ids=str,
)
def test_other_models_are_swept_site_by_site(made: Any) -> None:
    given = arguments(made, 4, 0.7, sweeps=20)
    assert cpu_tables.plan_of(Sweeps(**given)) is None
    for op in ("heat_bath", "metropolis"):
        compare(op, given)


def test_changed_couplings_are_seen() -> None:
    """What is kept of a model is compared with it, bit by bit."""
    given = arguments(lt.Ising((4, 6), 1.0, coupling=torch.ones(2, 4, 6)), 3, 0.5, sweeps=9)
    first = compare("heat_bath", given)
    given["coupling"].numpy()[0, 0, 1, 2] = -1.0
    assert not torch.equal(compare("heat_bath", given), first)
    given["colours"] = 1 - given["colours"]
    compare("heat_bath", given)


def test_strides_sites_of_no_colour_and_nothing_to_do() -> None:
    for made in (lt.Ising((4, 6), 1.0), lt.Clock((4, 6), 5, 1.0)):
        given = arguments(made, 6, 0.5)
        strided = given["configurations"].transpose(1, 2).contiguous().transpose(1, 2)
        none = torch.full((4, 6), -1)
        none[1, 2] = 0
        for op in OPS:
            compare(op, given | {"configurations": strided})
            compare(op, given | {"colours": none + 256 * (none < 0), "num_colours": 1})
            compare(op, given | {"sweeps": 0})
            for name in ("configurations", "walkers"):
                given = given | {name: given[name][:0]}
            assert getattr(kernels, f"{op}_sweeps")(**given).shape == (0, 4, 6)
            given = arguments(made, 6, 0.5)


def test_threads_change_nothing() -> None:
    threads = torch.get_num_threads()
    for made in (lt.Ising((32, 32), 1.0), lt.Potts((32, 32), q=3, beta=1.0)):
        given = Sweeps(**arguments(made, 30, 0.4, sweeps=4))
        found = []
        for number in (1, 3):
            torch.set_num_threads(number)
            own = given._replace(configurations=given.configurations.clone())
            found.append(cpu.metropolis_sweeps(own))
        torch.set_num_threads(threads)
        assert torch.equal(*found)
