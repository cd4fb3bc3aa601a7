"""The kernel of local_jump_steps against its twin: the same events from the same counters."""

from typing import Any

import pytest
import torch

from kernel_tools import on_device, recorded, require_kernels, silent
from leaps_triton.kernels import LocalJumpSteps, reference
from leaps_triton.kernels.class_jumps.cases import classes, density
from leaps_triton.kernels.class_jumps.reference import Events

require_kernels()
from leaps_triton.kernels.class_jumps import triton as kernel  # noqa: E402

pytestmark = silent


def compare(given: dict[str, Any]) -> LocalJumpSteps:
    """Configurations and events are equal; weights, times and rates to rounding in float64."""
    copies = {
        name: value.clone() for name, value in given.items() if isinstance(value, torch.Tensor)
    }
    expected = reference.local_jump_steps(**given)
    found = LocalJumpSteps(*(t.cpu() for t in kernel.local_jump_steps(Events(**on_device(given)))))
    for name, value in copies.items():
        torch.testing.assert_close(given[name], value, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(found.configurations, expected.configurations)
    assert torch.equal(found.events, expected.events)
    assert torch.equal(found.remaining == 0, expected.remaining == 0)
    for name in ("log_weights", "remaining", "exit_rate", "corrector"):
        near = getattr(found, name)
        exact = getattr(expected, name)
        torch.testing.assert_close(near, exact, rtol=1e-11, atol=1e-11, equal_nan=True)
    return found


@pytest.mark.parametrize("shape", [(7,), (5, 6), (31, 17), (3, 4, 3), (3, 3, 3, 3)])
def test_every_variant(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """On lattices of less and more than a block of sites."""
    given = classes(shape, 5, steps=12, length=5.0)
    with recorded(kernel, monkeypatch) as run:
        made = compare(given).events - given["events"]
        weights = compare(given | {"running": density(given["rates"])}).log_weights
    assert run == list(kernel.VARIANTS.values())
    assert bool(weights.isfinite().all())
    assert int(made.max()) == 12 and float(made.double().mean()) > 5


def test_more_events_than_one_launch_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "EVENTS", 8)
    given = classes((5, 5), 4, steps=21, length=60.0)
    assert int((compare(given).events - given["events"]).max()) == 21


def test_walkers_at_the_boundary_without_rates_and_with_bad_rates() -> None:
    given = classes((5, 6), 6, steps=4)
    x = given["configurations"]
    for row in range(6):
        x[row] = 0
        x[row].view(-1)[: 4 * row + 3] = 1
    given["remaining"][0] = 0.0
    given["rates"][4 * 1 + 3] = 0.0
    given["rates"][4 * 2 + 3] = float("nan")
    given["rates"][4 * 3 + 3] = float("inf")
    given["corrector"][4 * 4 + 3] = float("nan")
    given["log_weights"][5] = float("nan")
    after = compare(given)
    assert torch.equal(after.configurations, x)
    assert after.log_weights.isnan().tolist() == [False, False, True, True, True, True]
    assert (after.events - given["events"]).tolist() == [0, 1, 1, 1, 1, 0]


def test_classes_without_a_site_add_nothing_though_they_are_infinite() -> None:
    given = classes((5, 6), 6, steps=4)
    used = reference.site_classes(
        given["configurations"].flatten(1), given["neighbours"], given["strides"]
    )
    given["steps"] = 1
    count = given["rates"].shape[1]
    empty = torch.ones(count, dtype=torch.bool)
    empty[used.unique()] = False
    given["rates"][:, empty] = float("inf")
    given["corrector"][:, empty] = -float("inf")
    after = compare(given)
    assert bool(empty.any()) and bool(after.log_weights.isfinite().all())
    assert bool((after.events == given["events"] + 1).all())


def test_densities_that_overflow() -> None:
    """By classes that nothing comes in by, and by all."""
    given = classes((5, 6), 6, steps=4)
    running = density(given["rates"])
    level = torch.zeros_like(running.level)
    level[::2] = 1
    levels = torch.tensor([1e6, 2.0], dtype=torch.float64)
    steep = running._replace(levels=levels, level=level, offset=300.0)
    assert bool(compare(given | {"running": steep}).log_weights.isnan().all())
    some = steep._replace(in_rates=steep.in_rates * (level == 1))
    assert bool(compare(given | {"running": some}).log_weights.isfinite().all())


def test_no_walkers() -> None:
    assert [len(t) for t in kernel.local_jump_steps(Events(**on_device(classes((5, 6), 0))))] == [
        0
    ] * 6
