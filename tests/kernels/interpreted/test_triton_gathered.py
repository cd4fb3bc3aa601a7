"""The kernels of the ops on graphs: the numbers and configurations of the twins."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import on_device, require_kernels, silent
from leaps_triton.kernels import reference
from leaps_triton.kernels.gathered.cases import around, edges_of, energy_arguments
from leaps_triton.kernels.gathered_sweeps.cases import sweep
from leaps_triton.kernels.gathered_sweeps.reference import GraphSweeps

require_kernels()
from leaps_triton.kernels.gathered import triton as kernel  # noqa: E402
from leaps_triton.kernels.gathered_sweeps import triton as sweeps  # noqa: E402

pytestmark = silent
# Edges in no order, some of them twice, and a site without any.
DISORDERED = torch.tensor([[5, 0], [0, 3], [3, 5], [1, 4], [4, 1], [5, 1], [2, 0]]).int()
GRAPHS: dict[str, tuple[Tensor, int]] = {
    "lattice": (edges_of((15, 4), (True, False)), 60),
    "disordered": (DISORDERED, 7),
    "several tiles": (edges_of((33, 35), (True, True)), 33 * 35),
}


def given_of(name: str, q: int, own: bool, walkers: int = 2) -> dict[str, Any]:
    edges, sites = GRAPHS[name]
    return around(edges, sites, q, walkers, own, seed=q)


@pytest.mark.parametrize(
    ("name", "q", "own"),
    [
        ("lattice", 2, True),
        ("disordered", 2, False),
        ("disordered", 5, True),
        ("lattice", 3, False),
        ("several tiles", 2, False),
    ],
)
def test_energies_and_log_ratios(name: str, q: int, own: bool) -> None:
    given = given_of(name, q, own)
    expected = reference.graph_energy(**energy_arguments(given))
    energy, counts = kernel.graph_energy(**on_device(energy_arguments(given)))
    torch.testing.assert_close(energy.cpu(), expected.energy, rtol=1e-12, atol=1e-12)
    assert torch.equal(counts.cpu(), expected.counts)
    for dtype in (torch.float32, torch.float64):
        found = kernel.graph_local_energy(**on_device(given), dtype=dtype)
        twin = reference.graph_local_energy(**given, dtype=dtype)
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(found[0].cpu(), expected.energy, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found[1].cpu(), twin.log_ratios, rtol=32 * eps, atol=64 * eps)


@pytest.mark.parametrize("op", list(sweeps.KINDS_OF))
@pytest.mark.parametrize(
    ("name", "q", "own"),
    [
        ("lattice", 2, True),
        ("disordered", 3, False),
        ("disordered", 2, False),
    ],
)
def test_sweeps(name: str, q: int, own: bool, op: str) -> None:
    """Thresholds may differ in their last bit, which changes one of 2²⁴ draws."""
    compare(op, sweep(given_of(name, q, own), 2))


def test_more_colours_than_a_byte_has_numbers() -> None:
    given = sweep(given_of("disordered", 2, False, walkers=1), 1)
    given["colours"] = given["colours"].int() + 126
    given["num_colours"] += 126
    compare("heat_bath", given)


def test_tiles_of_a_large_graph() -> None:
    compare("heat_bath", sweep(given_of("several tiles", 2, True, walkers=1), 1))


def compare(op: str, given: dict[str, Any]) -> None:
    if op == "metropolis":
        given["rest"] = 0.125
    found = getattr(sweeps, f"graph_{op}_sweeps")(GraphSweeps(**on_device(given)))
    expected = getattr(reference, f"graph_{op}_sweeps")(**given)
    assert found.dtype == torch.int8 and torch.equal(found.cpu(), expected)
