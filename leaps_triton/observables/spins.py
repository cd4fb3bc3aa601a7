"""Observables of single configurations."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..kernels.checks import as_integer, expect
from ..models.base import Model, Observable
from .base import _measured, of_means

__all__ = [
    "abs_magnetization",
    "along",
    "binder",
    "correlation",
    "correlation_length",
    "energy",
    "magnetization",
    "magnetization_squared",
    "potts_order",
    "specific_heat",
    "structure_factor",
    "susceptibility",
    "susceptibility_full",
]


def _variance(means: Tensor) -> Tensor:
    return means[..., 1] - means[..., 0] ** 2


def energy(configurations: Tensor, model: Model) -> Tensor:
    """``H(x) / N``."""
    return _measured(configurations, model).energy / model.lattice.sites


def magnetization(configurations: Tensor, model: Model) -> Tensor:
    """``m = (1/N) Σ_i spins[x_i]``: ``(walkers,)`` for spins of one component, else ``(walkers,
    n)``.
    """
    vector = _measured(configurations, model).total_spin / model.lattice.sites
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


def susceptibility_full(configurations: Tensor, model: Model) -> Tensor:
    """``βN m²``, whose mean is the susceptibility ``βN ⟨m²⟩`` of the symmetric phase, where ``⟨m⟩ =
    0``.
    """
    squared = magnetization_squared(configurations, model)
    return model.beta * model.lattice.sites * squared


def potts_order(configurations: Tensor, model: Model) -> Tensor:
    """Potts order parameter ``(q max_a ρ_a - 1) / (q - 1)`` with ``ρ_a`` the share of sites in
    state ``a``.
    """
    counts = _measured(configurations, model).counts
    return (model.q * counts.amax(1).double() / model.lattice.sites - 1.0) / (model.q - 1)


@of_means(_variance)
def specific_heat(configurations: Tensor, model: Model) -> Tensor:
    """``c = β² (⟨H²⟩ - ⟨H⟩²) / N``; moments ``β H / √N`` and ``β² H² / N``."""
    energies = _measured(configurations, model).energy
    scaled = model.beta * energies / model.lattice.sites**0.5
    return torch.stack([scaled, scaled**2], dim=1)


@of_means(lambda means: 1.0 - means[..., 1] / (3.0 * means[..., 0] ** 2))
def binder(configurations: Tensor, model: Model) -> Tensor:
    """Binder cumulant ``U = 1 - ⟨m⁴⟩ / (3 ⟨m²⟩²)``; moments ``m²`` and ``m⁴``.

    From 2/3 in an ordered phase to ``2 (n - 1) / (3 n)`` in a disordered one, for spins of ``n``
    components: 0 for Ising, 1/3 for two components.
    """
    squared = magnetization_squared(configurations, model)
    return torch.stack([squared, squared**2], dim=1)


def along(observable: Callable[..., Tensor], direction: int) -> Observable:
    """The observable in that direction, with its function of means.

    Args:
        observable: :func:`correlation`, :func:`structure_factor`, :func:`correlation_length`, or
            one of your own that takes ``direction=``.
        direction: axis of the lattice.

    Example:
        >>> from leaps_triton import Ising
        >>> model = Ising((4, 6), beta=0.3)
        >>> along(correlation, 1)(torch.ones(2, 4, 6, dtype=torch.int8), model).shape
        torch.Size([2, 4])
    """
    expect(
        callable(observable),
        "observable",
        "a function of configurations, model and direction",
        observable,
    )
    direction = as_integer("direction", direction, 0)

    def directed(configurations: Tensor, model: Model) -> Tensor:
        return observable(configurations, model, direction=direction)

    directed.__name__ = f"{getattr(observable, '__name__', 'observable')}_{direction}"
    function = getattr(observable, "function", None)
    return directed if function is None else of_means(function)(directed)


def _length(model: Model, direction: int) -> int:
    return model.lattice.shape[as_integer("direction", direction, 0, model.lattice.ndim - 1)]


def _spin_field(configurations: Tensor, model: Model) -> Tensor:
    """``spins[x_i]``, float64 ``(walkers, *shape, n)``."""
    return _measured(configurations, model).spins[configurations.long()]


def correlation(configurations: Tensor, model: Model, direction: int = 0) -> Tensor:
    """``C(r) = mean over pairs of s(i) · s(i + r ê)``, not connected, for ``r = 0 … L/2``, or ``L -
    1`` if open.

    By fast Fourier transform; ``s`` are the model's spins, ``ê`` the unit vector of the direction.

    Args:
        direction: axis of the lattice.

    Returns:
        float64 ``(walkers, L // 2 + 1)``, or ``(walkers, L)`` for an open direction.

    Example:
        >>> from leaps_triton import Ising
        >>> x = torch.tensor([[0, 1, 0, 1]], dtype=torch.int8)
        >>> correlation(x, Ising((4,), beta=0.3)).round(decimals=12).abs()
        tensor([[1., 1., 1.]], dtype=torch.float64)
    """
    spins = _spin_field(configurations, model)
    length, wraps = _length(model, direction), model.lattice.periodic[direction]
    power = torch.fft.rfft(spins, length if wraps else 2 * length, dim=direction + 1).abs().square()
    sums = torch.fft.irfft(
        power.movedim(direction + 1, -1).flatten(1, -2).sum(1), length if wraps else 2 * length
    )
    if wraps:
        return sums[:, : length // 2 + 1] / model.lattice.sites
    pairs = model.lattice.sites // length * torch.arange(length, 0, -1, device=sums.device)
    return sums[:, :length] / pairs


def structure_factor(configurations: Tensor, model: Model, direction: int = 0) -> Tensor:
    """``S(k) = |Σ_j s(j) e^{-i k·r_j}|² / N`` along a periodic direction, ``k = 2πn/L``, ``n = 0 …
    L/2``.

    ``S(0) = N m²``.

    Args:
        direction: axis of the lattice, periodic.

    Returns:
        float64 ``(walkers, L // 2 + 1)``.
    """
    spins = _spin_field(configurations, model)
    _length(model, direction)
    if not model.lattice.periodic[direction]:
        raise ValueError(
            f"wave vectors need a periodic direction, and direction {direction} is open; use correlation"
        )
    others = [axis + 1 for axis in range(model.lattice.ndim) if axis != direction]
    lines = spins.sum(others) if others else spins
    return torch.fft.rfft(lines, dim=1).abs().square().sum(2) / model.lattice.sites


@of_means(lambda means: torch.sqrt(means[..., 0] / means[..., 1]))
def correlation_length(configurations: Tensor, model: Model, direction: int = 0) -> Tensor:
    """Second-moment correlation length ``ξ = √(S(0)/S(k_min) - 1) / (2 sin(π/L))`` along a
    direction of length L.

    Moments ``S(0) - S(k_min)`` and ``4 sin²(π/L) S(k_min)``. Not meaningful in an ordered phase,
    where ``S(0)`` holds the square of the magnetisation; NaN where the means give a negative
    radicand.

    Args:
        direction: axis of the lattice, periodic.
    """
    factor = structure_factor(configurations, model, direction)
    scale = 4.0 * math.sin(math.pi / _length(model, direction)) ** 2
    return torch.stack([factor[:, 0] - factor[:, 1], scale * factor[:, 1]], dim=1)
