"""Wasserstein distances of samples, against pairings that are known."""

import math
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.estimators import sliced_wasserstein, wasserstein


def numbers(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_the_exact_distance_finds_the_best_pairing() -> None:
    x = numbers(60, 3, seed=1)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    assert wasserstein(x, x[order]) == 0.0
    shift = torch.tensor([3.0, 4.0, 0.0])
    # A shift is its own best map, whatever the order.
    for power in (1.0, 2.0, 3.0):
        assert wasserstein(x, x[order] + shift, power) == pytest.approx(5.0)
    # Two points whose nearest ones are the same one.
    first = torch.tensor([[0.0], [1.0]])
    second = torch.tensor([[0.9], [5.0]])
    assert wasserstein(first, second, 1.0) == pytest.approx((0.9 + 4.0) / 2.0)


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_on_a_line_slices_are_the_distance(order: float) -> None:
    x = numbers(200, 1, seed=3)
    y = numbers(200, 1, seed=4) + 1.0
    exact = wasserstein(x, y, order)
    assert sliced_wasserstein(x, y, order=order) == pytest.approx(exact, rel=1e-12)


def test_weights_are_as_copies() -> None:
    x = numbers(5, 2, seed=5)
    y = numbers(8, 2, seed=6)
    copies = torch.tensor([1, 3, 1, 2, 1])
    repeated = x.repeat_interleave(copies, 0)
    weighted = sliced_wasserstein(x, y, copies.double().log())
    assert weighted == pytest.approx(sliced_wasserstein(repeated, y), rel=1e-9)
    turned = sliced_wasserstein(y, x, other_log_weights=copies.double().log() + 7.0)
    assert turned == pytest.approx(weighted, rel=1e-9)
    assert sliced_wasserstein(repeated, x, None, copies.double().log()) < 1e-6


def test_a_shift_is_seen_by_each_direction_in_part() -> None:
    """The mean of ``(θ·s)²`` is ``|s|²/d``: to 5 % of 2000 directions, eight sigma."""
    x = numbers(50, 4, seed=7)
    shift = torch.tensor([2.0, 0.0, -1.0, 2.0])
    found = sliced_wasserstein(x, x + shift, directions=2000)
    assert found == pytest.approx(3.0 / math.sqrt(4.0), rel=0.05)


def test_two_modes_from_a_start_on_a_line() -> None:
    """``W_2² = 2.3225`` of the laws; 20000 samples of each tell it to about 0.02."""
    model = lt.GaussianMixture.two(2.0)
    start = lt.Gaussian(1.0).on(model).sample(torch.arange(20000), seed=0)
    found = sliced_wasserstein(start, model.sample(20000, seed=1))
    assert found**2 == pytest.approx(2.3225, abs=0.1)


def test_without_scipy_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    x = numbers(4, 2, seed=8)
    with pytest.raises(ImportError, match=r"leaps_triton\[scipy\].*sliced_wasserstein"):
        wasserstein(x, x)
    assert sliced_wasserstein(x, x) == 0.0


X = torch.zeros(3, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: wasserstein(X, X[:2]), "two samples of one size, 5000 at most, got 3 and 2"),
        (lambda: wasserstein(X, X[:, :1]), "as many coordinates, got 2 and 1"),
        (lambda: wasserstein(X[0], X), r"first must be finite real numbers \(n, d\)"),
        (lambda: wasserstein(X, X / 0.0), r"second must be finite real numbers \(n, d\)"),
        (lambda: wasserstein(X, X, 0.5), "order must be a number of at least 1"),
        (lambda: sliced_wasserstein(X, X, torch.zeros(2)), r"log_weights must have shape \(3,\)"),
        (lambda: sliced_wasserstein(X, X, directions=0), "directions must be an integer"),
        (lambda: sliced_wasserstein(X, X, seed=-1), "seed must be an integer in"),
    ],
)
def test_bad_samples(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
