"""Laws of the jackknife: against its definition, and the coverage of its error bars."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from leaps_triton.estimators import Estimate, weighted_estimate
from leaps_triton.estimators.weights import log_mean_exp, log_mean_exp_error

Function = Callable[[Tensor], Tensor] | None


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def variance(means: Tensor) -> Tensor:
    return means[..., 1] - means[..., 0] ** 2


def explicit(values: Tensor, log_weights: Tensor, function: Function) -> tuple[float, float]:
    """Self-normalised means and the leave-one-out loop, walker by walker."""
    n, weights = len(log_weights), log_weights.exp()

    def estimate(kept: Tensor) -> float:
        mean = torch.tensordot(weights[kept], values[kept], dims=1) / weights[kept].sum()
        return float(mean if function is None else function(mean))

    left_out = [estimate(torch.arange(n) != i) for i in range(n)]
    centre = math.fsum(left_out) / n
    error = math.sqrt((n - 1) / n * math.fsum((theta - centre) ** 2 for theta in left_out))
    return estimate(torch.ones(n, dtype=torch.bool)), error


@pytest.mark.parametrize("n", [2, 3, 30])
@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
@pytest.mark.parametrize(
    ("columns", "function"),
    [
        (None, None),
        (None, torch.exp),
        (1, lambda means: means[..., 0]),
        (2, variance),
        (3, lambda means: means[..., 2] / (1 + means[..., 0] ** 2) - means[..., 1]),
    ],
)
def test_estimate_equals_an_explicit_leave_one_out_loop(
    columns: int | None, function: Function, scale: float, n: int
) -> None:
    values = normal(n, seed=n) if columns is None else normal(n, columns, seed=n)
    log_weights = scale * normal(n, seed=n + 1)
    expected_value, expected_error = explicit(values, log_weights, function)
    value, error = weighted_estimate(values, log_weights, function)
    assert value == pytest.approx(expected_value, rel=1e-11, abs=1e-13)
    assert error == pytest.approx(expected_error, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("n", [2, 5, 200])
def test_uniform_weights_give_the_mean_and_its_standard_error(n: int) -> None:
    values = normal(n, seed=n) * 3 + 1
    value, error = weighted_estimate(values, torch.full((n,), -7.5))
    assert value == pytest.approx(values.mean().item(), rel=1e-12)
    assert error == pytest.approx(values.std().item() / math.sqrt(n), rel=1e-11)


@pytest.mark.parametrize("shift", [1e4, -1e4])
def test_a_shift_of_all_log_weights_changes_nothing(shift: float) -> None:
    values, log_weights = normal(50, 2), normal(50, seed=1)
    value, error = weighted_estimate(values, log_weights, variance)
    shifted = weighted_estimate(values, log_weights + shift, variance)
    assert shifted.value == pytest.approx(value, rel=1e-10) and shifted.error == pytest.approx(
        error, rel=1e-10
    )


def test_a_walker_without_weight_does_not_move_the_value() -> None:
    values, log_weights = normal(40), normal(40, seed=1)
    log_weights[7] = -math.inf
    kept = torch.arange(40) != 7
    value = weighted_estimate(values, log_weights).value
    assert value == pytest.approx(
        weighted_estimate(values[kept], log_weights[kept]).value, rel=1e-13
    )


def test_a_constant_has_no_error() -> None:
    value, error = weighted_estimate(torch.full((30,), 2.5), normal(30))
    assert value == pytest.approx(2.5, rel=1e-14) and error < 1e-14


@pytest.mark.parametrize("gap", [50.0, 300.0])
def test_error_where_one_walker_carries_all_weight(gap: float) -> None:
    values = torch.tensor([1.0, 2.0, 4.0, -3.0], dtype=torch.float64)
    log_weights = torch.tensor([0.0, -gap, -gap - 1, -gap + 0.5], dtype=torch.float64)
    expected_value, expected_error = explicit(values, log_weights, None)
    value, error = weighted_estimate(values, log_weights)
    assert value == pytest.approx(expected_value) and error == pytest.approx(
        expected_error, rel=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_values_of_any_type_are_averaged_in_float64(dtype: torch.dtype) -> None:
    values = torch.tensor([1, 0, 1, 1, 0]).to(dtype)
    assert weighted_estimate(values, torch.zeros(5)).value == pytest.approx(0.6, rel=1e-15)


def test_error_bars_cover_what_they_should() -> None:
    """Of 400 runs, 68.3 % of one-sigma intervals hold the truth.

    7 % is three sigma of that count, of fixed seeds.

    Walkers are standard normal, ``A = x/2 - 1/8``: under the weights x has mean 1/2 and variance 1,
    and ``log Z = 0``.
    """
    runs, walkers = 400, 250
    covered = torch.zeros(3)
    for x in normal(runs, walkers, seed=1):
        log_weights = 0.5 * x - 0.125
        mean = weighted_estimate(x, log_weights)
        spread = weighted_estimate(torch.stack([x, x**2], dim=1), log_weights, variance)
        log_z = Estimate(float(log_mean_exp(log_weights)), float(log_mean_exp_error(log_weights)))
        pulls = torch.tensor([mean.pull(0.5), spread.pull(1.0), log_z.pull(0.0)])
        covered += pulls.abs() < 1
    assert ((covered / runs - 0.683).abs() < 0.07).all(), covered / runs


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-1.49167, 0.0021, "-1.4917 ± 0.0021"),
        (1.23456, 0.12, "1.23 ± 0.12"),
        (123.456, 4.56, "123.5 ± 4.6"),
        (12345.6, 12.3, "12346 ± 12"),
        (12345.6, 789.0, "12346 ± 789"),
        (0.5, 0.001, "0.5000 ± 0.0010"),
        (1.5, 0.0, "1.5 ± 0"),
        (1.5, math.inf, "1.5 ± inf"),
        (1.5, math.nan, "1.5 ± nan"),
    ],
)
def test_an_estimate_is_printed_with_two_digits_of_its_error(
    value: float, error: float, text: str
) -> None:
    assert str(Estimate(value, error)) == text == f"{Estimate(value, error)}"


def test_pull_is_the_signed_distance_in_errors() -> None:
    assert Estimate(1.5, 0.25).pull(1.0) == 2.0 and Estimate(1.5, 0.25).pull(2.0) == -2.0
    assert math.isnan(Estimate(1.5, 0.0).pull(1.5)) and math.isnan(
        Estimate(1.5, math.nan).pull(1.0)
    )


@pytest.mark.parametrize(
    ("values", "log_weights", "function", "message"),
    [
        (torch.zeros(1), torch.zeros(1), None, "at least 2 walkers, got 1"),
        (torch.zeros(0), torch.zeros(0), None, "at least one walker"),
        (torch.zeros(4), torch.zeros(5), None, r"shape \(5,\) or \(5, k\), got .*\(4,\)"),
        (
            torch.zeros(5, 2, 2),
            torch.zeros(5),
            variance,
            r"shape \(5,\) or \(5, k\), got .*\(5, 2, 2\)",
        ),
        (torch.tensor(1.0), torch.zeros(5), None, r"shape \(5,\) or \(5, k\), got tensor"),
        (
            torch.zeros(5, 3),
            torch.zeros(5),
            None,
            r"values of shape \(5, 3\) need function=.*their 3 means",
        ),
        (
            torch.zeros(5, 3),
            torch.zeros(5),
            lambda means: means,
            r"function must map means \(..., k\) to \(...\)",
        ),
        (torch.zeros(5, 3), torch.zeros(5), lambda means: means.sum(), r"function must map means"),
        (
            torch.zeros(5),
            torch.zeros(5),
            lambda means: means.reshape(-1),
            r"function must map means",
        ),
        (torch.zeros(5), torch.zeros(5, 2), None, r"log_weights.*got \(5, 2\)"),
        (torch.zeros(5), torch.tensor(0.0), None, r"log_weights.*got \(\)"),
    ],
)
def test_input_that_is_refused(
    values: Any, log_weights: Any, function: Function, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_estimate(values, log_weights, function)
