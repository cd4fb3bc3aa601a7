"""Laws of weights: bounds, limits, shifts, and the jackknife against its definition."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from leaps_triton.estimators.weights import (
    effective_sample_size,
    log_mean_exp,
    log_mean_exp_error,
    normalised,
)

ALL = [normalised, log_mean_exp, log_mean_exp_error, effective_sample_size]


def normal(*shape: int, scale: float = 1.0, seed: int = 0) -> Tensor:
    return scale * torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def explicit_error(log_weights: Tensor) -> float:
    """``√((n-1)/n Σ_i (θ_i - θ̄)²)`` with θ_i the estimate without walker i."""
    n = len(log_weights)
    left_out = [float(log_mean_exp(log_weights[torch.arange(n) != i])) for i in range(n)]
    mean = math.fsum(left_out) / n
    return math.sqrt((n - 1) / n * math.fsum((theta - mean) ** 2 for theta in left_out))


@pytest.mark.parametrize("scale", [0.0, 0.3, 2.0, 20.0])
@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_definitions(n: int, scale: float) -> None:
    a = normal(n, scale=scale, seed=n)
    w = [math.exp(v) for v in a.tolist()]
    total, squares = math.fsum(w), math.fsum(v * v for v in w)
    assert log_mean_exp(a).item() == pytest.approx(math.log(total / n), abs=1e-13)
    assert effective_sample_size(a).item() == pytest.approx(total**2 / (n * squares), rel=1e-12)
    assert normalised(a).tolist() == pytest.approx([v / total for v in w], rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.1, -123.4, 1e4])
def test_ess_never_leaves_its_bounds(shift: float) -> None:
    """``[1/n, 1]``, rounding included: a reader of 1.0000000002 stops trusting the rest."""
    for n in range(1, 60):
        for scale in (0.0, 1e-9, 0.5, 5.0, 500.0):
            ess = effective_sample_size(normal(n, scale=scale, seed=n) + shift).item()
            assert 1 / n <= ess <= 1, (n, scale, ess)


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_ess_limits(n: int) -> None:
    assert effective_sample_size(torch.full((n,), 3.7)).item() == pytest.approx(1.0, abs=1e-12)
    one = torch.zeros(n)
    one[n // 2] = 100.0
    assert effective_sample_size(one).item() == pytest.approx(1 / n, rel=1e-12)
    half = torch.where(torch.arange(n) % 2 == 0, 0.0, -math.inf)
    assert effective_sample_size(half).item() == pytest.approx((n + 1) // 2 / n, rel=1e-12)


@pytest.mark.parametrize("shift", [1e4, -1e4, 700.0, -800.0])
def test_a_shift_of_all_log_weights_moves_log_z_and_nothing_else(shift: float) -> None:
    a = normal(200, scale=1.5)
    assert log_mean_exp(a + shift).item() == pytest.approx(
        log_mean_exp(a).item() + shift, abs=1e-11
    )
    assert log_mean_exp_error(a + shift).item() == pytest.approx(
        log_mean_exp_error(a).item(), rel=1e-10
    )
    assert effective_sample_size(a + shift).item() == pytest.approx(
        effective_sample_size(a).item(), rel=1e-10
    )
    torch.testing.assert_close(normalised(a + shift), normalised(a), rtol=1e-10, atol=0)


def test_log_mean_exp_spans_more_than_floating_point_numbers_do() -> None:
    a = torch.tensor([1e4, -1e4, 1e4, -1e4])
    assert log_mean_exp(a).item() == pytest.approx(1e4 - math.log(2), rel=1e-15)
    assert log_mean_exp(torch.tensor([-1e4, -2e4])).item() == pytest.approx(
        -1e4 - math.log(2), rel=1e-15
    )
    assert log_mean_exp(torch.tensor([-math.inf, 0.0])).item() == pytest.approx(
        -math.log(2), rel=1e-15
    )
    assert log_mean_exp(torch.full((3,), -math.inf)).item() == -math.inf


@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.3, 2.0, 6.0])
@pytest.mark.parametrize("n", [2, 3, 40])
def test_error_is_the_jackknife(n: int, scale: float) -> None:
    a = normal(n, scale=scale, seed=n)
    assert log_mean_exp_error(a).item() == pytest.approx(explicit_error(a), rel=1e-8, abs=1e-14)


@pytest.mark.parametrize("gap", [30.0, 50.0, 300.0])
def test_error_is_the_jackknife_where_one_walker_carries_all_weight(gap: float) -> None:
    a = torch.tensor([0.0, -gap, -gap - 1, -gap + 0.5], dtype=torch.float64)
    assert log_mean_exp_error(a).item() == pytest.approx(explicit_error(a), rel=1e-6)


def test_error_of_small_weights_is_the_standard_error() -> None:
    """To first order in the spread of A, the error of log mean e^A is that of the mean of A."""
    a = normal(500, scale=1e-4)
    assert log_mean_exp_error(a).item() == pytest.approx(a.std().item() / math.sqrt(500), rel=1e-3)


def test_one_walker_has_no_error() -> None:
    assert math.isnan(log_mean_exp_error(torch.zeros(1)).item())


@pytest.mark.parametrize("function", ALL)
def test_leading_axes_are_a_batch(function: Callable[[Tensor], Tensor]) -> None:
    a = normal(2, 3, 20)
    rows = torch.stack([function(row) for row in a.flatten(0, 1)])
    torch.testing.assert_close(function(a).flatten(0, 1), rows, rtol=1e-13, atol=0)


@pytest.mark.parametrize("function", ALL)
def test_results_are_float64(function: Callable[[Tensor], Tensor]) -> None:
    a = torch.tensor([0.25, -1.5, 2.0])
    assert function(a).dtype == torch.float64
    assert torch.equal(function(a), function(a.double()))


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_no_walkers_are_refused(
    function: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"at least one walker on the last axis, got \("):
        function(torch.zeros(shape))
