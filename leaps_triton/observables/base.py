"""How observables are entered, marked and checked."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..kernels.checks import check_arguments, expect, shown, states_hint
from ..lattices.graph import Graph
from ..lattices.hypercubic import Lattice
from ..models.base import LatticeModel, Observable
from .shared import Measured, found

__all__ = [
    "OBSERVABLES",
    "function_of",
    "is_of_pairs",
    "is_of_replicas",
    "observable",
    "of_means",
    "of_pairs",
    "of_replicas",
    "title_of",
]


OBSERVABLES = ("energy", "abs_magnetization", "susceptibility", "specific_heat", "binder")
"""Names of what runs measure unless told; of a field they are ``FIELD_OBSERVABLES``."""

Measurable = TypeVar("Measurable", bound=Callable[..., Tensor])

_ENTERED: dict[str, Callable[..., Tensor]] = {}
"""Observables of the library by name."""


def observable(function: Measurable) -> Measurable:
    """Enter an observable of the library under its own name, by which runs and files know it."""
    _ENTERED[function.__name__] = function
    return function


def entered() -> dict[str, Callable[..., Tensor]]:
    """Return the observables of the library: name → function, sorted by name."""
    return dict(sorted(_ENTERED.items()))


def of_means(function: Callable[[Tensor], Tensor]) -> Callable[[Observable], Observable]:
    """Mark an observable whose value is ``function`` of its means.

    Args:
        function: maps means ``(..., k)`` to ``(...)``.

    Returns:
        A decorator.

    Raises:
        ValueError: ``function`` is none.

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
    """Mark an observable that compares two replicas, such as :func:`overlap`.

    A chain measures it of walkers 0 and 1, 2 and 3, and so on, which have one law and are
    independent at any one step.

    Args:
        observable: ``f(first, second, model)`` → ``(pairs,)`` or ``(pairs, k)``.

    Raises:
        ValueError: ``observable`` is no function.

    Example:
        >>> @of_pairs
        ... def overlap_squared(first, second, model):
        ...     return overlap(first, second, model) ** 2
    """
    wanted = "a function of two sets of configurations and model"
    expect(callable(observable), "observable", wanted, observable)
    observable.pairs = True  # type: ignore[attr-defined]
    return observable


def of_replicas(observable: Observable) -> Observable:
    """Mark an observable of all replicas of parallel tempering, ``f(replicas, model)``.

    Args:
        observable: takes ``(walkers, K, *shape)``.
    """
    observable.replicas = True  # type: ignore[attr-defined]
    return observable


def function_of(observable: Callable[..., Tensor]) -> Callable[[Tensor], Tensor] | None:
    """Return the function of means that an observable carries; None if it is a plain mean."""
    function: Callable[[Tensor], Tensor] | None = getattr(observable, "function", None)
    return function


def is_of_pairs(observable: Callable[..., Tensor]) -> bool:
    """Return whether an observable compares pairs of walkers."""
    return getattr(observable, "pairs", False) is True


def is_of_replicas(observable: Callable[..., Tensor]) -> bool:
    """Return whether an observable looks at the replicas of parallel tempering."""
    return getattr(observable, "replicas", False) is True


def check_function(observable: Callable[..., Tensor]) -> None:
    """Raise a ValueError unless an observable takes the arguments that it is called with.

    Raises:
        ValueError: it takes fewer or more than configurations (of two walkers, where it is marked
            so) and model.
    """
    arguments = ["configurations", "model"]
    if is_of_pairs(observable):
        arguments = ["first", "second", "model"]
    check_arguments("an observable", observable, *arguments)


def title_of(observable: Callable[..., Tensor]) -> str:
    """Return what an observable calls itself."""
    return str(getattr(observable, "__name__", type(observable).__name__))


def measured_of(configurations: Tensor, model: LatticeModel) -> Measured:
    """Return what observables of these configurations share, checked unless it is shared already.

    Raises:
        ValueError: configurations that are not the model's.
    """
    own, measured = found(configurations, model)
    if measured is not None:
        return measured
    _check(configurations, own)
    return Measured(configurations, own)


def _check(configurations: object, model: object) -> None:
    lattice = getattr(model, "lattice", None)
    known = isinstance(lattice, Lattice | Graph)
    expect(known, "model", "a model with lattice, q and energy", model)
    assert isinstance(lattice, Lattice | Graph)
    fits = isinstance(configurations, Tensor) and tuple(configurations.shape[1:]) == lattice.shape
    shape = ", ".join(map(str, lattice.shape))
    expect(fits, "configurations", f"a tensor of shape (walkers, {shape})", configurations)
    assert isinstance(configurations, Tensor)
    kind = getattr(model, "dtype", torch.int8)
    if configurations.dtype != kind:
        raise ValueError(
            f"configurations must be a tensor of {kind}, got {shown(configurations)}"
            f"{states_hint(configurations, getattr(model, 'q', 0))}"
        )
    # Values are read on a CPU alone: a GPU would have to wait.
    on_cpu = configurations.device.type == "cpu"
    if on_cpu and configurations.numel() and not kind.is_floating_point:
        q = getattr(model, "q", 0)
        low = int(configurations.min())
        high = int(configurations.max())
        if low < 0 or high >= q:
            raise ValueError(
                f"configurations must be of values 0 to {q - 1}, got {low} to {high}"
                f"{states_hint(configurations, q)}"
            )
