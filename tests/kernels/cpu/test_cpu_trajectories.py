"""Loops of trajectories on a CPU against the twin, and what a walker's neighbours change."""

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from leaps_triton.kernels import reference as twins
from leaps_triton.kernels.normal_numbers.reference import Normals, normals
from leaps_triton.kernels.philox import Stream
from leaps_triton.kernels.trajectories import cpu, cpu_lanes, modes
from leaps_triton.kernels.trajectories.cases import arguments
from leaps_triton.kernels.trajectories.reference import FieldSweeps, Trajectories

SHAPES = [(1,), (5,), (2, 2), (3, 4), (12, 12), (4, 3, 5), (4, 2, 2, 3), (1, 7)]
FIELDS = {torch.float32: 1e-5, torch.float64: 1e-13}
ERRORS = {torch.float32: 2e-3, torch.float64: 1e-10}
"""Fields and energies differ by the order of the sums; these are ten times what was seen."""


def run(given: dict[str, Any]) -> FieldSweeps:
    return cpu.quartic_trajectories(Trajectories(**given))


def compare(given: dict[str, Any]) -> None:
    dtype = given["configurations"].dtype
    before = given["configurations"].clone()
    found = run(given)
    expected = twins.quartic_trajectories(**given)
    assert torch.equal(given["configurations"], before)
    # Decisions are the same: none of these is within rounding of the edge.
    assert torch.equal(found.accepted, expected.accepted)
    fields = FIELDS[dtype]
    torch.testing.assert_close(
        found.configurations, expected.configurations, rtol=fields, atol=fields
    )
    atol = ERRORS[dtype]
    torch.testing.assert_close(found.acceptance, expected.acceptance, rtol=0.0, atol=atol)
    torch.testing.assert_close(found.energy_error, expected.energy_error, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("shape", SHAPES)
def test_sweeps_are_the_twins(shape: tuple[int, ...]) -> None:
    for dtype in (torch.float32, torch.float64):
        for by_mode in (False, True):
            compare(arguments(shape, 19, dtype, by_mode, own=by_mode))


def test_walkers_do_not_depend_on_one_another() -> None:
    given = arguments((6, 6), 40, own=True)
    together = run(given)
    rows = slice(5, 12)
    some = {name: given[name][rows] for name in ("configurations", "walkers")}
    some |= {name: given[name][rows] for name in ("mass_squared", "quartic")}
    for whole, part in zip(together, run(given | some), strict=True):
        assert torch.equal(whole[rows], part)


def test_sweeps_in_two_calls_are_those_of_one() -> None:
    given = arguments((6, 6), 20)
    whole = run(given)
    first = run(given | {"sweeps": 1})
    rest = {"configurations": first.configurations, "first_sweep": given["first_sweep"] + 1}
    second = run(given | rest | {"sweeps": 1})
    assert torch.equal(second.configurations, whole.configurations)
    assert torch.equal(second.energy_error, whole.energy_error)
    none = run(given | {"sweeps": 0})
    assert torch.equal(none.configurations, given["configurations"])


def test_threads_change_nothing() -> None:
    given = arguments((16, 16), 64)
    one = run(given)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        two = run(given)
    finally:
        torch.set_num_threads(threads)
    for alone, shared in zip(one, two, strict=True):
        assert torch.equal(alone, shared)


def test_walkers_that_are_no_numbers_stay() -> None:
    given = arguments((4, 4), 3)
    x = given["configurations"].clone()
    x[1, 2, 2] = float("nan")
    for made in (
        run(given | {"configurations": x}),
        twins.quartic_trajectories(**given | {"configurations": x}),
    ):
        assert torch.equal(made.configurations[1].isnan(), x[1].isnan())
        assert made.accepted[1] == 0.0 and made.acceptance[1] == 0.0
        assert bool(made.configurations[[0, 2]].isfinite().all())


@pytest.mark.parametrize("sites", [1, 37, 128])
def test_momenta_are_normal_numbers(sites: int) -> None:
    lanes = cpu_lanes.LANES
    momenta = np.empty(sites * lanes)
    index = np.arange(cpu_lanes.WIDE) % lanes + 2**31
    draw(momenta, np.empty((4, cpu_lanes.WIDE), np.uint64), np.empty((4, cpu_lanes.WIDE)), index)
    walkers = torch.arange(lanes) + 2**31
    twin = normals(Normals(walkers, 99, Stream.FIELD_MOMENTA, 7, 0, sites, torch.float64))
    assert torch.equal(torch.from_numpy(momenta).view(sites, lanes).T, twin)


def draw(momenta: Any, words: Any, numbers: Any, index: Any) -> None:
    cpu_lanes.draw(momenta, words, numbers, 7, index, 99)


@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (300,), (3, 4), (2, 5, 3)])
def test_modes(shape: tuple[int, ...]) -> None:
    """The transform is its own inverse, orthogonal, and makes what is a filter diagonal."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    there = modes.transform(x)
    torch.testing.assert_close(modes.transform(there), x, rtol=0.0, atol=1e-13)
    axes = tuple(range(1, x.ndim))
    filters = 1.0 / (modes.squared_momenta(shape, x.device) + 0.5)
    expected = torch.fft.ifftn(torch.fft.fftn(x, dim=axes) * filters, dim=axes).real
    torch.testing.assert_close(modes.transform(there * filters), expected, rtol=0.0, atol=1e-13)
    if x[0].numel() < 100:
        table = modes.matrix_of(shape, torch.float64, x.device)
        torch.testing.assert_close(x.flatten(1) @ table, there.flatten(1), rtol=0.0, atol=1e-13)


def test_long_axes_take_fast_transforms() -> None:
    given = arguments((257,), 2, torch.float64)
    compare(given)
