"""Observables: ``f(configurations, model)`` → ``(walkers,)`` or ``(walkers, k)``, float64.

An observable that is a function of means, such as a susceptibility, returns the moments and carries the function:
``observable.function(means)`` maps means ``(..., k)`` to ``(...)``. ``ensemble.estimate(observable)`` uses it.
Energies are without β, and all but log Z are per site. The magnetisation is the lattice mean of ``model.spins``: ±1 for
q = 2, unit vectors otherwise.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .kernels.checks import expect
from .lattice import Lattice
from .models import Model, Observable

__all__ = [
    "abs_magnetization",
    "binder",
    "energy",
    "magnetization",
    "magnetization_squared",
    "of_means",
    "specific_heat",
    "susceptibility",
]


def of_means(function: Callable[[Tensor], Tensor]) -> Callable[[Observable], Observable]:
    """Mark an observable whose value is ``function`` of its means.

    Example
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


def _variance(means: Tensor) -> Tensor:
    return means[..., 1] - means[..., 0] ** 2


def _check(configurations: object, model: object) -> None:
    lattice = getattr(model, "lattice", None)
    expect(isinstance(lattice, Lattice), "model", "a model with lattice, q and energy", model)
    assert isinstance(lattice, Lattice)
    fits = isinstance(configurations, Tensor) and tuple(configurations.shape[1:]) == lattice.shape
    shape = ", ".join(map(str, lattice.shape))
    expect(fits, "configurations", f"a tensor of shape (walkers, {shape})", configurations)


def energy(configurations: Tensor, model: Model) -> Tensor:
    """``H(x) / N``."""
    _check(configurations, model)
    return model.energy(configurations).double() / model.lattice.sites


def magnetization(configurations: Tensor, model: Model) -> Tensor:
    """``m = (1/N) Σ_i spins[x_i]``: ``(walkers,)`` for spins of one component, else ``(walkers, n)``."""
    _check(configurations, model)
    counts = torch.stack([(configurations == state).flatten(1).sum(1) for state in range(model.q)], dim=1)
    whole = configurations.dtype.is_floating_point or configurations.dtype == torch.bool
    if whole or bool((counts.sum(1) != model.lattice.sites).any()):
        kind = f"{configurations.dtype} with {configurations.unique()[:5].tolist()}"
        raise ValueError(f"configurations must be integers from 0 to {model.q - 1}, got {kind}")
    vector = counts.double() @ model.spins.to(counts.device) / model.lattice.sites
    return vector.squeeze(1) if vector.shape[1] == 1 else vector


def abs_magnetization(configurations: Tensor, model: Model) -> Tensor:
    """``|m|``."""
    return torch.sqrt(magnetization_squared(configurations, model))


def magnetization_squared(configurations: Tensor, model: Model) -> Tensor:
    """``m² = m·m``."""
    return magnetization(configurations, model).view(len(configurations), -1).square().sum(1)


@of_means(lambda means: means[..., 2] - means[..., 0] * means[..., 1])
def susceptibility(configurations: Tensor, model: Model) -> Tensor:
    """``χ = β N (⟨m²⟩ - ⟨|m|⟩²)``, the connected one; moments ``|m|``, ``βN |m|`` and ``βN m²``."""
    squared = magnetization_squared(configurations, model)
    scale = model.beta * model.lattice.sites
    return torch.stack([squared.sqrt(), scale * squared.sqrt(), scale * squared], dim=1)


@of_means(_variance)
def specific_heat(configurations: Tensor, model: Model) -> Tensor:
    """``c = β² (⟨H²⟩ - ⟨H⟩²) / N``; moments ``β H / √N`` and ``β² H² / N``."""
    _check(configurations, model)
    scaled = model.beta * model.energy(configurations).double() / model.lattice.sites**0.5
    return torch.stack([scaled, scaled**2], dim=1)


@of_means(lambda means: 1.0 - means[..., 1] / (3.0 * means[..., 0] ** 2))
def binder(configurations: Tensor, model: Model) -> Tensor:
    """Binder cumulant ``U = 1 - ⟨m⁴⟩ / (3 ⟨m²⟩²)``; moments ``m²`` and ``m⁴``."""
    squared = magnetization_squared(configurations, model)
    return torch.stack([squared, squared**2], dim=1)
