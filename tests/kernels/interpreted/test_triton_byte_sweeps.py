"""Sweeps of two states, eight sites a word: the configurations of the twins to the last bit."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import on_device, recorded, require_kernels, restrided, silent
from leaps_triton.kernels import reference
from leaps_triton.kernels.byte_sweeps.tiling import GROUP, tiling
from leaps_triton.kernels.energies.cases import model
from leaps_triton.kernels.inputs.random import integers, normal
from leaps_triton.kernels.site_sweeps.cases import sweep
from leaps_triton.kernels.site_sweeps.reference import Sweeps, heat_bath_probabilities

require_kernels()
from leaps_triton.kernels.byte_sweeps import triton as kernel  # noqa: E402
from leaps_triton.kernels.site_sweeps import triton as sites  # noqa: E402

pytestmark = silent
ops = pytest.mark.parametrize("op", list(kernel.OPS))

SHAPES = {
    (2, 32): (4, 16),
    (2, 128): (6, 48),
    (2, 512): (10, 112),
    (2, 1024): (26, 160),
    (3, 32): (2, 4, 16),
    (3, 128): (4, 6, 16),
    (3, 512): (6, 4, 48),
    (3, 1024): (10, 6, 80),
}
"""By directions and block: lattices that the block holds, and no smaller one."""


def arguments(shape: tuple[int, ...], walkers: int = 2, sweeps: int = 2) -> dict[str, Any]:
    return sweep(model(shape, (True,) * len(shape), 2, walkers, "uniform"), sweeps)


def run(op: str, given: dict[str, Any]) -> Tensor:
    record = Sweeps(**on_device(given))
    assert kernel.fits(op, record)
    found: Tensor = getattr(sites, f"{op}_sweeps")(record).cpu()
    return found


def compare(op: str, given: dict[str, Any]) -> None:
    before = given["configurations"].clone()
    found = run(op, given)
    assert torch.equal(given["configurations"], before)
    assert found.dtype == torch.int8 and not torch.equal(found, before)
    assert torch.equal(found, getattr(reference, f"{op}_sweeps")(**given))


@pytest.mark.parametrize("key", list(kernel.SWEEPS))
def test_every_variant(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    op, ndim, _, block = key
    with recorded(kernel, monkeypatch) as launched:
        compare(op, arguments(SHAPES[ndim, block]))
    assert launched == [kernel.THRESHOLDS[op, ndim, "thresholds"], kernel.SWEEPS[key]]


@ops
@pytest.mark.parametrize("shape", [(2, 8), (8, 24), (4, 2, 16)])
def test_tables_of_walkers_and_directions(op: str, shape: tuple[int, ...]) -> None:
    """Couplings, fields and β of each walker, and of all, in both orders of the colours."""
    ones = (1,) * len(shape)
    given = arguments(shape, walkers=3)
    if op == "metropolis":
        given["rest"] = 2.0**-3
    given["beta"] = normal(3, seed=2)
    compare(op, restrided(given))
    given["beta"] = normal(1, seed=2)
    given["coupling"] = normal(3, len(shape), *ones, seed=1)
    given["site_table"] = normal(3, 2, *ones, seed=3)
    given["colours"] = 1 - given["colours"]
    compare(op, given)


@ops
@pytest.mark.parametrize(
    ("shape", "sweeps"),
    [((66, 128), 2), ((2, 8800), 1), ((1100, 8), 6), ((40, 320), 1)],
)
def test_tiles(
    op: str, shape: tuple[int, ...], sweeps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, columns or both are cut, and the last launch may have fewer sweeps than others."""
    given = arguments(shape, walkers=1, sweeps=sweeps)
    with recorded(kernel, monkeypatch) as launched:
        compare(op, given)
    made = tiling(shape, 1024, sweeps, 4)
    assert torch.Size(made.tiles).numel() > 1
    assert len(launched) == 1 + -(-sweeps // made.sweeps)


@ops
def test_large_lattices_of_three_directions(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launch for a colour of a sweep, between those that make words and bytes."""
    given = arguments((18, 16, 32), walkers=2)
    given["beta"] = normal(2, seed=3)
    with recorded(kernel, monkeypatch) as launched:
        compare(op, given)
    colour = kernel.COLOURS[op, 3, "colours"]
    ends = [kernel.CHANGES["words",], kernel.CHANGES["bytes",]]
    assert launched[1:] == [ends[0], *[colour] * 4, ends[1]]


@pytest.mark.parametrize(
    ("shape", "block"),
    [((64, 64), 256), ((2, 800), 32), ((300, 8), 128), ((90, 720), 1024)],
)
@pytest.mark.parametrize("sweeps", [1, 2, 4])
def test_every_group_belongs_to_one_tile(shape: tuple[int, ...], block: int, sweeps: int) -> None:
    made = tiling(shape, block, sweeps, 4)
    lattice = (*shape[:-1], shape[-1] // GROUP)
    assert made.lattice == lattice and made.sweeps <= sweeps
    assert torch.Size(made.shape).numel() <= block < torch.Size(lattice).numel()
    for axis, length in enumerate(lattice):
        inner = made.shape[axis] - 2 * made.halo[axis]
        assert inner > 0 and (made.tiles[axis] - 1) * inner < length <= made.tiles[axis] * inner
        # Sites go wrong one by one with every colour, where a tile ends within the lattice.
        width = GROUP if axis == len(lattice) - 1 else 1
        assert made.shape[axis] == length or width * made.halo[axis] >= 2 * made.sweeps


def surrounded(number: Tensor) -> Tensor:
    """Lattices of 4 × 8 sites whose site (1, 1) has the neighbours of a number."""
    x = torch.zeros(len(number), 4, 8, dtype=torch.int8)
    for bit, place in enumerate([(2, 1), (0, 1), (1, 2), (1, 0), (1, 1)]):
        x[:, place[0], place[1]] = number >> bit & 1
    return x


@ops
def test_thresholds_are_the_numbers_of_the_twin(op: str) -> None:
    """For strong, weak and no couplings: how many of the 2²³ numbers lie below the twin's p."""
    tables = 80
    numbers = 32 if op == "metropolis" else 16
    x = surrounded(torch.arange(numbers).repeat(tables))
    given = sweep(model((4, 8), (True, True), 2, 1, "uniform"), 1)
    given |= {
        "configurations": integers(2, tables, 4, 8, seed=0),
        "coupling": normal(tables, 2, 1, 1, seed=1),
        "site_table": normal(tables, 2, 1, 1, seed=2),
        "beta": normal(tables, seed=3) * 10.0 ** torch.arange(-4, 4).repeat(tables // 8),
        "rest": 2.0**-2 if op == "metropolis" else 0.0,
    }
    found = -kernel.thresholds(op, Sweeps(**on_device(given))).cpu()
    every = {
        name: given[name].repeat_interleave(numbers, 0)
        for name in ("coupling", "site_table", "beta")
    }
    twin = Sweeps(**(given | every | {"configurations": x}))
    fields = twin.fields(x)
    if op == "heat_bath":
        probability = heat_bath_probabilities(fields, twin.beta)[:, 0]
    else:
        change = twin.beta.float().view(-1, 1, 1) * (fields[:, 1] - fields[:, 0])
        change = torch.where(x == 0, change, -change)
        probability = (1.0 - twin.rest) * reference.metropolis_acceptance(change)
    below = torch.ceil(probability[:, 1, 1].double() * 2**23 - 0.5)
    assert torch.equal(found.flatten().double(), below)
    # Both ends are met, and what lies between.
    assert below.min() == 0 and below.unique().numel() > 300
    assert below.max() == 2**23 * (1.0 - twin.rest)


@ops
def test_numbers_that_are_none(op: str) -> None:
    """Infinite fields and their differences: the twin draws state 0, or moves no site."""
    given = arguments((4, 16), walkers=4)
    given["beta"] = torch.tensor([1e3, -1e3, torch.inf, torch.nan], dtype=torch.float64)
    compare(op, given)


@ops
def test_no_sweep_no_walkers_and_odd_places_in_memory(op: str) -> None:
    given = arguments((4, 16), sweeps=0)
    assert torch.equal(run(op, given), given["configurations"])
    assert run(op, arguments((4, 16), walkers=0)).shape == (0, 4, 16)
    given = arguments((4, 16))
    room = torch.zeros(3 + given["configurations"].numel(), dtype=torch.int8)
    room[3:] = given["configurations"].flatten()
    given["configurations"] = room[3:].view(2, 4, 16)
    compare(op, given)
    long = given | {"colours": given["colours"].long(), "sweeps": 1}
    compare(op, long)


@pytest.mark.parametrize(
    ("shape", "periodic", "q", "tables"),
    [
        ((4, 12), (True, True), 2, "uniform"),
        ((3, 8), (True, True), 2, "uniform"),
        ((4, 8), (False, True), 2, "uniform"),
        ((4, 8), (True, True), 3, "uniform"),
        ((4, 8), (True, True), 2, "shared"),
        ((16,), (True,), 2, "uniform"),
        ((2, 2, 2, 8), (True,) * 4, 2, "uniform"),
    ],
)
def test_other_models_and_lattices_go_elsewhere(
    shape: tuple[int, ...], periodic: tuple[bool, ...], q: int, tables: str
) -> None:
    given = Sweeps(**sweep(model(shape, periodic, q, 1, tables), 1))
    assert not kernel.fits("heat_bath", given)


def test_reflections_go_elsewhere() -> None:
    assert not kernel.fits("overrelaxation", Sweeps(**arguments((4, 8))))
