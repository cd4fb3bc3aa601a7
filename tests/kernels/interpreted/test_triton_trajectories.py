"""The kernel of trajectories against its twin, in float32 sums of another order."""

import importlib
from typing import Any

import pytest
import torch

from kernel_tools import on_device, recorded, require_kernels, silent
from leaps_triton.kernels import reference
from leaps_triton.kernels.inputs.poison import poisoned
from leaps_triton.kernels.trajectories.cases import arguments

require_kernels()
kernel = importlib.import_module("leaps_triton.kernels.trajectories.triton")
pytestmark = silent

SHAPES = {16: (3, 4), 64: (7, 8), 128: (11, 11), 256: (12, 12)}


def compare(given: dict[str, Any]) -> None:
    expected = reference.quartic_trajectories(**given)
    with poisoned():
        made = kernel.quartic_trajectories(**on_device(given))
    fields, accepted, acceptance, error = (part.cpu() for part in made)
    # Decisions are the same: none of these is within rounding of the edge.
    assert torch.equal(accepted, expected.accepted)
    torch.testing.assert_close(fields, expected.configurations, rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(acceptance, expected.acceptance, rtol=0.0, atol=2e-4)
    torch.testing.assert_close(error, expected.energy_error, rtol=1e-4, atol=5e-3)


@pytest.mark.parametrize("sites", list(SHAPES))
def test_every_variant(sites: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(SHAPES[sites], 5, own=True) | {"leapfrogs": 2, "sweeps": 2}
    with recorded(kernel, monkeypatch) as run:
        compare(given)
    assert run == [kernel.VARIANTS[sites,]]


@pytest.mark.parametrize("shape", [(1,), (2,), (15,), (2, 2), (2, 3, 2)])
def test_shapes_and_masses(shape: tuple[int, ...]) -> None:
    for by_mode in (False, True):
        # More walkers than a program has, with one coupling for all.
        compare(arguments(shape, 17, by_mode=by_mode) | {"leapfrogs": 1})


def test_others_take_products_between_kicks(monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(kernel, monkeypatch) as run:
        for given in (arguments((17, 16), 2), arguments((3, 4), 2, torch.float64)):
            compare(given)
    assert run == []
