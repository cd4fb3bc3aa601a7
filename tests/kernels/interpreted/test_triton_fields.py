"""Kernels of real fields and of normal numbers against their twins."""

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import (
    DEVICE,
    SHAPES,
    on_device,
    recorded,
    require_kernels,
    restrided,
    silent,
)
from leaps_triton.kernels import reference
from leaps_triton.kernels.inputs.poison import poisoned
from leaps_triton.kernels.lattice_fields.cases import fields, of_potential
from leaps_triton.kernels.normal_numbers.cases import arguments

require_kernels()
kernel = importlib.import_module("leaps_triton.kernels.lattice_fields.triton")
numbers = importlib.import_module("leaps_triton.kernels.normal_numbers.triton")
pytestmark = silent


def assert_sums(found: Tensor, expected: Tensor, sites: int) -> None:
    """Equal to the rounding of a float64 sum whose terms are of order 10 and cancel."""
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-14, atol=1e-13 * sites)


def compare(given: dict[str, Any]) -> None:
    """Compare action and force: the force is that of the twin to the last bit."""
    sites = given["configurations"][:1].numel()
    expected = reference.action_and_force(**given)
    with poisoned():
        action, force = kernel.action_and_force(**on_device(given))
        alone = kernel.lattice_action(**on_device(given))
    assert_sums(action, expected.action, sites)
    assert torch.equal(action, alone)
    assert force.dtype == expected.force.dtype
    assert torch.equal(force.cpu(), expected.force)


def compare_potential(given: dict[str, Any]) -> None:
    potential = of_potential(given)
    with poisoned():
        found = kernel.site_potential(**on_device(potential))
    sites = given["configurations"][:1].numel()
    assert_sums(found, reference.site_potential(**potential), sites)


@pytest.mark.parametrize("key", list(kernel.ACTIONS))
def test_every_variant_of_the_action(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ndim, dtype, force = key
    given = fields(SHAPES[ndim][0], 3, dtype, own=force)
    compare(given)
    with recorded(kernel, monkeypatch) as run:
        if force:
            kernel.action_and_force(**on_device(given))
        else:
            kernel.lattice_action(**on_device(given))
    assert run == [kernel.VARIANTS[key]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_potentials(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(kernel, monkeypatch) as run:
        compare_potential(fields((5, 3), 3, dtype, own=True))
    assert run == [kernel.VARIANTS["potential", dtype]]
    compare_potential(fields((17, 19), 2, dtype))


@pytest.mark.parametrize("shape", [(1,), (2,), (300,), (2, 2), (17, 19), (2, 3, 4)])
def test_shapes(shape: tuple[int, ...]) -> None:
    for own in (False, True):
        compare(fields(shape, 2, own=own))
    compare(restrided(fields(shape, 3, torch.float64, own=True)))


def test_several_programs_a_walker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "CHUNK", 512)
    given = fields((23, 29), 2, own=True)
    compare(given)
    compare_potential(given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sites", [1, 4, 7, 600])
def test_normal_numbers_are_the_twins(
    dtype: torch.dtype, sites: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments(3, sites, dtype, seed=2**32 - 3)
    given["walker_index"] = torch.tensor([2**33 + 5, 0, 7])
    given["event"] = 2**31 + 1
    with recorded(numbers, monkeypatch) as run, poisoned():
        found = numbers.normals(**on_device(given))
    assert run == [numbers.VARIANTS[dtype,]]
    assert found.device.type == torch.device(DEVICE).type
    assert torch.equal(found.cpu(), reference.normals(**given))
