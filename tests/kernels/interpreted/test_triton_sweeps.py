"""The kernel of the three kinds of sweeps: the configurations of the twins, by the same counters.

Thresholds are float32 and may differ in their last bit, which changes a site with probability 2⁻²⁴;
for the fixed inputs of these tests, some 10⁴ draws, they agree.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import SHAPES, on_device, recorded, require_kernels, restrided, silent
from leaps_triton.kernels import reference
from leaps_triton.kernels.energies.cases import model
from leaps_triton.kernels.site_sweeps.cases import sweep
from leaps_triton.kernels.site_sweeps.reference import Sweeps

require_kernels()
from leaps_triton.kernels.site_sweeps import triton as kernel  # noqa: E402

pytestmark = silent
ops = pytest.mark.parametrize("op", list(kernel.KINDS_OF))


def run(op: str, given: dict[str, Any]) -> Tensor:
    found: Tensor = getattr(kernel, f"{op}_sweeps")(Sweeps(**on_device(given))).cpu()
    return found


def compare(op: str, given: dict[str, Any]) -> None:
    before = given["configurations"].clone()
    found = run(op, given)
    assert torch.equal(given["configurations"], before)
    assert found.dtype == torch.int8 and torch.equal(
        found, getattr(reference, f"{op}_sweeps")(**given)
    )


@pytest.mark.parametrize("key", list(kernel.SITES))
def test_every_variant(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    op, ndim, kind, block = key
    shape, periodic = SHAPES[ndim]
    if block > 256:
        shape = (*shape[:-1], 2 + 256 // torch.Size(shape[:-1]).numel())
    given = model(
        shape, periodic, 3 if kind == "general" else 2, 2, "uniform" if "uniform" in kind else "own"
    )
    with recorded(kernel, monkeypatch) as launched:
        compare(op, sweep(given, 2))
    assert launched == [kernel.SITES[key]]


@ops
@pytest.mark.parametrize("tables", ["own", "shared", "uniform", "partial"])
@pytest.mark.parametrize("q", [2, 3, 5])
@pytest.mark.parametrize(
    ("shape", "periodic"),
    [((3,), (True,)), ((2,), (True,)), ((1,), (False,)), ((15, 4), (True, True))],
)
def test_shapes_and_tables(
    shape: tuple[int, ...], periodic: tuple[bool, ...], q: int, tables: str, op: str
) -> None:
    for walkers in (1, 2):
        compare(op, sweep(model(shape, periodic, q, walkers, tables, seed=walkers), 1))


@ops
@pytest.mark.parametrize(("q", "tables"), [(2, "uniform"), (2, "own"), (3, "own")])
def test_tiles_of_a_large_lattice(
    op: str, q: int, tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = sweep(model((33, 35), (True, True), q, 2, tables), 2)
    assert given["num_colours"] == 3
    with recorded(kernel, monkeypatch) as launched:
        compare(op, given)
    assert len(launched) == 2 * 3


@pytest.mark.parametrize("rest", [0.5, 2.0**-3, 2.0**-23])
@pytest.mark.parametrize(("q", "tables"), [(2, "uniform"), (2, "own"), (3, "own")])
def test_sites_rest_as_in_the_twin(q: int, tables: str, rest: float) -> None:
    """Where all energies are equal too: there the rest alone decides."""
    given = sweep(model((5, 4), (True, False), q, 3, tables), 2) | {"rest": rest}
    compare("metropolis", given)
    flat = given | {"beta": torch.zeros(1, dtype=torch.float64)}
    compare("metropolis", flat)
    if rest > 0.1:
        assert not torch.equal(run("metropolis", flat), run("metropolis", flat | {"rest": 0.0}))


@ops
@pytest.mark.parametrize("shape", [(16, 16), (32, 40)])
def test_many_sweeps_are_sweeps_one_after_another(shape: tuple[int, ...], op: str) -> None:
    given = sweep(model(shape, (True, True), 2, 2, "uniform"), 3)
    together = run(op, given)
    for step in range(3):
        one = given | {"first_sweep": given["first_sweep"] + step, "sweeps": 1}
        given["configurations"] = run(op, one)
    assert torch.equal(together, given["configurations"])


@ops
@pytest.mark.parametrize("shape", [(5, 3), (17, 16)])
def test_sweeps_backward(shape: tuple[int, ...], op: str) -> None:
    """The colours in the opposite order, which gives other configurations."""
    given = sweep(model(shape, (False, True), 3, 2), 3)
    back = given | {"colours": given["num_colours"] - 1 - given["colours"]}
    compare(op, back)
    assert not torch.equal(run(op, back), run(op, given))


@pytest.mark.parametrize("q", [3, 4, 6, 7])
def test_fields_between_two_axes_and_fields_that_vanish(q: int) -> None:
    """Rounding does not choose among equally near axes, as a clock without disorder has many.

    Sums of few directions lie on axes, between them, and cancel.
    """
    for walkers in (1, 5):
        given = sweep(model((6, 4), (True, False), q, walkers, "uniform"), 3)
        angles = torch.arange(q, dtype=torch.float64) * (2 * torch.pi / q)
        given["bond_table"] = torch.cos(angles - angles.unsqueeze(1))
        given |= {
            "coupling": torch.ones_like(given["coupling"]),
            "site_table": 0.0 * given["site_table"],
        }
        compare("overrelaxation", given | {"beta": torch.ones(1, dtype=torch.float64)})


@ops
def test_strong_coupling_does_not_overflow(op: str) -> None:
    for q in (2, 3):
        given = model((5, 3), (True, False), q, 3)
        given["beta"] = torch.tensor([1e3, -1e3, 0.0], dtype=torch.float64)
        compare(op, sweep(given, 3))


@ops
def test_no_sweep_and_no_walkers(op: str) -> None:
    given = sweep(model((5, 3), (True, False), 2, 3), 0)
    assert torch.equal(run(op, given), given["configurations"])
    given = sweep(model((5, 3), (True, False), 2, 0), 2)
    assert run(op, given).shape == (0, 5, 3)


@ops
def test_strides_and_couplings_of_directions(op: str) -> None:
    for q, tables in ((3, "own"), (2, "directions")):
        given = sweep(model((4, 3), (True, False), q, 2, tables, seed=3), 1)
        compare(op, restrided(given))
