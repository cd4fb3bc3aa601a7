"""The kernels of proposal_rates and of its gradient against their twins."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kernel_tools import DEVICE, assert_as_near, recorded, require_kernels, silent
from leaps_triton.kernels import reference
from leaps_triton.kernels.inputs.random import normal

require_kernels()
from leaps_triton.kernels.proposals import triton as kernel  # noqa: E402

pytestmark = silent

SHAPES = [(1, 1, 1), (1, 1, 15), (3, 2, 3, 5), (2, 4, 3, 2, 5), (2, 1, 33, 35)]


def shaped(variants: Any) -> list[tuple[Any, tuple[int, ...]]]:
    """Each variant with the shapes that it is tested on: two for forms of one kernel."""
    pairs: list[tuple[Any, tuple[int, ...]]] = []
    for key in variants:
        chosen = SHAPES
        if key[-1] or "heat_bath" in str(key[0]):
            chosen = [SHAPES[2], SHAPES[4]]
        pairs += [(key, shape) for shape in chosen]
    return pairs


def outputs(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    network = 2.0 * normal(*shape, seed=1)
    log_ratios = 5.0 * normal(*shape, seed=2)
    network.view(-1)[::7] = 0.0
    return network.to(dtype), log_ratios.to(dtype)


def double(*arguments: Any) -> Any:
    return [a.double() if isinstance(a, Tensor) else a for a in arguments]


def here(*arguments: Any) -> Any:
    return [a.to(DEVICE) if isinstance(a, Tensor) else a for a in arguments]


def of_kind(kind: object, shape: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
    """A shape that a variant is for, and its gauge; binary ones have a single move a site."""
    if kind == "heat_bath binary":
        return (shape[0], 1, *shape[2:]), "heat_bath"
    if kind == "heat_bath general":
        return (shape[0], max(2, shape[1]), *shape[2:]), "heat_bath"
    return shape, "plain"


def compare(
    network: Tensor | None,
    log_ratios: Tensor,
    reversible: str | None,
    scale: float,
    gauge: str = "plain",
    inward: bool = False,
) -> None:
    given = (network, log_ratios, reversible, scale, gauge, inward)
    found = kernel.proposal_rates(*here(*given))
    same = reference.proposal_rates(*given)
    oracle = reference.proposal_rates(*double(*given))
    assert_as_near(found[0], same.rates, oracle.rates)
    assert found[3].shape == same.in_rates.shape
    if inward:
        assert_as_near(found[3], same.in_rates, oracle.in_rates)
    for sums, same_sums, exact in zip(found[1:3], same[1:3], oracle[1:3], strict=True):
        eps = torch.finfo(log_ratios.dtype).eps
        if log_ratios.dtype == torch.float64:
            # Terms are as precise as their sum, whose order differs.
            eps *= 4
        allowed = 2.0 * max(float((same_sums - exact).abs().max()), eps * float(exact.abs().max()))
        assert sums.dtype == torch.float64 and float((sums.cpu() - exact).abs().max()) <= allowed


@pytest.mark.parametrize(("key", "shape"), shaped(kernel.FORWARD))
def test_every_variant(key: Any, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    kind, reversible, dtype, inward = key
    shape, gauge = of_kind(kind, shape)
    network, log_ratios = outputs(shape, dtype)
    with recorded(kernel, monkeypatch) as run:
        compare(network if kind else None, log_ratios, reversible, 0.7, gauge, inward)
    assert run == [kernel.FORWARD[key]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reversible_rates_alone_are_their_own_way_back(dtype: torch.dtype) -> None:
    for gauge in ("plain", "heat_bath"):
        compare(None, outputs((3, 2, 3, 5), dtype)[1], "metropolis", 0.7, gauge, True)


@pytest.mark.parametrize(("key", "shape"), shaped(kernel.GRADIENT))
def test_every_gradient(key: Any, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    kind, rates, dtype, inward = key
    shape, gauge = of_kind(kind, shape)
    network, log_ratios = outputs(shape, dtype)
    given = (
        network,
        log_ratios,
        normal(*shape, seed=3).to(dtype) if rates else None,
        normal(shape[0], seed=4),
        normal(shape[0], seed=5),
        gauge,
        normal(*shape, seed=6).to(dtype) if inward else None,
    )
    with recorded(kernel, monkeypatch) as run:
        found = kernel.proposal_rates_gradient(*here(*given))
    same = reference.proposal_rates_gradient(*given)
    oracle = reference.proposal_rates_gradient(*double(*given))
    assert_as_near(found, same, oracle)
    assert gauge == "heat_bath" or (found.cpu()[network == 0] == 0).all()
    assert run == [kernel.GRADIENT[key]]


def test_several_programs_a_walker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "CHUNK", 1024)
    network, log_ratios = outputs((2, 2, 1100), torch.float32)
    compare(network, log_ratios, "barker", 0.3)
    compare(network, log_ratios, "barker", 0.3, "heat_bath", True)
    to_rates = normal(2, 2, 1100, seed=3).float()
    to_sums = normal(2, seed=4)
    for gauge in ("plain", "heat_bath"):
        given = network, log_ratios, to_rates, to_sums, to_sums, gauge, to_rates
        oracle = reference.proposal_rates_gradient(*double(*given))
        found = kernel.proposal_rates_gradient(*here(*given))
        assert_as_near(found, reference.proposal_rates_gradient(*given), oracle)


def test_in_rates_of_moves_that_nobody_makes_do_not_overflow() -> None:
    network = torch.tensor([[[1.0, 0.0, -1.0]]])
    log_ratios = torch.tensor([[[1e4, 1e4, -1e4]]])
    compare(network, log_ratios, None, 1.0)


# Numpy, in which the kernel is interpreted, warns of what is meant to overflow.
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("greatest", [88.9, 100.0, 700.0, 800.0])
def test_in_rates_beyond_float32_are_those_of_the_twin(greatest: float) -> None:
    network, log_ratios = outputs((4, 2, 3, 50), torch.float32)
    network[:2, 1, 2, 7] = -0.5
    log_ratios[:2, 1, 2, 7] = greatest
    arguments = (network, log_ratios, "barker", 0.7, "plain", True)
    expected = reference.proposal_rates(*arguments)
    found = kernel.proposal_rates(*here(*arguments))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=2e-6, atol=1e-6)
    assert torch.equal(found[2].cpu().isinf(), expected.corrector.isinf())
    to_sums = torch.tensor([1e-12, 0.0, 1.0, 2.0], dtype=torch.float64)
    given = (network, log_ratios, None, to_sums, to_sums)
    gradient = kernel.proposal_rates_gradient(*here(*given))
    same = reference.proposal_rates_gradient(*given)
    torch.testing.assert_close(gradient.cpu(), same, rtol=2e-6, atol=1e-6)
    assert not bool(same.isnan().any())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so(bad: float) -> None:
    for place in ("network", "log_ratios"):
        network, log_ratios = outputs((3, 1, 5), torch.float32)
        network[1, 0, 2] = -1.0
        (network if place == "network" else log_ratios)[1, 0, 2] = bad
        for gauge in ("plain", "heat_bath"):
            given = (network, log_ratios, "metropolis", 1.0, gauge, True)
            expected = reference.proposal_rates(*given)
            found = kernel.proposal_rates(*here(*given))
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one.cpu(), other, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cold_models_stay_finite(dtype: torch.dtype) -> None:
    """``e^Δ`` overflows; probabilities of a heat bath do not."""
    for shifts in (1, 3):
        network, log_ratios = outputs((3, shifts, 4, 5), dtype)
        compare(network, 200.0 * log_ratios, None, 1.0, "heat_bath", True)
        to_sums = normal(3, seed=4)
        given = (network, 200.0 * log_ratios, network, to_sums, to_sums, "heat_bath", network)
        found = kernel.proposal_rates_gradient(*here(*given))
        oracle = reference.proposal_rates_gradient(*double(*given))
        assert_as_near(found, reference.proposal_rates_gradient(*given), oracle)


def test_no_walkers() -> None:
    rates, exit_rate, corrector, _ = kernel.proposal_rates(
        *here(torch.zeros(0, 1, 5), torch.zeros(0, 1, 5), None, 1.0)
    )
    assert rates.shape == (0, 1, 5) and exit_rate.shape == corrector.shape == (0,)
