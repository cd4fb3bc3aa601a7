"""The kernel of energy and local_energy against its twin."""

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import (
    SHAPES,
    assert_as_near,
    on_device,
    recorded,
    require_kernels,
    restrided,
    silent,
)
from leaps_triton.kernels import reference
from leaps_triton.kernels.energies.cases import model

require_kernels()
kernel = importlib.import_module("leaps_triton.kernels.energies.triton")
pytestmark = silent


def assert_energies(found: Tensor, expected: Tensor, sites: int) -> None:
    """Equal to the rounding of a float64 sum whose terms are of order 1 and cancel."""
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-14, atol=1e-14 * sites)


def compare_sums(given: dict[str, Any]) -> None:
    given = {name: value for name, value in given.items() if name != "beta"}
    energy, counts = kernel.energy(**on_device(given))
    expected = reference.energy(**given)
    assert_energies(energy, expected.energy, given["configurations"][:1].numel())
    assert counts.dtype == torch.int64 and torch.equal(counts.cpu(), expected.counts)


def compare(given: dict[str, Any], dtype: torch.dtype) -> None:
    oracle = reference.local_energy(**given, dtype=torch.float64)
    same = reference.local_energy(**given, dtype=dtype)
    energy, log_ratios = kernel.local_energy(**on_device(given), dtype=dtype)
    assert_energies(energy, oracle.energy, given["configurations"][:1].numel())
    assert_as_near(log_ratios, same.log_ratios, oracle.log_ratios)


@pytest.mark.parametrize("key", list(kernel.VARIANTS))
def test_every_variant(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ndim, kind, dtype = key
    shape, periodic = SHAPES[ndim]
    given = model(
        shape, periodic, 3 if kind == "general" else 2, 3, "uniform" if "uniform" in kind else "own"
    )
    with recorded(kernel, monkeypatch) as run:
        if dtype is None:
            compare_sums(given)
        else:
            compare(given, dtype)
    assert run == [kernel.VARIANTS[key]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tables", ["own", "shared", "uniform", "partial"])
@pytest.mark.parametrize("q", [2, 3, 5])
@pytest.mark.parametrize(
    ("shape", "periodic"),
    [
        ((3,), (True,)),
        ((2,), (True,)),
        ((1,), (False,)),
        ((15, 4), (True, True)),
        ((1, 5), (False, True)),
        ((17, 19), (True, False)),
    ],
)
def test_shapes_and_tables(
    shape: tuple[int, ...], periodic: tuple[bool, ...], q: int, tables: str, dtype: torch.dtype
) -> None:
    for walkers in (1, 2):
        given = model(shape, periodic, q, walkers, tables, seed=walkers)
        compare(given, dtype)
        if dtype == torch.float64:
            compare_sums(given)


@pytest.mark.parametrize("q", [2, 3, 10])
def test_several_programs_a_walker(q: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "CHUNK", 512)
    given = model((23, 29), (True, False), q, 2)
    compare(given, torch.float32)
    compare_sums(given)


def test_as_many_states_as_there_may_be() -> None:
    compare_sums(model((7, 45), (True, False), 127, 3, "shared"))


def test_strided_inputs() -> None:
    given = model((3, 5), (True, True), 2, 2)
    given["configurations"] = given["configurations"].mT.contiguous().mT
    given["coupling"] = given["coupling"].mT.contiguous().mT
    given["bond_table"] = given["bond_table"].T
    compare(given, torch.float32)
    compare_sums(given)


def test_no_walkers() -> None:
    given = model((3, 5), (True, True), 3, 0)
    energy, log_ratios = kernel.local_energy(**on_device(given), dtype=torch.float32)
    assert energy.shape == (0,) and log_ratios.shape == (0, 2, 3, 5)
    compare_sums(given)


@pytest.mark.parametrize(("q", "tables"), [(3, "own"), (2, "directions")])
def test_strides_and_couplings_of_directions(q: int, tables: str) -> None:
    given = restrided(model((3, 4), (True, False), q, 2, tables, seed=3))
    compare(given, torch.float64)
    compare_sums(given)
