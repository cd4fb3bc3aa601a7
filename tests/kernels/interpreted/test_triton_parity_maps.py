"""The kernel of maps over sublattices against its twin."""

from typing import Any

import pytest
import torch

from kernel_tools import on_device, require_kernels, silent
from leaps_triton.kernels import reference
from leaps_triton.kernels.parity_maps.cases import passing

require_kernels()
from leaps_triton.kernels.parity_maps import triton as kernel  # noqa: E402
from leaps_triton.kernels.parity_maps.reference import Passing  # noqa: E402

pytestmark = silent


def compare(given: dict[str, Any]) -> None:
    before = given["configurations"].clone()
    expected = reference.parity_map(**given)
    found = kernel.parity_map(Passing(**on_device(given)))
    assert torch.equal(given["configurations"], before)
    assert found.configurations.dtype == before.dtype
    # A hyperbolic tangent to seven units in the last place, and sums in another order.
    torch.testing.assert_close(
        found.configurations.cpu(), expected.configurations, rtol=2e-6, atol=2e-6
    )
    torch.testing.assert_close(
        found.log_determinant.cpu(), expected.log_determinant, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("width", [3, 24, 40])
def test_every_width(width: int) -> None:
    compare(passing((6, 4), 2, width=width, reach=1))


SHAPES = [((8,), torch.float64), ((12, 12), torch.float32), ((2, 2, 2, 2), torch.float32)]


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
def test_every_lattice(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    # More sites than a block has, and fewer; windows of taps that fill no tile.
    compare(passing(shape, 2, reach=1, dtype=dtype))


def test_what_has_no_kernel_takes_the_twin() -> None:
    wide = passing((4, 4), 2, width=70, reach=1)
    assert kernel.parity_map(Passing(**on_device(wide))).log_determinant.isfinite().all()
    double = passing((4, 4), 2, width=5, reach=1, weights=torch.float64)
    found = kernel.parity_map(Passing(**on_device(double)))
    expected = reference.parity_map(**double)
    torch.testing.assert_close(found.log_determinant.cpu(), expected.log_determinant)


def test_a_map_that_falls_has_no_determinant() -> None:
    steep = passing((4, 4), 3, width=8, reach=1, steps=(60.0,))
    found = kernel.parity_map(Passing(**on_device(steep)))
    assert found.log_determinant.isnan().any()
