"""The kernel of enter_intervals against its twin, and the energies against those of the path."""

import importlib
from typing import Any

import pytest
import torch

from kernel_tools import SHAPES, on_device, recorded, require_kernels, restrided, silent
from leaps_triton.kernels import reference
from leaps_triton.kernels.energies.cases import entering, model
from leaps_triton.kernels.energies.entering import Entered, Entering, entered

require_kernels()
kernel = importlib.import_module("leaps_triton.kernels.energies.triton_entering")
pytestmark = silent


def compare(given: dict[str, Any]) -> None:
    made = Entered(*kernel.enter_intervals(Entering(**on_device(given))))
    expected = entered(Entering(**given), reference.energy)
    for name in ("interval", "remaining", "entered"):
        found = getattr(made, name).cpu()
        assert found.dtype == getattr(expected, name).dtype
        assert torch.equal(found, getattr(expected, name))
    # Energies are sums of float64 numbers of order 1 that cancel, in another order.
    sites = given["configurations"][:1].numel()
    torch.testing.assert_close(
        made.log_weights.cpu(), expected.log_weights, rtol=1e-14, atol=1e-14 * sites
    )
    still = ~expected.entered
    assert torch.equal(made.log_weights.cpu()[still], given["log_weights"][still])


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("key", list(kernel.VARIANTS))
def test_every_variant(key: Any, backward: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ndim, uniform = key
    shape, periodic = SHAPES[ndim]
    tables = "directions" if uniform else "own"
    given = entering(model(shape, periodic, 2, 12, tables), backward)
    with recorded(kernel, monkeypatch) as run:
        compare(given)
    assert run == [kernel.VARIANTS[key]]


@pytest.mark.parametrize(
    ("shape", "q", "tables"),
    [((33, 35), 3, "shared"), ((16, 16), 2, "uniform"), ((5, 6), 5, "partial")],
)
def test_lattices_of_several_blocks_and_more_states(
    shape: tuple[int, ...], q: int, tables: str
) -> None:
    given = entering(model(shape, (True, False), q, 8, tables))
    compare(given)
    compare(restrided(given))


def test_a_large_lattice_is_summed_by_several_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "CHUNK", 20)
    given = entering(model((5, 6), (True, True), 2, 8, "uniform"))
    with recorded(kernel, monkeypatch) as run:
        compare(given)
    assert run == []
