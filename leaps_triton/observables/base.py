"""How observables are marked and checked."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..kernels.checks import expect
from ..lattices.hypercubic import Lattice
from ..models.base import Model, Observable
from .shared import MARK, Measured

__all__ = ["OBSERVABLES", "of_means", "of_pairs"]


OBSERVABLES = ("energy", "abs_magnetization", "susceptibility", "specific_heat", "binder")

"""What runs measure unless told."""


def of_means(function: Callable[[Tensor], Tensor]) -> Callable[[Observable], Observable]:
    """Mark an observable whose value is ``function`` of its means.

    Example:
        >>> @of_means(lambda means: means[..., 1] - means[..., 0] ** 2)
        ... def energy_variance(configurations, model):
        ...     e = energy(configurations, model)
        ...     return torch.stack([e, e**2], dim=1)
    """
    expect(callable(function), "function", "a function of means", function)

    def mark(observable: Observable) -> Observable:
        observable.function = function  # type: ignore[attr-defined]
        return observable

    return mark


def of_pairs(
    observable: Callable[[Tensor, Tensor, Any], Tensor],
) -> Callable[[Tensor, Tensor, Any], Tensor]:
    """Mark an observable ``f(first, second, model)`` that compares two replicas, such as
    :func:`overlap`.

    A chain measures it of walkers 0 and 1, 2 and 3, and so on, which have one law and are
    independent at any one step.

    Example:
        >>> @of_pairs
        ... def overlap_squared(first, second, model):
        ...     return overlap(first, second, model) ** 2
    """
    expect(
        callable(observable),
        "observable",
        "a function of two sets of configurations and model",
        observable,
    )
    observable.pairs = True  # type: ignore[attr-defined]
    return observable


def _check(configurations: object, model: object) -> None:
    lattice = getattr(model, "lattice", None)
    expect(isinstance(lattice, Lattice), "model", "a model with lattice, q and energy", model)
    assert isinstance(lattice, Lattice)
    fits = isinstance(configurations, Tensor) and tuple(configurations.shape[1:]) == lattice.shape
    shape = ", ".join(map(str, lattice.shape))
    expect(fits, "configurations", f"a tensor of shape (walkers, {shape})", configurations)
    assert isinstance(configurations, Tensor)
    kind = getattr(model, "dtype", torch.int8)
    expect(configurations.dtype == kind, "configurations", f"a tensor of {kind}", configurations)
    # Values are read on a CPU alone: a GPU would have to wait.
    if (
        configurations.device.type == "cpu"
        and configurations.numel()
        and not kind.is_floating_point
    ):
        q, low, high = getattr(model, "q", 0), int(configurations.min()), int(configurations.max())
        expect(low >= 0 and high < q, "configurations", f"of values 0 to {q - 1}", (low, high))


def _measured(configurations: Tensor, model: Model) -> Measured:
    shared = getattr(model, MARK, None)
    if isinstance(shared, Measured) and shared.configurations is configurations:
        return shared
    _check(configurations, model)
    return Measured(configurations, model)
