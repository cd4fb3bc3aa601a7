"""The CPU loops of maps over sublattices against their twin, and the hyperbolic tangent."""

from typing import Any

import pytest
import torch

from leaps_triton import kernels
from leaps_triton.kernels import reference
from leaps_triton.kernels.functions import reference as functions
from leaps_triton.kernels.parity_maps.cases import passing

pytest.importorskip("numba")
from leaps_triton.kernels.parity_maps import cpu
from leaps_triton.kernels.parity_maps.reference import Passing


def compare(given: dict[str, Any]) -> None:
    before = given["configurations"].clone()
    expected = reference.parity_map(**given)
    found = cpu.parity_map(Passing(**given))
    assert torch.equal(given["configurations"], before)
    # A hyperbolic tangent to seven units in the last place, and sums in another order.
    torch.testing.assert_close(found.configurations, expected.configurations, rtol=2e-6, atol=2e-6)
    torch.testing.assert_close(
        found.log_determinant, expected.log_determinant, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2,), (8,), (4, 6), (16, 16), (2, 4, 6), (2, 2, 2, 2)])
def test_every_lattice(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    compare(passing(shape, 3, reach=1, dtype=dtype))


@pytest.mark.parametrize("width", [1, 3, 24])
def test_every_width(width: int) -> None:
    compare(passing((8, 8), 3, width=width))


def test_float64_takes_the_twin() -> None:
    given = passing((4, 4), 2, width=5, reach=1, weights=torch.float64)
    found = kernels.parity_map(**given)
    expected = reference.parity_map(**given)
    assert torch.equal(found.configurations, expected.configurations)
    assert torch.equal(found.log_determinant, expected.log_determinant)


def test_a_map_that_falls_has_no_determinant() -> None:
    steep = passing((4, 4), 3, width=8, reach=1, steps=(60.0,))
    assert kernels.parity_map(**steep).log_determinant.isnan().any()


def test_the_determinant_is_that_of_the_jacobian() -> None:
    given = passing((2, 4), 2, width=6, reach=1, dtype=torch.float64, weights=torch.float64)

    def moved(x: torch.Tensor) -> torch.Tensor:
        part = given | {"configurations": x.view(1, 2, 4)}
        return reference.parity_map(**part).configurations.flatten()

    found = kernels.parity_map(**given).log_determinant
    for row, x in enumerate(given["configurations"]):
        jacobian = torch.autograd.functional.jacobian(moved, x.flatten())
        expected = torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(found[row], expected, rtol=1e-12, atol=1e-13)


def test_the_hyperbolic_tangent_is_near_and_odd() -> None:
    x = torch.cat([torch.linspace(-12.0, 12.0, 20001), torch.logspace(-20, 0, 2001)])
    exact = torch.tanh(x.double())
    found = functions.hyperbolic_tangent(x)
    digit = torch.finfo(torch.float32).eps
    assert float(((found.double() - exact) / exact.abs().clamp(min=1e-30)).abs().max()) < 7 * digit
    assert torch.equal(functions.hyperbolic_tangent(-x), -found)
    assert functions.hyperbolic_tangent(torch.tensor([torch.nan])).isnan().all()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"configurations": torch.zeros(2, 4, 6, dtype=torch.int8)}, "configurations"),
        ({"readout": torch.zeros(3)}, "readout"),
        ({"own": torch.zeros(24, dtype=torch.float64)}, "must be"),
        ({"parities": (0, 2, 0)}, "parities"),
        ({"steps": (0.1, float("nan"), 0.1)}, "steps"),
        ({"windows": torch.zeros(2, 12, 4)}, "windows"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], match: str) -> None:
    given = passing((4, 6), 2, reach=1)
    with pytest.raises(ValueError, match=match):
        kernels.parity_map(**given | change)
