"""The kernels of tau-leaping against their twins: the same steps from the same counters."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import assert_as_near, on_device, recorded, require_kernels, silent
from leaps_triton.kernels import reference
from leaps_triton.kernels.inputs.random import normal

require_kernels()
from leaps_triton.kernels.leaps import triton as kernel  # noqa: E402

pytestmark = silent


def walkers(
    shape: tuple[int, ...], q: int, count: int, dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """Walkers of which about a third of all sites move; half of all moves have rate 0."""
    generator = torch.Generator().manual_seed(sum(shape) + q)
    return {
        "configurations": torch.randint(q, (count, *shape), generator=generator, dtype=torch.int8),
        "rates": torch.relu(normal(count, q - 1, *shape, seed=q)).to(dtype),
        "duration": 2.0 * torch.rand(count, generator=generator, dtype=torch.float64) / (q - 1),
        "walkers": torch.randint(2**32, (count,), generator=generator),
        "events": torch.randint(2**32, (count,), generator=generator),
        "seed": 2**32 - 3,
    }


def ends(given: dict[str, Any], after: Tensor) -> dict[str, Any]:
    """Arguments of the log-probability of the step to ``after``."""
    return {name: given[name] for name in ("configurations", "rates", "duration")} | {
        "after": after
    }


def compare(given: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Configurations equal; log-probabilities to the rounding of sums and logarithms in float64."""
    before = given["configurations"].clone()
    expected = reference.tau_leap_step(**given)
    after, log_probability = (t.cpu() for t in kernel.tau_leap_step(**on_device(given)))
    assert torch.equal(given["configurations"], before)
    assert torch.equal(after, expected.configurations)
    torch.testing.assert_close(
        log_probability, expected.log_probability, rtol=1e-13, atol=1e-13, equal_nan=True
    )
    again = kernel.tau_leap_log_probability(**on_device(ends(given, after))).cpu()
    fine = expected.log_probability.isfinite()
    torch.testing.assert_close(again[fine], expected.log_probability[fine], rtol=1e-13, atol=1e-13)
    return after, log_probability


DTYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_variant(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    given = walkers((15, 7), 3, 30, dtype)
    with recorded(kernel, monkeypatch) as run:
        after, _ = compare(given)
        kernel.tau_leap_log_probability_gradient(
            **on_device(ends(given, after)), **on_device(to(30))
        )
    assert run == [kernel.VARIANTS[name, dtype] for name in ("step", "log_probability", "gradient")]
    assert 0.2 < (after != given["configurations"]).double().mean() < 0.7


def test_the_table_has_no_other_variant() -> None:
    names = ("step", "log_probability", "gradient")
    assert list(kernel.VARIANTS) == [(name, dtype) for name in names for dtype in DTYPES]


@pytest.mark.parametrize(
    ("shape", "q", "count"),
    [
        ((1,), 2, 5),
        ((3,), 5, 9),
        ((5, 3), 2, 1),
        ((2, 3, 5), 3, 7),
        ((2, 3, 1, 3), 2, 7),
        ((63, 65), 2, 2),
    ],
)
def test_shapes(shape: tuple[int, ...], q: int, count: int) -> None:
    compare(walkers(shape, q, count))


@pytest.mark.parametrize("sites", [255, 256, 257, 4096, 4097])
def test_the_only_move_at_the_edge_of_a_block_is_made(sites: int) -> None:
    given = walkers((sites,), 3, 2)
    given["rates"] = torch.zeros_like(given["rates"])
    given["rates"][:, 1, -1] = 3.0
    given["duration"] = torch.full_like(given["duration"], 100.0)
    after, log_probability = compare(given)
    moved = after != given["configurations"]
    assert moved[:, -1].all() and int(moved.sum()) == 2
    assert log_probability.abs().max() < 1e-15


def test_walkers_without_time_without_rates_and_with_bad_rates() -> None:
    given = walkers((5, 3), 3, 7)
    given["duration"][0] = 0.0
    given["rates"][1] = 0.0
    given["rates"][2, 1, 2, 1] = float("nan")
    given["rates"][3, 0, 4, 2] = float("inf")
    after, log_probability = compare(given)
    assert torch.equal(after[:2], given["configurations"][:2])
    assert log_probability[:2].tolist() == [0.0, 0.0]
    assert log_probability.isnan().tolist() == [False, False, True, True, False, False, False]


@pytest.mark.parametrize("duration", [0.0, 1e-300, 1e-17, 1e-12, 1e-5, 0.1, 1.0, 30.0, 700.0, 1e4])
def test_any_duration(duration: float) -> None:
    """``log(1 - e^{-hΛ})`` keeps its digits, for a step that moves all sites whatever the odds."""
    given = walkers((5, 3), 3, 4, torch.float64)
    given["rates"] = given["rates"] + 0.1
    given["duration"] = torch.full_like(given["duration"], duration)
    for shift in (0, 1, 2):
        both = ends(given, ((given["configurations"] + shift) % 3).to(torch.int8))
        found = kernel.tau_leap_log_probability(**on_device(both)).cpu()
        torch.testing.assert_close(
            found, reference.tau_leap_log_probability(**both), rtol=1e-14, atol=0
        )


def test_a_move_without_rate_is_impossible() -> None:
    given = walkers((3,), 3, 3)
    given["rates"] = torch.tensor([[[1.0, 0.0, 2.0], [1.0, 0.0, 0.0]]]).expand(3, 2, 3).contiguous()
    x = given["configurations"] = torch.zeros(3, 3, dtype=torch.int8)
    after = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 2]], dtype=torch.int8)
    found = kernel.tau_leap_log_probability(
        **on_device(ends(given | {"configurations": x}, after))
    ).cpu()
    assert found.isfinite().tolist() == [True, False, False]
    assert found[1:].tolist() == [-float("inf")] * 2


def to(count: int) -> dict[str, Any]:
    return {"to_log_probability": normal(count, seed=9)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "q"), [((5, 3), 2), ((2, 3, 5), 3), ((33, 9), 5)])
def test_gradient(shape: tuple[int, ...], q: int, dtype: torch.dtype) -> None:
    given = walkers(shape, q, 6, dtype)
    given["rates"] = given["rates"] + 0.05
    both = ends(given, reference.tau_leap_step(**given).configurations) | to(6)
    found = kernel.tau_leap_log_probability_gradient(**on_device(both))
    same = reference.tau_leap_log_probability_gradient(**both)
    oracle = reference.tau_leap_log_probability_gradient(**both | {"rates": both["rates"].double()})
    assert_as_near(found, same, oracle)


def test_no_walkers() -> None:
    given = walkers((3,), 2, 0)
    assert [t.shape[0] for t in kernel.tau_leap_step(**on_device(given))] == [0, 0]
    assert (
        len(kernel.tau_leap_log_probability(**on_device(ends(given, given["configurations"])))) == 0
    )
