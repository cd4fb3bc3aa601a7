"""The kernel of jump_step against its twin: the same moves from the same counters."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import on_device, recorded, require_kernels, silent
from leaps_triton.kernels import Running, reference
from leaps_triton.kernels.inputs.random import normal

require_kernels()
from leaps_triton.kernels.jumps import triton as kernel  # noqa: E402

pytestmark = silent


def walkers(
    shape: tuple[int, ...], q: int, count: int, dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """Walkers of which about two thirds jump; half of all moves have rate 0."""
    generator = torch.Generator().manual_seed(sum(shape) + q)
    rates = torch.relu(normal(count, q - 1, *shape, seed=q)).to(dtype)
    total = rates.flatten(1).sum(1, dtype=torch.float64)
    return {
        "configurations": torch.randint(q, (count, *shape), generator=generator, dtype=torch.int8),
        "log_weights": normal(count, seed=1),
        "remaining": 1.0 / total.clamp(min=0.1),
        "rates": rates,
        "corrector": normal(count, seed=2),
        "walkers": torch.randint(2**32, (count,), generator=generator),
        "events": torch.randint(2**32, (count,), generator=generator),
        "seed": 2**32 - 3,
    }


def density(given: dict[str, Any]) -> dict[str, Any]:
    """A density of about the rates' size; half of its rates are 0, and no slope is another's."""
    rates = given["rates"]
    count = len(rates)
    return {
        "in_rates": rates.flip(0).contiguous(),
        "slopes": 2.0 * normal(*rates.shape, seed=3).to(rates.dtype),
        "speed": 1.0 / given["remaining"],
        "offset": 0.5 * normal(count, seed=4),
    }


def compare(given: dict[str, Any]) -> tuple[Tensor, ...]:
    """Configurations and moves are equal, weights and times to rounding.

    The rounding is that of a sum and a logarithm in float64.
    """
    before = given["configurations"].clone()
    plain = dict(given)
    parts = [plain.pop(name, None) for name in Running._fields]
    running = None
    if parts[0] is not None:
        running = Running(*parts)
    expected = reference.jump_step(**plain, running=running)
    found = tuple(t.cpu() for t in kernel.jump_step(**on_device(given)))
    assert torch.equal(given["configurations"], before)
    assert torch.equal(found[0], expected.configurations) and torch.equal(found[3], expected.move)
    assert torch.equal(found[2] == 0, expected.remaining == 0)
    torch.testing.assert_close(
        found[1], expected.log_weights, rtol=1e-13, atol=1e-13, equal_nan=True
    )
    torch.testing.assert_close(found[2], expected.remaining, rtol=1e-12, atol=1e-14, equal_nan=True)
    return found


@pytest.mark.parametrize("key", list(kernel.VARIANTS))
def test_every_variant(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    block, dtype, *running = key
    shape = (15, 7) if block == 256 else (31, 17)
    given = walkers(shape, 3, 100 if block == 256 else 20, dtype)
    if running:
        given |= density(given)
    with recorded(kernel, monkeypatch) as run:
        moves = compare(given)[3]
    assert run == [kernel.VARIANTS[key]]
    assert 0.3 < (moves >= 0).double().mean() < 0.9


@pytest.mark.parametrize(
    ("shape", "q", "count"),
    [
        ((1,), 2, 5),
        ((3,), 5, 9),
        ((5, 3), 2, 1),
        ((2, 3, 5), 3, 7),
        ((2, 3, 1, 3), 2, 7),
        ((47, 23), 3, 6),
    ],
)
def test_shapes(shape: tuple[int, ...], q: int, count: int) -> None:
    compare(walkers(shape, q, count))


@pytest.mark.parametrize("place", [0, 255, 256, 2047, 2048, 4095, 4501])
def test_the_only_move_is_made(place: int) -> None:
    given = walkers((4502,), 2, 2)
    given["rates"] = torch.zeros_like(given["rates"])
    given["rates"][:, 0, place] = 3.0
    given["remaining"] = torch.full_like(given["remaining"], 100.0)
    assert compare(given)[3].tolist() == [place, place]


def test_walkers_at_the_boundary_without_rates_and_with_bad_rates() -> None:
    """Without time left a walker is left alone, whatever its rates."""
    given = walkers((5, 3), 3, 10)
    given["remaining"][[0, 7, 8]] = 0.0
    given["rates"][1] = 0.0
    given["rates"][[2, 7], 1, 2, 1] = float("nan")
    given["rates"][3, 0, 4, 2] = float("inf")
    given["corrector"][[4, 8]] = float("nan")
    given["corrector"][5] = float("inf")
    after, weights, remaining, move = compare(given)
    still = [0, 1, 2, 3, 4, 5, 7, 8]
    assert move[still].tolist() == [-1] * 8
    assert weights.isnan().nonzero().flatten().tolist() == [2, 3, 4, 5]
    assert torch.equal(weights[[0, 7, 8]], given["log_weights"][[0, 7, 8]])
    assert torch.equal(after[still], given["configurations"][still])
    assert remaining[1] == 0 and remaining[2] == given["remaining"][2]


def test_densities_that_overflow_and_stand_still() -> None:
    given = walkers((5, 3), 3, 9)
    given |= density(given)
    given["slopes"][0] = 1e6
    given["offset"][0] = 2.0
    given["in_rates"][1] = 0.0
    given["slopes"][1] = float("inf")
    given["speed"][2] = 0.0
    given["in_rates"][3, 0, 2, 2] = float("nan")
    given["remaining"][4] = 0.0
    given["slopes"][4] = float("nan")
    given["offset"][5] = float("inf")
    weights = compare(given)[1]
    assert weights.isnan().nonzero().flatten().tolist() == [0, 3, 5]


def test_moves_follow_the_rates() -> None:
    """χ² of 4 moves over 400 events, false alarms 1e-4, of a fixed seed."""
    count = 400
    given = walkers((2,), 3, count)
    given["rates"] = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(count, 2, 2).contiguous()
    given["remaining"] = torch.full((count,), 1e9, dtype=torch.float64)
    observed = torch.bincount(compare(given)[3], minlength=4)
    expected = count * torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    assert ((observed - expected) ** 2 / expected).sum() < 21.1


def test_no_walkers() -> None:
    assert [t.shape[0] for t in kernel.jump_step(**on_device(walkers((3,), 2, 0)))] == [0, 0, 0, 0]
